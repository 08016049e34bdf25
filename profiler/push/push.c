/* SPDX-License-Identifier: Apache-2.0 */
#include "push_parts.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "push_sink_parts.h"

struct prowl_push {
	pthread_mutex_t lock; /* of the sinks' spools and figures */
	struct prowl_push_clock clock;
	int root; /* the spool's folder */
	uint64_t serial;
	struct push_sink *sinks;
	size_t nsinks;
};

static uint64_t monotonic(void *ctx)
{
	return prowl_now();
}

static uint64_t realtime(void *ctx)
{
	return prowl_clock_ns(CLOCK_REALTIME);
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

static enum prowl_code open_spools(struct prowl_push *p, const struct prowl_push_options *o,
				   struct prowl_err *err)
{
	int r = push_spool_root(o->spool, &p->root);

	if (r < 0) {
		p->root = -1;
		return prowl_fail(err, r == -EACCES ? PROWL_PERMISSION : PROWL_FAILED,
				  "the spool of what is pushed, %s: %s", o->spool, strerror(-r));
	}
	for (size_t i = 0; i < o->nsinks; i++) {
		r = push_sink_open(&p->sinks[i], p->root, &o->sinks[i]);
		if (r < 0)
			return prowl_fail(err, r == -EACCES ? PROWL_PERMISSION : PROWL_FAILED,
					  "the spool of %s, %s/%s: %s", o->sinks[i].name, o->spool,
					  o->sinks[i].name, strerror(-r));
		p->nsinks++;
	}
	forget_others(p);
	return PROWL_OK;
}

enum prowl_code prowl_push_open(const struct prowl_push_options *o, struct prowl_push **ret,
				struct prowl_err *err)
{
	enum prowl_code code = check_all(o, err);
	struct prowl_push *p = code == PROWL_OK ? calloc(1, sizeof *p) : NULL;

	if (code != PROWL_OK)
		return code;
	if (p)
		p->sinks = calloc(o->nsinks + 1, sizeof *p->sinks);
	if (!p || !p->sinks) {
		free(p);
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	}
	pthread_mutex_init(&p->lock, NULL);
	p->clock = o->clock ? *o->clock : (struct prowl_push_clock){monotonic, realtime, NULL};
	code = open_spools(p, o, err);
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
	uint64_t real = p->clock.realtime(p->clock.ctx);

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->nsinks; i++) {
		struct prowl_push_status s = push_sink_status(&p->sinks[i], real);

		each(ctx, &s);
	}
	pthread_mutex_unlock(&p->lock);
}
