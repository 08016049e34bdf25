/* SPDX-License-Identifier: Apache-2.0 */
/* Windows to push, made up: a series, profiles, files. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "push_work_parts.h"
#include "testing.h"

/* 2026-11-30 08:00 and 08:01, UTC */
#define T_START (1796025600ull * PUSH_SECOND)
#define T_END   (T_START + 60ull * PUSH_SECOND)

static inline struct prowl_series *t_series(const char *service)
{
	const struct prowl_series_label labels[] = {
		{PROWL_SERIES_SERVICE, service, true},
		{PROWL_SERIES_HOST, "node-1", true},
		{PROWL_SERIES_BUILD, "4f5e6d", true},
		{"app.team", "edge\xff", false}, /* no UTF-8, no name that servers take */
	};
	struct prowl_series *s;

	assert_int_equal(prowl_series_new(labels, sizeof labels / sizeof *labels, &s), 0);
	return s;
}

static const struct prowl_push_pair t_facts[] = {
	{PROWL_PUSH_PID, "4242"},
	{PROWL_PUSH_EXE, "/usr/bin/etcd"},
	{PROWL_PUSH_BUILD_ID, "c0ffee"},
	{PROWL_PUSH_CONTAINER, "0123456789abcdef"},
	{PROWL_PUSH_POD, "etcd-0"},
	{PROWL_PUSH_REVISION, "4f5e6d7c"},
	{PROWL_PUSH_REPOSITORY, "https://example.org/etcd"},
	{PROWL_PUSH_VERSION, "v3.5.1"},
};

static inline struct prowl_push_item t_item(const struct prowl_series *series, const char *kind)
{
	return (struct prowl_push_item){.series = series,
					.kind = kind,
					.start_ns = T_START,
					.end_ns = T_END,
					.window = "2026-11-30T08:00Z",
					.facts = t_facts,
					.nfacts = sizeof t_facts / sizeof *t_facts};
}

/* As the spool reads it. */
static inline struct push_meta t_meta(const struct prowl_push_item *item)
{
	struct push_meta meta;
	char *text;

	assert_int_equal(push_meta_write(item, &text), 0);
	assert_int_equal(push_meta_read(text, strlen(text), &meta), 0);
	free(text);
	return meta;
}

/* The profile is freed. */
static inline uint8_t *t_bytes(struct pprof_profile *p, size_t *len)
{
	uint8_t *bytes;

	assert_int_equal(pprof_encode(p, PPROF_LEVEL_DEFAULT, &bytes, len), 0);
	pprof_profile_free(p);
	return bytes;
}

/* n samples of different stacks, depth frames deep; sample i has the value i + 1. */
static inline struct pprof_profile *t_many(size_t n, size_t depth)
{
	struct pprof_profile *p = t_new();
	uint32_t m, *stack = calloc(depth, sizeof *stack);
	char name[64];

	assert_non_null(stack);
	t_types(p);
	m = t_mapping(p, 0x400000, "/usr/bin/target");
	for (size_t i = 0; i < depth; i++) {
		snprintf(name, sizeof name, "main.frame%zu", i);
		stack[i] = t_loc(p, m, 0x400000 + i, name, 1);
	}
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof name, "main.leaf%zu.with.a.name.of.some.length", i);
		stack[0] = t_loc(p, m, 0x450000 + i, name, (int64_t)i);
		t_add(p, stack, depth, (int64_t)i + 1, NULL, 0);
	}
	free(stack);
	return p;
}

static inline struct prowl_push_sink t_sink(enum prowl_push_type type, const char *url)
{
	return (struct prowl_push_sink){
		.name = prowl_push_type_name(type), .type = type, .url = url};
}

/* A folder that did not exist. */
static inline void t_folder(char path[64])
{
	snprintf(path, 64, "/tmp/prowl-push-XXXXXX");
	assert_non_null(mkdtemp(path));
}

static inline void t_remove(const char *path)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf '%s'", path);
	assert_int_equal(system(command), 0);
}
