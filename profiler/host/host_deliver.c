/* SPDX-License-Identifier: Apache-2.0 */
/* Finished windows are handed over by a thread that may wait for the caller; sampling doesn't. */
#include <errno.h>
#include <stdlib.h>

#include "host_parts.h"
#include "pprof.h"

static void free_job(struct host_job *job)
{
	for (size_t i = 0; i < job->w.nparts; i++) {
		pprof_profile_free(job->parts[i].profile);
		prowl_series_free((struct prowl_series *)job->parts[i].series);
	}
	for (size_t i = 0; i < job->w.nmembers; i++)
		free((char *)job->members[i].comm);
	free(job->parts);
	free(job->members);
	free(job->others);
	host_others_fini(&job->names);
	free(job);
}

static void hand_over(struct prowl_host *h, struct host_job *job)
{
	if (h->ops.window)
		h->ops.window(h->ctx, &job->w);
	free_job(job);
}

/* With the lock held. */
static struct host_job *take(struct host_deliver *d)
{
	struct host_job *job = d->first;

	d->first = job->next;
	if (!d->first)
		d->last = NULL;
	d->n--;
	return job;
}

static void *deliver(void *host)
{
	struct prowl_host *h = host;
	struct host_deliver *d = &h->deliver;

	pthread_mutex_lock(&h->lock);
	while (d->first || !d->stop) {
		struct host_job *job;

		if (!d->first) {
			pthread_cond_wait(&d->more, &h->lock);
			continue;
		}
		job = take(d);
		pthread_mutex_unlock(&h->lock);
		hand_over(h, job);
		pthread_mutex_lock(&h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

int host_deliver_start(struct prowl_host *h)
{
	int r;

	h->deliver = (struct host_deliver){0};
	pthread_cond_init(&h->deliver.more, NULL);
	r = pthread_create(&h->deliver.thread, NULL, deliver, h);
	h->deliver.started = r == 0;
	if (r)
		pthread_cond_destroy(&h->deliver.more);
	return -r;
}

void host_deliver_stop(struct prowl_host *h)
{
	struct host_deliver *d = &h->deliver;

	if (!d->started)
		return;
	pthread_mutex_lock(&h->lock);
	d->stop = true;
	pthread_cond_signal(&d->more);
	pthread_mutex_unlock(&h->lock);
	pthread_join(d->thread, NULL);
	pthread_cond_destroy(&d->more);
	d->started = false;
}

void host_deliver_push(struct prowl_host *h, struct host_job *job)
{
	struct host_deliver *d = &h->deliver;
	struct host_job *dropped = NULL;

	if (!d->started) {
		hand_over(h, job);
		return;
	}
	pthread_mutex_lock(&h->lock);
	if (d->n >= HOST_JOBS) {
		dropped = take(d);
		h->status.undelivered++;
	}
	job->next = NULL;
	*(d->last ? &d->last->next : &d->first) = job;
	d->last = job;
	d->n++;
	pthread_cond_signal(&d->more);
	pthread_mutex_unlock(&h->lock);
	if (dropped) {
		free_job(dropped);
		host_say(h, PROWL_HOST_TROUBLE,
			 "a window was dropped: %d of them wait to be taken, the oldest goes",
			 HOST_JOBS);
	}
}
