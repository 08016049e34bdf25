/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent, taken apart again field by field; what is made fit for servers, and cut. */
#include "build_push.h"

#include <errno.h>
#include <zlib.h>

#include "push_otlp.pb-c.h"
#include "push_parca.pb-c.h"
#include "push_pyroscope.pb-c.h"
#include "unit_test.h"

struct taken { /* an item that is on its way */
	struct prowl_series *series;
	struct push_config config;
	struct push_work work;
};

static int try_open(struct taken *t, const struct prowl_push_sink *sink,
		    struct prowl_push_item item, struct pprof_profile *p)
{
	const uint64_t key[2] = {1, 2};
	struct push_meta meta;
	size_t len;
	uint8_t *bytes = t_bytes(p, &len);
	int r;

	if (!item.series)
		item.series = t->series = t_series("etcd");
	else
		t->series = NULL;
	meta = t_meta(&item);
	assert_int_equal(push_config_copy(&t->config, sink), 0);
	r = push_work_open(&t->work, &t->config.c, key, &meta, bytes, len);
	free(bytes);
	return r;
}

static void take(struct taken *t, const struct prowl_push_sink *sink, struct prowl_push_item item,
		 struct pprof_profile *p)
{
	assert_int_equal(try_open(t, sink, item, p), 0);
}

static void end(struct taken *t)
{
	push_work_close(&t->work);
	push_config_fini(&t->config);
	prowl_series_free(t->series);
}

static struct pprof_profile *decode(const void *bytes, size_t len)
{
	struct pprof_profile *p;

	assert_int_equal(pprof_decode(bytes, len, 0, &p, NULL), 0);
	return p;
}

/* Equal in canonical bytes; `expected` with the times of the item. Both are freed. */
static void assert_same(struct pprof_profile *got, struct pprof_profile *expected, bool level)
{
	uint8_t *a, *b;
	size_t na, nb;

	expected->time_nanos = (int64_t)(level ? T_END : T_START);
	expected->duration_nanos = level ? 0 : (int64_t)(T_END - T_START);
	assert_int_equal(pprof_encode(got, PPROF_LEVEL_RAW, &a, &na), 0);
	assert_int_equal(pprof_encode(expected, PPROF_LEVEL_RAW, &b, &nb), 0);
	assert_int_equal(na, nb);
	assert_memory_equal(a, b, na);
	free(a);
	free(b);
	pprof_profile_free(got);
	pprof_profile_free(expected);
}

/* --- Pyroscope -------------------------------------------------------------------- */

TEST(test_pyroscope_gets_one_series_with_its_labels)
{
	const struct prowl_push_pair external[] = {{"team", "storage"}, {"host", "other"}};
	static const char *const labels[][2] = {
		{"__delta__", "false"},
		{"__name__", "process_cpu"},
		{"app_team", "edge\xef\xbf\xbd"},
		{"build", "4f5e6d"},
		{"host", "other"}, /* the configuration's wins */
		{"pod", "etcd-0"},
		{"pyroscope_spy", "prowl"},
		{"service_git_ref", "4f5e6d7c"},
		{"service_name", "etcd"},
		{"service_repository", "https://example.org/etcd"},
		{"team", "storage"},
	};
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PYROSCOPE, "http://h:4040/base/");
	PushPyroscope__PushRequest *m;
	struct taken t;

	sink.external_labels = external;
	sink.nexternal_labels = 2;
	take(&t, &sink, t_item(NULL, "cpu"), t_rich());
	assert_int_equal(push_work_next(&t.work, &push_pyroscope), 0);
	assert_string_equal(t.work.request.url, "http://h:4040/base/push.v1.PusherService/Push");
	assert_string_equal(t.work.request.content_type, "application/proto");
	assert_string_equal(t.work.request.headers[0], "Connect-Protocol-Version: 1");
	m = push_pyroscope__push_request__unpack(NULL, t.work.request.len, t.work.request.body);
	assert_non_null(m);
	assert_int_equal(m->n_series, 1);
	assert_int_equal(m->series[0]->n_labels, sizeof labels / sizeof *labels);
	for (size_t i = 0; i < m->series[0]->n_labels; i++) {
		assert_string_equal(m->series[0]->labels[i]->name, labels[i][0]);
		assert_string_equal(m->series[0]->labels[i]->value, labels[i][1]);
	}
	assert_int_equal(m->series[0]->n_samples, 1);
	assert_int_equal(strlen(m->series[0]->samples[0]->id), 36);
	assert_int_equal(m->series[0]->samples[0]->id[14], '8');
	assert_non_null(strchr("89ab", m->series[0]->samples[0]->id[19]));
	assert_same(decode(m->series[0]->samples[0]->raw_profile.data,
			   m->series[0]->samples[0]->raw_profile.len),
		    t_rich(), false);
	push_pyroscope__push_request__free_unpacked(m, NULL);
	push_work_advance(&t.work);
	assert_true(push_work_is_done(&t.work));
	end(&t);
}

