/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "procs.h"
#include "unit_test.h"

enum { PAGE = 4096, NOBODY = 0x7ffffff0 };
#define FREE_AT 0x10000000000ull /* where no process of ours has anything */

static pid_t child_that_waits(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also where a test fails */
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static void end_child(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static struct prowl_proc *added(struct prowl_procs *t, pid_t pid)
{
	struct prowl_proc *p = NULL;

	assert_int_equal(prowl_procs_add(t, pid, true, &p), 0);
	assert_non_null(p);
	return p;
}

static struct prowl_proc *happens(struct prowl_procs *t, struct prowl_event ev)
{
	struct prowl_proc *forked = (void *)1;

	prowl_procs_event(t, &ev, &forked);
	assert_ptr_not_equal(forked, (void *)1);
	return forked;
}

static struct prowl_event forks(pid_t parent, pid_t child, pid_t tid)
{
	return (struct prowl_event){.type = PROWL_EVENT_FORK,
				    .pid = child,
				    .tid = tid,
				    .fork = {.ppid = parent, .ptid = parent}};
}

static struct prowl_event maps(pid_t pid, uint64_t page, uint64_t pages, uint64_t ino,
			       const char *path)
{
	return (struct prowl_event){.type = PROWL_EVENT_MMAP,
				    .pid = pid,
				    .tid = pid,
				    .mmap = {.start = FREE_AT + page * PAGE,
					     .len = pages * PAGE,
					     .ino = ino,
					     .major = ino ? 77 : 0,
					     .minor = ino ? 1 : 0,
					     .prot = PROT_READ | PROT_EXEC,
					     .path = path}};
}

static struct prowl_event is_called(pid_t pid, pid_t tid, const char *comm, bool exec)
{
	return (struct prowl_event){.type = PROWL_EVENT_COMM,
				    .pid = pid,
				    .tid = tid,
				    .comm = {.exec = exec, .comm = comm}};
}

TEST(test_add)
{
	struct prowl_procs t = {0};
	struct prowl_proc *p = added(&t, getpid()), *again, *none = NULL;

	assert_int_equal(p->pid, getpid());
	assert_true(p->root);
	assert_false(p->exited);
	assert_int_equal(p->image->load_error, 0);
	assert_ptr_equal(p->image->proc, p);
	assert_non_null(uw_space_at(&p->image->space, (uint64_t)(uintptr_t)test_add));
	assert_true(strncmp(p->comm, "test_procs", 10) == 0);
	assert_int_equal(prowl_procs_add(&t, getpid(), true, &again), 0);
	assert_ptr_equal(again, p);
	assert_int_equal(prowl_procs_add(&t, NOBODY, true, &none), -ESRCH);
	assert_null(none);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.nimages, 1);
	assert_null(prowl_procs_find(&t, NOBODY));
	assert_ptr_equal(prowl_procs_find(&t, getpid()), p);
	prowl_procs_fini(&t);
	assert_null(prowl_procs_find(&t, getpid()));
}

TEST(test_fork)
{
	struct prowl_procs t = {.children = true};
	struct prowl_proc *parent = added(&t, getpid()), *p;
	pid_t pid = child_that_waits();
	uint64_t here = (uint64_t)(uintptr_t)test_fork;

	p = happens(&t, forks(getpid(), pid, pid));
	assert_non_null(p);
	assert_int_equal(p->pid, pid);
	assert_false(p->root);
	assert_false(p->exited);
	assert_string_equal(p->comm, parent->comm);
	assert_ptr_equal(prowl_procs_find(&t, pid), p);
	assert_ptr_equal(prowl_procs_find(&t, getpid()), parent);
	/* Its addresses are those of its parent, of the same files, its memory is its own. */
	assert_ptr_not_equal(p->image, parent->image);
	assert_int_equal(p->image->id, 1);
	assert_ptr_equal(t.images[1], p->image);
	assert_ptr_equal(p->image->proc, p);
	assert_int_equal(p->image->space.n, parent->image->space.n);
	assert_ptr_equal(uw_space_at(&p->image->space, here)->bin,
			 uw_space_at(&parent->image->space, here)->bin);
	assert_int_equal(p->image->space.pid, pid);
	assert_int_equal(p->image->space.living, pid);
	assert_ptr_equal(p->image->space.live.ctx, uw_mem_process(pid).ctx);
	/* What it maps from now on is not its parent's. */
	happens(&t, maps(pid, 0, 2, 5, "/lib/x"));
	assert_non_null(uw_space_at(&p->image->space, FREE_AT));
	assert_null(uw_space_at(&parent->image->space, FREE_AT));
	/* Told twice, it is still one. */
	assert_null(happens(&t, forks(getpid(), pid, pid)));
	assert_int_equal(t.n, 2);
	end_child(pid);
	prowl_procs_fini(&t);
}

TEST(test_fork_that_is_none)
{
	struct prowl_procs t = {.children = true};
	pid_t pid = child_that_waits();

	added(&t, getpid());
	assert_null(happens(&t, forks(getpid(), getpid(), pid))); /* a thread */
	assert_null(happens(&t, forks(NOBODY, pid, pid)));        /* somebody else's */
	assert_int_equal(t.n, 1);
	t.children = false;
	assert_null(happens(&t, forks(getpid(), pid, pid)));
	assert_int_equal(t.n, 1);
	assert_int_equal(t.nimages, 1);
	end_child(pid);
	prowl_procs_fini(&t);
}

TEST(test_exec)
{
	struct prowl_procs t = {0};
	struct prowl_proc *p = added(&t, getpid());
	struct prowl_image *before = p->image;
	size_t n = before->space.n;

	prowl_image_sampled(before);
	happens(&t, is_called(getpid(), getpid(), "next", true));
	assert_string_equal(p->comm, "next");
	assert_ptr_not_equal(p->image, before);
	assert_int_equal(p->image->id, 1);
	assert_int_equal(p->image->space.n, 0);
	assert_int_equal(p->image->space.pid, getpid());
	/* The program is mapped first, libraries after it. */
	happens(&t, maps(getpid(), 0, 4, 5, "/bin/next"));
	happens(&t, maps(getpid(), 10, 4, 6, "/lib/ld.so"));
	assert_int_equal(p->image->space.n, 2);
	assert_int_equal(p->image->space.exe->ino, 5);
	/* Samples of before are named by the mappings of before. */
	assert_ptr_equal(t.images[0], before);
	assert_int_equal(before->space.n, n);
	assert_non_null(uw_space_at(&before->space, (uint64_t)(uintptr_t)test_exec));
	assert_null(uw_space_at(&before->space, FREE_AT));
	prowl_procs_fini(&t);
}

TEST(test_exec_without_samples)
{
	struct prowl_procs t = {0};
	struct prowl_proc *p = added(&t, getpid());
	uint64_t version = p->image->space.version;

	happens(&t, is_called(getpid(), getpid(), "next", true));
	assert_int_equal(t.nimages, 1);
	assert_int_equal(p->image->space.n, 0);
	assert_null(p->image->space.exe);
	assert_true(p->image->space.version > version);
	happens(&t, maps(getpid(), 0, 4, 5, "/bin/next"));
	assert_int_equal(p->image->space.exe->ino, 5);
	prowl_procs_fini(&t);
}

TEST(test_name)
{
	struct prowl_procs t = {0};
	struct prowl_proc *p = added(&t, getpid());
	struct prowl_image *before = p->image;

	happens(&t, is_called(getpid(), getpid() + 1, "a thread", false));
	assert_true(strncmp(p->comm, "test_procs", 10) == 0);
	happens(&t, is_called(getpid(), getpid(), "renamed", false));
	assert_string_equal(p->comm, "renamed");
	assert_ptr_equal(p->image, before);
	happens(&t,
		is_called(getpid(), getpid(),
			  "a name of more characters than any kernel that we know of ever gives",
			  false));
	assert_int_equal(strlen(p->comm), sizeof p->comm - 1);
	happens(&t, is_called(NOBODY, NOBODY, "nobody", true));
	assert_int_equal(t.nimages, 1);
	prowl_procs_fini(&t);
}

TEST(test_mmap)
{
	struct prowl_procs t = {0};
	struct prowl_proc *p = added(&t, getpid());
	struct prowl_image *first = p->image;
	struct prowl_event data = maps(getpid(), 50, 4, 5, "/lib/x");
	struct uw_binary *exe = p->image->space.exe;
	size_t n = first->space.n;

	happens(&t, maps(getpid(), 0, 4, 5, "/lib/x"));
	assert_ptr_equal(p->image, first);
	assert_int_equal(first->space.n, n + 1);
	assert_ptr_equal(first->space.exe, exe);
	data.mmap.prot = PROT_READ | PROT_WRITE;
	happens(&t, data);
	assert_null(uw_space_at(&first->space, FREE_AT + 50 * PAGE));
	/* The same again is nothing new. */
	happens(&t, maps(getpid(), 0, 4, 5, "/lib/x"));
	assert_int_equal(t.nimages, 1);
	/* Another file in its place: dlclose, dlopen. While no sample knows the one before, it's
	 * as if that had never been: a target that maps in a loop doesn't fill our memory. */
	happens(&t, maps(getpid(), 0, 4, 7, "/lib/z"));
	assert_int_equal(uw_space_at(&first->space, FREE_AT)->bin->ino, 7);
	happens(&t, maps(getpid(), 0, 4, 5, "/lib/x"));
	assert_int_equal(t.nimages, 1);
	prowl_image_sampled(first);
	happens(&t, maps(getpid(), 1, 2, 6, "/lib/y"));
	assert_ptr_not_equal(p->image, first);
	assert_int_equal(t.nimages, 2);
	assert_int_equal(p->image->id, 1);
	assert_int_equal(uw_space_at(&p->image->space, FREE_AT + PAGE)->bin->ino, 6);
	assert_int_equal(uw_space_at(&p->image->space, FREE_AT)->bin->ino, 5);
	assert_int_equal(uw_space_at(&first->space, FREE_AT + PAGE)->bin->ino, 5);
	assert_int_equal(p->image->space.n, n + 3);
	/* Anonymous code, as perf calls it, beside them and in place of them. */
	happens(&t, maps(getpid(), 20, 1, 0, "//anon"));
	assert_int_equal(t.nimages, 2);
	assert_null(uw_space_at(&p->image->space, FREE_AT + 20 * PAGE)->bin);
	prowl_image_sampled(p->image);
	happens(&t, maps(getpid(), 0, 1, 0, "//anon"));
	assert_int_equal(t.nimages, 3);
	assert_null(uw_space_at(&p->image->space, FREE_AT)->bin);
	happens(&t, maps(NOBODY, 0, 1, 5, "/lib/x"));
	assert_int_equal(t.nimages, 3);
	prowl_procs_fini(&t);
}

/* The leader's end is the process' end only when no thread is left. */
TEST(test_exit)
{
	struct prowl_procs t = {0};
	pid_t pid = child_that_waits();
	struct prowl_proc *p = added(&t, pid);
	struct prowl_event ev = {.type = PROWL_EVENT_EXIT, .pid = pid, .tid = pid};
	siginfo_t info;

	happens(&t, ev);
	assert_false(p->exited);
	assert_false(prowl_procs_all_exited(&t));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	happens(&t, ev); /* not waited for yet */
	assert_true(p->exited);
	assert_true(prowl_procs_all_exited(&t));
	added(&t, getpid());
	assert_false(prowl_procs_all_exited(&t));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	happens(&t, ev);
	prowl_procs_clock(&t, false);
	assert_true(p->exited);
	prowl_procs_fini(&t);
}

/* Another process gets the number of one that is over. */
TEST(test_same_number)
{
	struct prowl_procs t = {.children = true};
	pid_t pid = child_that_waits();
	struct prowl_proc *self = added(&t, getpid()), *p = added(&t, pid), *next;

	assert_null(happens(&t, forks(getpid(), pid, pid))); /* the record of its own start */
	assert_ptr_equal(prowl_procs_find(&t, pid), p);
	p->start++; /* as if it had been one that started at another time */
	next = happens(&t, forks(getpid(), pid, pid));
	assert_non_null(next);
	assert_ptr_not_equal(next, p);
	assert_true(p->exited);
	assert_false(next->exited);
	assert_ptr_equal(prowl_procs_find(&t, pid), next);
	/* Somebody else's child is nobody that we know. */
	end_child(pid);
	assert_null(happens(&t, forks(NOBODY, pid, pid)));
	assert_null(prowl_procs_find(&t, pid));
	assert_ptr_equal(prowl_procs_find(&t, getpid()), self);
	prowl_procs_fini(&t);
}

static void *thread_that_waits(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* A process whose first thread has ended looks like a zombie, and runs. */
TEST(test_leader_ends)
{
	struct prowl_procs t = {0};
	struct prowl_proc *p;
	siginfo_t info;
	pid_t pid = fork();
	pthread_t thread;
	char path[64], line[256] = "";

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (pthread_create(&thread, NULL, thread_that_waits, NULL) != 0)
			_exit(1);
		syscall(SYS_exit, 0); /* of this thread only */
	}
	assert_true(pid > 0);
	p = added(&t, pid);
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	for (int i = 0; i < 2000 && !strstr(line, ") Z "); i++) {
		FILE *f = fopen(path, "r");

		assert_non_null(f);
		assert_non_null(fgets(line, sizeof line, f));
		fclose(f);
		usleep(1000);
	}
	assert_non_null(strstr(line, ") Z "));
	prowl_procs_clock(&t, false);
	assert_false(p->exited);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	prowl_procs_clock(&t, false);
	assert_true(p->exited && p->complete && !p->gone);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	prowl_procs_clock(&t, false);
	assert_true(p->exited && p->complete && p->gone);
	prowl_procs_fini(&t);
}

static uint64_t own_cpu(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts), 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

TEST(test_clock)
{
	struct prowl_procs t = {0};
	struct prowl_proc *p = added(&t, getpid());
	uint64_t before, from, to, after;

	p->sampled = 7;
	before = own_cpu();
	prowl_procs_clock(&t, true);
	from = own_cpu();
	assert_in_range(p->cpu_first, before, from);
	assert_true(p->cpu_last == p->cpu_first);
	while (own_cpu() < from + 60000000)
		;
	p->sampled = 9;
	to = own_cpu();
	prowl_procs_clock(&t, false);
	after = own_cpu();
	assert_in_range(p->cpu_first, before, from);
	assert_in_range(p->cpu_last, to, after);
	assert_true(p->utime_last + p->stime_last > p->utime_first + p->stime_first);
	assert_int_equal(p->sampled_at_clock, 9);
	assert_true(p->clocked != 0);
	prowl_procs_fini(&t);
}

static void use_cpu(uint64_t ns)
{
	for (uint64_t until = own_cpu() + ns; own_cpu() < until;)
		;
}

/* A zombie tells what it used, and, being ours, what its children did. */
TEST(test_zombie)
{
	struct prowl_procs t = {.children = true};
	struct prowl_proc *p;
	siginfo_t info;
	int hold[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(hold), 0);
	pid = fork();
	if (pid == 0) {
		close(hold[1]);
		if (read(hold[0], &c, 1) != 0)
			_exit(1);
		for (int i = 0; i < 3; i++) {
			if (fork() == 0) {
				use_cpu(3000000);
				_exit(0);
			}
		}
		while (wait(NULL) > 0)
			;
		use_cpu(5000000);
		_exit(0);
	}
	close(hold[0]);
	p = added(&t, pid);
	assert_false(p->had_children);
	close(hold[1]);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	prowl_procs_clock(&t, false);
	assert_true(p->exited && p->complete);
	assert_in_range(p->cpu_last - p->cpu_first, 5000000, 500000000);
	assert_in_range(p->reaped_last.user + p->reaped_last.system, 8900000, 500000000);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	prowl_procs_fini(&t);
}

/* Children from before, whose time would be taken for that of others. */
TEST(test_had_children)
{
	struct prowl_procs t = {.children = true};
	pid_t pid = child_that_waits();

	assert_true(added(&t, getpid())->had_children);
	assert_false(added(&t, pid)->had_children);
	end_child(pid);
	prowl_procs_fini(&t);
}

/* Many of them: found by pid, each with its image. */
TEST(test_many)
{
	enum { N = 40 };
	struct prowl_procs t = {.children = true};
	pid_t pids[N];

	added(&t, getpid());
	for (int i = 0; i < N; i++) {
		pids[i] = child_that_waits();
		assert_non_null(happens(&t, forks(getpid(), pids[i], pids[i])));
	}
	assert_int_equal(t.n, N + 1);
	for (int i = 0; i < N; i++) {
		struct prowl_proc *p = prowl_procs_find(&t, pids[i]);

		assert_non_null(p);
		assert_int_equal(p->pid, pids[i]);
		assert_int_equal(p->image->id, i + 1);
		end_child(pids[i]);
	}
	prowl_procs_clock(&t, false);
	for (int i = 0; i < N; i++)
		assert_true(prowl_procs_find(&t, pids[i])->exited);
	assert_false(prowl_procs_find(&t, getpid())->exited);
	prowl_procs_fini(&t);
}

/* An image lives as long as its process has it, or the window has samples of it. */
TEST(test_images_end)
{
	struct prowl_procs t = {0};
	struct prowl_proc *p = added(&t, getpid());
	struct prowl_image *first = p->image, *second;

	prowl_image_sampled(first);
	happens(&t, is_called(getpid(), getpid(), "next", true));
	second = p->image;
	assert_ptr_equal(t.images[0], first);
	prowl_procs_release(&t);
	assert_null(t.images[0]);
	assert_ptr_equal(t.images[1], second);
	assert_true(prowl_procs_ended(&t));
	/* Its number is kept for names of it until these are forgotten. */
	prowl_image_sampled(second);
	happens(&t, is_called(getpid(), getpid(), "third", true));
	assert_int_equal(p->image->id, 2);
	prowl_procs_reuse(&t);
	assert_false(prowl_procs_ended(&t));
	prowl_image_sampled(p->image);
	happens(&t, is_called(getpid(), getpid(), "fourth", true));
	assert_int_equal(p->image->id, 0);
	prowl_procs_release(&t);
	assert_null(t.images[1]);
	assert_null(t.images[2]);
	assert_ptr_equal(t.images[0], p->image);
	/* One that earlier windows have sampled ends with the exec. */
	prowl_image_sampled(p->image);
	prowl_procs_release(&t);
	happens(&t, is_called(getpid(), getpid(), "fifth", true));
	assert_null(t.images[0]);
	prowl_procs_fini(&t);
}

/* 300 programs, 10,000 execs: as many images as one window has. */
TEST(test_storm)
{
	enum { EXECS = 10000, PROGRAMS = 300, WINDOW = 100 };
	struct prowl_procs t = {0};
	struct prowl_proc *p = added(&t, getpid());
	char path[64];

	for (int i = 0; i < EXECS; i++) {
		prowl_image_sampled(p->image);
		happens(&t, is_called(getpid(), getpid(), "next", true));
		snprintf(path, sizeof path, "/bin/program%d", i % PROGRAMS);
		happens(&t, maps(getpid(), 0, 4, (uint64_t)(i % PROGRAMS) + 1, path));
		assert_int_equal(p->image->space.n, 1);
		if (i % WINDOW == 0) {
			prowl_procs_release(&t);
			prowl_procs_reuse(&t);
		}
	}
	assert_in_range(t.nimages, WINDOW, WINDOW + 2);
	assert_int_equal(t.n, 1);
	prowl_procs_fini(&t);
}

static bool is_even(void *ctx, const struct prowl_proc *p)
{
	return p->place % 2 == 0;
}

TEST(test_forget)
{
	enum { N = 20 };
	struct prowl_procs t = {.children = true};
	pid_t pids[N];
	uint32_t place = 0;

	added(&t, getpid())->place = place++;
	for (int i = 0; i < N; i++) {
		pids[i] = child_that_waits();
		happens(&t, forks(getpid(), pids[i], pids[i]));
		prowl_procs_find(&t, pids[i])->place = place++;
	}
	prowl_procs_forget(&t, is_even, NULL);
	assert_int_equal(t.n, N / 2);
	assert_null(prowl_procs_find(&t, getpid()));
	for (int i = 0; i < N; i++) {
		struct prowl_proc *p = prowl_procs_find(&t, pids[i]);

		assert_int_equal(p != NULL, i % 2 == 0);
		if (!p)
			continue;
		assert_int_equal(p->pid, pids[i]);
		assert_ptr_equal(t.procs[i / 2], p);
		assert_ptr_equal(t.images[p->image->id], p->image);
	}
	/* One that was forgotten may come again. */
	added(&t, pids[1]);
	assert_int_equal(t.n, N / 2 + 1);
	for (int i = 0; i < N; i++)
		end_child(pids[i]);
	prowl_procs_fini(&t);
}

TEST(test_remove)
{
	struct prowl_procs t = {0};
	pid_t pid = child_that_waits();
	struct prowl_proc *p = added(&t, pid), *again;

	added(&t, getpid());
	prowl_procs_remove(&t, p);
	assert_null(prowl_procs_find(&t, pid));
	assert_int_equal(t.n, 2);
	again = added(&t, pid);
	assert_ptr_not_equal(again, p);
	assert_ptr_equal(prowl_procs_find(&t, pid), again);
	end_child(pid);
	prowl_procs_clock(&t, false);
	assert_true(again->exited);
	assert_false(p->exited);
	prowl_procs_fini(&t);
}
