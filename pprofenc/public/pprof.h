/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libpprofenc: profiles in the pprof format: build, encode, decode, merge, filter. Reports are
 * in pprof_report.h, comparisons of runs are in pprof_compare.h.
 *
 * The model is plain arrays that callers read. Elements refer to each other by index into these
 * arrays (from 0; the ids of the file are made when encoding), to strings by index into `strings`,
 * of which 0 is always "". Arrays may move when something is added: keep indices, not pointers.
 *
 * Errors are negative errno values. Results come back through the last parameters, `ret_*`, which
 * are written only on success. Destructors accept NULL. A function that runs out of memory leaves
 * the profile as valid as it was.
 *
 * A profile belongs to one thread while it changes; any number of threads may read it otherwise.
 * There is no global state. Not async-signal-safe: everything allocates.
 *
 * Options begin with their size, so that programs built with one version run with later ones:
 *
 *	struct pprof_filter_options o = PPROF_SIZED(o);
 *	struct pprof_filter_options o = {.size = sizeof o, .focus = "main"};
 *
 * Fields that a caller's version doesn't have count as 0. -EINVAL: the size is not set; -E2BIG: a
 * field is used that this version of the library doesn't know. NULL means all zero.
 *
 * Not here: symbolization, processes, clocks. Times and values are what the caller says.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef PPROF_API
#ifdef __GNUC__
#define PPROF_API __attribute__((visibility("default")))
#else
#define PPROF_API
#endif
#endif

/* Initializes a variable: all zero but for its size. */
#define PPROF_SIZED(variable)    \
	{                        \
		sizeof(variable) \
	}

/* The version of the library at run time: "0.1.0". */
PPROF_API const char *pprof_version(void);

/* "no such thing": a location without mapping, a line without a known function. */
#define PPROF_NONE UINT32_MAX

/* --- failures -------------------------------------------------------------------- */

/* Plain facts about a failure; sentences are made by the caller. */
struct pprof_diag {
	const char *what; /* static string: what is wrong */
	/*
	 * decode: offset in the uncompressed bytes, or 0; merge: index of the input; filter: offset
	 * in the expression
	 */
	uint64_t at;
	/*
	 * merge: the two things that differ; filter: the option, and what is wrong with it; both
	 * and pprof_compare, out of memory: the step that failed; otherwise ""
	 */
	char detail[96];
};

/* --- the model ------------------------------------------------------------------- */

struct pprof_value_type {
	uint32_t type, unit; /* strings: "cpu", "nanoseconds" */
};

struct pprof_mapping {
	uint64_t start, limit;       /* runtime addresses, half open */
	uint64_t offset;             /* in the file, of `start` */
	uint32_t filename, build_id; /* strings */
	/* Whether all used locations of this mapping have them; pprof looks no further if set. */
	bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct pprof_function {
	uint32_t name;        /* string: readable */
	uint32_t system_name; /* string: as the linker knows it */
	uint32_t filename;    /* string */
	int64_t start_line;   /* of the declaration; needed by go build -pgo */
};

struct pprof_line {
	uint32_t function; /* index into functions */
	int64_t line, column;
};

struct pprof_location {
	uint64_t address;
	uint32_t mapping;    /* index into mappings or PPROF_NONE */
	uint32_t first_line; /* index into lines; innermost inlined function first */
	uint32_t nlines;     /* 0: not symbolized */
	bool is_folded;
};

/*
 * Text when `str` is not 0, else a number with a unit (string, may be 0). The format can't express
 * an empty text, nor the number 0 without a unit: such labels are left out when a sample is added.
 */
struct pprof_label {
	uint32_t key, str, unit;
	int64_t num;
};

/*
 * Keys of labels that exporters know. They identify a sample's process and thread, and give the
 * time when it ended: a number, the Unix time in nanoseconds (the key that Datadog's profilers
 * use).
 */
#define PPROF_LABEL_PID         "pid"         /* number */
#define PPROF_LABEL_COMM        "comm"        /* the process' name */
#define PPROF_LABEL_THREAD_ID   "thread_id"   /* number; "thread id" is read too */
#define PPROF_LABEL_THREAD_NAME "thread_name" /* "thread name" is read too */
#define PPROF_LABEL_TIME        "end_timestamp_ns"

struct pprof_sample {
	uint32_t first_location, nlocations; /* in stacks[], leaf first */
	uint32_t first_label, nlabels;       /* in labels[] */
};

struct pprof_builder; /* hash tables and capacities; private */

struct pprof_profile {
	/*
	 * Read by anyone, changed only by the functions below: the builder's hash tables know the
	 * contents. Exceptions are noted at the fields. Values of samples may be written, too.
	 */
	size_t nsample_types;
	struct pprof_value_type *sample_types;
	size_t nsamples;
	struct pprof_sample *samples;
	int64_t *values; /* nsample_types of them for each sample, in the order of samples */
	size_t nstacks;
	uint32_t *stacks; /* indices into locations */
	size_t nlabels;
	struct pprof_label *labels;
	size_t nmappings;
	struct pprof_mapping *mappings; /* the main binary first; the has_* may be written */
	size_t nlocations;
	struct pprof_location *locations; /* is_folded may be written */
	size_t nlines;
	struct pprof_line *lines;
	size_t nfunctions;
	struct pprof_function *functions;
	size_t nstrings;
	const char **strings;
	size_t ncomments;
	uint32_t *comments; /* strings */

