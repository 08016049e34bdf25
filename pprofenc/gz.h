/* SPDX-License-Identifier: Apache-2.0 */
/* Writes bytes, through zlib or as they are; reads them, up to a limit. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pprof.h"

typedef int (*gz_write)(void *ctx, const void *bytes, size_t len);

struct gz_out;

/*
 * A gzip member without name and time, so that equal contents make equal files. `write` gets the
 * bytes in order and returns 0 or a negative errno, which ends the writing. level as in
 * pprof_encode.
 */
int pp_gz_out_new(int level, gz_write write, void *ctx, struct gz_out **ret_out);
void pp_gz_out_free(struct gz_out *o);

/* Small pieces are collected; the first failure is returned by every following call. */
int pp_gz_out_put(struct gz_out *o, const void *bytes, size_t len);
int pp_gz_out_finish(struct gz_out *o);

/*
 * Unpacks exactly one gzip member, at most `limit` bytes. *ret_bytes is malloc'd. -EBADMSG with
 * diag: damaged, truncated, or data behind the member; -EFBIG, -ENOMEM.
 */
int pp_gz_unpack(const uint8_t *bytes, size_t len, size_t limit, uint8_t **ret_bytes,
		 size_t *ret_len, struct pprof_diag *diag);
