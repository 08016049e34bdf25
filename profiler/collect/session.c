/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a session, and its targets. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "access.h"
#include "arch.h"
#include "clock.h"
#include "perf_sampler.h"
#include "program.h"
#include "session_parts.h"
#include "whatis.h"

enum { FIRST_PROMPT_MS = 300 };

/* Half a GiB of address space; the least has room for some 20,000 stacks. */
static const struct prowl_stackhash_geometry largest = {.log2_slots = 18, .words = 1u << 25};
enum { HASH_LEAST_WORDS = 1 << 20 };

/* --- opening --------------------------------------------------------------------- */

/* Whether code that is not Go can be on a stack: the target has a C library. */
static bool has_c(const struct prowl_procs *t)
{
	for (size_t i = 0; i < t->nimages; i++) {
		const struct uw_space *s;

		if (!t->images[i])
			continue;
		s = &t->images[i]->space;
		for (size_t j = 0; j < s->n; j++) {
			if (s->maps[j].bin && s->maps[j].bin != s->exe && !s->maps[j].vdso)
				return true;
		}
	}
	return false;
}

static uint32_t stack_bytes(const struct prowl_session *s)
{
	bool c = s->o.children || has_c(&s->procs);

	if (s->o.stack_bytes)
		return (s->o.stack_bytes + 7) & ~7u;
	if (s->o.rate <= 250)
		return c ? SESSION_STACK_C : SESSION_STACK_GO;
	return s->o.rate <= 1000 ? SESSION_STACK_GO : SESSION_STACK_FASTEST;
}

static enum prowl_code check_target(struct prowl_proc *p, struct prowl_err *err)
{
	int pid = (int)p->pid, e = p->image->load_error;

	if (e == -EACCES || e == -EPERM) {
		prowl_fail(err, PROWL_PERMISSION,
			   "not allowed to read the mappings of process %d (/proc/%d/maps: %s; "
			   "uid %d): no frame could be named",
			   pid, pid, strerror(-e), (int)geteuid());
		prowl_hint_reading(err, p->pid);
		return PROWL_PERMISSION;
	}
	return prowl_short_of(&p->image->space, p->pid, err) ? PROWL_FAILED : PROWL_OK;
}

static enum prowl_code find_target(struct prowl_session *s, pid_t pid, struct prowl_proc **ret,
				   struct prowl_err *err)
{
	enum prowl_code code = prowl_whatis(pid, NULL, err);
	int r;

	if (code != PROWL_OK)
		return code;
	r = prowl_procs_add(&s->procs, pid, true, ret);
	if (r == -ESRCH)
		return prowl_fail(err, PROWL_NOTHING, "there is no process %d", (int)pid);
	if (r < 0)
		return prowl_fail(err, PROWL_FAILED, "process %d: %s", (int)pid, strerror(-r));
	return check_target(*ret, err);
}

static enum prowl_code find_targets(struct prowl_session *s, struct prowl_err *err)
{
	enum prowl_code code = PROWL_OK;
	struct prowl_proc *p;

	for (size_t i = 0; i < s->o.npids && code == PROWL_OK; i++)
		code = find_target(s, s->o.pids[i], &p, err);
	return code;
}

/* Mappings made between the first reading and the first record are seen by a second reading. */
static void reload_maps(struct prowl_session *s)
{
	for (size_t i = 0; i < s->procs.n; i++) {
		struct prowl_image *im = s->procs.procs[i]->image;

		im->load_error = uw_space_load(&im->space);
	}
}

/* Where address space is limited, a quarter of it at most: binaries and rings need some, too. */
static bool fits(size_t len)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_AS, &limit) < 0 || len <= limit.rlim_cur / 4;
}

/* Address space, not memory: pages are taken as stacks come. */
static void *map_hash(struct prowl_stackhash_geometry *g, size_t *len)
{
	for (;; g->words /= 2) {
		void *p = MAP_FAILED;

		*len = prowl_stackhash_bytes(g);
		if (fits(*len) || g->words <= HASH_LEAST_WORDS)
			p = mmap(NULL, *len, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p != MAP_FAILED || g->words <= HASH_LEAST_WORDS)
			return p == MAP_FAILED ? NULL : p;
	}
}

static enum prowl_code make_hash(struct prowl_session *s, struct prowl_err *err)
{
	struct prowl_stackhash_geometry geometry = largest;

