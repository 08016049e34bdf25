/* SPDX-License-Identifier: Apache-2.0 */
/* What of a profile is shown and how: options that all commands which print profiles can have. */
#pragma once

#include <stdbool.h>

#include "opts.h"
#include "pprof.h"
#include "pprof_report.h"

struct view {
	struct pprof_filter_options filter;
	struct pprof_report_options report;
	bool relative; /* 100 % is what is left */
};

enum {
	VIEW_TYPE = 200,
	VIEW_LINES,
	VIEW_CUM,
	VIEW_FOCUS,
	VIEW_IGNORE,
	VIEW_SHOW,
	VIEW_HIDE,
	VIEW_SHOW_FROM,
	VIEW_TAG_FOCUS,
	VIEW_TAG_IGNORE,
	VIEW_TAG_SHOW,
	VIEW_TAG_HIDE,
	VIEW_TAG_ROOT,
	VIEW_TAG_LEAF,
	VIEW_GRANULARITY,
	VIEW_NO_INLINES,
	VIEW_RUNTIME,
	VIEW_RELATIVE,
	VIEW_UNIT,
	VIEW_NODE_FRACTION,
	VIEW_EDGE_FRACTION,
	VIEW_PEEK,
};

/* Rows of a command's table of options. */
/* clang-format off */
#define VIEW_OPTS \
	{'t', "type", "NAME", \
	 "which values: cpu, samples, inuse_space, ... (default: the profile's)", VIEW_TYPE}, \
	{'n', "lines", "N", \
	 "show N functions (default: all)", VIEW_LINES}, \
	{0, "cum", NULL, \
	 "sort by cum instead of flat", VIEW_CUM}, \
	{0, "peek", "REGEX", \
	 "functions that match, with their callers and callees", VIEW_PEEK}, \
	{0, "nodefraction", "F", \
	 "drop functions below this share of the total, such as 0.005", VIEW_NODE_FRACTION}, \
	{0, "edgefraction", "F", \
	 "drop calls below this share of the total, such as 0.001", VIEW_EDGE_FRACTION}, \
	{0, "unit", "UNIT", \
	 "of values: ms, s, MB, ..., or auto: for each its own", VIEW_UNIT}, \
	{0, "relative-percentages", NULL, \
	 "100 % is what the filters leave", VIEW_RELATIVE}, \
	{0, "focus", "REGEX", \
	 "only stacks with a function, file or binary that matches", VIEW_FOCUS}, \
	{0, "ignore", "REGEX", \
	 "no stacks with one that matches", VIEW_IGNORE}, \
	{0, "show-from", "REGEX", \
	 "stacks from their outermost match on", VIEW_SHOW_FROM}, \
	{0, "hide", "REGEX", \
	 "without the frames that match", VIEW_HIDE}, \
	{0, "show", "REGEX", \
	 "only the frames that match", VIEW_SHOW}, \
	{0, "noinlines", NULL, \
	 "count inlined functions as their caller", VIEW_NO_INLINES}, \
	{0, "runtime", "HOW", \
	 "show, fold or hide the frames of Go's runtime", VIEW_RUNTIME}, \
	{0, "granularity", "WHAT", \
	 "function (default), line, file, package, filefunction, address", VIEW_GRANULARITY}, \
	{0, "tag", "TAG", \
	 "only samples with the label: KEY=REGEX, REGEX, 1mb:2mb", VIEW_TAG_FOCUS}, \
	{0, "tagfocus", "TAG", \
	 "the same as --tag", VIEW_TAG_FOCUS}, \
	{0, "tagignore", "TAG", \
	 "no samples with the label", VIEW_TAG_IGNORE}, \
	{0, "tagshow", "REGEX", \
	 "only labels whose key matches", VIEW_TAG_SHOW}, \
	{0, "taghide", "REGEX", \
	 "without labels whose key matches", VIEW_TAG_HIDE}, \
	{0, "tagroot", "KEYS", \
	 "values of these labels as outermost frames", VIEW_TAG_ROOT}, \
	{0, "tagleaf", "KEYS", \
	 "values of these labels as innermost frames", VIEW_TAG_LEAF}
/* clang-format on */

enum view_taken { VIEW_OTHER, VIEW_OK, VIEW_WRONG };

/* Takes an option: not one of ours, done, or wrong, which has been said. */
enum view_taken view_take(struct view *v, int id, const char *arg);

enum view_use { VIEW_AS_REPORT, VIEW_AS_TRACES, VIEW_AS_DATA };

/*
 * Replaces the profile by the part of it that is to be shown, with v->report. False after saying
 * what is wrong; *code is the exit code then. For traces, samples stay apart; for data, a profile
 * of which nothing is filtered stays as it is.
 */
bool view_apply(struct view *v, struct pprof_profile **p, enum view_use use, int *code);
