/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <string.h>

#include "arch.h"

static int32_t i32_at(const uint8_t *p)
{
	int32_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

/* --- what code refers to --------------------------------------------------------- */

enum {
	REX = 0x40,
	REX_MASK = 0xf0,
	REX_W = 8,
	MODRM_RIP = 5, /* mod 0, rm 5: relative to the next instruction */
	MODRM_RIP_MASK = 0xc7,
	MODRM_REG_MASK = 0x38,
	MODRM_REG_7 = 0x38,
	RIP_OPERAND = 6, /* opcode, ModRM, four bytes of displacement */
};

/* The kind of the instruction with this opcode and ModRM, 0 for none that counts. */
static uint8_t ref_kind(uint8_t opcode, uint8_t modrm, size_t *imm_len)
{
	*imm_len = 0;
	switch (opcode) {
	case 0x8b:
		return UW_REF_LOAD;
	case 0x63:
		return UW_REF_SIGNED;
	case 0x89:
	case 0x87: /* xchg: Go's atomic store */
		return UW_REF_STORE;
	case 0x8d:
		return UW_REF_LEA;
	case 0x39:
	case 0x3b:
		return UW_REF_CMP;
	case 0x83:
		*imm_len = 1;
		return (modrm & MODRM_REG_MASK) == MODRM_REG_7 ? UW_REF_CMP : 0;
	case 0x81:
		*imm_len = 4;
		return (modrm & MODRM_REG_MASK) == MODRM_REG_7 ? UW_REF_CMP : 0;
	case 0xc7:
		*imm_len = 4;
		return (modrm & MODRM_REG_MASK) == 0 ? UW_REF_STORE : 0;
	default:
		return 0;
	}
}

static void refs(const uint8_t *code, size_t len, uint64_t addr, struct uw_ref_out *o)
{
	for (size_t i = 0; i + RIP_OPERAND <= len; i++) {
		const uint8_t *p = code + i;
		struct uw_ref ref;
		size_t imm_len;
		bool wide;

		if ((p[1] & MODRM_RIP_MASK) != MODRM_RIP)
			continue;
		ref = (struct uw_ref){.kind = ref_kind(p[0], p[1], &imm_len)};
		if (!ref.kind || i + RIP_OPERAND + imm_len > len)
			continue;
		wide = i > 0 && (p[-1] & REX_MASK) == REX && (p[-1] & REX_W);
		ref.at = (uint32_t)i;
		ref.next = (uint32_t)(i + RIP_OPERAND + imm_len);
		ref.target = addr + ref.next + (uint64_t)(int64_t)i32_at(p + 2);
		ref.width = wide && ref.kind != UW_REF_SIGNED ? 8 : 4;
		if (imm_len) {
			ref.has_imm = true;
			ref.imm = imm_len == 1 ? (int8_t)p[RIP_OPERAND] : i32_at(p + RIP_OPERAND);
		}
		uw_ref_add(o, &ref);
	}
}

/* An atomic store: a register and memory change places, with a prefix for 64 bits. */
static bool is_exchange(const uint8_t *code, size_t n)
{
	return n >= 2 && (code[0] & 0xf8) == 0x48 && code[1] == 0x87;
}

/* --- calls ----------------------------------------------------------------------- */

enum {
	CALL = 0xe8, /* with four bytes of distance */
	CALL_LEN = 5,
	JUMP = 0xe9,
	NOCTXT_LEN = 10, /* MOV $0, DX; JMP */
	SAVE_LEN = 4,
};

static bool ends_in_call(const uint8_t *code, size_t n)
{
	if (n >= CALL_LEN && code[n - CALL_LEN] == CALL)
		return true;
	/* ff /2 with every addressing form: 2 to 7 bytes */
	for (size_t len = 2; len <= 7 && len <= n; len++) {
		const uint8_t *p = code + n - len;

		if (p[0] == 0xff && ((p[1] >> 3) & 7) == 2)
			return true;
	}
	return false;
}

static uint64_t call_target(const uint8_t *code, uint64_t end)
{
	return code[0] == CALL ? end + (uint64_t)(int64_t)i32_at(code + 1) : 0;
}

static uint64_t noctxt_target(const uint8_t *code, uint64_t end)
{
	return code[0] == 0xba && code[5] == JUMP ? end + (uint64_t)(int64_t)i32_at(code + 6) : 0;
}

/* mov %rbp, disp(%rsp) */
static bool saves_fp(const uint8_t *code)
{
	return code[0] == 0x48 && code[1] == 0x89 && (code[2] == 0x6c || code[2] == 0xac) &&
	       code[3] == 0x24;
}

/* jmp *disp(%rip), maybe behind endbr64 and a bnd prefix */
static bool is_stub(const uint8_t *code, size_t n)
{
	static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
	size_t i = n >= sizeof endbr && memcmp(code, endbr, sizeof endbr) == 0 ? sizeof endbr : 0;

	if (i < n && code[i] == 0xf2)
		i++;
	return i + 2 <= n && code[i] == 0xff && code[i + 1] == 0x25;
}

/* --- registers ------------------------------------------------------------------- */

/* struct user_regs_struct, words */
static const uint8_t user_regs[UW_SLOTS] = {
	[UW_R15] = 0, [UW_R14] = 1, [UW_R13] = 2, [UW_R12] = 3,
	[UW_BP] = 4,  [UW_BX] = 5,  [UW_IP] = 16, [UW_SP] = 19,
};

static const uint8_t dwarf_slots[] = {
	UW_ARCH_NO_SLOT, UW_ARCH_NO_SLOT, UW_ARCH_NO_SLOT, UW_BX,           UW_ARCH_NO_SLOT,
	UW_ARCH_NO_SLOT, UW_BP,           UW_SP,           UW_ARCH_NO_SLOT, UW_ARCH_NO_SLOT,
	UW_ARCH_NO_SLOT, UW_ARCH_NO_SLOT, UW_R12,          UW_R13,          UW_R14,
	UW_R15,          UW_IP,
};

/* mov $15,%rax; syscall. R8 to R15, DI, SI, BP, BX, DX, AX, CX, SP, IP lie in struct sigcontext. */
static const struct uw_sigreturn sigreturn = {
	.code = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05},
	.len = 9,
	.regs = 40,
	.nwords = 17,
	.word = {[UW_R12] = 4,
		 [UW_R13] = 5,
		 [UW_R14] = 6,
		 [UW_R15] = 7,
		 [UW_BP] = 10,
		 [UW_BX] = 11,
		 [UW_SP] = 15,
		 [UW_IP] = 16},
};

