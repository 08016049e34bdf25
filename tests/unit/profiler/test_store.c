/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_store.h"
#include "unit_test.h"
#include "when.h"

static int before(void **state)
{
	*state = make_folder();
	return 0;
}

static int after(void **state)
{
	remove_folder(*state);
	return 0;
}

#define STORE_TEST(name) TEST_WITH(name, before, after)

/* --- windows and hours ----------------------------------------------------------- */

STORE_TEST(a_window_is_there_at_once_and_in_any_reader)
{
	struct prowl_store *s = open_store(*state), *reader;

	put_cpu(s, "etcd", 0, 3);
	put_cpu(s, "caddy", 0, 5);
	put_cpu(s, "etcd", MINUTE, 7);
	assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 2 * (3 + 7));
	assert_int_equal(merged_samples(s, "etcd", MINUTE, HOUR), 2 * 7);
	assert_int_equal(merged_samples(s, "etcd", 0, MINUTE), 2 * 3);
	assert_int_equal(merged_samples(s, "other", 0, HOUR), -1);
	reader = read_store(*state);
	assert_int_equal(merged_samples(reader, "caddy", 0, HOUR), 2 * 5);
	prowl_store_close(reader);
	prowl_store_close(s);
	reader = read_store(*state);
	assert_int_equal(merged_samples(reader, "etcd", 0, HOUR), 2 * (3 + 7));
	prowl_store_close(reader);
}

STORE_TEST(an_hour_that_is_over_becomes_a_file_a_series)
{
	struct prowl_store *s = open_store(*state);

	for (int i = 0; i < 60; i++) {
		put_cpu(s, "etcd", i * MINUTE, i + 1);
		put_cpu(s, "caddy", i * MINUTE, 1);
	}
	tick(s, HOUR + MINUTE);
	assert_int_equal(count_files(*state, "live"), 120);
	tick(s, HOUR + 2 * MINUTE);
	assert_int_equal(count_files(*state, "live"), 0);
	assert_int_equal(count_files(*state, "data/2026-11-30/T08"), 2);
	assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 2 * 60 * 61 / 2);
	assert_int_equal(merged_samples(s, "etcd", 10 * MINUTE, 12 * MINUTE), 2 * (11 + 12));
	assert_int_equal(merged_samples(s, "caddy", 0, 5 * MINUTE), 2 * 5);
	prowl_store_close(s);
}

STORE_TEST(windows_that_come_late_make_another_file)
{
	struct prowl_store *s = open_store(*state);

	put_cpu(s, "etcd", 0, 1);
	tick(s, 2 * HOUR);
	put_cpu(s, "etcd", 5 * MINUTE, 2);
	tick(s, 2 * HOUR + MINUTE);
	assert_int_equal(count_files(*state, "live"), 0);
	assert_int_equal(count_files(*state, "data"), 2);
	assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 2 * 3);
	prowl_store_close(s);
}

static void change_index(const char *folder, const char *sql)
{
	char path[512];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/index.db", folder);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

STORE_TEST(an_hour_file_whose_row_could_not_be_written_is_not_made_twice)
{
	struct prowl_store *s = open_store(*state);

	put_cpu(s, "etcd", 0, 1);
	change_index(*state, "CREATE TRIGGER no BEFORE INSERT ON part WHEN"
			     " (SELECT tier FROM file WHERE id=NEW.file)=1"
			     " BEGIN SELECT RAISE(ABORT, 'no'); END");
	assert_int_equal(prowl_store_tick(s, T0 + 2 * HOUR, NULL), PROWL_FAILED);
	assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 2 * 1);
	change_index(*state, "DROP TRIGGER no");
	tick(s, 2 * HOUR + MINUTE);
	assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 2 * 1);
	assert_int_equal(count_files(*state, "data"), 1);
	assert_int_equal(count_files(*state, "live"), 0);
	prowl_store_close(s);
}

/* A clock that was set back: the same minute once more. */
STORE_TEST(two_windows_of_one_minute_are_both_there)
{
	struct prowl_store *s = open_store(*state);
	struct prowl_query q = {.from = T0, .to = T0 + HOUR, .tags = PROWL_STORE_TAG_WINDOW};
	struct prowl_store_merged *m;
	bool first = false, second = false;

	put_cpu(s, "etcd", 5 * MINUTE, 1);
	put_cpu(s, "etcd", 5 * MINUTE + SECOND, 2);
	assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 2 * 3);
	tick(s, 2 * HOUR);
	put_cpu(s, "etcd", 5 * MINUTE + 2 * SECOND, 4);
	tick(s, 2 * HOUR + MINUTE);
	assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 2 * 7);
	assert_int_equal(prowl_store_merge(s, &q, &m, NULL), PROWL_OK);
	assert_int_equal(m->used, 3);
	for (size_t i = 0; i < m->profile->nstrings; i++) {
		first |= !strcmp(m->profile->strings[i], "2026-11-30T08:05Z");
		second |= !strcmp(m->profile->strings[i], "2026-11-30T08:05Z+2");
	}
	assert_true(first && second);
	prowl_store_merged_free(m);
	prowl_store_close(s);
}

