/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * This one file is under another licence than the rest, because the program made here runs in the
 * kernel, and bpf_probe_read_user is there for programs under a licence compatible with the GPL.
 */
#include "bpf_program.h"

#include <stdbool.h>
#include <string.h>

#include "moment.h"

/* Offsets that all of go1.16 to go1.27 share: g.stack, g.m, g.sched.sp and .pc, m.g0. */
enum {
	G_STACK_LO = 0,
	G_STACK_HI = 8,
	G_M = 48,
	G_SCHED_SP = 56,
	G_SCHED_PC = 64,
	SWITCH_BYTES = 16, /* so much of systemstack_switch is where it may be said to be */
	M_G0 = 0,
	G_GOID = 152,       /* before go1.23; then at the next word */
	G_BYTES = 168,      /* stack, m and goid */
	G0_BYTES = 128,     /* stack, m and sched */
	GSIGNAL_BYTES = 16, /* stack */
};

/* struct pt_regs of amd64, which the context begins with. */
enum { REG_R14 = 8, REG_IP = 128, REG_CS = 136, REG_SP = 152 };

/* runtime.hmap and runtime.bmap, as in golabels.c. */
enum {
	HMAP_B = 9,
	HMAP_BUCKETS = 16,
	HMAP_OLD_BUCKETS = 24,
	HMAP_BYTES = 32,
	BUCKET_KEYS = 8,
	BUCKET_VALUES = 136,
	BUCKET_BYTES = 272,
	MIN_TOP_HASH = 5,
	SLICE_BYTES = 24,
	ELEMENT_BYTES = 32,
	STRING_BYTES = 16,
};

/* The program's variables, on its stack; the first eight bytes are for keys and small reads. */
enum {
	V_KEY = -8,
	V_PID = -16, /* thread in the low half, process in the high one */
	V_M = -24,
	V_G0 = -32,
	V_CURG = -40,
	V_SP = -48,
	V_NCGO = -56,
	V_LABELS = -64,
	V_LO = -72,
	V_HI = -80,
	V_SCHED_SP = -88,
	V_SYSCALLSP = -96,
	V_G0_SP = -104,
	V_G0_HI = -112,
	V_GSIGNAL = -120,
	V_ADDR = -128, /* of the next piece */
	V_SIZE = -136,
	V_LIST = -144, /* labels: where the strings' headers are in the record */
	V_R14 = -152,
	V_G = -320, /* the first G_BYTES of a g */
};

#define MEMBER(type, field) ((int16_t)offsetof(struct type, field))

/* places that are jumped to */
enum label {
	OUT_SILENT,
	OUT,
	FOUND,
	NOT_SIMPLE,
	GOID_LATER,
	HAVE_GOID,
	SYSTEM,
	SIMPLE,
	BY_THREAD,
	IS_THREADS,
	HAVE_M,
	CURG_IS_R14,
	HAVE_CURG,
	G0,
	NOT_PLAIN,
	G0_IS_R14,
	HAVE_G0,
	STACKS,
	KERNEL_STACKS,
	GO_STACK,
	C_STACK,
	LABELS,
	LABELS_MAP,
	COUNT_LOST,
	FIRST_FREE_LABEL,
	MAX_LABELS = 256,
};

enum { R0, R1, R2, R3, R4, R5, CTX, TARGET, BUF, PIECE, FP };

struct as { /* an assembler */
	const struct prowl_bpf_program *p;
	struct bpf_insn *insns;
	size_t n;
	size_t nlabels;
	size_t at[MAX_LABELS];
	bool is_jump[PROWL_BPF_MAX_INSNS]; /* to the label that is its offset so far */
};

/* --- instructions ---------------------------------------------------------------- */

