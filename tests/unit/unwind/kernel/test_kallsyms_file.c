/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kallsyms_file.h"
#include "unit_test.h"

static int fd_of(const void *data, size_t len)
{
	int fd = memfd_create("kallsyms", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static const char sample[] = "ffffffff81000000 T startup_64\n"
			     "ffffffff81000100 t strong_local\n"
			     "ffffffff81000200 T inner\n"
			     "ffffffff81002000 T _etext\n"
			     "ffffffffc0200000 t a_first\t[alpha]\n"
			     "ffffffffc0200010 T a_last\t[alpha]\n"
			     "ffffffffc0201100 t bpf_prog_1\t[bpf]\n"
			     "ffffffffc0402000 t b_first\t[beta]\n"
			     "ffffffffc0403000 t b_last\t[beta]\n"
			     "ffffffffc0403800 t c_first\t[gamma]\n"
			     "ffffffffc0404000 t c_last\t[gamma]\n"
			     "ffffffffc0500000 t bpf_prog_1234_x\t[bpf]\n"
			     "ffffffffc0600000 t ftrace_trampoline\t[__builtin__ftrace]\n";

struct answer {
	uint64_t pc;
	const char *name, *module;
	uint64_t start;
};

static const struct answer answers[] = {
	{0x0, NULL, NULL, 0},
	{0xffffffff80ffffff, NULL, NULL, 0},
	{0xffffffff81000000, "startup_64", NULL, 0xffffffff81000000},
	{0xffffffff810000ff, "startup_64", NULL, 0xffffffff81000000},
	{0xffffffff81000100, "strong_local", NULL, 0xffffffff81000100},
	{0xffffffff81000180, "strong_local", NULL, 0xffffffff81000100},
	{0xffffffff81001fff, "inner", NULL, 0xffffffff81000200},
	{0xffffffff81002fff, "_etext", NULL, 0xffffffff81002000},
	{0xffffffff81003000, NULL, NULL, 0}, /* the page after: may be another's one day */
	{0xffffffffc0200000, "a_first", "alpha", 0xffffffffc0200000},
	{0xffffffffc0200fff, "a_last", "alpha", 0xffffffffc0200010},
	{0xffffffffc0201000, NULL, NULL, 0},
	{0xffffffffc0201100, NULL, NULL, 0},
	{0xffffffffc0402fff, "b_first", "beta", 0xffffffffc0402000},
	{0xffffffffc04037ff, "b_last", "beta", 0xffffffffc0403000},
	{0xffffffffc0403800, "c_first", "gamma", 0xffffffffc0403800},
	{0xffffffffc0404fff, "c_last", "gamma", 0xffffffffc0404000},
	{0xffffffffc0405000, NULL, NULL, 0},
	{0xffffffffc0500001, NULL, NULL, 0},
	{0xffffffffc0600001, NULL, NULL, 0},
	{UINT64_MAX, NULL, NULL, 0},
};
#define N (sizeof answers / sizeof *answers)

static const struct uw_kallsyms_key the_key = {1, 2, 3};

/* The file that `text` gives. */
static int saved(const char *text)
{
	int in = fd_of(text, strlen(text)), fd = memfd_create("saved", MFD_CLOEXEC);
	struct uw_kallsyms *k;

	assert_int_equal(uw_kallsyms_read(in, &k), 0);
	close(in);
	assert_int_equal(uw_kallsyms_save(k, &the_key, fd), 0);
	uw_kallsyms_free(k);
	return fd;
}

static void check(const struct uw_kallsyms *k, const struct answer *a)
{
	const char *module = "none", *name;
	uint64_t start = 1;

	name = uw_kallsyms_name(k, a->pc, &module, &start);
	if (!a->name) {
		assert_null(name);
		return;
	}
	assert_non_null(name);
	assert_string_equal(name, a->name);
	assert_int_equal(start, a->start);
	if (a->module)
		assert_string_equal(module, a->module);
	else
		assert_null(module);
}

TEST(what_is_saved_is_loaded)
{
	int fd = saved(sample);
	struct uw_kallsyms *k;
	uint64_t pcs[2 * N];

	for (size_t i = 0; i < N; i++)
		pcs[2 * i] = pcs[2 * i + 1] = answers[i].pc;
	assert_int_equal(uw_kallsyms_load(fd, &the_key, pcs, 2 * N, &k), 0);
	for (size_t i = 0; i < N; i++)
		check(k, &answers[i]);
	uw_kallsyms_free(k);
	/* Also for each of them alone, and for none. */
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(uw_kallsyms_load(fd, &the_key, &pcs[2 * i], 1, &k), 0);
		check(k, &answers[i]);
		uw_kallsyms_free(k);
	}
	assert_int_equal(uw_kallsyms_load(fd, &the_key, NULL, 0, &k), 0);
	assert_null(uw_kallsyms_name(k, pcs[4], NULL, NULL));
	uw_kallsyms_free(k);
	close(fd);
}

enum { COUNT = 30000 };

/* Symbols near and far, names short and long, modules that alternate. */
static char *large(void)
{
	char *text = malloc((size_t)COUNT * 600), *p = text;
	uint64_t addr = 0xffff000000000000;

	assert_non_null(text);
	for (size_t i = 0; i < COUNT; i++) {
		p += sprintf(p, "%016" PRIx64 " t f%0*zu", addr, i % 97 ? 8 : 500, i);
		p += i % 10 < 3 ? sprintf(p, "\t[m%zu]\n", i / 1000) : sprintf(p, "\n");
		addr += i % 5000 == 4999 ? 0x300000000 : 16 + i % 7;
	}
	return text;
}

TEST(many_symbols_are_found_again)
{
	char *text = large();
	int in = fd_of(text, strlen(text)), fd = saved(text);
	struct uw_kallsyms *all, *some;
	uint64_t *pcs = malloc(COUNT * sizeof *pcs);
	uint64_t addr = 0xffff000000000000;
	struct stat st;

	assert_non_null(pcs);
	for (size_t i = 0; i < COUNT; i++) {
		/* A symbol before one of another module counts only to the end of its page. */
		pcs[i] = (addr & 0xfff) < 0xffd ? addr + 3 : addr;
		addr += i % 5000 == 4999 ? 0x300000000 : 16 + i % 7;
	}
	assert_int_equal(uw_kallsyms_read(in, &all), 0);
	assert_int_equal(uw_kallsyms_load(fd, &the_key, pcs, COUNT, &some), 0);
	for (size_t i = 0; i < COUNT; i++) {
		const char *m1 = NULL, *m2 = NULL;
		uint64_t s1, s2;
		const char *n1 = uw_kallsyms_name(all, pcs[i], &m1, &s1);
		const char *n2 = uw_kallsyms_name(some, pcs[i], &m2, &s2);

		assert_non_null(n1);
		assert_non_null(n2);
		assert_string_equal(n1, n2);
		assert_string_equal(m1 ? m1 : "", m2 ? m2 : "");
		assert_int_equal(s1, s2);
	}
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_size < (off_t)strlen(text));
	uw_kallsyms_free(all);
	uw_kallsyms_free(some);
	free(pcs);
	free(text);
	close(in);
	close(fd);
}