	s->hash_mem = map_hash(&geometry, &s->hash_len);
	if (!s->hash_mem)
		return prowl_fail(err, PROWL_FAILED,
				  "out of address space: %zu MiB more are needed (limit on virtual "
				  "memory, ulimit -v?)",
				  s->hash_len >> 20);
	madvise(s->hash_mem, s->hash_len, MADV_NOHUGEPAGE);
	if (prowl_stackhash_init(s->hash_mem, s->hash_len, &geometry, &s->hash) < 0)
		return prowl_fail(err, PROWL_FAILED, "stack hash: bad geometry");
	return PROWL_OK;
}

/*
 * The program that copies moments is loaded once sampling has begun, where it can be set on events
 * afterwards: of whole CPUs. Labels can't wait for it: in memory they are right for a moment only.
 */
static bool bpf_follows(const struct prowl_session *s)
{
	return s->o.sampler->set_bpf && !s->o.per_thread && !s->o.labels && !s->o.no_bpf &&
	       !s->moments.bpf;
}

static void load_bpf(struct prowl_session *s)
{
	prowl_moments_open(&s->moments, s->o.no_bpf, s->o.labels);
	for (size_t i = 0; i < s->procs.n; i++)
		prowl_moments_follow(&s->moments, s->procs.procs[i]);
	if (s->moments.bpf && s->sampler)
		s->sampler->ops->set_bpf(s->sampler, s->moments.bpf);
}

enum prowl_code session_open_sampler(struct prowl_session *s, uint32_t copy,
				     struct prowl_sampler **ret, struct prowl_err *err)
{
	struct prowl_sampler_options po = {
		.pids = s->o.pids,
		.npids = s->o.pids ? s->o.npids : 0, /* whole CPUs need none */
		.period_ns = 1000000000u / s->o.rate,
		.stack_bytes = copy,
		.ring_ms = s->o.ring_ms,
		.per_thread = s->o.per_thread,
		.wake_each = session_is_prompt(s) ||
			     (s->o.rate <= SESSION_WAKE_RATE && has_c(&s->procs)),
		.user_only = s->o.user_only,
		.bpf = s->moments.bpf,
		.bpf_follows = bpf_follows(s),
	};

	return s->o.sampler->open(&po, ret, err);
}

static enum prowl_code open_all(struct prowl_session *s, struct prowl_err *err)
{
	enum prowl_code code = find_targets(s, err);
	bool later;

	if (code == PROWL_OK)
		code = make_hash(s, err);
	if (code != PROWL_OK)
		return code;
	later = bpf_follows(s);
	if (!later)
		load_bpf(s);
	s->copy.bytes = stack_bytes(s);
	s->copy.to = UINT64_MAX;
	code = session_open_sampler(s, s->copy.bytes, &s->sampler, err);
	if (code != PROWL_OK)
		return code;
	s->from = session_read_clocks(s, true);
	s->forgotten = s->from;
	s->prompt_until = s->from + FIRST_PROMPT_MS * 1000000ull;
	s->wall_start = (int64_t)(prowl_clock_ns(CLOCK_REALTIME) - (s->o.now() - s->from));
	if (later)
		load_bpf(s);
	reload_maps(s);
	for (size_t i = 0; s->o.threads && i < s->procs.n; i++)
		prowl_threads_add(&s->threads, s->procs.procs[i]->pid);
	s->result.period_ns = 1000000000u / s->o.rate;
	s->result.whole_cpus = s->sampler->facts.whole_cpus;
	s->result.kernel = s->sampler->facts.kernel;
	s->result.paranoid = s->sampler->facts.paranoid;
	s->result.no_bpf = s->sampler->facts.bpf_error ? "the kernel refuses it"
						       : s->moments.why_not;
	return PROWL_OK;
}

static void take_options(struct prowl_session *s, const struct prowl_options *o)
{
	s->o = *o;
	if (!s->o.sampler)
		s->o.sampler = &prowl_perf;
	if (!s->o.now)
		s->o.now = prowl_now;
	if (s->o.rate == 0)
		s->o.rate = PROWL_DEFAULT_RATE;
	s->o.threads |= o->timeline;
	s->procs.children = o->children;
	s->procs.now = o->now;
	s->procs.times = o->times;
	s->opened = s->o.now();
	s->to = UINT64_MAX;
}

enum prowl_code prowl_session_open(const struct prowl_options *o, struct prowl_session **ret,
				   struct prowl_err *err)
{
	struct prowl_session *s;
	enum prowl_code code;

