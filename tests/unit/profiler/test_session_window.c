/* SPDX-License-Identifier: Apache-2.0 */
/* A profile out of a session whose stack hash and counters were filled by hand. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pprof.h"
#include "charge.h"
#include "clock.h"
#include "perf_sampler.h"
#include "session_parts.h"
#include "unit_test.h"

enum { PERIOD = 10000000, HASH_LEN = 1 << 25 };

/* Nothing samples here. */
static struct prowl_sampler sampler;

__attribute__((noinline, used)) void hand_leaf(void);
__attribute__((noinline, used)) void hand_leaf(void)
{
	__asm__ volatile("nop; nop; nop");
}

__attribute__((noinline, used)) void hand_root(void);
__attribute__((noinline, used)) void hand_root(void)
{
	hand_leaf();
	__asm__ volatile("nop");
}

#define LEAF ((uint64_t)(uintptr_t)hand_leaf)
#define ROOT ((uint64_t)(uintptr_t)hand_root)

static struct prowl_session s;
static struct prowl_proc *proc;
static struct pprof_profile *profile;

static int setup(void **state)
{
	const struct prowl_stackhash_geometry geometry = {.log2_slots = 14, .words = 1 << 19};

	s = (struct prowl_session){.wake_fd = -1, .stopped = true};
	sampler = (struct prowl_sampler){.ops = &prowl_perf, .facts = {.kernel = true}};
	s.sampler = &sampler;
	s.o.sampler = &prowl_perf;
	s.o.now = prowl_now;
	s.o.rate = 100;
	s.result.period_ns = PERIOD;
	s.result.kernel = true;
	s.hash_len = HASH_LEN;
	s.hash_mem = mmap(NULL, s.hash_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
	if (s.hash_mem == MAP_FAILED ||
	    prowl_stackhash_init(s.hash_mem, s.hash_len, &geometry, &s.hash) != 0)
		return -1;
	profile = NULL;
	return prowl_procs_add(&s.procs, getpid(), true, &proc);
}

static int teardown(void **state)
{
	pprof_profile_free(profile);
	prowl_labels_free(s.labels);
	prowl_kernel_names_fini(&s.names.kernel);
	prowl_symbol_cache_fini(&s.names.native);
	prowl_timeline_fini(&s.timeline);
	prowl_procs_fini(&s.procs);
	munmap(s.hash_mem, s.hash_len);
	return 0;
}

static void add_key(struct prowl_stackkey *key, uint64_t count)
{
	uint64_t words[PROWL_KEY_WORDS];
	size_t n = prowl_stackkey_pack(key, 0, words);

	assert_int_equal(prowl_stackhash_add(&s.hash, words, n, count, count * PERIOD), 0);
	s.result.samples += count;
	proc->samples += count;
	proc->sampled += count * PERIOD;
	s.result.sampled_ns += count * PERIOD;
	proc->square += (double)count * PERIOD * PERIOD;
}

static void add(enum uw_end end, uint32_t labels, uint64_t count, uint64_t pc, uint64_t caller)
{
	struct prowl_stackkey key = {.end = (uint8_t)end, .labels = labels, .nuser = 2};

	key.pcs[0] = pc;
	key.pcs[1] = caller;
	add_key(&key, count);
}

/* The kernel charged that many periods. */
static void charge(uint64_t periods)
{
	proc->cpu_first = 500;
	proc->cpu_last = 500 + periods * PERIOD;
	s.result.cpu_ns = periods * PERIOD;
}

static int keep(void *ctx, pid_t pid, struct pprof_profile *p)
{
	assert_null(profile);
	profile = p;
	return 0;
}

static void build(void)
{
	struct prowl_err err;

	assert_int_equal(prowl_session_build(&s, &profile, &err), PROWL_OK);
	assert_int_equal(profile->nsample_types, 2);
}

/* The stack as text, leaf first. */
static const char *stack(size_t sample)
{
	static char text[1024];
	size_t at = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < profile->samples[sample].nlocations; i++) {
		const struct pprof_location *l =
			&profile->locations[pprof_sample_stack(profile, sample)[i]];
		const struct pprof_function *f =
			&profile->functions[profile->lines[l->first_line].function];

		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? ";" : "",
				       profile->strings[f->name]);
	}
	return text;
}

