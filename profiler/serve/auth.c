/* SPDX-License-Identifier: Apache-2.0 */
#include "auth.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "auth_parts.h"
#include "clock.h"

#define SECOND 1000000000u

enum {
	NONCES = 16,
	NONCE_S = 60,
	FAILURES = 10, /* of an address in a minute */
	ADDRESSES = 256,
};

struct nonce {
	char text[AUTH_NONCE]; /* "": free */
	uint64_t ends;
};

struct failing {
	char address[64];
	unsigned int n;
	uint64_t since;
};

struct auth {
	char token[AUTH_TOKEN];
	char cookie[AUTH_TOKEN], cookie_name[16];
	char **hosts;
	size_t nhosts;
	gid_t gid;
	uint64_t (*now)(void);
	pthread_mutex_t lock;
	struct nonce nonces[NONCES];
	struct failing failing[ADDRESSES];
};

/* --- opening ----------------------------------------------------------------------- */

bool auth_random(char *text, size_t nbytes)
{
	uint8_t bytes[64];

	if (nbytes > sizeof bytes || getrandom(bytes, nbytes, 0) != (ssize_t)nbytes)
		return false;
	weburl_base64(bytes, nbytes, text);
	return true;
}

static bool copy_hosts(struct auth *a, const struct auth_options *o)
{
	a->hosts = calloc(o->nhosts + 1, sizeof *a->hosts);
	for (size_t i = 0; a->hosts && i < o->nhosts; i++) {
		a->hosts[i] = strdup(o->hosts[i]);
		if (!a->hosts[i])
			return false;
		a->nhosts++;
	}
	return a->hosts != NULL;
}

enum prowl_code auth_open(const struct auth_options *o, struct auth **ret, struct prowl_err *err)
{
	struct auth *a = calloc(1, sizeof *a);
	enum prowl_code code = PROWL_OK;
	char tag[8];

	if (!a || !copy_hosts(a, o)) {
		auth_free(a);
		return prowl_fail(err, PROWL_FAILED, "%s", strerror(ENOMEM));
	}
	pthread_mutex_init(&a->lock, NULL);
	a->gid = o->gid;
	a->now = o->now ? o->now : prowl_now;
	/* Cookies are shared by all ports: two daemons behind tunnels have different names. */
	if (!auth_random(a->token, 32) || !auth_random(a->cookie, 32) || !auth_random(tag, 4))
		code = prowl_fail(err, PROWL_FAILED, "no random bytes for a token: %s",
				  strerror(errno));
	snprintf(a->cookie_name, sizeof a->cookie_name, "prowl-%s", tag);
	if (code == PROWL_OK && o->token_file)
		code = auth_token_file(o->token_file, o->gid, a->token, err);
	if (code == PROWL_OK)
		*ret = a;
	else
		auth_free(a);
	return code;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->nhosts; i++)
		free(a->hosts[i]);
	free(a->hosts);
	explicit_bzero(a->token, sizeof a->token);
	explicit_bzero(a->cookie, sizeof a->cookie);
	free(a);
}

const char *auth_token(const struct auth *a)
{
	return a->token;
}

/* --- addresses that guess ---------------------------------------------------------- */

/* An IPv6 network of 64 bits is one address: whoever has one of it has all. */
static void network(const char *address, char to[64])
{
	size_t n = 0, colons = 0;

	for (const char *p = address; *p && n < 63 && colons < 4; p++) {
		colons += *p == ':';
		to[n++] = *p;
	}
	to[n] = '\0';
}

/* The entry of an address, or else the one that began longest ago. */
static struct failing *find_failing(struct auth *a, const char *net)
{
	struct failing *oldest = a->failing;

	for (size_t i = 0; i < ADDRESSES; i++) {
		if (strcmp(a->failing[i].address, net) == 0)
			return &a->failing[i];
		if (a->failing[i].since < oldest->since)
			oldest = &a->failing[i];
	}
	*oldest = (struct failing){.n = 0};
	snprintf(oldest->address, sizeof oldest->address, "%s", net);
	return oldest;
}

