/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OTLP profiles, v1development: what is still called alpha, so that a server of another version may
 * refuse it. A sample has one value here, so a profile of several sample types becomes several.
 */
#include "push_otlp_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "array.h"
#include "pprof.h"

static const char spoken[] = "opentelemetry-proto 1.11, profiles v1development";

/* --- the resource ----------------------------------------------------------------- */

struct attributes {
	PushOtlp__KeyValue **all;
	size_t n, cap;
};

static bool has(const struct attributes *a, const char *key)
{
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->all[i]->key, key) == 0)
			return true;
	}
	return false;
}

/* The first of a key counts. */
static void add(struct push_otlp_message *m, struct attributes *a, const char *key,
		PushOtlp__AnyValue *value)
{
	PushOtlp__KeyValue *kv = value && !has(a, key) ? push_otlp_get(m, 1, sizeof *kv) : NULL;

	if (!kv)
		return;
	if (prowl_array_reserve(&a->all, &a->cap, a->n + 1, sizeof *a->all) < 0) {
		m->failed = true;
		return;
	}
	push_otlp__key_value__init(kv);
	kv->key = (char *)key;
	kv->value = value;
	a->all[a->n++] = kv;
}

static void add_text(struct push_otlp_message *m, struct attributes *a, const char *key,
		     const char *value)
{
	if (*value)
		add(m, a, key, push_otlp_text(m, value));
}

/* The names that OpenTelemetry has for labels of a series; others keep theirs. */
static const char *key_of(const char *label)
{
	static const char *const names[][2] = {
		{PROWL_SERIES_SERVICE, "service.name"},
		{PROWL_SERIES_NAMESPACE, "k8s.namespace.name"},
		{PROWL_SERIES_CONTAINER, "k8s.container.name"},
		{PROWL_SERIES_HOST, "host.name"},
		{PROWL_SERIES_BUILD, "service.version"},
		{PROWL_SERIES_GO, "process.runtime.version"},
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(names[i][0], label) == 0)
			return names[i][1];
	}
	return label;
}

static void add_pid(struct push_otlp_message *m, struct attributes *a)
{
	const char *pid = push_meta_fact(m->part->meta, PROWL_PUSH_PID);
	PushOtlp__AnyValue *v = *pid ? push_otlp_get(m, 1, sizeof *v) : NULL;

	if (!v)
		return;
	push_otlp__any_value__init(v);
	v->value_case = PUSH_OTLP__ANY_VALUE__VALUE_INT_VALUE;
	v->int_value = strtoll(pid, NULL, 10);
	add(m, a, "process.pid", v);
}

static void add_facts(struct push_otlp_message *m, struct attributes *a)
{
	const struct push_meta *meta = m->part->meta;
	static const char *const facts[][2] = {
		{PROWL_PUSH_VERSION, "service.version"},
		{PROWL_PUSH_EXE, "process.executable.path"},
		{PROWL_PUSH_BUILD_ID, "process.executable.build_id.gnu"},
		{PROWL_PUSH_GO_BUILD_ID, "process.executable.build_id.go"},
		{PROWL_PUSH_CONTAINER, "container.id"},
		{PROWL_PUSH_POD, "k8s.pod.name"},
		{PROWL_PUSH_NODE, "k8s.node.name"},
		{PROWL_PUSH_REVISION, "vcs.ref.head.revision"},
		{PROWL_PUSH_REPOSITORY, "vcs.repository.url.full"},
	};
	const char *exe = push_meta_fact(meta, PROWL_PUSH_EXE);
	const char *slash = strrchr(exe, '/');

	for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
		add_text(m, a, facts[i][1], push_meta_fact(meta, facts[i][0]));
	add_text(m, a, "process.executable.name", slash ? slash + 1 : exe);
	add_pid(m, a);
}

static void add_resource(struct push_otlp_message *m, struct attributes *a)
{
	const struct prowl_push_sink *c = m->part->config;
	const struct prowl_series *s = m->part->meta->series;

	for (size_t i = 0; i < c->nexternal_labels; i++)
		add_text(m, a, c->external_labels[i].name, c->external_labels[i].value);
	add_facts(m, a);
	for (size_t i = 0; i < s->n; i++)
		add_text(m, a, key_of(s->labels[i].name), s->labels[i].value);
	add_text(m, a, "service.name", "unknown_service");
}

/* --- profiles --------------------------------------------------------------------- */

static PushOtlp__ValueType *value_type(struct push_otlp_message *m,
				       const struct pprof_value_type *from)
{
	PushOtlp__ValueType *t = push_otlp_get(m, 1, sizeof *t);

	if (!t)
		return NULL;
	push_otlp__value_type__init(t);
	t->type_strindex = (int32_t)from->type;
	t->unit_strindex = (int32_t)from->unit;
	return t;
}

