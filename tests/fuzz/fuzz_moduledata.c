/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sound binary, whose writable data (build information, text sections, moduledata) the input
 * changes, in the file or in the memory of the process that the file was loaded into.
 */
#include "fuzz_go.h"

#include "fuzz_sample.h"

enum { BIAS = 0x10000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Eight bytes each: offset (u16), width, what to do, value (i32). */
static void change(struct built_go *b, const uint8_t *data, size_t size)
{
	size_t from = b->blob_at ? b->blob_at : b->moduledata_at - 64;

	for (; size >= 8; size -= 8, data += 8) {
		size_t at = from + (data[0] | (size_t)data[1] << 8) % (b->size - from);
		size_t width = data[2] & 1 ? 8 : 1;
		uint64_t v = 0;
		int32_t by;

		memcpy(&by, data + 4, sizeof by);
		if (at + width > b->size)
			continue;
		memcpy(&v, b->bytes + at, width);
		v = data[3] & 1 ? (uint64_t)(int64_t)by : v + (uint64_t)(int64_t)by;
		memcpy(b->bytes + at, &v, width);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct built_go file, memory, *changed;
	struct loaded_go loaded = {.file = &memory, .bias = BIAS};
	struct uw_mem mem = loaded_go_mem(&loaded);
	struct uw_elf *elf;

	if (size < 2)
		return 0;
	file = *fuzz_sample(data[0], data[1], data[1] & 8 ? BUILD_ZERO : BUILD_LINKED, BIAS);
	memory = *fuzz_sample(data[0], data[1], BUILD_LOADED, BIAS);
	changed = data[1] & 8 ? &memory : &file;
	*changed = fuzz_sample_copy(changed);
	change(changed, data + 2, size - 2);
	elf = fuzz_elf(file.bytes, file.size);
	if (elf)
		fuzz_ask(elf, data[1] & 16 ? NULL : &mem, BIAS, data[1] >> 5);
	uw_elf_free(elf);
	fuzz_sample_end(changed);
	return 0;
}
