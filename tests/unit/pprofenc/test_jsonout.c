/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <stdio.h>

#include "jsonout.h"
#include "unit_test.h"

static void write_all(struct jsonout *j)
{
	pp_json_text(j, "text", "a\"\\\n");
	pp_json_text(j, "none", NULL);
	pp_json_open(j, "list", '[');
	pp_json_number(j, NULL, INT64_MIN);
	pp_json_unsigned(j, NULL, UINT64_MAX);
	pp_json_real(j, NULL, 0.1);
	pp_json_close(j, ']');
	pp_json_open(j, "empty", '{');
	pp_json_close(j, '}');
	pp_json_bool(j, "yes", true);
	pp_json_address(j, "at", 0x401000);
	pp_json_null(j, "null");
}

static void writes(enum jsonout_style style, const char *want)
{
	char *text;
	size_t len;
	FILE *to = open_memstream(&text, &len);
	struct jsonout j;

	assert_non_null(to);
	pp_json_begin(&j, to, style);
	write_all(&j);
	pp_json_end(&j);
	fclose(to);
	assert_string_equal(text, want);
	free(text);
}

TEST(styles_differ_in_blanks_only)
{
	writes(JSONOUT_COMPACT,
	       "{\"schema_version\":1,\"text\":\"a\\\"\\\\\\u000a\",\"none\":null,"
	       "\"list\":[-9223372036854775808,18446744073709551615,0.1],\"empty\":{},"
	       "\"yes\":true,\"at\":\"0x401000\",\"null\":null}\n");
	writes(JSONOUT_LINE,
	       "{\"schema_version\": 1,\"text\": \"a\\\"\\\\\\u000a\",\"none\": null,"
	       "\"list\": [-9223372036854775808,18446744073709551615,0.1],\"empty\": {},"
	       "\"yes\": true,\"at\": \"0x401000\",\"null\": null}\n");
	writes(JSONOUT_INDENTED, "{\n"
				 "  \"schema_version\": 1,\n"
				 "  \"text\": \"a\\\"\\\\\\u000a\",\n"
				 "  \"none\": null,\n"
				 "  \"list\": [\n"
				 "    -9223372036854775808,\n"
				 "    18446744073709551615,\n"
				 "    0.1\n"
				 "  ],\n"
				 "  \"empty\": {},\n"
				 "  \"yes\": true,\n"
				 "  \"at\": \"0x401000\",\n"
				 "  \"null\": null\n"
				 "}\n");
}

static void escapes(const char *text, const char *want)
{
	char *got;
	size_t len;
	FILE *to = open_memstream(&got, &len);
	struct jsonout j = {.to = to};

	assert_non_null(to);
	pp_json_text(&j, NULL, text);
	fclose(to);
	assert_string_equal(got, want);
	free(got);
}

TEST(texts_are_always_sound)
{
	escapes("\x01\x1f\x7f\xc2\x80\xc2\x9f", "\"\\u0001\\u001f\\u007f\\u0080\\u009f\"");
	escapes("\xc2\xa0\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
		"\"\xc2\xa0\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
	escapes("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\"\\u2028\\u2029\xe2\x80\xaa\"");
	/* overlong, a surrogate, beyond Unicode, cut off at the end */
	escapes("\xc0\x80", "\"\\ufffd\\ufffd\"");
	escapes("\xed\xa0\x80x", "\"\\ufffd\\ufffd\\ufffdx\"");
	escapes("\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
	escapes("a\xe2\x82", "\"a\\ufffd\\ufffd\"");
	escapes("\xff", "\"\\ufffd\"");
}
