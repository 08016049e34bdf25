/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, Host, Authorization and Cookie as anybody may send them: the first byte chooses which.
 * What is taken keeps its promises.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weburl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool true_here)
{
	if (!true_here)
		abort();
}

static void check_text(const char *s)
{
	for (; *s; s++)
		require((unsigned char)*s >= 0x20 && *s != 0x7f);
}

static void try_url(const char *text)
{
	static struct weburl u;

	if (!weburl_parse(&u, text))
		return;
	require(text[0] == '/' && u.path_len <= strlen(text));
	for (size_t i = 0; i < u.nsegments; i++) {
		check_text(u.segments[i]);
		require(u.segments[i][0] && strcmp(u.segments[i], ".") != 0 &&
			strcmp(u.segments[i], "..") != 0);
	}
	for (size_t i = 0; i < u.nparams; i++) {
		check_text(u.params[i].name);
		check_text(u.params[i].value);
		require(weburl_param(&u, u.params[i].name) != NULL);
	}
}

static void try_host(const char *text)
{
	char name[WEBURL_HOST];

	if (!weburl_host(text, name))
		return;
	require(name[0] && strlen(name) < sizeof name);
	require(name[strcspn(name, "/@?#% ")] == '\0');
}

static void try_escape(const char *text)
{
	char to[64];

	if (!weburl_escape(text, "@", to, sizeof to))
		return;
	require(strlen(to) < sizeof to);
	for (const char *c = to; *c; c++)
		require(*c > 0x20 && *c < 0x7f && *c != '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char token[WEBURL_TOKEN], *text;

	if (len == 0)
		return 0;
	text = malloc(len);
	if (!text)
		return 0;
	memcpy(text, data + 1, len - 1);
	text[len - 1] = '\0';
	switch (data[0] & 7) {
	case 0:
		try_url(text);
		break;
	case 1:
		try_host(text);
		break;
	case 2:
		if (weburl_credentials(text, token))
			require(strlen(token) < sizeof token);
		break;
	case 3:
		if (weburl_cookie(text, "prowl-x", token))
			require(strlen(token) < sizeof token && !strchr(token, ';'));
		break;
	default:
		try_escape(text);
	}
	free(text);
	return 0;
}
