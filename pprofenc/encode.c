/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message is never in memory as a whole: samples, mappings, locations, functions and strings
 * are packed one at a time, each with its tag and length, into the deflate stream. A reader sees
 * one message.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "canon.h"
#include "gz.h"
#include "model_parts.h"
#include "profile.pb-c.h"

enum { /* field numbers of Profile */
       FIELD_SAMPLE = 2,
       FIELD_MAPPING = 3,
       FIELD_LOCATION = 4,
       FIELD_FUNCTION = 5,
       FIELD_STRING = 6,
       HEAD = 16,   /* room for a tag and a length */
       NUMBER = 11, /* a varint and its tag */
       LINE = HEAD + 3 * NUMBER,
       LABEL = HEAD + 4 * NUMBER,
       PLAIN = 10 * NUMBER, /* a message of at most ten numbers */
       LARGE = 1 << 20,
};

struct encoder {
	const struct pprof_profile *p;
	struct canon canon;
	struct gz_out *out;
	uint8_t *packed;
	size_t cap_packed;
	/* The memory that a message points to while it is packed. */
	uint64_t *ids;
	int64_t *values;
	size_t cap_ids, cap_values;
	Perftools__Profiles__Label *labels;
	Perftools__Profiles__Label **label_ptrs;
	size_t cap_labels, cap_label_ptrs;
	Perftools__Profiles__Line *lines;
	Perftools__Profiles__Line **line_ptrs;
	size_t cap_lines, cap_line_ptrs;
};

static size_t put_varint(uint8_t *to, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		to[n++] = v | 0x80;
	to[n++] = v;
	return n;
}

static int put_head(struct encoder *e, unsigned field, size_t len)
{
	uint8_t head[HEAD];
	size_t n = put_varint(head, field << 3 | 2);

	n += put_varint(head + n, len);
	return pp_gz_out_put(e->out, head, n);
}

static int put_bare(struct encoder *e, const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	int r = pp_array_reserve(&e->packed, &e->cap_packed, len, 1);

	if (r < 0)
		return r;
	protobuf_c_message_pack(m, e->packed);
	return pp_gz_out_put(e->out, e->packed, len);
}

/*
 * room: an upper bound of the packed size, also where the library packs each number with a tag of
 * its own; cheaper than computing the exact size first.
 */
static int put_field(struct encoder *e, unsigned field, const ProtobufCMessage *m, size_t room)
{
	size_t len;
	int r;

	if (room > LARGE)
		room = protobuf_c_message_get_packed_size(m);
	r = pp_array_reserve(&e->packed, &e->cap_packed, room, 1);
	if (r < 0)
		return r;
	len = protobuf_c_message_pack(m, e->packed);
	r = put_head(e, field, len);
	return r < 0 ? r : pp_gz_out_put(e->out, e->packed, len);
}

static int64_t str(const struct encoder *e, uint32_t s)
{
	return e->canon.strings.rank[s];
}