/* The clock was in 2099 for a while. */
STORE_TEST(hours_of_a_wrong_clock_are_closed_too)
{
	struct prowl_store *s = open_store(*state);
	int64_t years = 70ll * 365 * 24 * HOUR;

	put_cpu(s, "etcd", years, 1);
	put_cpu(s, "etcd", 0, 2);
	tick(s, MINUTE);
	assert_int_equal(count_files(*state, "live"), 1);
	assert_int_equal(count_files(*state, "data"), 1);
	assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 2 * 2);
	prowl_store_close(s);
}

STORE_TEST(code_is_the_same_at_other_addresses)
{
	struct prowl_store *s = open_store(*state);
	struct prowl_series *series = make_series("etcd", NULL);
	struct prowl_query q = {.from = T0, .to = T0 + HOUR};
	struct prowl_store_merged *m;

	for (int i = 0; i < 2; i++) {
		struct pprof_profile *p = make_cpu("/bin/app", i ? 0x7f0000000000 : 0x550000000000,
						   3, 1);
		struct prowl_store_part part = make_part(series, "cpu", p, i * MINUTE);

		put(s, &part, 1);
		pprof_profile_free(p);
	}
	for (int closed = 0; closed < 2; closed++) {
		assert_int_equal(prowl_store_merge(s, &q, &m, NULL), PROWL_OK);
		assert_int_equal(m->profile->nsamples, 3);
		assert_int_equal(m->profile->nmappings, 1);
		assert_int_equal(m->used, 2);
		assert_int_equal(m->profile->duration_nanos, 2 * MINUTE);
		assert_int_equal(m->facts.samples, 6);
		prowl_store_merged_free(m);
		tick(s, 2 * HOUR);
	}
	prowl_series_free(series);
	prowl_store_close(s);
}

STORE_TEST(labels_of_samples_are_bounded_and_kept)
{
	struct prowl_store_options o = {
		.path = *state, .no_fsync = true, .min_free = 1, .label_values = 3};
	struct prowl_store *s = open_with(&o);
	struct prowl_series *series = make_series("etcd", NULL);
	struct prowl_query q = {.from = T0, .to = T0 + HOUR};
	struct prowl_store_merged *m;
	size_t many = 0, own = 0;

	for (int i = 0; i < 6; i++) {
		struct pprof_profile *p = make_cpu("/bin/app", 0x400000, 1, 1);
		struct pprof_label l[2] = {{0}};
		struct prowl_store_part part;
		char text[16];
		uint32_t stack = 0;

		snprintf(text, sizeof text, "request-%d", i);
		assert_int_equal(pprof_string(p, "id", &l[0].key), 0);
		assert_int_equal(pprof_string(p, text, &l[0].str), 0);
		assert_int_equal(pprof_string(p, "window", &l[1].key), 0);
		assert_int_equal(pprof_string(p, "the program's own", &l[1].str), 0);
		assert_int_equal(pprof_sample_add(p, &stack, 1, (int64_t[]){1, 1}, l, 2), 0);
		part = make_part(series, "cpu", p, i * MINUTE);
		put(s, &part, 1);
		pprof_profile_free(p);
	}
	tick(s, 2 * HOUR);
	assert_int_equal(prowl_store_merge(s, &q, &m, NULL), PROWL_OK);
	for (size_t i = 0; i < m->profile->nlabels; i++) {
		many += !strcmp(m->profile->strings[m->profile->labels[i].str], "(many)");
		own += !strcmp(m->profile->strings[m->profile->labels[i].key], "window_");
	}
	assert_int_equal(many, 1);
	assert_int_equal(own, 4); /* three requests, and the rest as one */
	prowl_store_merged_free(m);
	prowl_series_free(series);
	prowl_store_close(s);
}

STORE_TEST(names_that_are_no_text_are_stored_all_the_same)
{
	struct prowl_store *s = open_store(*state);
	struct prowl_query q = {.from = T0};
	struct prowl_store_list *l;

	put_cpu(s, "\xff../\xc3", 0, 1);
	tick(s, 2 * HOUR);
	assert_int_equal(prowl_store_series(s, &q, &l, NULL), PROWL_OK);
	assert_int_equal(l->n, 1);
	assert_string_equal(prowl_series_get(l->rows[0].series, "service"),
			    "\xef\xbf\xbd../\xef\xbf\xbd");
	assert_int_equal(count_files(*state, "data/2026-11-30/T08"), 1);
	assert_true(merged_total(s, &q) > 0);
	prowl_store_list_free(l);
	prowl_store_close(s);
}

