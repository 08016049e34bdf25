/* SPDX-License-Identifier: Apache-2.0 */
#include "top_screen.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "term.h"

enum {
	ESCAPE_MS =
		25, /* after which Esc is a key of its own; over ssh, keys arrive in one piece */
	STACK = 64 * 1024,
};

struct top_screen {
	SCREEN *screen;
	int events; /* epoll: the keyboard, and signals */
	bool color;
};

/* For the signal handlers, which have no other way to know them. */
static struct {
	int to, from;    /* a pipe of signal numbers */
	char reset[256]; /* the sequence that restores the terminal */
	size_t reset_len;
	struct termios before;
	struct sigaction bus; /* the handler for truncated files */
	unsigned int ends;    /* how often a signal asked prowl to end */
} tty = {.to = -1, .from = -1};

bool top_screen_built(void)
{
	return true;
}

/* --- signals --------------------------------------------------------------------- */

/* Async-signal-safe. */
static void restore_terminal(void)
{
	(void)!write(STDOUT_FILENO, tty.reset, tty.reset_len);
	tcsetattr(STDIN_FILENO, TCSANOW, &tty.before);
}

static void on_crash(int sig, siginfo_t *info, void *ctx)
{
	/* A missing page of a truncated file is replaced; anything else is a crash. */
	if (sig == SIGBUS && info->si_code == BUS_ADRERR && (tty.bus.sa_flags & SA_SIGINFO)) {
		tty.bus.sa_sigaction(sig, info, ctx);
		return;
	}
	restore_terminal();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void on_signal(int sig)
{
	int saved = errno;
	char c = (char)sig;
	bool end = sig == SIGINT || sig == SIGTERM || sig == SIGHUP || sig == SIGQUIT;

	if (end && tty.ends++ > 0) { /* the second one: the loop does not respond */
		restore_terminal();
		signal(sig, SIG_DFL);
		raise(sig);
	}
	(void)!write(tty.to, &c, 1);
	errno = saved;
}

static void catch_signals(void)
{
	static const int crashes[] = {SIGSEGV, SIGABRT, SIGILL, SIGFPE, SIGBUS};
	static const int others[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
	static char stack[STACK];
	stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
	struct sigaction crash = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct sigaction other = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigaltstack(&alternative, NULL);
	sigaction(SIGBUS, NULL, &tty.bus);
	for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
		sigaction(crashes[i], &crash, NULL);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		sigaction(others[i], &other, NULL);
}

static void release_signals(void)
{
	static const int all[] = {SIGSEGV, SIGABRT, SIGILL,  SIGFPE,  SIGINT,  SIGTERM,
				  SIGHUP,  SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		signal(all[i], SIG_DFL);
	sigaction(SIGBUS, &tty.bus, NULL);
}

/* --- opening and closing ---------------------------------------------------------- */

/* Padding ("$<5>") is for terminals of long ago. */
static void add_reset(const char *capability)
{
	const char *s = tigetstr(capability);
	size_t n;

	if (!s || s == (const char *)-1)
		return;
	n = strcspn(s, "$");
	if (tty.reset_len + n < sizeof tty.reset) {
		memcpy(tty.reset + tty.reset_len, s, n);
		tty.reset_len += n;
	}
}

static void learn_reset(void)
{
	tty.reset_len = 0;
	add_reset("sgr0");
	add_reset("rmcup");
	add_reset("cnorm");
	add_reset("rmkx");
}

static void set_colors(struct top_screen *s)
{
	s->color = say_use_color(STDOUT_FILENO) && has_colors() && start_color() == OK &&
		   use_default_colors() == OK;
	if (!s->color)
		return;
	init_pair(TOP_WARNING, COLOR_RED, -1);
	init_pair(TOP_DETAIL, COLOR_CYAN, -1);
	init_pair(TOP_TITLE, COLOR_GREEN, -1);
}

static int open_events(struct top_screen *s)
{
	struct epoll_event e = {.events = EPOLLIN};
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	tty.from = ends[0];
	tty.to = ends[1];
	s->events = epoll_create1(EPOLL_CLOEXEC);
	if (s->events < 0 || epoll_ctl(s->events, EPOLL_CTL_ADD, tty.from, &e) < 0 ||
	    epoll_ctl(s->events, EPOLL_CTL_ADD, STDIN_FILENO, &e) < 0)
		return -errno;
	return 0;
}

static void close_events(struct top_screen *s)
{
	if (s->events >= 0)
		close(s->events);
	close(tty.from);
	close(tty.to);
	tty.from = tty.to = -1;
}

static void start_screen(struct top_screen *s)
{
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	leaveok(stdscr, TRUE);
	set_escdelay(ESCAPE_MS);
	curs_set(0);
	set_colors(s);
}

enum prowl_code top_screen_check(void)
{
	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) &&
	    tcgetattr(STDIN_FILENO, &tty.before) == 0)
		return PROWL_OK;
	say_error("the table needs a terminal; --once or --json need none");
	return PROWL_USAGE;
}

/* The cursor can be put anywhere. */
static bool can_address(void)
{
	const char *s = tigetstr("cup");

	return s && s != (const char *)-1;
}

static void abandon(struct top_screen *s)
{
	if (s->screen) {
		endwin();
		delscreen(s->screen);
	}
	release_signals();
	close_events(s);
	free(s);
}

enum prowl_code top_screen_open(struct top_screen **ret)
{
	struct top_screen *s;
	const char *term = getenv("TERM");

	if (top_screen_check() != PROWL_OK)
		return PROWL_USAGE;
	s = calloc(1, sizeof *s);
	if (!s || open_events(s) < 0) {
		free(s);
		say_error("out of memory or descriptors");
		return PROWL_FAILED;
	}
	tty.ends = 0;
	tty.reset_len = 0;
	catch_signals(); /* before ncurses, which then leaves them alone */
	s->screen = newterm(NULL, stdout, stdin);
	if (!s->screen || !can_address()) {
		abandon(s);
		say_error("no table can be drawn on a terminal '%s' (TERM); --once or --json work",
			  term ? term : "");
		return PROWL_FAILED;
	}
	learn_reset();
	start_screen(s);
	*ret = s;
	return PROWL_OK;
}

void top_screen_close(struct top_screen *s)
{
	if (!s)
		return;
	endwin();
	release_signals();
	delscreen(s->screen);
	close_events(s);
	free(s);
}

int top_screen_fd(const struct top_screen *s)
{
	return s->events;
}

/* --- keys ------------------------------------------------------------------------ */

static void stop_ourselves(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL}, old;
	sigset_t set;

	endwin();
	sigaction(SIGTSTP, &dfl, &old);
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	raise(SIGTSTP);
	/* Running again, after SIGCONT. */
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigaction(SIGTSTP, &old, NULL);
}