TEST(test_names_of_kinds)
{
	assert_string_equal(push_profile_name("cpu"), "process_cpu");
	assert_string_equal(push_profile_name("heap"), "memory");
	assert_string_equal(push_profile_name("allocs"), "memory");
	assert_string_equal(push_profile_name("goroutine"), "goroutine");
	assert_string_equal(push_profile_name("block"), "block");
}

TEST(test_labels_beyond_the_limit_are_counted)
{
	struct prowl_series_label labels[40];
	char names[40][16], value[PROWL_SERIES_VALUE + 1];
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	struct prowl_push_item item = t_item(NULL, "cpu");
	struct prowl_series *series;
	struct push_labels l;
	struct taken t;

	memset(value, 'x', sizeof value - 1);
	value[sizeof value - 1] = '\0';
	for (size_t i = 0; i < 40; i++) {
		snprintf(names[i], sizeof names[i], i == 39 ? "__secret__" : "9label-%02zu", i);
		labels[i] = (struct prowl_series_label){names[i], value, true};
	}
	assert_int_equal(prowl_series_new(labels, 40, &series), 0);
	item.series = series;
	take(&t, &sink, item, t_rich());
	assert_int_equal(
		push_labels_make(&(struct push_part){.meta = &t.work.meta, .config = &t.config.c},
				 &l),
		0);
	/* 7 of the server's and the facts' names, and 39 of the series */
	assert_int_equal(l.n, 30);
	assert_int_equal(l.omitted, 6 + 39 + 1 - 30);
	for (size_t i = 0; i < l.n; i++) {
		assert_string_not_equal(l.labels[i].name, "__secret__");
		assert_true(i == 0 || strcmp(l.labels[i - 1].name, l.labels[i].name) < 0);
		assert_null(strchr(l.labels[i].name, '-'));
		assert_int_not_equal(l.labels[i].name[0], '9');
		if (strcmp(l.labels[i].name, "service_name") == 0)
			assert_string_equal(l.labels[i].value, "unknown_service");
	}
	push_labels_fini(&l);
	end(&t);
	prowl_series_free(series);
}

TEST(test_ingest_is_asked_by_query)
{
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PYROSCOPE, "http://h:4040");
	struct taken t;

	take(&t, &sink, t_item(NULL, "cpu"), t_rich());
	assert_int_equal(push_work_next(&t.work, &push_ingest), 0);
	assert_string_equal(
		t.work.request.url,
		"http://h:4040/ingest?name=etcd%7Bapp_team%3Dedge%EF%BF%BD%2Cbuild%3D4f5e6d%2C"
		"host%3Dnode-1%2Cpod%3Detcd-0%2Cpyroscope_spy%3Dprowl%2Cservice_git_ref%3D4f5e6d7c"
		"%2Cservice_repository%3Dhttps%3A%2F%2Fexample.org%2Fetcd%7D&from=1796025600&"
		"until=1796025660&sampleRate=100&spyName=prowl&format=pprof");
	assert_same(decode(t.work.request.body, t.work.request.len), t_rich(), false);
	end(&t);
}

