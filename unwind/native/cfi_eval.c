/* SPDX-License-Identifier: Apache-2.0 */
/* DWARF 5, section 2.5 (expressions). */
#include <errno.h>

#include "arch.h"
#include "cfi_row_parts.h"

enum {
	MAX_STACK = 32,
};

struct eval {
	const struct uw_cfi_frame *f;
	const struct uw_mem *mem;
	uint64_t bias;
	const struct uw_arch *arch;
	uint64_t stack[MAX_STACK];
	size_t n;
	int error;
};

static void push(struct eval *e, uint64_t v)
{
	if (e->n == MAX_STACK)
		e->error = -EINVAL;
	else
		e->stack[e->n++] = v;
}

static uint64_t pop(struct eval *e)
{
	if (e->n == 0) {
		e->error = -EINVAL;
		return 0;
	}
	return e->stack[--e->n];
}

/* The index-th below the top. */
static uint64_t pick(struct eval *e, size_t index)
{
	if (index >= e->n) {
		e->error = -EINVAL;
		return 0;
	}
	return e->stack[e->n - 1 - index];
}

static void push_register(struct eval *e, uint64_t column, int64_t offset)
{
	size_t slot = uw_arch_slot(e->arch, column);

	if (slot == UW_ARCH_NO_SLOT || !(e->f->known & 1 << slot))
		e->error = -EINVAL;
	else
		push(e, e->f->r[slot] + (uint64_t)offset);
}

static void deref(struct eval *e, size_t size)
{
	uint64_t addr = pop(e), v = 0;

	if (size == 0 || size > sizeof v)
		e->error = -EINVAL;
	if (e->error)
		return;
	if (!e->mem || uw_read(e->mem, addr, &v, size) < 0)
		e->error = -EFAULT;
	push(e, v);
}

static void constant(struct eval *e, uint8_t op, struct uw_bytes *b)
{
	switch (op) {
	case 0x03: /* addr */
		push(e, uw_bytes_u64(b) + e->bias);
		break;
	case 0x08:
		push(e, uw_bytes_u8(b));
		break;
	case 0x09:
		push(e, (uint64_t)(int64_t)(int8_t)uw_bytes_u8(b));
		break;
	case 0x0a:
		push(e, uw_bytes_u16(b));
		break;
	case 0x0b:
		push(e, (uint64_t)(int64_t)(int16_t)uw_bytes_u16(b));
		break;
	case 0x0c:
		push(e, uw_bytes_u32(b));
		break;
	case 0x0d:
		push(e, (uint64_t)(int64_t)(int32_t)uw_bytes_u32(b));
		break;
	case 0x10: /* constu */
		push(e, uw_bytes_uvarint(b));
		break;
	case 0x11: /* consts */
		push(e, (uint64_t)uw_bytes_svarint(b));
		break;
	default: /* 0x0e, 0x0f: const8 */
		push(e, uw_bytes_u64(b));
	}
}

static void stack_operation(struct eval *e, uint8_t op, struct uw_bytes *b)
{
	uint64_t x, y, z;

	switch (op) {
	case 0x12: /* dup */
		push(e, pick(e, 0));
		break;
	case 0x13: /* drop */
		pop(e);
		break;
	case 0x14: /* over */
		push(e, pick(e, 1));
		break;
	case 0x15: /* pick */
		push(e, pick(e, uw_bytes_u8(b)));
		break;
	case 0x16: /* swap */
		x = pop(e);
		y = pop(e);
		push(e, x);
		push(e, y);
		break;
	default: /* 0x17: rot */
		x = pop(e);
		y = pop(e);
		z = pop(e);
		push(e, x);
		push(e, z);
		push(e, y);
	}
}

static uint64_t shift_right(uint64_t x, uint64_t by)
{
	return by < 64 ? x >> by : 0;
}

static uint64_t shift_signed(uint64_t x, uint64_t by)
{
	uint64_t sign = x >> 63 ? UINT64_MAX : 0;

	return by < 64 ? x >> by | (by ? sign << (64 - by) : 0) : sign;
}

