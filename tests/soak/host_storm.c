/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_storm [SECONDS]: programs of 300 binaries that use 10 or 30 ms of CPU time and end, up to
 * 100 new ones a second, under a host that finds them by itself. When its rings are read, most are
 * gone. Shown are:
 *
 *	of the samples of these programs, at least 95 % are in the profile of the right one; the
 *rest count by name among the others; the CPU time of the profiles is what the programs measured
 *themselves, for those of 10 ms and of 30 ms apart: at least 95 % of what main() used, and at most
 *what the kernel charged, but for five standard deviations of as many independent samples (chance:
 *below 1e-6 a run).
 *
 * Records that found no room in a ring (a machine or a build that is too slow) are told by the
 *host, and what they had been is in no profile: then the least is not checked.
 *
 * When all have ended, no descriptor is left of them. From 60 s on also that memory stays: the most
 * in the last quarter is at most 5 % above that of the second one. Exit 77 where whole CPUs can't
 *be sampled.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "pprof.h"
#include "setup.h"

enum {
	BINARIES = 300,
	CLASSES = 2, /* by number: even ones use less */
	AT_ONCE = 8,
	EVERY_US = 10000,
	RATE = 297, /* whose rings hold two seconds of a crowded machine */
	LONG_S = 60,
	SKIPPED = 77,
};
static const long burn_us[CLASSES] = {10000, 30000};
/* "storm-1a2b3c" of this run: others at the same time have their own. */
static char prefix[13];
#define GROWTH 1.05

static struct shared {
	_Atomic int go;
	_Atomic long execs, ended[CLASSES];
	_Atomic uint64_t charged[CLASSES]; /* ns */
} * shared;

static char folder[] = "/tmp/prowl-storm-XXXXXX";

