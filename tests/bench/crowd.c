/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crowd FILE N: N threads that never sleep, and how long one of them waits for its turn at most.
 *
 * FILE is mapped. 64-bit words: 0 the longest wait in ns, which the reader may set to 0; 1 the
 * number of threads that run.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t *words;
static pthread_barrier_t all; /* who spins alone would delay those to come */

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *spin(void *arg)
{
	pthread_barrier_wait(&all);
	atomic_fetch_add(&words[1], 1);
	for (uint64_t last = now();;) {
		uint64_t t = now(), most = atomic_load(&words[0]);

		while (t - last > most && !atomic_compare_exchange_weak(&words[0], &most, t - last))
			;
		last = t;
	}
	return arg;
}

int main(int argc, char **argv)
{
	int n = argc == 3 ? atoi(argv[2]) : 0, fd = n > 0 ? open(argv[1], O_RDWR) : -1;
	pthread_attr_t attr;
	pthread_t t;

	if (fd < 0 || ftruncate(fd, 4096) < 0)
		return 2;
	words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (words == MAP_FAILED || pthread_attr_init(&attr) != 0 ||
	    pthread_barrier_init(&all, NULL, (unsigned int)n) != 0 ||
	    pthread_attr_setstacksize(&attr, 65536) != 0)
		return 1;
	for (int i = 1; i < n; i++) {
		if (pthread_create(&t, &attr, spin, NULL) != 0)
			return 1;
	}
	spin(NULL);
	return 0;
}