/* The comments say what was lost. */
static PushOtlp__AnyValue *comments(struct push_otlp_message *m)
{
	const struct pprof_profile *p = m->p;
	PushOtlp__AnyValue *v = push_otlp_get(m, 1, sizeof *v);
	PushOtlp__ArrayValue *array = push_otlp_get(m, 1, sizeof *array);
	PushOtlp__AnyValue **all = push_otlp_get(m, p->ncomments, sizeof *all);

	if (!all)
		return NULL;
	for (size_t i = 0; i < p->ncomments; i++)
		all[i] = push_otlp_text(m, p->strings[p->comments[i]]);
	push_otlp__array_value__init(array);
	array->values = all;
	array->n_values = p->ncomments;
	push_otlp__any_value__init(v);
	v->value_case = PUSH_OTLP__ANY_VALUE__VALUE_ARRAY_VALUE;
	v->array_value = array;
	return v;
}

/* Samples that have a value of this type. */
static void add_samples(struct push_otlp_message *m, PushOtlp__Profile *to, size_t type)
{
	const struct pprof_profile *p = m->p;
	PushOtlp__Sample *all = push_otlp_get(m, p->nsamples, sizeof *all);
	PushOtlp__Sample **refs = push_otlp_get(m, p->nsamples, sizeof *refs);
	size_t n = 0;

	if (m->failed)
		return;
	for (size_t i = 0; i < p->nsamples; i++) {
		const int64_t *value = &pprof_sample_values(p, i)[type];
		size_t first = m->first_attribute[i];

		if (*value == 0)
			continue;
		push_otlp__sample__init(&all[n]);
		all[n].stack_index = (int32_t)m->stack_of[i];
		all[n].attribute_indices = m->attributes_of + first;
		all[n].n_attribute_indices = m->first_attribute[i + 1] - first;
		all[n].values = (int64_t *)value;
		all[n].n_values = 1;
		refs[n] = &all[n];
		n++;
	}
	to->samples = refs;
	to->n_samples = n;
}

static PushOtlp__Profile *profile_of(struct push_otlp_message *m, size_t type, int32_t *comment)
{
	const struct pprof_profile *p = m->p;
	PushOtlp__Profile *to = push_otlp_get(m, 1, sizeof *to);
	uint8_t *id = push_otlp_get(m, 16, 1);

	if (!id)
		return NULL;
	push_otlp__profile__init(to);
	to->sample_type = value_type(m, &p->sample_types[type]);
	add_samples(m, to, type);
	to->time_unix_nano = (uint64_t)p->time_nanos;
	to->duration_nano = (uint64_t)p->duration_nanos;
	if (p->period_type.type)
		to->period_type = value_type(m, &p->period_type);
	to->period = p->period;
	memcpy(id, m->part->id, 16);
	id[15] ^= (uint8_t)type; /* one for each */
	to->profile_id.data = id;
	to->profile_id.len = 16;
	to->attribute_indices = comment;
	to->n_attribute_indices = p->ncomments ? 1 : 0;
	return to;
}

static PushOtlp__Profile **profiles(struct push_otlp_message *m)
{
	size_t n = m->p->nsample_types;
	PushOtlp__Profile **all = push_otlp_get(m, n, sizeof *all);
	int32_t *comment = push_otlp_get(m, 1, sizeof *comment);

	if (m->failed)
		return NULL;
	if (m->p->ncomments)
		*comment = push_otlp_attribute(m, "pprof.profile.comment", comments(m), 0);
	for (size_t i = 0; i < n; i++)
		all[i] = profile_of(m, i, comment);
	return all;
}

/* --- the request ------------------------------------------------------------------ */