STORE_TEST(a_query_has_bounds)
{
	struct prowl_query q = {.from = T0};
	struct prowl_store *s = open_store(*state);
	struct prowl_store_timeline *t;
	struct prowl_store_merged *m;
	struct prowl_err err;

	put_cpu(s, "etcd", 0, 1);
	put_cpu(s, "etcd", MINUTE, 1);
	q.max_bytes = 1 << 20;
	assert_int_equal(prowl_store_merge(s, &q, &m, NULL), PROWL_OK);
	prowl_store_merged_free(m);
	q.max_bytes = 100;
	assert_int_equal(prowl_store_merge(s, &q, &m, &err), PROWL_USAGE);
	assert_non_null(strstr(err.text, "memory"));
	assert_int_equal(prowl_store_timeline(s, &q, &t, NULL), PROWL_USAGE);
	q.max_bytes = 0;
	q.deadline = 1;
	assert_int_equal(prowl_store_merge(s, &q, &m, &err), PROWL_USAGE);
	assert_non_null(strstr(err.text, "time"));
	prowl_store_close(s);
}

STORE_TEST(there_is_one_writer)
{
	struct prowl_store_options o = {.path = *state, .no_fsync = true};
	struct prowl_store *s = open_with(&o), *other = NULL;
	struct prowl_err err;

	assert_int_equal(prowl_store_open(&o, &other, &err), PROWL_FAILED);
	assert_non_null(strstr(err.text, "another process"));
	prowl_store_close(s);
	prowl_store_close(open_with(&o));
}

STORE_TEST(a_folder_that_others_may_write_is_only_read)
{
	struct prowl_store_options o = {.path = *state, .no_fsync = true};
	struct prowl_store *s = open_with(&o);

	prowl_store_close(s);
	assert_int_equal(chmod(*state, 0777), 0);
	assert_int_equal(prowl_store_open(&o, &s, NULL), PROWL_PERMISSION);
	prowl_store_close(read_store(*state));
	assert_int_equal(chmod(*state, 0755), 0);
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(*state, 54321, (gid_t)-1), 0);
	assert_int_equal(prowl_store_open(&o, &s, NULL), PROWL_PERMISSION);
	prowl_store_close(read_store(*state));
}

STORE_TEST(a_newer_format_is_only_read)
{
	struct prowl_store_options o = {.path = *state, .no_fsync = true};
	struct prowl_store *s = open_with(&o);
	char path[PATH_MAX];
	FILE *f;

	put_cpu(s, "etcd", 0, 1);
	prowl_store_close(s);
	snprintf(path, sizeof path, "%s/store.json", (char *)*state);
	f = fopen(path, "w");
	fputs("{\"format\":2}", f);
	fclose(f);
	assert_int_equal(prowl_store_open(&o, &s, NULL), PROWL_UNSUPPORTED);
	s = read_store(*state);
	assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 2);
	prowl_store_close(s);
}

/* --- the index ------------------------------------------------------------------- */

/* What the index says, without ids. */
static char *dump_index(const char *folder)
{
	static const char *const queries[] = {
		"SELECT path, kind, tier, start, end, bytes, samples, windows, window_ns, level,"
		" types, ntypes, by_default FROM file ORDER BY path",
		"SELECT hash, identity, labels, last FROM series ORDER BY hash",
		"SELECT f.path, s.hash, p.kind, p.start, p.end, p.samples, p.n, hex(p.windows)"
		" FROM part p, file f, series s WHERE f.id=p.file AND s.id=p.series"
		" ORDER BY 1, 2",
		"SELECT f.path, s.hash, p.boot, p.pid, p.start, p.end, p.pod, p.container, p.image,"
		" p.exit FROM process p, file f, series s WHERE f.id=p.file AND s.id=p.series"
		" ORDER BY 1, 2, 3, 4, 5",
	};
	char path[PATH_MAX], *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/index.db", folder);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
		sqlite3_stmt *q;

		assert_int_equal(sqlite3_prepare_v2(db, queries[i], -1, &q, NULL), SQLITE_OK);
		while (sqlite3_step(q) == SQLITE_ROW) {
			for (int c = 0; c < sqlite3_column_count(q); c++)
				fprintf(to, "%s|", (const char *)sqlite3_column_text(q, c));
			fputc('\n', to);
		}
		sqlite3_finalize(q);
	}
	sqlite3_close(db);
	fclose(to);
	return text;
}

static void fill(struct prowl_store *s)
{
	struct prowl_series *series = make_series("app", "v1");

	for (int i = 0; i < 70; i++) {
		struct prowl_store_process who = {
			.pid = 42 + i % 2, .start = T0 - HOUR, .pod = "app-1", .exit = ""};
		struct pprof_profile *p = make_level(10 + i);
		struct prowl_store_part part = make_part(series, "goroutine", p, i * MINUTE);

		part.level = true;
		part.processes = &who;
		part.nprocesses = 1;
		part.facts.wall_end = part.facts.wall_start;
		part.facts.flags = i == 3 ? PROWL_STORE_SHORT : 0;
		put(s, &part, 1);
		pprof_profile_free(p);
		put_cpu(s, "etcd", i * MINUTE, i + 1);
	}
	prowl_series_free(series);
	tick(s, HOUR + 11 * MINUTE);
}

