/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rates of a process that has a Go image mapped and runs none of it. What is there afterwards is
 * read by the process itself, so that nobody takes prowl's word for it.
 */
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rates.h"
#include "runtime.h"
#include "sample_go.h"
#include "unit_test.h"

enum {
	PAGE = 4096,
	WORDS = 0x10000000, /* the rates of the target */
	READ_ONLY = 0x10010000,
	HEAP_BEFORE = 0,
	BLOCK_BEFORE = 7,
	MUTEX_BEFORE = 0,
	KILLS = 100,
	NO_RATE = 4, /* the word that is none */
};

static const uint64_t before[PROWL_RATES] = {HEAP_BEFORE, BLOCK_BEFORE, MUTEX_BEFORE};

static void pause_ms(long ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

/* --- the target --- */

struct target {
	pid_t pid;
	int ask, answer;
	char file[64];
	struct built_go go;
	struct prowl_runtime rt;
};

static void map_segments(const char *file, const uint8_t *bytes)
{
	Elf64_Phdr ph[3];
	int fd = open(file, O_RDONLY);

	memcpy(ph, bytes + sizeof(Elf64_Ehdr), sizeof ph);
	for (size_t i = 0; i < 3; i++) {
		uint64_t slack = ph[i].p_offset % PAGE;
		int prot = PROT_READ | (ph[i].p_flags & PF_W ? PROT_WRITE : 0) |
			   (ph[i].p_flags & PF_X ? PROT_EXEC : 0);

		if (mmap((void *)(ph[i].p_vaddr - slack), ph[i].p_filesz + slack, prot,
			 MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd,
			 (off_t)(ph[i].p_offset - slack)) == MAP_FAILED)
			_exit(9);
	}
	close(fd);
	if (mmap((void *)WORDS, PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED ||
	    mmap((void *)READ_ONLY, PAGE, PROT_READ,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		_exit(9);
}

/* 'r': tells its rates; 's': sets the mutex rate to 5; 'm': spoils moduledata; 'x': execs. */
static _Noreturn void serve(int ask, int answer, uint64_t moduledata)
{
	volatile uint64_t *rates = (volatile uint64_t *)WORDS;
	char c;

	for (size_t i = 0; i < PROWL_RATES; i++)
		rates[i] = before[i];
	rates[NO_RATE] = UINT64_MAX - 5;
	if (write(answer, "!", 1) != 1)
		_exit(9);
	while (read(ask, &c, 1) == 1) {
		uint64_t told[PROWL_RATES] = {rates[0], rates[1], rates[2]};

		if (c == 's')
			rates[PROWL_RATE_MUTEX] = 5;
		if (c == 'm')
			memset((void *)(uintptr_t)moduledata, 0xee, 400);
		if (c == 'x') {
			/* The pipe closes by itself, once the new program is there. */
			execl("/bin/sleep", "sleep", "60", (char *)NULL);
			_exit(9);
		}
		if (c == 'r' ? write(answer, told, sizeof told) != sizeof told
			     : write(answer, "!", 1) != 1)
			_exit(9);
	}
	_exit(0);
}

static void tell(struct target *t, char c)
{
	char ok;

	assert_int_equal(write(t->ask, &c, 1), 1);
	assert_int_equal(read(t->answer, &ok, 1), 1);
}

static void rates_of(struct target *t, uint64_t *ret)
{
	assert_int_equal(write(t->ask, "r", 1), 1);
	assert_int_equal(read(t->answer, ret, PROWL_RATES * sizeof *ret),
			 PROWL_RATES * sizeof *ret);
}

static void place(struct target *t, enum uw_goglobal which, uint64_t addr)
{
	t->rt.globals.var[which].addr = addr;
	t->rt.globals.var[which].source = UW_GLOBAL_BY_SYMBOL;
}

/* As prowl_runtime_open would fill it; the addresses are our own. */
static void open_runtime(struct target *t)
{
	struct prowl_runtime *rt = &t->rt;

	*rt = (struct prowl_runtime){.target = {.pid = t->pid, .comm = "target"}};
	uw_space_init(&rt->space, &rt->files, t->pid);
	assert_int_equal(uw_space_load(&rt->space), 0);
	rt->go = uw_space_go(&rt->space);
	assert_non_null(rt->go);
	rt->layout = uw_go_layout(rt->go);
	rt->globals.data_lo = WORDS;
	rt->globals.data_hi = READ_ONLY + PAGE;
	place(t, UW_GLOBAL_MEM_PROFILE_RATE, WORDS);
	place(t, UW_GLOBAL_BLOCK_PROFILE_RATE, WORDS + 8);
	place(t, UW_GLOBAL_MUTEX_PROFILE_RATE, WORDS + 16);
}

static void start(struct target *t)
{
	int ask[2], answer[2], fd;
	struct sample_go s;
	char c;

	memset(t, 0, sizeof *t);
	sample_go_init(&s, &uw_golayouts[uw_golayouts_count - 1], "go1.27.0");
	t->go = build_go(&s.go);
	strcpy(t->file, "rates-XXXXXX");
	fd = mkstemp(t->file);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, t->go.bytes, t->go.size), t->go.size);
	close(fd);
	assert_int_equal(pipe2(ask, O_CLOEXEC) | pipe2(answer, O_CLOEXEC), 0);
	t->pid = fork();
	if (t->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ask[1]);
		close(answer[0]);
		map_segments(t->file, t->go.bytes);
		serve(ask[0], answer[1], t->go.moduledata);
	}
	close(ask[0]);
	close(answer[1]);
	t->ask = ask[1];
	t->answer = answer[0];
	assert_int_equal(read(t->answer, &c, 1), 1);
	open_runtime(t);
}

static void end(struct target *t)
{
	close(t->ask);
	close(t->answer);
	kill(t->pid, SIGKILL);
	waitpid(t->pid, NULL, 0);
	uw_space_fini(&t->rt.space);
	uw_binaries_fini(&t->rt.files);
	built_go_fini(&t->go);
	unlink(t->file);
}

static struct prowl_rates_wish all(void)
{
	return (struct prowl_rates_wish){.set = {true, true, true}, .value = {4096, 1000000, 10}};
}

static struct prowl_rates *set(struct target *t, const struct prowl_rates_wish *w, uint64_t max_ns)
{
	struct prowl_rates *r = NULL;
	struct prowl_err err = {0};
	enum prowl_code code = prowl_rates_set(&t->rt, w, max_ns, &r, &err);

	if (code != PROWL_OK)
		print_error("%s\n", err.text);
	assert_int_equal(code, PROWL_OK);
	assert_non_null(r);
	return r;
}

static void check_before(struct target *t)
{
	uint64_t rates[PROWL_RATES];

	rates_of(t, rates);
	assert_memory_equal(rates, before, sizeof rates);
}

static enum prowl_rate_state state_of(const struct prowl_rates *r, enum prowl_rate which)
{
	return prowl_rates_report(r)->change[which].state;
}

static size_t descriptors(const char *path)
{
	DIR *dir = opendir(path);
	size_t n = 0;

	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

/* --- setting and restoring --- */

TEST(test_set_and_restore)
{
	struct prowl_rates_wish w = all();
	struct prowl_rates *r;
	uint64_t rates[PROWL_RATES];
	size_t open_before;
	struct target t;

	start(&t);
	open_before = descriptors("/proc/self/fd");
	r = set(&t, &w, 0);
	rates_of(&t, rates);
	assert_int_equal(rates[PROWL_RATE_HEAP], 4096);
	assert_int_equal(rates[PROWL_RATE_MUTEX], 10);
	for (int i = 0; i < PROWL_RATES; i++) {
		assert_int_equal(state_of(r, i), PROWL_RATE_SET);
		assert_int_equal(prowl_rates_report(r)->change[i].before, before[i]);
		assert_int_equal(prowl_rates_report(r)->change[i].set, rates[i]);
	}
	assert_true(prowl_rates_restore(r));
	check_before(&t);
	for (int i = 0; i < PROWL_RATES; i++)
		assert_int_equal(state_of(r, i), PROWL_RATE_RESTORED);
	assert_int_equal(prowl_rates_guardian(r), 0);
	assert_true(prowl_rates_restore(r));
	assert_int_equal(state_of(r, PROWL_RATE_HEAP), PROWL_RATE_RESTORED);
	prowl_rates_free(r);
	assert_int_equal(descriptors("/proc/self/fd"), open_before);
	prowl_rates_free(NULL);
	end(&t);
}

TEST(test_free_restores)
{
	struct prowl_rates_wish w = all();
	struct target t;

	start(&t);
	prowl_rates_free(set(&t, &w, 0));
	check_before(&t);
	end(&t);
}

/* Only what is wished for; and what has the value already is left to who set it. */
TEST(test_some)
{
	struct prowl_rates_wish w = {.set = {[PROWL_RATE_MUTEX] = true},
				     .value = {[PROWL_RATE_MUTEX] = 100}};
	struct prowl_rates *r;
	uint64_t rates[PROWL_RATES];
	struct target t;

	start(&t);
	r = set(&t, &w, 0);
	rates_of(&t, rates);
	assert_int_equal(rates[0], before[0]);
	assert_int_equal(rates[1], before[1]);
	assert_int_equal(rates[2], 100);
	assert_int_equal(state_of(r, PROWL_RATE_HEAP), PROWL_RATE_UNTOUCHED);
	prowl_rates_free(r);
	check_before(&t);
	tell(&t, 's');
	w.value[PROWL_RATE_MUTEX] = 5;
	r = set(&t, &w, 0);
	assert_int_equal(state_of(r, PROWL_RATE_MUTEX), PROWL_RATE_UNTOUCHED);
	assert_int_equal(prowl_rates_guardian(r), 0);
	prowl_rates_free(r);
	rates_of(&t, rates);
	assert_int_equal(rates[2], 5);
	end(&t);
}

static uint64_t block_rate(struct target *t, uint64_t ns)
{
	struct prowl_rates_wish w = {.set = {[PROWL_RATE_BLOCK] = true},
				     .value = {[PROWL_RATE_BLOCK] = ns}};
	struct prowl_rates *r = set(t, &w, 0);
	uint64_t rates[PROWL_RATES];

	rates_of(t, rates);
	prowl_rates_free(r);
	return rates[PROWL_RATE_BLOCK];
}

/* Two at once: the second one must not take the first one's rates for those of the program. */
TEST(test_one_at_a_time)
{
	struct prowl_rates_wish w = all();
	struct prowl_rates *first, *second;
	struct prowl_err err = {0};
	struct target t;

	start(&t);
	first = set(&t, &w, 0);
	w.value[PROWL_RATE_HEAP] = 8192;
	assert_int_equal(prowl_rates_set(&t.rt, &w, 0, &second, &err), PROWL_FAILED);
	assert_non_null(strstr(err.text, "another prowl"));
	prowl_rates_free(first);
	check_before(&t);
	prowl_rates_free(set(&t, &w, 0));
	check_before(&t);
	end(&t);
}

/* The block rate is given in ns and kept in ticks, some 10^8 to 10^10 a second; 1 stays 1. */
TEST(test_block_rate_in_ticks)
{
	uint64_t millisecond, second;
	struct target t;

	start(&t);
	assert_int_equal(block_rate(&t, 1), 1);
	second = block_rate(&t, 1000000000);
	assert_in_range(second, 100000000, 100000000000);
	millisecond = block_rate(&t, 1000000);
	assert_in_range(millisecond * 1000, second - second / 20, second + second / 20);
	check_before(&t);
	end(&t);
}

/* --- the guardian --- */

TEST(test_guardian_is_apart)
{
	struct prowl_rates_wish w = all();
	struct prowl_rates *r;
	char path[64];
	struct target t;
	pid_t g;

	start(&t);
	r = set(&t, &w, 0);
	g = prowl_rates_guardian(r);
	assert_true(g > 0);
	snprintf(path, sizeof path, "/proc/%d/fd", (int)g);
	assert_int_equal(descriptors(path), 2);
	assert_int_equal(getsid(g), g);
	for (int sig = 1; sig < 32; sig++) {
		if (sig != SIGKILL && sig != SIGSTOP)
			kill(g, sig);
	}
	pause_ms(20);
	assert_int_equal(kill(g, 0), 0);
	assert_int_equal(waitpid(g, NULL, WNOHANG), 0);
	assert_true(prowl_rates_restore(r));
	assert_int_equal(state_of(r, PROWL_RATE_HEAP), PROWL_RATE_RESTORED);
	check_before(&t);
	assert_int_equal(kill(g, 0), -1);
	prowl_rates_free(r);
	end(&t);
}

TEST(test_guardian_killed)
{
	struct prowl_rates_wish w = all();
	struct prowl_rates *r;
	struct target t;

	start(&t);
	r = set(&t, &w, 0);
	kill(prowl_rates_guardian(r), SIGKILL);
	pause_ms(5);
	assert_true(prowl_rates_restore(r));
	assert_int_equal(state_of(r, PROWL_RATE_BLOCK), PROWL_RATE_RESTORED);
	check_before(&t);
	prowl_rates_free(r);
	end(&t);
}

static bool becomes_before(struct target *t, int ms)
{
	uint64_t rates[PROWL_RATES];

	for (; ms > 0; ms -= 2) {
		rates_of(t, rates);
		if (!memcmp(rates, before, sizeof rates))
			return true;
		pause_ms(2);
	}
	return false;
}

TEST(test_time_is_up)
{
	struct prowl_rates_wish w = all();
	uint64_t rates[PROWL_RATES];
	struct prowl_rates *r;
	struct target t;

	start(&t);
	r = set(&t, &w, 300000000);
	rates_of(&t, rates);
	assert_int_equal(rates[PROWL_RATE_MUTEX], 10);
	assert_true(becomes_before(&t, 20000));
	assert_true(prowl_rates_restore(r));
	assert_int_equal(state_of(r, PROWL_RATE_MUTEX), PROWL_RATE_RESTORED);
	prowl_rates_free(r);
	end(&t);
}

/* Sets and restores until it is killed. */
static _Noreturn void set_for_ever(struct target *t, int begun)
{
	struct prowl_rates_wish w = {.set = {true, false, true}, .value = {4096, 0, 10}};
	struct prowl_rates *r;

	if (write(begun, "!", 1) != 1)
		_exit(9);
	for (;;) {
		if (prowl_rates_set(&t->rt, &w, 0, &r, NULL) != PROWL_OK)
			_exit(9);
		if (rand() % 2)
			pause_ms(rand() % 4);
		prowl_rates_free(r);
	}
}

/* kill -9 at any moment: while setting, while set, while restoring. */
TEST(test_killed)
{
	size_t set_at_kill = 0;
	struct target t;

	start(&t);
	/* Until enough of them died with a rate that was set: else nothing was tested. */
	for (int i = 0; i < KILLS || (set_at_kill < 10 && i < 20 * KILLS); i++) {
		uint64_t rates[PROWL_RATES];
		int status, begun[2];
		pid_t pid;
		char c;

		assert_int_equal(pipe2(begun, O_CLOEXEC), 0);
		pid = fork();

		if (pid == 0) {
			srand((unsigned int)i);
			set_for_ever(&t, begun[1]);
		}
		assert_int_equal(read(begun[0], &c, 1), 1);
		close(begun[0]);
		close(begun[1]);
		usleep((unsigned int)(i * 7919 % 9973));
		kill(pid, SIGSTOP);
		assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
		assert_true(WIFSTOPPED(status));
		rates_of(&t, rates);
		set_at_kill += rates[PROWL_RATE_HEAP] != HEAP_BEFORE;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		assert_true(becomes_before(&t, 20000));
	}
	assert_true(set_at_kill >= 10);
	end(&t);
}

/* --- others have a say --- */

TEST(test_foreign_value)
{
	struct prowl_rates_wish w = all();
	uint64_t rates[PROWL_RATES];
	struct prowl_rates *r;
	struct target t;

	start(&t);
	r = set(&t, &w, 0);
	tell(&t, 's');
	assert_true(prowl_rates_restore(r));
	assert_int_equal(state_of(r, PROWL_RATE_MUTEX), PROWL_RATE_FOREIGN);
	assert_int_equal(state_of(r, PROWL_RATE_HEAP), PROWL_RATE_RESTORED);
	rates_of(&t, rates);
	assert_int_equal(rates[PROWL_RATE_MUTEX], 5);
	assert_int_equal(rates[PROWL_RATE_HEAP], HEAP_BEFORE);
	prowl_rates_free(r);
	end(&t);
}

TEST(test_target_exits)
{
	struct prowl_rates_wish w = all();
	struct prowl_rates *r;
	struct target t;

	start(&t);
	r = set(&t, &w, 0);
	kill(t.pid, SIGKILL);
	waitpid(t.pid, NULL, 0);
	assert_true(prowl_rates_restore(r));
	for (int i = 0; i < PROWL_RATES; i++)
		assert_int_equal(state_of(r, i), PROWL_RATE_GONE);
	prowl_rates_free(r);
	end(&t);
}

TEST(test_target_execs)
{
	struct prowl_rates_wish w = all();
	struct prowl_rates *r;
	struct target t;
	char c;

	start(&t);
	r = set(&t, &w, 0);
	assert_int_equal(write(t.ask, "x", 1), 1);
	assert_int_equal(read(t.answer, &c, 1), 0);
	assert_int_equal(kill(t.pid, 0), 0);
	assert_true(prowl_rates_restore(r));
	assert_int_equal(state_of(r, PROWL_RATE_HEAP), PROWL_RATE_GONE);
	prowl_rates_free(r);
	end(&t);
}

/* --- refused --- */

static void check_refused(struct target *t, const struct prowl_rates_wish *w, enum prowl_code code,
			  const char *said)
{
	size_t open_before = descriptors("/proc/self/fd");
	struct prowl_err err = {0};
	struct prowl_rates *r;

	assert_int_equal(prowl_rates_set(&t->rt, w, 0, &r, &err), code);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, said))
		print_error("%s\n", err.text);
	assert_non_null(strstr(err.text, said));
	assert_int_equal(descriptors("/proc/self/fd"), open_before);
	check_before(t);
}

