/* SPDX-License-Identifier: Apache-2.0 */
#include "figures_watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "clock.h"
#include "runtime.h"

enum { LONGEST_PAUSE_S = 300 };

struct prowl_figures_watch {
	pid_t pid;
	uint64_t period_ns;
	double budget;
	pthread_t thread;
	pthread_mutex_t lock; /* of all members below */
	pthread_cond_t stop;
	bool stopping, some;
	uint64_t read_at; /* CLOCK_MONOTONIC */
	struct prowl_figures figures;
};

/* False: the process is gone, or executes another program. */
static bool read_once(struct prowl_figures_watch *w, struct prowl_runtime *rt)
{
	struct prowl_figures f;
	uint64_t at = prowl_now();

	prowl_figures_read(rt, &f);
	if (!prowl_runtime_same(rt))
		return false;
	uw_binaries_trim(&rt->files);
	pthread_mutex_lock(&w->lock);
	w->figures = f;
	w->read_at = at;
	w->some = true;
	pthread_mutex_unlock(&w->lock);
	return true;
}

static void pause_for(struct prowl_figures_watch *w, uint64_t cost_ns)
{
	double ns = (double)cost_ns / w->budget;
	uint64_t pause = ns > LONGEST_PAUSE_S * 1e9 ? LONGEST_PAUSE_S * 1000000000ull
						    : (uint64_t)ns;
	uint64_t until;
	struct timespec t;

	if (pause < w->period_ns)
		pause = w->period_ns;
	until = prowl_now() + pause;
	t.tv_sec = (time_t)(until / 1000000000u);
	t.tv_nsec = (long)(until % 1000000000u);
	pthread_mutex_lock(&w->lock);
	while (!w->stopping && pthread_cond_timedwait(&w->stop, &w->lock, &t) == 0)
		;
	pthread_mutex_unlock(&w->lock);
}

static bool stopping(struct prowl_figures_watch *w)
{
	bool is;

	pthread_mutex_lock(&w->lock);
	is = w->stopping;
	pthread_mutex_unlock(&w->lock);
	return is;
}

static void *watch(void *arg)
{
	struct prowl_figures_watch *w = arg;
	const struct prowl_who who = {.pid = w->pid};
	struct prowl_runtime *rt = NULL;

	while (!stopping(w)) {
		uint64_t before = prowl_clock_ns(CLOCK_THREAD_CPUTIME_ID);

		if (!rt && prowl_runtime_open(&who, &rt, NULL) != PROWL_OK)
			rt = NULL;
		if (rt && !read_once(w, rt)) {
			prowl_runtime_free(rt);
			rt = NULL;
		}
		pause_for(w, prowl_clock_ns(CLOCK_THREAD_CPUTIME_ID) - before);
	}
	prowl_runtime_free(rt);
	return NULL;
}

/* Signals go to the thread that started the watch. */
static int start_thread(struct prowl_figures_watch *w)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS); /* files that are truncated are handled where they are read */
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&w->thread, NULL, watch, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

static void destroy(struct prowl_figures_watch *w)
{
	pthread_cond_destroy(&w->stop);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

int prowl_figures_watch_start(pid_t pid, uint64_t period_ns, double budget,
			      struct prowl_figures_watch **ret)
{
	struct prowl_figures_watch *w = calloc(1, sizeof *w);
	pthread_condattr_t attr;
	int r;

	if (!w)
		return -ENOMEM;
	w->pid = pid;
	w->period_ns = period_ns;
	w->budget = budget;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->stop, &attr);
	pthread_condattr_destroy(&attr);
	r = start_thread(w);
	if (r < 0) {
		destroy(w);
		return r;
	}
	*ret = w;
	return 0;
}

bool prowl_figures_watch_get(struct prowl_figures_watch *w, struct prowl_figures *ret,
			     uint64_t *age_ns)
{
	bool some;

	pthread_mutex_lock(&w->lock);
	some = w->some;
	if (some) {
		*ret = w->figures;
		*age_ns = prowl_now() - w->read_at;
	}
	pthread_mutex_unlock(&w->lock);
	return some;
}

void prowl_figures_watch_stop(struct prowl_figures_watch *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_signal(&w->stop);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	destroy(w);
}