STORE_TEST(the_index_is_rebuilt_from_the_files)
{
	struct prowl_store *s = open_store(*state);
	char path[PATH_MAX], *built, *rebuilt;

	fill(s);
	prowl_store_close(s);
	built = dump_index(*state);
	assert_non_null(strstr(built, "app-1"));
	snprintf(path, sizeof path, "%s/index.db", (char *)*state);
	assert_int_equal(unlink(path), 0);
	prowl_store_close(open_store(*state));
	rebuilt = dump_index(*state);
	assert_string_equal(built, rebuilt);
	free(built);
	free(rebuilt);
}

STORE_TEST(a_folder_without_an_index_is_a_store)
{
	struct prowl_store *s = open_store(*state);
	struct prowl_query q = {.from = T0, .kind = "cpu"};
	char path[PATH_MAX];
	int64_t total;

	fill(s);
	total = merged_total(s, &q);
	prowl_store_close(s);
	snprintf(path, sizeof path, "%s/index.db", (char *)*state);
	assert_int_equal(unlink(path), 0);
	s = read_store(*state);
	assert_int_equal(merged_total(s, &q), total);
	prowl_store_close(s);
	assert_int_equal(access(path, F_OK), -1);
}

/* --- levels ---------------------------------------------------------------------- */

static void put_level(struct prowl_store *s, const char *service, int64_t pid, int64_t at,
		      int64_t goroutines)
{
	struct prowl_series *series = make_series(service, NULL);
	struct prowl_store_process who = {.pid = pid, .start = T0};
	struct pprof_profile *p = make_level(goroutines);
	struct prowl_store_part part = make_part(series, "goroutine", p, at);

	part.level = true;
	part.processes = &who;
	part.nprocesses = 1;
	put(s, &part, 1);
	pprof_profile_free(p);
	prowl_series_free(series);
}

static int64_t level(struct prowl_store *s, enum prowl_store_agg agg)
{
	struct prowl_query q = {.kind = "goroutine", .from = T0, .to = T0 + 2 * HOUR, .agg = agg};

	return merged_total(s, &q);
}

/* Every ten minutes; the second process is looked at in between, and a third replaces it. */
STORE_TEST(levels_add_up_over_processes_but_not_over_time)
{
	struct prowl_store *s = open_store(*state);

	for (int i = 0; i < 6; i++) {
		put_level(s, "app", 1, (i * 10 + 1) * MINUTE, 100);
		put_level(s, "app", i < 3 ? 2 : 3, (i * 10 + 6) * MINUTE, 20 + i * 10);
	}
	for (int closed = 0; closed < 2; closed++) {
		assert_int_equal(level(s, PROWL_STORE_MEAN), 145);
		assert_int_equal(level(s, PROWL_STORE_MAX), 170);
		assert_int_equal(level(s, PROWL_STORE_MIN), 120);
		assert_int_equal(level(s, PROWL_STORE_LAST), 170);
		tick(s, 2 * HOUR);
	}
	put_level(s, "other", 9, 11 * MINUTE, 1000);
	assert_int_equal(level(s, PROWL_STORE_MEAN), 1145);
	prowl_store_close(s);
}

/* The daemon was started anew, which looks at each at a time of its own. */
STORE_TEST(levels_add_up_though_one_was_looked_at_sooner)
{
	struct prowl_store *s = open_store(*state);

	for (int i = 0; i < 6; i++) {
		put_level(s, "app", 1, (i * 10 + 1) * MINUTE, 100);
		put_level(s, "app", 2, (i * 10 + 6) * MINUTE, 20);
	}
	put_level(s, "app", 1, 33 * MINUTE, 100);
	put_level(s, "app", 2, 57 * MINUTE, 20);
	assert_int_equal(level(s, PROWL_STORE_MEAN), 120);
	assert_int_equal(level(s, PROWL_STORE_MIN), 120);
	prowl_store_close(s);
}

/* Each is one of many stacks: none of them is there on average. */
STORE_TEST(a_mean_of_many_rare_stacks_adds_up)
{
	struct prowl_store *s = open_store(*state);
	struct prowl_series *series = make_series("app", NULL);

	for (int i = 0; i < 4; i++) {
		struct pprof_profile *p = make_cpu("/bin/app", 0x400000, 30, 1);
		struct prowl_store_process process = {.pid = 7, .start = 1};
		struct prowl_store_part part;

		if (i > 0) { /* only the first look finds any */
			pprof_profile_free(p);
			p = make_cpu("/bin/app", 0x400000, 0, 0);
		}
		part = make_part(series, "waits", p, i * 10 * MINUTE);
		part.level = true;
		part.processes = &process;
		part.nprocesses = 1;
		put(s, &part, 1);
		pprof_profile_free(p);
	}
	assert_int_equal(merged_total(s, &(struct prowl_query){.kind = "waits", .from = T0}),
			 30 * 10000000 / 4);
	{
		struct prowl_query q = {.kind = "waits", .from = T0};
		struct prowl_store_merged *m;

		assert_int_equal(prowl_store_merge(s, &q, &m, NULL), PROWL_OK);
		assert_int_equal(pprof_total(m->profile, 0), 8); /* 7.5 */
		prowl_store_merged_free(m);
	}
	prowl_series_free(series);
	prowl_store_close(s);
}

