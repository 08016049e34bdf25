/* SPDX-License-Identifier: Apache-2.0 */
#include "capture.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "pprof.h"
#include "debug_text.h"

#define SHARED_NS 1000000000u

enum { KEY = 192 };

struct waiter {
	struct waiter *next;
	struct http_request *q;
	struct capture *capture; /* NULL: not yet */
	struct capture_table *table;
	bool gone;
};

struct capture {
	struct capture *next;
	struct prowl_serve *s;
	struct capture_order order;
	char key[KEY];
	uint64_t began;
	int wake_fd;
	bool cancelled; /* everybody is gone: nobody may join */
	struct waiter *waiters;
};

struct capture_table {
	pthread_mutex_t lock; /* is taken under the server's, never the other way round */
	struct capture *captures;
	bool ending;
};

struct outcome {
	enum prowl_code code;
	bool busy;
	struct prowl_err err;
	struct pprof_profile *profile;
	char *bytes;
	size_t len;
};

/* --- taking it --------------------------------------------------------------------- */

static void take_once(const struct capture *c, uint64_t ns, struct outcome *r)
{
	const struct prowl_backend *b = c->s->b;
	struct prowl_capture_wish wish = c->order.wish;

	wish.ns = ns;
	wish.wake_fd = c->wake_fd;
	if (c->order.now)
		r->code = b->window_now(b->ctx, &wish.id, wish.ns, &r->profile, &r->err);
	else
		r->code = b->capture(b->ctx, &wish, &r->profile, &r->busy, &r->err);
}

static void no_memory(struct outcome *r, int error)
{
	r->code = prowl_fail(&r->err, PROWL_FAILED, "%s", strerror(-error));
}

/* What is there more in the second one, or less: r->profile becomes that. */
static int subtract(const struct pprof_profile *first, struct outcome *r)
{
	struct pprof_profile *negative = NULL, *both = NULL;
	const struct pprof_profile *inputs[2] = {r->profile, NULL};
	int e = pprof_merge_scaled(&first, 1, -1.0, &negative, NULL);

	if (e == 0) {
		inputs[1] = negative;
		e = pprof_merge(inputs, 2, &both, NULL);
	}
	if (e == 0) {
		both->duration_nanos = r->profile->time_nanos - first->time_nanos;
		both->time_nanos = first->time_nanos;
		pprof_profile_free(r->profile);
		r->profile = both;
	}
	pprof_profile_free(negative);
	return e;
}

static void take_twice(const struct capture *c, struct outcome *r)
{
	struct pollfd wake = {c->wake_fd, POLLIN, 0};
	struct pprof_profile *first;
	uint64_t end = prowl_now() + c->order.wish.ns, now;
	int e;

	take_once(c, 0, r);
	if (r->code != PROWL_OK)
		return;
	first = r->profile;
	r->profile = NULL;
	while ((now = prowl_now()) < end && poll(&wake, 1, (int)((end - now) / 1000000 + 1)) == 0)
		continue;
	take_once(c, 0, r);
	if (r->code == PROWL_OK) {
		e = subtract(first, r);
		if (e < 0)
			no_memory(r, e);
	}
	pprof_profile_free(first);
}

static int without_labels(struct outcome *r)
{
	struct pprof_filter_options o = PPROF_SIZED(o);
	struct pprof_profile *fewer;
	int e;

	o.tag_hide = ".";
	e = pprof_filter(r->profile, &o, &fewer, NULL);
	if (e == 0) {
		pprof_profile_free(r->profile);
		r->profile = fewer;
	}
	return e;
}

static int to_text(const struct capture *c, struct outcome *r)
{
	FILE *f = open_memstream(&r->bytes, &r->len);

	if (!f)
		return -ENOMEM;
	if (r->profile)
		debug_text(r->profile, c->order.wish.kind, f);
	else
		r->code = c->s->b->goroutine_text(c->s->b->ctx, &c->order.wish.id, f, &r->err);
	return fclose(f) == 0 ? 0 : -ENOMEM;
}