/* Counts a wrong secret; false: there were too many from there. */
static bool count_failure(struct auth *a, const char *address)
{
	uint64_t now = a->now();
	struct failing *f;
	char net[64];
	bool few;

	network(address, net);
	pthread_mutex_lock(&a->lock);
	f = find_failing(a, net);
	if (!f->n || now - f->since >= 60u * SECOND) {
		f->n = 0;
		f->since = now;
	}
	few = ++f->n <= FAILURES;
	pthread_mutex_unlock(&a->lock);
	return few;
}

/* --- who --------------------------------------------------------------------------- */

static void refuse(struct auth_answer *a, unsigned int status, const char *code,
		   const char *message, const char *hint)
{
	*a = (struct auth_answer){status, code, message, hint, status == 429 ? 60 : 0};
}

static bool in_group(uid_t uid, gid_t primary, gid_t gid)
{
	struct passwd pw, *found = NULL;
	char buf[4096];
	gid_t groups[256];
	int n = 256;

	if (primary == gid)
		return true;
	if (getpwuid_r(uid, &pw, buf, sizeof buf, &found) != 0 || !found ||
	    getgrouplist(pw.pw_name, pw.pw_gid, groups, &n) < 0)
		return false;
	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

static void check_local(const struct auth *a, const struct auth_facts *f, enum auth_need need,
			struct auth_answer *ret)
{
	bool owner = f->uid == 0 || f->uid == geteuid();

	if (!owner && need == AUTH_OWNER)
		refuse(ret, 403, "not_owner", "only root and the daemon's own user may do that",
		       NULL);
	else if (!owner && need != AUTH_NOTHING &&
		 !(a->gid != (gid_t)-1 && in_group(f->uid, f->gid, a->gid)))
		refuse(ret, 403, "not_a_member",
		       "only root, the daemon's user and its group may ask here", NULL);
}

enum secret { SECRET_NONE, SECRET_WRONG, SECRET_BEARER, SECRET_BROWSER };

static enum secret secret_of(const struct auth *a, const struct auth_facts *f)
{
	char given[WEBURL_TOKEN];
	enum secret secret = SECRET_NONE;

	if (f->authorization[0]) {
		bool ok = weburl_credentials(f->authorization, given) &&
			  weburl_same_secret(given, a->token);

		if (!ok)
			secret = SECRET_WRONG;
		else
			secret = strncasecmp(f->authorization, "Basic", 5) == 0 ? SECRET_BROWSER
										: SECRET_BEARER;
	} else if (weburl_cookie(f->cookie, a->cookie_name, given)) {
		secret = weburl_same_secret(given, a->cookie) ? SECRET_BROWSER : SECRET_WRONG;
	}
	explicit_bzero(given, sizeof given);
	return secret;
}

static bool is_our_host(const struct auth *a, const struct auth_facts *f)
{
	static const char *const always[] = {"localhost", "127.0.0.1", "::1"};
	char name[WEBURL_HOST];

	if (f->hosts != 1 || !weburl_host(f->host, name))
		return false;
	for (size_t i = 0; i < sizeof always / sizeof *always; i++)
		if (strcmp(name, always[i]) == 0)
			return true;
	for (size_t i = 0; i < a->nhosts; i++)
		if (strcasecmp(name, a->hosts[i]) == 0)
			return true;
	return false;
}

/* "http://HOST" or "https://HOST" with the Host of the request. */
static bool is_own_origin(const struct auth_facts *f)
{
	const char *rest = strncmp(f->origin, "https://", 8) == 0  ? f->origin + 8
			   : strncmp(f->origin, "http://", 7) == 0 ? f->origin + 7
								   : NULL;

	return rest && strcasecmp(rest, f->host) == 0;
}

/* What another site can make a browser do. */
static void check_site(const struct auth_facts *f, enum auth_need need, bool browser,
		       struct auth_answer *ret)
{
	bool own_site = !f->site[0] || strcmp(f->site, "same-origin") == 0 ||
			strcmp(f->site, "none") == 0;
	bool effect = need == AUTH_EFFECT || need == AUTH_OWNER;

	if (strcmp(f->site, "cross-site") == 0 || (browser && need == AUTH_CAPTURE && !own_site) ||
	    (f->origin[0] && effect && !is_own_origin(f)) ||
	    (browser && effect && (!f->origin[0] || strcmp(f->x_prowl, "1") != 0)))
		refuse(ret, 403, "cross_site", "this comes from another site",
		       "with a cookie or a password, POST needs the page's own Origin and the header "
		       "X-Prowl: 1");
}

static void check_tcp(struct auth *a, const struct auth_facts *f, enum auth_need need,
		      struct auth_answer *ret)
{
	enum secret secret;

	if (!is_our_host(a, f)) {
		refuse(ret, 421, "wrong_host", "the Host of the request is none of this daemon's",
		       "names it is reached by belong to http.allowed_hosts");
		return;
	}
	if (need == AUTH_NOTHING)
		return;
	secret = secret_of(a, f);
	if (secret == SECRET_WRONG && !count_failure(a, f->address))
		refuse(ret, 429, "too_many_failures",
		       "too many wrong tokens from this address; wait a minute", NULL);
	else if (secret == SECRET_WRONG || secret == SECRET_NONE)
		refuse(ret, 401, "no_token",
		       secret == SECRET_NONE ? "a token is needed" : "the token is wrong",
		       "prowl daemon token prints it: Authorization: Bearer TOKEN, or as password "
		       "of any user; prowl daemon open is for browsers");
	else if (need == AUTH_OWNER)
		refuse(ret, 403, "not_here", "that is asked for at the daemon's Unix socket only",
		       NULL);
	else
		check_site(f, need, secret == SECRET_BROWSER, ret);
}

static bool is_json(const char *content_type)
{
	size_t n = strcspn(content_type, "; ");

	return n == 16 && strncasecmp(content_type, "application/json", n) == 0;
}

void auth_check(struct auth *a, const struct auth_facts *f, enum auth_need need,
		struct auth_answer *ret)
{
	*ret = (struct auth_answer){0};
	if (f->local)
		check_local(a, f, need, ret);
	else
		check_tcp(a, f, need, ret);
	if (ret->status == 0 && (need == AUTH_EFFECT || need == AUTH_OWNER) &&
	    !is_json(f->content_type))
		refuse(ret, 415, "not_json", "the body has to be of type application/json", NULL);
}

/* --- browsers ---------------------------------------------------------------------- */

bool auth_invite(struct auth *a, char nonce[AUTH_NONCE])
{
	struct nonce *n = a->nonces;

	if (!auth_random(nonce, 24))
		return false;
	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < NONCES; i++)
		if (a->nonces[i].ends < n->ends)
			n = &a->nonces[i];
	memcpy(n->text, nonce, AUTH_NONCE);
	n->ends = a->now() + NONCE_S * (uint64_t)SECOND;
	pthread_mutex_unlock(&a->lock);
	return true;
}