/* --- any profiles ---------------------------------------------------------------- */

enum { ANY = 60, SERVICES = 3 };
static const char *const services[SERVICES] = {"etcd", "caddy", "x"};

static uint32_t any(uint32_t below)
{
	static uint32_t x = 12345; /* xorshift: the same in every run */

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x % below;
}

/* Stacks of up to four frames, some twice in one, in one of two binaries, some with labels. */
static struct pprof_profile *any_profile(void)
{
	unsigned int n = any(12);
	struct pprof_profile *p = make_cpu(any(2) ? "/bin/a" : "/bin/b",
					   0x400000 + any(3) * UINT64_C(0x1000000), n, 1 + any(9));

	for (unsigned int i = 0; n && i < any(8); i++) {
		const int64_t values[] = {any(5), any(1000000000)};
		struct pprof_label label = {.num = any(3)};
		uint32_t stack[4];
		char value[16];

		for (int k = 0; k < 4; k++)
			stack[k] = any((uint32_t)p->nlocations);
		snprintf(value, sizeof value, "v%u", any(4));
		assert_int_equal(pprof_string(p, any(2) ? "tenant" : "series", &label.key), 0);
		if (label.num == 0)
			assert_int_equal(pprof_string(p, value, &label.str), 0);
		assert_int_equal(pprof_sample_add(p, stack, 1 + any(4), values, &label, any(2)), 0);
	}
	return p;
}

static void assert_same_profile(const struct pprof_profile *a, const struct pprof_profile *b)
{
	struct pprof_profile *minus, *change;

	assert_int_equal(pprof_merge_scaled(&b, 1, -1.0, &minus, NULL), 0);
	assert_int_equal(pprof_merge((const struct pprof_profile *[]){a, minus}, 2, &change, NULL),
			 0);
	assert_int_equal(pprof_total(change, 0), 0);
	assert_int_equal(pprof_total(change, 1), 0);
	assert_int_equal(pprof_total(a, 1), pprof_total(b, 1));
	pprof_profile_free(minus);
	pprof_profile_free(change);
}

/* A program's own label `series` is kept as series_. */
static void rename_own(struct pprof_profile *p)
{
	for (size_t i = 0; i < p->nlabels; i++)
		if (!strcmp(p->strings[p->labels[i].key], "series"))
			assert_int_equal(pprof_string(p, "series_", &p->labels[i].key), 0);
}

static void assert_all_there(struct prowl_store *s, struct pprof_profile *const *inputs,
			     const int *service, const int64_t *at, int64_t from, int64_t to)
{
	for (int k = 0; k < SERVICES; k++) {
		const struct pprof_profile *own[ANY];
		struct prowl_selector *match = NULL;
		struct prowl_store_merged *m;
		struct pprof_profile *wanted;
		size_t n = 0;

		for (int i = 0; i < ANY; i++)
			if (service[i] == k && at[i] >= from && at[i] < to)
				own[n++] = inputs[i];
		if (n == 0)
			continue;
		assert_int_equal(prowl_selector_service(services[k], &match, NULL), PROWL_OK);
		struct prowl_query q = {.match = match, .from = T0 + from, .to = T0 + to};

		assert_int_equal(prowl_store_merge(s, &q, &m, NULL), PROWL_OK);
		assert_int_equal(m->used, n);
		assert_int_equal(m->skipped, 0);
		assert_int_equal(pprof_merge(own, n, &wanted, NULL), 0);
		assert_same_profile(m->profile, wanted);
		pprof_profile_free(wanted);
		prowl_store_merged_free(m);
		prowl_selector_free(match);
	}
}

STORE_TEST(a_merged_profile_is_the_merge_of_what_was_put)
{
	struct prowl_store *s = open_store(*state);
	struct pprof_profile *inputs[ANY];
	struct prowl_series *series[SERVICES];
	int service[ANY];
	int64_t at[ANY];
	char path[512];

	for (int k = 0; k < SERVICES; k++)
		series[k] = make_series(services[k], k ? "1" : NULL);
	for (int i = 0; i < ANY; i++) {
		struct prowl_store_part part;

		service[i] = (int)any(SERVICES);
		at[i] = any(150) * MINUTE + any(59) * SECOND; /* some in one minute, some late */
		inputs[i] = any_profile();
		part = make_part(series[service[i]], "cpu", inputs[i], at[i]);
		part.facts.wall_end = part.facts.wall_start + MINUTE;
		put(s, &part, 1);
		rename_own(inputs[i]);
		if (i == ANY / 2)
			tick(s, 90 * MINUTE);
	}
	for (int step = 0; step < 3; step++) {
		assert_all_there(s, inputs, service, at, 0, 3 * HOUR);
		assert_all_there(s, inputs, service, at, 17 * MINUTE, 95 * MINUTE);
		if (step == 0)
			tick(s, 4 * HOUR);
		if (step == 1) {
			prowl_store_close(s);
			snprintf(path, sizeof path, "%s/index.db", (char *)*state);
			assert_int_equal(unlink(path), 0);
			s = open_store(*state);
		}
	}
	for (int i = 0; i < ANY; i++)
		pprof_profile_free(inputs[i]);
	for (int k = 0; k < SERVICES; k++)
		prowl_series_free(series[k]);
	prowl_store_close(s);
}

