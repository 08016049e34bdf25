/* SPDX-License-Identifier: Apache-2.0 */
#include "coderefs.h"

#include "arch.h"

void uw_ref_add(struct uw_ref_out *o, const struct uw_ref *ref)
{
	if (o->n < o->max && o->filter->wanted(o->filter->ctx, ref->target))
		o->refs[o->n++] = *ref;
}

size_t uw_code_refs(uint16_t machine, const uint8_t *code, size_t len, uint64_t addr,
		    const struct uw_ref_filter *filter, struct uw_ref *ret, size_t max)
{
	const struct uw_arch *a = uw_arch_of(machine);
	struct uw_ref_out o = {filter, ret, 0, max};

	if (a)
		a->refs(code, len, addr, &o);
	return o.n;
}