static bool use_nonce(struct auth *a, const char *nonce)
{
	uint64_t now = a->now();
	bool good = false;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < NONCES; i++) {
		struct nonce *n = &a->nonces[i];

		if (!n->text[0] || !weburl_same_secret(nonce, n->text))
			continue;
		good = n->ends > now;
		*n = (struct nonce){.ends = 0};
	}
	pthread_mutex_unlock(&a->lock);
	return good;
}

bool auth_login(struct auth *a, const struct auth_facts *f, const char *nonce,
		char cookie[AUTH_COOKIE], struct auth_answer *ret)
{
	*ret = (struct auth_answer){0};
	if (!f->local && !is_our_host(a, f)) {
		refuse(ret, 421, "wrong_host", "the Host of the request is none of this daemon's",
		       NULL);
		return false;
	}
	if (!use_nonce(a, nonce)) {
		if (count_failure(a, f->address))
			refuse(ret, 403, "used_up",
			       "this address was used already, or is older than a minute",
			       "prowl daemon open makes another one");
		else
			refuse(ret, 429, "too_many_failures",
			       "too many wrong tokens from this address; wait a minute", NULL);
		return false;
	}
	snprintf(cookie, AUTH_COOKIE, "%s=%s", a->cookie_name, a->cookie);
	return true;
}
