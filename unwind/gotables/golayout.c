/* SPDX-License-Identifier: Apache-2.0 */
#include "golayout.h"

const struct uw_golayout *uw_golayout_for(int minor, int patch)
{
	const struct uw_golayout *found = NULL;

	for (size_t i = 0; i < uw_golayouts_count; i++) {
		const struct uw_golayout *l = &uw_golayouts[i];

		if (l->minor < minor || (l->minor == minor && l->patch <= patch))
			found = l;
	}
	return found;
}

const struct uw_golayout *uw_golayout_magic(uint32_t magic)
{
	for (size_t i = uw_golayouts_count; i-- > 0;)
		if (uw_golayouts[i].magic == magic)
			return &uw_golayouts[i];
	return NULL;
}

bool uw_golayout_guessed(int minor)
{
	return uw_golayouts_count && minor > uw_golayouts[uw_golayouts_count - 1].minor;
}