static void expect(const char *what, int64_t samples, int64_t periods)
{
	for (size_t i = 0; i < profile->nsamples; i++) {
		const int64_t *v = pprof_sample_values(profile, i);

		if (strcmp(stack(i), what) != 0)
			continue;
		assert_int_equal(v[0], samples);
		assert_int_equal(v[1], periods * PERIOD);
		return;
	}
	for (size_t i = 0; i < profile->nsamples; i++)
		print_message("# there is %s\n", stack(i));
	fail_msg("no stack %s", what);
}

static int64_t total(void)
{
	int64_t sum = 0;

	for (size_t i = 0; i < profile->nsamples; i++)
		sum += pprof_sample_values(profile, i)[1];
	return sum / PERIOD;
}

static bool has_comment(const char *part)
{
	for (size_t i = 0; i < profile->ncomments; i++)
		if (strstr(profile->strings[profile->comments[i]], part))
			return true;
	return false;
}

TEST_WITH(test_marks, setup, teardown)
{
	add(UW_END_ROOT, 0, 3, LEAF, ROOT);
	add(UW_END_TRUNCATED, 0, 2, LEAF, ROOT);
	add(UW_END_NO_MEM, 0, 1, ROOT, LEAF);
	add(UW_END_UNKNOWN, 0, 4, LEAF, ROOT);
	add(UW_END_ROOT, 0, 5, 0, ROOT);
	add(UW_END_ROOT, 0, 6, 0x1000, ROOT); /* nothing is mapped there */
	charge(21);
	build();
	assert_int_equal(profile->nsamples, 6);
	expect("hand_leaf;hand_root", 3, 3);
	expect("hand_leaf;hand_root;[truncated]", 2, 2);
	expect("hand_root;hand_leaf;[truncated]", 1, 1);
	expect("hand_leaf;hand_root;[unknown]", 4, 4);
	assert_int_equal(s.result.unknown_frames, 11);
	assert_int_equal(total(), 21);
	assert_true(has_comment("with unknown frames: 11"));
	assert_true(has_comment("per thread, kernel and user"));
	assert_true(has_comment("samples: 21; lost: 0; dropped: 0; damaged: 0; throttled: 0"));
}

/* A sample always has a frame. */
TEST_WITH(test_no_frame, setup, teardown)
{
	struct prowl_stackkey key = {.end = UW_END_ROOT};

	add_key(&key, 2);
	charge(2);
	build();
	assert_int_equal(profile->nsamples, 1);
	expect("[unknown]", 2, 2);
	assert_int_equal(s.result.unknown_frames, 2);
}

/* Lost samples are part of what the kernel charged. */
TEST_WITH(test_lost, setup, teardown)
{
	add(UW_END_ROOT, 0, 6, LEAF, ROOT);
	s.result.lost = 4;
	charge(20);
	build();
	assert_int_equal(profile->nsamples, 2);
	expect("hand_leaf;hand_root", 6, 12);
	expect("[lost]", 4, 8);
	assert_int_equal(total(), 20);
	assert_true(has_comment("samples: 6; lost: 4; dropped: 0"));
	assert_true(has_comment("cpu charged by the kernel: 0.200000 s"));
}

/* With whole CPUs they are of anyone: told, but no part of the profile. */
TEST_WITH(test_lost_of_cpus, setup, teardown)
{
	sampler.facts.whole_cpus = s.result.whole_cpus = true;
	add(UW_END_ROOT, 0, 5, LEAF, ROOT);
	s.result.lost = 4;
	s.result.seen = 5;
	charge(20);
	build();
	assert_int_equal(profile->nsamples, 1);
	expect("hand_leaf;hand_root", 5, 20);
	assert_true(has_comment("whole CPUs"));
	assert_true(has_comment("lost: 4"));
}