	/* Written by the caller as well; strings are indices that pprof_string gave. */
	int64_t time_nanos;     /* start, Unix time; 0 unknown */
	int64_t duration_nanos; /* 0 unknown */
	int64_t period;
	struct pprof_value_type period_type;
	uint32_t default_sample_type; /* string: name of a type; 0 means the last one */
	uint32_t drop_frames, keep_frames;
	uint32_t doc_url;

	struct pprof_builder *builder; /* private */
	/* Later versions add fields here: profiles are only allocated by the library. */
};

static inline const uint32_t *pprof_sample_stack(const struct pprof_profile *p, size_t sample)
{
	return p->stacks + p->samples[sample].first_location;
}

static inline const int64_t *pprof_sample_values(const struct pprof_profile *p, size_t sample)
{
	return p->values + sample * p->nsample_types;
}

static inline const struct pprof_label *pprof_sample_labels(const struct pprof_profile *p,
							    size_t sample)
{
	return p->labels + p->samples[sample].first_label;
}

static inline const struct pprof_line *pprof_location_lines(const struct pprof_profile *p,
							    uint32_t location)
{
	return p->lines + p->locations[location].first_line;
}

/* --- building -------------------------------------------------------------------- */

PPROF_API int pprof_profile_new(struct pprof_profile **ret_profile);
PPROF_API void pprof_profile_free(struct pprof_profile *p);

/*
 * The index of a string, the same for the same text. The text is copied; bytes that are not UTF-8
 * become U+FFFD, since strict readers refuse the whole file otherwise. NULL is "".
 */
PPROF_API int pprof_string(struct pprof_profile *p, const char *s, uint32_t *ret_string);

/* Adds a sample type. Only while there is no sample (-EBUSY). */
PPROF_API int pprof_sample_type(struct pprof_profile *p, const char *type, const char *unit);
PPROF_API int pprof_period(struct pprof_profile *p, const char *type, const char *unit,
			   int64_t period);
PPROF_API int pprof_comment(struct pprof_profile *p, const char *text);

/*
 * These find an equal element or add one. Equal means: mappings agree in all but the has_* flags,
 * functions in everything, locations in mapping, address and lines. -EINVAL for an index that
 * doesn't exist, -EOVERFLOW beyond 2^32 - 2 of a kind.
 */
PPROF_API int pprof_mapping(struct pprof_profile *p, const struct pprof_mapping *mapping,
			    uint32_t *ret_mapping);
PPROF_API int pprof_function(struct pprof_profile *p, const struct pprof_function *function,
			     uint32_t *ret_function);
PPROF_API int pprof_location(struct pprof_profile *p, uint32_t mapping, uint64_t address,
			     const struct pprof_line *lines, size_t nlines, uint32_t *ret_location);

/*
 * Adds a sample: locations leaf first, one value for each sample type, labels in any order. `_add`
 * sums the values into the sample with the same stack and labels when there is one (wrapping like
 * unsigned arithmetic beyond 2^63); `_append` always makes a new sample, which `_add` then may
 * find. Equal samples are apart in memory only: a file has one, with their sum.
 */
PPROF_API int pprof_sample_add(struct pprof_profile *p, const uint32_t *locations,
			       size_t nlocations, const int64_t *values,
			       const struct pprof_label *labels, size_t nlabels);
PPROF_API int pprof_sample_append(struct pprof_profile *p, const uint32_t *locations,
				  size_t nlocations, const int64_t *values,
				  const struct pprof_label *labels, size_t nlabels);

/* The index of the sample type of that name; NULL or "" means the default one. -ENOENT: none. */
PPROF_API int pprof_find_sample_type(const struct pprof_profile *p, const char *name,
				     size_t *ret_index);

/* --- bytes ----------------------------------------------------------------------- */

enum {
	PPROF_LEVEL_DEFAULT = 0, /* gzip -1: four times as fast as the best, 10 % larger */
	PPROF_LEVEL_RAW = -1,    /* not compressed */
				 /* 1..9: as in gzip */
};

/*
 * Encodes in canonical order: profiles with the same contents give the same bytes, whatever the
 * order in which they were built (by the same version and the same packing library). Strings that
 * nothing refers to are omitted. The message is made piece by piece, so beside the bytes themselves
 * it takes about half a megabyte and 24 bytes for each element; libdeflate, which packs a message
 * at once, needs its size up to 4 MB and its packed size once more. -EINVAL for a level out of
 * range.
 */
PPROF_API int pprof_encode(const struct pprof_profile *p, int level, uint8_t **ret_bytes,
			   size_t *ret_len);
/* The same to a file descriptor, from its present position; fd stays open. errno of write(2). */
PPROF_API int pprof_write_fd(const struct pprof_profile *p, int level, int fd);

/*
 * Decodes a profile, gzipped or not, and checks all of it. `limit` bounds the uncompressed size in
 * bytes; 0 means the limits for files of unknown origin: 64 MiB and 32 times their size, at most 1
 * GiB, and a bound on the memory of the result that grows with their size as well. -EBADMSG: not a
 * valid profile; -EFBIG: larger than allowed; -ENOMEM. `diag` may be NULL. Equal samples stay
 * apart, equal locations and functions become one.
 *
 * A location whose mapping doesn't exist keeps its address and gets none, as in pprof.
 */
PPROF_API int pprof_decode(const void *bytes, size_t len, size_t limit,
			   struct pprof_profile **ret_profile, struct pprof_diag *diag);
/* Reads fd to its end first; `limit` bounds what is read, too. */
PPROF_API int pprof_read_fd(int fd, size_t limit, struct pprof_profile **ret_profile,
			    struct pprof_diag *diag);

/* --- several profiles ------------------------------------------------------------ */

/*
 * One profile with the samples of all inputs; equal ones are summed. Mappings are the same when
 * they agree in size (in pages), file offset and build id (without one, file name), locations when
 * they are at the same distance from the start of the same mapping and agree in their lines,
 * whatever the absolute addresses. Durations are summed, the period is the longest, the time the
 * earliest, comments are kept once. A single input is copied, with equal samples joined.
 *
 * The sample types are those that all inputs have, in whatever order, identified by name (a plural
 * s makes no difference); values in several units of one kind are scaled to the finest. Their order
 * is that of the first input; otherwise the order of the inputs makes no difference to the encoded
 * result. On success diag->what is NULL, or says that the types that `detail` lists were left out.
 *
 * -EINVAL with diag: no sample type is in all of the inputs, one is counted in units of different
 * kinds, the periods are of different things, or n is 0.
 */
PPROF_API int pprof_merge(const struct pprof_profile *const *inputs, size_t n,
			  struct pprof_profile **ret_profile, struct pprof_diag *diag);
/* The same, with all values times `factor`, rounded: 1.0 / n makes a mean of n runs. */
PPROF_API int pprof_merge_scaled(const struct pprof_profile *const *inputs, size_t n, double factor,
				 struct pprof_profile **ret_profile, struct pprof_diag *diag);

/*
 * The change from base to head, in the form of go tool pprof -diff_base: head's samples, and base's
 * with negated values and the label pprof::base = "true". In pprof, shares are then shares of the
 * base's total. Errors of pprof_merge; diag's `at` is 1 when base doesn't fit.
 */
PPROF_API int pprof_difference(const struct pprof_profile *base, const struct pprof_profile *head,
			       struct pprof_profile **ret_profile, struct pprof_diag *diag);

/*
 * Copies stacks and labels of samples of one profile into another one, each location, function and
 * string once. Both must outlive the copier, and `from` must not change meanwhile. The arrays have
 * as many elements as the sample in `from` and are valid until the next call.
 */
struct pprof_copier;
PPROF_API int pprof_copier_new(const struct pprof_profile *from, struct pprof_profile *to,
			       struct pprof_copier **ret_copier);
PPROF_API int pprof_copier_stack(struct pprof_copier *c, size_t sample, const uint32_t **ret_stack);
PPROF_API int pprof_copier_labels(struct pprof_copier *c, size_t sample,
				  const struct pprof_label **ret_labels);
PPROF_API void pprof_copier_free(struct pprof_copier *c);

/* --- choosing what to look at ---------------------------------------------------- */

/* What distinguishes frames. All but the first give frames new names. */
enum pprof_granularity {
	PPROF_FUNCTION,      /* frames stay as they are; reports distinguish functions by name */
	PPROF_FILE_FUNCTION, /* "main.work /src/main.go" */
	PPROF_FILE,          /* "/src/main.go" */
	PPROF_LINE,          /* "main.work /src/main.go:12" */
	PPROF_ADDRESS,       /* "0000000000401000 main.work /src/main.go:12" */
	PPROF_PACKAGE,       /* "net/http" for Go; "[libc.so.6]", the file, for the rest */
};

/*
 * Go's runtime: functions of the packages runtime, internal/runtime/..., runtime/internal/... and
 * internal/bytealg, not of others with the same beginning. Assembly without a package in its name
 * (memeqbody, aeshashbody) is identified by the folder of its file.
 */
enum pprof_runtime {
	PPROF_RUNTIME_SHOW,
	PPROF_RUNTIME_FOLD, /* adjacent frames become one, "[runtime]" */
	PPROF_RUNTIME_HIDE, /* the caller gets their values; stacks of nothing else are left out */
};

/*
 * What to keep of a profile; the options have the meaning of those of go tool pprof. NULL or "" is
 * no restriction. Expressions have Perl's syntax, which includes Go's, and match anywhere in the
 * name of a function, its file, or the file of the mapping.
 */
struct pprof_filter_options {
	size_t size;           /* sizeof (struct pprof_filter_options) */
	const char *focus;     /* keep samples with a frame that matches */
	const char *ignore;    /* drop samples with a frame that matches */
	const char *hide;      /* remove the frames that match from the stacks */
	const char *show;      /* remove all other frames */
	const char *show_from; /* cut each stack outside of its outermost match; drop those without
				  a match */
	/*
	 * Keep, or drop, samples by label: a range of numbers ("32kb", ":64kb", "4mb:", "1mb:2mb",
	 * "-5:5"), or expressions with commas between them, each of which must match some
	 * "key:value". After "key=" the range or any one of the expressions is for the values of
	 * that key.
	 */
	const char *tag_focus, *tag_ignore;
	const char *tag_show, *tag_hide; /* keep, or drop, labels whose key matches */
	/* Keys with commas between them, whose values become frames: the first of the former the
	 * outermost, the last of the latter the innermost of all. */
	const char *tag_root, *tag_leaf;
	const char
		*unit; /* of numbers in such frames: as in the reports' options; NULL is "auto" */
	enum pprof_granularity granularity;
	enum pprof_runtime runtime;
	bool no_inlines; /* inlined functions count as their caller */
	bool apart;      /* samples that become equal are not summed up: for pprof_report_traces */
};

/*
 * Makes a filtered copy of p, which any exporter takes like any other profile. Options that are all
 * zero keep everything; `options` may be NULL. Frames that the profile itself drops (drop_frames,
 * keep_frames) are removed in any case, as in pprof.
 *
 * -EINVAL with diag: an expression is wrong (`detail` has the option, `at` the offset in it), or
 * takes too long: no expression can hang. On success diag->what is NULL, or says that the options
 * that `detail` lists matched nothing. diag may be NULL. -ENOMEM, -EOVERFLOW as when building.
 */
PPROF_API int pprof_filter(const struct pprof_profile *p,
			   const struct pprof_filter_options *options,
			   struct pprof_profile **ret_profile, struct pprof_diag *diag);

/* Whether such an expression is valid: 0, -EINVAL with diag, -ENOMEM. */
PPROF_API int pprof_pattern_check(const char *pattern, struct pprof_diag *diag);

/* The sum of the magnitudes of all values of a type, by index: 100 % in the reports. */
PPROF_API int64_t pprof_total(const struct pprof_profile *p, size_t sample_type);

/*
 * A value as reports print it, "1.50s", "12.3MB", "42": in the largest unit of its family (times,
 * sizes) in which it is at least 1. Returns text, of at least 32 bytes. Control characters become
 * '?'.
 */
PPROF_API const char *pprof_value_text(char *text, double value, const char *unit);

/* --- for the compiler ------------------------------------------------------------ */

/* Shares of the samples, from 0 to 1. */
struct pprof_pgo {
	size_t size;         /* set by the caller: sizeof (struct pprof_pgo) */
	double without_go;   /* samples without Go code, which are left out */
	double uncovered;    /* of the rest: kernel or C frames were innermost */
	double without_line; /* of the rest: a function without a start line is innermost or its
				caller */
};

/*
 * A CPU profile in the form that go build -pgo makes the best use of. The compiler counts only the
 * call between the two innermost frames of a sample, so frames that are not Go's are removed there,
 * and samples without Go code are left out; so are labels, and all values but samples/count and
 * cpu/nanoseconds. It finds calls by lines relative to the function's beginning.
 *
 * -EINVAL: p has no such values; -ENODATA: no sample is of Go code; -ENOTSUP: no function has a
 * start line, which the compiler refuses (see diag->what); -ENOMEM.
 */
PPROF_API int pprof_pgo(const struct pprof_profile *p, struct pprof_profile **ret_profile,
			struct pprof_pgo *ret, struct pprof_diag *diag);

#ifdef __cplusplus
}
#endif