/* src/runtime/cgo/asm_amd64.s, go1.16 to go1.27 */
static const struct uw_crosscall crosscall = {
	.at = 24,
	.n = 6,
	.slot = {UW_BX, UW_R12, UW_R13, UW_R14, UW_R15, UW_BP},
};

/* Bits of arch/x86/include/uapi/asm/perf_regs.h: BX, BP, SP, IP, R12 to R15. */
#define PERF_REGS                                                                              \
	((1ull << 1) | (1ull << 6) | (1ull << 7) | (1ull << 8) | (1ull << 20) | (1ull << 21) | \
	 (1ull << 22) | (1ull << 23))

#if defined(__x86_64__)
static uint64_t ticks(void)
{
	return __builtin_ia32_rdtsc();
}
#define TICKS ticks
#else
#define TICKS NULL
#endif

const struct uw_arch uw_arch_amd64 = {
	.id = UW_AMD64,
	.machine = EM_X86_64,
	.name = "amd64",
	.quantum = 1,
	.user_regs = user_regs,
	.user_tls = 21, /* fs_base */
	.ticks = TICKS,
	.refs = refs,
	.is_exchange = is_exchange,
	.perf_regs = PERF_REGS,
	.max_call = 7,
	.call_len = CALL_LEN,
	.ends_in_call = ends_in_call,
	.call_target = call_target,
	.noctxt_len = NOCTXT_LEN,
	.noctxt_target = noctxt_target,
	.save_len = SAVE_LEN,
	.saves_fp = saves_fp,
	.follows_fp = true,
	.crosscall = &crosscall,
	.dwarf_slots = dwarf_slots,
	.ndwarf_slots = sizeof dwarf_slots,
	.is_stub = is_stub,
	.sigreturn = &sigreturn,
};