TEST(test_ingest_is_told_that_blocking_is_no_mutex)
{
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PYROSCOPE, "http://h:4040");
	struct pprof_profile *p = t_new();
	struct taken t;
	char *text;

	assert_int_equal(pprof_sample_type(p, "contentions", "count"), 0);
	assert_int_equal(pprof_sample_type(p, "delay", "nanoseconds"), 0);
	t_add(p, (uint32_t[]){t_loc(p, t_mapping(p, 0x400000, "/a"), 0x400010, "main.f", 3)}, 1, 1,
	      NULL, 0);
	take(&t, &sink, t_item(NULL, "block"), p);
	assert_int_equal(push_work_next(&t.work, &push_ingest), 0);
	assert_int_equal(
		strncmp(t.work.request.content_type, "multipart/form-data; boundary=prowl-", 36),
		0);
	text = calloc(1, t.work.request.len + 1);
	assert_non_null(text);
	for (size_t i = 0; i < t.work.request.len; i++)
		text[i] = t.work.request.body[i] ? (char)t.work.request.body[i] : '.';
	assert_non_null(strstr(text, "name=\"profile\""));
	assert_non_null(strstr(text, "\"contentions\":{\"units\":\"lock_samples\","
				     "\"display-name\":\"block_count\"}"));
	assert_non_null(strstr(text, "\"delay\":{\"units\":\"lock_nanoseconds\","
				     "\"display-name\":\"block_duration\"}"));
	free(text);
	end(&t);
}

/* --- Parca ------------------------------------------------------------------------ */

TEST(test_parca_gets_a_frame)
{
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PARCA, "http://h:7070");
	struct prowl_push_item item = t_item(NULL, "heap");
	PushParca__WriteRawRequest *m;
	const uint8_t *b;
	struct taken t;

	item.level = true;
	take(&t, &sink, item, t_rich());
	assert_int_equal(push_work_next(&t.work, &push_parca), 0);
	assert_string_equal(
		t.work.request.url,
		"http://h:7070/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw");
	assert_string_equal(t.work.request.content_type, "application/grpc-web+proto");
	assert_true(t.work.request.http1);
	b = t.work.request.body;
	assert_int_equal(b[0], 0);
	assert_int_equal((size_t)b[1] << 24 | b[2] << 16 | b[3] << 8 | b[4],
			 t.work.request.len - 5);
	m = push_parca__write_raw_request__unpack(NULL, t.work.request.len - 5, b + 5);
	assert_non_null(m);
	assert_false(m->normalized);
	assert_int_equal(m->n_series, 1);
	assert_string_equal(m->series[0]->labels->labels[0]->name, "__name__");
	assert_string_equal(m->series[0]->labels->labels[0]->value, "memory");
	assert_int_equal(m->series[0]->labels->n_labels, 6);
	assert_string_equal(m->series[0]->labels->labels[5]->name, "service");
	/* a level has no duration: it is no delta */
	assert_same(decode(m->series[0]->samples[0]->raw_profile.data,
			   m->series[0]->samples[0]->raw_profile.len),
		    t_rich(), true);
	push_parca__write_raw_request__free_unpacked(m, NULL);
	end(&t);
}

/* --- OTLP ------------------------------------------------------------------------- */

static PushOtlp__ExportRequest *unzip(const struct push_request *r)
{
	z_stream z = {.next_in = r->body, .avail_in = (unsigned int)r->len};
	uint8_t *bytes = malloc(r->profile_bytes + 1);
	PushOtlp__ExportRequest *m;

	assert_non_null(bytes);
	assert_int_equal(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
	z.next_out = bytes;
	z.avail_out = (unsigned int)r->profile_bytes + 1;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, r->profile_bytes);
	inflateEnd(&z);
	m = push_otlp__export_request__unpack(NULL, r->profile_bytes, bytes);
	assert_non_null(m);
	free(bytes);
	return m;
}

static const char *string(const PushOtlp__ExportRequest *m, int32_t i)
{
	assert_in_range(i, 0, m->dictionary->n_string_table - 1);
	return m->dictionary->string_table[i];
}

