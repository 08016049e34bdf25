/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libpprofenc: one profile as text, pictures and files of other programs. The rules of pprof.h
 * hold: negative errno values, results through `ret_*`, no global state.
 */
#pragma once

#include <stdio.h>

#include "pprof.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- reports --------------------------------------------------------------------- */

/* All zero but for size is a good choice: the default sample type, everything shown. */
struct pprof_report_options {
	size_t size;             /* sizeof (struct pprof_report_options) */
	const char *sample_type; /* by name; NULL: the profile's default */
	size_t nodes;            /* show that many functions (flame: frames); 0 means all */
	double node_fraction;    /* drop functions with a smaller share (cum); pprof has 0.005 */
	double edge_fraction;    /* drop calls with a smaller share; pprof has 0.001 */
	bool cum;                /* sort by cum instead of flat */
	const char *unit;        /* of all values ("ms", "MB"); "auto": for each the one that fits;
				  * NULL: one that fits all, pprof's "minimum" */
	const char *peek;        /* of pprof_report_peek: which functions, as an expression */
	/*
	 * For a filtered profile: 100 %, from pprof_total before filtering (0: the sum of this
	 * profile), and the filter, for the lines above the report.
	 */
	int64_t total;
	const struct pprof_filter_options *filtered;
	/*
	 * html, svg, flame: an earlier profile; the difference is shown. May be NULL; its type is
	 * found by name.
	 */
	const struct pprof_profile *base;
};

/*
 * Text as go tool pprof prints it with -top and -tree (except for white space at the ends of
 * lines): functions are identified by name, inlined ones count as functions, recursion counts once
 * in cum, code without symbols is under its file's name in brackets. Control characters in names
 * and units become '?', so that no name can control the terminal. -ENOENT: no such sample type;
 * -ENOMEM; -EIO: writing failed.
 */
PPROF_API int pprof_report_top(const struct pprof_profile *p,
			       const struct pprof_report_options *options, FILE *to);
PPROF_API int pprof_report_tree(const struct pprof_profile *p,
				const struct pprof_report_options *options, FILE *to);

/*
 * As -peek: the tree of the functions whose name `peek` matches, with all their callers and
 * callees; the fractions and `nodes` do not count. -ENODATA: no function matches; -EINVAL: `peek`
 * is not an expression (see pprof_pattern_check).
 */
PPROF_API int pprof_report_peek(const struct pprof_profile *p,
				const struct pprof_report_options *options, FILE *to);
/* As -traces: every sample in the profile's order with its labels, leaf first. */
PPROF_API int pprof_report_traces(const struct pprof_profile *p,
				  const struct pprof_report_options *options, FILE *to);

/*
 * Folded stacks, the input of flame graph programs: "root;caller;leaf 42", one line a stack, values
 * in the profile's unit, stacks with the sum 0 left out. A semicolon in a name becomes a colon.
 */
PPROF_API int pprof_report_folded(const struct pprof_profile *p,
				  const struct pprof_report_options *options, FILE *to);

/*
 * The format of speedscope: a profile in it for each sample type, and for each process and thread
 * that labels (PPROF_LABEL_*) distinguish, the heaviest first; all types, of which the default one
 * is shown first, or only `sample_type`. Each inlined function is a frame; a frame has name, file
 * and first line of its function. Weights are the values. Stacks are in the order of time where
 * samples have one (PPROF_LABEL_TIME), else sorted, equal ones as one. Where they have a time and
 * the values are nanoseconds, an empty stack fills each gap of two samples and more, so the axis is
 * the time since the profile began. Negative values, of differences, are in a profile of their own,
 * called "TYPE, negative", without their sign: speedscope doesn't take them.
 */
PPROF_API int pprof_report_speedscope(const struct pprof_profile *p,
				      const struct pprof_report_options *options, FILE *to);

/*
 * JSON for scripts, all types or only `sample_type`, all of the profile:
 *
 *	{"schema_version": 1,
 *	 "sample_types": [{"type": "cpu", "unit": "nanoseconds"}, ...],
 *	 "default_sample_type": "cpu", "period_type": {"type": ..., "unit": ...},
 *	 "period": N, "time": "2026-01-31T12:34:56.123456789Z", "time_nanos": N,
 *	 "duration_nanos": N, "drop_frames": "", "keep_frames": "", "doc_url": "",
 *	 "comments": ["...", ...],
 *	 "mappings": [{"start": "0x400000", "limit": "0x5f1000", "offset": "0x0",
 *	   "file": "...", "build_id": "...", "has_functions": true,
 *	   "has_filenames": ..., "has_line_numbers": ..., "has_inline_frames": ...},
 *	   ...],
 *	 "functions": [{"name": "main.f", "system_name": "...", "file": "...",
 *	   "start_line": N}, ...],
 *	 "locations": [{"address": "0x401234", "mapping": INDEX or null,
 *	   "folded": false, "lines": [{"function": INDEX, "name": "main.f",
 *	   "file": "...", "line": N, "column": N}, ...]}, ...],
 *	 "samples": [{"values": {"cpu": N, ...}, "labels": {"thread_id": N, ...},
 *	   "label_units": {"thread_id": "id"}, "stack": ["main.f", ...],
 *	   "locations": [INDEX, ...]}, ...]}
 *
 * Stacks and lines have the innermost frame first; `stack` has the inlined ones too, and code
 * without symbols under its file's name in brackets. "time" is absent where it is unknown. A label
 * that a sample has several times is an array, and so is its unit where the values' differ ("" for
 * texts and values without one); a second sample type of the same name is "name#2".
 * Integers are written with all their digits. Samples are in no particular order.
 */
