/* SPDX-License-Identifier: Apache-2.0 */
/* From what is seen of a process to what rules look at. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "names.h"
#include "place.h"
#include "rules.h"

struct prowl_process_facts { /* missing texts are NULL or "" */
	pid_t pid;
	uid_t uid;
	const char *comm, *exe;
	const char *cgroup;      /* the text of /proc/PID/cgroup */
	const char *environment; /* as /proc/PID/environ, with two NULs at the end */
	bool go, self;
	const char *go_version, *package, *module;
	const char *revision, *go_build_id, *build_id;
};

struct prowl_known { /* what the subject points into, besides what was seen */
	struct prowl_subject subject;
	struct prowl_place place;
	struct prowl_named named;
	char go_version[64];
};

/* Names may be NULL: none are looked for. `now`: see names.h. What was seen must outlive *ret. */
void prowl_known_of(struct prowl_names *names, const struct prowl_process_facts *seen, uint64_t now,
		    struct prowl_known *ret);
