/* SPDX-License-Identifier: Apache-2.0 */
#include "subject.h"

#include <stdio.h>
#include <string.h>

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

/* The value of a variable in the text of /proc/PID/environ. */
static const char *variable(const char *environment, const char *name)
{
	size_t n = strlen(name);

	for (const char *s = or_empty(environment); *s; s += strlen(s) + 1) {
		if (!strncmp(s, name, n) && s[n] == '=')
			return s + n + 1;
	}
	return "";
}

/* What is known of a build, the best first. */
static const char *build_of(const struct prowl_process_facts *seen)
{
	const char *const ways[] = {seen->revision, seen->go_build_id, seen->build_id};

	for (size_t i = 0; i < 3; i++) {
		if (ways[i] && *ways[i])
			return ways[i];
	}
	return "";
}

void prowl_known_of(struct prowl_names *names, const struct prowl_process_facts *seen, uint64_t now,
		    struct prowl_known *ret)
{
	struct prowl_subject *s = &ret->subject;
	const char *version = or_empty(seen->go_version);

	*ret = (struct prowl_known){0};
	prowl_place_of(or_empty(seen->cgroup), &ret->place);
	if (names)
		ret->named = *prowl_names_of(names, &ret->place, now);
	/* "go1.24.4 X:nocoverageredesign" */
	snprintf(ret->go_version, sizeof ret->go_version, "%.*s", (int)strcspn(version, " "),
		 version);
	*s = (struct prowl_subject){
		.pid = seen->pid,
		.uid = seen->uid,
		.go = seen->go,
		.self = seen->self,
		.fact = {[PROWL_FACT_COMM] = or_empty(seen->comm),
			 [PROWL_FACT_EXE] = or_empty(seen->exe),
			 [PROWL_FACT_PACKAGE] = or_empty(seen->package),
			 [PROWL_FACT_MODULE] = or_empty(seen->module),
			 [PROWL_FACT_CGROUP] = ret->place.path,
			 [PROWL_FACT_UNIT] = ret->place.unit,
			 [PROWL_FACT_CONTAINER] = ret->named.container[0] ? ret->named.container
									  : ret->place.machine,
			 [PROWL_FACT_NAMESPACE] = ret->named.namespace_,
			 [PROWL_FACT_POD] = ret->named.pod,
			 [PROWL_FACT_COMPOSE] = ret->named.compose},
		.container_id = ret->place.container_id,
		.pod_uid = ret->place.pod_uid,
		.image = ret->named.image,
		.go_version = ret->go_version,
		.build = build_of(seen),
		.otel_service = variable(seen->environment, "OTEL_SERVICE_NAME"),
	};
}
