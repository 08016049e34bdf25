/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is what a file of a store says of itself; behind the byte 1, the beginning of such a
 * file; behind the byte 2, the windows of a row of the index. What can be read is the same when it
 * is written and read again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t len)
{
	struct store_meta *m = NULL, *again = NULL;
	char *written = NULL, *twice = NULL;

	if (store_meta_decode(text, len, &m) < 0)
		return;
	if (store_meta_encode(m, &written) < 0 ||
	    store_meta_decode(written, strlen(written), &again) < 0 ||
	    store_meta_encode(again, &twice) < 0 || strcmp(written, twice) != 0)
		abort();
	free(written);
	free(twice);
	store_meta_free(m);
	store_meta_free(again);
}

static void check_header(const uint8_t *bytes, size_t len)
{
	char *text = NULL;
	size_t n;

	if (store_unpack_text(bytes, len, &text, &n) == 0)
		check_text(text, n);
	free(text);
}

static void check_blob(const uint8_t *bytes, size_t len)
{
	struct store_blob_window *w = NULL;
	size_t n;

	if (store_blob_decode(bytes, len, 2, &w, &n) == 0)
		free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] == 1)
		check_header(data + 1, size - 1);
	else if (size && data[0] == 2)
		check_blob(data + 1, size - 1);
	else
		check_text((const char *)data, size);
	return 0;
}