static void check_resource(const PushOtlp__Resource *r)
{
	static const char *const expected[][2] = {
		{"service.version", "v3.5.1"},
		{"process.executable.path", "/usr/bin/etcd"},
		{"process.executable.build_id.gnu", "c0ffee"},
		{"container.id", "0123456789abcdef"},
		{"k8s.pod.name", "etcd-0"},
		{"vcs.ref.head.revision", "4f5e6d7c"},
		{"vcs.repository.url.full", "https://example.org/etcd"},
		{"process.executable.name", "etcd"},
		{"process.pid", NULL},
		{"app.team", "edge\xef\xbf\xbd"},
		{"host.name", "node-1"},
		{"service.name", "etcd"},
	};

	assert_int_equal(r->n_attributes, sizeof expected / sizeof *expected);
	for (size_t i = 0; i < r->n_attributes; i++) {
		assert_string_equal(r->attributes[i]->key, expected[i][0]);
		if (expected[i][1])
			assert_string_equal(r->attributes[i]->value->string_value, expected[i][1]);
		else
			assert_int_equal(r->attributes[i]->value->int_value, 4242);
	}
}

/* A text of a sample: "leaf;caller;...|key=value,...|value", as both models have it. */
static void put_stack(FILE *to, const PushOtlp__ExportRequest *m, const PushOtlp__Stack *s)
{
	const PushOtlp__Dictionary *d = m->dictionary;

	for (size_t i = 0; i < s->n_location_indices; i++) {
		const PushOtlp__Location *l;

		assert_in_range(s->location_indices[i], 1, d->n_location_table - 1);
		l = d->location_table[s->location_indices[i]];
		fprintf(to, "%llx@%d ", (unsigned long long)l->address, l->mapping_index);
		for (size_t j = 0; j < l->n_lines; j++)
			fprintf(to, "%s:%lld:%lld ",
				string(m, d->function_table[l->lines[j]->function_index]
						  ->name_strindex),
				(long long)l->lines[j]->line, (long long)l->lines[j]->column);
	}
}

static char *text_of_otlp(const PushOtlp__ExportRequest *m, size_t type, size_t i)
{
	const PushOtlp__Profile *p = m->resource_profiles[0]->scope_profiles[0]->profiles[type];
	const PushOtlp__Dictionary *d = m->dictionary;
	const PushOtlp__Sample *s = p->samples[i];
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	put_stack(to, m, d->stack_table[s->stack_index]);
	for (size_t j = 0; j < s->n_attribute_indices; j++) {
		const PushOtlp__Attribute *a = d->attribute_table[s->attribute_indices[j]];

		assert_in_range(s->attribute_indices[j], 1, d->n_attribute_table - 1);
		if (a->value->value_case == PUSH_OTLP__ANY_VALUE__VALUE_INT_VALUE)
			fprintf(to, "%s=%lld%s ", string(m, a->key_strindex),
				(long long)a->value->int_value, string(m, a->unit_strindex));
		else
			fprintf(to, "%s=%s ", string(m, a->key_strindex), a->value->string_value);
	}
	assert_int_equal(s->n_values, 1);
	fprintf(to, "%lld", (long long)s->values[0]);
	fclose(to);
	return text;
}

static char *text_of_pprof(const struct pprof_profile *p, size_t type, size_t i)
{
	const uint32_t *stack = pprof_sample_stack(p, i);
	const struct pprof_label *l = pprof_sample_labels(p, i);
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	for (uint32_t j = 0; j < p->samples[i].nlocations; j++) {
		const struct pprof_location *at = &p->locations[stack[j]];
		const struct pprof_line *line = pprof_location_lines(p, stack[j]);

		fprintf(to, "%llx@%d ", (unsigned long long)at->address,
			at->mapping == PPROF_NONE ? 0 : (int)at->mapping + 1);
		for (uint32_t k = 0; k < at->nlines; k++)
			fprintf(to, "%s:%lld:%lld ",
				p->strings[p->functions[line[k].function].name],
				(long long)line[k].line, (long long)line[k].column);
	}
	for (uint32_t j = 0; j < p->samples[i].nlabels; j++) {
		if (l[j].str)
			fprintf(to, "%s=%s ", p->strings[l[j].key], p->strings[l[j].str]);
		else
			fprintf(to, "%s=%lld%s ", p->strings[l[j].key], (long long)l[j].num,
				p->strings[l[j].unit]);
	}
	fprintf(to, "%lld", (long long)pprof_sample_values(p, i)[type]);
	fclose(to);
	return text;
}

