/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF program: what it consists of, and what it does, executed here step by step on a thread of
 * Go that the test makes up. Every load and store is checked against what the kernel would allow.
 */
#include <stdint.h>
#include <string.h>

#include "bpf_program.h"
#include "moment.h"
#include "unit_test.h"

enum { TABLE_FD = 3, SCRATCH_FD = 4, OUTPUT_FD = 5, TID = 4002, PID = 4001, PLAIN_STEPS = 40 };

struct machine {
	struct prowl_bpf_table table;
	uint8_t scratch[PROWL_MOMENT_MAX];
	uint8_t stack[512];
	uint64_t ctx[23]; /* of struct bpf_perf_event_data */
	struct bpf_insn insns[PROWL_BPF_MAX_INSNS];
	size_t n;
	struct { /* of the target */
		uint64_t addr;
		uint8_t bytes[1024];
		size_t len;
	} user[24];
	size_t nuser;
	size_t reads, steps;
	bool full; /* the ring has no room */
	uint8_t out[PROWL_MOMENT_MAX];
	size_t out_len;
};

static struct machine m;

static void check_place(uint64_t addr, size_t len, bool write)
{
	const struct {
		const void *at;
		size_t len;
		bool write;
	} places[] = {
		{&m.table, sizeof m.table, true},
		{m.scratch, sizeof m.scratch, true},
		{m.stack, sizeof m.stack, true},
		{m.ctx, sizeof m.ctx, false},
	};

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		uint64_t off = addr - (uintptr_t)places[i].at;

		if (off < places[i].len && len <= places[i].len - off &&
		    (places[i].write || !write))
			return;
	}
	fail_msg("access to %zu bytes at %llx", len, (unsigned long long)addr);
}

static uint64_t probe_read(uint64_t dst, uint64_t len, uint64_t addr)
{
	m.reads++;
	check_place(dst, len, true);
	for (size_t i = 0; i < m.nuser; i++) {
		uint64_t off = addr - m.user[i].addr;

		if (off > m.user[i].len || len > m.user[i].len - off)
			continue;
		memcpy((void *)(uintptr_t)dst, m.user[i].bytes + off, len);
		return 0;
	}
	memset((void *)(uintptr_t)dst, 0, len);
	return (uint64_t)-14;
}

static uint64_t call_helper(int32_t helper, const uint64_t *r)
{
	switch (helper) {
	case BPF_FUNC_get_current_pid_tgid:
		return (uint64_t)PID << 32 | TID;
	case BPF_FUNC_get_smp_processor_id:
		return 1;
	case BPF_FUNC_map_lookup_elem:
		assert_int_equal(r[1], SCRATCH_FD);
		assert_int_equal(*(uint32_t *)(uintptr_t)r[2], 1);
		return (uintptr_t)m.scratch;
	case BPF_FUNC_probe_read_user:
		return probe_read(r[1], r[2], r[3]);
	case BPF_FUNC_perf_event_output:
		assert_int_equal(r[2], OUTPUT_FD);
		check_place(r[4], r[5], false);
		if (m.full)
			return (uint64_t)-28;
		m.out_len = r[5];
		memcpy(m.out, (void *)(uintptr_t)r[4], r[5]);
		return 0;
	default:
		fail_msg("a call of helper %d", helper);
		return 0;
	}
}

static size_t width(uint8_t code)
{
	switch (BPF_SIZE(code)) {
	case BPF_B:
		return 1;
	case BPF_H:
		return 2;
	case BPF_W:
		return 4;
	default:
		return 8;
	}
}

static void access_memory(const struct bpf_insn *i, uint64_t *r)
{
	bool load = BPF_CLASS(i->code) == BPF_LDX, imm = BPF_CLASS(i->code) == BPF_ST;
	uint64_t at = r[load ? i->src_reg : i->dst_reg] + (uint64_t)(int64_t)i->off;
	uint64_t v = imm ? (uint64_t)(int64_t)i->imm : r[i->src_reg];

	check_place(at, width(i->code), !load);
	if (load) {
		r[i->dst_reg] = 0;
		memcpy(&r[i->dst_reg], (void *)(uintptr_t)at, width(i->code));
	} else if (BPF_MODE(i->code) == BPF_XADD) {
		*(uint64_t *)(uintptr_t)at += v;
	} else {
		memcpy((void *)(uintptr_t)at, &v, width(i->code));
	}
}