/* All or nothing: the mutex rate is the last one that is looked at. */
TEST(test_refused)
{
	struct prowl_rates_wish w = all();
	struct target t;
	size_t at = UW_GLOBAL_MUTEX_PROFILE_RATE;

	start(&t);
	t.rt.globals.var[at].source = UW_GLOBAL_BY_VALUE;
	check_refused(&t, &w, PROWL_UNSUPPORTED, "mutex-rate");
	t.rt.globals.var[at].source = UW_GLOBAL_MISSING;
	check_refused(&t, &w, PROWL_UNSUPPORTED, "mutexprofilerate");
	place(&t, at, WORDS + 12);
	check_refused(&t, &w, PROWL_UNSUPPORTED, "is no place");
	place(&t, at, WORDS - 8);
	check_refused(&t, &w, PROWL_UNSUPPORTED, "is no place");
	place(&t, at, READ_ONLY + PAGE);
	check_refused(&t, &w, PROWL_UNSUPPORTED, "is no place");
	place(&t, at, READ_ONLY);
	check_refused(&t, &w, PROWL_UNSUPPORTED, "is no place");
	place(&t, at, WORDS + 16);
	w.value[PROWL_RATE_HEAP] = 0;
	check_refused(&t, &w, PROWL_USAGE, "heap-rate");
	w.value[PROWL_RATE_HEAP] = UINT64_MAX;
	check_refused(&t, &w, PROWL_USAGE, "heap-rate");
	w = all();
	t.rt.target.core = true;
	check_refused(&t, &w, PROWL_USAGE, "core file");
	t.rt.target.core = false;
	prowl_rates_free(set(&t, &w, 0));
	end(&t);
}

/* What can't be a rate shows that the place is not what it seems. */
TEST(test_implausible)
{
	struct prowl_rates_wish w = all();
	struct target t;

	start(&t);
	place(&t, UW_GLOBAL_MUTEX_PROFILE_RATE, WORDS + 8 * NO_RATE);
	check_refused(&t, &w, PROWL_UNSUPPORTED, "which is no rate");
	end(&t);
}

/* The process executed something else after it was opened. */
TEST(test_other_image)
{
	struct prowl_rates_wish w = all();
	struct target t;

	start(&t);
	tell(&t, 'm');
	check_refused(&t, &w, PROWL_NOTHING, "another program");
	end(&t);
}

TEST(test_no_process)
{
	struct prowl_rates_wish w = all();
	struct prowl_err err = {0};
	struct prowl_rates *r;
	struct target t;

	start(&t);
	kill(t.pid, SIGKILL);
	waitpid(t.pid, NULL, 0);
	assert_int_equal(prowl_rates_set(&t.rt, &w, 0, &r, &err), PROWL_NOTHING);
	end(&t);
}

static int begin(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

TEST_GROUP(begin, NULL);
