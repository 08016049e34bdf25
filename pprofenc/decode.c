/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes are walked field by field, and one sample, location, ... at a time is unpacked into
 * memory that the next one reuses: a profile costs its bytes and its model, without a tree of
 * messages between them. A file may have its parts in any order, so there is one walk for each
 * kind, in the order in which they refer to each other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gz.h"
#include "failure.h"
#include "model_parts.h"
#include "profile.pb-c.h"
#include "sniff.h"

enum {
	FIELD_SAMPLE_TYPE = 1,
	FIELD_SAMPLE = 2,
	FIELD_MAPPING = 3,
	FIELD_LOCATION = 4,
	FIELD_FUNCTION = 5,
	FIELD_STRING = 6,
	FIELD_PERIOD_TYPE = 11,
	FIELD_COMMENT = 13,
	FIELD_LAST = 15,

	/*
	 * The tree of a message takes up to some thirty times its bytes, so one message may not be
	 * arbitrarily large. A sample of 4 MiB would have a million frames.
	 */
	MAX_MESSAGE = 4 << 20,
};

/*
 * Without a caller's limit a file of a megabyte must not ask for gigabytes. Profiles of programs
 * compress to a third or a tenth, and their model takes a few times their unpacked size; small
 * files may be anything.
 */
#define MAX_PLAIN   ((size_t)1 << 30)
#define SMALL_PLAIN ((size_t)64 << 20)
#define SMALL_MODEL ((size_t)112 << 20)
enum { PLAIN_RATIO = 32, MODEL_RATIO = 32 };

static size_t default_limit(size_t len)
{
	return len < (MAX_PLAIN - SMALL_PLAIN) / PLAIN_RATIO ? SMALL_PLAIN + len * PLAIN_RATIO
							     : MAX_PLAIN;
}

/* --- memory for one message ------------------------------------------------------ */

/* An arena for protobuf-c: nothing is returned until all is reset. */
struct arena {
	uint8_t *bytes;
	size_t used, size;
	void **large; /* did not fit */
	size_t nlarge, cap_large;
	size_t wanted; /* by this message; the next one gets that much at once */
	bool failed;   /* protobuf-c can't say so itself */
};

static void *arena_alloc(void *data, size_t n)
{
	struct arena *a = data;
	void *p;

	n = (n + 15) & ~(size_t)15;
	a->wanted += n;
	if (a->size - a->used >= n) {
		p = a->bytes + a->used;
		a->used += n;
		return p;
	}
	p = pp_array_reserve(&a->large, &a->cap_large, a->nlarge + 1, sizeof *a->large) == 0
		    ? malloc(n ? n : 1)
		    : NULL;
	if (p)
		a->large[a->nlarge++] = p;
	else
		a->failed = true;
	return p;
}

static void arena_free(void *data, void *p)
{
}

static void arena_reset(struct arena *a)
{
	for (size_t i = 0; i < a->nlarge; i++)
		free(a->large[i]);
	if (a->nlarge > 0 && a->wanted <= 1 << 20) {
		free(a->bytes);
		a->bytes = malloc(2 * a->wanted);
		a->size = a->bytes ? 2 * a->wanted : 0;
	}
	a->used = a->nlarge = a->wanted = 0;
}

static void arena_fini(struct arena *a)
{
	arena_reset(a);
	free(a->bytes);
	free(a->large);
}

/* --- ids of the file ------------------------------------------------------------- */

struct id {
	uint64_t id;
	uint64_t at;
	uint32_t index; /* in the model */
};

struct ids {
	struct id *v;
	size_t n, cap;
	bool dense; /* v[i].id == i + 1 */
};

static int ids_add(struct ids *ids, uint64_t id, uint64_t at, uint32_t index)
{
	int r = pp_array_reserve(&ids->v, &ids->cap, ids->n + 1, sizeof *ids->v);

	if (r == 0)
		ids->v[ids->n++] = (struct id){id, at, index};
	return r;
}

static int id_order(const void *va, const void *vb)
{
	const struct id *a = va, *b = vb;

	return a->id < b->id ? -1 : a->id > b->id;
}