static uint64_t calculate(uint8_t what, uint64_t a, uint64_t b)
{
	switch (what) {
	case BPF_MOV:
		return b;
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_AND:
		return a & b;
	case BPF_MUL:
		return a * b;
	default:
		fail_msg("operation %x", what);
		return 0;
	}
}

static bool jumps(uint8_t what, uint64_t a, uint64_t b)
{
	switch (what) {
	case BPF_JA:
		return true;
	case BPF_JEQ:
		return a == b;
	case BPF_JNE:
		return a != b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	case BPF_JLE:
		return a <= b;
	case BPF_JLT:
		return a < b;
	default:
		fail_msg("jump %x", what);
		return false;
	}
}

static uint64_t wide(const struct bpf_insn *i)
{
	if (i->src_reg == BPF_PSEUDO_MAP_VALUE) {
		assert_int_equal(i->imm, TABLE_FD);
		return (uintptr_t)&m.table + (uint32_t)i[1].imm;
	}
	return (uint32_t)i->imm | (uint64_t)(uint32_t)i[1].imm << 32;
}

static uint64_t run(void)
{
	uint64_t r[11] = {0};

	r[1] = (uintptr_t)m.ctx;
	r[10] = (uintptr_t)(m.stack + sizeof m.stack);
	m.out_len = m.reads = m.steps = 0;
	for (size_t pc = 0; pc < m.n; pc++) {
		const struct bpf_insn *i = &m.insns[pc];
		uint64_t b = BPF_SRC(i->code) == BPF_X ? r[i->src_reg] : (uint64_t)(int64_t)i->imm;

		m.steps++;
		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
			r[i->dst_reg] = wide(i);
			pc++;
			break;
		case BPF_LDX:
		case BPF_ST:
		case BPF_STX:
			access_memory(i, r);
			break;
		case BPF_ALU64:
			r[i->dst_reg] = calculate(BPF_OP(i->code), r[i->dst_reg], b);
			break;
		case BPF_JMP:
			if (BPF_OP(i->code) == BPF_EXIT)
				return r[0];
			if (BPF_OP(i->code) == BPF_CALL)
				r[0] = call_helper(i->imm, r);
			else if (jumps(BPF_OP(i->code), r[i->dst_reg], b))
				pc += (size_t)i->off;
			break;
		default:
			fail_msg("class %x", BPF_CLASS(i->code));
		}
	}
	fail_msg("ran off the end");
	return 0;
}

/* --- what it consists of --------------------------------------------------------- */

static void build(uint64_t ns, bool labels)
{
	const struct prowl_bpf_program p = {TABLE_FD, SCRATCH_FD, OUTPUT_FD, labels, ns, ns};

	m.n = prowl_bpf_build(&p, m.insns);
	assert_in_range(m.n, 1, PROWL_BPF_MAX_INSNS);
}

static bool is_wide(const struct bpf_insn *i)
{
	return i->code == (BPF_LD | BPF_DW | BPF_IMM);
}

static void check_jump(size_t pc)
{
	const struct bpf_insn *i = &m.insns[pc];
	size_t to = pc + 1 + (size_t)i->off;

	assert_true(i->off >= 0); /* no loops: it ends */
	assert_true(to < m.n);
	assert_false(to > 0 && is_wide(&m.insns[to - 1]));
}

TEST(has_no_loops_and_reads_user_memory_only)
{
	static const int32_t allowed[] = {
		BPF_FUNC_map_lookup_elem,      BPF_FUNC_get_smp_processor_id,
		BPF_FUNC_probe_read_user,      BPF_FUNC_perf_event_output,
		BPF_FUNC_get_current_pid_tgid, BPF_FUNC_get_ns_current_pid_tgid};

	for (int way = 0; way < 4; way++) {
		size_t exits = 0;

		build(way & 1, way & 2);
		for (size_t pc = 0; pc < m.n; pc += is_wide(&m.insns[pc]) ? 2 : 1) {
			const struct bpf_insn *i = &m.insns[pc];
			bool known = false;

			if (BPF_CLASS(i->code) != BPF_JMP)
				continue;
			exits += BPF_OP(i->code) == BPF_EXIT;
			for (size_t k = 0; k < sizeof allowed / sizeof *allowed; k++)
				known |= i->imm == allowed[k];
			if (BPF_OP(i->code) == BPF_CALL)
				assert_true(known);
			else if (BPF_OP(i->code) != BPF_EXIT)
				check_jump(pc);
		}
		assert_int_equal(exits, 1);
		assert_int_equal(m.insns[m.n - 1].code, BPF_JMP | BPF_EXIT);
		assert_int_equal(m.insns[m.n - 2].code, BPF_ALU64 | BPF_MOV | BPF_K);
		assert_int_equal(m.insns[m.n - 2].imm, 1);
	}
}

