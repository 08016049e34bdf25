/* SPDX-License-Identifier: Apache-2.0 */
#include "perf_record.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* What sample_id_all appends to every record that is no sample, for PROWL_SAMPLE_TYPE. */
struct trailer {
	uint32_t pid, tid;
	uint64_t time;
	uint32_t cpu, res;
	uint64_t id;
};

struct sample_head { /* the fixed first part of a sample of PROWL_SAMPLE_TYPE */
	uint64_t id, ip;
	uint32_t pid, tid;
	uint64_t time;
	uint32_t cpu, res;
	uint64_t period;
	uint64_t nchain;
};

struct cur { /* what is left of the record */
	const uint8_t *p;
	size_t left;
};

static const void *take(struct cur *c, uint64_t len)
{
	const void *p = c->p;

	if (len > c->left)
		return NULL;
	c->p += len;
	c->left -= len;
	return p;
}

static bool take_u64(struct cur *c, uint64_t *ret)
{
	const void *p = take(c, 8);

	if (p)
		memcpy(ret, p, 8);
	return p;
}

/* Splits the chain at the kernel's context markers. Markers are above any address. */
static void split_chain(struct prowl_event *ev, const uint64_t *chain, uint64_t n)
{
	const uint64_t **part = ev->sample.in_kernel ? &ev->sample.kernel : &ev->sample.user;
	uint32_t *len = ev->sample.in_kernel ? &ev->sample.nkernel : &ev->sample.nuser;

	for (uint64_t i = 0; i < n; i++) {
		if (chain[i] == PERF_CONTEXT_KERNEL) {
			part = &ev->sample.kernel;
			len = &ev->sample.nkernel;
		} else if (chain[i] == PERF_CONTEXT_USER) {
			part = &ev->sample.user;
			len = &ev->sample.nuser;
		} else if (chain[i] < (uint64_t)PERF_CONTEXT_MAX) {
			if (*len == 0)
				*part = chain + i;
			else if (*part + *len != chain + i)
				return; /* a part is one piece */
			(*len)++;
		} else {
			part = NULL;
		}
		if (!part)
			return;
	}
}

static int decode_sample(const struct perf_event_header *rec, struct prowl_event *ev)
{
	struct cur c = {(const uint8_t *)(rec + 1), rec->size - sizeof *rec};
	struct sample_head h;
	uint64_t abi, size, dyn;
	const void *p = take(&c, sizeof h);

	if (!p)
		return -EBADMSG;
	memcpy(&h, p, sizeof h);
	ev->id = h.id;
	ev->pid = (pid_t)h.pid;
	ev->tid = (pid_t)h.tid;
	ev->time = h.time;
	ev->cpu = h.cpu;
	memset(&ev->sample, 0, sizeof ev->sample);
	ev->sample.ip = h.ip;
	ev->sample.period = h.period;
	ev->sample.in_kernel = (rec->misc & PERF_RECORD_MISC_CPUMODE_MASK) ==
			       PERF_RECORD_MISC_KERNEL;
	if (h.nchain > c.left / 8)
		return -EBADMSG;
	p = take(&c, h.nchain * 8);
	ev->sample.nchain = (uint32_t)h.nchain;
	split_chain(ev, p, h.nchain);
	if (!take_u64(&c, &abi))
		return -EBADMSG;
	if (abi != PERF_SAMPLE_REGS_ABI_NONE) {
		p = take(&c, UW_REGS_COUNT * 8);
		if (!p)
			return -EBADMSG;
		memcpy(&ev->sample.regs, p, sizeof ev->sample.regs);
		ev->sample.has_regs = abi == PERF_SAMPLE_REGS_ABI_64;
	}
	if (!take_u64(&c, &size))
		return -EBADMSG;
	if (size == 0)
		return 0;
	p = take(&c, size);
	if (!p || !take_u64(&c, &dyn) || dyn > size)
		return -EBADMSG;
	ev->sample.stack = p;
	ev->sample.stack_len = dyn;
	return 0;
}

/* A string that ends inside of the record. */
static const char *string_at(const uint8_t *p, const uint8_t *end)
{
	return p < end && memchr(p, 0, (size_t)(end - p)) ? (const char *)p : NULL;
}

/* Copies the fixed part of a record's body. False: it does not fit. */
static bool body_of(const uint8_t *body, const uint8_t *end, void *ret, size_t len)
{
	if (end - body < (ptrdiff_t)len)
		return false;
	memcpy(ret, body, len);
	return true;
}

static int decode_mmap(const uint8_t *body, const uint8_t *end, struct prowl_event *ev)
{
	struct {
		uint32_t pid, tid;
		uint64_t start, len, offset;
		uint32_t major, minor;
		uint64_t ino, gen;
		uint32_t prot, flags;
	} m;

	if (!body_of(body, end, &m, sizeof m))
		return -EBADMSG;
	ev->type = PROWL_EVENT_MMAP;
	ev->pid = (pid_t)m.pid;
	ev->tid = (pid_t)m.tid;
	ev->mmap.start = m.start;
	ev->mmap.len = m.len;
	ev->mmap.offset = m.offset;
	ev->mmap.ino = m.ino;
	ev->mmap.major = m.major;
	ev->mmap.minor = m.minor;
	ev->mmap.prot = m.prot;
	ev->mmap.path = string_at(body + sizeof m, end);
	return ev->mmap.path ? 0 : -EBADMSG;
}