/* So are those for which the hash had no room. */
TEST_WITH(test_dropped, setup, teardown)
{
	static uint64_t words[PROWL_STACKHASH_KEY_MAX + 1];

	add(UW_END_ROOT, 0, 6, LEAF, ROOT);
	assert_int_equal(
		prowl_stackhash_add(&s.hash, words, PROWL_STACKHASH_KEY_MAX + 1, 2, 2 * PERIOD),
		PROWL_STACKHASH_DROPPED);
	s.result.samples += 2;
	s.result.sampled_ns += 2ull * PERIOD;
	proc->samples += 2;
	proc->sampled += 2ull * PERIOD;
	proc->square += 2.0 * PERIOD * PERIOD;
	charge(16);
	build();
	expect("hand_leaf;hand_root", 6, 12);
	expect("[lost]", 2, 4);
	assert_int_equal(total(), 16);
	assert_true(has_comment("dropped: 2"));
}

/* Kernel time that could not be sampled has a frame of its own; the rest is the user's share. */
TEST_WITH(test_no_kernel, setup, teardown)
{
	sampler.facts.kernel = s.result.kernel = false;
	add(UW_END_ROOT, 0, 6, LEAF, ROOT);
	charge(16);
	proc->utime_last = proc->utime_first + 12;
	proc->stime_last = proc->stime_first + 4;
	s.result.kernel_unsampled_ns = 4ull * PERIOD;
	build();
	expect("hand_leaf;hand_root", 6, 12);
	expect("[kernel, not sampled]", 4, 4);
	assert_int_equal(total(), 16);
	assert_true(has_comment("user only"));
	assert_true(has_comment("no permission to sample the kernel"));
}

/* No tick has fallen on user code, but samples have: their time is not the kernel's as well. */
TEST_WITH(test_no_user_tick, setup, teardown)
{
	sampler.facts.kernel = s.result.kernel = false;
	add(UW_END_ROOT, 0, 3, LEAF, ROOT);
	charge(5);
	proc->utime_last = proc->utime_first;
	proc->stime_last = proc->stime_first + 1;
	prowl_charge_update(&s);
	build();
	expect("hand_leaf;hand_root", 3, 3);
	expect("[kernel, not sampled]", 2, 2);
	assert_int_equal(total(), 5);
}

TEST_WITH(test_labels, setup, teardown)
{
	static struct uw_golabels set;
	size_t with = 0;
	uint32_t number;

	assert_int_equal(prowl_labels_new(&s.labels), 0);
	set.n = 1;
	set.label[0].key = "tenant";
	set.label[0].value = "red";
	set.label[0].key_len = 6;
	set.label[0].value_len = 3;
	number = prowl_labels_intern(s.labels, &set);
	assert_int_not_equal(number, 0);
	add(UW_END_ROOT, number, 3, LEAF, ROOT);
	add(UW_END_ROOT, 0, 2, LEAF, ROOT);
	s.result.labelled = 3;
	s.result.unlabelled = 2;
	charge(5);
	build();
	assert_int_equal(profile->nsamples, 2);
	for (size_t i = 0; i < profile->nsamples; i++) {
		const struct pprof_label *l = &profile->labels[profile->samples[i].first_label];

		if (profile->samples[i].nlabels == 0)
			continue;
		with++;
		assert_int_equal(profile->samples[i].nlabels, 1);
		assert_string_equal(profile->strings[l->key], "tenant");
		assert_string_equal(profile->strings[l->str], "red");
		assert_int_equal(pprof_sample_values(profile, i)[0], 3);
	}
	assert_int_equal(with, 1);
	assert_true(has_comment("labels: 3 samples labelled, 2 without labels"));
}

