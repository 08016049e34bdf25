/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: a host that is sampled, a store that keeps what comes out, a server that shows it.
 *
 * At present one process with threads: the one that samples, those of the host that hand windows
 * over and look at runtimes, those of the server, and the caller's, which waits for signals.
 */
#pragma once

#include <stdbool.h>

#include "err.h"

struct prowl_config;

struct prowl_daemon_options {
	/*
	 * Makes the configuration, from file, environment and flags: at the start and at each
	 * SIGHUP. The daemon frees it.
	 */
	enum prowl_code (*configure)(void *ctx, struct prowl_config **ret, struct prowl_err *err);
	void *ctx;
	bool no_store;           /* keeps nothing: figures and profiles on demand only */
	unsigned int time_scale; /* windows, hours and periods are so many times shorter; 0: 1 */
};

/*
 * Runs until SIGTERM or SIGINT, then ends the window, writes it and returns, within 5 s; a second
 * signal ends at once. SIGHUP reads the configuration again. These signals are blocked in the
 * calling thread and all others from then on; no other thread may run yet.
 */
enum prowl_code prowl_daemon_run(const struct prowl_daemon_options *o, struct prowl_err *err);

/* Whether a configuration that could be read can be had: kinds of captures, sinks of push. */
enum prowl_code prowl_daemon_check(const struct prowl_config *c, struct prowl_err *err);
