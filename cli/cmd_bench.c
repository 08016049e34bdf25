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
#include "stop.h"
#include "term.h"

struct bench {
	struct gate gate;
	const char *base, *head, *save;
	uint64_t runs, warmup;
	unsigned int rate;
	char dir[PATH_MAX / 2];
};

static const struct opt bench_opts[] = {
	OPT_TEXT(0, "base", "COMMAND", "the program before the change, as for a shell",
		 struct bench, base),
	OPT_TEXT(0, "head", "COMMAND", "the program after it", struct bench, head),
	OPT_NUMBER(0, "runs", "runs of each that count (default: 5)", struct bench, runs, 1, 99),
	OPT_NUMBER(0, "warmup", "runs of each before, that don't (default: 1)", struct bench,
		   warmup, 0, 99),
	OPT_UINT('F', "rate", "HZ", "samples a second (default: 999)", struct bench, rate, 1,
		 10000),
	OPT_TEXT(0, "save", "DIR", "keep the profiles there", struct bench, save),
	OPT_QUIET("print no progress"),
	GATE_OPTIONS(struct bench, gate),
	OPT_END,
};

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

/* In the child: the command's output goes to the log. */
static void execute(const struct bench *b, const char *command, const char *path, const char *log)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	char rate[24], *own;

	if (null < 0 || out < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(127);
	snprintf(rate, sizeof rate, "%u", b->rate);
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

/* Returns the status. The pid can't be reused before it is reaped. */
static int wait_for(pid_t pid)
{
	siginfo_t info;
	int status = 0;

	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
	if (stop_asked())
		kill(-pid, SIGTERM); /* a shell lets background jobs ignore SIGINT */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* Runs it in a session of its own, and waits; -1: there is no process. */
static pid_t run_and_wait(const struct bench *b, const char *command, const char *path,
			  const char *log, int *status)
{
	sigset_t before;
	pid_t pid;

	stop_hold(&before);
	pid = stop_asked() ? 0 : fork();
	if (pid == 0 && !stop_asked()) {
		setsid();
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		stop_let_child(&before);
		execute(b, command, path, log);
	}
	stop_session(pid > 0 ? pid : 0);
	stop_let(&before);
	if (pid > 0)
		*status = wait_for(pid);
	stop_session(0);
	return pid;
}

static bool run_command(const struct bench *b, const char *command, const char *path,
			const char *log)
{
	struct stat st;
	int status = 0;
	pid_t pid = run_and_wait(b, command, path, log, &status);

	if (stop_asked()) {
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

/* number 0: a warm-up. */
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

/* Every second round begins with head, so that a drift of the machine affects both sides. */
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

static enum prowl_code work(struct bench *b)
{
	enum prowl_code code = PROWL_FAILED;

	if (!make_folder(b))
		return PROWL_FAILED;
	stop_catch_for_session();
	b->gate.base_name = b->base;
	b->gate.head_name = b->head;
	if (run_all(b))
		code = gate_check(&b->gate);
	if (code == PROWL_OK)
		code = gate_compare(&b->gate);
	drop_folder(b);
	return code;
}

/* --- the command ----------------------------------------------------------------- */

static enum prowl_code check(void *options, char **words, size_t n)
{
	const struct bench *b = options;

	if (!b->base || !b->head || n) {
		say_error("which programs? prowl bench --base COMMAND --head COMMAND");
		return PROWL_USAGE;
	}
	/* Refused now, not after the runs. */
	return gate_check_outputs(&((struct bench *)options)->gate);
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	return work(options);
}

static void fini(void *options)
{
	gate_fini(&((struct bench *)options)->gate);
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
	.operands = OPERANDS_WORDS,
	.size = sizeof(struct bench),
	.defaults = &(
		const struct bench){.gate.lines = GATE_LINES, .runs = 5, .warmup = 1, .rate = 999},
	.check = check,
	.run = run,
	.fini = fini,
};