/* When the samples of one stack were taken, which is added as often. */
static void add_at(uint64_t pc, uint64_t caller, size_t n, const uint64_t *times)
{
	struct prowl_stackkey key = {.end = UW_END_ROOT, .nuser = 2, .pcs = {pc, caller}};
	uint64_t words[PROWL_KEY_WORDS], hash;

	hash = prowl_stackhash_hash(words, prowl_stackkey_pack(&key, 0, words));
	for (size_t i = 0; i < n; i++)
		prowl_timeline_add(&s.timeline, hash, times[i]);
	add_key(&key, n);
}

/* The value of a numeric label; 0 where the sample has none. */
static int64_t label_of(size_t sample, const char *key)
{
	const struct pprof_label *l = pprof_sample_labels(profile, sample);

	for (uint32_t i = 0; i < profile->samples[sample].nlabels; i++)
		if (!strcmp(profile->strings[l[i].key], key))
			return l[i].num;
	return 0;
}

/* Each sample has its wall time; their weights add up to the nanosecond. */
TEST_WITH(test_timeline, setup, teardown)
{
	const uint64_t leaf[] = {1300, 1100, 1200}, root[] = {1150};
	uint64_t seen = 0;

	assert_int_equal(prowl_timeline_init(&s.timeline), 0);
	s.from = 1000;
	s.wall_start = 1700000000000000000;
	add_at(LEAF, ROOT, 3, leaf);
	add_at(ROOT, LEAF, 1, root);
	charge(4);
	proc->cpu_last -= PERIOD + 1; /* no multiple of the samples */
	build();
	assert_int_equal(profile->nsamples, 4);
	for (size_t i = 0; i < profile->nsamples; i++) {
		int64_t ns = label_of(i, PPROF_LABEL_TIME) - s.wall_start;

		assert_int_equal(pprof_sample_values(profile, i)[0], 1);
		assert_string_equal(stack(i),
				    ns == 150 ? "hand_root;hand_leaf" : "hand_leaf;hand_root");
		assert_true(ns == 100 || ns == 150 || ns == 200 || ns == 300);
		seen += (uint64_t)ns;
	}
	assert_int_equal(seen, 750);
	assert_int_equal(s.result.timed, 4);
	assert_true(has_comment("timeline: 4 samples with their time, 0 without"));
	seen = 0;
	for (size_t i = 0; i < profile->nsamples; i++)
		seen += (uint64_t)pprof_sample_values(profile, i)[1];
	/* Each stack's sum is rounded once. */
	assert_in_range(seen, 3 * PERIOD - 2, 3 * PERIOD);
}

/* What comes after the last one that has room is counted, without a time. */
TEST_WITH(test_timeline_full, setup, teardown)
{
	const uint64_t before[] = {1001, 1002}, after[] = {1003, 1004, 1005};
	size_t untimed = 0;

	assert_int_equal(prowl_timeline_init(&s.timeline), 0);
	s.from = 1000;
	for (size_t i = 0; i < PROWL_TIMELINE_MAX - 2; i++)
		prowl_timeline_add(&s.timeline, 1, 1000); /* of no stack */
	add_at(LEAF, ROOT, 2, before);
	add_at(LEAF, ROOT, 3, after);
	charge(5);
	build();
	assert_int_equal(profile->nsamples, 3);
	for (size_t i = 0; i < profile->nsamples; i++) {
		if (label_of(i, PPROF_LABEL_TIME))
			continue;
		untimed++;
		assert_int_equal(pprof_sample_values(profile, i)[0], 3);
		assert_int_equal(pprof_sample_values(profile, i)[1], 3 * PERIOD);
	}
	assert_int_equal(untimed, 1);
	assert_int_equal(total(), 5);
	assert_int_equal(s.result.untimed, 3);
	assert_true(has_comment("timeline: 2 samples with their time, 3 without"));
}