static void op(struct as *a, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	if (a->n < PROWL_BPF_MAX_INSNS)
		a->insns[a->n] = (struct bpf_insn){
			.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
	a->n++;
}

static void mov(struct as *a, uint8_t dst, uint8_t src)
{
	op(a, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void mov_imm(struct as *a, uint8_t dst, int32_t imm)
{
	op(a, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm);
}

static void add(struct as *a, uint8_t dst, uint8_t src)
{
	op(a, BPF_ALU64 | BPF_ADD | BPF_X, dst, src, 0, 0);
}

static void alu_imm(struct as *a, uint8_t what, uint8_t dst, int32_t imm)
{
	op(a, BPF_ALU64 | what | BPF_K, dst, 0, 0, imm);
}

/* size: BPF_W, BPF_H, BPF_B, BPF_DW */
static void load(struct as *a, uint8_t size, uint8_t dst, uint8_t src, int16_t off)
{
	op(a, BPF_LDX | BPF_MEM | size, dst, src, off, 0);
}

static void store(struct as *a, uint8_t size, uint8_t dst, int16_t off, uint8_t src)
{
	op(a, BPF_STX | BPF_MEM | size, dst, src, off, 0);
}

static void store_imm(struct as *a, uint8_t size, uint8_t dst, int16_t off, int32_t imm)
{
	op(a, BPF_ST | BPF_MEM | size, dst, 0, off, imm);
}

static void call(struct as *a, int32_t helper)
{
	op(a, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

static void load_wide(struct as *a, uint8_t dst, uint8_t kind, uint64_t v)
{
	op(a, BPF_LD | BPF_DW | BPF_IMM, dst, kind, 0, (int32_t)(uint32_t)v);
	op(a, 0, 0, 0, 0, (int32_t)(uint32_t)(v >> 32));
}

static void load_map(struct as *a, uint8_t dst, int fd)
{
	load_wide(a, dst, BPF_PSEUDO_MAP_FD, (uint32_t)fd);
}

static void load_table(struct as *a, uint8_t dst, size_t off)
{
	load_wide(a, dst, BPF_PSEUDO_MAP_VALUE, (uint32_t)a->p->table_fd | (uint64_t)off << 32);
}

static void mark(struct as *a, uint8_t code, uint8_t dst, uint8_t src, int32_t imm, size_t label)
{
	if (a->n < PROWL_BPF_MAX_INSNS)
		a->is_jump[a->n] = true;
	op(a, code, dst, src, (int16_t)label, imm);
}

static void jump(struct as *a, size_t label)
{
	mark(a, BPF_JMP | BPF_JA, 0, 0, 0, label);
}

/* what: BPF_JEQ, BPF_JNE, BPF_JGT, BPF_JLT ..., without a sign */
static void jump_if(struct as *a, uint8_t what, uint8_t dst, uint8_t src, size_t label)
{
	mark(a, BPF_JMP | what | BPF_X, dst, src, 0, label);
}

static void jump_if_imm(struct as *a, uint8_t what, uint8_t dst, int32_t imm, size_t label)
{
	mark(a, BPF_JMP | what | BPF_K, dst, 0, imm, label);
}

static void here(struct as *a, size_t label)
{
	a->at[label] = a->n;
}

static size_t new_label(struct as *a)
{
	return a->nlabels++;
}

static void resolve(struct as *a)
{
	for (size_t i = 0; i < a->n && i < PROWL_BPF_MAX_INSNS; i++) {
		if (a->is_jump[i])
			a->insns[i].off = (int16_t)(a->at[a->insns[i].off] - i - 1);
	}
}

/* --- user memory ----------------------------------------------------------------- */

static void set(struct as *a, int16_t variable, uint8_t reg)
{
	store(a, BPF_DW, FP, variable, reg);
}

static void get(struct as *a, uint8_t reg, int16_t variable)
{
	load(a, BPF_DW, reg, FP, variable);
}

/*
 * Appends a piece: V_SIZE bytes, which are not more than max, at V_ADDR. PIECE is then its head.
 * Where they can't be read the piece has none, and `hole` is jumped to. The length of the record is
 * kept in the record: what the verifier knows of it is the same on all ways.
 */
static void append(struct as *a, enum prowl_moment_kind kind, int32_t max, size_t hole)
{
	enum { HEAD = sizeof(struct prowl_moment_piece) };

	load(a, BPF_W, R1, BUF, MEMBER(prowl_moment_head, len));
	jump_if_imm(a, BPF_JGT, R1, PROWL_MOMENT_MAX - 2 * HEAD - max, OUT);
	mov(a, PIECE, BUF);
	add(a, PIECE, R1);
	alu_imm(a, BPF_ADD, R1, HEAD);
	store(a, BPF_W, BUF, MEMBER(prowl_moment_head, len), R1);
	get(a, R3, V_ADDR);
	store(a, BPF_DW, PIECE, MEMBER(prowl_moment_piece, addr), R3);
	store_imm(a, BPF_W, PIECE, MEMBER(prowl_moment_piece, len), 0);
	store_imm(a, BPF_W, PIECE, MEMBER(prowl_moment_piece, kind), (int32_t)kind);
	get(a, R2, V_SIZE);
	jump_if_imm(a, BPF_JGT, R2, max, OUT);
	mov(a, R1, PIECE);
	alu_imm(a, BPF_ADD, R1, HEAD);
	call(a, BPF_FUNC_probe_read_user);
	jump_if_imm(a, BPF_JNE, R0, 0, hole);
	get(a, R2, V_SIZE);
	store(a, BPF_W, PIECE, MEMBER(prowl_moment_piece, len), R2);
	alu_imm(a, BPF_ADD, R2, 7);
	alu_imm(a, BPF_AND, R2, -8);
	load(a, BPF_W, R1, BUF, MEMBER(prowl_moment_head, len));
	add(a, R1, R2);
	store(a, BPF_W, BUF, MEMBER(prowl_moment_head, len), R1);
}

static void append_fixed(struct as *a, enum prowl_moment_kind kind, int32_t size, size_t hole)
{
	store_imm(a, BPF_DW, FP, V_SIZE, size);
	append(a, kind, size, hole);
}

/* A field of the target into a register, bounded; beyond that the target gets nothing. */
static void target(struct as *a, uint8_t reg, int16_t field, int32_t max)
{
	load(a, BPF_H, reg, TARGET, field);
	jump_if_imm(a, BPF_JGT, reg, max, OUT);
}

/* The word of the piece at the offset that a field of the target is, into R1. */
static void piece_field(struct as *a, uint8_t size, int16_t field, int32_t max)
{
	target(a, R1, field, max - 8);
	mov(a, R2, PIECE);
	add(a, R2, R1);
	load(a, size, R1, R2, (int16_t)sizeof(struct prowl_moment_piece));
}

static void piece_word(struct as *a, int16_t off)
{
	load(a, BPF_DW, R1, PIECE, (int16_t)sizeof(struct prowl_moment_piece) + off);
}

/* --- whose memory ---------------------------------------------------------------- */

/* V_PID; in a namespace of pids that is not the first, as it is seen there. */
static void who(struct as *a)
{
	if (a->p->ns_ino == 0) {
		call(a, BPF_FUNC_get_current_pid_tgid);
		set(a, V_PID, R0);
		return;
	}
	load_wide(a, R1, 0, a->p->ns_dev);
	load_wide(a, R2, 0, a->p->ns_ino);
	mov(a, R3, FP);
	alu_imm(a, BPF_ADD, R3, V_PID);
	mov_imm(a, R4, 8);
	call(a, BPF_FUNC_get_ns_current_pid_tgid);
	jump_if_imm(a, BPF_JNE, R0, 0, OUT_SILENT);
}

static void find_target(struct as *a)
{
	load(a, BPF_W, R1, FP, V_PID + 4);
	jump_if_imm(a, BPF_JEQ, R1, 0, OUT_SILENT);
	mov(a, R2, R1);
	alu_imm(a, BPF_AND, R2, PROWL_BPF_SETS - 1);
	alu_imm(a, BPF_MUL, R2, PROWL_BPF_WAYS * sizeof(struct prowl_bpf_target));
	load_table(a, TARGET, offsetof(struct prowl_bpf_table, targets));
	add(a, TARGET, R2);
	for (int i = 0; i < PROWL_BPF_WAYS; i++) {
		if (i)
			alu_imm(a, BPF_ADD, TARGET, sizeof(struct prowl_bpf_target));
		load(a, BPF_W, R2, TARGET, MEMBER(prowl_bpf_target, pid));
		jump_if(a, BPF_JEQ, R2, R1, FOUND);
	}
	jump(a, OUT_SILENT);
	here(a, FOUND);
}

/* Where this thread's m is remembered, into R2; the thread into R1. */
static void thread_slot(struct as *a)
{
	load(a, BPF_W, R1, FP, V_PID);
	mov(a, R3, R1);
	alu_imm(a, BPF_AND, R3, PROWL_BPF_THREADS - 1);
	alu_imm(a, BPF_MUL, R3, sizeof(struct prowl_bpf_thread));
	load_table(a, R2, offsetof(struct prowl_bpf_table, threads));
	add(a, R2, R3);
}

static void remember_m(struct as *a, int16_t variable)
{
	thread_slot(a);
	store(a, BPF_W, R2, MEMBER(prowl_bpf_thread, tid), R1);
	get(a, R1, variable);
	store(a, BPF_DW, R2, MEMBER(prowl_bpf_thread, m), R1);
}

/* R0 is 0 when the bytes at R3 are now in the variable. */
static void read_user(struct as *a, int16_t variable, int32_t size)
{
	mov(a, R1, FP);
	alu_imm(a, BPF_ADD, R1, variable);
	mov_imm(a, R2, size);
	call(a, BPF_FUNC_probe_read_user);
}

/* The number of the goroutine whose g was read, 0 for g0 and a signal's, into R1. */
static void load_goid(struct as *a)
{
	load(a, BPF_H, R2, TARGET, MEMBER(prowl_bpf_target, g_goid));
	jump_if_imm(a, BPF_JNE, R2, G_GOID, GOID_LATER);
	get(a, R1, V_G + G_GOID);
	jump(a, HAVE_GOID);
	here(a, GOID_LATER);
	jump_if_imm(a, BPF_JNE, R2, G_GOID + 8, NOT_SIMPLE);
	get(a, R1, V_G + G_GOID + 8);
	here(a, HAVE_GOID);
}

/* A word of the m of the g that was read, at this offset (in R1), into R1. */
static void m_word(struct as *a)
{
	get(a, R3, V_G + G_M);
	add(a, R3, R1);
	read_user(a, V_M, 8);
	jump_if_imm(a, BPF_JNE, R0, 0, NOT_SIMPLE);
	get(a, R1, V_M);
}

/*
 * Nearly all other samples are in Go code of the runtime that systemstack has called, or of the
 * scheduler without a goroutine: frame pointers lead on to the goroutine's stack, or there is none.
 * Those called in another way (morestack, mcall) have another place in the goroutine's sched, and C
 * may leave nothing in the registers. R14's g is the thread's g0 when its m says so.
 */
static void leave_system(struct as *a)
{
	load(a, BPF_H, R1, TARGET, MEMBER(prowl_bpf_target, no_callbacks));
	jump_if_imm(a, BPF_JEQ, R1, 0, NOT_SIMPLE);
	load(a, BPF_DW, R1, CTX, REG_IP);
	load(a, BPF_DW, R2, TARGET, MEMBER(prowl_bpf_target, text_lo));
	jump_if(a, BPF_JLT, R1, R2, NOT_SIMPLE);
	load(a, BPF_DW, R2, TARGET, MEMBER(prowl_bpf_target, text_hi));
	jump_if(a, BPF_JGE, R1, R2, NOT_SIMPLE);
	mov_imm(a, R1, M_G0);
	m_word(a);
	load(a, BPF_DW, R2, CTX, REG_R14);
	jump_if(a, BPF_JNE, R1, R2, NOT_SIMPLE);
	load(a, BPF_H, R1, TARGET, MEMBER(prowl_bpf_target, m_curg));
	m_word(a);
	jump_if_imm(a, BPF_JEQ, R1, 0, SIMPLE);
	mov(a, R3, R1);
	alu_imm(a, BPF_ADD, R3, G_SCHED_PC);
	read_user(a, V_M, 8);
	jump_if_imm(a, BPF_JNE, R0, 0, NOT_SIMPLE);
	get(a, R1, V_M);
	load(a, BPF_DW, R2, TARGET, MEMBER(prowl_bpf_target, switch_pc));
	jump_if_imm(a, BPF_JEQ, R2, 0, NOT_SIMPLE);
	op(a, BPF_ALU64 | BPF_SUB | BPF_X, R1, R2, 0, 0);
	jump_if_imm(a, BPF_JGT, R1, SWITCH_BYTES, NOT_SIMPLE);
}

/*
 * Most samples of most programs are of a goroutine on its own stack that no C has called: the
 * kernel gives all that they need, unless labels are wanted. One read shows it: R14 is a goroutine,
 * and SP lies on its stack. Where C may call Go a second one is needed, of m.ncgo. Its m is
 * remembered for the thread.
 */
static void leave_simple(struct as *a)
{
	load(a, BPF_DW, R1, CTX, REG_CS);
	alu_imm(a, BPF_AND, R1, 3);
	jump_if_imm(a, BPF_JNE, R1, 3, NOT_SIMPLE);
	load(a, BPF_DW, R3, CTX, REG_R14);
	read_user(a, V_G, G_BYTES);
	jump_if_imm(a, BPF_JNE, R0, 0, NOT_SIMPLE);
	load(a, BPF_DW, R1, CTX, REG_SP);
	get(a, R2, V_G + G_STACK_LO);
	jump_if(a, BPF_JLE, R1, R2, NOT_SIMPLE);
	get(a, R2, V_G + G_STACK_HI);
	jump_if(a, BPF_JGT, R1, R2, NOT_SIMPLE);
	load_goid(a);
	jump_if_imm(a, BPF_JEQ, R1, 0, SYSTEM);
	load(a, BPF_H, R1, TARGET, MEMBER(prowl_bpf_target, no_callbacks));
	jump_if_imm(a, BPF_JNE, R1, 0, SIMPLE);
	get(a, R3, V_G + G_M);
	load(a, BPF_H, R1, TARGET, MEMBER(prowl_bpf_target, m_ncgo));
	add(a, R3, R1);
	store_imm(a, BPF_DW, FP, V_NCGO, 0);
	read_user(a, V_NCGO, 4);
	jump_if_imm(a, BPF_JNE, R0, 0, NOT_SIMPLE);
	get(a, R1, V_NCGO);
	jump_if_imm(a, BPF_JNE, R1, 0, NOT_SIMPLE);
	jump(a, SIMPLE);
	here(a, SYSTEM);
	leave_system(a);
	here(a, SIMPLE);
	remember_m(a, V_G + G_M);
	jump(a, OUT_SILENT);
	here(a, NOT_SIMPLE);
}

static void begin_record(struct as *a)
{
	call(a, BPF_FUNC_get_smp_processor_id);
	store(a, BPF_W, FP, V_KEY, R0);
	mov(a, R2, FP);
	alu_imm(a, BPF_ADD, R2, V_KEY);
	load_map(a, R1, a->p->scratch_fd);
	call(a, BPF_FUNC_map_lookup_elem);
	jump_if_imm(a, BPF_JEQ, R0, 0, OUT_SILENT);
	mov(a, BUF, R0);
	store_imm(a, BPF_DW, FP, V_SP, 0);
	store_imm(a, BPF_DW, FP, V_R14, 0);
	store_imm(a, BPF_W, BUF, MEMBER(prowl_moment_head, len), sizeof(struct prowl_moment_head));
	store_imm(a, BPF_W, BUF, MEMBER(prowl_moment_head, user), 0);
	store_imm(a, BPF_DW, BUF, MEMBER(prowl_moment_head, ip), 0);
	store_imm(a, BPF_DW, BUF, MEMBER(prowl_moment_head, sp), 0);
	get(a, R1, V_PID);
	store(a, BPF_DW, BUF, MEMBER(prowl_moment_head, pid_tgid), R1);
}

/* --- what is copied -------------------------------------------------------------- */

/* V_M's, up to the fields that are wanted. */
static void copy_m(struct as *a, size_t hole)
{
	get(a, R1, V_M);
	set(a, V_ADDR, R1);
	target(a, R1, MEMBER(prowl_bpf_target, m_len), PROWL_BPF_MAX_M);
	set(a, V_SIZE, R1);
	append(a, PROWL_MOMENT_M, PROWL_BPF_MAX_M, hole);
	piece_word(a, M_G0);
	set(a, V_G0, R1);
	piece_field(a, BPF_DW, MEMBER(prowl_bpf_target, m_curg), PROWL_BPF_MAX_M);
	set(a, V_CURG, R1);
	piece_field(a, BPF_DW, MEMBER(prowl_bpf_target, m_gsignal), PROWL_BPF_MAX_M);
	set(a, V_GSIGNAL, R1);
	piece_field(a, BPF_W, MEMBER(prowl_bpf_target, m_ncgo), PROWL_BPF_MAX_M);
	set(a, V_NCGO, R1);
}

/* A g at R1. */
static void copy_g(struct as *a, enum prowl_moment_kind kind, size_t hole)
{
	set(a, V_ADDR, R1);
	target(a, R1, MEMBER(prowl_bpf_target, g_len), PROWL_BPF_MAX_G);
	set(a, V_SIZE, R1);
	append(a, kind, PROWL_BPF_MAX_G, hole);
}

/* PIECE is the first one: R14's g, which turned out to be of this kind. */
static void first_piece(struct as *a, enum prowl_moment_kind kind)
{
	mov(a, PIECE, BUF);
	alu_imm(a, BPF_ADD, PIECE, sizeof(struct prowl_moment_head));
	store_imm(a, BPF_W, PIECE, MEMBER(prowl_moment_piece, kind), (int32_t)kind);
}

/*
 * In Go code R14 is g, and it is believed when its m says so: m.g0 or m.curg. That m is remembered
 * for the thread's samples in C and in the kernel, where only those who read the record can tell
 * whether it still is this thread's: they compare the stacks.
 */
static void find_m(struct as *a)
{
	load(a, BPF_DW, R1, CTX, REG_CS);
	alu_imm(a, BPF_AND, R1, 3);
	jump_if_imm(a, BPF_JNE, R1, 3, BY_THREAD);
	store_imm(a, BPF_W, BUF, MEMBER(prowl_moment_head, user), 1);
	load(a, BPF_DW, R1, CTX, REG_IP);
	store(a, BPF_DW, BUF, MEMBER(prowl_moment_head, ip), R1);
	load(a, BPF_DW, R1, CTX, REG_SP);
	store(a, BPF_DW, BUF, MEMBER(prowl_moment_head, sp), R1);
	set(a, V_SP, R1);
	load(a, BPF_DW, R1, CTX, REG_R14);
	set(a, V_R14, R1);
	copy_g(a, PROWL_MOMENT_G0, BY_THREAD);
	piece_word(a, G_M);
	set(a, V_M, R1);
	copy_m(a, BY_THREAD);
	get(a, R2, V_R14);
	get(a, R1, V_G0);
	jump_if(a, BPF_JEQ, R1, R2, IS_THREADS);
	get(a, R1, V_CURG);
	jump_if(a, BPF_JNE, R1, R2, BY_THREAD);

	here(a, IS_THREADS);
	remember_m(a, V_M);
	jump(a, HAVE_M);

	here(a, BY_THREAD);
	store_imm(a, BPF_W, BUF, MEMBER(prowl_moment_head, len), sizeof(struct prowl_moment_head));
	store_imm(a, BPF_DW, FP, V_R14, 0);
	thread_slot(a);
	load(a, BPF_W, R3, R2, MEMBER(prowl_bpf_thread, tid));
	jump_if(a, BPF_JNE, R3, R1, OUT_SILENT);
	load(a, BPF_DW, R1, R2, MEMBER(prowl_bpf_thread, m));
	set(a, V_M, R1);
	copy_m(a, OUT);
	here(a, HAVE_M);
}

static void copy_curg(struct as *a)
{
	store_imm(a, BPF_DW, FP, V_LABELS, 0);
	store_imm(a, BPF_DW, FP, V_LO, 0);
	store_imm(a, BPF_DW, FP, V_HI, 0);
	store_imm(a, BPF_DW, FP, V_SCHED_SP, 0);
	store_imm(a, BPF_DW, FP, V_SYSCALLSP, 0);
	get(a, R1, V_CURG);
	jump_if_imm(a, BPF_JEQ, R1, 0, G0);
	get(a, R2, V_R14);
	jump_if(a, BPF_JEQ, R1, R2, CURG_IS_R14);
	copy_g(a, PROWL_MOMENT_CURG, G0);
	jump(a, HAVE_CURG);
	here(a, CURG_IS_R14);
	first_piece(a, PROWL_MOMENT_CURG);
	here(a, HAVE_CURG);
	piece_word(a, G_STACK_LO);
	set(a, V_LO, R1);
	piece_word(a, G_STACK_HI);
	set(a, V_HI, R1);
	piece_word(a, G_SCHED_SP);
	set(a, V_SCHED_SP, R1);
	piece_field(a, BPF_DW, MEMBER(prowl_bpf_target, g_syscallsp), PROWL_BPF_MAX_G);
	set(a, V_SYSCALLSP, R1);
	piece_field(a, BPF_DW, MEMBER(prowl_bpf_target, g_labels), PROWL_BPF_MAX_G);
	set(a, V_LABELS, R1);
	here(a, G0);
}

/* The same in the kernel: in a system call, or where it has not left its stack. */
static void leave_plain(struct as *a)
{
	get(a, R1, V_NCGO);
	jump_if_imm(a, BPF_JNE, R1, 0, NOT_PLAIN);
	load(a, BPF_W, R1, BUF, MEMBER(prowl_moment_head, user));
	jump_if_imm(a, BPF_JNE, R1, 0, NOT_PLAIN);
	get(a, R1, V_SYSCALLSP);
	jump_if_imm(a, BPF_JNE, R1, 0, OUT_SILENT);
	get(a, R1, V_SCHED_SP);
	jump_if_imm(a, BPF_JEQ, R1, 0, OUT_SILENT);
	here(a, NOT_PLAIN);
}

static void copy_g0(struct as *a)
{
	store_imm(a, BPF_DW, FP, V_G0_SP, 0);
	store_imm(a, BPF_DW, FP, V_G0_HI, 0);
	get(a, R1, V_G0);
	get(a, R2, V_R14);
	jump_if(a, BPF_JEQ, R1, R2, G0_IS_R14);
	set(a, V_ADDR, R1);
	append_fixed(a, PROWL_MOMENT_G0, G0_BYTES, STACKS);
	jump(a, HAVE_G0);
	here(a, G0_IS_R14);
	first_piece(a, PROWL_MOMENT_G0);
	here(a, HAVE_G0);
	piece_word(a, G_SCHED_SP);
	set(a, V_G0_SP, R1);
	piece_word(a, G_STACK_HI);
	set(a, V_G0_HI, R1);
	if (a->p->labels) {
		get(a, R1, V_GSIGNAL);
		set(a, V_ADDR, R1);
		append_fixed(a, PROWL_MOMENT_GSIGNAL, GSIGNAL_BYTES, STACKS);
	}
	here(a, STACKS);
}

/* The stack from the variable `from` up to the variable `to`, as far as max and memory go. */
static void copy_stack(struct as *a, enum prowl_moment_kind kind, int16_t from, int16_t to,
		       int32_t max, size_t then)
{
	size_t all = new_label(a), less = new_label(a);

	get(a, R1, from);
	jump_if_imm(a, BPF_JEQ, R1, 0, then);
	set(a, V_ADDR, R1);
	get(a, R2, to);
	op(a, BPF_ALU64 | BPF_SUB | BPF_X, R2, R1, 0, 0);
	jump_if_imm(a, BPF_JLE, R2, max, all);
	mov_imm(a, R2, max);
	here(a, all);
	set(a, V_SIZE, R2);
	append(a, kind, max, less);
	jump(a, then);
	here(a, less);
	append_fixed(a, kind, PROWL_BPF_LESS_STACK, then);
}

/*
 * The stack that the sample is not on. In the kernel it isn't known which that is: the goroutine's,
 * unless it is in a system call of its own, for its stack is then the sample's; and where C has
 * been called, C's.
 */
static void copy_stacks(struct as *a)
{
	load(a, BPF_W, R1, BUF, MEMBER(prowl_moment_head, user));
	jump_if_imm(a, BPF_JEQ, R1, 0, KERNEL_STACKS);
	get(a, R1, V_SP);
	get(a, R2, V_LO);
	jump_if(a, BPF_JLE, R1, R2, GO_STACK);
	get(a, R2, V_HI);
	jump_if(a, BPF_JGT, R1, R2, GO_STACK);
	jump(a, C_STACK);

	here(a, KERNEL_STACKS);
	get(a, R1, V_NCGO);
	jump_if_imm(a, BPF_JNE, R1, 0, GO_STACK);
	get(a, R1, V_SYSCALLSP);
	jump_if_imm(a, BPF_JNE, R1, 0, LABELS);

	here(a, GO_STACK);
	copy_stack(a, PROWL_MOMENT_GO_STACK, V_SCHED_SP, V_HI, PROWL_BPF_MAX_STACK, C_STACK);
	here(a, C_STACK);
	get(a, R1, V_NCGO);
	jump_if_imm(a, BPF_JEQ, R1, 0, LABELS);
	copy_stack(a, PROWL_MOMENT_C_STACK, V_G0_SP, V_G0_HI, PROWL_BPF_MAX_C_STACK, LABELS);
	here(a, LABELS);
}

/* --- labels ---------------------------------------------------------------------- */

/* The string whose header is so far behind V_LIST; one that is too long is left out. */
static void copy_string(struct as *a, int16_t off)
{
	size_t next = new_label(a);

	get(a, PIECE, V_LIST);
	load(a, BPF_DW, R1, PIECE, off);
	set(a, V_ADDR, R1);
	load(a, BPF_DW, R1, PIECE, off + 8);
	set(a, V_SIZE, R1);
	jump_if_imm(a, BPF_JEQ, R1, 0, next);
	jump_if_imm(a, BPF_JGT, R1, PROWL_BPF_LABEL_BYTES, next);
	append(a, PROWL_MOMENT_LABELS, PROWL_BPF_LABEL_BYTES, next);
	here(a, next);
}

/* What was just appended has headers of strings. */
static void keep_list(struct as *a)
{
	mov(a, R1, PIECE);
	alu_imm(a, BPF_ADD, R1, sizeof(struct prowl_moment_piece));
	set(a, V_LIST, R1);
}

static void copy_label_slice(struct as *a)
{
	append_fixed(a, PROWL_MOMENT_LABELS, SLICE_BYTES, OUT);
	piece_word(a, 0);
	set(a, V_ADDR, R1);
	piece_word(a, 8);
	jump_if_imm(a, BPF_JEQ, R1, 0, OUT);
	jump_if_imm(a, BPF_JGT, R1, PROWL_BPF_LABELS, OUT);
	alu_imm(a, BPF_MUL, R1, ELEMENT_BYTES);
	set(a, V_SIZE, R1);
	append(a, PROWL_MOMENT_LABELS, PROWL_BPF_LABELS * ELEMENT_BYTES, OUT);
	keep_list(a);
	for (int i = 0; i < PROWL_BPF_LABELS; i++) {
		get(a, PIECE, V_LIST);
		load(a, BPF_W, R1, PIECE,
		     MEMBER(prowl_moment_piece, len) - (int16_t)sizeof(struct prowl_moment_piece));
		jump_if_imm(a, BPF_JLE, R1, i * ELEMENT_BYTES, OUT);
		copy_string(a, (int16_t)(i * ELEMENT_BYTES));
		copy_string(a, (int16_t)(i * ELEMENT_BYTES + STRING_BYTES));
	}
	jump(a, OUT);
}

/* A map of one bucket, as those of up to eight labels are. */
static void copy_label_map(struct as *a)
{
	append_fixed(a, PROWL_MOMENT_LABELS, 8, OUT);
	piece_word(a, 0);
	set(a, V_ADDR, R1);
	append_fixed(a, PROWL_MOMENT_LABELS, HMAP_BYTES, OUT);
	load(a, BPF_B, R1, PIECE, (int16_t)sizeof(struct prowl_moment_piece) + HMAP_B);
	jump_if_imm(a, BPF_JNE, R1, 0, OUT);
	piece_word(a, HMAP_OLD_BUCKETS);
	jump_if_imm(a, BPF_JNE, R1, 0, OUT);
	piece_word(a, HMAP_BUCKETS);
	set(a, V_ADDR, R1);
	append_fixed(a, PROWL_MOMENT_LABELS, BUCKET_BYTES, OUT);
	keep_list(a);
	for (int i = 0; i < PROWL_BPF_LABELS; i++) {
		size_t next = new_label(a);

		get(a, PIECE, V_LIST);
		load(a, BPF_B, R1, PIECE, (int16_t)i);
		jump_if_imm(a, BPF_JLT, R1, MIN_TOP_HASH, next);
		copy_string(a, (int16_t)(BUCKET_KEYS + i * STRING_BYTES));
		copy_string(a, (int16_t)(BUCKET_VALUES + i * STRING_BYTES));
		here(a, next);
	}
}

static void copy_labels(struct as *a)
{
	get(a, R1, V_LABELS);
	jump_if_imm(a, BPF_JEQ, R1, 0, OUT);
	set(a, V_ADDR, R1);
	load(a, BPF_H, R1, TARGET, MEMBER(prowl_bpf_target, labels));
	jump_if_imm(a, BPF_JEQ, R1, PROWL_BPF_LABEL_MAP, LABELS_MAP);
	copy_label_slice(a);
	here(a, LABELS_MAP);
	copy_label_map(a);
}

/* --- the end --------------------------------------------------------------------- */

static void count(struct as *a, size_t off)
{
	load_table(a, R1, off);
	mov_imm(a, R2, 1);
	op(a, BPF_STX | BPF_DW | BPF_XADD, R1, R2, 0, 0);
}

static void put_out(struct as *a)
{
	here(a, OUT);
	load(a, BPF_W, R5, BUF, MEMBER(prowl_moment_head, len));
	jump_if_imm(a, BPF_JGT, R5, PROWL_MOMENT_MAX, OUT_SILENT);
	mov(a, R1, CTX);
	load_map(a, R2, a->p->output_fd);
	load_wide(a, R3, 0, BPF_F_CURRENT_CPU);
	mov(a, R4, BUF);
	call(a, BPF_FUNC_perf_event_output);
	jump_if_imm(a, BPF_JNE, R0, 0, COUNT_LOST);
	count(a, offsetof(struct prowl_bpf_table, written));
	jump(a, OUT_SILENT);
	here(a, COUNT_LOST);
	count(a, offsetof(struct prowl_bpf_table, lost));
	here(a, OUT_SILENT);
	mov_imm(a, R0, 1);
	op(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

size_t prowl_bpf_build(const struct prowl_bpf_program *p, struct bpf_insn *insns)
{
	struct as a = {.p = p, .insns = insns, .nlabels = FIRST_FREE_LABEL};

	mov(&a, CTX, R1);
	who(&a);
	find_target(&a);
	if (!p->labels)
		leave_simple(&a);
	begin_record(&a);
	find_m(&a);
	copy_curg(&a);
	if (!p->labels)
		leave_plain(&a);
	copy_g0(&a);
	copy_stacks(&a);
	if (p->labels)
		copy_labels(&a);
	put_out(&a);
	resolve(&a);
	return a.n;
}
