/* SPDX-License-Identifier: Apache-2.0 */
#include "rates.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "access.h"
#include "clock.h"
#include "goticks.h"
#include "guardian.h"
#include "maps.h"
#include "privilege.h"
#include "task.h"
#include "runtime.h"

static const struct kind {
	const char *name;     /* of the option */
	const char *variable; /* of the runtime */
	enum uw_goglobal global;
	uint64_t max;       /* of a wish */
	uint64_t plausible; /* of a present value: more can't be a rate */
} kinds[PROWL_RATES] = {
	{"heap-rate", "runtime.MemProfileRate", UW_GLOBAL_MEM_PROFILE_RATE, 1ull << 40, 1ull << 48},
	{"block-rate", "runtime.blockprofilerate", UW_GLOBAL_BLOCK_PROFILE_RATE, 3600000000000,
	 1ull << 52},
	{"mutex-rate", "runtime.mutexprofilerate", UW_GLOBAL_MUTEX_PROFILE_RATE, 1ull << 30,
	 1ull << 40},
};

struct prowl_rates {
	int mem; /* /proc/PID/mem, for writing */
	struct prowl_rates_report report;
	struct guardian guardian;
	enum prowl_rate guarded[PROWL_RATES]; /* the rate of the guardian's i-th word */
	size_t nguarded;
	uint64_t end; /* when the guardian restores them, CLOCK_MONOTONIC; 0: never */
};

const char *prowl_rate_name(enum prowl_rate which)
{
	return kinds[which].name;
}

const char *prowl_rate_variable(enum prowl_rate which)
{
	return kinds[which].variable;
}

uint64_t prowl_rate_max(enum prowl_rate which)
{
	return kinds[which].max;
}

const struct prowl_rates_report *prowl_rates_report(const struct prowl_rates *r)
{
	return &r->report;
}

int prowl_rates_guardian(const struct prowl_rates *r)
{
	return r->guardian.pid;
}

/* --- ticks --- */

/* As SetBlockProfileRate does: 1 means every event, otherwise ns become ticks. */
static uint64_t stored_value(enum prowl_rate which, uint64_t value)
{
	double ticks;

	if (which != PROWL_RATE_BLOCK || value <= 1)
		return value;
	ticks = (double)value * uw_goticks_measure(uw_arch_host()) / 1e9;
	return ticks < 1 ? 1 : (uint64_t)ticks;
}

/* --- may it be written? --- */

struct find_map {
	uint64_t addr;
	bool writable;
};

static int find_map(void *ctx, const struct uw_map *map)
{
	struct find_map *f = ctx;

	if (f->addr < map->start || f->addr >= map->end)
		return 0;
	f->writable = (map->prot & (PROT_READ | PROT_WRITE)) == (PROT_READ | PROT_WRITE) &&
		      !map->shared;
	return 1;
}

