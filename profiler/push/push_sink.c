/* SPDX-License-Identifier: Apache-2.0 */
#include "push_sink_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint64_t pause_ns = 300ull * PUSH_SECOND, quiet_ns = 60ull * PUSH_SECOND,
		      longest_wait_ns = 86400ull * PUSH_SECOND;
/* Pyroscope takes 4 MB of profiles a second, all of a tenant's clients together. */
enum { PYROSCOPE_BYTES_A_SECOND = 3000000 };

static const struct push_protocol *usual_protocol(const struct push_sink *s)
{
	static const struct push_protocol *const all[PROWL_PUSH_TYPES] = {
		[PROWL_PUSH_PYROSCOPE] = &push_pyroscope,
		[PROWL_PUSH_PARCA] = &push_parca,
		[PROWL_PUSH_OTLP] = &push_otlp,
	};

	return all[s->config.c.type];
}

int push_sink_open(struct push_sink *s, pthread_mutex_t *lock, int root,
		   const struct prowl_push_sink *config, uint64_t seed)
{
	int r = push_config_copy(&s->config, config);

	if (r < 0)
		return r;
	r = push_spool_open(root, s->config.c.name, &s->spool);
	if (r < 0) {
		push_config_fini(&s->config);
		return r;
	}
	s->lock = lock;
	s->state = PROWL_PUSH_SENDING;
	s->protocol = usual_protocol(s);
	s->random = seed;
	return 0;
}

void push_sink_close(struct push_sink *s)
{
	push_work_close(&s->work);
	push_spool_close(&s->spool);
	push_config_fini(&s->config);
}

/* --- for whoever offers ----------------------------------------------------------- */

bool push_sink_wants(const struct push_sink *s, const struct prowl_push_item *item)
{
	const struct prowl_push_sink *c = &s->config.c;

	return push_config_has_kind(c, item->kind) &&
	       (!c->wants || c->wants(c->wants_ctx, item->series));
}

int push_sink_take(struct push_sink *s, const struct spool_offer *offer)
{
	uint64_t *dropped = &s->status.dropped[PROWL_PUSH_SPOOL_FULL];
	bool fits;
	int r;

	if (push_spool_find(&s->spool, offer->entry.key))
		return 0;
	*dropped += push_spool_make_room(&s->spool, offer->entry.bytes, s->config.c.spool_max_bytes,
					 &fits);
	r = fits ? push_spool_add(&s->spool, offer) : -ENOSPC;
	*dropped += r < 0;
	return r;
}

struct prowl_push_status push_sink_status(const struct push_sink *s, uint64_t now, uint64_t real)
{
	struct prowl_push_status st = s->status;
	const struct push_spool *spool = &s->spool;

	st.sink = s->config.c.name;
	st.url = s->config.c.url;
	st.type = s->config.c.type;
	st.state = s->state;
	if (s->state == PROWL_PUSH_SENDING && spool->n == 0)
		st.state = PROWL_PUSH_IDLE;
	st.waiting = spool->n;
	st.spool_bytes = spool->bytes;
	if (spool->n && spool->entries[0].end_ns < real)
		st.lag_ns = real - spool->entries[0].end_ns;
	if (st.state >= PROWL_PUSH_BACKOFF && s->not_before > now)
		st.next_try_ns = real + (s->not_before - now);
	st.last_error = s->error;
	return st;
}

void push_sink_retry(struct push_sink *s)
{
	s->not_before = 0;
	s->state = PROWL_PUSH_SENDING;
}

/* --- times ------------------------------------------------------------------------ */

uint64_t push_sink_due(struct push_sink *s)
{
	uint64_t due;

	pthread_mutex_lock(s->lock);
	due = s->in_flight || s->spool.n == 0 ? UINT64_MAX : s->not_before;
	pthread_mutex_unlock(s->lock);
	return due;
}

bool push_sink_fails(const struct push_sink *s)
{
	return s->failures;
}