TEST(another_key_is_stale)
{
	static const struct uw_kallsyms_key others[] = {{0, 2, 3}, {1, 0, 3}, {1, 2, 0}, {3, 2, 1}};
	const uint64_t pc = 0xffffffff81000000;
	struct uw_kallsyms *k = NULL;
	int fd = saved(sample);

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_int_equal(uw_kallsyms_load(fd, &others[i], &pc, 1, &k), -ESTALE);
	assert_null(k);
	close(fd);
}

static char *bytes_of(int fd, size_t *len)
{
	struct stat st;
	char *p;

	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	p = malloc(*len);
	assert_non_null(p);
	assert_int_equal(pread(fd, p, *len, 0), st.st_size);
	return p;
}

static int load_bytes(const char *p, size_t len, struct uw_kallsyms **ret)
{
	uint64_t pcs[N];
	int fd = fd_of(p, len), r;

	for (size_t i = 0; i < N; i++)
		pcs[i] = answers[i].pc;
	r = uw_kallsyms_load(fd, &the_key, pcs, N, ret);
	close(fd);
	return r;
}

TEST(every_flipped_bit_is_noticed)
{
	int fd = saved(sample);
	struct uw_kallsyms *k = NULL;
	size_t len;
	char *p = bytes_of(fd, &len);

	for (size_t bit = 0; bit < len * 8; bit++) {
		p[bit / 8] ^= (char)(1 << bit % 8);
		assert_int_equal(load_bytes(p, len, &k), -EBADMSG);
		p[bit / 8] ^= (char)(1 << bit % 8);
	}
	assert_int_equal(load_bytes(p, len, &k), 0);
	uw_kallsyms_free(k);
	free(p);
	close(fd);
}

