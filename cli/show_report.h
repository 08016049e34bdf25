/* SPDX-License-Identifier: Apache-2.0 */
/* A profile as a report: what commands print of profiles that they found. */
#pragma once

#include "common_opts.h"
#include "output.h"
#include "view.h"

struct pprof_profile;

struct show_report {
	struct view view;
	const char *format, *output, *base;
	bool comments;
};

/* Types and fields take no parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
/* clang-format off */
/* Rows for a struct with a show_report in it: its type and the name of that field. */
#define SHOW_REPORT_OPTS(T, at_) \
	{.letter = 'f', .name = "format", .arg = "FORMAT", .take = opts_text, \
	 .at = OPT_FIELD(T, at_.format, const char *), .word = output_name, \
	 .help = "(default by the file's name, else text)"}, \
	OPT_TEXT('o', "output", "FILE", "default: standard output", T, at_.output), \
	VIEW_OPTS(T, at_.view), \
	OPT_TEXT(0, "diff-base", "FILE", "html, svg: show what changed since this profile", \
		 T, at_.base), \
	OPT_FLAG(0, "comments", \
		 "print only the profile's comments: how it was taken, what was lost", \
		 T, at_.comments)
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

/*
 * Loads the base, if one is given, and writes what the options say of *p, which is replaced by the
 * part that is shown. The exit code, after a message.
 */
enum prowl_code show_report(struct show_report *r, struct pprof_profile **p);
