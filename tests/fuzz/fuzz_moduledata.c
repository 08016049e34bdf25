/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sound binary, whose writable data (build information, text sections, moduledata) the input
 * changes, in the file or in the memory of the process that the file was loaded into.
 */
#include "fuzz_go.h"

#include <stdio.h>

#include "sample_go.h"

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
	const struct uw_golayout *l;
	struct built_go file, memory;
	struct loaded_go loaded = {.bias = BIAS};
	struct uw_mem mem = loaded_go_mem(&loaded);
	struct sample_go s;
	struct uw_elf *elf;
	char version[32];

	if (size < 2)
		return 0;
	l = &uw_golayouts[data[0] % uw_golayouts_count];
	snprintf(version, sizeof version, "go1.%d.%d", l->minor, l->patch);
	sample_go_init(&s, l, data[1] & 1 ? NULL : version);
	s.go.sections = data[1] & 2;
	s.go.second_sect = data[1] & 4 ? 2 : 0;
	s.go.bias = BIAS;
	s.go.pointers = BUILD_LOADED;
	memory = build_go(&s.go);
	loaded.file = &memory;
	s.go.pointers = data[1] & 8 ? BUILD_ZERO : BUILD_LINKED;
	file = build_go(&s.go);
	change(data[1] & 8 ? &memory : &file, data + 2, size - 2);
	elf = fuzz_elf(file.bytes, file.size);
	if (elf)
		fuzz_ask(elf, data[1] & 16 ? NULL : &mem, BIAS);
	uw_elf_free(elf);
	built_go_fini(&file);
	built_go_fini(&memory);
	return 0;
}