/* Private memory that the program itself may write; /proc/PID/mem would accept any. */
static bool is_writable(pid_t pid, uint64_t addr)
{
	struct find_map f = {.addr = addr};
	char path[64];
	int fd;

	uw_task_path(pid, "maps", path, sizeof path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	uw_maps_read(fd, find_map, &f);
	close(fd);
	return f.writable;
}

static enum prowl_code check_place(const struct prowl_runtime *rt, enum prowl_rate which,
				   struct prowl_err *err)
{
	const struct kind *k = &kinds[which];
	enum uw_goglobal_source source = rt->globals.var[k->global].source;
	uint64_t addr = rt->globals.var[k->global].addr;

	if (source == UW_GLOBAL_MISSING || source == UW_GLOBAL_BY_VALUE || !addr) {
		prowl_fail(err, PROWL_UNSUPPORTED,
			   "%s can't be set in process %d (%s): where %s is kept is not known for "
			   "certain",
			   k->name, (int)rt->target.pid, rt->target.comm, k->variable);
		prowl_hint(
			err,
			"nothing was written; the symbol table of a program that is not stripped has it");
		return PROWL_UNSUPPORTED;
	}
	if (addr % sizeof(uint64_t) || addr < rt->globals.data_lo ||
	    addr > rt->globals.data_hi - sizeof(uint64_t) || !is_writable(rt->target.pid, addr))
		return prowl_fail(err, PROWL_UNSUPPORTED,
				  "%s can't be set in process %d (%s): 0x%llx is no place for %s; "
				  "nothing was written",
				  k->name, (int)rt->target.pid, rt->target.comm,
				  (unsigned long long)addr, k->variable);
	return PROWL_OK;
}

static enum prowl_code check_wish(const struct prowl_rates_wish *w, uint64_t min,
				  struct prowl_err *err)
{
	for (size_t i = 0; i < PROWL_RATES; i++) {
		if (w->set[i] && (w->value[i] < min || w->value[i] > kinds[i].max))
			return prowl_fail(err, PROWL_USAGE, "%s must be from %llu to %llu",
					  kinds[i].name, (unsigned long long)min,
					  (unsigned long long)kinds[i].max);
	}
	return PROWL_OK;
}

/* --- setting --- */

static enum prowl_code target_gone(const struct prowl_runtime *rt, struct prowl_err *err)
{
	return prowl_fail(err, PROWL_NOTHING,
			  "process %d (%s) has ended or executes another program",
			  (int)rt->target.pid, rt->target.comm);
}

/*
 * Without a lock, a second prowl would take our rate for the program's own and leave it behind. The
 * lock belongs to the descriptor, which the guardian shares; a guardian that is just restoring is
 * waited for.
 */
static bool lock_target(int mem)
{
	struct timespec pause = {.tv_nsec = 10000000};

	for (int tries = 0; tries < 100; tries++) {
		if (flock(mem, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/*
 * Checks that the descriptor leads to the image that rt was opened for: the process could have
 * executed another program since, but from now on the descriptor keeps to this one.
 */
static enum prowl_code open_memory(struct prowl_rates *r, const struct prowl_runtime *rt,
				   struct prowl_err *err)
{
	struct uw_mem mem;
	char path[64];
	int e;

	uw_task_path(rt->target.pid, "mem", path, sizeof path);
	/*
	 * With the user's own rights: the privilege to read all processes is not one to write to
	 * them.
	 */
	prowl_privilege_lower();
	r->mem = open(path, O_RDWR | O_CLOEXEC);
	e = errno;
	prowl_privilege_raise();
	errno = e;
	if (r->mem < 0 && (errno == ENOENT || errno == ESRCH))
		return target_gone(rt, err);
	if (r->mem < 0) {
		prowl_fail(err, PROWL_PERMISSION, "not allowed to write to process %d (%s): %s: %s",
			   (int)rt->target.pid, rt->target.comm, path, strerror(errno));
		if (prowl_privilege_elevated())
			prowl_hint(
				err,
				"with setcap prowl may look at every process, but writes only to "
				"those that its user may write to without it");
		else
			prowl_hint_reading(err, rt->target.pid);
		return PROWL_PERMISSION;
	}
	if (!lock_target(r->mem))
		return prowl_fail(err, PROWL_FAILED,
				  "another prowl has set rates in process %d (%s) and is not done",
				  (int)rt->target.pid, rt->target.comm);
	mem = uw_mem_procmem(r->mem);
	return uw_space_check_go(&rt->space, &mem) < 0 ? target_gone(rt, err) : PROWL_OK;
}

static enum prowl_code plan_change(struct prowl_rates *r, const struct prowl_runtime *rt,
				   const struct prowl_rates_wish *w, enum prowl_rate which,
				   struct prowl_err *err)
{
	struct prowl_rate_change *c = &r->report.change[which];
	struct uw_mem mem = uw_mem_procmem(r->mem);
	enum prowl_code code = check_place(rt, which, err);

	if (code != PROWL_OK)
		return code;
	c->addr = rt->globals.var[kinds[which].global].addr;
	if (uw_read_u64(&mem, c->addr, &c->before) < 0)
		return target_gone(rt, err);
	if (c->before > kinds[which].plausible)
		return prowl_fail(err, PROWL_UNSUPPORTED,
				  "%s can't be set in process %d (%s): %s seems to be 0x%llx, "
				  "which is no rate; nothing was written",
				  kinds[which].name, (int)rt->target.pid, rt->target.comm,
				  kinds[which].variable, (unsigned long long)c->before);
	c->set = stored_value(which, w->value[which]);
	if (c->set != c->before)
		r->guarded[r->nguarded++] = which;
	return PROWL_OK;
}

static enum prowl_code start_guardian(struct prowl_rates *r, uint64_t max_ns, struct prowl_err *err)
{
	struct guarded words[PROWL_RATES];
	int e;

	for (size_t i = 0; i < r->nguarded; i++) {
		const struct prowl_rate_change *c = &r->report.change[r->guarded[i]];

		words[i] = (struct guarded){c->addr, c->before, c->set};
	}
	r->end = max_ns ? prowl_now() + max_ns : 0;
	e = guardian_start(&r->guardian, r->mem, words, r->nguarded, max_ns);
	if (e < 0)
		return prowl_fail(err, PROWL_FAILED,
				  "the process that would put the rates back can't be started: %s; "
				  "nothing was written",
				  strerror(-e));
	return PROWL_OK;
}

/*
 * One aligned word, which the kernel stores as a whole; even if it did not, any mix of the bytes of
 * two rates is a rate.
 */
static enum prowl_code write_all(struct prowl_rates *r, const struct prowl_runtime *rt,
				 struct prowl_err *err)
{
	for (size_t i = 0; i < r->nguarded; i++) {
		struct prowl_rate_change *c = &r->report.change[r->guarded[i]];
		ssize_t n = pwrite(r->mem, &c->set, sizeof c->set, (off_t)c->addr);

		if (n == 0)
			return target_gone(rt, err);
		if (n != sizeof c->set)
			return prowl_fail(err, PROWL_FAILED,
					  "%s of process %d (%s) can't be written: %s",
					  kinds[r->guarded[i]].variable, (int)rt->target.pid,
					  rt->target.comm, strerror(n < 0 ? errno : EIO));
		c->state = PROWL_RATE_SET;
	}
	return PROWL_OK;
}

static enum prowl_code set_all(struct prowl_rates *r, const struct prowl_runtime *rt,
			       const struct prowl_rates_wish *w, uint64_t max_ns,
			       struct prowl_err *err)
{
	enum prowl_code code = open_memory(r, rt, err);

	for (int i = 0; code == PROWL_OK && i < PROWL_RATES; i++) {
		if (w->set[i])
			code = plan_change(r, rt, w, (enum prowl_rate)i, err);
	}
	if (code == PROWL_OK && r->nguarded)
		code = start_guardian(r, max_ns, err);
	if (code == PROWL_OK)
		code = write_all(r, rt, err);
	return code;
}

enum prowl_code prowl_rates_set(const struct prowl_runtime *rt, const struct prowl_rates_wish *wish,
				uint64_t max_ns, struct prowl_rates **ret, struct prowl_err *err)
{
	enum prowl_code code = check_wish(wish, 1, err);
	struct prowl_rates *r;

	if (code != PROWL_OK)
		return code;
	if (rt->target.core)
		return prowl_fail(err, PROWL_USAGE, "nothing can be set in a core file");
	r = calloc(1, sizeof *r);
	if (!r)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	r->mem = -1;
	code = set_all(r, rt, wish, max_ns, err);
	if (code != PROWL_OK) {
		prowl_rates_free(r);
		return code;
	}
	*ret = r;
	return PROWL_OK;
}

/*
 * Between the two guardians only this process can restore the rates: if it is killed at that
 * moment, too, they stay (prowl rates --restore).
 */
enum prowl_code prowl_rates_tend(struct prowl_rates *r, bool *ret_anew, struct prowl_err *err)
{
	uint64_t now = prowl_now();

	*ret_anew = false;
	if (!guardian_was_killed(&r->guardian))
		return PROWL_OK;
	*ret_anew = true;
	if ((r->end && now >= r->end) ||
	    start_guardian(r, r->end ? r->end - now : 0, err) != PROWL_OK) {
		prowl_rates_restore(r);
		return prowl_fail(
			err, PROWL_FAILED,
			"the process that would put the rates back was killed, and no other "
			"one could be started: they are put back now");
	}
	return PROWL_OK;
}

/* --- rates left behind --- */

enum prowl_code prowl_rates_look(const struct prowl_runtime *rt,
				 struct prowl_rate_now now[PROWL_RATES], struct prowl_err *err)
{
	for (int i = 0; i < PROWL_RATES; i++) {
		uint64_t v = 0;

		now[i] = (struct prowl_rate_now){0};
		if (i == PROWL_RATE_HEAP && !prowl_runtime_heap_linked_out(rt))
			now[i].start = PROWL_RATE_HEAP_DEFAULT;
		if (check_place(rt, (enum prowl_rate)i, NULL) != PROWL_OK)
			continue;
		if (uw_read_u64(&rt->space.live, rt->globals.var[kinds[i].global].addr, &v) < 0)
			return target_gone(rt, err);
		now[i].known = true;
		now[i].value = v;
		if (i == PROWL_RATE_BLOCK && v > 1)
			now[i].value = (uint64_t)((double)v * 1e9 /
							  uw_goticks_measure(uw_arch_host()) +
						  0.5);
	}
	return PROWL_OK;
}

static enum prowl_code put_all(struct prowl_rates *r, const struct prowl_runtime *rt,
			       const struct prowl_rates_wish *w, struct prowl_err *err)
{
	enum prowl_code code = open_memory(r, rt, err);

	for (int i = 0; code == PROWL_OK && i < PROWL_RATES; i++) {
		if (w->set[i])
			code = plan_change(r, rt, w, (enum prowl_rate)i, err);
	}
	return code == PROWL_OK ? write_all(r, rt, err) : code;
}

enum prowl_code prowl_rates_put(const struct prowl_runtime *rt, const struct prowl_rates_wish *wish,
				struct prowl_rates_report *report, struct prowl_err *err)
{
	enum prowl_code code = check_wish(wish, 0, err);
	struct prowl_rates r = {.mem = -1};

	if (code == PROWL_OK && rt->target.core)
		code = prowl_fail(err, PROWL_USAGE, "nothing can be set in a core file");
	if (code == PROWL_OK)
		code = put_all(&r, rt, wish, err);
	if (r.mem >= 0)
		close(r.mem);
	*report = r.report;
	return code;
}

/* --- restoring --- */

static enum prowl_rate_state state_of(enum guarded_state s)
{
	switch (s) {
	case GUARDED_RESTORED:
		return PROWL_RATE_RESTORED;
	case GUARDED_FOREIGN:
		return PROWL_RATE_FOREIGN;
	case GUARDED_GONE:
		return PROWL_RATE_GONE;
	default:
		return PROWL_RATE_STUCK;
	}
}

bool prowl_rates_restore(struct prowl_rates *r)
{
	enum guarded_state states[GUARDIAN_MAX];
	bool good = true;

	guardian_end(&r->guardian, states, r->nguarded);
	for (size_t i = 0; i < r->nguarded; i++) {
		struct prowl_rate_change *c = &r->report.change[r->guarded[i]];
		struct guarded w = {c->addr, c->before, c->set};

		if (c->state == PROWL_RATE_SET || c->state == PROWL_RATE_STUCK) {
			/* The guardian itself may have been killed. */
			if (states[i] == GUARDED_UNKNOWN)
				states[i] = guarded_restore(r->mem, &w);
			c->state = state_of(states[i]);
		}
		good = good && c->state != PROWL_RATE_STUCK;
	}
	return good;
}

void prowl_rates_free(struct prowl_rates *r)
{
	if (!r)
		return;
	prowl_rates_restore(r);
	if (r->mem >= 0)
		close(r->mem);
	free(r);
}