static uint64_t compare(uint8_t op, int64_t x, int64_t y)
{
	switch (op) {
	case 0x29:
		return x == y;
	case 0x2a:
		return x >= y;
	case 0x2b:
		return x > y;
	case 0x2c:
		return x <= y;
	case 0x2d:
		return x < y;
	default: /* 0x2e */
		return x != y;
	}
}

/* Of the two on top: x below, y above. */
static uint64_t binary(uint8_t op, uint64_t x, uint64_t y)
{
	switch (op) {
	case 0x1a:
		return x & y;
	case 0x1c:
		return x - y;
	case 0x1e:
		return x * y;
	case 0x21:
		return x | y;
	case 0x22:
		return x + y;
	case 0x24:
		return y < 64 ? x << y : 0;
	case 0x25:
		return shift_right(x, y);
	case 0x26:
		return shift_signed(x, y);
	case 0x27:
		return x ^ y;
	default:
		return compare(op, (int64_t)x, (int64_t)y);
	}
}

static void push_binary(struct eval *e, uint8_t op)
{
	uint64_t y = pop(e), x = pop(e);

	push(e, binary(op, x, y));
}

/* No jumps, calls and divisions: compilers and linkers need none. */
static void operation(struct eval *e, struct uw_bytes *b)
{
	uint8_t op = uw_bytes_u8(b);
	uint64_t column;

	switch (op) {
	case 0x30 ... 0x4f: /* lit */
		push(e, op - 0x30u);
		break;
	case 0x70 ... 0x8f: /* breg */
		push_register(e, op - 0x70u, uw_bytes_svarint(b));
		break;
	case 0x92: /* bregx */
		column = uw_bytes_uvarint(b);
		push_register(e, column, uw_bytes_svarint(b));
		break;
	case 0x03:
	case 0x08 ... 0x11:
		constant(e, op, b);
		break;
	case 0x12 ... 0x17:
		stack_operation(e, op, b);
		break;
	case 0x06: /* deref */
		deref(e, sizeof(uint64_t));
		break;
	case 0x94: /* deref_size */
		deref(e, uw_bytes_u8(b));
		break;
	case 0x19: /* abs */
		column = pop(e);
		push(e, column >> 63 ? -column : column);
		break;
	case 0x1f: /* neg */
		push(e, -pop(e));
		break;
	case 0x20: /* not */
		push(e, ~pop(e));
		break;
	case 0x23: /* plus_uconst */
		push(e, pop(e) + uw_bytes_uvarint(b));
		break;
	case 0x1a:
	case 0x1c:
	case 0x1e:
	case 0x21 ... 0x22:
	case 0x24 ... 0x27:
	case 0x29 ... 0x2e:
		push_binary(e, op);
		break;
	case 0x96: /* nop */
		break;
	default:
		e->error = -EINVAL;
	}
}

int uw_cfi_eval(const struct uw_elf *elf, int32_t place, uint64_t bias,
		const struct uw_cfi_frame *f, const uint64_t *first, const struct uw_mem *mem,
		uint32_t *budget, uint64_t *ret)
{
	struct eval e = {.f = f, .mem = mem, .bias = bias, .arch = uw_arch_of(elf->machine)};
	struct uw_bytes b = uw_bytes_from(uw_bytes(elf->bytes, elf->size), (uint32_t)place);
	uint64_t len = uw_bytes_uvarint(&b);
	const uint8_t *p = uw_bytes_take(&b, len);

	if (!p || !e.arch || !uw_cfi_spend(budget, len))
		return -EINVAL;
	b = uw_bytes(p, len);
	if (first)
		push(&e, *first);
	while (uw_bytes_left(&b) && !e.error)
		operation(&e, &b);
	if (b.bad && !e.error)
		e.error = -EINVAL;
	if (!e.error)
		*ret = pop(&e);
	return e.error;
}
