/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that take one profile of one process or core file: heap, allocs, block, mutex,
 * threadcreate, goroutine, wall. Each is a table of options over a row of prowl_kinds.
 */
#pragma once

#include "common_opts.h"
#include "kinds.h"

struct take {
	const char *kind; /* of prowl_kinds */
	struct common_opts common;
	struct prowl_take o; /* options of the kind; window, events and wake fd are set here */
};

/* Whether target, window, rates and output fit the kind. For a struct that begins with a take. */
enum prowl_code take_check(void *options, char **words, size_t n);
/* Takes the profile, writes it, prints the result. */
enum prowl_code take_run(void *options, char **words, size_t n);

/* Prints the first line for an opened target: "reading the WHAT of NAME (pid 42, go1.25)WINDOW". */
void take_say_reading(const struct prowl_target *t, const char *what, const char *window);
/* Prints a warning where the Go version is newer than all known ones. */
void take_say_guessed(const struct prowl_target *t);
/* Prints how many goroutines were read, in n of what ("different stacks"). */
void take_say_goroutines(const struct prowl_goroutines_counts *c, size_t n, const char *what);
