/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store when it is interrupted: killed at each system call that changes a file, disks that are
 * full or fail, bytes that flip. The calls are counted, and made to fail, in the wrappers below; a
 * killed writer is a child.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "build_store.h"
#include "unit_test.h"

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

/* --- calls ----------------------------------------------------------------------- */

static struct {
	long calls;  /* so far */
	long end_at; /* killed before that one; 0: never */
	long fail_at;
	bool fail_on; /* and all after it */
	int error;
} faults;

/* Whether this call fails. */
static bool strikes(void)
{
	faults.calls++;
	if (faults.calls == faults.end_at)
		kill(getpid(), SIGKILL);
	if (faults.fail_at == 0 || faults.calls < faults.fail_at ||
	    (faults.calls > faults.fail_at && !faults.fail_on))
		return false;
	errno = faults.error;
	return true;
}

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
	/* A write that is cut short by the end. */
	if (faults.calls + 1 == faults.end_at && len > 1 && __real_write(fd, bytes, len / 2) < 0)
		return -1;
	return strikes() ? -1 : __real_write(fd, bytes, len);
}

int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return strikes() ? -1 : __real_renameat(from_dir, from, to_dir, to);
}

int __real_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags)
{
	return strikes() ? -1 : __real_unlinkat(dir, path, flags);
}

int __real_mkdirat(int dir, const char *path, mode_t mode);
int __wrap_mkdirat(int dir, const char *path, mode_t mode);
int __wrap_mkdirat(int dir, const char *path, mode_t mode)
{
	return strikes() ? -1 : __real_mkdirat(dir, path, mode);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	return strikes() ? -1 : __real_fdatasync(fd);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	return strikes() ? -1 : __real_fsync(fd);
}

/* SQLite is a shared library: its statements are the steps. */
int __real_store_index_exec(void *db, const char *sql);
int __wrap_store_index_exec(void *db, const char *sql);
int __wrap_store_index_exec(void *db, const char *sql)
{
	return strikes() ? -errno : __real_store_index_exec(db, sql);
}

/* --- the end --------------------------------------------------------------------- */

enum { WINDOWS = 6 };

/* What a writer has done: shared with its parent. */
struct progress {
	int put; /* windows that were acknowledged */
	long calls;
	bool done;
};

static struct prowl_store *open_synced(const char *path)
{
	struct prowl_store_options o = {.path = path, .min_free = 1, .max_bytes = 12000};

	return open_with(&o);
}

/* Minutes, an hour that is closed, an event, a deletion: all steps there are. */
static void work(const char *path, struct progress *p)
{
	struct prowl_store_event e = {.time = T0 + MINUTE, .kind = "memory"};
	const struct prowl_store_capture file = {.name = "note.txt", .bytes = "x", .len = 1};
	struct prowl_store *s = open_synced(path);

	for (int i = 0; i < WINDOWS; i++) {
		put_cpu(s, "etcd", 10 * HOUR + i * MINUTE, 1 << i);
		p->put = i + 1;
	}
	tick(s, 11 * HOUR + 3 * MINUTE);
	assert_int_equal(prowl_store_event_put(s, &e, &file, 1, NULL, NULL), PROWL_OK);
	assert_int_equal(prowl_store_delete(s, T0, T0 + HOUR, NULL, NULL), PROWL_OK);
	prowl_store_close(s);
	p->calls = faults.calls;
	p->done = true;
}

static void run_child(const char *path, struct progress *p, long end_at)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		memset(&faults, 0, sizeof faults);
		faults.end_at = end_at;
		work(path, p);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static size_t unfinished(const char *path)
{
	char command[PATH_MAX + 64];
	FILE *p;
	size_t n = 0;

	snprintf(command, sizeof command, "find %s -name '*.tmp'", path);
	p = popen(command, "r");
	for (int c; p && (c = fgetc(p)) != EOF;)
		n += c == '\n';
	pclose(p);
	return n;
}

static void say(void *ctx, const char *line)
{
	print_message("%s\n", line);
}

static void check_clean(struct prowl_store *s)
{
	struct prowl_store_check c;

	assert_int_equal(prowl_store_fsck(s, say, NULL, &c, NULL), PROWL_OK);
	assert_int_equal(c.bad + c.unindexed + c.gone + c.twice + c.left, 0);
	assert_false(c.index_bad);
}

