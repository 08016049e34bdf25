/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles of windows that are made up: no session, no sampler, no process but this one. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pprof.h"
#include "space.h"
#include "stackkey.h"
#include "walk.h"
#include "window.h"
#include "unit_test.h"

enum { PERIOD = 10000000, HASH_LEN = 1 << 25, PROCESSES = 3 };

static const struct prowl_event_kind clock_kind = {.name = "cpu-clock",
						   .type = "cpu",
						   .unit = "nanoseconds",
						   .period_type = "cpu",
						   .period_unit = "nanoseconds",
						   .scale_to_charge = true};
static const struct prowl_event_kind fault_kind = {.name = "page-faults",
						   .type = "page_faults",
						   .unit = "count",
						   .period_type = "page_faults",
						   .period_unit = "count"};

__attribute__((noinline, used)) void window_leaf(void);
__attribute__((noinline, used)) void window_leaf(void)
{
	__asm__ volatile("nop; nop; nop");
}

__attribute__((noinline, used)) void window_root(void);
__attribute__((noinline, used)) void window_root(void)
{
	window_leaf();
	__asm__ volatile("nop");
}

#define LEAF ((uint64_t)(uintptr_t)window_leaf)
#define ROOT ((uint64_t)(uintptr_t)window_root)

/* Three processes, the last one without an image of its own. */
static struct uw_binaries files;
static struct uw_space spaces[2];
static struct prowl_residency residency;
static struct prowl_names names;
static struct prowl_stackhash hash;
static void *hash_mem;
static struct prowl_window_image images[PROCESSES];
static struct prowl_window_process processes[PROCESSES];
static struct prowl_window window;

static struct { /* what was handed out */
	pid_t pid;
	struct pprof_profile *p;
} got[PROCESSES + 1];
static size_t ngot;
static struct prowl_made made;