/* --- timeline and lists ---------------------------------------------------------- */

STORE_TEST(a_timeline_has_each_window_and_its_gaps)
{
	struct prowl_store *s = open_store(*state);
	struct prowl_query q = {.from = T0, .to = T0 + 2 * HOUR, .step_ns = MINUTE};
	struct prowl_store_timeline *t;

	for (int i = 0; i < 90; i++) {
		if (i < 20 || i >= 30)
			put_cpu(s, "etcd", i * MINUTE, i + 1);
		if (i < 10)
			put_cpu(s, "caddy", i * MINUTE, 1);
	}
	tick(s, HOUR + 2 * MINUTE);
	assert_int_equal(prowl_store_timeline(s, &q, &t, NULL), PROWL_OK);
	assert_int_equal(t->npoints, 120);
	assert_int_equal(t->nlines, 2);
	assert_string_equal(t->lines[0].name, "etcd");
	assert_string_equal(t->unit, "nanoseconds");
	for (int i = 0; i < 90; i++) {
		bool there = i < 20 || i >= 30;

		assert_true(t->lines[0].points[i].value == (there ? (i + 1) * 2e7 : 0));
		assert_int_equal(t->lines[0].points[i].covered_ns, there ? MINUTE : 0);
	}
	assert_int_equal(t->ngaps, 2);
	assert_int_equal(t->gaps[0].from, T0 + 20 * MINUTE);
	assert_int_equal(t->gaps[0].to, T0 + 30 * MINUTE);
	assert_int_equal(t->gaps[1].from, T0 + 90 * MINUTE);
	prowl_store_timeline_free(t);
	q.step_ns = HOUR;
	q.top = 1;
	q.type = "samples";
	assert_int_equal(prowl_store_timeline(s, &q, &t, NULL), PROWL_OK);
	assert_int_equal(t->nlines, 2);
	assert_true(t->lines[1].other);
	assert_true(t->lines[1].points[0].value == 20);
	prowl_store_timeline_free(t);
	prowl_store_close(s);
}

STORE_TEST(lists_say_what_there_is)
{
	struct prowl_store *s = open_store(*state);
	struct prowl_query q = {.from = T0};
	struct prowl_store_list *list;
	struct prowl_store_names *names;
	struct prowl_store_lanes *lanes;
	struct prowl_store_files *files;
	struct prowl_store_usage u;

	fill(s);
	assert_int_equal(prowl_store_series(s, &q, &list, NULL), PROWL_OK);
	assert_int_equal(list->n, 2);
	assert_string_equal(list->rows[0].kinds, "goroutine");
	assert_int_equal(list->rows[1].windows, 70);
	assert_int_equal(list->rows[1].first, T0);
	assert_int_equal(list->rows[1].last, T0 + 70 * MINUTE);
	prowl_store_list_free(list);
	assert_int_equal(prowl_store_labels(s, &q, NULL, NULL, &names, NULL), PROWL_OK);
	assert_int_equal(names->n, 3);
	assert_string_equal(names->names[0], "build");
	prowl_store_names_free(names);
	assert_int_equal(prowl_store_labels(s, &q, "service", "e", &names, NULL), PROWL_OK);
	assert_int_equal(names->n, 1);
	assert_string_equal(names->names[0], "etcd");
	prowl_store_names_free(names);
	assert_int_equal(prowl_store_processes(s, &q, &lanes, NULL), PROWL_OK);
	assert_int_equal(lanes->n, 2);
	assert_int_equal(lanes->rows[1].process.pid, 43);
	assert_string_equal(lanes->rows[1].process.pod, "app-1");
	prowl_store_lanes_free(lanes);
	assert_int_equal(prowl_store_files(s, &q, &files, NULL), PROWL_OK);
	assert_int_equal(files->n, 22);
	prowl_store_files_free(files);
	assert_int_equal(prowl_store_usage(s, &u, NULL), PROWL_OK);
	assert_int_equal(u.files, 22);
	assert_int_equal(u.windows, 140);
	assert_true(u.bytes == u.live_bytes + u.hour_bytes);
	prowl_store_close(s);
}

/* --- retention ------------------------------------------------------------------- */

