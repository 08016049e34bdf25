/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes are profiled, and under which name: rules, of which the first that matches
 * decides. Plain data; nothing is read from /proc here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "series.h"

/* What rules look at, and templates of a service name: {comm}, {unit} and so on. */
enum prowl_fact {
	PROWL_FACT_COMM,
	PROWL_FACT_EXE,     /* the path as the process sees it */
	PROWL_FACT_PACKAGE, /* import path of Go's main package */
	PROWL_FACT_MODULE,  /* Go's main module */
	PROWL_FACT_CGROUP,  /* a path */
	PROWL_FACT_UNIT,    /* "nginx.service" */
	PROWL_FACT_CONTAINER,
	PROWL_FACT_NAMESPACE,
	PROWL_FACT_POD,
	PROWL_FACT_COMPOSE, /* the service of a compose file */
	PROWL_FACTS,
};

/* "comm"; NULL: no such fact. */
const char *prowl_fact_name(size_t fact);

struct prowl_subject { /* of a process; texts are never NULL, but "" */
	pid_t pid;
	uid_t uid;
	bool go, self; /* self: it is prowl itself */
	const char *fact[PROWL_FACTS];
	const char *container_id, *pod_uid, *image;
	const char *go_version, *build;
	const char *otel_service; /* OTEL_SERVICE_NAME of its environment */
};

enum prowl_schedule {
	PROWL_SCHEDULE_FIGURES,
	PROWL_SCHEDULE_HEAP,
	PROWL_SCHEDULE_GOROUTINE,
	PROWL_SCHEDULE_BLOCK,
	PROWL_SCHEDULE_MUTEX,
	PROWL_SCHEDULES,
};

/* "heap"; NULL: no such schedule. */
const char *prowl_schedule_name(size_t schedule);

struct prowl_rule {
	const char *pattern[PROWL_FACTS]; /* prowl_glob; NULL: any */
	const char *name;                 /* comm, or the last part of exe; NULL: any */
	bool has_go, go, has_uid, has_pid;
	uid_t uid;
	pid_t pid;

	bool profile;
	const char *service; /* a template; NULL: none */
	const struct prowl_series_label *labels;
	size_t nlabels;
	unsigned int rate; /* Hz; 0: the daemon's */
	bool has_period[PROWL_SCHEDULES];
	uint64_t period[PROWL_SCHEDULES]; /* ns; 0: never */

	const char *origin; /* "daemon.yaml:12", "--pid", "default" */
};

struct prowl_rules {
	struct prowl_rule *rules;
	size_t n;
};

/* The rule that decides about it; NULL: none, and it is not profiled. */
const struct prowl_rule *prowl_rules_find(const struct prowl_rules *r,
					  const struct prowl_subject *s);

/*
 * Whether no process of the program of s is profiled, whoever's it is and wherever it runs: only
 * go, comm, exe, package and module are looked at.
 */
bool prowl_rules_exclude(const struct prowl_rules *r, const struct prowl_subject *s);

/* A sentence about what is wrong with a template; NULL: nothing. */
const char *prowl_template_check(const char *text);

/* --- names ----------------------------------------------------------------------- */

/* Which labels get into series: patterns of keys (prowl_glob), before they are renamed. */
struct prowl_label_policy {
	const char *const *keep; /* nkeep 0: all */
	size_t nkeep;
	const char *const *drop;
	size_t ndrop;
	const struct prowl_rename {
		const char *from, *to;
	} * rename;
	size_t nrename;
};

/* The name under which a label is stored; NULL: it is not. */
const char *prowl_label_policy_name(const struct prowl_label_policy *p, const char *name);

/*
 * The series of a process that a rule takes (rule NULL: as by one without template and labels). The
 * service's name is the first that there is: the rule's template, OTEL_SERVICE_NAME, the service of
 * a compose file, "NAMESPACE/CONTAINER" or the container, the unit, the last element of Go's main
 * package, the program's file, comm. The service is never dropped. The caller frees the result.
 */
int prowl_subject_series(const struct prowl_subject *s, const struct prowl_rule *rule,
			 const struct prowl_label_policy *policy, const char *host,
			 struct prowl_series **ret);
