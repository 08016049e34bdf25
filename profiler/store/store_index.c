/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index: which files there are, and what is in them, so that a timeline needs no file. It knows
 * nothing that the files don't say; when it is missing or damaged, or of another version, it is
 * made anew from the beginnings of the files.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "array.h"
#include "store_parts.h"

#define TEXT_OF_(x) #x
#define TEXT_OF(x)  TEXT_OF_(x)

static const char schema[] =
	"CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT UNIQUE, kind TEXT, tier INT,"
	" start INT, end INT, bytes INT, samples INT, windows INT, window_ns INT, level INT,"
	" types TEXT, by_default INT, ntypes INT, sum INT);"
	"CREATE TABLE series (id INTEGER PRIMARY KEY, hash INT, identity TEXT, labels TEXT,"
	" last INT, UNIQUE (hash, identity));"
	"CREATE TABLE part (file INT, series INT, kind TEXT, start INT, end INT, samples INT,"
	" n INT, windows BLOB, sum INT, PRIMARY KEY (file, series)) WITHOUT ROWID;"
	"CREATE INDEX part_range ON part (series, kind, start, end, samples, n);"
	"CREATE TABLE process (file INT, series INT, boot TEXT, pid INT, start INT, end INT,"
	" pod TEXT, container TEXT, image TEXT, exit TEXT,"
	" PRIMARY KEY (file, series, boot, pid, start)) WITHOUT ROWID;"
	"CREATE INDEX file_range ON file (start);"
	"PRAGMA application_id=0x50524f57;"
	"PRAGMA user_version=" TEXT_OF(1) ";";

_Static_assert(STORE_INDEX_VERSION == 1, "the version above");

/* --- SQLite ---------------------------------------------------------------------- */

int store_errno(int sqlite)
{
	switch (sqlite & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a table or column that is not there */
		return -EBADMSG;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	default:
		return -EIO;
	}
}

