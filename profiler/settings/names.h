/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of pods and containers, from what their managers leave in files: folders of logs of the
 * kubelet, the configuration of Docker's containers. No socket is opened, no server asked.
 *
 * One thread at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "place.h"

struct prowl_named { /* "" where not known */
	char namespace_[64], pod[254], container[254];
	char compose[128]; /* the service of a compose file */
	char image[256];
};

struct prowl_names;

/*
 * pod_logs: "/var/log/pods", beside which is "containers"; docker: "/var/lib/docker/containers";
 * either may be "". NULL: no memory.
 */
struct prowl_names *prowl_names_new(const char *pod_logs, const char *docker);
void prowl_names_free(struct prowl_names *n);

/*
 * Those of a place. They are kept; what was not found is looked for again after 10 s, by `now`, a
 * monotonic time in nanoseconds. Valid until the next call.
 */
const struct prowl_named *prowl_names_of(struct prowl_names *n, const struct prowl_place *place,
					 uint64_t now);
