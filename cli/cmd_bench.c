/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd.h"
#include "err.h"
#include "gate.h"
#include "term.h"

enum { ID_BASE = 1, ID_HEAD, ID_RUNS, ID_WARMUP, ID_RATE, ID_SAVE, ID_QUIET };

static const struct opt bench_opts[] = {
	{0, "base", "COMMAND", "the program before the change, as for a shell", ID_BASE},
	{0, "head", "COMMAND", "the program after it", ID_HEAD},
	{0, "runs", "N", "runs of each that count (default: 5)", ID_RUNS},
	{0, "warmup", "N", "runs of each before, that don't (default: 1)", ID_WARMUP},
	{'F', "rate", "HZ", "samples a second (default: 999)", ID_RATE},
	{0, "save", "DIR", "keep the profiles there", ID_SAVE},
	{'q', "quiet", NULL, "print no progress", ID_QUIET},
	GATE_OPTIONS,
	OPT_END,
};

struct bench {
	struct gate gate;
	const char *base, *head, *save;
	uint64_t runs, warmup, rate;
	char dir[PATH_MAX / 2];
};

/* --- signals --------------------------------------------------------------------- */

static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
enum { NENDS = sizeof ends / sizeof *ends };

/* For the signal handler, which has no other way to know them. */
static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t running; /* leads the session of the command; 0: none */

/* The command and all that it started get it; told twice, they are ended. */
static void on_interrupt(int sig)
{
	int saved = errno, send = interrupted ? SIGKILL : sig;

	if (running > 0 && kill(-running, send) < 0)
		kill(running, send); /* not yet a session of its own */
	interrupted = 1;
	errno = saved;
}

static void catch_signals(void)
{
	/* Without SA_RESTART: what waits shall look. */
	struct sigaction act = {.sa_handler = on_interrupt}, old;

	for (size_t i = 0; i < NENDS; i++) {
		/* nohup(1) has it ignored. */
		if (ends[i] != SIGHUP || sigaction(SIGHUP, NULL, &old) < 0 ||
		    old.sa_handler != SIG_IGN)
			sigaction(ends[i], &act, NULL);
	}
}

/* In the child, where they are blocked: what came since the fork comes now. */
static void release_signals(const sigset_t *mask)
{
	struct sigaction old;

	for (size_t i = 0; i < NENDS; i++) {
		if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler == on_interrupt)
			signal(ends[i], SIG_DFL);
	}
	sigprocmask(SIG_SETMASK, mask, NULL);
}

/* --- one run --------------------------------------------------------------------- */

/* The command with each {} replaced by the path, quoted for the shell; NULL without memory. */
static char *with_path(const char *command, const char *path)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (const char *s = command; *s; s++) {
		if (s[0] != '{' || s[1] != '}') {
			putc(*s, f);
			continue;
		}
		putc('\'', f);
		for (const char *p = path; *p; p++)
			*p == '\'' ? fputs("'\\''", f) : putc(*p, f);
		putc('\'', f);
		s++;
	}
	return fclose(f) == 0 ? text : NULL;
}

/* In the child: what the command says goes to the log. */
static void execute(const struct bench *b, const char *command, const char *path, const char *log)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	char rate[24], *own;

	if (null < 0 || out < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(127);
	snprintf(rate, sizeof rate, "%llu", (unsigned long long)b->rate);
	if (!strstr(command, "{}"))
		execl("/proc/self/exe", "prowl", "profile", "-q", "-F", rate, "-o", path, "--",
		      "sh", "-c", command, (char *)NULL);
	own = with_path(command, path);
	if (own)
		execl("/bin/sh", "sh", "-c", own, (char *)NULL);
	_exit(127);
}

static void show_log(const char *log)
{
	FILE *f = fopen(log, "re");
	char line[512];

	while (f && fgets(line, sizeof line, f)) {
		fputs("  ", stderr);
		text_put_lines(stderr, line);
	}
	if (f)
		fclose(f);
}

/* Returns the status. Until it is reaped, the number is its own. */
static int wait_for(pid_t pid)
{
	siginfo_t info;
	int status = 0;

	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
	if (interrupted)
		kill(-pid, SIGTERM); /* a shell lets background jobs ignore SIGINT */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* Runs it in a session of its own, and waits; -1: there is no process. */
static pid_t run_and_wait(const struct bench *b, const char *command, const char *path,
			  const char *log, int *status)
{
	sigset_t block, mask;
	pid_t pid;

	sigemptyset(&block);
	for (size_t i = 0; i < NENDS; i++)
		sigaddset(&block, ends[i]);
	sigprocmask(SIG_BLOCK, &block, &mask);
	pid = interrupted ? 0 : fork();
	if (pid == 0 && !interrupted) {
		setsid();
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		release_signals(&mask);
		execute(b, command, path, log);
	}
	running = pid > 0 ? pid : 0;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (pid > 0)
		*status = wait_for(pid);
	running = 0;
	return pid;
}

static bool run_command(const struct bench *b, const char *command, const char *path,
			const char *log)
{
	struct stat st;
	int status = 0;
	pid_t pid = run_and_wait(b, command, path, log, &status);

	if (interrupted) {
		say_error("interrupted");
		return false;
	}
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 && stat(path, &st) == 0 &&
	    st.st_size > 0)
		return true;
	if (pid < 0)
		say_error("fork: %s", strerror(errno));
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		say_error("%s: the command wrote no profile to %s", command, path);
	else if (WIFEXITED(status))
		say_error("%s: exit status %d; it said:", command, WEXITSTATUS(status));
	else
		say_error("%s: killed by signal %d; it said:", command, WTERMSIG(status));
	show_log(log);
	return false;
}

/* --- all runs -------------------------------------------------------------------- */

