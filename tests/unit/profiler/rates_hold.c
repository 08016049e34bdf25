/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets rates of a Go process, holds them, puts them back: for the end-to-end tests, which kill it.
 *
 *	rates_hold PID HEAP BLOCK MUTEX SECONDS
 *
 * A rate of 0 is left alone. Prints a line when they are set, and one when they are back. SIGINT
 * ends the time.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rates.h"
#include "runtime.h"

static void print(const char *what, const struct prowl_rates *r)
{
	printf("%s guardian %d", what, prowl_rates_guardian(r));
	for (int i = 0; i < PROWL_RATES; i++) {
		const struct prowl_rate_change *c = &prowl_rates_report(r)->change[i];

		printf(" | %s %u %llu %llu 0x%llx", prowl_rate_name((enum prowl_rate)i), c->state,
		       (unsigned long long)c->before, (unsigned long long)c->set,
		       (unsigned long long)c->addr);
	}
	putchar('\n');
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct prowl_rates_wish w = {0};
	struct prowl_runtime *rt;
	struct prowl_rates *r;
	struct prowl_err err;
	struct timespec pause;
	sigset_t end;
	double seconds;

	if (argc != 6)
		return 2;
	for (int i = 0; i < PROWL_RATES; i++) {
		w.value[i] = strtoull(argv[2 + i], NULL, 10);
		w.set[i] = w.value[i] > 0;
	}
	seconds = strtod(argv[5], NULL);
	/* Blocked and waited for, so that none can come before the wait begins. */
	sigemptyset(&end);
	sigaddset(&end, SIGINT);
	sigprocmask(SIG_BLOCK, &end, NULL);
	if (prowl_runtime_open(&(struct prowl_who){.pid = atoi(argv[1])}, &rt, &err) != PROWL_OK ||
	    prowl_rates_set(rt, &w, 0, &r, &err) != PROWL_OK) {
		fprintf(stderr, "%s\n", err.text);
		return (int)err.code;
	}
	print("set", r);
	pause.tv_sec = (time_t)seconds;
	pause.tv_nsec = (long)((seconds - (double)pause.tv_sec) * 1e9);
	sigtimedwait(&end, NULL, &pause);
	prowl_rates_restore(r);
	print("back", r);
	prowl_rates_free(r);
	prowl_runtime_free(rt);
	return 0;
}
