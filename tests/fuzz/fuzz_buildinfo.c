/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a whole ELF file: headers, sections, notes and build information. */
#include "fuzz_go.h"

#include "gobuild.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct uw_elf *elf = fuzz_elf(data, size);
	struct uw_gobuild build;
	struct uw_section sec;
	int minor, patch;
	uint64_t bias;

	if (!elf)
		return 0;
	uw_elf_section(elf, ".text", &sec);
	uw_elf_bias(elf, 0x7f0000000000, 0x1000, &bias);
	if (uw_gobuild_read(elf, NULL, 0, &build)) {
		uw_gobuild_version(build.version, &minor, &patch);
		if (build.mod_len && build.mod[build.mod_len - 1] != '\n')
			abort();
	}
	fuzz_ask(elf, NULL, 0, (unsigned int)size % 8);
	uw_elf_free(elf);
	return 0;
}