static int to_bytes(struct capture *c, struct outcome *r)
{
	int e = 0;

	if (c->order.no_labels)
		e = without_labels(r);
	if (e == 0 && c->order.gc)
		e = pprof_comment(r->profile, "gc=1 is ignored: nothing is run in the target");
	if (e == 0 && c->order.debug)
		return to_text(c, r);
	return e ? e
		 : pprof_encode(r->profile, PPROF_LEVEL_DEFAULT, (uint8_t **)&r->bytes, &r->len);
}

static bool runs_still(const struct capture *c)
{
	struct serve_targets found;
	char key[SERVE_KEY];
	bool runs;

	serve_targets_find(c->s, serve_key(&c->order.wish.id, key), &found);
	runs = found.n == 1 && found.rows[0].state != PROWL_TARGET_GONE;
	serve_targets_free(&found);
	return runs;
}

/* A program that did nothing has a profile without samples, as with net/http/pprof. */
static int make_empty(const struct capture *c, struct outcome *r)
{
	bool cpu = strcmp(c->order.wish.kind, "cpu") == 0;
	struct pprof_profile *p;
	int e = pprof_profile_new(&p);

	if (e < 0)
		return e;
	e = pprof_sample_type(p, cpu ? "samples" : c->order.wish.kind, "count");
	if (e == 0)
		e = pprof_sample_type(p, cpu ? "cpu" : "delay", "nanoseconds");
	if (e == 0)
		e = pprof_comment(p, r->err.text);
	if (e < 0) {
		pprof_profile_free(p);
		return e;
	}
	p->duration_nanos = (int64_t)c->order.wish.ns;
	p->time_nanos = (int64_t)prowl_clock_ns(CLOCK_REALTIME) - p->duration_nanos;
	r->profile = p;
	r->code = PROWL_OK;
	return 0;
}

static void take(struct capture *c, struct outcome *r)
{
	bool text = c->order.debug >= 2 && strcmp(c->order.wish.kind, "goroutine") == 0;
	int e = 0;

	if (text)
		e = to_text(c, r);
	else if (c->order.twice)
		take_twice(c, r);
	else
		take_once(c, c->order.wish.ns, r);
	if (r->code == PROWL_NOTHING && c->order.sampler && runs_still(c))
		e = make_empty(c, r);
	if (!text && e == 0 && r->code == PROWL_OK)
		e = to_bytes(c, r);
	if (e < 0)
		no_memory(r, e);
}

/* --- answering --------------------------------------------------------------------- */

static void answer_busy(struct http_request *q)
{
	http_add(q, "Retry-After", "5");
	serve_error(q, 429, "busy",
		    "as many profiles are being taken as may at a time; try again in some seconds",
		    NULL);
}

static void answer(const struct capture_order *o, const struct outcome *r, struct http_request *q)
{
	char disposition[96];

	if (r->busy) {
		answer_busy(q);
	} else if (r->code != PROWL_OK) {
		serve_failed(q, r->code, &r->err);
	} else if (o->debug) {
		http_answer(q, 200, "text/plain; charset=utf-8", r->bytes, r->len, HTTP_COPY);
	} else {
		snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"", o->name);
		http_add(q, "Content-Disposition", disposition);
		http_answer(q, 200, "application/octet-stream", r->bytes, r->len, HTTP_COPY);
	}
}

/* Nobody can join it any more. */
static struct waiter *take_out(struct capture *c)
{
	struct capture_table *t = c->s->captures;
	struct capture **at = &t->captures;

	pthread_mutex_lock(&t->lock);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	pthread_mutex_unlock(&t->lock);
	return c->waiters;
}

static void free_capture(struct capture *c)
{
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	free(c);
}

/* Answers everybody by `say`, and frees all. */
static void finish(struct capture *c, const struct outcome *r)
{
	struct waiter *w = take_out(c), *next;

	for (; w; w = next) {
		next = w->next;
		answer(&c->order, r, w->q);
		http_release(w->q);
		free(w);
	}
	free_capture(c);
}

