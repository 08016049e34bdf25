/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	interrupted = 1;
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

static bool run_command(const struct bench *b, const char *command, const char *path,
			const char *log)
{
	struct stat st;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		execute(b, command, path, log);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
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

	snprintf(path, sizeof path, "%s/%s-%02llu.pb.gz", b->dir, side, (unsigned long long)number);
	snprintf(log, sizeof log, "%s/log", b->dir);
	if (number)
		say_progress("%s, run %llu of %llu", side, (unsigned long long)number,
			     (unsigned long long)b->runs);
	else
		say_progress("%s, a run that doesn't count", side);
	if (!run_command(b, command, path, log)) {
		say_progress_end();
		return false;
	}
	unlink(log);
	if (!number)
		unlink(path);
	return !number || gate_take(head ? &b->gate.head : &b->gate.base, path);
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

static bool make_folder(struct bench *b)
{
	const char *tmp = getenv("TMPDIR");

	if (b->save) {
		snprintf(b->dir, sizeof b->dir, "%s", b->save);
		if (mkdir(b->dir, 0777) == 0 || errno == EEXIST)
			return true;
	} else {
		snprintf(b->dir, sizeof b->dir, "%s/prowl-bench-XXXXXX",
			 tmp && *tmp ? tmp : "/tmp");
		if (mkdtemp(b->dir))
			return true;
	}
	say_error("%s: %s", b->dir, strerror(errno));
	return false;
}

static void remove_side(const struct gate_side *s)
{
	for (size_t i = 0; i < s->n; i++)
		unlink(s->paths[i]);
}

static void drop_folder(const struct bench *b)
{
	static const char *const rest[] = {"log", "base-00.pb.gz", "head-00.pb.gz"};
	char path[PATH_MAX];

	if (b->save)
		return;
	remove_side(&b->gate.base);
	remove_side(&b->gate.head);
	for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
		snprintf(path, sizeof path, "%s/%s", b->dir, rest[i]);
		unlink(path);
	}
	rmdir(b->dir);
}

static int work(struct bench *b)
{
	struct sigaction act = {.sa_handler = on_interrupt};
	int code = PROWL_FAILED;

	if (!make_folder(b))
		return PROWL_FAILED;
	/* Without SA_RESTART; the command gets the signal, too. */
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
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
