/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask for what: by token, cookie, Host and Origin, with a clock of the test. */
#include "auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit_test.h"

static uint64_t clock_ns;
static struct auth *auth;
static char bearer[128], basic[200];

static uint64_t now(void)
{
	return clock_ns;
}

static void encode_basic(const char *token)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[128];
	int n = snprintf(text, sizeof text, "any:%s", token), used = 6;

	memcpy(basic, "Basic ", 6);
	for (int i = 0; i + 2 < n; i += 3) {
		unsigned int v = (unsigned char)text[i] << 16 | (unsigned char)text[i + 1] << 8 |
				 (unsigned char)text[i + 2];

		for (int s = 18; s >= 0; s -= 6)
			basic[used++] = digits[v >> s & 63];
	}
	assert_int_equal(n % 3, 2);
	basic[used++] = digits[(unsigned char)text[n - 2] >> 2];
	basic[used++] =
		digits[((unsigned char)text[n - 2] << 4 | (unsigned char)text[n - 1] >> 4) & 63];
	basic[used++] = digits[(unsigned char)text[n - 1] << 2 & 63];
	basic[used++] = '=';
	basic[used] = '\0';
}

static int open_it(void **state)
{
	static const char *const hosts[] = {"web-1.example"};
	struct auth_options o = {.hosts = hosts, .nhosts = 1, .gid = (gid_t)-1, .now = now};

	clock_ns = 1000000000000u;
	if (auth_open(&o, &auth, NULL) != PROWL_OK)
		return -1;
	snprintf(bearer, sizeof bearer, "Bearer %s", auth_token(auth));
	encode_basic(auth_token(auth));
	return 0;
}

static int close_it(void **state)
{
	auth_free(auth);
	return 0;
}

TEST_GROUP(open_it, close_it);

static const struct auth_facts plain = {
	.address = "127.0.0.1",
	.get = true,
	.hosts = 1,
	.host = "127.0.0.1:7424",
	.authorization = "",
	.cookie = "",
	.origin = "",
	.site = "",
	.content_type = "",
	.x_prowl = "",
};

static unsigned int ask(const struct auth_facts *f, enum auth_need need)
{
	struct auth_answer a;

	auth_check(auth, f, need, &a);
	return a.status;
}

TEST(a_token_has_256_bits)
{
	assert_int_equal(strlen(auth_token(auth)), 43);
}

TEST(only_with_the_token)
{
	struct auth_facts f = plain;

	assert_int_equal(ask(&f, AUTH_READ), 401);
	assert_int_equal(ask(&f, AUTH_NOTHING), 0);
	f.authorization = bearer;
	assert_int_equal(ask(&f, AUTH_READ), 0);
	assert_int_equal(ask(&f, AUTH_CAPTURE), 0);
	f.authorization = basic;
	assert_int_equal(ask(&f, AUTH_READ), 0);
	assert_int_equal(ask(&f, AUTH_OWNER), 403);
}

TEST(guesses_are_counted_and_the_right_token_is_taken_still)
{
	struct auth_facts f = plain, other = plain;

	clock_ns += 3600u * 1000000000ull;
	f.authorization = other.authorization = "Bearer wrong";
	for (int i = 0; i < 10; i++)
		assert_int_equal(ask(&f, AUTH_READ), 401);
	assert_int_equal(ask(&f, AUTH_READ), 429);
	other.address = "10.0.0.1";
	assert_int_equal(ask(&other, AUTH_READ), 401);
	/* Another user of this machine can't lock out who has it. */
	f.authorization = bearer;
	assert_int_equal(ask(&f, AUTH_READ), 0);
	f.authorization = "Bearer wrong";
	clock_ns += 61u * 1000000000ull;
	assert_int_equal(ask(&f, AUTH_READ), 401);
}

TEST(a_network_of_ipv6_is_one_address)
{
	struct auth_facts f = plain;
	char address[64];

	f.authorization = "Bearer wrong";
	f.address = address;
	for (int i = 0; i < 11; i++) {
		snprintf(address, sizeof address, "2001:db8:1:2:%d::%d", i, i);
		assert_int_equal(ask(&f, AUTH_READ), i < 10 ? 401 : 429);
	}
	snprintf(address, sizeof address, "2001:db8:1:3::1");
	assert_int_equal(ask(&f, AUTH_READ), 401);
}

TEST(hosts_that_are_not_ours_are_refused)
{
	static const char *const good[] = {"localhost",    "127.0.0.1",          "[::1]:1",
					   "LOCALHOST:99", "web-1.example:7424", "WEB-1.example"};
	static const char *const bad[] = {"",
					  "evil.example",
					  "localhost.evil.example",
					  "127.0.0.1:7424@evil",
					  "127.0.0.1.",
					  "0.0.0.0",
					  "web-1"};
	struct auth_facts f = plain;

	f.authorization = bearer;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		f.host = good[i];
		assert_int_equal(ask(&f, AUTH_READ), 0);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		f.host = bad[i];
		assert_int_equal(ask(&f, AUTH_READ), 421);
		assert_int_equal(ask(&f, AUTH_NOTHING), 421);
	}
	f.host = good[0];
	f.hosts = 2;
	assert_int_equal(ask(&f, AUTH_READ), 421);
}

static char cookie[AUTH_COOKIE];

static bool log_in(const char *nonce)
{
	struct auth_answer a;

	return auth_login(auth, &plain, nonce, cookie, &a);
}