int store_index_exec(sqlite3 *db, const char *sql)
{
	return store_errno(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int store_index_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
	return store_errno(sqlite3_prepare_v2(db, sql, -1, ret, NULL));
}

int store_index_step(sqlite3_stmt *q)
{
	int r = sqlite3_step(q);

	return r == SQLITE_ROW ? 1 : store_errno(r);
}

/* Runs a statement that gives no rows; frees it. */
static int finish(sqlite3_stmt *q)
{
	int r = store_index_step(q), end = store_errno(sqlite3_finalize(q));

	return r < 0 ? r : end;
}

static int get_number(sqlite3 *db, const char *sql, int64_t *ret)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(db, sql, &q);

	if (r == 0)
		r = store_index_step(q);
	if (r > 0)
		*ret = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

/* CRC-32 of a row: SQLite checks its own structure, not what is in it. */
static void row_sum(sqlite3_context *c, int n, sqlite3_value **v)
{
	uLong sum = crc32(0, NULL, 0);

	for (int i = 0; i < n; i++) {
		int type = sqlite3_value_type(v[i]);
		int64_t number = type == SQLITE_INTEGER ? sqlite3_value_int64(v[i]) : -1 - type;
		const void *bytes = type == SQLITE_INTEGER ? NULL : sqlite3_value_blob(v[i]);

		sum = crc32(sum, (const Bytef *)&number, sizeof number);
		if (bytes)
			sum = crc32(sum, bytes, (uInt)sqlite3_value_bytes(v[i]));
	}
	sqlite3_result_int64(c, (sqlite3_int64)sum);
}

static int add_functions(sqlite3 *db)
{
	return store_errno(sqlite3_create_function(
		db, "row_sum", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, row_sum, NULL, NULL));
}

/* --- windows of a row ------------------------------------------------------------ */

static void put_varint(uint8_t **at, uint64_t v)
{
	while (v >= 0x80) {
		*(*at)++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*(*at)++ = (uint8_t)v;
}

static bool get_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; shift < 64 && *at < end; shift += 7) {
		uint8_t b = *(*at)++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

static uint64_t zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

int store_blob_encode(const struct store_member *b, size_t ntypes, uint8_t **ret, size_t *ret_len)
{
	uint8_t *blob = malloc((b->n * (7 + ntypes) + 1) * 10), *at = blob;
	int64_t last = 0;

	if (!blob)
		return -ENOMEM;
	for (size_t i = 0; i < b->n; i++) {
		const struct store_window *w = &b->windows[i];
		const struct prowl_store_facts *f = &w->facts;

		put_varint(&at, zigzag(f->wall_start - last));
		put_varint(&at, zigzag(f->wall_end - f->wall_start));
		put_varint(&at, w->again);
		put_varint(&at, w->process ? store_process_id(&b->processes[w->process - 1]) : 0);
		put_varint(&at, f->flags);
		put_varint(&at, f->samples);
		put_varint(&at, f->lost);
		for (size_t t = 0; t < ntypes; t++)
			put_varint(&at, w->values[t]);
		last = f->wall_end;
	}
	*ret = blob;
	*ret_len = (size_t)(at - blob);
	return 0;
}

static bool decode_window(const uint8_t **at, const uint8_t *end, size_t ntypes, uint64_t *last,
			  struct store_blob_window *w)
{
	uint64_t v[7];
	bool good = true;

	for (size_t i = 0; good && i < sizeof v / sizeof *v; i++)
		good = get_varint(at, end, &v[i]);
	for (size_t t = 0; good && t < ntypes; t++)
		good = get_varint(at, end, &w->values[t]);
	if (!good)
		return false;
	w->from = (int64_t)(*last + (uint64_t)unzigzag(v[0]));
	w->to = (int64_t)((uint64_t)w->from + (uint64_t)unzigzag(v[1]));
	w->again = (uint32_t)v[2];
	w->process = (uint32_t)v[3];
	w->flags = (unsigned int)v[4];
	w->samples = v[5];
	w->lost = v[6];
	*last = (uint64_t)w->to;
	return w->from >= 0 && w->to >= w->from;
}

int store_blob_decode(const void *bytes, size_t len, size_t ntypes, struct store_blob_window **ret,
		      size_t *ret_n)
{
	const uint8_t *at = bytes, *end = at ? at + len : at;
	struct store_blob_window *all = NULL;
	size_t n = 0, cap = 0;
	uint64_t last = 0;

	if (ntypes > PROWL_STORE_TYPES)
		return -EBADMSG;
	while (at < end) {
		if (prowl_array_reserve(&all, &cap, n + 1, sizeof *all) < 0) {
			free(all);
			return -ENOMEM;
		}
		all[n] = (struct store_blob_window){0};
		if (!decode_window(&at, end, ntypes, &last, &all[n])) {
			free(all);
			return -EBADMSG;
		}
		n++;
	}
	*ret = all;
	*ret_n = n;
	return 0;
}

/* --- series ---------------------------------------------------------------------- */

/* Labels of the identity as "name", the others as "~name". */
int store_series_text(const struct prowl_series *series, char **ret)
{
	json_t *o = json_object();
	char name[PROWL_SERIES_NAME + 8];

	for (size_t i = 0; o && i < series->n; i++) {
		const struct prowl_series_label *l = &series->labels[i];

		snprintf(name, sizeof name, "%s%s", l->identity ? "" : "~", l->name);
		json_object_set_new(o, name, json_string(l->value));
	}
	*ret = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(o);
	return *ret ? 0 : -ENOMEM;
}

int store_series_parse(const char *text, struct prowl_series **ret)
{
	struct prowl_series_label labels[PROWL_SERIES_LABELS];
	json_t *o = json_loads(text, 0, NULL), *v;
	const char *name;
	size_t n = 0;
	int r;

	if (!o)
		return -EBADMSG;
	json_object_foreach(o, name, v)
	{
		bool identity = *name != '~';

		if (n < PROWL_SERIES_LABELS && json_is_string(v))
			labels[n++] = (struct prowl_series_label){identity ? name : name + 1,
								  json_string_value(v), identity};
	}
	r = prowl_series_new(labels, n, ret);
	json_decref(o);
	return r;
}

static int identity_text(const struct prowl_series *series, char **ret)
{
	struct prowl_series_label labels[PROWL_SERIES_LABELS];
	struct prowl_series *only;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < series->n && n < PROWL_SERIES_LABELS; i++) {
		if (series->labels[i].identity)
			labels[n++] = series->labels[i];
	}
	r = prowl_series_new(labels, n, &only);
	if (r < 0)
		return r;
	r = store_series_text(only, ret);
	prowl_series_free(only);
	return r;
}

static int find_series(sqlite3 *db, uint64_t hash, const char *identity, int64_t *ret)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(db, "SELECT id FROM series WHERE hash=?1 AND identity=?2", &q);

	if (r == 0) {
		sqlite3_bind_int64(q, 1, (int64_t)hash);
		sqlite3_bind_text(q, 2, identity, -1, SQLITE_STATIC);
		r = store_index_step(q);
	}
	if (r > 0)
		*ret = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return r < 0 ? r : r > 0 ? 0 : -ENOENT;
}

