/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this machine, this user and this container allow profiling, found out by trying; and for
 * everything missing, what grants it. Changes nothing. Any thread may call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"

enum prowl_check_state { PROWL_CHECK_OK, PROWL_CHECK_WARN, PROWL_CHECK_FAIL };

struct prowl_check {
	enum prowl_check_state state;
	const char *id;   /* for programs: "perf_event_paranoid"; static */
	const char *what; /* for people; static */
	char value[256];  /* what was observed */
	char fix[768];    /* commands or YAML that grant it, possibly several lines; "" when ok */
};

enum prowl_works { PROWL_WORKS_NOTHING, PROWL_WORKS_USER, PROWL_WORKS_KERNEL };

struct prowl_doctor {
	struct prowl_check *checks;
	size_t n, cap;
	pid_t pid; /* 0: in general */
	bool container;
	enum prowl_works works; /* frames that a profile would have */
	bool whole_cpus;
	char verdict[640];
};

/*
 * PROWL_NOTHING: there is no such process; PROWL_USAGE: it is a thread; otherwise PROWL_OK,
 * whatever the checks found.
 */
enum prowl_code prowl_doctor_new(pid_t pid, struct prowl_doctor **ret, struct prowl_err *err);
void prowl_doctor_free(struct prowl_doctor *d);
