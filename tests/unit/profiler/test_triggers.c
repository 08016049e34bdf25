/* SPDX-License-Identifier: Apache-2.0 */
/* When triggers fire, and how much memory a cgroup has left. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup_memory.h"
#include "triggers.h"
#include "unit_test.h"

#define S UINT64_C(1000000000)

static const struct roster_id one = {1, 1}, two = {2, 2};

static unsigned int fired;
static char last[200];

static void fire(void *ctx, const struct prowl_trigger *t, const char *why)
{
	fired++;
	snprintf(last, sizeof last, "%s: %s", t->name, why);
}

/* Looks at a process with one figure; how often something fired. */
static unsigned int look(struct triggers *t, struct roster_id id, uint64_t at,
			 enum prowl_trigger_figure figure, double value, double limit)
{
	struct trigger_figures f = {.limit = limit};

	for (size_t i = 0; i < PROWL_TRIGGER_FIGURES; i++)
		f.value[i] = -1;
	f.value[figure] = value;
	fired = 0;
	triggers_look(t, id, at, &f, fire, NULL);
	return fired;
}

static struct prowl_trigger cpu_above(double value)
{
	return (struct prowl_trigger){
		.name = "busy",
		.when = {{PROWL_TRIGGER_CPU, PROWL_ABOVE, .value = value}},
		.nwhen = 1,
		.cooldown = 60 * S,
		.max_per_day = 3,
	};
}

TEST(a_condition_must_hold_for_its_time)
{
	struct prowl_trigger t = cpu_above(1);
	struct triggers *all;

	t.for_ = 10 * S;
	all = triggers_new(&t, 1, 100);
	assert_int_equal(look(all, one, 1000 * S, PROWL_TRIGGER_CPU, 2, -1), 0);
	assert_int_equal(look(all, one, 1009 * S, PROWL_TRIGGER_CPU, 2, -1), 0);
	/* It begins anew. */
	assert_int_equal(look(all, one, 1010 * S, PROWL_TRIGGER_CPU, 1, -1), 0);
	assert_int_equal(look(all, one, 1011 * S, PROWL_TRIGGER_CPU, 2, -1), 0);
	assert_int_equal(look(all, one, 1020 * S, PROWL_TRIGGER_CPU, 2, -1), 0);
	assert_int_equal(look(all, one, 1021 * S, PROWL_TRIGGER_CPU, 2, -1), 1);
	assert_string_equal(last, "busy: cpu is 2, above 1");
	triggers_free(all);
}

TEST(it_fires_again_after_a_while_and_not_too_often)
{
	struct prowl_trigger t = cpu_above(1);
	struct triggers *all = triggers_new(&t, 1, 100);
	unsigned int n = 0;

	assert_int_equal(look(all, one, 1000 * S, PROWL_TRIGGER_CPU, 2, -1), 1);
	assert_int_equal(look(all, one, 1059 * S, PROWL_TRIGGER_CPU, 2, -1), 0);
	/* Another process has a cool-down of its own. */
	assert_int_equal(look(all, two, 1059 * S, PROWL_TRIGGER_CPU, 2, -1), 1);
	assert_int_equal(look(all, one, 1060 * S, PROWL_TRIGGER_CPU, 2, -1), 1);
	for (uint64_t i = 0; i < 1000; i++)
		n += look(all, one, (1100 + i * 60) * S, PROWL_TRIGGER_CPU, 2, -1);
	assert_int_equal(n, 1);
	assert_int_equal(look(all, one, (1000 + 86400) * S, PROWL_TRIGGER_CPU, 2, -1), 1);
	triggers_free(all);
}

TEST(an_hour_has_a_bound_for_all_processes)
{
	struct prowl_trigger t = cpu_above(1);
	struct triggers *all = triggers_new(&t, 1, 5);
	unsigned int n = 0;

	for (pid_t pid = 1; pid <= 100; pid++)
		n += look(all, (struct roster_id){pid, 1}, 5000 * S, PROWL_TRIGGER_CPU, 2, -1);
	assert_int_equal(n, 5);
	n = look(all, (struct roster_id){200, 1}, (5000 + 3600) * S, PROWL_TRIGGER_CPU, 2, -1);
	assert_int_equal(n, 1);
	triggers_free(all);
}

TEST(a_share_is_of_the_limit)
{
	struct prowl_trigger t = cpu_above(0);
	struct triggers *all;

	t.when[0] = (struct prowl_condition){PROWL_TRIGGER_MEMORY, PROWL_ABOVE_LIMIT, .value = 0.9};
	all = triggers_new(&t, 1, 5);
	assert_int_equal(look(all, one, 1 * S, PROWL_TRIGGER_MEMORY, 1e9, -1), 0);
	assert_int_equal(look(all, one, 1 * S, PROWL_TRIGGER_MEMORY, 1e9, 0), 0);
	assert_int_equal(look(all, one, 1 * S, PROWL_TRIGGER_MEMORY, 900, 1000), 0);
	assert_int_equal(look(all, one, 1 * S, PROWL_TRIGGER_MEMORY, -1, 1000), 0);
	assert_int_equal(look(all, one, 1 * S, PROWL_TRIGGER_MEMORY, 930, 1000), 1);
	assert_string_equal(last, "busy: memory is 93 % of the limit of 1000 bytes");
	triggers_free(all);
}

