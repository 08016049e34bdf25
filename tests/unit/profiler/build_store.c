/* SPDX-License-Identifier: Apache-2.0 */
#include "build_store.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit_test.h"

char *make_folder(void)
{
	const char *tmp = getenv("TMPDIR");
	char path[256];

	snprintf(path, sizeof path, "%s/prowl-store-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(path));
	return strdup(path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

void remove_folder(char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(path);
}

static __thread size_t counted;

static int count_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	counted += type == FTW_F;
	return 0;
}

size_t count_files(const char *folder, const char *below)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", folder, below);
	counted = 0;
	nftw(path, count_one, 16, FTW_PHYS);
	return counted;
}

struct prowl_series *make_series(const char *service, const char *build)
{
	const struct prowl_series_label labels[] = {
		{"service", service, true},
		{"build", build ? build : "", true},
		{"go", "go1.27", false},
	};
	struct prowl_series *s = NULL;

	assert_int_equal(prowl_series_new(labels, 3, &s), 0);
	return s;
}

static uint32_t text(struct pprof_profile *p, const char *s)
{
	uint32_t i = 0;

	assert_int_equal(pprof_string(p, s, &i), 0);
	return i;
}

static uint32_t place(struct pprof_profile *p, uint32_t mapping, uint64_t address, const char *name)
{
	struct pprof_function f = {.name = text(p, name), .filename = text(p, "main.go")};
	struct pprof_line line = {.line = (int64_t)(address & 0xfff)};
	uint32_t location = 0;

	assert_int_equal(pprof_function(p, &f, &line.function), 0);
	assert_int_equal(pprof_location(p, mapping, address, &line, 1, &location), 0);
	return location;
}

struct pprof_profile *make_cpu(const char *binary, uint64_t base, unsigned int n, int64_t samples)
{
	struct pprof_profile *p = NULL;
	struct pprof_mapping m = {.start = base, .limit = base + 0x100000};
	uint32_t stack[3], mapping;

	assert_int_equal(pprof_profile_new(&p), 0);
	assert_int_equal(pprof_sample_type(p, "samples", "count"), 0);
	assert_int_equal(pprof_sample_type(p, "cpu", "nanoseconds"), 0);
	assert_int_equal(pprof_period(p, "cpu", "nanoseconds", 10000000), 0);
	assert_int_equal(pprof_comment(p, "build: go=go1.27"), 0);
	m.filename = text(p, binary);
	assert_int_equal(pprof_mapping(p, &m, &mapping), 0);
	stack[2] = place(p, mapping, base + 0x10, "main.main");
	stack[1] = place(p, mapping, base + 0x20, "main.work");
	for (unsigned int i = 0; i < n; i++) {
		const int64_t values[] = {samples, samples * 10000000};
		char name[32];

		snprintf(name, sizeof name, "main.leaf%u", i);
		stack[0] = place(p, mapping, base + 0x100 + i * 16, name);
		assert_int_equal(pprof_sample_add(p, stack, 3, values, NULL, 0), 0);
	}
	return p;
}

struct pprof_profile *make_level(int64_t goroutines)
{
	struct pprof_profile *p = NULL;
	struct pprof_mapping m = {.start = 0x400000, .limit = 0x500000};
	uint32_t mapping, location;

	assert_int_equal(pprof_profile_new(&p), 0);
	assert_int_equal(pprof_sample_type(p, "goroutine", "count"), 0);
	m.filename = text(p, "/bin/app");
	assert_int_equal(pprof_mapping(p, &m, &mapping), 0);
	location = place(p, mapping, 0x400100, "main.wait");
	assert_int_equal(pprof_sample_add(p, &location, 1, &goroutines, NULL, 0), 0);
	return p;
}

struct prowl_store *open_with(const struct prowl_store_options *o)
{
	struct prowl_store *s = NULL;
	struct prowl_err err = {0};

	if (prowl_store_open(o, &s, &err) != PROWL_OK)
		fail_msg("%s (%s)", err.text, err.hint);
	return s;
}

struct prowl_store *open_store(const char *path)
{
	struct prowl_store_options o = {.path = path, .no_fsync = true, .min_free = 1};

	return open_with(&o);
}

struct prowl_store *read_store(const char *path)
{
	struct prowl_store_options o = {.path = path, .read_only = true};

	return open_with(&o);
}

struct prowl_store_part make_part(const struct prowl_series *series, const char *kind,
				  const struct pprof_profile *p, int64_t at)
{
	struct prowl_store_part part = {
		.series = series,
		.kind = kind,
		.profile = p,
		.facts = {.wall_start = T0 + at,
			  .wall_end = T0 + at + MINUTE,
			  .mono_start = SECOND + at,
			  .mono_end = SECOND + at + MINUTE,
			  .boot_id = "4fa0e2b8-5cf5-4a4e-8a7a-000000000001",
			  .rate = 19,
			  .cpu_ns = (uint64_t)pprof_total(p, p->nsample_types - 1),
			  .samples = (uint64_t)pprof_total(p, 0)},
	};

	return part;
}

void put(struct prowl_store *s, const struct prowl_store_part *parts, size_t n)
{
	struct prowl_err err = {0};

	if (prowl_store_put(s, parts, n, NULL, &err) != PROWL_OK)
		fail_msg("%s", err.text);
}

void put_cpu(struct prowl_store *s, const char *service, int64_t at, int64_t samples)
{
	struct prowl_series *series = make_series(service, NULL);
	struct pprof_profile *p = make_cpu("/bin/app", 0x400000, 2, samples);
	struct prowl_store_part part = make_part(series, "cpu", p, at);

	put(s, &part, 1);
	pprof_profile_free(p);
	prowl_series_free(series);
}

void tick(struct prowl_store *s, int64_t at)
{
	struct prowl_err err = {0};

	if (prowl_store_tick(s, T0 + at, &err) != PROWL_OK)
		fail_msg("%s", err.text);
}

int64_t merged_total(struct prowl_store *s, const struct prowl_query *q)
{
	struct prowl_store_merged *m = NULL;
	struct prowl_err err = {0};
	enum prowl_code code = prowl_store_merge(s, q, &m, &err);
	size_t type;
	int64_t total;

	if (code == PROWL_NOTHING)
		return -1;
	if (code != PROWL_OK)
		fail_msg("%s", err.text);
	assert_int_equal(pprof_find_sample_type(m->profile, NULL, &type), 0);
	total = pprof_total(m->profile, type);
	prowl_store_merged_free(m);
	return total;
}

int64_t merged_samples(struct prowl_store *s, const char *service, int64_t from, int64_t to)
{
	struct prowl_query q = {.kind = "cpu", .from = T0 + from, .to = T0 + to};
	struct prowl_selector *match = NULL;
	int64_t total;

	assert_int_equal(prowl_selector_service(service, &match, NULL), PROWL_OK);
	q.match = match;
	total = merged_total(s, &q);
	prowl_selector_free(match);
	return total < 0 ? total : total / 10000000;
}
