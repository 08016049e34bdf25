/* SPDX-License-Identifier: Apache-2.0 */
#include "truncated.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* A handler of signals can be given nothing: the one mutable global. Written before it is used. */
static struct sigaction earlier;

/* Async-signal-safe: mmap is a system call. */
static bool put_zeros(void *at)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	void *start = (void *)((uintptr_t)at & ~(page - 1));

	return mmap(start, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	       MAP_FAILED;
}

static void on_sigbus(int sig, siginfo_t *info, void *ctx)
{
	int saved = errno;

	if (info->si_code == BUS_ADRERR && put_zeros(info->si_addr)) {
		errno = saved;
		return;
	}
	if (earlier.sa_flags & SA_SIGINFO) {
		earlier.sa_sigaction(sig, info, ctx);
	} else if (earlier.sa_handler == SIG_DFL) {
		signal(SIGBUS, SIG_DFL);
		raise(SIGBUS);
	} else if (earlier.sa_handler != SIG_IGN) {
		earlier.sa_handler(sig);
	}
	errno = saved;
}

int uw_survive_truncated_files(void)
{
	struct sigaction now, ours = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	if (sigaction(SIGBUS, NULL, &now) < 0)
		return -errno;
	if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus)
		return 0;
	earlier = now;
	return sigaction(SIGBUS, &ours, NULL) < 0 ? -errno : 0;
}
