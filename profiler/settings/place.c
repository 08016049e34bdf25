/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct piece { /* of a text, without a NUL */
	const char *s;
	size_t n;
};

static bool equals(struct piece p, const char *s)
{
	return p.n == strlen(s) && !memcmp(p.s, s, p.n);
}

static bool begins(struct piece p, const char *s)
{
	return p.n >= strlen(s) && !memcmp(p.s, s, strlen(s));
}

static bool ends(struct piece p, const char *s)
{
	return p.n >= strlen(s) && !memcmp(p.s + p.n - strlen(s), s, strlen(s));
}

static bool has(struct piece p, const char *s)
{
	return memmem(p.s, p.n, s, strlen(s)) != NULL;
}

static struct piece from(struct piece p, size_t at)
{
	return (struct piece){p.s + at, p.n - at};
}

static struct piece without(struct piece p, const char *suffix)
{
	return ends(p, suffix) ? (struct piece){p.s, p.n - strlen(suffix)} : p;
}

/* False, and nothing, where it has no room. */
static bool store(struct piece p, char *buf, size_t len)
{
	if (p.n >= len)
		return false;
	memcpy(buf, p.s, p.n);
	buf[p.n] = '\0';
	return true;
}

/* --- the line ----------------------------------------------------------------------------- */

/* Up to a separator; *rest begins behind it. */
static struct piece cut(struct piece *rest, char separator)
{
	const char *end = memchr(rest->s, separator, rest->n);
	struct piece p = {rest->s, end ? (size_t)(end - rest->s) : rest->n};

	*rest = from(*rest, p.n + (end != NULL));
	return p;
}

/* Whether the list "cpu,cpuacct" has it. */
static bool lists(struct piece list, const char *controller)
{
	while (list.n) {
		if (equals(cut(&list, ','), controller))
			return true;
	}
	return false;
}

/* The path of the first line with that controller ("": the unified one); empty for the root. */
static struct piece path_of(const char *text, const char *controller)
{
	struct piece rest = {text, strlen(text)};

	while (rest.n) {
		struct piece line = cut(&rest, '\n'), id, list;

		id = cut(&line, ':');
		list = cut(&line, ':');
		if (*controller ? lists(list, controller) : equals(id, "0") && !list.n)
			return equals(line, "/") ? (struct piece){line.s, 0} : line;
	}
	return (struct piece){text, 0};
}

static struct piece choose(const char *text)
{
	static const char *const order[] = {"", "cpu", "memory", "pids", "name=systemd"};

	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		struct piece p = path_of(text, order[i]);

		if (p.n)
			return p;
	}
	return (struct piece){text, 0};
}

/* --- parts of the path ---------------------------------------------------------------------- */

/* systemd writes what it can't have in a name as \x2d. False: too long. */
static bool unescape(struct piece p, char *buf, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < p.n; i++) {
		unsigned int byte;
		int taken = 0;

		if (n + 1 >= len) {
			buf[0] = '\0';
			return false;
		}
		if (p.n - i >= 4 && p.s[i] == '\\' && p.s[i + 1] == 'x' &&
		    isxdigit((unsigned char)p.s[i + 2]) && isxdigit((unsigned char)p.s[i + 3]) &&
		    sscanf(p.s + i + 2, "%2x%n", &byte, &taken) == 1 && byte >= ' ') {
			buf[n++] = (char)byte;
			i += 3;
		} else {
			buf[n++] = p.s[i];
		}
	}
	buf[n] = '\0';
	return true;
}

static bool is_hex(struct piece p, size_t n)
{
	for (size_t i = 0; i < n && i < p.n; i++) {
		if (!isxdigit((unsigned char)p.s[i]) || isupper((unsigned char)p.s[i]))
			return false;
	}
	return p.n >= n;
}

/* "8-4-4-4-12" hexadecimal digits, with - or, in names of systemd, _. */
static bool is_uuid(struct piece p)
{
	for (size_t i = 0; i < 36 && i < p.n; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? p.s[i] != '-' && p.s[i] != '_' : !isxdigit((unsigned char)p.s[i]))
			return false;
	}
	return p.n >= 36;
}