/* The labels besides are those that were given last. */
static int put_series(sqlite3 *db, const struct store_member *b, int64_t last, int64_t *ret)
{
	char *identity = NULL, *labels = NULL;
	sqlite3_stmt *q = NULL;
	int r = identity_text(b->series, &identity);

	if (r == 0)
		r = store_series_text(b->series, &labels);
	if (r == 0)
		r = store_index_prepare(
			db,
			"INSERT INTO series (hash, identity, labels, last) VALUES (?1, ?2, ?3, ?4)"
			" ON CONFLICT (hash, identity) DO UPDATE SET labels=excluded.labels,"
			" last=excluded.last WHERE excluded.last > last"
			" OR (excluded.last = last AND excluded.labels > labels)",
			&q);
	if (r == 0) {
		sqlite3_bind_int64(q, 1, (int64_t)b->series->hash);
		sqlite3_bind_text(q, 2, identity, -1, SQLITE_STATIC);
		sqlite3_bind_text(q, 3, labels, -1, SQLITE_STATIC);
		sqlite3_bind_int64(q, 4, last);
		r = finish(q);
	}
	if (r == 0)
		r = find_series(db, b->series->hash, identity, ret);
	free(identity);
	free(labels);
	return r;
}

/* --- files ----------------------------------------------------------------------- */

static int types_text(const struct store_meta *m, char **ret)
{
	json_t *all = json_array();

	for (size_t i = 0; i < m->ntypes; i++)
		json_array_append_new(all, json_pack("[ss]", m->types[i].name, m->types[i].unit));
	*ret = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	return *ret ? 0 : -ENOMEM;
}

static int put_file(sqlite3 *db, const char *path, enum prowl_store_tier tier,
		    const struct store_meta *m, uint64_t bytes)
{
	sqlite3_stmt *q = NULL;
	char *types = NULL;
	int64_t from, to;
	uint64_t samples;
	int r = types_text(m, &types);

	if (r == 0)
		r = store_index_prepare(
			db,
			"INSERT INTO file (path, kind, tier, start, end, bytes, samples, windows,"
			" window_ns, level, types, by_default, ntypes, sum)"
			" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
			" row_sum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13))",
			&q);
	if (r == 0) {
		store_meta_span(m, &from, &to, &samples);
		sqlite3_bind_text(q, 1, path, -1, SQLITE_STATIC);
		sqlite3_bind_text(q, 2, m->kind, -1, SQLITE_STATIC);
		sqlite3_bind_int(q, 3, (int)tier);
		sqlite3_bind_int64(q, 4, from);
		sqlite3_bind_int64(q, 5, to);
		sqlite3_bind_int64(q, 6, (int64_t)bytes);
		sqlite3_bind_int64(q, 7, (int64_t)samples);
		sqlite3_bind_int64(q, 8, (int64_t)store_count_windows(m));
		sqlite3_bind_int64(q, 9, m->window_ns);
		sqlite3_bind_int(q, 10, m->level);
		sqlite3_bind_text(q, 11, types, -1, SQLITE_STATIC);
		sqlite3_bind_int64(q, 12, (int64_t)m->by_default);
		sqlite3_bind_int64(q, 13, (int64_t)m->ntypes);
		r = finish(q);
	}
	free(types);
	return r;
}

