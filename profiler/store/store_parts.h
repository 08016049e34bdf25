/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share. Times are Unix times in nanoseconds. */
#pragma once

#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/types.h>

#include "join.h"
#include "store.h"

enum {
	STORE_FORMAT = 1,
	STORE_INDEX_VERSION = 1, /* user_version: another one is rebuilt */
	STORE_KEPT = 15,         /* files that wait in memory */
	STORE_RESERVE = 4 << 20,
	STORE_LEVEL_LIVE = 1, /* of gzip */
	STORE_LEVEL_HOUR = 6,
	STORE_MAX_WINDOWS = 100000, /* of a series in a file */
	STORE_MAX_MEMBERS = 10000,
	STORE_COMMENTS = 16, /* of a series in a file */
};

#define STORE_COMMENT "store: "

/* --- store_meta.c: what a file says of itself ------------------------------------- */

struct store_window {
	char key[PROWL_STORE_KEY];
	uint32_t again;   /* how many windows of that time came before it: "+1" */
	uint32_t process; /* of a level: 1 + its index; 0: none */
	struct prowl_store_facts facts;
	uint64_t values[PROWL_STORE_TYPES]; /* sums of the samples */
};

struct store_process {
	char boot_id[PROWL_STORE_BOOT];
	struct prowl_store_process p; /* its texts are never NULL, and belong to it */
};

struct store_member { /* a series of a file */
	struct prowl_series *series;
	struct store_window *windows;
	size_t n, cap;
	struct store_process *processes;
	size_t nprocesses, cap_processes;
	char **comments;
	size_t ncomments, cap_comments;
	char main[256]; /* build id or file of its main binary; "" */
};

struct store_meta {
	char kind[PROWL_STORE_KIND];
	bool level;
	int64_t window_ns;
	struct store_type {
		char name[64], unit[64];
	} types[PROWL_STORE_TYPES];
	size_t ntypes, by_default;
	struct store_member *members;
	size_t n, cap;
};

int store_meta_new(const char *kind, bool level, int64_t window_ns, struct store_meta **ret);
void store_meta_free(struct store_meta *m);

/* Finds or adds the series. */
int store_meta_member(struct store_meta *m, const struct prowl_series *series,
		      struct store_member **ret);
/* Adds a window; its key is made of its time and `again`. */
int store_member_window(struct store_member *b, const struct store_window *w, int64_t window_ns);
/* Finds or adds a process, joins what is known of it: its index. */
int store_member_process(struct store_member *b, const char *boot_id,
			 const struct prowl_store_process *p, uint32_t *ret);
/* Adds a text once, while there is room. */
int store_member_comment(struct store_member *b, const char *text);
/* The sample types of a profile; -EINVAL: too many, or too long names. */
int store_meta_types(struct store_meta *m, const struct pprof_profile *p);
bool store_meta_same_types(const struct store_meta *a, const struct store_meta *b);

/* The begin of the window, or hour, that a time is in. */
int64_t store_floor(int64_t time, int64_t length);
void store_window_key(char key[PROWL_STORE_KEY], int64_t time, int64_t window_ns, uint32_t again);
const char *store_key_time(char text[PROWL_STORE_KEY], int64_t time, int64_t window_ns);

/* The JSON text, of one line; and such a text of unknown origin: -EBADMSG. */
int store_meta_encode(const struct store_meta *m, char **ret);
int store_meta_decode(const char *text, size_t len, struct store_meta **ret);

/* The begin of the first window and the end of the last; samples. */
void store_meta_span(const struct store_meta *m, int64_t *from, int64_t *to, uint64_t *samples);

/* --- store_file.c: files ----------------------------------------------------------- */

/*
 * Encodes a profile and puts the text into the header of its gzip member, or a mark where it is too
 * long: it is a comment of the profile, too.
 */
int store_pack(const struct pprof_profile *p, const char *text, int level, uint8_t **ret,
	       size_t *ret_len);
/* The text in the header; -ENODATA: it is in the comments; -EBADMSG: not a file of a store. */
int store_unpack_text(const uint8_t *bytes, size_t len, char **ret, size_t *ret_len);

