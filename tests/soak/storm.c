/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storm [EXECS]: a process starts as many programs, one after the other, of 300 binaries, while one
 * session samples whole CPUs and cuts a profile for each process, window by window. After a tenth
 * of them, memory and descriptors must not grow any more: 5 % and none. Pages of mapped binaries
 * come and go (residency): they only have a bound.
 *
 * Exit 77 where the machine does not allow it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pprof.h"
#include "prowl.h"

enum {
	BINARIES = 300,
	EXECS = 100000,
	RATE = 999,
	WINDOW_MS = 200,
	MAPPED_KIB = 24 << 10,
	SKIPPED = 77
};
#define GROWTH 1.05

struct figures {
	long memory, mapped, descriptors; /* KiB, KiB, number */
};

static struct shared {
	_Atomic long execs, go;
} * shared;

static char folder[] = "/tmp/prowl-storm-XXXXXX";

static void fail(const char *what)
{
	fprintf(stderr, "storm: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- the programs ---------------------------------------------------------------- */

/* What each of them does: some CPU time, by its own clock. */
static int burn(long us)
{
	struct timespec t;

	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	while (t.tv_sec == 0 && t.tv_nsec < us * 1000);
	return 0;
}

static void path_of(int i, char *path, size_t len)
{
	snprintf(path, len, "%s/program%03d", folder, i);
}

static void make_program(int from, off_t size, int i)
{
	char path[64];
	off_t at = 0;
	int fd;

	path_of(i, path, sizeof path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (fd < 0)
		fail(path);
	while (at < size) {
		if (sendfile(fd, from, &at, (size_t)(size - at)) <= 0)
			fail(path);
	}
	close(fd);
}

static void make_programs(void)
{
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (!mkdtemp(folder) || self < 0 || fstat(self, &st) < 0)
		fail(folder);
	for (int i = 0; i < BINARIES; i++)
		make_program(self, st.st_size, i);
	close(self);
}

static void remove_programs(void)
{
	char path[64];

	for (int i = 0; i < BINARIES; i++) {
		path_of(i, path, sizeof path);
		unlink(path);
	}
	rmdir(folder);
}

/* The process that starts them. */
static void start_programs(long execs)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!shared->go)
		usleep(1000);
	for (long i = 0; i < execs; i++) {
		char path[64];
		pid_t pid = fork();

		if (pid == 0) {
			path_of((int)(i % BINARIES), path, sizeof path);
			execl(path, path, "burn", (char *)NULL);
			_exit(1);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			_exit(1);
		shared->execs++;
	}
	_exit(0);
}

/* --- the session ----------------------------------------------------------------- */

static struct figures figures(void)
{
	struct figures f = {0};
	FILE *status = fopen("/proc/self/status", "re");
	DIR *dir = opendir("/proc/self/fd");
	char line[256];

	if (!status || !dir)
		fail("/proc/self");
	while (fgets(line, sizeof line, status)) {
		sscanf(line, "RssAnon: %ld", &f.memory);
		sscanf(line, "RssFile: %ld", &f.mapped);
	}
	while (readdir(dir))
		f.descriptors++;
	fclose(status);
	closedir(dir);
	return f;
}

struct sums {
	uint64_t profiles, samples, windows;
};

static int count(void *ctx, pid_t pid, struct pprof_profile *p)
{
	struct sums *sums = ctx;

	sums->profiles++;
	for (size_t i = 0; i < p->nsamples; i++)
		sums->samples += (uint64_t)pprof_sample_values(p, i)[0];
	pprof_profile_free(p);
	return 0;
}

static void window(struct prowl_session *s, struct sums *sums)
{
	struct prowl_err err;

	prowl_session_collect(s, WINDOW_MS * 1000000ull, -1);
	if (prowl_session_cut_each(s, PROWL_BY_PROCESS, count, sums, &err) != PROWL_OK) {
		fprintf(stderr, "storm: %s\n", err.text);
		exit(1);
	}
	sums->windows++;
}

/* The most of some windows: a single one may have few samples. */
static struct figures most_of_windows(struct prowl_session *s, struct sums *sums)
{
	struct figures most = {0};

	for (int i = 0; i < 20; i++) {
		struct figures f;

		window(s, sums);
		f = figures();
		most.memory = f.memory > most.memory ? f.memory : most.memory;
		most.mapped = f.mapped > most.mapped ? f.mapped : most.mapped;
		most.descriptors = f.descriptors > most.descriptors ? f.descriptors
								    : most.descriptors;
	}
	return most;
}

static int run(pid_t target, long execs)
{
	struct prowl_options o = {.pids = &target, .npids = 1, .rate = RATE, .children = true};
	struct figures early, late;
	struct prowl_session *s;
	struct prowl_err err;
	struct sums sums = {0};
	int bad = 0;

	if (prowl_session_open(&o, &s, &err) != PROWL_OK) {
		fprintf(stderr, "storm: skipped: %s\n", err.text);
		return SKIPPED;
	}
	if (!prowl_session_result(s)->whole_cpus) {
		fprintf(stderr, "storm: skipped: whole CPUs can't be sampled\n");
		prowl_session_free(s);
		return SKIPPED;
	}
	shared->go = 1;
	while (shared->execs < execs / 10 && !prowl_session_result(s)->all_exited)
		window(s, &sums);
	early = most_of_windows(s, &sums);
	while (shared->execs < execs - execs / 20 && !prowl_session_result(s)->all_exited)
		window(s, &sums);
	late = most_of_windows(s, &sums);
	bad = (double)late.memory > GROWTH * (double)early.memory || late.mapped > MAPPED_KIB ||
	      late.descriptors > early.descriptors || sums.samples == 0;
	printf("%ld execs of %d binaries, %llu windows, %llu profiles, %llu samples, %zu processes "
	       "in the table\n"
	       "memory %.2f -> %.2f MiB, mapped files %.2f -> %.2f MiB, descriptors %ld -> %ld: %s\n",
	       (long)shared->execs, BINARIES, (unsigned long long)sums.windows,
	       (unsigned long long)sums.profiles, (unsigned long long)sums.samples,
	       prowl_session_targets(s), (double)early.memory / 1024, (double)late.memory / 1024,
	       (double)early.mapped / 1024, (double)late.mapped / 1024, early.descriptors,
	       late.descriptors, bad ? "GROWS" : "flat");
	prowl_session_free(s);
	return bad;
}

int main(int argc, char **argv)
{
	long execs = argc > 1 && strcmp(argv[1], "burn") ? atol(argv[1]) : EXECS;
	pid_t target;
	int r;

	if (argc > 1 && !strcmp(argv[1], "burn"))
		return burn(300);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		fail("mmap");
	make_programs();
	target = fork();
	if (target == 0)
		start_programs(execs);
	r = target > 0 ? run(target, execs) : 1;
	kill(target, SIGKILL);
	waitpid(target, NULL, 0);
	remove_programs();
	return r;
}