static void check_samples(const PushOtlp__ExportRequest *m, const struct pprof_profile *p)
{
	for (size_t type = 0; type < p->nsample_types; type++) {
		for (size_t i = 0; i < p->nsamples; i++) {
			char *a = text_of_otlp(m, type, i), *b = text_of_pprof(p, type, i);

			assert_string_equal(a, b);
			free(a);
			free(b);
		}
	}
}

static void check_zeros(const PushOtlp__Dictionary *d)
{
	assert_int_equal(push_otlp__mapping__get_packed_size(d->mapping_table[0]), 0);
	assert_int_equal(push_otlp__location__get_packed_size(d->location_table[0]), 0);
	assert_int_equal(push_otlp__function__get_packed_size(d->function_table[0]), 0);
	assert_int_equal(push_otlp__link__get_packed_size(d->link_table[0]), 0);
	assert_int_equal(push_otlp__attribute__get_packed_size(d->attribute_table[0]), 0);
	assert_int_equal(push_otlp__stack__get_packed_size(d->stack_table[0]), 0);
	assert_string_equal(d->string_table[0], "");
	assert_int_equal(d->n_link_table, 1);
}

TEST(test_otlp_has_a_profile_for_each_value)
{
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_OTLP, "http://h:4318");
	struct pprof_profile *p = t_rich();
	PushOtlp__ExportRequest *m;
	PushOtlp__ScopeProfiles *scope;
	struct taken t;

	assert_int_equal(pprof_comment(p, "prowl: 3 samples were lost"), 0);
	take(&t, &sink, t_item(NULL, "cpu"), p);
	assert_int_equal(push_work_next(&t.work, &push_otlp), 0);
	assert_string_equal(t.work.request.url, "http://h:4318/v1development/profiles");
	assert_string_equal(t.work.request.headers[0], "Content-Encoding: gzip");
	m = unzip(&t.work.request);
	assert_int_equal(m->n_resource_profiles, 1);
	check_resource(m->resource_profiles[0]->resource);
	check_zeros(m->dictionary);
	scope = m->resource_profiles[0]->scope_profiles[0];
	assert_string_equal(scope->scope->name, "prowl");
	assert_int_equal(scope->n_profiles, 2);
	assert_string_equal(string(m, scope->profiles[0]->sample_type->type_strindex), "samples");
	assert_string_equal(string(m, scope->profiles[1]->sample_type->type_strindex), "cpu");
	assert_string_equal(string(m, scope->profiles[1]->sample_type->unit_strindex),
			    "nanoseconds");
	assert_int_equal(scope->profiles[0]->time_unix_nano, T_START);
	assert_int_equal(scope->profiles[0]->duration_nano, T_END - T_START);
	assert_int_equal(scope->profiles[0]->period, 10000000);
	assert_int_equal(scope->profiles[0]->profile_id.len, 16);
	assert_memory_not_equal(scope->profiles[0]->profile_id.data,
				scope->profiles[1]->profile_id.data, 16);
	check_samples(m, t.work.profile);
	assert_string_equal(string(m, m->dictionary->mapping_table[1]->filename_strindex),
			    "/usr/bin/target");
	{
		const PushOtlp__Attribute *a =
			m->dictionary->attribute_table[scope->profiles[0]->attribute_indices[0]];

		assert_string_equal(string(m, a->key_strindex), "pprof.profile.comment");
		assert_string_equal(a->value->array_value->values[2]->string_value,
				    "prowl: 3 samples were lost");
	}
	push_otlp__export_request__free_unpacked(m, NULL);
	end(&t);
}

/* --- fitness ---------------------------------------------------------------------- */