/* Reads what a file says of itself, without the profile where that is possible. */
int store_read_meta(int dir, const char *path, struct store_meta **ret, uint64_t *ret_bytes);
/* All of it, checked. `bad` says why it is -EBADMSG. */
int store_parse(const uint8_t *bytes, size_t len, struct store_meta **ret_meta,
		struct pprof_profile **ret, char *bad, size_t nbad);
int store_read_bytes(int dir, const char *path, uint8_t **ret, size_t *ret_len);
int store_read(int dir, const char *path, struct store_meta **ret_meta, struct pprof_profile **ret,
	       char *bad, size_t len);

/* The file appears whole and stays: a temporary one, flushed, renamed, and its folder flushed. */
int store_write(struct prowl_store *s, const char *path, const void *bytes, size_t len);
/* Flushes a folder. */
int store_flush_dir(struct prowl_store *s, const char *path);
int store_make_dirs(struct prowl_store *s, const char *path);
/* Removes a file, and folders above it that became empty. A missing one is no error. */
int store_remove(struct prowl_store *s, const char *path);
/* Moves a file to bad/ and says why. */
void store_quarantine(struct prowl_store *s, const char *path, const char *why);

/* Calls back for each file below a folder, by its path in the store; stops at a value other than 0.
 */
typedef int (*store_walk_fn)(void *ctx, const char *path, uint64_t bytes);
int store_walk(int dir, const char *path, store_walk_fn cb, void *ctx);

/* Makes a path of PROWL_STORE_PATH bytes; -ENAMETOOLONG. */
int store_path(char *to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A text as a part of a file's name. */
void store_file_word(char *to, size_t len, const char *text);
bool store_is_kind(const char *kind);
bool store_is_profile(const char *path);

/* --- store_index.c: what the index knows ------------------------------------------- */

int store_index_open(struct prowl_store *s);
/* Anew, from the files. */
int store_index_rebuild(struct prowl_store *s);
/* The index as it is; whether its pages are sound. */
int store_index_open_reader(struct prowl_store *s, sqlite3 **ret);
int store_index_check(sqlite3 *db);
/* A connection that only reads; where there is no index, or `anew`: in memory, made of the files.
 */
int store_index_reader(struct prowl_store *s, bool anew, sqlite3 **ret);
int store_index_exec(sqlite3 *db, const char *sql);
int store_index_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret);
/* A row, 0 at the end, negative errno. */
int store_index_step(sqlite3_stmt *q);
int store_errno(int sqlite);

int store_index_add(sqlite3 *db, const char *path, enum prowl_store_tier tier,
		    const struct store_meta *m, uint64_t bytes);
int store_index_drop(sqlite3 *db, const char *path);
/* Makes the index agree with the files: those that it doesn't know, and those that are gone. */
int store_index_agree(struct prowl_store *s, sqlite3 *db, int dir);
/* The windows of a row, as its blob has them. */
struct store_blob_window {
	int64_t from, to;
	uint32_t again, process;
	unsigned int flags;
	uint64_t samples, lost, values[PROWL_STORE_TYPES];
};
int store_blob_encode(const struct store_member *b, size_t ntypes, uint8_t **ret, size_t *ret_len);
int store_blob_decode(const void *bytes, size_t len, size_t ntypes, struct store_blob_window **ret,
		      size_t *ret_n);
/* The series of a row: labels and hash. */
int store_series_text(const struct prowl_series *series, char **ret);
int store_series_parse(const char *text, struct prowl_series **ret);

/* --- store_query.c: windows that a query is about ------------------------------------ */

struct store_known { /* a series of the index */
	int64_t id;
	struct prowl_series *series;
};
struct store_all {
	struct store_known *k; /* by id */
	size_t n, cap;
};
/* Those that match; `match` may be NULL. */
int store_load_series(sqlite3 *db, const struct prowl_selector *match, struct store_all *all);
void store_all_fini(struct store_all *all);
const struct store_known *store_find_series(const struct store_all *all, int64_t id);