TEST(every_other_length_is_noticed)
{
	int fd = saved(sample);
	struct uw_kallsyms *k = NULL;
	size_t len;
	char *p = bytes_of(fd, &len), *longer = calloc(1, len + 100);

	assert_non_null(longer);
	memcpy(longer, p, len);
	for (size_t n = 0; n < len + 100; n++) {
		if (n != len)
			assert_int_equal(load_bytes(longer, n, &k), -EBADMSG);
	}
	assert_null(k);
	free(longer);
	free(p);
	close(fd);
}

/* The sums of a file that someone made on purpose are right; what it says need not be. */
static uint64_t sum_of(const char *p, size_t len)
{
	uint64_t h = len, w;

	for (size_t i = 0; i < len; i += sizeof w) {
		memcpy(&w, p + i, sizeof w);
		h = (h ^ w) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 32;
	}
	return h;
}

enum { /* offsets in the head and in an entry of the index */
       HEAD = 64,
       NBLOCKS = 40,
       MODULES_LEN = 44,
       INDEX_SUM = 48,
       HEAD_SUM = 56,
       ENTRY = 32,
       ENTRY_SUM = 8,
       ENTRY_OFF = 20,
       ENTRY_LEN = 24,
};

static void sign(char *p, size_t len)
{
	uint32_t nblocks, modules_len;
	uint64_t sum;

	memcpy(&nblocks, p + NBLOCKS, 4);
	memcpy(&modules_len, p + MODULES_LEN, 4);
	if (nblocks > 1000 || modules_len > 1000 || HEAD + nblocks * ENTRY + modules_len > len)
		goto head;
	for (uint32_t i = 0; i < nblocks; i++) {
		char *e = p + HEAD + i * ENTRY;
		uint32_t off, blen;

		memcpy(&off, e + ENTRY_OFF, 4);
		memcpy(&blen, e + ENTRY_LEN, 4);
		if (off <= len && blen <= len - off && blen % 8 == 0) {
			sum = sum_of(p + off, blen);
			memcpy(e + ENTRY_SUM, &sum, 8);
		}
	}
	sum = sum_of(p + HEAD, nblocks * ENTRY + modules_len);
	memcpy(p + INDEX_SUM, &sum, 8);
head:
	sum = sum_of(p, HEAD_SUM);
	memcpy(p + HEAD_SUM, &sum, 8);
}

TEST(made_files_do_no_harm)
{
	int fd = saved(sample);
	size_t len, refused = 0, accepted = 0;
	char *p = bytes_of(fd, &len), *q = malloc(len);
	struct uw_kallsyms *k;

	assert_non_null(q);
	memcpy(q, p, len);
	sign(q, len);
	assert_memory_equal(p, q, len); /* or the test knows the format no longer */
	for (size_t at = 0; at < len; at++) {
		static const unsigned char values[] = {0, 1, 7, 8, 0x7f, 0x80, 0xfe, 0xff};

		for (size_t v = 0; v < sizeof values; v++) {
			int r;

			memcpy(q, p, len);
			q[at] = (char)values[v];
			sign(q, len);
			r = load_bytes(q, len, &k);
			if (r == 0) {
				/* Whatever it answers, it answers with strings. */
				for (size_t i = 0; i < N; i++) {
					const char *m = NULL;
					const char *n = uw_kallsyms_name(k, answers[i].pc, &m,
									 NULL);

					assert_true(!n || strlen(n) < len);
					assert_true(!m || strlen(m) < len);
				}
				uw_kallsyms_free(k);
				accepted++;
			} else {
				assert_true(r == -EBADMSG || r == -ESTALE);
				refused++;
			}
		}
	}
	print_message("# %zu made files refused, %zu read\n", refused, accepted);
	assert_true(refused > 0 && accepted > 0);
	free(p);
	free(q);
	close(fd);
}

TEST(no_file_is_an_error)
{
	const uint64_t pc = 1;
	struct uw_kallsyms *k = NULL;
	int pipes[2];

	assert_int_equal(uw_kallsyms_load(-1, &the_key, &pc, 1, &k), -EBADF);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(uw_kallsyms_load(pipes[0], &the_key, &pc, 1, &k), -EBADMSG);
	close(pipes[0]);
	close(pipes[1]);
	assert_null(k);
}

