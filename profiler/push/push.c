/* SPDX-License-Identifier: Apache-2.0 */
#include "push_parts.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"
#include "push_curl_parts.h"
#include "push_sink_parts.h"

struct prowl_push {
	pthread_mutex_t lock; /* of the sinks' spools and figures, and of what follows */
	uint64_t serial;
	uint64_t stop_by; /* monotonic, of the machine; 0: not yet */
	struct prowl_push_clock clock;
	bool own_clock; /* which may jump */
	int root;       /* the spool's folder */
	struct push_sink *sinks;
	size_t nsinks;
	struct push_curl *curl;
	pthread_t thread;
	bool running;
	void (*log)(void *ctx, const char *sink, const char *text);
	void *log_ctx;
};

static uint64_t monotonic(void *ctx)
{
	return prowl_now();
}

static uint64_t realtime(void *ctx)
{
	return prowl_clock_ns(CLOCK_REALTIME);
}

/* --- the thread that sends -------------------------------------------------------- */

static void tell(const struct prowl_push *p, struct push_sink *s)
{
	if (s->line[0] && p->log)
		p->log(p->log_ctx, s->config.c.name, s->line);
	s->line[0] = '\0';
}

/* Begins what is due; returns when something will be, and whether requests are in flight. */
static uint64_t begin_all(struct prowl_push *p, bool stopping, bool *ret_busy)
{
	uint64_t now = p->clock.monotonic(p->clock.ctx), next = UINT64_MAX, due;

	*ret_busy = false;
	for (size_t i = 0; i < p->nsinks; i++) {
		struct push_sink *s = &p->sinks[i];
		const struct push_request *r = NULL;

		due = stopping && push_sink_fails(s) ? UINT64_MAX : push_sink_due(s);
		if (due <= now) {
			r = push_sink_begin(s, now, p->clock.realtime(p->clock.ctx));
			tell(p, s);
			due = push_sink_due(s);
		}
		if (r)
			push_curl_send(p->curl, i, &s->config.c, r);
		*ret_busy |= s->in_flight;
		next = due < next ? due : next;
	}
	return next == UINT64_MAX ? next : next > now ? next - now : 0;
}

static void end_answered(struct prowl_push *p)
{
	const struct push_answer *a;
	size_t i;

	while (push_curl_answered(p->curl, &i, &a)) {
		push_sink_end(&p->sinks[i], a, p->clock.monotonic(p->clock.ctx),
			      p->clock.realtime(p->clock.ctx));
		tell(p, &p->sinks[i]);
	}
}

static uint64_t stop_by(struct prowl_push *p)
{
	uint64_t ns;

	pthread_mutex_lock(&p->lock);
	ns = p->stop_by;
	pthread_mutex_unlock(&p->lock);
	return ns;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void *send_all(void *ctx)
{
	const uint64_t longest = 60ull * PUSH_SECOND, look = 20000000;
	struct prowl_push *p = ctx;

	for (;;) {
		uint64_t end = stop_by(p), now = prowl_now(), wait;
		bool busy = false;

		if (end && now >= end)
			break;
		wait = least(begin_all(p, end, &busy), p->own_clock ? look : longest);
		if (end && !busy && wait == longest)
			break;
		push_curl_wait(p->curl, end ? least(wait, end - now) : wait);
		end_answered(p);
	}
	for (size_t i = 0; i < p->nsinks; i++) {
		push_curl_abort(p->curl, i);
		push_sink_abort(&p->sinks[i]);
	}
	return NULL;
}

/* --- opening --------------------------------------------------------------------- */

static enum prowl_code check_all(const struct prowl_push_options *o, struct prowl_err *err)
{
	enum prowl_code code = PROWL_OK;

	for (size_t i = 0; i < o->nsinks && code == PROWL_OK; i++) {
		code = prowl_push_check(&o->sinks[i], err);
		for (size_t j = 0; j < i && code == PROWL_OK; j++) {
			if (strcmp(o->sinks[i].name, o->sinks[j].name) == 0)
				code = prowl_fail(err, PROWL_USAGE, "name: there are two called %s",
						  o->sinks[i].name);
		}
	}
	return code;
}

static bool is_configured(const struct prowl_push *p, const char *name)
{
	for (size_t i = 0; i < p->nsinks; i++) {
		if (strcmp(p->sinks[i].config.c.name, name) == 0)
			return true;
	}
	return false;
}

static void forget_others(const struct prowl_push *p)
{
	int fd = dup(p->root);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *f;

	while (d && (f = readdir(d))) {
		if (f->d_name[0] != '.' && !is_configured(p, f->d_name))
			push_spool_forget(p->root, f->d_name);
	}
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

static uint64_t random_seed(void)
{
	uint64_t seed = 0;

	/* of jitter only */
	if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) < 0)
		seed = prowl_now();
	return seed;
}

static enum prowl_code open_spools(struct prowl_push *p, const struct prowl_push_options *o,
				   struct prowl_err *err)
{
	uint64_t seed = o->seed ? o->seed : random_seed();
	int r = push_spool_root(o->spool, &p->root);