TEST(an_address_to_log_in_is_good_for_once_and_a_minute)
{
	char nonce[AUTH_NONCE], other[AUTH_NONCE];
	struct auth_facts f = plain;

	assert_true(auth_invite(auth, nonce) && auth_invite(auth, other));
	assert_false(log_in(""));
	assert_false(log_in("x"));
	assert_true(log_in(nonce));
	assert_false(log_in(nonce));
	f.cookie = cookie;
	assert_int_equal(ask(&f, AUTH_READ), 0);
	clock_ns += 61u * 1000000000ull;
	assert_false(log_in(other));
}

TEST(other_sites_can_do_nothing_in_a_browser)
{
	char nonce[AUTH_NONCE];
	struct auth_facts f = plain;

	assert_true(auth_invite(auth, nonce) && log_in(nonce));
	/* With what a browser sends by itself. */
	for (int i = 0; i < 2; i++) {
		f = plain;
		if (i)
			f.authorization = basic;
		else
			f.cookie = cookie;
		f.site = "cross-site";
		assert_int_equal(ask(&f, AUTH_READ), 403);
		assert_int_equal(ask(&f, AUTH_CAPTURE), 403);
		f.site = "same-site";
		assert_int_equal(ask(&f, AUTH_READ), 0);
		assert_int_equal(ask(&f, AUTH_CAPTURE), 403);
		f.site = "none";
		assert_int_equal(ask(&f, AUTH_CAPTURE), 0);
		f.site = "same-origin";
		assert_int_equal(ask(&f, AUTH_CAPTURE), 0);

		f.get = false;
		f.post = true;
		f.content_type = "application/json; charset=utf-8";
		assert_int_equal(ask(&f, AUTH_EFFECT), 403);
		f.x_prowl = "1";
		assert_int_equal(ask(&f, AUTH_EFFECT), 403);
		f.origin = "http://evil.example";
		assert_int_equal(ask(&f, AUTH_EFFECT), 403);
		f.origin = "http://127.0.0.1:7425";
		assert_int_equal(ask(&f, AUTH_EFFECT), 403);
		f.origin = "null";
		assert_int_equal(ask(&f, AUTH_EFFECT), 403);
		f.origin = "http://127.0.0.1:7424";
		assert_int_equal(ask(&f, AUTH_EFFECT), 0);
		f.content_type = "text/plain";
		assert_int_equal(ask(&f, AUTH_EFFECT), 415);
	}
}

TEST(programs_need_no_origin)
{
	struct auth_facts f = plain;

	f.authorization = bearer;
	f.get = false;
	f.post = true;
	f.content_type = "application/json";
	assert_int_equal(ask(&f, AUTH_EFFECT), 0);
	f.origin = "http://evil.example";
	assert_int_equal(ask(&f, AUTH_EFFECT), 403);
}

TEST(at_the_unix_socket_it_is_the_user_who_counts)
{
	struct auth_facts f = plain;

	f.local = true;
	f.host = "";
	f.hosts = 0;
	f.uid = geteuid();
	assert_int_equal(ask(&f, AUTH_READ), 0);
	f.content_type = "application/json";
	assert_int_equal(ask(&f, AUTH_OWNER), 0);
	f.uid = 54321;
	f.gid = 54321;
	assert_int_equal(ask(&f, AUTH_READ), 403);
	assert_int_equal(ask(&f, AUTH_OWNER), 403);
	assert_int_equal(ask(&f, AUTH_NOTHING), 0);
}

TEST(the_group_may_ask_and_not_order)
{
	struct auth_options o = {.gid = 54321, .now = now};
	struct auth_facts f = plain;
	struct auth_answer a;
	struct auth *other;

	assert_int_equal(auth_open(&o, &other, NULL), PROWL_OK);
	f.local = true;
	f.uid = 54322;
	f.gid = 54321;
	f.content_type = "application/json";
	auth_check(other, &f, AUTH_EFFECT, &a);
	assert_int_equal(a.status, 0);
	auth_check(other, &f, AUTH_OWNER, &a);
	assert_int_equal(a.status, 403);
	auth_free(other);
}

/* --- the token's file --------------------------------------------------------------- */

static enum prowl_code open_group_file(const char *path, gid_t gid, char token[AUTH_TOKEN])
{
	struct auth_options o = {.token_file = path, .gid = gid};
	struct prowl_err err;
	struct auth *a;
	enum prowl_code code = auth_open(&o, &a, &err);

	if (code == PROWL_OK) {
		snprintf(token, AUTH_TOKEN, "%s", auth_token(a));
		auth_free(a);
	}
	return code;
}

static enum prowl_code open_file(const char *path, char token[AUTH_TOKEN])
{
	return open_group_file(path, (gid_t)-1, token);
}

TEST(a_token_is_kept_in_its_file)
{
	char dir[] = "/tmp/prowl-unit-XXXXXX", path[64], first[AUTH_TOKEN], second[AUTH_TOKEN];
	struct stat st;
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/token", dir);
	assert_int_equal(open_file(path, first), PROWL_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(open_file(path, second), PROWL_OK);
	assert_string_equal(first, second);

	/* A group that is meant may read it. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(open_group_file(path, getegid(), first), PROWL_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);

	/* Others may know it. */
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(open_file(path, second), PROWL_PERMISSION);
	assert_int_equal(chmod(path, 0660), 0);
	assert_int_equal(open_file(path, second), PROWL_PERMISSION);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(open_file(path, second), PROWL_OK);

	f = fopen(path, "w");
	fputs("short\n", f);
	fclose(f);
	assert_int_equal(open_file(path, second), PROWL_FAILED);
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_not_equal(open_file(path, second), PROWL_OK);
	unlink(path);
	rmdir(dir);
}
