/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a process belongs, by the path of its cgroup: a container, a pod, a systemd unit. The forms
 * of containerd, CRI-O, Docker, Podman, LXC and systemd, with cgroup v1 and v2.
 */
#pragma once

#include <stdbool.h>

struct prowl_place {
	char path[512];        /* of the cgroup, as the line has it; "" where it is the root */
	char unit[256];        /* "nginx.service", unescaped; "" in a container */
	bool user_unit;        /* of a user's manager */
	char container_id[65]; /* 64 hexadecimal digits, or "" */
	char pod_uid[37];      /* with dashes, or "" */
	char qos[16];          /* "guaranteed", "burstable", "besteffort" of a pod */
	char machine[128];     /* of LXC or systemd-machined */
	bool helper;           /* what watches a container (conmon): no target */
};

/*
 * text: of /proc/PID/cgroup. The line of the unified hierarchy counts, or the first of cpu, memory,
 * pids and name=systemd that names another group than the root. What is too long is left out.
 */
void prowl_place_of(const char *text, struct prowl_place *ret);
