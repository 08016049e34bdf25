/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sound binary of the version that the first byte picks, into which the input is written: each
 * four bytes are an offset in the tables (u16), what to do and a value. So the tables stay close
 * to sound, and what is behind the checks is reached.
 */
#include "fuzz_go.h"

#include "fuzz_sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void change(uint8_t *p, uint8_t how, uint8_t value)
{
	switch (how % 4) {
	case 0:
		*p = value;
		break;
	case 1:
		*p ^= value;
		break;
	case 2:
		*p = (uint8_t)(*p + value);
		break;
	default:
		*p = (uint8_t)(1u << value % 8);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct built_go built;
	struct uw_elf *elf;
	size_t from;

	if (size < 2)
		return 0;
	built = fuzz_sample_copy(fuzz_sample(data[0], data[1], BUILD_LINKED, 0));
	/* the inline trees lie before the header */
	from = built.header_at - 256;
	for (size_t i = 2; i + 4 <= size; i += 4) {
		size_t at = from + (data[i] | (size_t)data[i + 1] << 8) % (built.tables_end - from);

		change(&built.bytes[at], data[i + 2], data[i + 3]);
	}
	elf = fuzz_elf(built.bytes, built.size);
	if (elf)
		fuzz_ask(elf, NULL, 0, data[1] >> 3);
	uw_elf_free(elf);
	fuzz_sample_end(&built);
	return 0;
}