static int put_sample_types(struct encoder *e)
{
	for (size_t i = 0; i < e->p->nsample_types; i++) {
		Perftools__Profiles__Profile m = PERFTOOLS__PROFILES__PROFILE__INIT;
		Perftools__Profiles__ValueType t = PERFTOOLS__PROFILES__VALUE_TYPE__INIT;
		Perftools__Profiles__ValueType *types[] = {&t};
		int r;

		t.type = str(e, e->p->sample_types[i].type);
		t.unit = str(e, e->p->sample_types[i].unit);
		m.n_sample_type = 1;
		m.sample_type = types;
		r = put_bare(e, &m.base);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The canonical labels carry ranks already. */
static int fill_labels(struct encoder *e, const struct pprof_label *from, size_t n)
{
	int r = pp_array_reserve(&e->labels, &e->cap_labels, n, sizeof *e->labels);

	if (r == 0)
		r = pp_array_reserve(&e->label_ptrs, &e->cap_label_ptrs, n, sizeof *e->label_ptrs);
	for (size_t i = 0; r == 0 && i < n; i++) {
		Perftools__Profiles__Label *l = &e->labels[i];

		perftools__profiles__label__init(l);
		l->key = from[i].key;
		l->str = from[i].str;
		l->num = from[i].num;
		l->num_unit = from[i].unit;
		e->label_ptrs[i] = l;
	}
	return r;
}

/* The sum of n equal samples; wraps, as pprof_sample_add does. */
static int sum_values(struct encoder *e, const uint32_t *samples, size_t n)
{
	size_t nvalues = e->p->nsample_types;
	int r = pp_array_reserve(&e->values, &e->cap_values, nvalues, sizeof *e->values);

	for (size_t j = 0; r == 0 && j < nvalues; j++) {
		uint64_t sum = 0;

		for (size_t i = 0; i < n; i++)
			sum += (uint64_t)pprof_sample_values(e->p, samples[i])[j];
		e->values[j] = (int64_t)sum;
	}
	return r;
}

/* One sample for n equal ones. */
static int put_sample(struct encoder *e, const uint32_t *samples, size_t n)
{
	Perftools__Profiles__Sample m = PERFTOOLS__PROFILES__SAMPLE__INIT;
	const struct pprof_sample *s = &e->p->samples[samples[0]];
	const uint32_t *stack = pprof_sample_stack(e->p, samples[0]);
	int r = pp_array_reserve(&e->ids, &e->cap_ids, s->nlocations, sizeof *e->ids);

	if (r == 0)
		r = sum_values(e, samples, n);
	if (r == 0 && s->nlabels > 0)
		r = fill_labels(e, e->canon.labels + s->first_label, s->nlabels);
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->nlocations; i++)
		e->ids[i] = e->canon.locations.rank[stack[i]] + 1;
	m.n_location_id = s->nlocations;
	m.location_id = e->ids;
	m.n_value = e->p->nsample_types;
	m.value = e->values;
	m.n_label = s->nlabels;
	m.label = e->label_ptrs;
	return put_field(e, FIELD_SAMPLE, &m.base,
			 4 * HEAD + (m.n_location_id + m.n_value) * NUMBER + m.n_label * LABEL);
}

static int put_mapping(struct encoder *e, size_t index, uint64_t id)
{
	Perftools__Profiles__Mapping m = PERFTOOLS__PROFILES__MAPPING__INIT;
	const struct pprof_mapping *f = &e->p->mappings[index];

	m.id = id;
	m.memory_start = f->start;
	m.memory_limit = f->limit;
	m.file_offset = f->offset;
	m.filename = str(e, f->filename);
	m.build_id = str(e, f->build_id);
	m.has_functions = f->has_functions;
	m.has_filenames = f->has_filenames;
	m.has_line_numbers = f->has_line_numbers;
	m.has_inline_frames = f->has_inline_frames;
	return put_field(e, FIELD_MAPPING, &m.base, PLAIN);
}

static int fill_lines(struct encoder *e, const struct pprof_line *from, size_t n)
{
	int r = pp_array_reserve(&e->lines, &e->cap_lines, n, sizeof *e->lines);

	if (r == 0)
		r = pp_array_reserve(&e->line_ptrs, &e->cap_line_ptrs, n, sizeof *e->line_ptrs);
	for (size_t i = 0; r == 0 && i < n; i++) {
		Perftools__Profiles__Line *l = &e->lines[i];

		perftools__profiles__line__init(l);
		l->function_id = e->canon.functions.rank[from[i].function] + 1;
		l->line = from[i].line;
		l->column = from[i].column;
		e->line_ptrs[i] = l;
	}
	return r;
}

static int put_location(struct encoder *e, size_t index, uint64_t id)
{
	Perftools__Profiles__Location m = PERFTOOLS__PROFILES__LOCATION__INIT;
	const struct pprof_location *l = &e->p->locations[index];
	int r = fill_lines(e, pprof_location_lines(e->p, index), l->nlines);

	if (r < 0)
		return r;
	m.id = id;
	if (l->mapping != PPROF_NONE)
		m.mapping_id = e->canon.mappings.rank[l->mapping] + 1;
	m.address = l->address;
	m.n_line = l->nlines;
	m.line = e->line_ptrs;
	m.is_folded = l->is_folded;
	return put_field(e, FIELD_LOCATION, &m.base, PLAIN + m.n_line * LINE);
}

static int put_function(struct encoder *e, size_t index, uint64_t id)
{
	Perftools__Profiles__Function m = PERFTOOLS__PROFILES__FUNCTION__INIT;
	const struct pprof_function *f = &e->p->functions[index];

	m.id = id;
	m.name = str(e, f->name);
	m.system_name = str(e, f->system_name);
	m.filename = str(e, f->filename);
	m.start_line = f->start_line;
	return put_field(e, FIELD_FUNCTION, &m.base, PLAIN);
}

static int put_string(struct encoder *e, const char *s)
{
	size_t len = strlen(s);
	int r = put_head(e, FIELD_STRING, len);

	return r < 0 ? r : pp_gz_out_put(e->out, s, len);
}

static int put_rest(struct encoder *e)
{
	Perftools__Profiles__Profile m = PERFTOOLS__PROFILES__PROFILE__INIT;
	Perftools__Profiles__ValueType period = PERFTOOLS__PROFILES__VALUE_TYPE__INIT;
	const struct pprof_profile *p = e->p;
	int r = pp_array_reserve(&e->ids, &e->cap_ids, p->ncomments, sizeof *e->ids);

	if (r < 0)
		return r;
	m.drop_frames = str(e, p->drop_frames);
	m.keep_frames = str(e, p->keep_frames);
	m.time_nanos = p->time_nanos;
	m.duration_nanos = p->duration_nanos;
	period.type = str(e, p->period_type.type);
	period.unit = str(e, p->period_type.unit);
	if (p->period_type.type || p->period_type.unit)
		m.period_type = &period;
	m.period = p->period;
	for (size_t i = 0; i < p->ncomments; i++)
		e->ids[i] = str(e, p->comments[i]);
	m.n_comment = p->ncomments;
	m.comment = (int64_t *)e->ids;
	m.default_sample_type = str(e, p->default_sample_type);
	m.doc_url = str(e, p->doc_url);
	return put_bare(e, &m.base);
}

/* Prefetches the samples that come next: in canonical order they are anywhere in memory. */
static void expect_samples(const struct encoder *e, size_t next)
{
	enum { FAR = 16, NEAR = 8, LINE_LOCATIONS = 16 };
	const struct canon_order *o = &e->canon.samples;
	uint32_t near;

	if (next + FAR >= o->n)
		return;
	near = o->order[next + NEAR];
	__builtin_prefetch(&e->p->samples[o->order[next + FAR]]);
	__builtin_prefetch(pprof_sample_values(e->p, near));
	__builtin_prefetch(pprof_sample_stack(e->p, near));
	if (e->p->samples[near].nlocations > LINE_LOCATIONS)
		__builtin_prefetch(pprof_sample_stack(e->p, near) + LINE_LOCATIONS);
}

static int put_all(struct encoder *e)
{
	const struct canon *c = &e->canon;
	int r = put_sample_types(e);

	for (size_t i = 0, n; r == 0 && i < c->samples.n; i += n) {
		const uint32_t *first = c->samples.order + i;

		expect_samples(e, i);
		for (n = 1; i + n < c->samples.n && pp_canon_same(c, e->p, first[0], first[n]); n++)
			;
		r = put_sample(e, first, n);
	}
	for (size_t i = 0; r == 0 && i < c->mappings.n; i++)
		r = put_mapping(e, c->mappings.order[i], i + 1);
	for (size_t i = 0; r == 0 && i < c->locations.n; i++)
		r = put_location(e, c->locations.order[i], i + 1);
	for (size_t i = 0; r == 0 && i < c->functions.n; i++)
		r = put_function(e, c->functions.order[i], i + 1);
	for (size_t i = 0; r == 0 && i < c->strings.n; i++)
		r = put_string(e, e->p->strings[c->strings.order[i]]);
	if (r == 0)
		r = put_rest(e);
	return r == 0 ? pp_gz_out_finish(e->out) : r;
}

static void encoder_fini(struct encoder *e)
{
	pp_canon_fini(&e->canon);
	pp_gz_out_free(e->out);
	free(e->packed);
	free(e->ids);
	free(e->values);
	free(e->labels);
	free(e->label_ptrs);
	free(e->lines);
	free(e->line_ptrs);
}

static int encode(const struct pprof_profile *p, int level, gz_write write, void *ctx)
{
	struct encoder e = {.p = p};
	int r = pp_canon_init(&e.canon, p);

	if (r < 0)
		return r;
	r = pp_gz_out_new(level, write, ctx, &e.out);
	if (r == 0)
		r = put_all(&e);
	encoder_fini(&e);
	return r;
}

struct memory {
	uint8_t *bytes;
	size_t used, size;
};

static int write_memory(void *ctx, const void *bytes, size_t len)
{
	struct memory *m = ctx;

	if (m->size - m->used < len) {
		size_t size = m->size + m->size / 2 + len;
		uint8_t *p = realloc(m->bytes, size);

		if (!p)
			return -ENOMEM;
		m->bytes = p;
		m->size = size;
	}
	memcpy(m->bytes + m->used, bytes, len);
	m->used += len;
	return 0;
}

int pprof_encode(const struct pprof_profile *p, int level, uint8_t **ret_bytes, size_t *ret_len)
{
	struct memory m = {0};
	int r = encode(p, level, write_memory, &m);

	if (r == 0) {
		*ret_bytes = m.bytes;
		*ret_len = m.used;
	} else {
		free(m.bytes);
	}
	return r;
}

static int write_file(void *ctx, const void *bytes, size_t len)
{
	const char *from = bytes;
	int fd = *(const int *)ctx;

	while (len > 0) {
		ssize_t n = write(fd, from, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		from += n;
		len -= n;
	}
	return 0;
}

int pprof_write_fd(const struct pprof_profile *p, int level, int fd)
{
	return encode(p, level, write_file, &fd);
}
