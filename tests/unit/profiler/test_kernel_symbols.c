/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kernel_symbols.h"
#include "unit_test.h"

static char dir[64];
static char kallsyms[96], modules[96], boot_id[96], cache[96], folder[128], kept[160];
static struct prowl_kernel_symbols_paths paths;

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static const char symbols[] = "ffffffff81000000 T start\n"
			      "ffffffff81000100 T one\n"
			      "ffffffff81000200 T two\n"
			      "ffffffffc0200000 t a\t[alpha]\n"
			      "ffffffffc0500000 t bpf_prog\t[bpf]\n";
/* The same addresses under other names: tells whether they came from here or from the cache. */
static const char renamed[] = "ffffffff81000000 T new_start\n"
			      "ffffffff81000100 T new_one\n"
			      "ffffffff81000200 T new_two\n"
			      "ffffffffc0200000 t new_a\t[alpha]\n"
			      "ffffffffc0500000 t new_bpf_prog\t[bpf]\n";
static const char hidden[] = "0000000000000000 T start\n0000000000000000 T one\n";

static const uint64_t pcs[] = {0xffffffff81000008, 0xffffffff81000108, 0xffffffffc0200008};
static const uint64_t with_bpf[] = {0xffffffff81000008, 0xffffffffc0500008};

static int setup(void **state)
{
	strcpy(dir, "/tmp/prowl-ksyms-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(kallsyms, sizeof kallsyms, "%s/kallsyms", dir);
	snprintf(modules, sizeof modules, "%s/modules", dir);
	snprintf(boot_id, sizeof boot_id, "%s/boot_id", dir);
	snprintf(cache, sizeof cache, "%s/cache", dir);
	snprintf(folder, sizeof folder, "%s/prowl", cache);
	snprintf(kept, sizeof kept, "%s/kallsyms", folder);
	paths = (struct prowl_kernel_symbols_paths){kallsyms, modules, boot_id};
	write_file(kallsyms, symbols);
	write_file(modules, "alpha 4096 1 - Live 0xffffffffc0200000\n");
	write_file(boot_id, "00000000-0000-0000-0000-000000000001\n");
	setenv("XDG_CACHE_HOME", cache, 1);
	unsetenv("PROWL_NO_CACHE");
	return 0;
}

static void remove_all(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char sub[512];

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
		if (unlink(sub) < 0)
			remove_all(sub);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static int teardown(void **state)
{
	remove_all(dir);
	return 0;
}

/* Names `pcs`, the first of which has to be `first`; how it went with the cache is returned. */
static enum prowl_kernel_symbols_cache run_with(const uint64_t *p, size_t n, const char *first)
{
	struct prowl_kernel_symbols k;
	enum prowl_kernel_symbols_cache cache_was;
	const char *module = NULL, *name;

	assert_int_equal(prowl_kernel_symbols_init(&k, p, n, &paths), 0);
	name = prowl_kernel_symbols_name(&k, p[0], &module);
	assert_non_null(name);
	assert_string_equal(name, first);
	assert_null(module);
	name = prowl_kernel_symbols_name(&k, p[n - 1], &module);
	assert_non_null(name);
	assert_non_null(module);
	cache_was = k.cache;
	prowl_kernel_symbols_fini(&k);
	return cache_was;
}

static enum prowl_kernel_symbols_cache run(const char *first)
{
	return run_with(pcs, sizeof pcs / sizeof *pcs, first);
}

static size_t files_in(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	size_t n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

TEST_WITH(the_second_run_reads_what_the_first_kept, setup, teardown)
{
	struct stat st;

	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	assert_int_equal(stat(kept, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(files_in(folder), 1);
	write_file(kallsyms, renamed);
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_KEPT);
	/* Not even that it can be read is needed. */
	assert_int_equal(unlink(kallsyms), 0);
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_KEPT);
}

TEST_WITH(what_is_not_kept_is_asked_for, setup, teardown)
{
	struct prowl_kernel_symbols k;

	assert_int_equal(run_with(with_bpf, 2, "start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	write_file(kallsyms, renamed);
	assert_int_equal(prowl_kernel_symbols_init(&k, with_bpf, 2, &paths), 0);
	assert_int_equal(k.cache, PROWL_KERNEL_SYMBOLS_KEPT);
	assert_string_equal(prowl_kernel_symbols_name(&k, with_bpf[0], NULL), "start");
	assert_string_equal(prowl_kernel_symbols_name(&k, with_bpf[1], NULL), "new_bpf_prog");
	prowl_kernel_symbols_fini(&k);
	/* Not to be had: the others have their names all the same. */
	write_file(kallsyms, hidden);
	assert_int_equal(prowl_kernel_symbols_init(&k, with_bpf, 2, &paths), 0);
	assert_string_equal(prowl_kernel_symbols_name(&k, with_bpf[0], NULL), "start");
	assert_null(prowl_kernel_symbols_name(&k, with_bpf[1], NULL));
	prowl_kernel_symbols_fini(&k);
}

TEST_WITH(another_boot_or_module_makes_it_stale, setup, teardown)
{
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	write_file(kallsyms, renamed);
	write_file(modules, "alpha 4096 9 beta, Live 0xffffffffc0200000\n");
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_KEPT);
	write_file(modules, "alpha 4096 9 beta, Live 0xffffffffc0300000\n");
	assert_int_equal(run("new_start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	write_file(kallsyms, symbols);
	assert_int_equal(run("new_start"), PROWL_KERNEL_SYMBOLS_KEPT);
	write_file(boot_id, "00000000-0000-0000-0000-000000000002\n");
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	assert_int_equal(files_in(folder), 1);
}

TEST_WITH(a_kernel_without_modules_has_a_cache_too, setup, teardown)
{
	assert_int_equal(unlink(modules), 0);
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	write_file(kallsyms, renamed);
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_KEPT);
}

TEST_WITH(without_a_key_nothing_is_kept, setup, teardown)
{
	write_file(modules, "alpha 4096 1 - Loading 0xffffffffc0200000\n");
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_NO_CACHE);
	assert_int_equal(files_in(folder), 0);
	write_file(modules, "");
	assert_int_equal(unlink(boot_id), 0);
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_NO_CACHE);
	assert_int_equal(files_in(folder), 0);
}

TEST_WITH(damage_is_repaired, setup, teardown)
{
	struct stat st;
	int fd;

	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	assert_int_equal(stat(kept, &st), 0);
	write_file(kallsyms, renamed);
	assert_int_equal(truncate(kept, st.st_size / 2), 0);
	assert_int_equal(run("new_start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	write_file(kallsyms, symbols);
	assert_int_equal(run("new_start"), PROWL_KERNEL_SYMBOLS_KEPT);
	write_file(kept, "something else\n");
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	/* A bit of a name. */
	write_file(kallsyms, renamed);
	fd = open(kept, O_RDWR);
	for (off_t at = 0; at < st.st_size; at++) {
		char word[5];

		if (pread(fd, word, 5, at) == 5 && !memcmp(word, "start", 5))
			assert_int_equal(pwrite(fd, "spart", 5, at), 5);
	}
	close(fd);
	assert_int_equal(run("new_start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
}

TEST_WITH(files_of_others_are_ignored, setup, teardown)
{
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	write_file(kallsyms, renamed);
	assert_int_equal(chmod(kept, 0620), 0);
	assert_int_equal(run("new_start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	write_file(kallsyms, symbols);
	assert_int_equal(chmod(kept, 0602), 0);
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	/* A link, a pipe (that must not block), a folder. */
	write_file(kallsyms, renamed);
	assert_int_equal(rename(kept, boot_id), 0);
	write_file(modules, "");
	assert_int_equal(symlink(boot_id, kept), 0);
	assert_int_equal(run("new_start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	assert_int_equal(unlink(kept), 0);
	assert_int_equal(mkfifo(kept, 0600), 0);
	assert_int_equal(run("new_start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	assert_int_equal(unlink(kept), 0);
	assert_int_equal(mkdir(kept, 0700), 0);
	assert_int_equal(run("new_start"), PROWL_KERNEL_SYMBOLS_UNWRITABLE);
	assert_int_equal(files_in(folder), 1);
}

TEST_WITH(a_foreign_owner_is_ignored, setup, teardown)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	write_file(kallsyms, renamed);
	assert_int_equal(chown(kept, 12345, 12345), 0);
	assert_int_equal(run("new_start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	write_file(kallsyms, symbols);
	/* In a foreign folder nothing is read or written. */
	assert_int_equal(chown(folder, 12345, 12345), 0);
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_NO_CACHE);
	assert_int_equal(chown(folder, 0, 0), 0);
	assert_int_equal(chown(cache, 12345, 12345), 0);
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_NO_CACHE);
	assert_int_equal(chown(cache, 0, 0), 0);
	assert_int_equal(run("new_start"), PROWL_KERNEL_SYMBOLS_KEPT);
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_NO_CACHE);
}

TEST_WITH(the_environment_chooses, setup, teardown)
{
	char home_cache[160];

	setenv("PROWL_NO_CACHE", "1", 1);
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_NO_CACHE);
	assert_int_equal(access(cache, F_OK), -1);
	unsetenv("PROWL_NO_CACHE");
	setenv("XDG_CACHE_HOME", "relative", 1);
	setenv("HOME", dir, 1);
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_WRITTEN);
	snprintf(home_cache, sizeof home_cache, "%s/.cache/prowl/kallsyms", dir);
	assert_int_equal(access(home_cache, F_OK), 0);
	unsetenv("XDG_CACHE_HOME");
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_KEPT);
	unsetenv("HOME");
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_NO_CACHE);
	/* A home that isn't there is not made. */
	setenv("HOME", cache, 1);
	assert_int_equal(run("start"), PROWL_KERNEL_SYMBOLS_NO_CACHE);
	assert_int_equal(access(cache, F_OK), -1);
}

TEST_WITH(hidden_addresses_are_told_and_not_kept, setup, teardown)
{
	struct prowl_kernel_symbols k;

	write_file(kallsyms, hidden);
	assert_int_equal(prowl_kernel_symbols_init(&k, pcs, 3, &paths), -EPERM);
	assert_null(prowl_kernel_symbols_name(&k, pcs[0], NULL));
	prowl_kernel_symbols_fini(&k);
	assert_int_equal(files_in(folder), 0);
	setenv("PROWL_NO_CACHE", "1", 1);
	assert_int_equal(prowl_kernel_symbols_init(&k, pcs, 3, &paths), -EPERM);
	prowl_kernel_symbols_fini(&k);
	unlink(kallsyms);
	assert_int_equal(prowl_kernel_symbols_init(&k, pcs, 3, &paths), -ENOENT);
	prowl_kernel_symbols_fini(&k);
	assert_int_equal(prowl_kernel_symbols_init(&k, NULL, 0, &paths), 0);
	assert_null(prowl_kernel_symbols_name(&k, pcs[0], NULL));
	prowl_kernel_symbols_fini(&k);
}

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* The running kernel: without, with a new and with an old cache the names are the same. */
TEST_WITH(the_running_kernel, setup, teardown)
{
	enum { STEPS = 200 };
	uint64_t some[STEPS], text = 0;
	struct prowl_kernel_symbols none, cold, warm;
	double t[4];
	char line[600];
	FILE *f = fopen("/proc/kallsyms", "r");

	while (f && fgets(line, sizeof line, f)) {
		if (strstr(line, " T _text\n"))
			text = strtoull(line, NULL, 16);
	}
	if (f)
		fclose(f);
	if (text == 0)
		skip();
	for (size_t i = 0; i < STEPS; i++)
		some[i] = text + 0x1000 + i * 0xc000;
	setenv("PROWL_NO_CACHE", "1", 1);
	t[0] = cpu_ms();
	assert_int_equal(prowl_kernel_symbols_init(&none, some, STEPS, NULL), 0);
	unsetenv("PROWL_NO_CACHE");
	t[1] = cpu_ms();
	assert_int_equal(prowl_kernel_symbols_init(&cold, some, STEPS, NULL), 0);
	t[2] = cpu_ms();
	assert_int_equal(prowl_kernel_symbols_init(&warm, some, STEPS, NULL), 0);
	t[3] = cpu_ms();
	print_message("# %d addresses: no cache %.2f ms, new %.2f ms, old %.2f ms\n", STEPS,
		      t[1] - t[0], t[2] - t[1], t[3] - t[2]);
	for (size_t i = 0; i < STEPS; i++) {
		const char *a = prowl_kernel_symbols_name(&none, some[i], NULL);
		const char *b = prowl_kernel_symbols_name(&cold, some[i], NULL);
		const char *c = prowl_kernel_symbols_name(&warm, some[i], NULL);

		assert_true(a && b && c);
		assert_string_equal(a, b);
		assert_string_equal(a, c);
	}
	prowl_kernel_symbols_fini(&none);
	prowl_kernel_symbols_fini(&cold);
	prowl_kernel_symbols_fini(&warm);
}