static void put_hours(struct prowl_store *s, int from, int to)
{
	for (int i = from; i < to; i++) {
		put_cpu(s, "etcd", i * HOUR, 1);
		put_cpu(s, "caddy", i * HOUR, 1);
	}
	tick(s, to * HOUR + 2 * MINUTE);
}

static int oldest_hour(struct prowl_store *s)
{
	struct prowl_store_usage u;

	assert_int_equal(prowl_store_usage(s, &u, NULL), PROWL_OK);
	return (int)((u.oldest - T0) / HOUR);
}

STORE_TEST(the_oldest_hours_make_room_but_not_what_is_pinned)
{
	struct prowl_store_options o = {
		.path = *state, .no_fsync = true, .min_free = 1, .max_bytes = 8000};
	struct prowl_store *s = open_with(&o);
	struct prowl_store_usage u;

	assert_int_equal(prowl_store_pin(s, T0 + HOUR, T0 + HOUR + MINUTE, "a ticket", NULL),
			 PROWL_OK);
	put_hours(s, 0, 12);
	assert_int_equal(prowl_store_usage(s, &u, NULL), PROWL_OK);
	assert_true(u.bytes <= 8000 && u.bytes > 4000);
	assert_int_equal(oldest_hour(s), 1);
	assert_int_equal(merged_samples(s, "etcd", HOUR, 2 * HOUR), 2);
	assert_int_equal(merged_samples(s, "etcd", 2 * HOUR, 3 * HOUR), -1);
	assert_int_equal(merged_samples(s, "caddy", 11 * HOUR, 12 * HOUR), 2);
	assert_int_equal(prowl_store_unpin(s, T0, T0 + 2 * HOUR, NULL), PROWL_OK);
	assert_int_equal(prowl_store_unpin(s, T0, T0 + 2 * HOUR, NULL), PROWL_NOTHING);
	put_hours(s, 12, 14);
	assert_true(oldest_hour(s) > 4);
	prowl_store_close(s);
}

static void write_pins(const char *folder, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof path, "%s/pins.json", folder);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

STORE_TEST(while_pins_can_not_be_read_nothing_is_deleted)
{
	struct prowl_store_options o = {
		.path = *state, .no_fsync = true, .min_free = 1, .max_bytes = 1};
	struct prowl_store *s = open_with(&o);

	for (int i = 0; i < 5; i++)
		put_cpu(s, "etcd", i * HOUR, 1);
	write_pins(*state, "{\"pins\":[{\"from\":");
	assert_int_equal(prowl_store_tick(s, T0 + 6 * HOUR, NULL), PROWL_FAILED);
	assert_int_equal(prowl_store_pin(s, T0, T0 + HOUR, "", NULL), PROWL_FAILED);
	assert_int_equal(oldest_hour(s), 0);
	write_pins(*state, "{\"pins\":[]}");
	tick(s, 6 * HOUR);
	assert_int_equal(oldest_hour(s), 3);
	prowl_store_close(s);
}

/* The last two hours stay, whatever the bound. */
STORE_TEST(the_last_two_hours_stay)
{
	struct prowl_store_options o = {
		.path = *state, .no_fsync = true, .min_free = 1, .max_bytes = 1};
	struct prowl_store *s = open_with(&o);

	put_hours(s, 0, 5);
	assert_int_equal(oldest_hour(s), 3);
	prowl_store_close(s);
}

STORE_TEST(age_deletes_a_part_only)
{
	struct prowl_store_options o = {.path = *state,
					.no_fsync = true,
					.min_free = 1,
					.max_age_ns = 10 * HOUR,
					.max_delete_fraction = 0.1};
	struct prowl_store *s = open_with(&o);

	put_hours(s, 0, 40);
	assert_true(oldest_hour(s) >= 2 && oldest_hour(s) <= 4);
	prowl_store_close(s);
}

STORE_TEST(a_clock_in_2099_deletes_nothing)
{
	struct prowl_store_options o = {
		.path = *state, .no_fsync = true, .min_free = 1, .max_age_ns = 100 * HOUR};
	struct prowl_store *s = open_with(&o);

	put_hours(s, 0, 30);
	put_cpu(s, "etcd", 70ll * 365 * 24 * HOUR, 1);
	prowl_store_close(s);
	s = open_with(&o);
	tick(s, 70ll * 365 * 24 * HOUR + MINUTE);
	assert_int_equal(oldest_hour(s), 0);
	prowl_store_close(s);
}

STORE_TEST(hours_can_be_deleted)
{
	struct prowl_store *s = open_store(*state);
	uint64_t bytes = 0;

	put_hours(s, 0, 3);
	assert_int_equal(prowl_store_delete(s, T0 + MINUTE, T0 + 2 * HOUR, &bytes, NULL), PROWL_OK);
	assert_true(bytes > 0);
	assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 2);
	assert_int_equal(merged_samples(s, "etcd", HOUR, 2 * HOUR), -1);
	assert_int_equal(merged_samples(s, "etcd", 2 * HOUR, 3 * HOUR), 2);
	prowl_store_close(s);
}