/* --- what it does ---------------------------------------------------------------- */

#define M        0xc000010000ull
#define G        0xc000020000ull
#define OTHER_G0 0xc000030000ull
#define GSIGNAL  0xc000040000ull
#define G_LO     0xc000100000ull
#define G_HI     0xc000102000ull
#define C_SP     0x7f0000001000ull
#define C_HI     0x7f0000008000ull
#define LABELS   0xc000200000ull

enum {
	REG_R14 = 1,
	REG_IP = 16,
	REG_CS = 17,
	REG_SP = 19,
};

static uint8_t *user(uint64_t addr, size_t len)
{
	assert_true(m.nuser < sizeof m.user / sizeof *m.user);
	m.user[m.nuser].addr = addr;
	m.user[m.nuser].len = len;
	return m.user[m.nuser++].bytes;
}

static void put(uint8_t *at, size_t off, uint64_t v)
{
	memcpy(at + off, &v, 8);
}

/* Of go1.27's layout, or nearly. */
static const struct prowl_bpf_target target = {.pid = PID,
					       .g_len = 368,
					       .m_len = 320,
					       .m_curg = 184,
					       .m_gsignal = 72,
					       .m_ncgo = 304,
					       .g_goid = 152,
					       .g_labels = 352,
					       .g_syscallsp = 112};

static uint8_t *thread(uint64_t sched_sp, uint64_t g0_sp, uint32_t ncgo)
{
	uint8_t *at;

	memset(&m, 0, sizeof m);
	build(0, false);
	m.table.targets[PID % PROWL_BPF_SETS][2] = target;
	at = user(M, 400);
	put(at, 0, OTHER_G0);
	put(at, target.m_curg, G);
	put(at, target.m_gsignal, GSIGNAL);
	memcpy(at + target.m_ncgo, &ncgo, 4);
	put(user(GSIGNAL, 16), 0, 1);
	at = user(OTHER_G0, 400);
	put(at, 8, C_HI);
	put(at, 48, M);
	put(at, 56, g0_sp);
	at = user(G, 400);
	put(at, 0, G_LO);
	put(at, 8, G_HI);
	put(at, 48, M);
	put(at, 56, sched_sp);
	put(at, 152, 17);
	return at;
}

static void sample(bool in_user, uint64_t r14, uint64_t sp)
{
	m.ctx[REG_CS] = in_user ? 0x33 : 0x10;
	m.ctx[REG_IP] = 0x401000;
	m.ctx[REG_SP] = sp;
	m.ctx[REG_R14] = r14;
	assert_int_equal(run(), 1);
}

static void moment(struct prowl_moment *mo)
{
	assert_true(m.out_len > 0);
	assert_int_equal(prowl_moment_decode(m.out, m.out_len, mo), 0);
}

static const struct uw_piece *piece(const struct prowl_moment *mo, uint64_t addr)
{
	for (size_t i = 0; i < mo->n; i++) {
		if (mo->pieces[i].addr == addr)
			return &mo->pieces[i];
	}
	return NULL;
}

TEST(leaves_others_at_once)
{
	thread(0, 0, 0);
	m.table.targets[PID % PROWL_BPF_SETS][2].pid = PID + PROWL_BPF_SETS;
	sample(true, G, G_LO + 512);
	assert_int_equal(m.reads, 0);
	assert_int_equal(m.out_len, 0);
	assert_in_range(m.steps, 1, PLAIN_STEPS);
}

TEST(a_goroutine_on_its_stack_needs_nothing)
{
	thread(0, 0, 0);
	sample(true, G, G_LO + 512);
	assert_int_equal(m.reads, 2);
	assert_int_equal(m.table.threads[TID % PROWL_BPF_THREADS].m, M);
	assert_int_equal(m.out_len, 0);
}

TEST(one_read_is_enough_where_c_never_calls_go)
{
	for (int later = 0; later < 2; later++) {
		struct prowl_bpf_target *t;
		uint8_t *g = thread(G_HI - 64, 0, 0);

		t = &m.table.targets[PID % PROWL_BPF_SETS][2];
		t->no_callbacks = 1;
		put(g, 152, later ? 0 : 17);
		put(g, 160, later ? 17 : 0);
		t->g_goid = later ? 160 : 152;
		sample(true, G, G_LO + 512);
		assert_int_equal(m.reads, 1);
		assert_int_equal(m.table.threads[TID % PROWL_BPF_THREADS].m, M);
		assert_int_equal(m.out_len, 0);
		/* not a goroutine, or not known to be one */
		t->g_goid = later ? 152 : 160;
		sample(true, G, G_LO + 512);
		assert_true(m.out_len > 0);
		t->g_goid = 168;
		sample(true, G, G_LO + 512);
		assert_true(m.out_len > 0);
	}
}

