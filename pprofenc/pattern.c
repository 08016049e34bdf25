/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "failure.h"

enum {
	MATCH_LIMIT = 2000000, /* some tens of milliseconds */
	DEPTH_LIMIT = 100000,
	HEAP_KIB = 16 << 10,
};

struct regex {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *limits;
};

static pcre2_code *compile(const char *pattern, int *ret_error, PCRE2_SIZE *ret_at)
{
	uint32_t options = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UCP |
			   PCRE2_NEVER_BACKSLASH_C;
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	pcre2_code *code;

	if (!context) {
		*ret_error = PCRE2_ERROR_NOMEMORY;
		return NULL;
	}
	pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, ret_error, ret_at,
			     context);
	pcre2_compile_context_free(context);
	return code;
}

static int say_why(struct pprof_diag *diag, int error, size_t at)
{
	PCRE2_UCHAR message[sizeof diag->detail];

	if (error == PCRE2_ERROR_NOMEMORY || error == PCRE2_ERROR_HEAP_FAILED)
		return fail(diag, "out of memory", at, ENOMEM);
	fail(diag, "bad regular expression", at, EINVAL);
	if (diag && pcre2_get_error_message(error, message, sizeof message) != PCRE2_ERROR_BADDATA)
		memccpy(diag->detail, message, '\0', sizeof diag->detail);
	return -EINVAL;
}

int pp_regex_new(struct regex **ret_regex, const char *pattern, struct pprof_diag *diag)
{
	struct regex *re = calloc(1, sizeof *re);
	PCRE2_SIZE at = 0;
	int error = 0;

	if (!re)
		return fail(diag, "out of memory", 0, ENOMEM);
	re->code = compile(pattern, &error, &at);
	if (re->code) {
		re->data = pcre2_match_data_create(1, NULL);
		re->limits = pcre2_match_context_create(NULL);
		error = PCRE2_ERROR_NOMEMORY;
	}
	if (!re->code || !re->data || !re->limits) {
		pp_regex_free(re);
		return say_why(diag, error, at);
	}
	pcre2_set_match_limit(re->limits, MATCH_LIMIT);
	pcre2_set_depth_limit(re->limits, DEPTH_LIMIT);
	pcre2_set_heap_limit(re->limits, HEAP_KIB);
	*ret_regex = re;
	return 0;
}

void pp_regex_free(struct regex *re)
{
	if (!re)
		return;
	pcre2_match_context_free(re->limits);
	pcre2_match_data_free(re->data);
	pcre2_code_free(re->code);
	free(re);
}

int pp_regex_match(const struct regex *re, const char *s, size_t len)
{
	/* A profile's texts are valid UTF-8: checked when they were added. */
	int r = pcre2_match(re->code, (PCRE2_SPTR)s, len, 0, PCRE2_NO_UTF_CHECK, re->data,
			    re->limits);

	if (r >= 0)
		return 1;
	if (r == PCRE2_ERROR_NOMATCH)
		return 0;
	return r == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -EINVAL;
}

int pprof_pattern_check(const char *pattern, struct pprof_diag *diag)
{
	struct regex *re;
	int r = pp_regex_new(&re, pattern, diag);

	if (r == 0)
		pp_regex_free(re);
	return r;
}