TEST(a_median_needs_a_past_and_isnt_moved_by_a_peak)
{
	struct prowl_trigger t = cpu_above(0);
	struct triggers *all;
	uint64_t at = 1000 * S;

	t.when[0] = (struct prowl_condition){PROWL_TRIGGER_GOROUTINES, PROWL_ABOVE_MEDIAN, 3,
					     .span = 3600 * S};
	t.min = 500;
	all = triggers_new(&t, 1, 5);
	assert_int_equal(look(all, one, at, PROWL_TRIGGER_GOROUTINES, 5000, -1), 0);
	for (int i = 0; i < 30; i++)
		assert_int_equal(look(all, one, at += 60 * S, PROWL_TRIGGER_GOROUTINES, 100, -1),
				 0);
	/* Above the median, below the least. */
	assert_int_equal(look(all, one, at += 60 * S, PROWL_TRIGGER_GOROUTINES, 400, -1), 0);
	assert_int_equal(look(all, one, at += 60 * S, PROWL_TRIGGER_GOROUTINES, 600, -1), 1);
	triggers_free(all);
}

TEST(processes_that_are_gone_are_forgotten)
{
	struct prowl_trigger t = cpu_above(1);
	struct triggers *all = triggers_new(&t, 1, 100);

	assert_int_equal(look(all, one, 1000 * S, PROWL_TRIGGER_CPU, 2, -1), 1);
	triggers_forget(all, 1000 * S);
	assert_int_equal(look(all, one, 1001 * S, PROWL_TRIGGER_CPU, 2, -1), 0);
	triggers_forget(all, 1002 * S);
	assert_int_equal(look(all, one, 1003 * S, PROWL_TRIGGER_CPU, 2, -1), 1);
	triggers_free(all);
}

TEST(memory_that_grows_is_looked_at_in_time)
{
	/* 1 GB/s with 5 % of 10 GB left: a quarter of half a second. */
	assert_int_equal(triggers_next(8.5e9, 9.5e9, S, 10e9), S / 8);
	assert_int_equal(triggers_next(9.98e9, 9.99e9, S / 100, 10e9), S / 50);
	assert_int_equal(triggers_next(1e9, 1e9, S, 10e9), S);
	assert_int_equal(triggers_next(-1, 1e9, S, 10e9), S);
	assert_int_equal(triggers_next(1e9, 1.0001e9, S, 10e9), S);
	assert_int_equal(triggers_next(1e9, 11e9, S, 10e9), S / 50);
}

/* --- cgroups -----------------------------------------------------------------------------------
 */

static char root[] = "/tmp/prowl-cgroup-XXXXXX";

static int make_root(void **state)
{
	return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	return remove(path);
}

static int remove_root(void **state)
{
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TEST_GROUP(make_root, remove_root);

static void put(const char *path, const char *text)
{
	char full[1024];
	FILE *f;

	snprintf(full, sizeof full, "%s/%s", root, path);
	for (char *s = full + strlen(root) + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		mkdir(full, 0700);
		*s = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

TEST(the_lowest_limit_above_a_group_counts)
{
	struct cgroup_memory m;

	put("a/memory.current", "3000\n");
	put("a/memory.max", "4000\n");
	put("a/b/memory.current", "1000\n");
	put("a/b/memory.max", "max\n");
	put("a/c/memory.current", "500\n");
	put("a/c/memory.max", "600\n");
	put("d/memory.current", "7\n");
	assert_true(cgroup_memory(root, "/a/b", &m));
	assert_true(m.current == 3000 && m.limit == 4000);
	assert_true(cgroup_memory(root, "/a/c", &m));
	assert_true(m.current == 500 && m.limit == 600);
	assert_true(cgroup_memory(root, "/a/c/gone", &m));
	assert_true(m.current == 500 && m.limit == 600);
	assert_true(cgroup_memory(root, "/d", &m));
	assert_true(m.current == 7 && m.limit == 0);
	assert_false(cgroup_memory(root, "/x", &m));
	assert_false(cgroup_memory(root, "", &m));
	assert_false(cgroup_memory(root, "/../a", &m));
}

TEST(version_1_has_other_names)
{
	struct cgroup_memory m;

	put("memory/docker/x/memory.usage_in_bytes", "12345\n");
	put("memory/docker/x/memory.limit_in_bytes", "20000\n");
	put("memory/docker/memory.usage_in_bytes", "99999\n");
	put("memory/docker/memory.limit_in_bytes", "9223372036854771712\n");
	assert_true(cgroup_memory(root, "/docker/x", &m));
	assert_true(m.current == 12345 && m.limit == 20000);
	assert_true(cgroup_memory(root, "/docker", &m));
	assert_true(m.current == 99999 && m.limit == 0);
	put("memory/docker/y/memory.usage_in_bytes", "no number\n");
	assert_true(cgroup_memory(root, "/docker/y", &m));
	assert_true(m.current == 99999);
}