static uint64_t next_random(struct push_sink *s)
{
	/* splitmix64 */
	uint64_t z = s->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Anything up to a bound that doubles: many clients that failed together come back apart. */
static uint64_t backoff(struct push_sink *s)
{
	const struct prowl_push_sink *c = &s->config.c;
	uint64_t bound = c->backoff_min_ns;

	for (unsigned int i = 1; i < s->failures && bound < c->backoff_max_ns; i++)
		bound *= 2;
	if (bound > c->backoff_max_ns)
		bound = c->backoff_max_ns;
	return next_random(s) % (bound + 1);
}

/* --- the log ---------------------------------------------------------------------- */

static void say(struct push_sink *s, const char *text, uint64_t now, const char *then)
{
	if (strcmp(s->said, text) == 0 && now - s->said_at < quiet_ns)
		return;
	snprintf(s->said, sizeof s->said, "%s", text);
	s->said_at = now;
	snprintf(s->line, sizeof s->line, "%s%s", text, then);
}

static void say_wait(struct push_sink *s, const char *text, uint64_t now)
{
	char then[64];

	snprintf(then, sizeof then, "; next try in %.1f s",
		 (double)(s->not_before - now) / PUSH_SECOND);
	say(s, text, now, then);
}

static void note_error(struct push_sink *s, const char *text, uint64_t real)
{
	snprintf(s->error, sizeof s->error, "%s", text);
	s->status.last_error_ns = real;
}

/* --- beginning -------------------------------------------------------------------- */

static void drop(struct push_sink *s, const uint64_t key[2], uint64_t *counter)
{
	struct spool_entry *e;

	pthread_mutex_lock(s->lock);
	e = push_spool_find(&s->spool, key);
	if (e) {
		push_spool_drop(&s->spool, e);
		++*counter;
	}
	s->spool.busy = false;
	pthread_mutex_unlock(s->lock);
}

/* The item that is next, which is kept from now on; false: none. */
static bool choose(struct push_sink *s, uint64_t real, struct spool_entry *ret)
{
	uint64_t age = s->config.c.spool_max_age_ns;
	struct spool_entry *e;

	pthread_mutex_lock(s->lock);
	s->status.dropped[PROWL_PUSH_TOO_OLD] += push_spool_expire(&s->spool,
								   real > age ? real - age : 0);
	e = push_spool_next(&s->spool);
	if (e) {
		*ret = *e;
		s->spool.busy = true;
		memcpy(s->spool.busy_key, e->key, sizeof e->key);
	}
	pthread_mutex_unlock(s->lock);
	return e;
}

static void wait_until(struct push_sink *s, enum prowl_push_state state, uint64_t until)
{
	pthread_mutex_lock(s->lock);
	s->state = state;
	s->not_before = until;
	pthread_mutex_unlock(s->lock);
}

/* This machine's fault: later, perhaps. */
static void put_off(struct push_sink *s, int r, uint64_t now, uint64_t real)
{
	char text[PUSH_ERROR];

	snprintf(text, sizeof text, "a window can't be read from the spool: %s", strerror(-r));
	s->failures++;
	wait_until(s, PROWL_PUSH_BACKOFF, now + backoff(s));
	pthread_mutex_lock(s->lock);
	s->spool.busy = false;
	note_error(s, text, real);
	pthread_mutex_unlock(s->lock);
	say_wait(s, text, now);
}

/* Reads an item. 1: it is ready; 0: it was dropped; negative: not now. */
static int open_item(struct push_sink *s, const struct spool_entry *e, uint64_t real)
{
	uint64_t *dropped = s->status.dropped, age = s->config.c.spool_max_age_ns;
	struct push_meta meta;
	uint8_t *bytes = NULL;
	size_t len = 0;
	int r = push_spool_read(s->spool.dir, e, &meta, &bytes, &len);

	if (r == 0)
		r = push_work_open(&s->work, &s->config.c, e->key, &meta, bytes, len);
	free(bytes);
	s->partly = false;
	if (r == -EBADMSG || r == -ENOENT || r == -EFBIG) {
		drop(s, e->key,
		     &dropped[r == -EFBIG ? PROWL_PUSH_TOO_LARGE : PROWL_PUSH_UNREADABLE]);
		return 0;
	}
	/* servers look at when it began */
	if (r == 0 && s->work.meta.start_ns + age < real) {
		push_work_close(&s->work);
		drop(s, e->key, &dropped[PROWL_PUSH_TOO_OLD]);
		return 0;
	}
	return r < 0 ? r : 1;
}

/* Makes the request; the same results. */
static int prepare(struct push_sink *s)
{
	uint64_t key[2] = {s->work.key[0], s->work.key[1]};
	int r = push_work_is_done(&s->work) ? -EBADMSG : push_work_next(&s->work, s->protocol);

	if (r == 0)
		return 1;
	push_work_close(&s->work);
	if (r == -ENOMEM)
		return r;
	drop(s, key,
	     &s->status.dropped[r == -EFBIG ? PROWL_PUSH_TOO_LARGE : PROWL_PUSH_UNREADABLE]);
	return 0;
}

const struct push_request *push_sink_begin(struct push_sink *s, uint64_t now, uint64_t real)
{
	struct spool_entry e;
	int r = 0;

	while (r == 0) {
		r = push_work_is_open(&s->work);
		if (r == 0) {
			if (!choose(s, real, &e))
				return NULL;
			r = open_item(s, &e, real);
		}
		if (r > 0)
			r = prepare(s);
	}
	if (r < 0) {
		put_off(s, r, now, real);
		return NULL;
	}
	s->in_flight = true;
	return &s->work.request;
}

/* --- ending ----------------------------------------------------------------------- */

static void count_answer(struct push_sink *s, unsigned int status)
{
	struct prowl_push_status *st = &s->status;
	size_t i = 0;

	while (i < st->nrequests && st->requests[i].status != status)
		i++;
	if (i == st->nrequests && i + 1 < PROWL_PUSH_CODES) {
		st->requests[i].status = status;
		st->nrequests++;
	} else if (i == st->nrequests) { /* the last one is for all others */
		i = PROWL_PUSH_CODES - 1;
		st->requests[i].status = 1;
		st->nrequests = PROWL_PUSH_CODES;
	}
	st->requests[i].n++;
}

static void note_success(struct push_sink *s, uint64_t now, uint64_t real)
{
	char text[PUSH_ERROR];

	if (s->failures) {
		snprintf(text, sizeof text, "takes windows again, after %u tries that failed",
			 s->failures);
		say(s, text, now, "");
	}
	s->failures = 0;
	pthread_mutex_lock(s->lock);
	s->state = PROWL_PUSH_SENDING;
	s->not_before = 0;
	if (s->config.c.type == PROWL_PUSH_PYROSCOPE)
		s->not_before = now + s->work.request.profile_bytes * PUSH_SECOND /
					      PYROSCOPE_BYTES_A_SECOND;
	s->status.sent_bytes += s->work.request.len;
	s->status.labels_omitted += s->work.request.labels_omitted;
	s->status.last_success_ns = real;
	s->error[0] = '\0';
	pthread_mutex_unlock(s->lock);
}

static void end_taken(struct push_sink *s)
{
	struct spool_entry e = {.end_ns = s->work.meta.end_ns,
				.key = {s->work.key[0], s->work.key[1]}};
	uint64_t *counter = s->partly ? &s->status.dropped[PROWL_PUSH_REJECTED] : &s->status.sent;

	push_work_advance(&s->work);
	if (push_work_is_done(&s->work)) {
		push_work_close(&s->work);
		drop(s, e.key, counter);
	} else {
		/* where this fails a restart sends some of it twice */
		push_spool_mark(s->spool.dir, &e, &s->work.meta, s->work.first);
	}
}

static void end_warned(struct push_sink *s, const char *text, uint64_t now, uint64_t real)
{
	pthread_mutex_lock(s->lock);
	note_error(s, text, real);
	pthread_mutex_unlock(s->lock);
	say(s, text, now, "");
}

static void end_dropped(struct push_sink *s, enum prowl_push_reason reason, const char *text,
			uint64_t now, uint64_t real)
{
	uint64_t key[2] = {s->work.key[0], s->work.key[1]};
	char line[PUSH_ERROR];

	snprintf(line, sizeof line, "a window of %s was refused: %.150s", s->work.meta.kind, text);
	push_work_close(&s->work);
	drop(s, key, &s->status.dropped[reason]);
	s->failures = 0; /* the server is there */
	pthread_mutex_lock(s->lock);
	s->state = PROWL_PUSH_SENDING;
	s->not_before = 0;
	note_error(s, text, real);
	pthread_mutex_unlock(s->lock);
	say(s, line, now, "");
}

static void end_waiting(struct push_sink *s, enum prowl_push_state state, uint64_t wait,
			const struct push_verdict *v, uint64_t now, uint64_t real)
{
	struct spool_entry *e;

	wait_until(s, state, now + wait);
	pthread_mutex_lock(s->lock);
	e = push_spool_find(&s->spool, s->work.key);
	if (e && v->of_item)
		e->tries++;
	s->spool.busy = false;
	note_error(s, v->text, real);
	pthread_mutex_unlock(s->lock);
	push_work_close(&s->work); /* it may be long */
	say_wait(s, v->text, now);
}

static void end_again(struct push_sink *s, const struct push_verdict *v, uint64_t now,
		      uint64_t real)
{
	uint64_t wait;

	s->failures++;
	wait = backoff(s);
	if (v->wait_ns)
		wait = (v->wait_ns < longest_wait_ns ? v->wait_ns : longest_wait_ns) +
		       next_random(s) % s->config.c.backoff_min_ns;
	end_waiting(s, PROWL_PUSH_BACKOFF, wait, v, now, real);
}

static void end_paused(struct push_sink *s, const struct push_verdict *v, uint64_t now,
		       uint64_t real)
{
	s->failures++;
	s->protocol = usual_protocol(s);
	end_waiting(s, PROWL_PUSH_PAUSED, pause_ns, v, now, real);
}

static void end_other_way(struct push_sink *s, const struct push_verdict *v, uint64_t now,
			  uint64_t real)
{
	if (s->protocol != &push_pyroscope) {
		end_paused(s, v, now, real);
		return;
	}
	s->protocol = &push_ingest;
	push_request_fini(&s->work.request);
	say(s, v->text, now, "; /ingest is tried");
}

void push_sink_end(struct push_sink *s, const struct push_answer *a, uint64_t now, uint64_t real)
{
	struct push_verdict v;

	s->protocol->judge(a, real, &v);
	s->in_flight = false;
	pthread_mutex_lock(s->lock);
	count_answer(s, a->status);
	pthread_mutex_unlock(s->lock);
	switch (v.outcome) {
	case PUSH_TAKEN:
	case PUSH_TAKEN_PARTLY:
		s->partly |= v.outcome == PUSH_TAKEN_PARTLY;
		note_success(s, now, real);
		end_taken(s);
		if (*v.text)
			end_warned(s, v.text, now, real);
		break;
	case PUSH_AGAIN:
		end_again(s, &v, now, real);
		break;
	case PUSH_FINAL:
		end_dropped(s, PROWL_PUSH_REFUSED, v.text, now, real);
		break;
	case PUSH_HALVE:
		if (!push_work_halve(&s->work))
			end_dropped(s, PROWL_PUSH_TOO_LARGE, v.text, now, real);
		break;
	case PUSH_PAUSE:
		end_paused(s, &v, now, real);
		break;
	case PUSH_OTHER_WAY:
		end_other_way(s, &v, now, real);
		break;
	}
}

void push_sink_abort(struct push_sink *s)
{
	s->in_flight = false;
	push_work_close(&s->work);
	pthread_mutex_lock(s->lock);
	s->spool.busy = false;
	pthread_mutex_unlock(s->lock);
}