static void fail(const char *what)
{
	fprintf(stderr, "host_storm: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- the programs ---------------------------------------------------------------- */

static uint64_t own_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int burn(long us)
{
	uint64_t end = own_ns() + (uint64_t)us * 1000u;

	while (own_ns() < end)
		;
	return 0;
}

static void path_of(int i, char *path, size_t len)
{
	snprintf(path, len, "%s/%s%03d", folder, prefix, i);
}

static void make_programs(void)
{
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (!mkdtemp(folder) || self < 0 || fstat(self, &st) < 0)
		fail(folder);
	for (int i = 0; i < BINARIES; i++) {
		char path[64];
		off_t at = 0;
		int fd;

		path_of(i, path, sizeof path);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
		while (fd >= 0 && at < st.st_size) {
			if (sendfile(fd, self, &at, (size_t)(st.st_size - at)) <= 0)
				fail(path);
		}
		if (fd < 0)
			fail(path);
		close(fd);
	}
	close(self);
}

static void remove_programs(void)
{
	for (int i = 0; i < BINARIES; i++) {
		char path[64];

		path_of(i, path, sizeof path);
		unlink(path);
	}
	rmdir(folder);
}

/* --- the process that starts them ------------------------------------------------ */

static struct running {
	pid_t pid;
	int class;
} running[AT_ONCE];

static void reap(int flags)
{
	struct rusage u;
	pid_t pid = wait4(-1, NULL, flags, &u);

	for (int i = 0; pid > 0 && i < AT_ONCE; i++) {
		if (running[i].pid != pid)
			continue;
		running[i].pid = 0;
		shared->ended[running[i].class]++;
		shared->charged[running[i].class] +=
			(uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000u +
			(uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000u;
	}
}

static bool start_one(int number)
{
	int place = 0;

	while (place < AT_ONCE && running[place].pid)
		place++;
	if (place == AT_ONCE)
		return false;
	running[place].class = number % CLASSES;
	running[place].pid = fork();
	if (running[place].pid == 0) {
		char path[64], us[24];

		path_of(number, path, sizeof path);
		snprintf(us, sizeof us, "%ld", burn_us[number % CLASSES]);
		execl(path, path, "burn", us, (char *)NULL);
		_exit(1);
	}
	shared->execs++;
	return true;
}

static void start_programs(void)
{
	int number = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (shared->go == 0)
		usleep(1000);
	while (shared->go == 1) {
		if (start_one(number % BINARIES))
			number++;
		usleep(EVERY_US);
		for (int i = 0; i < AT_ONCE; i++)
			reap(WNOHANG);
	}
	for (int i = 0; i < AT_ONCE; i++) {
		while (running[i].pid)
			reap(0);
	}
	_exit(0);
}

/* --- what the host says ---------------------------------------------------------- */

static struct {
	double seconds;
	struct timespec began;
	uint64_t right, wrong; /* samples */
	uint64_t cpu_ns[CLASSES], samples[CLASSES], own_ns, windows, pause_ns;
	long memory[4]; /* the most of each quarter */
	long descriptors_before, descriptors_after;
	bool skipped;
} sums;

static bool is_ours(const char *comm)
{
	return strncmp(comm, prefix, strlen(prefix)) == 0;
}

static void decide(void *ctx, const struct prowl_host_program *p, struct prowl_host_decision *ret)
{
	static struct prowl_series *made;
	struct prowl_series_label label = {PROWL_SERIES_SERVICE, p->comm, true};

	if (!is_ours(p->comm))
		return;
	prowl_series_free(made);
	if (prowl_series_new(&label, 1, &made) < 0)
		fail("series");
	ret->profile = true;
	ret->series = made;
}

static long descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	long n = 0;

	if (!dir)
		fail("/proc/self/fd");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void take_memory(void)
{
	struct timespec now;
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	long memory = 0;
	int quarter;

	clock_gettime(CLOCK_MONOTONIC, &now);
	quarter = (int)(4 * (double)(now.tv_sec - sums.began.tv_sec) / sums.seconds);
	if (!status)
		fail("/proc/self/status");
	while (fgets(line, sizeof line, status))
		sscanf(line, "RssAnon: %ld", &memory);
	fclose(status);
	if (quarter >= 0 && quarter <= 3 && memory > sums.memory[quarter])
		sums.memory[quarter] = memory;
}

static void on_window(void *ctx, struct prowl_host_window *w)
{
	for (size_t i = 0; i < w->nparts; i++) {
		const char *name = prowl_series_get(w->parts[i].series, PROWL_SERIES_SERVICE);
		int class = atoi(name + strlen(prefix)) % CLASSES;

		sums.right += w->parts[i].samples;
		sums.samples[class] += w->parts[i].samples;
		sums.cpu_ns[class] += w->parts[i].cpu_ns;
	}
	for (size_t i = 0; i < w->nothers; i++)
		sums.wrong += is_ours(w->others[i].comm) ? w->others[i].samples : 0;
	sums.own_ns += w->own_cpu_ns;
	sums.windows++;
	sums.pause_ns = w->pause_ns > sums.pause_ns ? w->pause_ns : sums.pause_ns;
	take_memory();
	if (w->flags & PROWL_HOST_LAST)
		sums.descriptors_after = descriptors();
}

static void on_event(void *ctx, const struct prowl_host_event *e)
{
	printf("%s\n", e->text);
	sums.skipped |= e->kind == PROWL_HOST_MODE;
}

/* --- the run --------------------------------------------------------------------- */

struct control {
	pid_t launcher;
	int wake;
};

/* The programs begin a moment after the host, and have all ended before it does. */
static void *control(void *arg)
{
	struct control *c = arg;
	uint64_t one = 1;

	usleep(500000);
	sums.descriptors_before = descriptors();
	shared->go = 1;
	usleep((useconds_t)(sums.seconds * 1e6));
	shared->go = 2;
	waitpid(c->launcher, NULL, 0);
	usleep(500000);
	return write(c->wake, &one, sizeof one) == sizeof one ? NULL : arg;
}

static bool cpu_time_is_right(bool whole)
{
	bool right = true;

	for (int i = 0; i < CLASSES; i++) {
		double least = (double)shared->ended[i] * (double)burn_us[i] * 1000;
		double most = (double)shared->charged[i], got = (double)sums.cpu_ns[i];
		double chance = 5 * sqrt((double)sums.samples[i]) * 1e9 / RATE;

		printf("programs of %ld ms: %ld, %.3f s in main, %.3f s charged, %.3f s in profiles "
		       "(+- %.3f)\n",
		       burn_us[i] / 1000, (long)shared->ended[i], least / 1e9, most / 1e9,
		       got / 1e9, chance / 1e9);
		right &= (got >= 0.95 * least - chance || !whole) && got <= most + chance;
	}
	return right;
}

static bool is_flat(void)
{
	printf("memory by quarters %.2f %.2f %.2f %.2f MiB, descriptors %ld -> %ld\n",
	       (double)sums.memory[0] / 1024, (double)sums.memory[1] / 1024,
	       (double)sums.memory[2] / 1024, (double)sums.memory[3] / 1024,
	       sums.descriptors_before, sums.descriptors_after);
	return sums.descriptors_after <= sums.descriptors_before &&
	       (sums.seconds < LONG_S || (double)sums.memory[3] <= GROWTH * (double)sums.memory[1]);
}

static int run(pid_t launcher)
{
	struct prowl_host_ops ops = {.decide = decide, .window = on_window, .event = on_event};
	struct prowl_host_options o = {.rate = RATE,
				       .window_ns = 1000000000u,
				       .budget = {.sampling = 1},
				       .opens_per_second = BINARIES};
	struct control c = {launcher, eventfd(0, EFD_CLOEXEC)};
	struct prowl_host_status st;
	struct prowl_host *h;
	struct prowl_err err;
	pthread_t thread;
	bool ok;

	if (prowl_host_open(&o, &ops, NULL, &h, &err) != PROWL_OK ||
	    pthread_create(&thread, NULL, control, &c) != 0)
		fail("open");
	clock_gettime(CLOCK_MONOTONIC, &sums.began);
	if (prowl_host_run(h, c.wake, &err) != PROWL_OK)
		fail(err.text);
	pthread_join(thread, NULL);
	prowl_host_status(h, &st);
	prowl_host_free(h);
	close(c.wake);
	if (sums.skipped)
		return SKIPPED;
	printf("%ld programs, %llu windows, samples: %llu of their program, %llu by name only (%.2f %%), "
	       "%llu lost; own CPU %.2f %% of one, longest pause %.1f ms\n",
	       (long)shared->execs, (unsigned long long)sums.windows,
	       (unsigned long long)sums.right, (unsigned long long)sums.wrong,
	       100 * (double)sums.wrong / (double)(sums.right + sums.wrong + 1),
	       (unsigned long long)st.lost, (double)sums.own_ns / 1e7 / sums.seconds,
	       (double)sums.pause_ns / 1e6);
	ok = cpu_time_is_right(st.lost == 0);
	ok &= is_flat();
	ok &= sums.right > 0;
	ok &= (double)sums.right >= 0.95 * (double)(sums.right + sums.wrong) || st.lost > 0;
	printf("%s\n", ok ? "ok" : "NOT ok");
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *known;
	pid_t launcher;
	int r;

	if (argc > 2 && !strcmp(argv[1], "burn"))
		return burn(atol(argv[2]));
	sums.seconds = argc > 1 ? atof(argv[1]) : 300;
	prowl_setup(NULL, &known);
	snprintf(prefix, sizeof prefix, "storm-%06x", (unsigned int)getpid() & 0xffffff);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		fail("mmap");
	make_programs();
	launcher = fork();
	if (launcher == 0)
		start_programs();
	r = launcher > 0 ? run(launcher) : 1;
	kill(launcher, SIGKILL);
	remove_programs();
	return r;
}