static int put_process(sqlite3 *db, int64_t file, int64_t series, const struct store_process *p)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(
		db,
		"INSERT OR REPLACE INTO process VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
		&q);

	if (r < 0)
		return r;
	sqlite3_bind_int64(q, 1, file);
	sqlite3_bind_int64(q, 2, series);
	sqlite3_bind_text(q, 3, p->boot_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 4, p->p.pid);
	sqlite3_bind_int64(q, 5, p->p.start);
	sqlite3_bind_int64(q, 6, p->p.end);
	sqlite3_bind_text(q, 7, p->p.pod, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 8, p->p.container, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 9, p->p.image, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 10, p->p.exit, -1, SQLITE_STATIC);
	return finish(q);
}

static int put_part(sqlite3 *db, int64_t file, const struct store_meta *m, struct store_member *b)
{
	struct store_meta one = {.members = b, .n = 1};
	sqlite3_stmt *q = NULL;
	uint8_t *blob = NULL;
	size_t len;
	int64_t series, from, to;
	uint64_t samples;
	int r;

	store_meta_span(&one, &from, &to, &samples);
	r = put_series(db, b, to, &series);
	if (r == 0)
		r = store_blob_encode(b, m->ntypes, &blob, &len);
	if (r == 0)
		r = store_index_prepare(db,
					"INSERT INTO part VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
					" row_sum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8))",
					&q);
	if (r == 0) {
		sqlite3_bind_int64(q, 1, file);
		sqlite3_bind_int64(q, 2, series);
		sqlite3_bind_text(q, 3, m->kind, -1, SQLITE_STATIC);
		sqlite3_bind_int64(q, 4, from);
		sqlite3_bind_int64(q, 5, to);
		sqlite3_bind_int64(q, 6, (int64_t)samples);
		sqlite3_bind_int64(q, 7, (int64_t)b->n);
		sqlite3_bind_blob64(q, 8, blob, len, SQLITE_STATIC);
		r = finish(q);
	}
	for (size_t i = 0; r == 0 && i < b->nprocesses; i++)
		r = put_process(db, file, series, &b->processes[i]);
	free(blob);
	return r;
}

int store_index_add(sqlite3 *db, const char *path, enum prowl_store_tier tier,
		    const struct store_meta *m, uint64_t bytes)
{
	int r = store_index_drop(db, path);
	int64_t file;

	if (r == 0)
		r = put_file(db, path, tier, m, bytes);
	file = sqlite3_last_insert_rowid(db);
	for (size_t i = 0; r == 0 && i < m->n; i++)
		r = put_part(db, file, m, &m->members[i]);
	return r;
}

int store_index_drop(sqlite3 *db, const char *path)
{
	static const char *const statements[] = {
		"DELETE FROM part WHERE file=(SELECT id FROM file WHERE path=?1)",
		"DELETE FROM process WHERE file=(SELECT id FROM file WHERE path=?1)",
		"DELETE FROM file WHERE path=?1",
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof statements / sizeof *statements; i++) {
		sqlite3_stmt *q = NULL;

		r = store_index_prepare(db, statements[i], &q);
		if (r == 0) {
			sqlite3_bind_text(q, 1, path, -1, SQLITE_STATIC);
			r = finish(q);
		}
	}
	return r;
}