struct store_row {     /* windows of a series in a file: those of the range */
	size_t series; /* index in store_all */
	char path[PROWL_STORE_PATH];
	enum prowl_store_tier tier;
	bool level;
	int64_t window_ns;
	size_t ntypes, by_default;
	char *types; /* JSON */
	struct store_blob_window *w;
	size_t n;
};
struct store_rows {
	struct store_row *r; /* by series, then time */
	size_t n, cap;
	uint64_t bytes;
};
int store_find_rows(struct prowl_store *s, sqlite3 *db, const struct prowl_query *q,
		    const struct store_all *all, struct store_rows *ret);
void store_rows_fini(struct store_rows *rows);
/* Whether a query may go on with so many bytes: 0, -E2BIG, -ETIME. */
int store_query_may(const struct prowl_query *q, uint64_t bytes);
/* Name and unit of a type of a row; -ENOENT. name NULL: the default one. */
int store_row_type(const struct store_row *row, const char *name, size_t *ret, char *ret_name,
		   char *ret_unit, size_t len);

struct store_level { /* a window of a level */
	int64_t from;
	uint32_t who; /* the process */
	double value;
	size_t row, window;
	bool kept;
};
/*
 * How the levels of a series become one. Snapshots are taken in turns; each turn has the last of
 * each process, and the turns are joined by `agg`. Marks those that are part of it, whose sum times
 * *ret_factor it is; returns it.
 */
double store_join_levels(struct store_level *v, size_t n, int64_t turn, enum prowl_store_agg agg,
			 double *ret_factor);
/* The time between two snapshots of one process; at least a window. Sorts by time. */
int64_t store_turn(struct store_level *v, size_t n, int64_t window_ns);
uint32_t store_process_id(const struct store_process *p);

/* Calls fn with a connection; once more with an index made anew where that one is damaged. */
typedef int (*store_reader_fn)(struct prowl_store *s, sqlite3 *db, void *ctx);
int store_read_index(struct prowl_store *s, store_reader_fn fn, void *ctx);
const char *store_query_kind(const struct prowl_query *q);

/* --- store_retention.c -------------------------------------------------------------- */

int store_retain(struct prowl_store *s);
/* Makes room after -ENOSPC and the like: gives up the reserve, deletes the oldest. */
void store_make_room(struct prowl_store *s);
void store_reserve(struct prowl_store *s);
/* In store_events.c. */
void store_events_retain(struct prowl_store *s);

/* --- store_events.c ----------------------------------------------------------------- */

int store_remove_event(struct prowl_store *s, const char *id);
void store_events_recover(struct prowl_store *s);

/* --- store_hours.c ------------------------------------------------------------------ */

/* Hour files of all hours that are over at `now`; INT64_MAX: of all. */
int store_hours(struct prowl_store *s, int64_t now);

/* --- store_put.c -------------------------------------------------------------------- */

/* The main binary, comments and time of a profile that is made for a file. */
int store_finish_profile(struct pprof_profile *p, const struct store_meta *m, const char *text);
uint64_t store_count_windows(const struct store_meta *m);
struct store_kept {
	char path[PROWL_STORE_PATH];
	struct store_meta *meta;
	uint8_t *bytes;
	size_t len;
};
int store_flush_kept(struct prowl_store *s);

/* --- store.c ------------------------------------------------------------------------ */

struct prowl_store {
	struct prowl_store_options o; /* with the defaults */
	char *path, *host;
	int dir, lock_fd;
	bool foreign; /* of a newer format */
	pthread_mutex_t writing, counting;
	sqlite3 *db;
	struct prowl_store_state state;
	struct store_kept kept[STORE_KEPT];
	size_t nkept;
	bool stale;                         /* the index lacks something that is durable */
	char suspects[8][PROWL_STORE_PATH]; /* files that a reader found damaged */
	size_t nsuspects;
	uint64_t last_age_run, last_free_run; /* CLOCK_MONOTONIC */
};

void store_log(struct prowl_store *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
enum prowl_code store_failed(struct prowl_store *s, int r, const char *doing,
			     struct prowl_err *err);
/* For a query: a file that it could not read. */
void store_suspect(struct prowl_store *s, const char *path);
void store_lock(struct prowl_store *s);
void store_unlock(struct prowl_store *s);
/* PROWL_OK, or an error: the store is open for reading only. */
enum prowl_code store_can_write(struct prowl_store *s, struct prowl_err *err);