static void take_size(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
		resizeterm(size.ws_row, size.ws_col);
}

static int signal_event(int sig)
{
	switch (sig) {
	case SIGTSTP:
		stop_ourselves();
		take_size();
		return TOP_EVENT_RETURNED;
	case SIGCONT: /* also after SIGSTOP, when a shell may have changed the terminal */
		take_size();
		return TOP_EVENT_RETURNED;
	case SIGWINCH:
		take_size();
		return TOP_EVENT_REDRAW;
	default:
		return TOP_EVENT_QUIT;
	}
}

static int key_of(int c)
{
	switch (c) {
	case ERR:
		return TOP_KEY_NONE;
	case KEY_UP:
		return TOP_KEY_UP;
	case KEY_DOWN:
		return TOP_KEY_DOWN;
	case KEY_PPAGE:
		return TOP_KEY_PAGE_UP;
	case KEY_NPAGE:
		return TOP_KEY_PAGE_DOWN;
	case KEY_HOME:
		return TOP_KEY_HOME;
	case KEY_END:
		return TOP_KEY_END;
	case KEY_ENTER:
		return TOP_KEY_ENTER;
	case KEY_BACKSPACE:
		return TOP_KEY_BACKSPACE;
	default:
		return c < 256 ? c : ' ' - 1; /* an unknown key */
	}
}

int top_screen_event(struct top_screen *s)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	char sig;
	int c;

	if (read(tty.from, &sig, 1) == 1)
		return signal_event(sig);
	if (poll(&in, 1, 0) > 0 && (in.revents & (POLLHUP | POLLERR | POLLNVAL)))
		return TOP_EVENT_QUIT;
	do
		c = getch();
	while (c == KEY_RESIZE); /* of our own making */
	return key_of(c);
}

/* --- lines ----------------------------------------------------------------------- */

static attr_t look(enum top_style style)
{
	switch (style) {
	case TOP_TITLE:
	case TOP_WARNING:
		return A_BOLD;
	case TOP_HEADS:
		return A_BOLD | A_UNDERLINE;
	case TOP_CHOSEN:
	case TOP_STATUS:
		return A_REVERSE;
	default:
		return A_NORMAL;
	}
}

static void put(void *ctx, int row, enum top_style style, const char *text)
{
	const struct top_screen *s = ctx;
	bool colored = s->color &&
		       (style == TOP_WARNING || style == TOP_DETAIL || style == TOP_TITLE);

	mvaddstr(row, 0, text);
	mvchgat(row, 0, -1, look(style), colored ? (short)style : 0, NULL);
}

void top_screen_draw(struct top_screen *s, struct top_model *m)
{
	int rows, cols;

	getmaxyx(stdscr, rows, cols);
	erase();
	top_model_draw(m, rows, cols, put, s);
	refresh();
}

void top_screen_repaint(struct top_screen *s, struct top_model *m)
{
	clearok(stdscr, TRUE);
	top_screen_draw(s, m);
}