/* Each acknowledged window once, perhaps the next one; nothing else. */
static void check_windows(struct prowl_store *s, int put)
{
	int64_t sum = merged_samples(s, "etcd", 10 * HOUR, 11 * HOUR);
	int64_t least = put ? 2 * ((1 << put) - 1) : -1, most = 2 * ((1 << (put + 1)) - 1);

	if (sum != least && (put == WINDOWS || sum != most))
		fail_msg("%d windows were put, the sum is %lld", put, (long long)sum);
}

static void prepare(const char *path)
{
	struct prowl_store *s = open_store(path);

	for (int i = 0; i < 2; i++)
		put_cpu(s, "etcd", i * HOUR, 1);
	tick(s, 3 * HOUR);
	prowl_store_close(s);
}

/* A store after a writer that ended at that call: true when it came to its end before. */
static bool survives(const char *folder, long end_at)
{
	struct progress *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char path[PATH_MAX];
	struct prowl_store *s;
	bool done;

	assert_true(p != MAP_FAILED);
	snprintf(path, sizeof path, "%s/%ld", folder, end_at);
	prepare(path);
	run_child(path, p, end_at);
	/* As it is, by a reader; and by the next writer. */
	s = read_store(path);
	check_windows(s, p->put);
	prowl_store_close(s);
	s = open_store(path);
	assert_int_equal(unfinished(path), 0);
	check_windows(s, p->put);
	tick(s, 13 * HOUR);
	check_windows(s, p->put);
	assert_int_equal(count_files(path, "live"), 0);
	check_clean(s);
	prowl_store_close(s);
	done = p->done;
	munmap(p, sizeof *p);
	remove_folder(strdup(path));
	return done;
}

/* The ordinary run takes every fifth call, the long one each. */
STORE_TEST(a_writer_may_end_at_any_call)
{
	long step = unit_test_args && unit_test_args[0] ? 1 : 5, at = 1;

	while (!survives(*state, at))
		at += step;
	print_message("# killed at %ld calls\n", at / step);
	assert_true(at > 60);
}

/* --- at any time ----------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Again and again on one store, each time after another while. */
STORE_TEST(a_writer_may_be_killed_at_any_time)
{
	int rounds = unit_test_args && unit_test_args[0] ? 450 : 15;
	struct progress *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t random = 88172645463325252u;
	int64_t sum = 0;

	assert_true(p != MAP_FAILED);
	for (int i = 0; i < rounds; i++) {
		int64_t hour = (i + 1) * HOUR, got;
		struct timespec while_ = {.tv_nsec = (long)(next_random(&random) % 30000000)};
		struct prowl_store *s;
		pid_t pid = fork();

		p->put = 0;
		if (pid == 0) {
			s = open_store(*state);
			for (int k = 0;; k++) {
				put_cpu(s, "etcd", hour + k * SECOND, 1);
				p->put = k + 1;
				if (k % 16 == 15)
					tick(s, hour + k * SECOND);
			}
		}
		nanosleep(&while_, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		s = open_store(*state);
		got = merged_samples(s, "etcd", 0, 1000 * HOUR);
		got = got < 0 ? 0 : got / 2;
		assert_in_range(got, sum + p->put, sum + p->put + 1);
		sum = got;
		prowl_store_close(s);
	}
	munmap(p, sizeof *p);
	{
		struct prowl_store *s = open_store(*state);

		tick(s, 2000 * HOUR);
		assert_int_equal(merged_samples(s, "etcd", 0, 1000 * HOUR), sum ? 2 * sum : -1);
		check_clean(s);
		prowl_store_close(s);
	}
}

/* --- disks ----------------------------------------------------------------------- */

static void fails_once(const char *folder, int error, long at, bool on, long *ret_calls)
{
	char path[PATH_MAX];
	struct prowl_store *s;
	struct prowl_store_state state;
	bool kept = false;
	int64_t sum;

	snprintf(path, sizeof path, "%s/%d-%ld", folder, error, at);
	s = open_store(path);
	put_cpu(s, "etcd", 0, 1);
	memset(&faults, 0, sizeof faults);
	faults.fail_at = at;
	faults.fail_on = on;
	faults.error = error;
	for (int i = 1; i < 4; i++) {
		struct prowl_series *series = make_series("etcd", NULL);
		struct pprof_profile *p = make_cpu("/bin/app", 0x400000, 2, 1 << i);
		struct prowl_store_part part = make_part(series, "cpu", p, i * MINUTE);
		struct prowl_err err;

		if (prowl_store_put(s, &part, 1, &kept, &err) != PROWL_OK)
			assert_true(kept);
		pprof_profile_free(p);
		prowl_series_free(series);
	}
	(void)prowl_store_tick(s, T0 + 2 * HOUR, NULL);
	*ret_calls = faults.calls;
	prowl_store_state(s, &state);
	assert_true(!on || at > faults.calls || state.degraded || state.kept == 0);
	memset(&faults, 0, sizeof faults);
	/* It is back by itself, and has all. */
	tick(s, 2 * HOUR + MINUTE);
	tick(s, 2 * HOUR + 2 * MINUTE);
	prowl_store_state(s, &state);
	assert_false(state.degraded);
	assert_int_equal(state.kept + state.dropped, 0);
	sum = merged_samples(s, "etcd", 0, HOUR);
	if (sum != 2 * 15)
		fail_msg("error %d at call %ld: %lld", error, at, (long long)sum);
	check_clean(s);
	prowl_store_close(s);
	remove_folder(strdup(path));
}

STORE_TEST(a_disk_that_refuses_loses_nothing_that_fits_into_memory)
{
	static const int errors[] = {ENOSPC, EIO, EROFS, EDQUOT};
	long step = unit_test_args && unit_test_args[0] ? 1 : 5;

	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		for (int on = 0; on < 2; on++) {
			long calls = 1;

			for (long at = 1; at <= calls; at += step)
				fails_once(*state, errors[i], at, on, &calls);
			assert_true(calls > (on ? 3 : 12));
		}
	}
}