	if (r < 0) {
		p->root = -1;
		return prowl_fail(err, r == -EACCES ? PROWL_PERMISSION : PROWL_FAILED,
				  "the spool of what is pushed, %s: %s", o->spool, strerror(-r));
	}
	for (size_t i = 0; i < o->nsinks; i++) {
		r = push_sink_open(&p->sinks[i], &p->lock, p->root, &o->sinks[i], seed + i);
		if (r < 0)
			return prowl_fail(err, r == -EACCES ? PROWL_PERMISSION : PROWL_FAILED,
					  "the spool of %s, %s/%s: %s", o->sinks[i].name, o->spool,
					  o->sinks[i].name, strerror(-r));
		p->nsinks++;
	}
	forget_others(p);
	return PROWL_OK;
}

static enum prowl_code start(struct prowl_push *p, const struct prowl_push_options *o,
			     struct prowl_err *err)
{
	const char *why = "";
	int r = push_curl_open(p->nsinks, o->version ? o->version : PROWL_VERSION, &p->curl, &why);

	if (r == -ENOTSUP)
		return prowl_fail(err, PROWL_UNSUPPORTED, "nothing can be pushed: %s", why);
	if (r == 0)
		r = -pthread_create(&p->thread, NULL, send_all, p);
	if (r < 0)
		return prowl_fail(err, PROWL_FAILED, "pushing can't be started: %s", strerror(-r));
	p->running = true;
	return PROWL_OK;
}

static struct prowl_push *make(const struct prowl_push_options *o)
{
	struct prowl_push *p = calloc(1, sizeof *p);

	if (p)
		p->sinks = calloc(o->nsinks + 1, sizeof *p->sinks);
	if (!p || !p->sinks) {
		free(p);
		return NULL;
	}
	pthread_mutex_init(&p->lock, NULL);
	p->root = -1;
	p->own_clock = o->clock;
	p->clock = o->clock ? *o->clock : (struct prowl_push_clock){monotonic, realtime, NULL};
	p->log = o->log;
	p->log_ctx = o->log_ctx;
	return p;
}

enum prowl_code prowl_push_open(const struct prowl_push_options *o, struct prowl_push **ret,
				struct prowl_err *err)
{
	enum prowl_code code = check_all(o, err);
	struct prowl_push *p = code == PROWL_OK ? make(o) : NULL;

	if (code != PROWL_OK)
		return code;
	if (!p)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	code = open_spools(p, o, err);
	if (code == PROWL_OK)
		code = start(p, o, err);
	if (code == PROWL_OK)
		*ret = p;
	else
		prowl_push_close(p, 0);
	return code;
}

void prowl_push_close(struct prowl_push *p, uint64_t ns)
{
	if (!p)
		return;
	if (p->running) {
		pthread_mutex_lock(&p->lock);
		p->stop_by = prowl_now() + ns;
		pthread_mutex_unlock(&p->lock);
		push_curl_wake(p->curl);
		pthread_join(p->thread, NULL);
	}
	push_curl_close(p->curl);
	for (size_t i = 0; i < p->nsinks; i++)
		push_sink_close(&p->sinks[i]);
	if (p->root >= 0)
		close(p->root);
	pthread_mutex_destroy(&p->lock);
	free(p->sinks);
	free(p);
}

/* --- offering -------------------------------------------------------------------- */

static int offer_to(struct prowl_push *p, const bool *wanted, const struct spool_offer *offer)
{
	int r = 0;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->nsinks; i++) {
		int one = wanted[i] ? push_sink_take(&p->sinks[i], offer) : 0;

		r = one < 0 ? one : r;
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

static void count_lost(struct prowl_push *p, const bool *wanted)
{
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->nsinks; i++)
		p->sinks[i].status.dropped[PROWL_PUSH_SPOOL_FULL] += wanted[i];
	pthread_mutex_unlock(&p->lock);
}

int prowl_push_offer(struct prowl_push *p, const struct prowl_push_item *item)
{
	bool *wanted, any = false;
	struct spool_offer offer;
	uint64_t serial;
	int r;

	if (!item->series || !item->kind || !item->end_ns || !(item->bytes || item->file))
		return -EINVAL;
	wanted = calloc(p->nsinks + 1, sizeof *wanted);
	if (!wanted)
		return -ENOMEM;
	for (size_t i = 0; i < p->nsinks; i++)
		any |= wanted[i] = push_sink_wants(&p->sinks[i], item);
	pthread_mutex_lock(&p->lock);
	serial = p->serial++;
	pthread_mutex_unlock(&p->lock);
	r = any ? push_spool_prepare(p->root, serial, item, &offer) : 0;
	if (any && r == 0) {
		r = offer_to(p, wanted, &offer);
		push_spool_discard(&offer);
		push_curl_wake(p->curl);
	} else if (any) {
		count_lost(p, wanted);
	}
	free(wanted);
	return r;
}

/* --- what is known --------------------------------------------------------------- */

void prowl_push_status(struct prowl_push *p,
		       void (*each)(void *ctx, const struct prowl_push_status *s), void *ctx)
{
	uint64_t now = p->clock.monotonic(p->clock.ctx), real = p->clock.realtime(p->clock.ctx);

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->nsinks; i++) {
		struct prowl_push_status s = push_sink_status(&p->sinks[i], now, real);

		each(ctx, &s);
	}
	pthread_mutex_unlock(&p->lock);
}

void prowl_push_retry(struct prowl_push *p)
{
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->nsinks; i++)
		push_sink_retry(&p->sinks[i]);
	pthread_mutex_unlock(&p->lock);
	push_curl_wake(p->curl);
}