/* Words that are no stack of this session are passed over. */
TEST_WITH(test_senseless, setup, teardown)
{
	struct prowl_stackkey key = {.image = 7, .end = UW_END_ROOT, .nuser = 1, .pcs = {0x1000}};
	/* Of image 0, with two addresses or more than any stack has, and a word each. */
	const uint64_t words[] = {2, 0x1000, 0x1000, 0x1000}, many[] = {UINT32_MAX >> 8, 1};

	add(UW_END_ROOT, 0, 3, LEAF, ROOT);
	charge(3);
	assert_int_equal(prowl_stackhash_add(&s.hash, words, 0, 1, PERIOD), 0);
	assert_int_equal(prowl_stackhash_add(&s.hash, words, 1, 1, PERIOD), 0);
	assert_int_equal(prowl_stackhash_add(&s.hash, words, 4, 1, PERIOD), 0);
	assert_int_equal(prowl_stackhash_add(&s.hash, many, 1, 1, PERIOD), 0);
	assert_int_equal(prowl_stackhash_add(&s.hash, many, 2, 1, PERIOD), 0);
	add_key(&key, 1);
	s.result.samples--;
	proc->samples--;
	proc->sampled -= PERIOD;
	build();
	assert_int_equal(profile->nsamples, 1);
	expect("hand_leaf;hand_root", 3, 3);
}

#define KERNEL_PC 0xffffffff81000000

/* One address in the kernel and in the program: each has its own name. */
TEST_WITH(test_kernel_and_user, setup, teardown)
{
	struct prowl_stackkey key = {.end = UW_END_ROOT, .nkernel = 1, .nuser = 2};

	s.result.kernel = true;
	key.pcs[0] = key.pcs[1] = LEAF;
	key.pcs[2] = ROOT;
	add_key(&key, 2);
	key.pcs[0] = KERNEL_PC;
	add_key(&key, 3);
	add(UW_END_ROOT, 0, 4, LEAF, ROOT);
	charge(9);
	build();
	assert_int_equal(total(), 9);
	expect("hand_leaf;hand_root", 4, 4);
	for (size_t i = 0; i < profile->nsamples; i++) {
		const char *text = stack(i);

		if (profile->samples[i].nlocations == 2)
			continue;
		assert_int_equal(profile->samples[i].nlocations, 3);
		assert_true(strncmp(text, "hand_", 5) != 0);
		assert_string_equal(strchr(text, ';'), ";hand_leaf;hand_root");
	}
	assert_int_equal(profile->nlocations, 4);
}

/* So many that the hash gives its memory back while it is read: none is lost or told twice. */
TEST_WITH(test_many, setup, teardown)
{
	enum { STACKS = 4500, DEPTH = 37 };
	struct prowl_stackkey key = {.end = UW_END_ROOT, .nkernel = DEPTH};
	static bool seen[STACKS];

	memset(seen, 0, sizeof seen);
	for (uint32_t i = 0; i < STACKS; i++) {
		for (uint32_t j = 0; j < DEPTH; j++)
			key.pcs[j] = KERNEL_PC + (i * 41 + j * 7) % 5000;
		key.pcs[0] = KERNEL_PC + 0x1000000 + i;
		add_key(&key, 1 + i % 3);
	}
	/* The first of a native frame comes late, in the middle of a stack. */
	for (uint32_t i = 0; i < 500; i++) {
		key.nkernel = 0;
		key.nuser = 2;
		key.pcs[0] = 0;
		key.pcs[1] = LEAF + i;
		add_key(&key, 1);
	}
	charge(STACKS * 2 + 500);
	build();
	assert_int_equal(total(), STACKS * 2 + 500);
	for (size_t i = 0; i < profile->nsamples; i++) {
		const struct pprof_location *leaf =
			&profile->locations[pprof_sample_stack(profile, i)[0]];
		uint64_t number = leaf->address - KERNEL_PC - 0x1000000;

		if (number >= STACKS)
			continue;
		assert_false(seen[number]);
		seen[number] = true;
		assert_int_equal(pprof_sample_values(profile, i)[0], 1 + number % 3);
	}
	for (uint32_t i = 0; i < STACKS; i++)
		assert_true(seen[i]);
}