STORE_TEST(what_waits_in_memory_is_bounded)
{
	struct prowl_store *s = open_store(*state);
	struct prowl_series *series = make_series("etcd", NULL);
	struct pprof_profile *p = make_cpu("/bin/app", 0x400000, 1, 1);
	struct prowl_store_state state_;

	memset(&faults, 0, sizeof faults);
	faults.fail_at = 1;
	faults.fail_on = true;
	faults.error = EIO;
	for (int i = 0; i < 20; i++) {
		struct prowl_store_part part = make_part(series, "cpu", p, i * MINUTE);

		assert_int_equal(prowl_store_put(s, &part, 1, NULL, NULL), PROWL_FAILED);
	}
	memset(&faults, 0, sizeof faults);
	prowl_store_state(s, &state_);
	assert_true(state_.degraded);
	assert_int_equal(state_.kept, 15);
	assert_int_equal(state_.dropped, 5);
	tick(s, 21 * MINUTE);
	assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 15);
	pprof_profile_free(p);
	prowl_series_free(series);
	prowl_store_close(s);
}

/* --- bytes ----------------------------------------------------------------------- */

static size_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

static void flip(const char *path, size_t at, uint8_t mask)
{
	int fd = open(path, O_RDWR);
	uint8_t b = 0;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &b, 1, (off_t)at), 1);
	b ^= mask;
	assert_int_equal(pwrite(fd, &b, 1, (off_t)at), 1);
	close(fd);
}

static void path_in(char *to, size_t len, const char *folder, const char *name)
{
	snprintf(to, len, "%s/%s", folder, name);
}

/* An answer may lack the window, and says so; it is never wrong. */
STORE_TEST(each_byte_of_a_file_may_flip)
{
	struct prowl_store *s = open_store(*state);
	struct prowl_query q = {.from = T0, .to = T0 + HOUR};
	char path[PATH_MAX];
	size_t n, skipped = 0;

	put_cpu(s, "etcd", 0, 1);
	put_cpu(s, "etcd", MINUTE, 2);
	prowl_store_close(s);
	path_in(path, sizeof path, *state, "live/20261130T0801Z.cpu.pb.gz");
	n = file_size(path);
	assert_true(n > 100);
	s = read_store(*state);
	for (size_t i = 0; i < n; i++) {
		struct prowl_store_merged *m;
		size_t type = 1;
		int64_t total;

		flip(path, i, 0x55);
		assert_int_equal(prowl_store_merge(s, &q, &m, NULL), PROWL_OK);
		total = pprof_total(m->profile, type) / 10000000;
		assert_true((total == 2 && m->skipped == 1 && m->nnotes == 1) ||
			    (total == 6 && m->skipped == 0));
		skipped += m->skipped;
		prowl_store_merged_free(m);
		flip(path, i, 0x55);
	}
	assert_true(skipped > n - 16); /* but for flags and time of the gzip header */
	prowl_store_close(s);
}

