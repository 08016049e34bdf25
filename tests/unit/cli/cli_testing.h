/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of cli share: what commands say, files in a folder of the test, output in memory.
 */
#pragma once

#include "testing.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "term.h"

/* --- what is said ------------------------------------------------------------------ */

static char t_said[16384];

static inline void t_hear(void *ctx, const char *text)
{
	size_t n = strlen(t_said);

	snprintf(t_said + n, sizeof t_said - n, "%s\n", text);
}

/* From now on nothing is printed, and t_said is all that was said since. */
static inline void t_listen(void)
{
	t_said[0] = '\0';
	say_elsewhere(t_hear, NULL);
}

#define assert_said(part)                                              \
	do {                                                           \
		if (!strstr(t_said, part))                             \
			fail_msg("'%s' is not in '%s'", part, t_said); \
		t_said[0] = '\0';                                      \
	} while (0)

#define assert_silent() assert_string_equal(t_said, "")

/* --- files -------------------------------------------------------------------------- */

static char t_dir[64];

static inline int t_make_dir(void **state)
{
	snprintf(t_dir, sizeof t_dir, "/tmp/prowl-unit-XXXXXX");
	t_listen();
	return mkdtemp(t_dir) ? 0 : -1;
}

static inline int t_remove(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

static inline int t_remove_dir(void **state)
{
	return nftw(t_dir, t_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* The name in the folder; good until the eighth call. */
static inline char *t_path(const char *name)
{
	static char paths[8][512];
	static unsigned int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof paths[0], "%s/%s", t_dir, name);
	return path;
}

static inline void t_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* To be freed. */
static inline char *t_read(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t len = 0;

	if (!f)
		fail_msg("%s can't be read", path);
	if (getdelim(&text, &len, '\0', f) < 0) {
		free(text);
		text = strdup("");
	}
	fclose(f);
	return text;
}

static inline void t_holds(const char *path, const char *text)
{
	char *is = t_read(path);

	assert_string_equal(is, text);
	free(is);
}

static inline size_t t_count_files(const char *dir)
{
	char command[600];
	size_t n = 0;
	FILE *f;

	snprintf(command, sizeof command, "find '%s' -mindepth 1 | wc -l", dir);
	f = popen(command, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%zu", &n), 1);
	pclose(f);
	return n;
}

static inline void t_save(const struct pprof_profile *p, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pprof_write_fd(p, PPROF_LEVEL_DEFAULT, fd), 0);
	close(fd);
}

/* A profile of main.main, which calls each of the functions so many samples. */
static inline struct pprof_profile *t_calls(const char *const *names, const int64_t *counts,
					    size_t n)
{
	struct pprof_profile *p = t_new();
	uint32_t m, root;

	t_types(p);
	p->default_sample_type = t_str(p, "cpu");
	m = t_mapping(p, 0x400000, "/bin/app");
	root = t_loc(p, m, 0x400100, "main.main", 1);
	for (size_t i = 0; i < n; i++) {
		uint32_t leaf = t_loc(p, m, 0x401000 + 16 * i, names[i], (int64_t)i + 2);

		t_add(p, (uint32_t[]){leaf, root}, 2, counts[i], NULL, 0);
	}
	return p;
}

/* --- output ------------------------------------------------------------------------- */

/* Runs what is written to f, which it declares; t is the text. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
#define T_SHOW(t, f, what)                              \
	do {                                            \
		size_t t_len;                           \
		FILE *f = open_memstream(&(t), &t_len); \
		assert_non_null(f);                     \
		what;                                   \
		assert_int_equal(fclose(f), 0);         \
	} while (0)
/* NOLINTEND(bugprone-macro-parentheses) */

static inline void t_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in:\n%s", part, text);
}

static inline void t_lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("'%s' is in:\n%s", part, text);
}

/* Runs what prints to standard output; t is the text. */
#define T_PRINTED(t, what)                                      \
	do {                                                    \
		int t_fd = memfd_create("stdout", MFD_CLOEXEC); \
		int t_out = dup(STDOUT_FILENO);                 \
		assert_true(t_fd >= 0 && t_out >= 0);           \
		fflush(stdout);                                 \
		dup2(t_fd, STDOUT_FILENO);                      \
		what;                                           \
		fflush(stdout);                                 \
		dup2(t_out, STDOUT_FILENO);                     \
		(t) = t_read_fd(t_fd);                          \
		close(t_fd);                                    \
		close(t_out);                                   \
	} while (0)

/* All of a file that is open, to be freed. */
static inline char *t_read_fd(int fd)
{
	off_t n = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)n + 1);

	assert_non_null(text);
	assert_int_equal(pread(fd, text, (size_t)n, 0), n);
	return text;
}