/* Nothing was charged, or nothing seen: weights are what was counted. */
TEST_WITH(test_no_charge, setup, teardown)
{
	add(UW_END_ROOT, 0, 3, LEAF, ROOT);
	charge(0);
	build();
	expect("hand_leaf;hand_root", 3, 3);
}

TEST_WITH(test_empty, setup, teardown)
{
	charge(2);
	build();
	assert_int_equal(profile->nsamples, 1);
	expect("[not sampled]", 0, 2);
	assert_true(has_comment("samples: 0"));
	assert_true(has_comment("no sample stands for 0.020000 s"));
}

/* The kernel has charged that many periods since the first window began. */
static void next_window(uint64_t periods)
{
	pprof_profile_free(profile);
	profile = NULL;
	prowl_session_begin_window(&s);
	proc->cpu_last = 500 + periods * PERIOD;
	s.result.cpu_ns = periods * PERIOD;
}

static void name_window(void)
{
	s.stopped = false;
	proc->sampled_at_clock = proc->sampled;
	assert_int_equal(prowl_session_profiles(&s, PROWL_TOGETHER, keep, NULL), 0);
}

/* Each window has its own samples, loss and time, and together they have all that was charged. */
TEST_WITH(test_windows, setup, teardown)
{
	s.wall_start = 1000;
	add(UW_END_ROOT, 0, 4, LEAF, ROOT);
	charge(8);
	s.result.duration_ns = 100;
	name_window();
	expect("hand_leaf;hand_root", 4, 8);
	assert_int_equal(profile->time_nanos, 1000);
	assert_int_equal(profile->duration_nanos, 100);
	assert_int_equal(profile->ncomments, 0);

	next_window(11);
	s.result.duration_ns = 250;
	name_window(); /* time, but no sample yet */
	assert_int_equal(profile->nsamples, 0);
	assert_int_equal(profile->time_nanos, 1100);
	assert_int_equal(profile->duration_nanos, 150);

	next_window(16);
	add(UW_END_ROOT, 0, 1, ROOT, LEAF);
	add(UW_END_TRUNCATED, 0, 2, LEAF, ROOT);
	s.result.lost = 1;
	name_window();
	expect("hand_root;hand_leaf", 1, 2);
	expect("hand_leaf;hand_root;[truncated]", 2, 4);
	expect("[lost]", 1, 2);
	assert_int_equal(total(), 16 - 8);

	next_window(18);
	add(UW_END_ROOT, 0, 1, LEAF, ROOT);
	name_window();
	assert_int_equal(profile->nsamples, 1);
	expect("hand_leaf;hand_root", 1, 2);

	prowl_session_note(&s, profile);
	assert_true(has_comment("samples: 8; lost: 1"));
}

/* Of a process that has exited, what it did since its clock was read is known by samples. */
TEST_WITH(test_window_of_exited, setup, teardown)
{
	add(UW_END_ROOT, 0, 4, LEAF, ROOT);
	charge(4);
	name_window();
	next_window(4);
	add(UW_END_ROOT, 0, 3, LEAF, ROOT);
	proc->exited = true;
	assert_int_equal(prowl_session_profiles(&s, PROWL_TOGETHER, keep, NULL), 0);
	expect("hand_leaf;hand_root", 3, 3);
}

/* What chance can't explain is no other stack's. */
TEST_WITH(test_not_sampled, setup, teardown)
{
	add(UW_END_ROOT, 0, 100, LEAF, ROOT);
	charge(1000);
	build();
	expect("hand_leaf;hand_root", 100, 100);
	expect("[not sampled]", 0, 900);
	assert_int_equal(total(), 1000);
	assert_true(s.result.unsampled_ns == 900ull * PERIOD);
}

/* A child that is gone: of until its clock was read, and later. */
static struct prowl_proc *gone_child(uint64_t clocked, uint64_t later)
{
	struct prowl_proc *child = calloc(1, sizeof *child);

