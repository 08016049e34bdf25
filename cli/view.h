/* SPDX-License-Identifier: Apache-2.0 */
/* The view of a profile: options for commands that print profiles. */
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

/* Types and fields take no parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
/* clang-format off */
/* Rows of a command's table of options, for a struct with a view in it. */
#define VIEW_OPTS(T, f) \
	OPT_TEXT('t', "type", "NAME", \
		 "which values: cpu, samples, inuse_space, ... (default: the profile's)", \
		 T, f.report.sample_type), \
	OPT_NUMBER('n', "lines", "show N functions (default: all)", T, f.report.nodes, 1, 1000000), \
	OPT_FLAG(0, "cum", "sort by cum instead of flat", T, f.report.cum), \
	{.name = "peek", .arg = "REGEX", .take = view_take_peek, \
	 .at = OPT_FIELD(T, f.report.peek, const char *), \
	 .help = "functions that match, with their callers and callees"}, \
	{.name = "nodefraction", .arg = "F", .take = view_take_fraction, \
	 .at = OPT_FIELD(T, f.report.node_fraction, double), \
	 .help = "drop functions below this share of the total, such as 0.005"}, \
	{.name = "edgefraction", .arg = "F", .take = view_take_fraction, \
	 .at = OPT_FIELD(T, f.report.edge_fraction, double), \
	 .help = "drop calls below this share of the total, such as 0.001"}, \
	{.name = "unit", .arg = "UNIT", .take = view_take_unit, \
	 .at = OPT_FIELD(T, f, struct view), \
	 .help = "of values: ms, s, MB, ..., or auto: for each its own"}, \
	OPT_FLAG(0, "relative-percentages", "100 % is what the filters leave", T, f.relative), \
	OPT_TEXT(0, "focus", "REGEX", \
		 "only stacks with a function, file or binary that matches", T, f.filter.focus), \
	OPT_TEXT(0, "ignore", "REGEX", "no stacks with one that matches", T, f.filter.ignore), \
	OPT_TEXT(0, "show-from", "REGEX", \
		 "stacks from their outermost match on", T, f.filter.show_from), \
	OPT_TEXT(0, "hide", "REGEX", "without the frames that match", T, f.filter.hide), \
	OPT_TEXT(0, "show", "REGEX", "only the frames that match", T, f.filter.show), \
	OPT_FLAG(0, "noinlines", "count inlined functions as their caller", \
		 T, f.filter.no_inlines), \
	{.name = "runtime", .arg = "HOW", .take = view_take_word, \
	 .at = OPT_FIELD(T, f.filter.runtime, unsigned int), .words = view_runtime_words, \
	 .help = "the frames of Go's runtime"}, \
	{.name = "granularity", .arg = "WHAT", .take = view_take_word, \
	 .at = OPT_FIELD(T, f.filter.granularity, unsigned int), \
	 .words = view_granularity_words, .help = "(default: function)"}, \
	OPT_TEXT(0, "tag", "TAG", \
		 "only samples with the label: KEY=REGEX, REGEX, 1mb:2mb", T, f.filter.tag_focus), \
	OPT_TEXT(0, "tagfocus", "TAG", "the same as --tag", T, f.filter.tag_focus), \
	OPT_TEXT(0, "tagignore", "TAG", "no samples with the label", T, f.filter.tag_ignore), \
	OPT_TEXT(0, "tagshow", "REGEX", "only labels whose key matches", T, f.filter.tag_show), \
	OPT_TEXT(0, "taghide", "REGEX", "without labels whose key matches", T, f.filter.tag_hide), \
	OPT_TEXT(0, "tagroot", "KEYS", \
		 "values of these labels as outermost frames", T, f.filter.tag_root), \
	OPT_TEXT(0, "tagleaf", "KEYS", \
		 "values of these labels as innermost frames", T, f.filter.tag_leaf)
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

extern const char *const view_runtime_words[], *const view_granularity_words[];

bool view_take_peek(const struct opt *o, void *field, const char *arg);
bool view_take_fraction(const struct opt *o, void *field, const char *arg);
bool view_take_unit(const struct opt *o, void *field, const char *arg);
/* A word or, as pprof has them, its plural. */
bool view_take_word(const struct opt *o, void *field, const char *arg);

enum view_use { VIEW_AS_REPORT, VIEW_AS_TRACES, VIEW_AS_DATA };

/*
 * Replaces the profile by the part that the view shows, for use with v->report. False after an
 * error message; *code is the exit code then. For traces, samples stay apart; for data, an
 * unfiltered profile is not changed.
 */
bool view_apply(struct view *v, struct pprof_profile **p, enum view_use use, enum prowl_code *code);
