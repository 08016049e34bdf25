/* SPDX-License-Identifier: Apache-2.0 */
/*
 * c_deep PLUGIN [signal]: burns CPU for ever at the end of one known chain of calls without frame
 * pointers: main, plug_enter, plug_0..7, sort_some (in a dlopened library), qsort (libc), compare,
 * leaf_0..7, spin, and from there now and then clock_gettime (vDSO). With "signal" most of the time
 * is spent in a signal handler above them: on_signal, handler_0..1, spin. Writes a line when set
 * up.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "plug.h"

static volatile unsigned sink;
static unsigned handler_rounds;

KEEP void spin(unsigned x)
{
	struct timespec t;

	for (unsigned i = 0; i < 300; i++)
		sink += i * x;
	for (unsigned i = 0; i < 4; i++)
		clock_gettime(CLOCK_MONOTONIC, &t);
	sink++;
}

LINK(leaf_7, spin, 8)
LINK_VLA(leaf_6, leaf_7)
LINK(leaf_5, leaf_6, 200)
LINK(leaf_4, leaf_5, 16)
LINK(leaf_3, leaf_4, 72)
LINK_VLA(leaf_2, leaf_3)
LINK(leaf_1, leaf_2, 8)
LINK(leaf_0, leaf_1, 64)

KEEP int compare(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	leaf_0(x ^ y);
	return x < y ? -1 : x > y;
}

LINK(handler_1, spin, 128)
LINK_VLA(handler_0, handler_1)

KEEP void on_signal(int sig)
{
	for (unsigned i = 0; i < handler_rounds; i++)
		handler_0(i);
	sink++;
}

int main(int argc, char **argv)
{
	void (*enter)(unsigned, compare_fn);
	void *plug = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec every = {{0, 1000000}, {0, 1000000}};
	timer_t timer;
	void *sym;

	if (!plug || !(sym = dlsym(plug, "plug_enter"))) {
		fprintf(stderr, "c_deep: %s\n", argc > 1 ? dlerror() : "which plugin?");
		return 1;
	}
	memcpy(&enter, &sym, sizeof enter);
	if (argc > 2 && strcmp(argv[2], "signal") == 0) {
		handler_rounds = 4000;
		if (sigaction(SIGUSR1, &sa, NULL) < 0 ||
		    timer_create(CLOCK_PROCESS_CPUTIME_ID, &ev, &timer) < 0 ||
		    timer_settime(timer, 0, &every, NULL) < 0) {
			perror("c_deep");
			return 1;
		}
	}
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	enter(0, compare);
	return 0;
}