static bool ids_dense(const struct ids *ids)
{
	for (size_t i = 0; i < ids->n; i++)
		if (ids->v[i].id != i + 1)
			return false;
	return true;
}

/* After the last one. Returns the second of two equal ids, or NULL. */
static const struct id *ids_sort(struct ids *ids)
{
	ids->dense = ids_dense(ids);
	if (ids->dense)
		return NULL;
	qsort(ids->v, ids->n, sizeof *ids->v, id_order);
	for (size_t i = 1; i < ids->n; i++)
		if (ids->v[i].id == ids->v[i - 1].id)
			return ids->v[i].at > ids->v[i - 1].at ? &ids->v[i] : &ids->v[i - 1];
	ids->dense = ids_dense(ids);
	return NULL;
}

static uint32_t ids_find(const struct ids *ids, uint64_t id)
{
	struct id key = {.id = id};
	const struct id *found;

	if (ids->dense)
		return id - 1 < ids->n ? ids->v[id - 1].index : PPROF_NONE;
	found = ids->n ? bsearch(&key, ids->v, ids->n, sizeof *ids->v, id_order) : NULL;
	return found ? found->index : PPROF_NONE;
}

/* --- the walk over the message's fields ------------------------------------------ */

struct cursor {
	const uint8_t *start, *at, *end;
};

struct field {
	unsigned number, wire;
	const uint8_t *whole; /* with the tag */
	const uint8_t *bytes; /* of a length-delimited field */
	size_t len;
	uint64_t at;
};

static bool get_varint(struct cursor *c, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && c->at < c->end; shift += 7) {
		uint8_t b = *c->at++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80) {
			*ret = v;
			return true;
		}
	}
	return false;
}

static bool skip(struct cursor *c, uint64_t n)
{
	if ((uint64_t)(c->end - c->at) < n)
		return false;
	c->at += n;
	return true;
}

/* False: the bytes at c->at are no field. */
static bool get_field(struct cursor *c, struct field *ret)
{
	struct field f = {.whole = c->at, .at = c->at - c->start};
	uint64_t tag, v;

	if (!get_varint(c, &tag) || tag >> 3 == 0 || tag >> 3 > (1 << 29) - 1)
		return false;
	f.number = tag >> 3;
	f.wire = tag & 7;
	if (f.wire == 0   ? !get_varint(c, &v)
	    : f.wire == 1 ? !skip(c, 8)
	    : f.wire == 5 ? !skip(c, 4)
			  : f.wire != 2)
		return false;
	if (f.wire == 2) {
		if (!get_varint(c, &v))
			return false;
		f.bytes = c->at;
		if (!skip(c, v))
			return false;
		f.len = v;
	}
	*ret = f;
	return true;
}

/* --- the decoder ----------------------------------------------------------------- */

struct decoder {
	struct pprof_profile *p;
	struct pprof_diag *diag;
	const uint8_t *bytes;
	size_t len;
	struct arena arena;
	ProtobufCAllocator allocator;
	uint32_t *strings; /* of the file -> of the model */
	size_t nstrings, cap_strings;
	bool second_table; /* a second "": probably two profiles */
	uint8_t *rest;     /* the fields that have no walk of their own */
	size_t nrest, cap_rest;
	struct ids mappings, functions, locations;
	uint32_t *stack;
	size_t cap_stack;
	struct pprof_line *lines;
	size_t cap_lines;
	struct pprof_label *labels;
	size_t cap_labels;
	size_t room; /* bytes that the model may still take, roughly */
};

/* Before an addition of that many bytes, including its entry in a hash table. */
static int spend(struct decoder *d, size_t n)
{
	if (n > d->room)
		return fail(d->diag, "it would take more memory than its size allows", 0, EFBIG);
	d->room -= n;
	return 0;
}

static int bad(struct decoder *d, const char *what, uint64_t at)
{
	return fail(d->diag, what, at, EBADMSG);
}

/* Also where profiles were written one behind the other. */
static int bad_or_joined(struct decoder *d, const char *what, uint64_t at)
{
	return bad(d, d->second_table ? "concatenated profiles" : what, at);
}