	if (!uw_arch_perf_regs())
		return prowl_fail(err, PROWL_UNSUPPORTED, "CPU profiles are for amd64 only so far");
	s = calloc(1, sizeof *s);
	if (!s)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	take_options(s, o);
	prowl_residency_init(&s->residency);
	s->wake_fd = o->wake_fd > 0 ? fcntl(o->wake_fd, F_DUPFD_CLOEXEC, 0)
				    : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0)
		code = prowl_fail(err, PROWL_FAILED, "%s (limit on open files, ulimit -n?)",
				  strerror(errno));
	else if (uw_walker_new(&s->walker) < 0 || (o->labels && prowl_labels_new(&s->labels) < 0) ||
		 (o->timeline && prowl_timeline_init(&s->timeline) < 0))
		code = prowl_fail(err, PROWL_FAILED,
				  "out of memory (limit on virtual memory, ulimit -v?)");
	else
		code = open_all(s, err);
	s->o.pids = NULL;
	if (code != PROWL_OK) {
		prowl_session_free(s);
		return code;
	}
	*ret = s;
	return PROWL_OK;
}

void prowl_session_free(struct prowl_session *s)
{
	if (!s)
		return;
	prowl_sampler_close(s->sampler);
	uw_walker_free(s->walker);
	prowl_labels_free(s->labels);
	prowl_moments_close(&s->moments);
	prowl_timeline_fini(&s->timeline);
	prowl_threads_fini(&s->threads);
	prowl_residency_fini(&s->residency);
	prowl_procs_fini(&s->procs);
	prowl_kernel_names_fini(&s->names.kernel);
	prowl_symbol_cache_fini(&s->names.native);
	if (s->hash_mem)
		munmap(s->hash_mem, s->hash_len);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	free(s);
}

int prowl_session_wake_fd(const struct prowl_session *s)
{
	return s->wake_fd;
}

const struct prowl_result *prowl_session_result(const struct prowl_session *s)
{
	return &s->result;
}

/* --- targets that come and go ---------------------------------------------------- */

enum prowl_code prowl_session_add(struct prowl_session *s, pid_t pid, struct prowl_err *err)
{
	struct prowl_proc *p = prowl_procs_find(&s->procs, pid);
	enum prowl_code code;
	int r;

	if (p) {
		p->root = true;
		return PROWL_OK;
	}
	/* What waits in the rings is older than the mappings that are read next. */
	session_drain(s);
	code = find_target(s, pid, &p, err);
	if (code == PROWL_OK) {
		r = s->sampler->ops->add(s->sampler, pid);
		if (r < 0)
			code = prowl_fail(err, PROWL_FAILED, "process %d can't be sampled: %s",
					  (int)pid, strerror(-r));
	}
	if (code != PROWL_OK) {
		if (p)
			prowl_procs_remove(&s->procs, p);
		return code;
	}
	p->image->load_error = uw_space_load(&p->image->space); /* until it was sampled */
	if (s->o.threads)
		prowl_threads_add(&s->threads, pid);
	prowl_moments_follow(&s->moments, p);
	return PROWL_OK;
}

/* --- facts about targets --------------------------------------------------------- */

unsigned int prowl_session_events(const struct prowl_session *s)
{
	return s->sampler->facts.nevents;
}

size_t prowl_session_targets(const struct prowl_session *s)
{
	return s->procs.n;
}

void prowl_session_target(struct prowl_session *s, size_t i, struct prowl_target *ret)
{
	struct prowl_proc *p = s->procs.procs[i];
	struct uw_space *space = &p->image->space;
	struct uw_go *go = uw_space_go(space);
	const struct uw_elf *elf = space->exe ? uw_binary_elf(space->exe) : NULL;
	struct uw_section sec;

	*ret = (struct prowl_target){
		.pid = p->pid, .load_error = p->image->load_error, .exited = p->exited};
	memcpy(ret->comm, p->comm, sizeof ret->comm);
	if (elf) {
		ret->stripped = !uw_elf_section(elf, ".symtab", &sec);
		ret->pie = elf->type == 3; /* ET_DYN */
		ret->cgo = go && prowl_elf_has_c(elf);
	}
	if (go) {
		strncpy(ret->go_version, uw_go_version(go), sizeof ret->go_version - 1);
		ret->go_guessed = uw_go_guessed(go);
	} else if (space->exe) {
		ret->go_error = space->exe->go_error == -ENOENT ? 0 : space->exe->go_error;
	}
}
