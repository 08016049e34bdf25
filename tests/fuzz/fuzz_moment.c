/* SPDX-License-Identifier: Apache-2.0 */
/* Records of moments, whose bytes come from the memory of the target: pieces lie in the record. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "moment.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct prowl_moment mo;
	struct prowl_moment_reader r = {&mo};
	struct uw_mem mem = prowl_moment_mem(&r);
	uint64_t g, v;

	if (prowl_moment_decode(bytes, len, &mo) < 0)
		return 0;
	if (mo.n > PROWL_MOMENT_PIECES)
		abort();
	for (size_t i = 0; i < mo.n; i++) {
		const uint8_t *p = mo.pieces[i].bytes;

		if (p < bytes || mo.pieces[i].len == 0 ||
		    mo.pieces[i].len > (size_t)(bytes + len - p))
			abort();
		if (uw_read_u64(&mem, mo.pieces[i].addr, &v) == 0 && mo.pieces[i].len < 8 &&
		    mo.n == 1)
			abort();
	}
	prowl_moment_m(&mo, uw_golayout_for(27, 0), mo.sp, 1, &g);
	return 0;
}