/* number 0: one that doesn't count. */
static bool run_one(struct bench *b, bool head, uint64_t number)
{
	const char *side = head ? "head" : "base", *command = head ? b->head : b->base;
	char path[PATH_MAX], log[PATH_MAX];
	bool ok;

	snprintf(path, sizeof path, "%s/%s-%02llu.pb.gz", b->dir, side, (unsigned long long)number);
	snprintf(log, sizeof log, "%s/log", b->dir);
	if (number)
		say_progress("%s, run %llu of %llu", side, (unsigned long long)number,
			     (unsigned long long)b->runs);
	else
		say_progress("%s, a run that doesn't count", side);
	unlink(path); /* of an earlier time */
	ok = run_command(b, command, path, log);
	if (!ok)
		say_progress_end();
	unlink(log);
	if (!number || !ok)
		unlink(path); /* half a profile is none */
	return ok && (!number || gate_take(head ? &b->gate.head : &b->gate.base, path));
}

/* Every second round begins with the other side: a drift of the machine then hits both alike. */
static bool run_all(struct bench *b)
{
	for (uint64_t i = 0; i < b->warmup; i++) {
		if (!run_one(b, false, 0) || !run_one(b, true, 0))
			return false;
	}
	for (uint64_t i = 1; i <= b->runs; i++) {
		bool first = i % 2 == 0;

		if (!run_one(b, first, i) || !run_one(b, !first, i))
			return false;
	}
	say_progress_end();
	return true;
}

/* Absolute, as a command may change its folder. */
static bool enter_folder(struct bench *b, const char *dir)
{
	char *full = realpath(dir, NULL);
	struct stat st;
	int error = 0;

	if (!full)
		return false;
	if (stat(full, &st) < 0)
		error = errno;
	else if (!S_ISDIR(st.st_mode))
		error = ENOTDIR;
	else if (strlen(full) >= sizeof b->dir)
		error = ENAMETOOLONG;
	else
		strcpy(b->dir, full);
	free(full);
	errno = error;
	return error == 0;
}

static bool make_folder(struct bench *b)
{
	const char *tmp = getenv("TMPDIR");
	char made[PATH_MAX / 2];

	snprintf(made, sizeof made, "%s/prowl-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (b->save ? (mkdir(b->save, 0777) == 0 || errno == EEXIST) && enter_folder(b, b->save)
		    : mkdtemp(made) && enter_folder(b, made))
		return true;
	say_error("%s: %s", b->save ? b->save : made, strerror(errno));
	return false;
}

static void drop_side(const struct gate_side *s)
{
	for (size_t i = 0; i < s->n; i++)
		unlink(s->paths[i]);
}

static void drop_folder(const struct bench *b)
{
	if (b->save)
		return;
	drop_side(&b->gate.base);
	drop_side(&b->gate.head);
	rmdir(b->dir);
}

static int work(struct bench *b)
{
	int code = PROWL_FAILED;

	if (!make_folder(b))
		return PROWL_FAILED;
	catch_signals();
	b->gate.base_name = b->base;
	b->gate.head_name = b->head;
	if (run_all(b))
		code = gate_check(&b->gate) ? gate_compare(&b->gate) : PROWL_USAGE;
	drop_folder(b);
	return code;
}

/* --- options --------------------------------------------------------------------- */

static bool set_option(struct bench *b, int id, const char *arg)
{
	switch (id) {
	case ID_BASE:
		b->base = arg;
		return true;
	case ID_HEAD:
		b->head = arg;
		return true;
	case ID_RUNS:
		return opts_number("runs", arg, 1, 99, &b->runs);
	case ID_WARMUP:
		return opts_number("warmup", arg, 0, 99, &b->warmup);
	case ID_RATE:
		return opts_number("rate", arg, 1, 10000, &b->rate);
	case ID_SAVE:
		b->save = arg;
		return true;
	case ID_QUIET:
		say_level(SAY_QUIET);
		return true;
	default:
		return gate_option(&b->gate, id, arg);
	}
}

static int run(int argc, char **argv)
{
	struct bench b = {.gate = {.lines = 10}, .runs = 5, .warmup = 1, .rate = 999};
	struct opts o;
	const char *arg;
	int id = OPTS_DONE, first = argc, code = PROWL_USAGE;
	bool ok = true;

	opts_init(&o, &cmd_bench, argc, argv);
	while (ok && (id = opts_next(&o, &arg, &first, &code)) >= 0)
		ok = set_option(&b, id, arg);
	opts_fini(&o);
	if (ok && id != OPTS_EXIT && (!b.base || !b.head || first < argc)) {
		say_error("which programs? prowl bench --base COMMAND --head COMMAND");
		ok = false;
	}
	/* Said now, not after the runs. */
	if (ok && id != OPTS_EXIT)
		ok = gate_check_outputs(&b.gate);
	if (!ok)
		code = PROWL_USAGE;
	else if (id != OPTS_EXIT)
		code = work(&b);
	gate_fini(&b.gate);
	return code;
}

const struct cmd cmd_bench = {
	.name = "bench",
	.usage = "[options] --base COMMAND --head COMMAND",
	.summary = "run two programs in turn, profile each run, and compare",
	.text = "Each command does the same work and ends. Where it has {} in it, it writes its own profile to\n"
		"the file that is put in that place; else prowl profiles it. Exit codes as of prowl diff.\n\n"
		"Examples:\n"
		"  prowl bench --base './app-base -bench' --head './app-head -bench'\n"
		"  prowl bench --base './old.test -test.bench=Parse -test.benchtime=500x -test.cpuprofile={}' \\\n"
		"              --head './new.test -test.bench=Parse -test.benchtime=500x -test.cpuprofile={}'\n",
	.opts = bench_opts,
	.run = run,
};