/* "pod" and its UID: a UUID, or 32 digits where the kubelet read it from a file. */
static void look_for_pod(struct piece part, struct prowl_place *ret)
{
	const char *pod = memmem(part.s, part.n, "pod", 3);

	/* "kubepods-pod...": the last one. */
	for (const char *next = pod; next;
	     next = memmem(next + 3, part.n - (size_t)(next + 3 - part.s), "pod", 3))
		pod = next;
	if (!pod)
		return;
	part = from(part, (size_t)(pod - part.s) + 3);
	if (is_uuid(part))
		part.n = 36;
	else if (is_hex(part, 32))
		part.n = 32;
	else
		return;
	store(part, ret->pod_uid, sizeof ret->pod_uid);
	for (char *s = ret->pod_uid; *s; s++)
		*s = *s == '_' ? '-' : *s;
}

static void look_for_qos(struct piece part, struct prowl_place *ret)
{
	const char *qos = has(part, "besteffort")  ? "besteffort"
			  : has(part, "burstable") ? "burstable"
						   : NULL;

	if (qos)
		snprintf(ret->qos, sizeof ret->qos, "%s", qos);
}

/* "<64hex>", "docker-<64hex>.scope", "…:cri-containerd:<64hex>". */
static void look_for_container(struct piece part, struct prowl_place *ret)
{
	enum { ID = 64 };
	struct piece id = without(part, ".scope");
	char before;

	if (id.n < ID)
		return;
	before = id.n > ID ? id.s[id.n - ID - 1] : '-';
	if ((before != '-' && before != ':') || !is_hex(from(id, id.n - ID), ID))
		return;
	store(from(id, id.n - ID), ret->container_id, sizeof ret->container_id);
	ret->helper |= has(part, "conmon");
}

static void look_for_machine(struct piece part, struct piece before, struct prowl_place *ret)
{
	static const char payload[] = "lxc.payload.", machine[] = "machine-",
			  nspawn[] = "systemd-nspawn@";

	if (equals(before, "lxc") || equals(before, "lxc.payload"))
		store(part, ret->machine, sizeof ret->machine);
	else if (begins(part, payload))
		store(from(part, sizeof payload - 1), ret->machine, sizeof ret->machine);
	else if (begins(part, machine) && ends(part, ".scope"))
		unescape(without(from(part, sizeof machine - 1), ".scope"), ret->machine,
			 sizeof ret->machine);
	else if (begins(part, nspawn) && ends(part, ".service"))
		unescape(without(from(part, sizeof nspawn - 1), ".service"), ret->machine,
			 sizeof ret->machine);
}

/* The first service of the path; below the manager of a user, that of the user. */
static void look_for_unit(struct piece part, struct prowl_place *ret)
{
	if (!ends(part, ".service") || ret->unit[0])
		return;
	if (begins(part, "user@"))
		ret->user_unit = true;
	else
		unescape(part, ret->unit, sizeof ret->unit);
}

void prowl_place_of(const char *text, struct prowl_place *ret)
{
	struct piece path = choose(text), rest = path, before = {path.s, 0};
	bool kube = false;

	*ret = (struct prowl_place){0};
	store(path, ret->path, sizeof ret->path);
	while (rest.n) {
		struct piece part = cut(&rest, '/');

		if (!part.n || equals(part, ".."))
			continue;
		kube |= begins(part, "kubepods");
		if (kube) {
			look_for_pod(part, ret);
			look_for_qos(part, ret);
		}
		look_for_container(part, ret);
		look_for_machine(part, before, ret);
		look_for_unit(part, ret);
		before = part;
	}
	if (ret->pod_uid[0] && !ret->qos[0])
		snprintf(ret->qos, sizeof ret->qos, "guaranteed");
	/* What is around a container is not what runs in it. */
	if (ret->container_id[0] || ret->pod_uid[0] || ret->machine[0])
		ret->unit[0] = '\0';
	ret->user_unit &= ret->unit[0] != '\0';
}
