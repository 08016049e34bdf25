/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kallsyms.h"
#include "unit_test.h"

static int fd_of(const char *text)
{
	int fd = memfd_create("kallsyms", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static const char sample[] = "0000000000000000 A fixed_percpu_data\n"
			     "ffffffff81000000 T _text\n"
			     "ffffffff81000000 T startup_64\n"
			     "ffffffff81000100 W weak_one\n"
			     "ffffffff81000100 t strong_local\n"
			     "ffffffff81000200 t __inner\n"
			     "ffffffff81000200 T inner\n"
			     "ffffffff81000300 D some_data\n"
			     "ffffffff81002000 T _etext\n"
			     "ffffffffc0403000 t b_last\t[beta]\n"
			     "ffffffffc0402000 t b_first\t[beta]\n"
			     "ffffffffc0402000 r b_rodata\t[beta]\n"
			     "ffffffffc0200000 t a_first\t[alpha]\n"
			     "ffffffffc0200010 T a_last\t[alpha]\n"
			     "not a line\n"
			     "ffffffffc0500000 t bpf_prog_1234_x\t[bpf]";

static struct uw_kallsyms *read_text(const char *text, const uint64_t *pcs, size_t n)
{
	struct uw_kallsyms *k;
	int fd = fd_of(text);

	if (pcs)
		assert_int_equal(uw_kallsyms_resolve(fd, pcs, n, &k), 0);
	else
		assert_int_equal(uw_kallsyms_read(fd, &k), 0);
	close(fd);
	return k;
}

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
	{0xffffffff81000200, "inner", NULL, 0xffffffff81000200},
	{0xffffffff81000300, "inner", NULL, 0xffffffff81000200},
	{0xffffffff81001fff, "inner", NULL, 0xffffffff81000200},
	{0xffffffff81002001, "_etext", NULL, 0xffffffff81002000},
	{0xffffffff81004000, NULL, NULL, 0},
	{0xffffffffc01fffff, NULL, NULL, 0},
	{0xffffffffc0200000, "a_first", "alpha", 0xffffffffc0200000},
	{0xffffffffc0200010, "a_last", "alpha", 0xffffffffc0200010},
	{0xffffffffc0201fff, "a_last", "alpha", 0xffffffffc0200010},
	{0xffffffffc0202000, NULL, NULL, 0},
	{0xffffffffc0402fff, "b_first", "beta", 0xffffffffc0402000},
	{0xffffffffc0403000, "b_last", "beta", 0xffffffffc0403000},
	{0xffffffffc0405000, NULL, NULL, 0},
	{0xffffffffc0500001, "bpf_prog_1234_x", "bpf", 0xffffffffc0500000},
	{0xffffffffc0502000, NULL, NULL, 0},
	{UINT64_MAX, NULL, NULL, 0},
};
#define N (sizeof answers / sizeof *answers)

static void check(const struct uw_kallsyms *k, const struct answer *a)
{
	const char *module = "none";
	uint64_t start = 1;
	const char *name = uw_kallsyms_name(k, a->pc, &module, &start);

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

TEST(names_cover_what_they_should)
{
	struct uw_kallsyms *k = read_text(sample, NULL, 0);

	for (size_t i = 0; i < N; i++)
		check(k, &answers[i]);
	uw_kallsyms_free(k);
}

TEST(resolve_answers_the_same)
{
	uint64_t pcs[N];
	struct uw_kallsyms *k;

	for (size_t i = 0; i < N; i++)
		pcs[i] = answers[i].pc;
	k = read_text(sample, pcs, N);
	for (size_t i = 0; i < N; i++)
		check(k, &answers[i]);
	uw_kallsyms_free(k);
	/* Also for each of them alone. */
	for (size_t i = 0; i < N; i++) {
		k = read_text(sample, &pcs[i], 1);
		check(k, &answers[i]);
		uw_kallsyms_free(k);
	}
	k = read_text(sample, pcs, 0);
	assert_null(uw_kallsyms_name(k, pcs[3], NULL, NULL));
	uw_kallsyms_free(k);
}

/* Of two at one address the kernel's own counts, in both ways of reading, whichever comes first. */
TEST(the_kernels_own_comes_before_a_modules)
{
	static const char text[] = "ffffffff81000000 T a\t[ext4]\nffffffff81000000 T a\n"
				   "fffffffff0000000 T b\nfffffffff0000000 T b\t[ext4]\n";
	const uint64_t pcs[] = {0xffffffff81000008, 0xfffffffff0000008};

	for (int way = 0; way < 2; way++) {
		struct uw_kallsyms *k = read_text(text, way ? pcs : NULL, 2);

		for (size_t i = 0; i < 2; i++) {
			const char *module = "unset";

			assert_string_equal(uw_kallsyms_name(k, pcs[i], &module, NULL),
					    i ? "b" : "a");
			assert_null(module);
		}
		uw_kallsyms_free(k);
	}
}

/* A name ends at its NUL, so that what follows it in memory is no longer what was written there. */
TEST(a_line_with_a_nul_is_no_symbol)
{
	static const char text[] = "ffffffff81000000 T a\0b\t[m]\nffffffff81000020 T c\t[n\0o]\n"
				   "ffffffff81000040 T d\t[p]\n";
	struct uw_kallsyms *k;
	int fd = memfd_create("kallsyms", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(uw_kallsyms_read(fd, &k), 0);
	assert_null(uw_kallsyms_name(k, 0xffffffff81000000, NULL, NULL));
	assert_null(uw_kallsyms_name(k, 0xffffffff81000020, NULL, NULL));
	assert_string_equal(uw_kallsyms_name(k, 0xffffffff81000040, NULL, NULL), "d");
	uw_kallsyms_free(k);
	close(fd);
}

TEST(hidden_addresses_are_told)
{
	const uint64_t pc = 0xffffffff81000000;
	char many[200 * 32] = "";
	struct uw_kallsyms *k = (void *)1;
	int fd;

	for (int i = 0; i < 200; i++)
		strcat(many, "0000000000000000 T name\n");
	fd = fd_of(many);
	assert_int_equal(uw_kallsyms_read(fd, &k), -EPERM);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(uw_kallsyms_resolve(fd, &pc, 1, &k), -EPERM);
	close(fd);
	fd = fd_of("0000000000000000 T name\n");
	assert_int_equal(uw_kallsyms_read(fd, &k), -EPERM);
	close(fd);
	fd = fd_of("");
	assert_int_equal(uw_kallsyms_read(fd, &k), -ENODATA);
	close(fd);
	assert_int_equal(uw_kallsyms_read(-1, &k), -EBADF);
	assert_ptr_equal(k, (void *)1);
}

TEST(a_line_without_end_is_refused)
{
	size_t len = 1 << 20;
	char *text = malloc(len + 1);
	struct uw_kallsyms *k;
	int fd;

	memset(text, 'f', len);
	text[len] = '\0';
	fd = fd_of(text);
	assert_int_equal(uw_kallsyms_read(fd, &k), -EBADMSG);
	close(fd);
	free(text);
}

/* Symbols more than 4 GiB apart, lines across the edges of the read buffer. */
TEST(large_files_are_read_whole)
{
	enum { COUNT = 50000 };
	char *text = malloc(COUNT * 64), *p = text;
	uint64_t pcs[100];
	struct uw_kallsyms *all, *some;

	for (size_t i = 0; i < COUNT; i++)
		p += sprintf(p, "%016" PRIx64 " t function_number_%zu\n",
			     0xffff000000000000 + (uint64_t)i * 0x100000, i);
	for (size_t i = 0; i < 100; i++)
		pcs[i] = 0xffff000000000000 + (uint64_t)i * 0x100000 * (COUNT / 100) + 5;
	all = read_text(text, NULL, 0);
	some = read_text(text, pcs, 100);
	for (size_t i = 0; i < 100; i++) {
		char want[64];

		sprintf(want, "function_number_%zu", i * (COUNT / 100));
		assert_string_equal(uw_kallsyms_name(all, pcs[i], NULL, NULL), want);
		assert_string_equal(uw_kallsyms_name(some, pcs[i], NULL, NULL), want);
	}
	uw_kallsyms_free(all);
	uw_kallsyms_free(some);
	free(text);
}

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* The running kernel: both ways of reading agree, and the cost beside that of a bare read. */
TEST(the_running_kernel)
{
	enum { STEPS = 1000 };
	int fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
	struct uw_kallsyms *all = NULL, *some = NULL;
	static char buf[1 << 16];
	uint64_t pcs[STEPS];
	double t0, t1, t2, t3;
	size_t n = 0;
	int r;

	if (fd < 0)
		skip();
	t0 = cpu_ms();
	while (read(fd, buf, sizeof buf) > 0)
		;
	t1 = cpu_ms();
	lseek(fd, 0, SEEK_SET);
	r = uw_kallsyms_read(fd, &all);
	t2 = cpu_ms();
	if (r == -EPERM) {
		close(fd);
		skip();
	}
	assert_int_equal(r, 0);
	/* Text lies in the top 2 GiB on amd64, elsewhere these are simply unknown. */
	for (uint64_t pc = 0xffffffff80000000; n < STEPS; pc += 0x200000 - 64)
		pcs[n++] = pc;
	lseek(fd, 0, SEEK_SET);
	t3 = cpu_ms();
	assert_int_equal(uw_kallsyms_resolve(fd, pcs, n, &some), 0);
	print_message("# bare read %.1f ms, read %.1f ms, resolve %zu addresses %.1f ms\n", t1 - t0,
		      t2 - t1, n, cpu_ms() - t3);
	for (size_t i = 0; i < n; i++) {
		const char *a = uw_kallsyms_name(all, pcs[i], NULL, NULL);
		const char *b = uw_kallsyms_name(some, pcs[i], NULL, NULL);

		assert_int_equal(a == NULL, b == NULL);
		if (a)
			assert_string_equal(a, b);
	}
	uw_kallsyms_free(all);
	uw_kallsyms_free(some);
	close(fd);
}