static int get_string(struct decoder *d, int64_t index, uint64_t at, uint32_t *ret_string)
{
	if (index < 0 || (uint64_t)index >= d->nstrings)
		return bad(d, "string index out of range", at);
	*ret_string = d->strings[index];
	return 0;
}

/* Calls `each` with every field of that number. */
static int walk(struct decoder *d, unsigned number,
		int (*each)(struct decoder *d, const struct field *f))
{
	struct cursor c = {d->bytes, d->bytes, d->bytes + d->len};
	struct field f;
	int r = 0;

	while (r == 0 && c.at < c.end) {
		if (!get_field(&c, &f))
			return bad(d, "not a protobuf field", c.at - c.start);
		if (f.number == number)
			r = each(d, &f);
	}
	return r;
}

static void *unpack(struct decoder *d, const ProtobufCMessageDescriptor *type,
		    const struct field *f)
{
	arena_reset(&d->arena);
	return f->len <= MAX_MESSAGE
		       ? protobuf_c_message_unpack(type, &d->allocator, f->len, f->bytes)
		       : NULL;
}

/* --- strings and what is left ---------------------------------------------------- */

static int add_string(struct decoder *d, const struct field *f)
{
	/* An empty string takes four bytes, but only one is needed. */
	int r = spend(d, sizeof *d->strings + (f->len ? f->len + 16 : 60));

	if (r == 0)
		r = pp_array_reserve(&d->strings, &d->cap_strings, d->nstrings + 1,
				     sizeof *d->strings);
	if (r == 0)
		r = pp_string_add(d->p, (const char *)f->bytes, f->len, &d->strings[d->nstrings]);
	if (r < 0)
		return r;
	if (f->len > 0 && d->nstrings == 0)
		return bad(d, "the first string is not empty", f->at);
	if (f->len == 0 && d->nstrings > 0)
		d->second_table = true;
	d->nstrings++;
	return 0;
}

static int add_rest(struct decoder *d, const struct field *f, const uint8_t *end)
{
	size_t n = end - f->whole;
	int r;

	if (d->nrest + n > MAX_MESSAGE)
		return bad(d, "too many sample types, comments or unknown fields", f->at);
	r = pp_array_reserve(&d->rest, &d->cap_rest, d->nrest + n, 1);
	if (r < 0)
		return r;
	memcpy(d->rest + d->nrest, f->whole, n);
	d->nrest += n;
	return 0;
}

/* How a field of Profile must be encoded; scalars that are repeated may be packed. */
static bool right_wire(const struct field *f)
{
	if (f->number == FIELD_COMMENT)
		return f->wire == 0 || f->wire == 2;
	if (f->number <= FIELD_STRING || f->number == FIELD_PERIOD_TYPE)
		return f->wire == 2;
	return f->wire == 0;
}

static int walk_first(struct decoder *d)
{
	struct cursor c = {d->bytes, d->bytes, d->bytes + d->len};
	uint32_t seen = 0;
	struct field f;
	int r = 0;

	while (r == 0 && c.at < c.end) {
		if (!get_field(&c, &f))
			return bad(d, "not a protobuf field", c.at - c.start);
		if (f.number > FIELD_LAST)
			continue;
		if (!right_wire(&f))
			return bad(d, "not a profile: field of another type", f.at);
		if (f.number >= FIELD_SAMPLE && f.number <= FIELD_STRING) {
			if (f.number == FIELD_STRING)
				r = add_string(d, &f);
		} else {
			if (f.number > FIELD_STRING && f.number != FIELD_COMMENT &&
			    seen & 1u << f.number)
				return bad(d, "concatenated profiles", f.at);
			seen |= 1u << f.number;
			r = add_rest(d, &f, c.at);
		}
	}
	return r;
}

static int get_value_type(struct decoder *d, const Perftools__Profiles__ValueType *m,
			  struct pprof_value_type *ret_type)
{
	int r = get_string(d, m->type, 0, &ret_type->type);

	return r < 0 ? r : get_string(d, m->unit, 0, &ret_type->unit);
}

static int get_sample_types(struct decoder *d, const Perftools__Profiles__Profile *m)
{
	struct pprof_profile *p = d->p;
	struct pprof_value_type t;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n_sample_type; i++) {
		r = get_value_type(d, m->sample_type[i], &t);
		if (r == 0)
			r = pprof_sample_type(p, p->strings[t.type], p->strings[t.unit]);
	}
	return r;
}