/* --- agreement ------------------------------------------------------------------- */

struct agreement {
	struct prowl_store *s;
	sqlite3 *db;
	int dir;
	sqlite3_stmt *known, *seen;
	bool may_move; /* damaged files */
};

/* Whether the index has that file, with that size. */
static int is_known(struct agreement *a, const char *path, uint64_t bytes)
{
	int r;

	sqlite3_bind_text(a->known, 1, path, -1, SQLITE_STATIC);
	sqlite3_bind_int64(a->known, 2, (int64_t)bytes);
	r = store_index_step(a->known);
	sqlite3_reset(a->known);
	return r;
}

static int note_seen(struct agreement *a, const char *path)
{
	int r;

	sqlite3_bind_text(a->seen, 1, path, -1, SQLITE_STATIC);
	r = store_index_step(a->seen);
	sqlite3_reset(a->seen);
	return r;
}

static int agree_on(void *ctx, const char *path, uint64_t bytes)
{
	struct agreement *a = ctx;
	struct store_meta *m = NULL;
	uint64_t size;
	int r;

	if (!store_is_profile(path))
		return 0;
	r = is_known(a, path, bytes);
	if (r == 0) {
		r = store_read_meta(a->dir, path, &m, &size);
		if (r == -EBADMSG && a->may_move)
			store_quarantine(a->s, path, "what it says of itself can't be read");
		if (r == -EBADMSG || r == -ENOENT)
			return 0;
		if (r == 0)
			r = store_index_add(a->db, path,
					    strncmp(path, "live/", 5) ? PROWL_STORE_HOUR
								      : PROWL_STORE_LIVE,
					    m, size);
		store_meta_free(m);
	}
	return r < 0 ? r : note_seen(a, path);
}

static int drop_unseen(sqlite3 *db)
{
	return store_index_exec(db,
				"DELETE FROM file WHERE path NOT IN (SELECT path FROM seen);"
				"DELETE FROM part WHERE file NOT IN (SELECT id FROM file);"
				"DELETE FROM process WHERE file NOT IN (SELECT id FROM file);"
				"DELETE FROM series WHERE id NOT IN (SELECT series FROM part);");
}

int store_index_agree(struct prowl_store *s, sqlite3 *db, int dir)
{
	struct agreement a = {.s = s, .db = db, .dir = dir, .may_move = db == s->db};
	int r = store_index_exec(db, "CREATE TEMP TABLE IF NOT EXISTS seen (path TEXT PRIMARY KEY)"
				     " WITHOUT ROWID; DELETE FROM seen; BEGIN IMMEDIATE");

	if (r == 0)
		r = store_index_prepare(db, "SELECT 1 FROM file WHERE path=?1 AND bytes=?2",
					&a.known);
	if (r == 0)
		r = store_index_prepare(db, "INSERT OR IGNORE INTO seen VALUES (?1)", &a.seen);
	if (r == 0)
		r = store_walk(dir, "live", agree_on, &a);
	if (r == 0)
		r = store_walk(dir, "data", agree_on, &a);
	sqlite3_finalize(a.known);
	sqlite3_finalize(a.seen);
	if (r == 0)
		r = drop_unseen(db);
	if (r == 0)
		return store_index_exec(db, "COMMIT; DELETE FROM seen");
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

/* --- opening --------------------------------------------------------------------- */

static int index_path(const struct prowl_store *s, const char *suffix, char *to, size_t len)
{
	return (size_t)snprintf(to, len, "%s/index.db%s", s->path, suffix) < len ? 0
										 : -ENAMETOOLONG;
}

static int check_version(sqlite3 *db)
{
	int64_t version = 0;
	int r = get_number(db, "PRAGMA user_version", &version);

	return r < 0 ? r : version == STORE_INDEX_VERSION ? 0 : -EBADMSG;
}

/* A damaged page, an index that is not that of its table. */
static int check_pages(sqlite3 *db)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(db, "PRAGMA integrity_check(1)", &q);

	if (r == 0)
		r = store_index_step(q);
	if (r > 0)
		r = strcmp((const char *)sqlite3_column_text(q, 0), "ok") ? -EBADMSG : 0;
	sqlite3_finalize(q);
	return r;
}

