/* SPDX-License-Identifier: Apache-2.0 */
#include "push_sink_parts.h"

#include <errno.h>

int push_sink_open(struct push_sink *s, int root, const struct prowl_push_sink *config)
{
	int r = push_config_copy(&s->config, config);

	if (r < 0)
		return r;
	r = push_spool_open(root, s->config.c.name, &s->spool);
	if (r < 0)
		push_config_fini(&s->config);
	return r;
}

void push_sink_close(struct push_sink *s)
{
	push_spool_close(&s->spool);
	push_config_fini(&s->config);
}

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

struct prowl_push_status push_sink_status(const struct push_sink *s, uint64_t real)
{
	struct prowl_push_status st = s->status;

	st.sink = s->config.c.name;
	st.url = s->config.c.url;
	st.type = s->config.c.type;
	st.waiting = s->spool.n;
	st.spool_bytes = s->spool.bytes;
	if (s->spool.n && s->spool.entries[0].end_ns < real)
		st.lag_ns = real - s->spool.entries[0].end_ns;
	return st;
}