static int setup(void **state)
{
	const struct prowl_stackhash_geometry geometry = {.log2_slots = 14, .words = 1 << 19};

	ngot = 0;
	files = (struct uw_binaries){0};
	for (size_t i = 0; i < 2; i++) {
		uw_space_init(&spaces[i], &files, getpid());
		if (uw_space_load(&spaces[i]) < 0)
			return -1;
	}
	prowl_residency_init(&residency);
	names = (struct prowl_names){.files = &files, .residency = &residency};
	hash_mem = mmap(NULL, HASH_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (hash_mem == MAP_FAILED ||
	    prowl_stackhash_init(hash_mem, HASH_LEN, &geometry, &hash) != 0)
		return -1;
	images[0] = (struct prowl_window_image){.space = &spaces[0], .process = 0};
	images[1] = (struct prowl_window_image){0};
	images[2] = (struct prowl_window_image){.space = &spaces[1], .process = 1};
	processes[0] = (struct prowl_window_process){
		.pid = 100, .comm = "first", .space = &spaces[0], .scale = 1};
	processes[1] = (struct prowl_window_process){
		.pid = 200, .comm = "second", .space = &spaces[1], .scale = 1};
	processes[2] = (struct prowl_window_process){.pid = 300, .comm = "", .scale = 1};
	window = (struct prowl_window){.kind = &clock_kind,
				       .period = PERIOD,
				       .wall_start = 1700000000000000000,
				       .duration_ns = 5000,
				       .hash = &hash,
				       .images = images,
				       .nimages = 3,
				       .processes = processes,
				       .nprocesses = PROCESSES,
				       .label_processes = true,
				       .last = true,
				       .kernel = true,
				       .hurry_fd = -1,
				       .names = &names};
	return 0;
}

static int teardown(void **state)
{
	for (size_t i = 0; i < ngot; i++)
		pprof_profile_free(got[i].p);
	prowl_kernel_names_fini(&names.kernel);
	prowl_symbol_cache_fini(&names.native);
	prowl_residency_fini(&residency);
	uw_space_fini(&spaces[0]);
	uw_space_fini(&spaces[1]);
	uw_binaries_fini(&files);
	munmap(hash_mem, HASH_LEN);
	return 0;
}

static void add(uint32_t image, uint64_t count, uint64_t weight, uint64_t pc, uint64_t caller)
{
	struct prowl_stackkey key = {.image = image, .end = UW_END_ROOT, .nuser = 2};
	uint64_t words[PROWL_KEY_WORDS];
	size_t n;

	key.pcs[0] = pc;
	key.pcs[1] = caller;
	n = prowl_stackkey_pack(&key, 0, words);
	assert_int_equal(prowl_stackhash_add(&hash, words, n, count, weight), 0);
	window.samples += count;
	window.sampled += weight;
	if (images[image].space)
		processes[images[image].process].sampled += weight;
}

static int take(void *ctx, pid_t pid, struct pprof_profile *p)
{
	assert_true(ngot < PROCESSES + 1);
	got[ngot].pid = pid;
	got[ngot++].p = p;
	return ctx && ngot == *(size_t *)ctx ? 77 : 0;
}

static void make(enum prowl_group group)
{
	struct prowl_window before = window;

	assert_int_equal(prowl_stackhash_flip(&hash, 1000, NULL, NULL), 0);
	assert_int_equal(prowl_window_profiles(&window, group, take, NULL, &made), 0);
	assert_memory_equal(&window, &before, sizeof window);
}

static struct pprof_profile *profile_of(pid_t pid)
{
	for (size_t i = 0; i < ngot; i++) {
		if (got[i].pid == pid)
			return got[i].p;
	}
	fail_msg("no profile of process %d", (int)pid);
	return NULL;
}

static const char *frame(const struct pprof_profile *p, size_t sample, uint32_t i)
{
	const struct pprof_location *l = &p->locations[pprof_sample_stack(p, sample)[i]];

	return p->strings[p->functions[p->lines[l->first_line].function].name];
}

/* The values of the sample with this leaf, or NULL. */
static const int64_t *values_at(const struct pprof_profile *p, const char *leaf)
{
	for (size_t i = 0; i < p->nsamples; i++) {
		if (!strcmp(frame(p, i, 0), leaf))
			return pprof_sample_values(p, i);
	}
	return NULL;
}

static void expect(const struct pprof_profile *p, const char *leaf, int64_t samples, int64_t weight)
{
	const int64_t *v = values_at(p, leaf);

	if (!v)
		fail_msg("no sample at %s", leaf);
	assert_int_equal(v[0], samples);
	assert_int_equal(v[1], weight);
}

/* Each process has its own stacks, scale and loss, and nothing of the others'. */
TEST_WITH(test_by_process, setup, teardown)
{
	add(0, 3, 3 * PERIOD, LEAF, ROOT);
	add(2, 4, 4 * PERIOD, LEAF, ROOT);
	add(2, 1, 1 * PERIOD, ROOT, LEAF);
	processes[1].scale = 2;
	processes[0].unsampled = 500;
	make(PROWL_BY_PROCESS);
	assert_int_equal(ngot, 2);
	assert_int_equal(profile_of(100)->nsamples, 2);
	expect(profile_of(100), "window_leaf", 3, 3 * PERIOD);
	expect(profile_of(100), "[not sampled]", 0, 500);
	assert_int_equal(profile_of(200)->nsamples, 2);
	expect(profile_of(200), "window_leaf", 4, 8 * PERIOD);
	expect(profile_of(200), "window_root", 1, 2 * PERIOD);
	assert_int_equal(made.unsampled, 500);
	for (size_t i = 0; i < ngot; i++) {
		const struct pprof_profile *p = got[i].p;

		assert_int_equal(p->time_nanos, window.wall_start);
		assert_int_equal(p->duration_nanos, 5000);
		assert_int_equal(p->period, PERIOD);
		assert_int_equal(p->ncomments, 0);
		assert_string_equal(p->strings[p->sample_types[1].type], "cpu");
		assert_true(strstr(p->strings[p->mappings[0].filename], "test_window") != NULL);
		for (size_t k = 0; k < p->nsamples; k++)
			assert_int_equal(p->samples[k].nlabels, 0);
	}
}

/* What belongs to no single process is in a profile of none, and nothing counts twice. */
TEST_WITH(test_of_none, setup, teardown)
{
	window.kernel = false;
	add(0, 2, 2 * PERIOD, LEAF, ROOT);
	add(2, 2, 2 * PERIOD, LEAF, ROOT);
	window.lost = 1;
	window.unsampled = 700;
	window.kernel_ns = 90;
	processes[0].kernel = 30;
	processes[1].kernel = 40;
	make(PROWL_BY_PROCESS);
	assert_int_equal(ngot, 3);
	assert_int_equal(profile_of(0)->nsamples, 3);
	expect(profile_of(0), "[lost]", 1, PERIOD);
	expect(profile_of(0), "[not sampled]", 0, 700);
	expect(profile_of(0), "[kernel, not sampled]", 0, 90 - 30 - 40);
	expect(profile_of(100), "[kernel, not sampled]", 0, 30);
	expect(profile_of(200), "[kernel, not sampled]", 0, 40);
}

/* The same window as one profile: its samples are labelled by process. */
TEST_WITH(test_together, setup, teardown)
{
	size_t labelled = 0;

	add(0, 3, 3 * PERIOD, LEAF, ROOT);
	add(2, 4, 4 * PERIOD, LEAF, ROOT);
	make(PROWL_TOGETHER);
	assert_int_equal(ngot, 1);
	assert_int_equal(got[0].pid, 0);
	assert_int_equal(got[0].p->nsamples, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct pprof_label *l = pprof_sample_labels(got[0].p, i);

		assert_int_equal(got[0].p->samples[i].nlabels, 2);
		assert_string_equal(got[0].p->strings[l[0].key], "pid");
		labelled += (size_t)l[0].num;
		assert_string_equal(got[0].p->strings[l[1].str],
				    l[0].num == 100 ? "first" : "second");
	}
	assert_int_equal(labelled, 300);
}

/* Processes and windows without anything in them. */
TEST_WITH(test_empty, setup, teardown)
{
	make(PROWL_BY_PROCESS);
	assert_int_equal(ngot, 0);
	make(PROWL_TOGETHER);
	assert_int_equal(ngot, 1);
	assert_int_equal(got[0].p->nsamples, 0);
}

/* Keys of an image that is none, and of numbers beyond the images, are passed over. */
TEST_WITH(test_no_image, setup, teardown)
{
	add(0, 1, PERIOD, LEAF, ROOT);
	add(1, 5, 5 * PERIOD, LEAF, ROOT);
	make(PROWL_BY_PROCESS);
	assert_int_equal(ngot, 1);
	assert_int_equal(profile_of(100)->nsamples, 1);
}

/* Kernel addresses are named once a window, and are locations of each profile that has them. */
TEST_WITH(test_kernel, setup, teardown)
{
	struct prowl_stackkey key = {.end = UW_END_ROOT, .nkernel = 1, .nuser = 1};
	uint64_t words[PROWL_KEY_WORDS];

	key.pcs[0] = 0xffffffff81000000;
	key.pcs[1] = LEAF;
	for (uint32_t image = 0; image < 3; image += 2) {
		size_t n;

		key.image = image;
		n = prowl_stackkey_pack(&key, 0, words);
		assert_int_equal(prowl_stackhash_add(&hash, words, n, 1, PERIOD), 0);
	}
	make(PROWL_BY_PROCESS);
	assert_int_equal(ngot, 2);
	assert_true(made.kernel_sampled);
	for (size_t i = 0; i < 2; i++) {
		const struct pprof_profile *p = got[i].p;
		const struct pprof_location *l = &p->locations[pprof_sample_stack(p, 0)[0]];

		assert_int_equal(p->nsamples, 1);
		assert_int_equal(p->samples[0].nlocations, 2);
		assert_true(l->mapping != PPROF_NONE);
		assert_string_equal(p->strings[p->mappings[l->mapping].filename],
				    "[kernel.kallsyms]");
		assert_string_equal(frame(p, 0, 1), "window_leaf");
	}
}

/* Types, units and period are those of the event; weights that are no time are not scaled. */
TEST_WITH(test_kind, setup, teardown)
{
	const struct pprof_profile *p;

	window.kind = &fault_kind;
	window.period = 1;
	add(0, 3, 170, LEAF, ROOT);
	make(PROWL_BY_PROCESS);
	p = profile_of(100);
	assert_int_equal(p->nsample_types, 2);
	assert_string_equal(p->strings[p->sample_types[0].type], "samples");
	assert_string_equal(p->strings[p->sample_types[1].type], "page_faults");
	assert_string_equal(p->strings[p->sample_types[1].unit], "count");
	assert_string_equal(p->strings[p->period_type.type], "page_faults");
	assert_int_equal(p->period, 1);
	expect(p, "window_leaf", 3, 170);
}

/* An error of the callee ends the calls and is returned; the rest is freed. */
TEST_WITH(test_refused, setup, teardown)
{
	size_t first = 1;

	add(0, 3, 3 * PERIOD, LEAF, ROOT);
	add(2, 4, 4 * PERIOD, LEAF, ROOT);
	assert_int_equal(prowl_stackhash_flip(&hash, 1000, NULL, NULL), 0);
	assert_int_equal(prowl_window_profiles(&window, PROWL_BY_PROCESS, take, &first, &made), 77);
	assert_int_equal(ngot, 1);
}