static int get_schema(sqlite3 *db, char **ret)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(db,
				    "SELECT group_concat(sql) FROM (SELECT sql FROM sqlite_master"
				    " WHERE sql NOT NULL ORDER BY name)",
				    &q);

	if (r == 0)
		r = store_index_step(q);
	if (r > 0) {
		const char *text = (const char *)sqlite3_column_text(q, 0);

		*ret = strdup(text ? text : "");
		r = *ret ? 0 : -ENOMEM;
	}
	sqlite3_finalize(q);
	return r;
}

/* A flipped byte there gives a column another name or meaning. */
static int check_schema(sqlite3 *db)
{
	char *own = NULL, *wanted = NULL;
	sqlite3 *fresh = NULL;
	int r = store_errno(sqlite3_open(":memory:", &fresh));

	if (r == 0)
		r = store_index_exec(fresh, schema);
	if (r == 0)
		r = get_schema(fresh, &wanted);
	if (r == 0)
		r = get_schema(db, &own);
	if (r == 0 && strcmp(own, wanted) != 0)
		r = -EBADMSG;
	sqlite3_close_v2(fresh);
	free(own);
	free(wanted);
	return r;
}

static int check_sums(sqlite3 *db)
{
	int64_t wrong = 0;
	int r = get_number(
		db,
		"SELECT (SELECT count(*) FROM file WHERE sum IS NOT row_sum(path, kind, tier, start,"
		" end, bytes, samples, windows, window_ns, level, types, by_default, ntypes)) +"
		" (SELECT count(*) FROM part WHERE sum IS NOT row_sum(file, series, kind, start, end,"
		" samples, n, windows)) + (SELECT count(*) FROM part WHERE series NOT IN"
		" (SELECT id FROM series) OR file NOT IN (SELECT id FROM file))",
		&wrong);

	return r < 0 ? r : wrong ? -EBADMSG : 0;
}

/* The hash is of the labels of the identity. */
static int check_series(sqlite3 *db)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(db, "SELECT hash, identity, labels FROM series", &q);

	while (r == 0 && (r = store_index_step(q)) > 0) {
		int64_t hash = sqlite3_column_int64(q, 0);

		r = 0;
		for (int c = 1; r == 0 && c < 3; c++) {
			const char *text = (const char *)sqlite3_column_text(q, c);
			struct prowl_series *series = NULL;

			r = text ? store_series_parse(text, &series) : -EBADMSG;
			if (r == 0 && (int64_t)series->hash != hash)
				r = -EBADMSG;
			prowl_series_free(series);
		}
	}
	sqlite3_finalize(q);
	return r;
}

/* What is damaged shows now, not in the middle of a write, or in an answer. */
int store_index_check(sqlite3 *db)
{
	int r = check_schema(db);

	if (r == 0)
		r = check_pages(db);
	if (r == 0)
		r = check_sums(db);
	return r == 0 ? check_series(db) : r;
}

/* The file may be another one's, who had a mind to make it odd. */
#define DISTRUST "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON"