/* systemstack has called Go code: frame pointers lead on to the goroutine. */
TEST(on_g0_below_systemstack_nothing_is_needed)
{
	enum { SWITCH = 0x480000 };
	static const struct {
		uint64_t sched_pc, r14;
		bool no_callbacks, text, needed;
	} cases[] = {
		{SWITCH + 8, OTHER_G0, true, true, false},
		{SWITCH, OTHER_G0, true, true, false},
		{0x401234, OTHER_G0, true, true, true} /* morestack, mcall */,
		{SWITCH + 8, OTHER_G0, false, true, true} /* there may be C */,
		{SWITCH + 8, OTHER_G0, true, false, true} /* the vDSO */,
		{SWITCH + 8, GSIGNAL, true, true, true},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint8_t *g = thread(G_HI - 1000, 0, 0);
		struct prowl_bpf_target *t = &m.table.targets[PID % PROWL_BPF_SETS][2];

		t->no_callbacks = cases[i].no_callbacks;
		t->text_lo = cases[i].text ? 0x400000 : 0x402000;
		t->text_hi = 0x500000;
		t->switch_pc = SWITCH;
		put(g, 64, cases[i].sched_pc);
		put(m.user[2].bytes, 0, C_SP - 4096); /* g0's stack, and the signal's */
		put(m.user[1].bytes, 0, C_SP - 4096);
		put(m.user[1].bytes, 8, C_HI);
		put(m.user[1].bytes, 48, M);
		m.user[1].len = 400;
		m.table.threads[TID % PROWL_BPF_THREADS] = (struct prowl_bpf_thread){.tid = TID,
										     .m = M};
		memset(user(G_HI - 1000, 1000), 0x5a, 1000);
		sample(true, cases[i].r14, C_SP + 64);
		assert_int_equal(m.out_len > 0, cases[i].needed);
		if (!cases[i].needed) {
			assert_int_equal(m.reads, 4);
			assert_int_equal(m.table.threads[TID % PROWL_BPF_THREADS].m, M);
		}
		/* the scheduler, between two goroutines */
		put(m.user[0].bytes, target.m_curg, 0);
		m.out_len = 0;
		sample(true, cases[i].r14, C_SP + 64);
		assert_int_equal(m.out_len > 0,
				 !t->no_callbacks || !cases[i].text || cases[i].r14 != OTHER_G0);
	}
}

TEST(the_goroutines_stack_while_on_g0)
{
	struct prowl_moment mo;

	thread(G_HI - 1000, 0, 0);
	memset(user(G_HI - 1000, 1000), 0x5a, 1000);
	sample(true, OTHER_G0, C_SP + 64);
	moment(&mo);
	assert_true(mo.user);
	assert_int_equal(mo.ip, 0x401000);
	assert_int_equal(mo.m->addr, M);
	assert_int_equal(mo.curg->addr, G);
	assert_int_equal(mo.g0->addr, OTHER_G0);
	assert_int_equal(piece(&mo, G_HI - 1000)->len, 1000);
	assert_int_equal(((const uint8_t *)piece(&mo, G_HI - 1000)->bytes)[999], 0x5a);
	assert_int_equal(mo.holes, 0);
	assert_int_equal(m.table.written, 1);
}

TEST(cs_stack_below_a_callback)
{
	struct prowl_moment mo;

	thread(0, C_SP, 1);
	memset(user(C_SP, 1024), 0x33, 1024); /* what lies behind can't be read */
	sample(true, G, G_LO + 512);
	moment(&mo);
	assert_int_equal(piece(&mo, C_SP)->len, PROWL_BPF_LESS_STACK);
	assert_int_equal(mo.holes, 1);
	assert_int_equal(mo.curg->addr, G);
}

