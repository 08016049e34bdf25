/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ENTRIES = 20000, MOST_JSON = 1 << 20, KEPT = 512 };
static const uint64_t AGAIN = 10000000000; /* ns */

struct kept {
	char key[65]; /* the container's id, or the UID of its pod */
	uint64_t tried;
	bool complete;
	struct prowl_named named;
};

struct prowl_names {
	char *pod_logs, *docker;
	size_t n;
	struct kept kept[KEPT];
};

struct prowl_names *prowl_names_new(const char *pod_logs, const char *docker)
{
	struct prowl_names *n = calloc(1, sizeof *n);

	if (!n)
		return NULL;
	n->pod_logs = strdup(pod_logs);
	n->docker = strdup(docker);
	if (n->pod_logs && n->docker)
		return n;
	prowl_names_free(n);
	return NULL;
}

void prowl_names_free(struct prowl_names *n)
{
	if (!n)
		return;
	free(n->pod_logs);
	free(n->docker);
	free(n);
}

/* A name as Kubernetes has them: lower case, digits, - and . */
static bool is_name(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) &&
		    !strchr("-.", s[i]))
			return false;
	}
	return n > 0;
}

/* --- folders of the kubelet -------------------------------------------------------------- */

/* Calls cb for each name in a folder until it returns true. */
static bool each_entry(const char *path, bool (*cb)(void *ctx, const char *name), void *ctx)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	bool found = false;
	size_t n = 0;

	while (d && !found && n++ < MOST_ENTRIES && (e = readdir(d))) {
		if (e->d_name[0] != '.')
			found = cb(ctx, e->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

struct search {
	const char *uid, *container_id;
	struct prowl_named *ret;
	char folder[256]; /* of the pod */
	size_t containers;
};

/* "NAMESPACE_POD_UID". */
static bool pod_folder(void *ctx, const char *name)
{
	struct search *s = ctx;
	size_t space = strcspn(name, "_"), pod, n = strlen(name), uid = strlen(s->uid);

	if (n <= uid || name[space] != '_' || strcmp(name + n - uid, s->uid) != 0)
		return false;
	pod = strcspn(name + space + 1, "_");
	if (space + 1 + pod + 1 + uid != n || !is_name(name, space) ||
	    !is_name(name + space + 1, pod) || n >= sizeof s->folder)
		return false;
	snprintf(s->ret->namespace_, sizeof s->ret->namespace_, "%.*s", (int)space, name);
	snprintf(s->ret->pod, sizeof s->ret->pod, "%.*s", (int)pod, name + space + 1);
	snprintf(s->folder, sizeof s->folder, "%s", name);
	return true;
}

static bool container_folder(void *ctx, const char *name)
{
	struct search *s = ctx;

	if (is_name(name, strlen(name)) && s->containers++ == 0)
		snprintf(s->ret->container, sizeof s->ret->container, "%s", name);
	return false;
}

/* "POD_NAMESPACE_CONTAINER-ID.log": a link into the pod's folder. */
static bool container_log(void *ctx, const char *name)
{
	struct search *s = ctx;
	size_t n = strlen(name), id = strlen(s->container_id), begin;

	if (n <= id + 5 || strcmp(name + n - 4, ".log") != 0 ||
	    strncmp(name + n - 4 - id, s->container_id, id) != 0 || name[n - 5 - id] != '-')
		return false;
	n -= 5 + id;
	for (begin = n; begin > 0 && name[begin - 1] != '_'; begin--)
		;
	if (!is_name(name + begin, n - begin))
		return false;
	snprintf(s->ret->container, sizeof s->ret->container, "%.*s", (int)(n - begin),
		 name + begin);
	return true;
}

static void ask_kubelet(const struct prowl_names *n, const struct prowl_place *place,
			struct prowl_named *ret)
{
	struct search s = {.uid = place->pod_uid, .container_id = place->container_id, .ret = ret};
	char path[4096];

	if (!*n->pod_logs || !each_entry(n->pod_logs, pod_folder, &s))
		return;
	snprintf(path, sizeof path, "%s/../containers", n->pod_logs);
	if (*s.container_id && each_entry(path, container_log, &s))
		return;
	/* A pod of one container needs no link. */
	snprintf(path, sizeof path, "%s/%s", n->pod_logs, s.folder);
	each_entry(path, container_folder, &s);
	if (s.containers != 1)
		ret->container[0] = '\0';
}

/* --- Docker -------------------------------------------------------------------------------- */

static void text_of(const json_t *object, const char *key, char *buf, size_t len)
{
	const char *s = json_string_value(json_object_get(object, key));

	if (s && *s && !buf[0])
		snprintf(buf, len, "%s", s + (*s == '/'));
}

static json_t *load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char *buf = fd < 0 ? NULL : malloc(MOST_JSON);
	ssize_t n = buf ? read(fd, buf, MOST_JSON) : -1;
	json_t *json = n > 0 && n < MOST_JSON ? json_loadb(buf, (size_t)n, 0, NULL) : NULL;

	free(buf);
	if (fd >= 0)
		close(fd);
	return json;
}

static void ask_docker(const struct prowl_names *n, const struct prowl_place *place,
		       struct prowl_named *ret)
{
	const json_t *config, *labels;
	char path[4096];
	json_t *json;

	if (!*n->docker)
		return;
	snprintf(path, sizeof path, "%s/%s/config.v2.json", n->docker, place->container_id);
	json = load(path);
	config = json_object_get(json, "Config");
	labels = json_object_get(config, "Labels");
	text_of(labels, "io.kubernetes.pod.namespace", ret->namespace_, sizeof ret->namespace_);
	text_of(labels, "io.kubernetes.pod.name", ret->pod, sizeof ret->pod);
	text_of(labels, "io.kubernetes.container.name", ret->container, sizeof ret->container);
	text_of(labels, "com.docker.compose.service", ret->compose, sizeof ret->compose);
	text_of(config, "Image", ret->image, sizeof ret->image);
	text_of(json, "Name", ret->container, sizeof ret->container);
	json_decref(json);
}

/* --- what is kept ---------------------------------------------------------------------------- */

static struct kept *find(struct prowl_names *n, const char *key)
{
	for (size_t i = 0; i < n->n; i++) {
		if (!strcmp(n->kept[i].key, key))
			return &n->kept[i];
	}
	/* Full: those that live are soon there again. */
	if (n->n == KEPT)
		n->n = 0;
	n->kept[n->n] = (struct kept){0};
	snprintf(n->kept[n->n].key, sizeof n->kept[n->n].key, "%s", key);
	return &n->kept[n->n++];
}

const struct prowl_named *prowl_names_of(struct prowl_names *n, const struct prowl_place *place,
					 uint64_t now)
{
	static const struct prowl_named nothing;
	const char *key = place->container_id[0] ? place->container_id : place->pod_uid;
	struct kept *k;

	if (!*key)
		return &nothing;
	k = find(n, key);
	if (k->complete || (k->tried && now - k->tried < AGAIN))
		return &k->named;
	k->tried = now;
	k->named = nothing;
	if (place->pod_uid[0])
		ask_kubelet(n, place, &k->named);
	if (place->container_id[0])
		ask_docker(n, place, &k->named);
	k->complete = k->named.container[0] && (!place->pod_uid[0] || k->named.pod[0]);
	return &k->named;
}