static int decode_comm(const uint8_t *body, const uint8_t *end, bool exec, struct prowl_event *ev)
{
	uint32_t id[2];

	if (!body_of(body, end, id, sizeof id))
		return -EBADMSG;
	ev->type = PROWL_EVENT_COMM;
	ev->pid = (pid_t)id[0];
	ev->tid = (pid_t)id[1];
	ev->comm.exec = exec;
	ev->comm.comm = string_at(body + sizeof id, end);
	return ev->comm.comm ? 0 : -EBADMSG;
}

static int decode_task(const uint8_t *body, const uint8_t *end, enum prowl_event_type type,
		       struct prowl_event *ev)
{
	struct {
		uint32_t pid, ppid, tid, ptid;
		uint64_t time;
	} f;

	if (!body_of(body, end, &f, sizeof f))
		return -EBADMSG;
	ev->type = type;
	ev->pid = (pid_t)f.pid;
	ev->tid = (pid_t)f.tid;
	ev->fork.ppid = (pid_t)f.ppid;
	ev->fork.ptid = (pid_t)f.ptid;
	return 0;
}

static int decode_lost(const uint8_t *body, const uint8_t *end, struct prowl_event *ev)
{
	uint64_t v[2];

	if (!body_of(body, end, v, sizeof v))
		return -EBADMSG;
	ev->type = PROWL_EVENT_LOST;
	ev->lost = v[1];
	return 0;
}

static int decode_side(const struct perf_event_header *rec, struct prowl_event *ev)
{
	const uint8_t *body = (const uint8_t *)(rec + 1);
	const uint8_t *end = (const uint8_t *)rec + rec->size;
	struct trailer t;

	if (rec->size < sizeof *rec + sizeof t)
		return -EBADMSG;
	end -= sizeof t;
	memcpy(&t, end, sizeof t);
	ev->time = t.time;
	ev->id = t.id;
	ev->pid = (pid_t)t.pid;
	ev->tid = (pid_t)t.tid;
	ev->cpu = t.cpu;
	switch (rec->type) {
	case PERF_RECORD_MMAP2:
		return decode_mmap(body, end, ev);
	case PERF_RECORD_COMM:
		return decode_comm(body, end, rec->misc & PERF_RECORD_MISC_COMM_EXEC, ev);
	case PERF_RECORD_FORK:
		return decode_task(body, end, PROWL_EVENT_FORK, ev);
	case PERF_RECORD_EXIT:
		return decode_task(body, end, PROWL_EVENT_EXIT, ev);
	case PERF_RECORD_LOST:
		return decode_lost(body, end, ev);
	case PERF_RECORD_THROTTLE:
		ev->type = PROWL_EVENT_THROTTLE;
		return 0;
	default:
		return 0;
	}
}

int prowl_perf_decode(const struct perf_event_header *rec, struct prowl_event *ev)
{
	ev->type = PROWL_EVENT_OTHER;
	if (rec->size < sizeof *rec)
		return -EBADMSG;
	if (rec->type != PERF_RECORD_SAMPLE)
		return decode_side(rec, ev);
	ev->type = PROWL_EVENT_SAMPLE;
	return decode_sample(rec, ev);
}

uint64_t prowl_perf_time(const struct perf_event_header *rec)
{
	const uint8_t *p = (const uint8_t *)rec;
	uint64_t t;
	size_t at;

	if (rec->type == PERF_RECORD_SAMPLE)
		at = sizeof *rec + 24;
	else if (rec->size >= sizeof *rec + sizeof(struct trailer))
		at = rec->size - sizeof(struct trailer) + 8;
	else
		return 0;
	if (at + 8 > rec->size)
		return 0;
	memcpy(&t, p + at, 8);
	return t;
}

/* A field of a sample's head, left as it was where the record is no whole sample. */
static void head_field(const struct perf_event_header *rec, size_t at, void *ret, size_t len)
{
	if (rec->type == PERF_RECORD_SAMPLE &&
	    rec->size >= sizeof *rec + sizeof(struct sample_head))
		memcpy(ret, (const uint8_t *)(rec + 1) + at, len);
}

pid_t prowl_perf_pid(const struct perf_event_header *rec)
{
	uint32_t pid = 0;

	head_field(rec, offsetof(struct sample_head, pid), &pid, sizeof pid);
	return (pid_t)pid;
}

pid_t prowl_perf_tid(const struct perf_event_header *rec)
{
	uint32_t tid = 0;

	head_field(rec, offsetof(struct sample_head, tid), &tid, sizeof tid);
	return (pid_t)tid;
}

uint64_t prowl_perf_id(const struct perf_event_header *rec)
{
	uint64_t id = 0;

	head_field(rec, offsetof(struct sample_head, id), &id, sizeof id);
	return id;
}

const void *prowl_perf_raw(const struct perf_event_header *rec, size_t *len)
{
	size_t at = offsetof(struct sample_head, nchain);
	const uint8_t *p = (const uint8_t *)(rec + 1) + at;
	uint32_t size = 0;

	head_field(rec, at, &size, sizeof size);
	if (size == 0 || size > rec->size - sizeof *rec - at - sizeof size)
		return NULL;
	*len = size;
	return p + sizeof size;
}

uint64_t prowl_perf_ip(const struct perf_event_header *rec)
{
	uint64_t ip = 0;

	head_field(rec, offsetof(struct sample_head, ip), &ip, sizeof ip);
	return ip;
}