static int open_database(struct prowl_store *s)
{
	char path[PATH_MAX];
	int64_t tables = 0;
	int r = index_path(s, "", path, sizeof path);

	if (r == 0)
		r = store_errno(sqlite3_open_v2(
			path, &s->db,
			SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL));
	if (r == 0)
		r = store_index_exec(s->db, DISTRUST);
	if (r == 0)
		r = store_index_exec(s->db, "PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL;"
					    " PRAGMA journal_mode=WAL; PRAGMA temp_store=MEMORY;"
					    " PRAGMA wal_autocheckpoint=400");
	if (r == 0)
		r = store_index_exec(s->db, s->o.no_fsync ? "PRAGMA synchronous=OFF"
							  : "PRAGMA synchronous=NORMAL");
	if (r == 0)
		r = add_functions(s->db);
	if (r == 0)
		sqlite3_busy_timeout(s->db, 5000);
	if (r == 0)
		r = get_number(s->db, "SELECT count(*) FROM sqlite_master", &tables);
	if (r == 0 && tables == 0)
		r = store_index_exec(s->db, schema);
	else if (r == 0)
		r = store_index_check(s->db);
	return r == 0 ? check_version(s->db) : r;
}

static void close_database(struct prowl_store *s)
{
	sqlite3_close_v2(s->db);
	s->db = NULL;
}

static void put_aside(struct prowl_store *s)
{
	static const char *const files[] = {"index.db", "index.db-wal", "index.db-shm"};

	close_database(s);
	if (faccessat(s->dir, files[0], F_OK, 0) == 0)
		store_quarantine(s, files[0], "the index is damaged or another version's");
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		unlinkat(s->dir, files[i], 0);
}

int store_index_rebuild(struct prowl_store *s)
{
	int r;

	put_aside(s);
	r = open_database(s);
	return r == 0 ? store_index_agree(s, s->db, s->dir) : r;
}

int store_index_open(struct prowl_store *s)
{
	int r;

	close_database(s);
	r = open_database(s);
	if (r == 0)
		r = store_index_agree(s, s->db, s->dir);
	if (r != -EBADMSG && r != -ENOENT)
		return r;
	return store_index_rebuild(s);
}

/* A path as SQLite takes it in a URI. */
static int uri_of(const char *path, char *to, size_t len)
{
	size_t n = (size_t)snprintf(to, len, "file:");

	for (; *path && n + 4 < len; path++) {
		bool plain = strchr("?#% ", *path) == NULL;

		n += (size_t)(plain ? snprintf(to + n, len - n, "%c", *path)
				    : snprintf(to + n, len - n, "%%%02X",
					       (unsigned int)(unsigned char)*path));
	}
	n += (size_t)snprintf(to + n, len - n, "?immutable=1");
	return n < len ? 0 : -ENAMETOOLONG;
}

/* Without a writer there is no log, and then nothing changes the file. */
int store_index_open_reader(struct prowl_store *s, sqlite3 **ret)
{
	char path[PATH_MAX], uri[PATH_MAX + 64];
	bool log = faccessat(s->dir, "index.db-wal", F_OK, 0) == 0;
	sqlite3 *db = NULL;
	int r = index_path(s, "", path, sizeof path);

	if (r == 0 && !log)
		r = uri_of(path, uri, sizeof uri);
	if (r == 0)
		r = store_errno(sqlite3_open_v2(
			log ? path : uri, &db,
			SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL));
	if (r == 0)
		r = store_index_exec(db, DISTRUST);
	if (r == 0) {
		sqlite3_busy_timeout(db, 1000);
		r = add_functions(db);
	}
	if (r == 0)
		r = check_version(db);
	if (r == 0)
		*ret = db;
	else
		sqlite3_close_v2(db);
	return r;
}

static int open_memory(struct prowl_store *s, sqlite3 **ret)
{
	sqlite3 *db = NULL;
	int r = store_errno(sqlite3_open_v2(
		":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
		NULL));

	if (r == 0)
		r = add_functions(db);
	if (r == 0)
		r = store_index_exec(db, schema);
	if (r == 0)
		r = store_index_agree(s, db, s->dir);
	if (r == 0)
		*ret = db;
	else
		sqlite3_close_v2(db);
	return r;
}

int store_index_reader(struct prowl_store *s, bool anew, sqlite3 **ret)
{
	int r = anew ? -EBADMSG : store_index_open_reader(s, ret);

	return r == 0 ? 0 : open_memory(s, ret);
}