PPROF_API int pprof_report_json(const struct pprof_profile *p,
				const struct pprof_report_options *options, FILE *to);

/*
 * Values by function, as the reports print them, as a table for programs, such as interactive ones.
 * Tables of several profiles of one program add up, so that a window that slides is the sum of the
 * tables of its parts, and nothing is counted twice.
 */
struct pprof_function_row {
	const char *name; /* printable UTF-8, the row's identity; code without symbols: "[file]" */
	const char *file; /* "" when not known; may hold anything but is UTF-8 */
	int64_t line;     /* with the largest flat value, else cum; 0: not known */
	int64_t flat, cum;
};

struct pprof_call {        /* between two different functions */
	uint32_t from, to; /* rows */
	int64_t value;
};

struct pprof_functions { /* read by anyone, changed only by the functions below */
	int64_t total;   /* of all samples: 100 % */
	size_t nrows;
	struct pprof_function_row *rows; /* in no order */
	size_t ncalls;
	struct pprof_call *calls;            /* in no order */
	struct pprof_functions_index *index; /* private */
};

/* The table of a profile, or an empty one when p is NULL. -ENOENT: no such sample type; -ENOMEM. */
PPROF_API int pprof_functions_new(const struct pprof_profile *p, const char *sample_type,
				  struct pprof_functions **ret_functions);
PPROF_API void pprof_functions_free(struct pprof_functions *f);
/*
 * Adds another table. The line of a function is that of the table where it has the larger flat
 * value. -ENOMEM leaves f readable, but with a part of the other one.
 */
PPROF_API int pprof_functions_add(struct pprof_functions *f, const struct pprof_functions *other);

/*
 * Pictures for a browser. `html` is one file that needs nothing else, neither network nor server:
 * flame graph, callers and callees of a function, table, search, all sample types. `svg` is a flame
 * graph of one sample type, which is also shown where scripts don't run. Names are always shown as
 * text; control characters and marks that change the direction of writing become U+FFFD. Values
 * beyond 2^53 are rounded. Equal profiles give equal bytes. Errors as above, and -EINVAL: the base
 * has no values.
 */
PPROF_API int pprof_report_html(const struct pprof_profile *p,
				const struct pprof_report_options *options, FILE *to);
PPROF_API int pprof_report_svg(const struct pprof_profile *p,
			       const struct pprof_report_options *options, FILE *to);

/*
 * The tree of calls as JSON, on one line: what the page of `html` has in it, for pages that show
 * several profiles. With `nodes` only so many frames, those with the largest shares of any type's
 * total; where callees were left out, one called "[rest]" has their values.
 *
 *	{"version": 1,
 *	 "file": "/usr/bin/etcd", "buildId": "...",     of the first mapping
 *	 "processes": "...",                            in words, if there are several; else ""
 *	 "time": MS, "duration": NS, "comments": ["...", ...],
 *	 "types": [["samples", "count"], ...], "type": INDEX,    the one to be shown first
 *	 "names": ["main.f", ...], "lines": [N, ...],   of each function
 *	 "kinds": [N, ...],         0 Go, 1 its runtime, 2 kernel, 3 C and others, 4 no code
 *	 "files": [[FIRST, "main.go"], ...],            of the function FIRST and those behind it
 *	 "objects": [[FIRST, "etcd"], ...],             file names of the binaries, likewise
 *	 "funcs": [N, ...],         the function of each frame but the root, callers first
 *	 "ups": [N, ...],           0: it is a callee of the frame before; else N levels above that
 *	 "values": [[DISTANCE, VALUE, ...], ...],       for each type
 *	 "pruned": N,               frames that were left out; absent: none were
 *	 "base": {"file": ..., "comments": ..., "values": ...}}  absent: there is none
 *
 * Values are those of the frame itself. Frames without a value are not in the list: a distance is
 * that to the frame before it in the list, at first to the root.
 */
PPROF_API int pprof_report_flame(const struct pprof_profile *p,
				 const struct pprof_report_options *options, FILE *to);

enum {                            /* flags of an exporter */
       PPROF_EXPORT_BINARY = 1,   /* not for a terminal */
       PPROF_EXPORT_COMPARES = 2, /* shows the difference to the options' base */
};

/* A format that a profile can be written in. */
struct pprof_exporter {
	const char *name;   /* "text" */
	const char *alias;  /* another name for it, "top", or NULL */
	const char *suffix; /* of files, with the dot: ".txt" */
	const char *mime;
	const char *about; /* one line, for a list of formats */
	unsigned int flags;
	int (*write)(const struct pprof_profile *p, const struct pprof_report_options *options,
		     FILE *to);
};

/* The formats by number, from 0, the profile's own first; NULL beyond the last. */
PPROF_API const struct pprof_exporter *pprof_exporter_at(size_t index);
/* The one with that name or alias, or NULL. */
PPROF_API const struct pprof_exporter *pprof_exporter_named(const char *name);
/* The one with the longest suffix that the path ends in, or NULL. */
PPROF_API const struct pprof_exporter *pprof_exporter_for_file(const char *path);

#ifdef __cplusplus
}
#endif