/* --- events ---------------------------------------------------------------------- */

STORE_TEST(events_are_kept_with_their_files)
{
	struct prowl_store *s = open_store(*state);
	struct prowl_series *series = make_series("etcd", NULL);
	struct pprof_profile *p = make_level(3);
	struct prowl_store_event e = {.time = T0 + 902 * SECOND,
				      .kind = "memory",
				      .summary = "92 % of 1 GiB",
				      .series = series,
				      .pid = 4242,
				      .details = "{\"limit\":1073741824}"};
	const struct prowl_store_capture files[] = {
		{.name = "heap.pb.gz", .profile = p},
		{.name = "goroutines.txt", .bytes = "goroutine 1", .len = 11},
	};
	const struct prowl_store_capture outside = {.name = "../x", .bytes = "", .len = 0};
	struct prowl_query q = {.from = T0};
	struct prowl_store_events *all;
	char id[PROWL_STORE_ID], again[PROWL_STORE_ID], text[32];
	int fd;

	assert_int_equal(prowl_store_event_put(s, &e, files, 2, id, NULL), PROWL_OK);
	assert_string_equal(id, "2026-11-30/081502Z-etcd-4242-memory");
	assert_int_equal(prowl_store_event_put(s, &e, NULL, 0, again, NULL), PROWL_OK);
	assert_string_equal(again, "2026-11-30/081502Z-etcd-4242-memory-2");
	assert_int_equal(prowl_store_event_put(s, &e, &outside, 1, again, NULL), PROWL_FAILED);
	assert_int_equal(prowl_store_events(s, &q, &all, NULL), PROWL_OK);
	assert_int_equal(all->n, 2);
	assert_string_equal(all->rows[1].id, id);
	assert_int_equal(all->rows[1].nfiles, 2);
	assert_int_equal(all->rows[1].event.time, e.time);
	assert_string_equal(all->rows[1].event.details, e.details);
	assert_string_equal(prowl_series_get(all->rows[1].event.series, "service"), "etcd");
	prowl_store_events_free(all);
	fd = prowl_store_event_open(s, id, "goroutines.txt");
	assert_true(fd >= 0);
	assert_int_equal(read(fd, text, sizeof text), 11);
	close(fd);
	assert_true(prowl_store_event_open(s, id, "../../../store.json") < 0);
	assert_true(prowl_store_event_open(s, "../data", "store.json") < 0);
	prowl_series_free(series);
	pprof_profile_free(p);
	prowl_store_close(s);
}

STORE_TEST(an_event_of_2099_deletes_no_other)
{
	struct prowl_store *s = open_store(*state);
	struct prowl_query q = {0};
	struct prowl_store_events *events;

	for (int i = 0; i < 20; i++) {
		struct prowl_store_event e = {
			.time = T0 + i * HOUR, .kind = "memory", .summary = "much", .pid = i + 1};

		if (i == 19)
			e.time = T0 + 73ll * 365 * 24 * HOUR;
		assert_int_equal(prowl_store_event_put(s, &e, NULL, 0, NULL, NULL), PROWL_OK);
	}
	tick(s, 20 * HOUR);
	assert_int_equal(prowl_store_events(s, &q, &events, NULL), PROWL_OK);
	assert_int_equal(events->n, 20);
	prowl_store_events_free(events);
	prowl_store_close(s);
}

STORE_TEST(the_oldest_events_go_but_not_those_to_keep)
{
	struct prowl_store_options o = {
		.path = *state, .no_fsync = true, .min_free = 1, .events_max = 3};
	struct prowl_store *s = open_with(&o);
	struct prowl_query q = {.from = T0};
	struct prowl_store_events *all;
	char first[PROWL_STORE_ID] = "", id[PROWL_STORE_ID] = "";

	for (int i = 0; i < 6; i++) {
		struct prowl_store_event e = {
			.time = T0 + i * MINUTE, .kind = "memory", .keep = i == 1};

		assert_int_equal(prowl_store_event_put(s, &e, NULL, 0, i ? id : first, NULL),
				 PROWL_OK);
	}
	assert_int_equal(prowl_store_event_keep(s, first, true, NULL), PROWL_OK);
	tick(s, HOUR);
	assert_int_equal(prowl_store_events(s, &q, &all, NULL), PROWL_OK);
	assert_int_equal(all->n, 5);
	assert_string_equal(all->rows[4].id, first);
	prowl_store_events_free(all);
	assert_int_equal(prowl_store_event_keep(s, first, false, NULL), PROWL_OK);
	tick(s, HOUR + MINUTE);
	assert_int_equal(prowl_store_events(s, &q, &all, NULL), PROWL_OK);
	assert_int_equal(all->n, 4);
	assert_true(all->rows[3].event.keep);
	prowl_store_events_free(all);
	prowl_store_close(s);
}