static int get_comments(struct decoder *d, const Perftools__Profiles__Profile *m)
{
	uint32_t s;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n_comment; i++) {
		r = get_string(d, m->comment[i], 0, &s);
		if (r == 0)
			r = pprof_comment(d->p, d->p->strings[s]);
	}
	return r;
}

static int get_rest(struct decoder *d)
{
	struct field f = {.bytes = d->rest, .len = d->nrest};
	const Perftools__Profiles__Profile *m;
	struct pprof_profile *p = d->p;
	int r;

	m = unpack(d, &perftools__profiles__profile__descriptor, &f);
	if (!m)
		return bad(d, "malformed header fields", 0);
	p->time_nanos = m->time_nanos;
	p->duration_nanos = m->duration_nanos;
	p->period = m->period;
	r = get_sample_types(d, m);
	if (r == 0)
		r = get_comments(d, m);
	if (r == 0 && m->period_type)
		r = get_value_type(d, m->period_type, &p->period_type);
	if (r == 0)
		r = get_string(d, m->drop_frames, 0, &p->drop_frames);
	if (r == 0)
		r = get_string(d, m->keep_frames, 0, &p->keep_frames);
	if (r == 0)
		r = get_string(d, m->default_sample_type, 0, &p->default_sample_type);
	if (r == 0)
		r = get_string(d, m->doc_url, 0, &p->doc_url);
	return r;
}

/* --- the lists ------------------------------------------------------------------- */

static int add_mapping(struct decoder *d, const struct field *f)
{
	const Perftools__Profiles__Mapping *m;
	struct pprof_mapping mapping;
	uint32_t index;
	int r;

	m = unpack(d, &perftools__profiles__mapping__descriptor, f);
	if (!m)
		return bad(d, "malformed mapping", f->at);
	if (m->id == 0)
		return bad(d, "mapping with id 0", f->at);
	r = spend(d, sizeof(struct pprof_mapping) + sizeof(struct id) + 16);
	if (r < 0)
		return r;
	mapping = (struct pprof_mapping){
		.start = m->memory_start,
		.limit = m->memory_limit,
		.offset = m->file_offset,
		.has_functions = m->has_functions,
		.has_filenames = m->has_filenames,
		.has_line_numbers = m->has_line_numbers,
		.has_inline_frames = m->has_inline_frames,
	};
	r = get_string(d, m->filename, f->at, &mapping.filename);
	if (r == 0)
		r = get_string(d, m->build_id, f->at, &mapping.build_id);
	if (r == 0)
		r = pprof_mapping(d->p, &mapping, &index);
	return r == 0 ? ids_add(&d->mappings, m->id, f->at, index) : r;
}

static int add_function(struct decoder *d, const struct field *f)
{
	const Perftools__Profiles__Function *m;
	struct pprof_function function;
	uint32_t index;
	int r;

	m = unpack(d, &perftools__profiles__function__descriptor, f);
	if (!m)
		return bad(d, "malformed function", f->at);
	if (m->id == 0)
		return bad(d, "function with id 0", f->at);
	r = spend(d, sizeof(struct pprof_function) + sizeof(struct id) + 16);
	if (r < 0)
		return r;
	function.start_line = m->start_line;
	r = get_string(d, m->name, f->at, &function.name);
	if (r == 0)
		r = get_string(d, m->system_name, f->at, &function.system_name);
	if (r == 0)
		r = get_string(d, m->filename, f->at, &function.filename);
	if (r == 0)
		r = pprof_function(d->p, &function, &index);
	return r == 0 ? ids_add(&d->functions, m->id, f->at, index) : r;
}

static int get_lines(struct decoder *d, const Perftools__Profiles__Location *m, uint64_t at)
{
	int r = pp_array_reserve(&d->lines, &d->cap_lines, m->n_line, sizeof *d->lines);

	for (size_t i = 0; r == 0 && i < m->n_line; i++) {
		const Perftools__Profiles__Line *l = m->line[i];
		uint32_t function = ids_find(&d->functions, l->function_id);

		if (function == PPROF_NONE)
			return bad(d, "line of a function that does not exist", at);
		d->lines[i] = (struct pprof_line){function, l->line, l->column};
	}
	return r;
}

