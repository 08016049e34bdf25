/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NICE = 5 };

struct job {
	void (*run)(void *arg);
	void *arg;
};

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t more;
	pthread_t *threads;
	unsigned int nthreads, max_threads, joined;
	struct job *waiting; /* a ring */
	unsigned int first, n;
	unsigned int all, max; /* that run or wait */
	bool ends;
};

int jobs_new(unsigned int threads, unsigned int waiting, struct jobs **ret)
{
	struct jobs *j = calloc(1, sizeof *j);

	if (!j)
		return -ENOMEM;
	j->max_threads = threads;
	j->max = waiting + threads;
	j->threads = calloc(threads, sizeof *j->threads);
	j->waiting = calloc(j->max, sizeof *j->waiting);
	if (!j->threads || !j->waiting) {
		free(j->threads);
		free(j->waiting);
		free(j);
		return -ENOMEM;
	}
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->more, NULL);
	*ret = j;
	return 0;
}

static void *work(void *arg)
{
	struct jobs *j = arg;

	setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + NICE);
	pthread_mutex_lock(&j->lock);
	for (;;) {
		struct job job;

		while (!j->n && !j->ends)
			pthread_cond_wait(&j->more, &j->lock);
		if (!j->n)
			break;
		job = j->waiting[j->first];
		j->first = (j->first + 1) % j->max;
		j->n--;
		pthread_mutex_unlock(&j->lock);
		job.run(job.arg);
		pthread_mutex_lock(&j->lock);
		j->all--;
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct jobs *j)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&j->threads[j->nthreads], NULL, work, j);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		j->nthreads++;
	return -r;
}

int jobs_add(struct jobs *j, void (*run)(void *arg), void *arg)
{
	int r = -EAGAIN;

	pthread_mutex_lock(&j->lock);
	if (j->all < j->max && !j->ends) {
		r = 0;
		if (j->all >= j->nthreads && j->nthreads < j->max_threads)
			r = start_thread(j);
		if (j->nthreads)
			r = 0; /* the others have to do */
	}
	if (r == 0) {
		j->waiting[(j->first + j->n++) % j->max] = (struct job){run, arg};
		j->all++;
		pthread_cond_signal(&j->more);
	}
	pthread_mutex_unlock(&j->lock);
	return r;
}

void jobs_end(struct jobs *j)
{
	if (!j)
		return;
	pthread_mutex_lock(&j->lock);
	j->ends = true;
	pthread_cond_broadcast(&j->more);
	pthread_mutex_unlock(&j->lock);
	for (; j->joined < j->nthreads; j->joined++)
		pthread_join(j->threads[j->joined], NULL);
}

void jobs_free(struct jobs *j)
{
	if (!j)
		return;
	jobs_end(j);
	pthread_cond_destroy(&j->more);
	pthread_mutex_destroy(&j->lock);
	free(j->threads);
	free(j->waiting);
	free(j);
}