STORE_TEST(a_damaged_file_is_moved_away_and_the_rest_goes_on)
{
	struct prowl_store *s = open_store(*state);
	struct prowl_store_check c;
	char path[PATH_MAX];

	for (int i = 0; i < 4; i++)
		put_cpu(s, "etcd", i * MINUTE, 1 << i);
	path_in(path, sizeof path, *state, "live/20261130T0801Z.cpu.pb.gz");
	flip(path, file_size(path) - 20, 0xff);
	path_in(path, sizeof path, *state, "live/20261130T0802Z.cpu.pb.gz");
	flip(path, 20, 0xff);
	assert_int_equal(prowl_store_fsck(s, NULL, NULL, &c, NULL), PROWL_OK);
	assert_int_equal(c.bad, 2);
	assert_int_equal(count_files(*state, "bad"), 6); /* the index, too; each with its reason */
	tick(s, 2 * HOUR);
	assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 2 * (1 + 8));
	check_clean(s);
	prowl_store_close(s);
}

STORE_TEST(closing_an_hour_leaves_damaged_windows_out)
{
	struct prowl_store *s = open_store(*state);
	char path[PATH_MAX];

	for (int i = 0; i < 4; i++)
		put_cpu(s, "etcd", i * MINUTE, 1 << i);
	path_in(path, sizeof path, *state, "live/20261130T0801Z.cpu.pb.gz");
	flip(path, file_size(path) - 20, 0xff);
	tick(s, 2 * HOUR);
	assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 2 * (1 + 4 + 8));
	check_clean(s);
	prowl_store_close(s);
}

/* Whatever is in the index: the answer is right, or it is made anew. */
STORE_TEST(the_index_may_be_damaged)
{
	struct prowl_store *s = open_store(*state);
	uint64_t random = 88172645463325252u;
	char path[PATH_MAX];
	int rounds = unit_test_args && unit_test_args[0] ? 1000 : 60;
	size_t n;

	for (int i = 0; i < 5; i++)
		put_cpu(s, "etcd", i * MINUTE, 1 << i);
	prowl_store_close(s);
	path_in(path, sizeof path, *state, "index.db");
	for (int i = 0; i < rounds; i++) {
		n = file_size(path);
		for (int k = 0; k < 20; k++)
			flip(path, next_random(&random) % n, 0xff);
		s = open_store(*state);
		assert_int_equal(merged_samples(s, "etcd", 0, HOUR), 2 * 31);
		check_clean(s);
		prowl_store_close(s);
	}
}

/* --- archives -------------------------------------------------------------------- */

STORE_TEST(a_piece_moves_to_another_store)
{
	char from[PATH_MAX], to[PATH_MAX], tar[PATH_MAX];
	struct prowl_store *a, *b;
	struct prowl_query q = {.from = T0, .to = T0 + HOUR};
	uint64_t files, known;
	int fd;

	path_in(from, sizeof from, *state, "a");
	path_in(to, sizeof to, *state, "b");
	path_in(tar, sizeof tar, *state, "piece.tar");
	a = open_store(from);
	for (int i = 0; i < 70; i++)
		put_cpu(a, "etcd", i * MINUTE, 1);
	tick(a, HOUR + 10 * MINUTE);
	fd = open(tar, O_RDWR | O_CREAT, 0600);
	assert_int_equal(prowl_store_export(a, &q, fd, &files, NULL), PROWL_OK);
	assert_int_equal(files, 1);
	b = open_store(to);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_int_equal(prowl_store_import(b, fd, &files, &known, NULL), PROWL_OK);
		assert_int_equal(files, !again);
		assert_int_equal(known, again);
		assert_int_equal(merged_samples(b, "etcd", 0, 2 * HOUR), 2 * 60);
	}
	check_clean(b);
	/* Nothing of it is trusted. */
	assert_int_equal(pwrite(fd, "../", 3, 0), 3);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(prowl_store_import(b, fd, &files, &known, NULL), PROWL_FAILED);
	close(fd);
	prowl_store_close(a);
	prowl_store_close(b);
}