static int add_location(struct decoder *d, const struct field *f)
{
	const Perftools__Profiles__Location *m;
	uint32_t index;
	int r;

	m = unpack(d, &perftools__profiles__location__descriptor, f);
	if (!m)
		return bad(d, "malformed location", f->at);
	if (m->id == 0)
		return bad(d, "location with id 0", f->at);
	r = spend(d, sizeof(struct pprof_location) + m->n_line * sizeof *d->lines +
			     sizeof(struct id) + 16);
	if (r == 0)
		r = get_lines(d, m, f->at);
	if (r == 0)
		r = pprof_location(d->p, ids_find(&d->mappings, m->mapping_id), m->address,
				   d->lines, m->n_line, &index);
	if (r < 0)
		return r;
	d->p->locations[index].is_folded |= m->is_folded;
	return ids_add(&d->locations, m->id, f->at, index);
}

static int get_stack(struct decoder *d, const Perftools__Profiles__Sample *m, uint64_t at)
{
	int r = pp_array_reserve(&d->stack, &d->cap_stack, m->n_location_id, sizeof *d->stack);

	for (size_t i = 0; r == 0 && i < m->n_location_id; i++) {
		d->stack[i] = ids_find(&d->locations, m->location_id[i]);
		if (d->stack[i] == PPROF_NONE)
			return bad(d, "sample at a location that does not exist", at);
	}
	return r;
}

static int get_labels(struct decoder *d, const Perftools__Profiles__Sample *m, uint64_t at)
{
	int r = pp_array_reserve(&d->labels, &d->cap_labels, m->n_label, sizeof *d->labels);

	for (size_t i = 0; r == 0 && i < m->n_label; i++) {
		const Perftools__Profiles__Label *from = m->label[i];
		struct pprof_label *l = &d->labels[i];

		l->num = from->num;
		r = get_string(d, from->key, at, &l->key);
		if (r == 0)
			r = get_string(d, from->str, at, &l->str);
		if (r == 0)
			r = get_string(d, from->num_unit, at, &l->unit);
	}
	return r;
}

static int add_sample(struct decoder *d, const struct field *f)
{
	const Perftools__Profiles__Sample *m;
	int r;

	m = unpack(d, &perftools__profiles__sample__descriptor, f);
	if (!m)
		return bad(d, "malformed sample", f->at);
	if (d->p->nsample_types == 0)
		return bad(d, "samples without a sample type", f->at);
	if (m->n_value != d->p->nsample_types)
		return bad_or_joined(d, "sample with another number of values than sample types",
				     f->at);
	r = spend(d, sizeof(struct pprof_sample) + m->n_value * sizeof(int64_t) +
			     m->n_location_id * sizeof *d->stack + m->n_label * sizeof *d->labels);
	if (r == 0)
		r = get_stack(d, m, f->at);
	if (r == 0)
		r = get_labels(d, m, f->at);
	if (r < 0)
		return r;
	return pprof_sample_append(d->p, d->stack, m->n_location_id, m->value, d->labels,
				   m->n_label);
}

static int walk_ids(struct decoder *d, unsigned number, struct ids *ids, const char *twice,
		    int (*each)(struct decoder *d, const struct field *f))
{
	int r = walk(d, number, each);
	const struct id *second;

	if (r < 0)
		return r;
	second = ids_sort(ids);
	return second ? bad_or_joined(d, twice, second->at) : 0;
}

static int decode_all(struct decoder *d)
{
	int r = walk_first(d);

	if (r == 0 && d->nstrings == 0)
		r = bad(d, "no string table", 0);
	if (r == 0)
		r = get_rest(d);
	if (r == 0)
		r = walk_ids(d, FIELD_MAPPING, &d->mappings, "two mappings with one id",
			     add_mapping);
	if (r == 0)
		r = walk_ids(d, FIELD_FUNCTION, &d->functions, "two functions with one id",
			     add_function);
	if (r == 0)
		r = walk_ids(d, FIELD_LOCATION, &d->locations, "two locations with one id",
			     add_location);
	if (r == 0)
		r = walk(d, FIELD_SAMPLE, add_sample);
	return r;
}

