/* SPDX-License-Identifier: Apache-2.0 */
/* A profile of one process, on demand. */
#include "host_parts.h"
#include "kinds.h"
#include "pprof.h"

static bool begin(struct prowl_host *h)
{
	bool free;

	pthread_mutex_lock(&h->lock);
	free = h->capturing < h->o.limits.captures;
	h->capturing += free;
	h->status.captures += free;
	pthread_mutex_unlock(&h->lock);
	return free;
}

static void end(struct prowl_host *h)
{
	pthread_mutex_lock(&h->lock);
	h->capturing--;
	pthread_mutex_unlock(&h->lock);
}

static enum prowl_code not_there(const struct prowl_host_id *id, struct prowl_err *err)
{
	return prowl_fail(err, PROWL_NOTHING, "process %d is another one by now, or has ended",
			  (int)id->pid);
}

static bool is_there(const struct prowl_host_id *id)
{
	return id->start == 0 || host_start_of(id->pid) == id->start;
}

static enum prowl_code take(struct prowl_host *h, const struct prowl_kind *kind,
			    const struct prowl_host_capture *c, struct pprof_profile **ret,
			    struct prowl_err *err)
{
	struct prowl_who who = {.pid = c->id.pid};
	struct prowl_take o = {.ns = (kind->flags & PROWL_KIND_WINDOW) || c->delta ? c->ns : 0,
			       .wake_fd = c->wake_fd,
			       .cpu = {.rate = c->rate,
				       .user_only = h->o.user_only,
				       .per_thread = h->o.per_thread,
				       .no_bpf = h->o.no_bpf,
				       .labels = !h->o.no_labels}};
	struct prowl_taken taken;

	return prowl_kind_take(kind, &who, &o, ret, &taken, err);
}

enum prowl_code prowl_host_capture(struct prowl_host *h, const struct prowl_host_capture *c,
				   struct pprof_profile **ret, bool *busy, struct prowl_err *err)
{
	const struct prowl_kind *kind = prowl_kind_named(c->kind);
	enum prowl_code code;

	*busy = false;
	if (!kind)
		return prowl_fail(err, PROWL_USAGE, "there is no kind of profile named \"%s\"",
				  c->kind);
	if (c->delta && !(kind->flags & (PROWL_KIND_DELTA | PROWL_KIND_WINDOW)))
		return prowl_fail(err, PROWL_USAGE, "a %s profile is of a moment: no window",
				  c->kind);
	if (!is_there(&c->id))
		return not_there(&c->id, err);
	if (!begin(h)) {
		*busy = true;
		return prowl_fail(err, PROWL_FAILED, "%zu captures are being taken already",
				  h->o.limits.captures);
	}
	code = take(h, kind, c, ret, err);
	end(h);
	/* A number that was used again meanwhile would be another one's profile. */
	if (code == PROWL_OK && host_start_of(c->id.pid) && !is_there(&c->id)) {
		pprof_profile_free(*ret);
		return not_there(&c->id, err);
	}
	return code;
}