	assert_non_null(child);
	s.procs.children = true;
	child->pid = 1 << 30;
	child->exited = child->gone = true;
	child->cpu_last = clocked * PERIOD;
	child->image = proc->image;
	child->sampled = later * PERIOD;
	child->square = (double)later * PERIOD * PERIOD;
	s.procs.procs = realloc(s.procs.procs, (s.procs.n + 1) * sizeof(void *));
	assert_non_null(s.procs.procs);
	s.procs.procs[s.procs.n++] = child;
	s.procs.cap = s.procs.n;
	return child;
}

static uint64_t pool(bool known)
{
	prowl_charge_update(&s);
	assert_true(s.pool.known == known);
	return prowl_charge_pool(&s).charged / PERIOD;
}

/* What children used is what their parent counts of them. */
TEST_WITH(test_pool, setup, teardown)
{
	charge(5);
	gone_child(0, 3);
	gone_child(2, 2);
	proc->reaped_last.user = 9ull * PERIOD;
	assert_int_equal(pool(true), 9);
	assert_true(s.result.cpu_ns == 14ull * PERIOD);
	assert_true(prowl_charge_pool(&s).scale == 9.0 / 5.0);
	/* In the next window another one. */
	prowl_charge_begin_window(&s);
	gone_child(0, 4);
	proc->reaped_last.user = 15ull * PERIOD;
	assert_int_equal(pool(true), 6);
	assert_true(s.result.cpu_ns == 20ull * PERIOD);
	/* Those that are forgotten count as before. */
	for (size_t i = 1; i < s.procs.n; i++) {
		prowl_charge_forget(&s, s.procs.procs[i]);
		free(s.procs.procs[i]);
	}
	s.procs.n = 1;
	assert_int_equal(pool(true), 6);
	assert_true(s.result.cpu_ns == 20ull * PERIOD);
	/* Most have not waited for it: what is known of each. */
	gone_child(100, 0);
	assert_int_equal(pool(false), 100 + 4 - (9 - 7));
	assert_true(s.result.cpu_ns == (5 + 7 + 4 + 100) * (uint64_t)PERIOD);
}

/* Its parent's count has others too. */
TEST_WITH(test_pool_unknown, setup, teardown)
{
	proc->had_children = true;
	charge(5);
	gone_child(2, 3);
	proc->reaped_last.user = 1000ull * PERIOD;
	assert_int_equal(pool(false), 5);
}

/* Where nothing is mapped yet there may be names in a later window. */
TEST_WITH(test_window_before_mapping, setup, teardown)
{
	struct uw_symbol symbols[UW_MAX_INLINE];
	size_t n;

	s.stopped = false;
	add(UW_END_ROOT, 0, 1, 0x1000, LEAF);
	charge(1);
	name_window();
	assert_int_equal(profile->nsamples, 1);
	assert_true(
		prowl_symbol_cache_get(&s.names.native, proc->image->id, LEAF - 1, symbols, &n) ||
		prowl_symbol_cache_get(&s.names.native, proc->image->id, LEAF, symbols, &n));
	assert_false(prowl_symbol_cache_get(&s.names.native, proc->image->id, 0x1000, symbols, &n));
	prowl_symbol_cache_fini(&s.names.native);
}

/* A stack of two windows: each has the times of its own. */
TEST_WITH(test_timeline_windows, setup, teardown)
{
	const uint64_t before[] = {1010, 1020}, after[] = {1110};

	assert_int_equal(prowl_timeline_init(&s.timeline), 0);
	s.from = 1000;
	s.wall_start = 5000;
	add_at(LEAF, ROOT, 2, before);
	charge(2);
	name_window();
	assert_int_equal(profile->nsamples, 2);

	next_window(3);
	add_at(LEAF, ROOT, 1, after);
	name_window();
	assert_int_equal(profile->nsamples, 1);
	assert_int_equal(label_of(0, PPROF_LABEL_TIME), 5110);
	assert_int_equal(s.result.timed, 3);
}
