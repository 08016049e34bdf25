/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and headers as anybody may write them. */
#include "weburl.h"

#include <string.h>

#include "unit_test.h"

static struct weburl url;

TEST(a_path_is_split_before_it_is_decoded)
{
	assert_true(weburl_parse(&url, "/targets/kube%2Fetcd%20x/debug/pprof/heap"));
	assert_int_equal(url.nsegments, 5);
	assert_string_equal(url.segments[1], "kube/etcd x");
	assert_false(url.folder);
	assert_true(weburl_parse(&url, "/a/"));
	assert_int_equal(url.nsegments, 1);
	assert_true(url.folder);
	assert_true(weburl_parse(&url, "/"));
	assert_int_equal(url.nsegments, 0);
	assert_true(url.folder);
}

TEST(a_query_has_its_parameters)
{
	assert_true(weburl_parse(&url, "/a?x=1&y&z=%C3%A4+b&&x=2&w=a=b"));
	assert_string_equal(weburl_param(&url, "x"), "1");
	assert_string_equal(weburl_param(&url, "y"), "");
	assert_string_equal(weburl_param(&url, "z"), "\xc3\xa4 b");
	assert_string_equal(weburl_param(&url, "w"), "a=b");
	assert_null(weburl_param(&url, "v"));
	assert_int_equal(url.path_len, 2);
}

TEST(tricks_with_paths_are_refused)
{
	static const char *const bad[] = {
		"",       "*",       "http://x/", "//",       "/a//b",   "/./a",
		"/a/..",  "/../a",   "/%2e%2e/a", "/a/%2E",   "/a%00b",  "/a%0d%0ab",
		"/a%zz",  "/a%2",    "/a%",       "/a?x=%00", "/a?x=%4", "/a\tb",
		"/a\x7f", "/a?\x01", "/%c",       "/a/b//",
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (weburl_parse(&url, bad[i]))
			fail_msg("taken: '%s'", bad[i]);
	/* A backslash is a character like others. */
	assert_true(weburl_parse(&url, "/a\\..\\b"));
	assert_int_equal(url.nsegments, 1);
}

TEST(more_than_there_is_room_for_is_refused)
{
	char text[2 * WEBURL_LEN] = "/";

	memset(text + 1, 'a', WEBURL_LEN);
	assert_false(weburl_parse(&url, text));
	text[WEBURL_LEN - 3] = '\0';
	assert_true(weburl_parse(&url, text));
	for (size_t i = 0; i < 2 * (WEBURL_SEGMENTS + 1); i += 2)
		memcpy(text + i, "/a", 3);
	assert_false(weburl_parse(&url, text));
	text[2 * WEBURL_SEGMENTS] = '\0';
	assert_true(weburl_parse(&url, text));
	memcpy(text, "/?", 3);
	for (size_t i = 0; i < WEBURL_PARAMS; i++)
		memcpy(text + 2 + 2 * i, "a&", 3);
	assert_true(weburl_parse(&url, text));
	strcat(text, "b");
	assert_false(weburl_parse(&url, text));
}

TEST(hosts_have_a_name_and_perhaps_a_port)
{
	char name[WEBURL_HOST];
	static const char *const bad[] = {
		"",    ":80",     "a b", "127.0.0.1:80@evil", "[::1", "[::1]x", "a:80:90",
		"a:x", "evil/..", "a,b", "localhost:80 ",     "[]",   "a%20b",  "[fe80%1]"};

	assert_true(weburl_host("LocalHost:7424", name));
	assert_string_equal(name, "localhost");
	assert_true(weburl_host("[::1]:7424", name));
	assert_string_equal(name, "::1");
	assert_true(weburl_host("web-1.example", name));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (weburl_host(bad[i], name))
			fail_msg("taken: '%s' as %s", bad[i], name);
}

TEST(credentials_are_a_token_or_a_password)
{
	char token[WEBURL_TOKEN], long_one[400] = "Bearer ";
	static const char *const bad[] = {
		"",
		"Bearer",
		"Bearer ",
		"Bearer a b",
		"Basic",
		"Basic !!!!",
		"Basic cHJvd2w=",     /* "prowl": no colon */
		"Basic cHJvd2w6YQBi", /* a NUL in it */
		"Digest x",
		"Basic A",
	};

	assert_true(weburl_credentials("bearer abc-_", token));
	assert_string_equal(token, "abc-_");
	assert_true(weburl_credentials("Basic cHJvd2w6czpjcmV0", token)); /* prowl:s:cret */
	assert_string_equal(token, "s:cret");
	assert_true(weburl_credentials("Basic Ong=", token)); /* :x */
	assert_string_equal(token, "x");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (weburl_credentials(bad[i], token))
			fail_msg("taken: '%s'", bad[i]);
	memset(long_one + 7, 'x', WEBURL_TOKEN);
	assert_false(weburl_credentials(long_one, token));
}

TEST(cookies_are_found_by_their_whole_name)
{
	char value[WEBURL_TOKEN];

	assert_true(weburl_cookie("a=1; prowl-x=secret; b=2", "prowl-x", value));
	assert_string_equal(value, "secret");
	assert_true(weburl_cookie("prowl-x=", "prowl-x", value));
	assert_string_equal(value, "");
	assert_false(weburl_cookie("xprowl-x=1; prowl-xy=2; prowl-x", "prowl-x", value));
	assert_false(weburl_cookie(";;; ;", "prowl-x", value));
}

TEST(secrets_are_compared_as_a_whole)
{
	assert_true(weburl_same_secret("abc", "abc"));
	assert_false(weburl_same_secret("abd", "abc"));
	assert_false(weburl_same_secret("ab", "abc"));
	assert_false(weburl_same_secret("", ""));
}

TEST(text_is_escaped_for_an_address)
{
	char to[32];

	assert_true(weburl_escape("a/b c\xff", "/", to, sizeof to));
	assert_string_equal(to, "a/b%20c%FF");
	assert_false(weburl_escape("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "", to, sizeof to));
	weburl_base64("\xff\xfe\xfd\x01", 4, to);
	assert_string_equal(to, "__79AQ");
}