TEST(test_a_deep_stack_keeps_its_innermost_frames)
{
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	const struct pprof_profile *p;
	const uint32_t *stack;
	struct taken t;

	take(&t, &sink, t_item(NULL, "cpu"), t_many(3, 1200));
	p = t.work.profile;
	assert_int_equal(p->nsamples, 3);
	assert_int_equal(p->samples[0].nlocations, 1000);
	stack = pprof_sample_stack(p, 0);
	assert_non_null(
		strstr(p->strings[p->functions[pprof_location_lines(p, stack[0])->function].name],
		       "main.leaf"));
	assert_string_equal(
		p->strings[p->functions[pprof_location_lines(p, stack[999])->function].name],
		"[truncated]");
	assert_int_equal(pprof_total(p, 0), 1 + 2 + 3);
	end(&t);
}

TEST(test_names_of_types_become_plain)
{
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PARCA, "http://h");
	struct pprof_profile *p = t_new();
	struct taken t;

	assert_int_equal(pprof_sample_type(p, "page-faults", "count"), 0);
	assert_int_equal(pprof_period(p, "page-faults", "count", 7), 0);
	assert_int_equal(pprof_sample_add(p, NULL, 0, (int64_t[]){5}, NULL, 0), 0);
	take(&t, &sink, t_item(NULL, "cpu"), p);
	p = t.work.profile;
	assert_string_equal(p->strings[p->sample_types[0].type], "page_faults");
	assert_string_equal(p->strings[p->period_type.type], "page_faults");
	assert_int_equal(p->period, 7);
	assert_int_equal(pprof_total(p, 0), 5);
	end(&t);
}

TEST(test_samples_are_picked_by_labels)
{
	const struct prowl_push_pair pick[] = {{"series", "a1"}, {"window", "2026-11-30T08:00Z"}};
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	struct prowl_push_item item = t_item(NULL, "cpu");
	struct pprof_profile *p = t_new();
	const struct pprof_label *l;
	struct taken t;
	uint32_t at;

	t_types(p);
	at = t_loc(p, t_mapping(p, 0x400000, "/a"), 0x400010, "main.f", 3);
	for (size_t i = 0; i < 4; i++) {
		struct pprof_label labels[] = {
			{.key = t_str(p, "series"), .str = t_str(p, i & 1 ? "a1" : "b2")},
			{.key = t_str(p, "window"),
			 .str = t_str(p, i & 2 ? "2026-11-30T08:00Z" : "2026-11-30T08:01Z")},
			{.key = t_str(p, "endpoint"), .str = t_str(p, "/api")}};

		t_add(p, &at, 1, 1 << i, labels, 3);
	}
	item.pick = pick;
	item.npick = 2;
	take(&t, &sink, item, p);
	p = t.work.profile;
	assert_int_equal(p->nsamples, 1);
	assert_int_equal(pprof_total(p, 0), 8);
	l = pprof_sample_labels(p, 0);
	assert_int_equal(p->samples[0].nlabels, 1);
	assert_string_equal(p->strings[l[0].key], "endpoint");
	end(&t);
}

TEST(test_nothing_picked_is_no_profile)
{
	const struct prowl_push_pair pick[] = {{"series", "none"}};
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	struct prowl_push_item item = t_item(NULL, "cpu");
	struct taken t;

	item.pick = pick;
	item.npick = 1;
	assert_int_equal(try_open(&t, &sink, item, t_rich()), -EBADMSG);
	end(&t);
}

/* --- parts ------------------------------------------------------------------------ */

/* Sends all parts; how many, and the sum of their values and the ids. */
static size_t send_all(struct push_work *w, int64_t *sum, uint64_t *largest, uint64_t *most_samples,
		       char ids[64][PUSH_ID])
{
	size_t parts = 0;

	for (*sum = 0, *largest = *most_samples = 0; !push_work_is_done(w); parts++) {
		PushPyroscope__PushRequest *m;
		struct pprof_profile *p;

		assert_int_equal(push_work_next(w, &push_pyroscope), 0);
		assert_true(parts < 64);
		m = push_pyroscope__push_request__unpack(NULL, w->request.len, w->request.body);
		assert_non_null(m);
		p = decode(m->series[0]->samples[0]->raw_profile.data,
			   m->series[0]->samples[0]->raw_profile.len);
		snprintf(ids[parts], PUSH_ID, "%s", m->series[0]->samples[0]->id);
		push_pyroscope__push_request__free_unpacked(m, NULL);
		*sum += pprof_total(p, 0);
		assert_int_equal(p->time_nanos, T_START);
		assert_string_equal(p->strings[p->mappings[0].filename], "/usr/bin/target");
		*most_samples = p->nsamples > *most_samples ? p->nsamples : *most_samples;
		*largest = w->request.profile_bytes > *largest ? w->request.profile_bytes
							       : *largest;
		pprof_profile_free(p);
		push_work_advance(w);
	}
	return parts;
}