static void run(void *arg)
{
	struct capture *c = arg;
	struct outcome r = {.code = PROWL_OK};

	take(c, &r);
	finish(c, &r);
	pprof_profile_free(r.profile);
	free(r.bytes);
}

/* --- asking ------------------------------------------------------------------------ */

/* Ends it when nobody waits. */
static void look_who_waits(struct capture *c)
{
	for (const struct waiter *w = c->waiters; w; w = w->next)
		if (!w->gone)
			return;
	c->cancelled = true;
	eventfd_write(c->wake_fd, 1);
}

static void on_gone(void *arg, struct http_request *q)
{
	struct waiter *w = arg;

	pthread_mutex_lock(&w->table->lock);
	w->gone = true;
	if (w->capture)
		look_who_waits(w->capture);
	pthread_mutex_unlock(&w->table->lock);
}

static void make_key(const struct capture_order *o, char key[KEY])
{
	snprintf(key, KEY, "%d@%" PRIu64 " %s %" PRIu64 " %u %u %d%d%d%d", (int)o->wish.id.pid,
		 o->wish.id.start, o->wish.kind, o->wish.ns, o->wish.rate, o->debug, o->now, o->gc,
		 o->no_labels, o->twice);
}

static struct capture *find(const struct capture_table *t, const char *key)
{
	uint64_t now = prowl_now();

	for (struct capture *c = t->captures; c; c = c->next)
		if (!c->cancelled && now - c->began < SHARED_NS && strcmp(c->key, key) == 0)
			return c;
	return NULL;
}

static struct capture *new_capture(struct prowl_serve *s, const struct capture_order *o)
{
	struct capture *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->s = s;
	c->order = *o;
	c->began = prowl_now();
	make_key(o, c->key);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake_fd >= 0)
		return c;
	free(c);
	return NULL;
}

static void join(struct capture *c, struct waiter *w)
{
	w->capture = c;
	w->next = c->waiters;
	c->waiters = w;
	look_who_waits(c);
}

/* One that is to be started, or NULL when w has joined another one. */
static struct capture *enter(struct prowl_serve *s, struct capture *fresh, struct waiter *w)
{
	struct capture_table *t = s->captures;
	struct capture *c;

	pthread_mutex_lock(&t->lock);
	c = find(t, fresh->key);
	if (c) {
		join(c, w);
	} else {
		fresh->next = t->captures;
		t->captures = fresh;
		join(fresh, w);
		if (t->ending)
			eventfd_write(fresh->wake_fd, 1);
	}
	pthread_mutex_unlock(&t->lock);
	return c ? NULL : fresh;
}

void capture_ask(struct prowl_serve *s, struct http_request *q, const struct capture_order *o)
{
	struct jobs *jobs = o->sampler && !o->now ? s->samplers : s->waiters;
	struct waiter *w = calloc(1, sizeof *w);
	struct capture *fresh = w ? new_capture(s, o) : NULL;

	if (!fresh) {
		free(w);
		serve_no_memory(q);
		return;
	}
	*w = (struct waiter){.q = q, .table = s->captures};
	if (!http_hold(q, on_gone, w)) {
		serve_error(q, 503, "ending", "the daemon ends", NULL);
		free(w);
		free_capture(fresh);
	} else if (!enter(s, fresh, w)) {
		free_capture(fresh);
	} else if (jobs_add(jobs, run, fresh) < 0) {
		finish(fresh, &(struct outcome){.busy = true});
	}
}

/* --- the table --------------------------------------------------------------------- */

int capture_table_new(struct capture_table **ret)
{
	struct capture_table *t = calloc(1, sizeof *t);

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	*ret = t;
	return 0;
}

void capture_table_end(struct capture_table *t)
{
	pthread_mutex_lock(&t->lock);
	t->ending = true;
	for (struct capture *c = t->captures; c; c = c->next)
		eventfd_write(c->wake_fd, 1);
	pthread_mutex_unlock(&t->lock);
}

void capture_table_free(struct capture_table *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t);
}