/* Naming the actual kind of the file helps more than what it lacks as a profile. */
static void say_what_it_is(const uint8_t *bytes, size_t len, struct pprof_diag *diag)
{
	const char *what = diag ? pp_sniff(bytes, len) : NULL;

	if (what)
		fail(diag, what, 0, EBADMSG);
}

static void decoder_fini(struct decoder *d)
{
	pprof_profile_free(d->p);
	arena_fini(&d->arena);
	free(d->strings);
	free(d->rest);
	free(d->mappings.v);
	free(d->functions.v);
	free(d->locations.v);
	free(d->stack);
	free(d->lines);
	free(d->labels);
}

static int decode_plain(const uint8_t *bytes, size_t len, size_t room,
			struct pprof_profile **ret_profile, struct pprof_diag *diag)
{
	struct decoder d = {.diag = diag, .bytes = bytes, .len = len, .room = room};
	int r = pprof_profile_new(&d.p);

	d.allocator = (ProtobufCAllocator){arena_alloc, arena_free, &d.arena};
	if (r == 0)
		r = decode_all(&d);
	if (r == 0) {
		*ret_profile = d.p;
		d.p = NULL;
	} else if (d.arena.failed) {
		r = fail(diag, "out of memory", 0, ENOMEM);
	} else if (r != -EBADMSG && r != -EFBIG) {
		fail(diag, r == -ENOMEM ? "out of memory" : "too many of a kind", 0, -r);
	} else {
		say_what_it_is(bytes, len, diag);
	}
	decoder_fini(&d);
	return r;
}

int pprof_decode(const void *bytes, size_t len, size_t limit, struct pprof_profile **ret_profile,
		 struct pprof_diag *diag)
{
	const uint8_t *b = bytes;
	uint8_t *plain;
	size_t nplain, room = SIZE_MAX;
	int r;

	if (limit == 0) {
		limit = default_limit(len);
		room = len < MAX_PLAIN ? SMALL_MODEL + len * MODEL_RATIO : SIZE_MAX;
	}
	if (len == 0)
		return fail(diag, "empty input", 0, EBADMSG);
	if (len < 2 || b[0] != 0x1f || b[1] != 0x8b)
		return len > limit ? fail(diag, "larger than the limit", limit, EFBIG)
				   : decode_plain(b, len, room, ret_profile, diag);
	r = pp_gz_unpack(b, len, limit, &plain, &nplain, diag);
	if (r < 0)
		return r;
	r = decode_plain(plain, nplain, room, ret_profile, diag);
	free(plain);
	return r;
}

/* --- files ----------------------------------------------------------------------- */

static int read_all(int fd, size_t limit, uint8_t **ret_bytes, size_t *ret_len)
{
	struct stat st;
	size_t cap = 0, len = 0, want = 64 * 1024;
	uint8_t *bytes = NULL;
	ssize_t n;
	int r;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		want = st.st_size;
	do {
		r = want > limit ? -EFBIG : pp_array_reserve(&bytes, &cap, want + 1, 1);
		if (r < 0)
			goto fail;
		n = read(fd, bytes + len, cap - len);
		if (n < 0 && errno != EINTR) {
			r = -errno;
			goto fail;
		}
		len += n > 0 ? n : 0;
		want = len + len / 2 > want ? len + len / 2 : want;
	} while (n != 0);
	*ret_bytes = bytes;
	*ret_len = len;
	return 0;
fail:
	free(bytes);
	return r;
}

int pprof_read_fd(int fd, size_t limit, struct pprof_profile **ret_profile, struct pprof_diag *diag)
{
	uint8_t *bytes = NULL;
	size_t len = 0;
	int r = read_all(fd, limit ? limit : MAX_PLAIN, &bytes, &len);

	if (r < 0)
		return fail(diag, r == -EFBIG ? "larger than the limit" : "reading", 0, -r);
	r = pprof_decode(bytes, len, limit, ret_profile, diag);
	free(bytes);
	return r;
}