/* In C and in the kernel R14 is anybody's: the thread's m is known from before. */
TEST(by_the_thread_where_r14_is_not_g)
{
	struct prowl_moment mo;

	thread(G_HI - 64, 0, 1);
	memset(user(G_HI - 64, 64), 1, 64);
	sample(false, 0, 0);
	assert_int_equal(m.out_len, 0);
	sample(true, G, G_LO + 512);
	assert_int_equal(m.table.threads[TID % PROWL_BPF_THREADS].m, M);
	sample(true, 0xdead, C_SP);
	moment(&mo);
	assert_int_equal(mo.curg->addr, G);
	sample(false, 0, 0);
	moment(&mo);
	assert_false(mo.user);
	assert_non_null(piece(&mo, G_HI - 64));
	/* something that has a word where g has its m, which has another one where m has its g0 */
	put(user(0x9000, 400), 48, M);
	sample(true, 0x9000, C_SP);
	moment(&mo);
	assert_null(piece(&mo, 0x9000));
	assert_int_equal(mo.curg->addr, G);
}

TEST(another_thread_has_no_m)
{
	thread(G_HI - 64, 0, 1);
	m.table.threads[TID % PROWL_BPF_THREADS] = (struct prowl_bpf_thread){
		.tid = TID + PROWL_BPF_THREADS, .m = M};
	sample(true, 0xdead, C_SP);
	assert_int_equal(m.out_len, 0);
}

TEST(labels_of_a_slice)
{
	struct prowl_moment mo;
	uint8_t *at = thread(0, 0, 0);

	build(0, true);
	m.table.targets[PID % PROWL_BPF_SETS][2].labels = PROWL_BPF_LABEL_SLICE;
	put(at, target.g_labels, LABELS);
	at = user(LABELS, 24);
	put(at, 0, LABELS + 0x100);
	put(at, 8, 2);
	at = user(LABELS + 0x100, 64);
	put(at, 0, LABELS + 0x200);
	put(at, 8, 3);
	put(at, 16, LABELS + 0x210);
	put(at, 24, 1000); /* too long: left to who reads the record */
	put(at, 32, LABELS + 0x220);
	put(at, 40, 4);
	memcpy(user(LABELS + 0x200, 3), "key", 3);
	memcpy(user(LABELS + 0x220, 4), "zone", 4);
	sample(true, G, G_LO + 512);
	moment(&mo);
	assert_int_equal(piece(&mo, LABELS)->len, 24);
	assert_int_equal(piece(&mo, LABELS + 0x100)->len, 64);
	assert_memory_equal(piece(&mo, LABELS + 0x200)->bytes, "key", 3);
	assert_memory_equal(piece(&mo, LABELS + 0x220)->bytes, "zone", 4);
	assert_null(piece(&mo, LABELS + 0x210));
	assert_int_equal(piece(&mo, GSIGNAL)->len, 16);
}

TEST(labels_of_a_map)
{
	struct prowl_moment mo;
	uint8_t *at = thread(0, 0, 0);

	build(0, true);
	m.table.targets[PID % PROWL_BPF_SETS][2].labels = PROWL_BPF_LABEL_MAP;
	put(at, target.g_labels, LABELS);
	put(user(LABELS, 8), 0, LABELS + 0x100);
	at = user(LABELS + 0x100, 48);
	put(at, 0, 1);
	put(at, 16, LABELS + 0x400);
	at = user(LABELS + 0x400, 272);
	at[3] = 77; /* the fourth cell is taken */
	put(at, 8 + 3 * 16, LABELS + 0x200);
	put(at, 8 + 3 * 16 + 8, 3);
	put(at, 136 + 3 * 16, LABELS + 0x220);
	put(at, 136 + 3 * 16 + 8, 4);
	memcpy(user(LABELS + 0x200, 3), "key", 3);
	memcpy(user(LABELS + 0x220, 4), "zone", 4);
	sample(true, G, G_LO + 512);
	moment(&mo);
	assert_memory_equal(piece(&mo, LABELS + 0x200)->bytes, "key", 3);
	assert_memory_equal(piece(&mo, LABELS + 0x220)->bytes, "zone", 4);
}

TEST(counts_what_finds_no_room)
{
	thread(G_HI - 64, 0, 0);
	m.full = true;
	sample(true, OTHER_G0, C_SP + 64);
	assert_int_equal(m.table.written, 0);
	assert_int_equal(m.table.lost, 1);
}

/* Offsets beyond what is copied, as a table that somebody spoilt would have. */
TEST(keeps_its_own_limits)
{
	for (size_t at = 4; at < 2 * sizeof target; at += 2) {
		thread(G_HI - 64, C_SP, 1);
		build(0, at >= sizeof target);
		memset((uint8_t *)&m.table.targets[PID % PROWL_BPF_SETS][2] + at % sizeof target,
		       0xff, 2);
		sample(true, OTHER_G0, C_SP + 64);
		sample(false, 0, 0);
	}
}
