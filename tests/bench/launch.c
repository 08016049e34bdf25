/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch: runs one command and writes what it cost, as one JSON line.
 *
 *	launch -o FILE -- command args...
 *
 * The kernel hands the peak memory of the image before an exec on to the image after it, so a
 * command that is started by a large interpreter seems large itself. This program is small enough
 * to be the parent that does not show. CPU time covers the command and all children that it waited
 * for; the start stamp is CLOCK_MONOTONIC, which is the clock of the floor program and of
 * `perf record -k mono` too.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t child;

static void forward(int sig)
{
	if (child > 0)
		kill((pid_t)child, sig);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	const char *out = NULL;
	struct sigaction sa = {.sa_handler = forward};
	struct rusage ru;
	uint64_t start, end;
	int opt, status;
	pid_t pid;
	FILE *f;

	while ((opt = getopt(argc, argv, "+o:")) != -1) {
		if (opt != 'o')
			return 2;
		out = optarg;
	}
	if (out == NULL || optind >= argc) {
		fprintf(stderr, "usage: launch -o FILE -- command args...\n");
		return 2;
	}
	f = fopen(out, "we");
	if (f == NULL) {
		fprintf(stderr, "launch: %s: %s\n", out, strerror(errno));
		return 2;
	}
	start = now_ns();
	pid = fork();
	if (pid < 0) {
		fprintf(stderr, "launch: fork: %s\n", strerror(errno));
		return 2;
	}
	if (pid == 0) {
		execvp(argv[optind], argv + optind);
		fprintf(stderr, "launch: %s: %s\n", argv[optind], strerror(errno));
		_exit(127);
	}
	child = pid;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	while (wait4(pid, &status, 0, &ru) < 0) {
		if (errno != EINTR)
			return 2;
	}
	end = now_ns();
	fprintf(f,
		"{\"status\": %d, \"start_ns\": %llu, \"wall_s\": %.6f, \"user_s\": %.6f, "
		"\"sys_s\": %.6f, \"peak_kb\": %ld}\n",
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
		(unsigned long long)start, (double)(end - start) / 1e9, seconds(ru.ru_utime),
		seconds(ru.ru_stime), ru.ru_maxrss);
	if (fclose(f) != 0)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
