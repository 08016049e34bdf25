/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed debug sections, unpacked at once: an ELF file in memory that holds no more than what
 * names, lines and inlined functions are read from.
 *
 * libdw would unpack every debug section of the file, also those that are not used, by zlib and
 * each into memory of its own. Here they go into one mapping whose pages are made in one call, by
 * libdeflate where it was found when building. For glibc's 9 MB that is a third of the time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct uw_dwarf_image {
	uint8_t *bytes;
	size_t size;
};

/*
 * fd is borrowed and not used later. -ENODATA: nothing in the file is packed, or packed or linked
 * in a way that is left to libdw (zstd, another byte order, a second file that it refers to).
 * -EFBIG: it would take more than max bytes. -EBADMSG: damaged; -ENOMEM.
 */
int uw_dwarf_image_make(int fd, uint64_t max, struct uw_dwarf_image *ret);
void uw_dwarf_image_fini(struct uw_dwarf_image *image);