TEST(test_a_large_profile_goes_in_parts)
{
	enum { N = 20000 };
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	static char ids[64][PUSH_ID], again[64][PUSH_ID];
	uint64_t largest, most;
	struct taken t;
	int64_t sum;
	size_t n;

	take(&t, &sink, t_item(NULL, "cpu"), t_many(N, 4));
	n = send_all(&t.work, &sum, &largest, &most, ids);
	end(&t);
	assert_in_range(n, 2, 6);
	assert_int_equal(sum, (int64_t)N * (N + 1) / 2);
	assert_in_range(largest, 1 << 19, 1 << 20);
	assert_in_range(most, 1, 16000);
	for (size_t i = 1; i < n; i++)
		assert_string_not_equal(ids[i - 1], ids[i]);
	/* the second attempt has the same ids for the same samples */
	take(&t, &sink, t_item(NULL, "cpu"), t_many(N, 4));
	assert_int_equal(send_all(&t.work, &sum, &largest, &most, again), n);
	assert_memory_equal(ids, again, n * PUSH_ID);
	end(&t);
}

TEST(test_many_small_samples_go_in_parts_too)
{
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	struct pprof_profile *p = t_new();
	static char ids[64][PUSH_ID];
	uint64_t largest, most;
	struct taken t;
	int64_t sum;
	uint32_t at;

	t_types(p);
	at = t_loc(p, t_mapping(p, 0x400000, "/usr/bin/target"), 0x400010, "main.f", 3);
	for (int64_t i = 0; i < 17000; i++) {
		struct pprof_label l = {.key = t_str(p, "request"), .num = i + 1};

		t_add(p, &at, 1, 1, &l, 1);
	}
	sink.max_profile_bytes = 1400000;
	take(&t, &sink, t_item(NULL, "cpu"), p);
	assert_int_equal(send_all(&t.work, &sum, &largest, &most, ids), 2);
	assert_int_equal(most, 16000);
	assert_int_equal(sum, 17000);
	end(&t);
}

TEST(test_a_part_is_halved_once)
{
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	struct taken t;

	take(&t, &sink, t_item(NULL, "cpu"), t_many(100, 4));
	assert_int_equal(push_work_next(&t.work, &push_pyroscope), 0);
	assert_int_equal(t.work.n, 100);
	assert_true(push_work_halve(&t.work));
	assert_int_equal(push_work_next(&t.work, &push_pyroscope), 0);
	assert_int_equal(t.work.n, 50);
	assert_false(push_work_halve(&t.work));
	end(&t);
}

TEST(test_a_sample_that_is_too_large_is_an_error)
{
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	struct taken t;

	sink.max_profile_bytes = 4096;
	take(&t, &sink, t_item(NULL, "cpu"), t_many(2, 900));
	assert_int_equal(push_work_next(&t.work, &push_pyroscope), -EFBIG);
	end(&t);
}

TEST(test_damaged_bytes_are_no_profile)
{
	struct prowl_push_sink sink = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	struct prowl_series *series = t_series("etcd");
	struct prowl_push_item item = t_item(series, "cpu");
	struct push_meta meta = t_meta(&item);
	const uint64_t key[2] = {1, 2};
	struct push_config config;
	struct push_work w;

	assert_int_equal(push_config_copy(&config, &sink), 0);
	assert_int_equal(push_work_open(&w, &config.c, key, &meta, "\x1f\x8bnot gzip", 10),
			 -EBADMSG);
	assert_false(push_work_is_open(&w));
	push_config_fini(&config);
	prowl_series_free(series);
}