TEST(a_full_disk_is_told)
{
	int in = fd_of(sample, strlen(sample)), fd = memfd_create("sealed", MFD_ALLOW_SEALING);
	struct uw_kallsyms *k;

	assert_int_equal(uw_kallsyms_read(in, &k), 0);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW), 0);
	assert_int_equal(uw_kallsyms_save(k, &the_key, fd), -EPERM);
	assert_int_equal(uw_kallsyms_save(k, &the_key, -1), -EBADF);
	uw_kallsyms_free(k);
	close(in);
	close(fd);
}

/* --- keys ------------------------------------------------------------------------ */

static struct uw_text text(const char *s)
{
	return (struct uw_text){s, strlen(s)};
}

static int key_of(const char *boot, const char *kernel, const char *modules,
		  struct uw_kallsyms_key *key)
{
	return uw_kallsyms_key_make(key, text(boot), text(kernel), text(modules), NULL, NULL);
}

static uint64_t instance(void *ctx, const char *module)
{
	uint64_t *of_alpha = ctx;

	return !strcmp(module, "alpha") ? *of_alpha : 7;
}

TEST(keys_differ_by_what_counts)
{
	static const char base[] = "alpha 4096 1 beta, Live 0xffffffffc0200000 (OE)\n"
				   "beta 8192 0 - Live 0xffffffffc0402000\n";
	static const char *const same[] = {
		"alpha 4096 2 beta,gamma, Live 0xffffffffc0200000 (OE)\n"
		"beta 8192 5 - Live 0xffffffffc0402000\n",
		"alpha 4096 - - Live 0xffffffffc0200000\nbeta 8192 - - Live 0xffffffffc0402000\n",
	};
	static const char *const different[] = {
		"",
		"alpha 4096 1 beta, Live 0xffffffffc0200000\n",
		"alpha 4096 1 beta, Live 0xffffffffc0200000\n"
		"beta 8192 0 - Live 0xffffffffc0403000\n",
		"alpha 4096 1 beta, Live 0xffffffffc0200000\n"
		"beta 8193 0 - Live 0xffffffffc0402000\n",
		"alpha 4096 1 beta, Live 0xffffffffc0200000\n"
		"bets 8192 0 - Live 0xffffffffc0402000\n",
		"beta 8192 0 - Live 0xffffffffc0402000\n"
		"alpha 4096 1 beta, Live 0xffffffffc0200000\n",
	};
	struct uw_kallsyms_key a, b;
	uint64_t first = 1, second = 2;

	assert_int_equal(key_of("boot", "6.1", base, &a), 0);
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		assert_int_equal(key_of("boot", "6.1", same[i], &b), 0);
		assert_memory_equal(&a, &b, sizeof a);
	}
	for (size_t i = 0; i < sizeof different / sizeof *different; i++) {
		assert_int_equal(key_of("boot", "6.1", different[i], &b), 0);
		assert_int_not_equal(a.modules, b.modules);
	}
	assert_int_equal(key_of("boos", "6.1", base, &b), 0);
	assert_int_not_equal(a.boot, b.boot);
	assert_int_equal(key_of("boot", "6.2", base, &b), 0);
	assert_int_not_equal(a.kernel, b.kernel);
	/* A module that was loaded again, to the same place. */
	assert_int_equal(
		uw_kallsyms_key_make(&a, text("boot"), text("6.1"), text(base), instance, &first),
		0);
	assert_int_equal(
		uw_kallsyms_key_make(&b, text("boot"), text("6.1"), text(base), instance, &second),
		0);
	assert_int_not_equal(a.modules, b.modules);
}

TEST(there_is_not_always_a_key)
{
	struct uw_kallsyms_key k;
	char name[300];

	assert_int_equal(key_of("", "6.1", "", &k), -ENODATA);
	assert_int_equal(key_of("b", "6.1", "a 1 0 - Loading 0xffffffffc0200000\n", &k), -EAGAIN);
	assert_int_equal(key_of("b", "6.1", "a 1 0 - Unloading 0xffffffffc0200000\n", &k), -EAGAIN);
	assert_int_equal(key_of("b", "6.1", "a 1 0 - Live 0xffffffffc0200000", &k), -EBADMSG);
	assert_int_equal(key_of("b", "6.1", "a 1 0 - Live\n", &k), -EBADMSG);
	assert_int_equal(key_of("b", "6.1", "a 1 0  Live 0x1 x\n", &k), -EBADMSG);
	assert_int_equal(key_of("b", "6.1", "\n", &k), -EBADMSG);
	memset(name, 'a', 256);
	strcpy(name + 256, " 1 0 - Live 0x1\n");
	assert_int_equal(key_of("b", "6.1", name, &k), -EBADMSG);
}