/* The packed message, gzipped. */
static int gzip(const uint8_t *bytes, size_t len, struct push_request *r)
{
	enum { GZIP = 16, FASTEST = 1 };
	z_stream z = {.next_in = (uint8_t *)bytes, .avail_in = (unsigned int)len};
	size_t room;
	int end;

	if (len > 1u << 30)
		return -EFBIG;
	if (deflateInit2(&z, FASTEST, Z_DEFLATED, MAX_WBITS + GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	room = deflateBound(&z, (unsigned long)len);
	r->body = malloc(room + 1);
	z.next_out = r->body;
	z.avail_out = (unsigned int)room;
	end = r->body ? deflate(&z, Z_FINISH) : Z_MEM_ERROR;
	r->len = z.total_out;
	deflateEnd(&z);
	return end == Z_STREAM_END ? 0 : -ENOMEM;
}

static int pack(const PushOtlp__ExportRequest *m, struct push_request *r)
{
	size_t n = push_otlp__export_request__get_packed_size(m);
	uint8_t *bytes = malloc(n + 1);
	int done;

	if (!bytes)
		return -ENOMEM;
	push_otlp__export_request__pack(m, bytes);
	r->profile_bytes = n;
	done = gzip(bytes, n, r);
	free(bytes);
	return done;
}

static int build(struct push_otlp_message *m, struct attributes *a, struct push_request *r)
{
	PushOtlp__ExportRequest all = PUSH_OTLP__EXPORT_REQUEST__INIT;
	PushOtlp__ResourceProfiles of_resource = PUSH_OTLP__RESOURCE_PROFILES__INIT;
	PushOtlp__ResourceProfiles *resources = &of_resource;
	PushOtlp__ScopeProfiles of_scope = PUSH_OTLP__SCOPE_PROFILES__INIT, *scopes = &of_scope;
	PushOtlp__Resource resource = PUSH_OTLP__RESOURCE__INIT;
	PushOtlp__Scope scope = PUSH_OTLP__SCOPE__INIT;

	push_otlp_tables(m);
	add_resource(m, a);
	of_scope.profiles = profiles(m);
	if (m->failed)
		return -ENOMEM;
	of_scope.n_profiles = m->p->nsample_types;
	scope.name = (char *)"prowl";
	scope.version = (char *)PROWL_VERSION;
	of_scope.scope = &scope;
	resource.attributes = a->all;
	resource.n_attributes = a->n;
	of_resource.resource = &resource;
	of_resource.scope_profiles = &scopes;
	of_resource.n_scope_profiles = 1;
	all.resource_profiles = &resources;
	all.n_resource_profiles = 1;
	all.dictionary = &m->dictionary;
	return pack(&all, r);
}

static int request(const struct push_part *part, struct push_request *ret)
{
	struct push_otlp_message m = {.part = part, .p = part->profile};
	struct attributes a = {0};
	int r = build(&m, &a, ret);

	free(a.all);
	push_otlp_fini(&m);
	if (r == 0)
		r = push_request_url(ret, part->config, "/v1development/profiles");
	snprintf(ret->content_type, sizeof ret->content_type, "application/x-protobuf");
	ret->headers[ret->nheaders++] = "Content-Encoding: gzip";
	return r;
}

/* --- the answer ------------------------------------------------------------------- */

static void judge_taken(const struct push_answer *a, struct push_verdict *v)
{
	PushOtlp__ExportResponse *m = NULL;

	if (push_content_is(a, "text/html")) {
		v->outcome = PUSH_PAUSE;
		push_verdict_say(v, "HTTP %u with a page: this is no answer of OTLP", a->status);
		return;
	}
	if (push_content_is(a, "application/x-protobuf"))
		m = push_otlp__export_response__unpack(NULL, a->len, a->body);
	if (m && m->partial_success) {
		if (m->partial_success->rejected_profiles > 0)
			v->outcome = PUSH_TAKEN_PARTLY;
		push_verdict_say(v, "the server rejected %lld profiles: %s",
				 (long long)m->partial_success->rejected_profiles,
				 m->partial_success->error_message);
	}
	if (m)
		push_otlp__export_response__free_unpacked(m, NULL);
}

static void say_refusal(const struct push_answer *a, struct push_verdict *v)
{
	PushOtlp__Status *m = NULL;
	char before[sizeof v->text];

	if (push_content_is(a, "application/x-protobuf"))
		m = push_otlp__status__unpack(NULL, a->len, a->body);
	if (m && *m->message)
		push_verdict_say(v, "HTTP %u: %s", a->status, m->message);
	if (m)
		push_otlp__status__free_unpacked(m, NULL);
	if (a->status == 400) {
		memcpy(before, v->text, sizeof before);
		push_verdict_say(v, "%.150s (sent as %s: a server of another version refuses that)",
				 before, spoken);
	}
}

/* Others than these are final by the protocol. */
static bool is_retryable(unsigned int status)
{
	return status == 0 || status == 429 || (status >= 502 && status <= 504);
}

static void judge(const struct push_answer *a, uint64_t real, struct push_verdict *v)
{
	push_judge_http(a, real, v);
	if (v->outcome == PUSH_TAKEN) {
		judge_taken(a, v);
		return;
	}
	if (v->outcome == PUSH_AGAIN && !is_retryable(a->status))
		v->outcome = PUSH_FINAL;
	if (a->status)
		say_refusal(a, v);
}

const struct push_protocol push_otlp = {request, judge};
