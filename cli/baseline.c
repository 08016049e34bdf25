/* SPDX-License-Identifier: Apache-2.0 */
#include "baseline.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "input.h"
#include "new_file.h"
#include "term.h"

static const char INDEX_HEAD[] = "#dir\tkind\tpackage\trevision\tgo\tmachine\ttime\n";

/* --- keys ------------------------------------------------------------------------ */

/* A field of the index, without tabs and line ends. */
static char *field(const char *s)
{
	char *text = strdup(s);

	for (char *c = text; c && *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	return text;
}

static const char *program_of(const struct pprof_profile *p)
{
	const char *file = p->nmappings ? p->strings[p->mappings[0].filename] : "";
	const char *slash = strrchr(file, '/');

	return slash ? slash + 1 : file;
}

static const char *either(const char *a, const char *b)
{
	return *a ? a : b;
}

bool baseline_key_of(const struct pprof_profile *p, struct baseline_key *ret)
{
	size_t type;

	if (pprof_find_sample_type(p, NULL, &type) < 0) {
		say_error("the profile has no values: it is empty");
		return false;
	}
	ret->package = field(either(input_comment(p, "build: package="), program_of(p)));
	ret->revision = field(
		either(input_comment(p, "build: vcs.revision="), input_comment(p, "build: id=")));
	ret->go = field(input_comment(p, "build: go="));
	ret->machine = field(input_comment(p, "machine: "));
	ret->kind = field(p->strings[p->sample_types[type].type]);
	if (ret->package && ret->revision && ret->go && ret->machine && ret->kind)
		return true;
	baseline_key_fini(ret);
	say_error("out of memory");
	return false;
}

void baseline_key_fini(struct baseline_key *k)
{
	free(k->package);
	free(k->revision);
	free(k->go);
	free(k->machine);
	free(k->kind);
	*k = (struct baseline_key){0};
}

static bool same_key(const struct baseline_key *a, const struct baseline_key *b)
{
	return !strcmp(a->package, b->package) && !strcmp(a->revision, b->revision) &&
	       !strcmp(a->go, b->go) && !strcmp(a->machine, b->machine) &&
	       !strcmp(a->kind, b->kind);
}

/* --- the folder ------------------------------------------------------------------ */

static bool failed(const char *path)
{
	say_error("%s: %s", path, strerror(errno));
	return false;
}

static bool path_in(const struct baseline *b, char path[PATH_MAX], const char *a, const char *c)
{
	int n = snprintf(path, PATH_MAX, "%s/%s%s%s", b->dir, a, c ? "/" : "", c ? c : "");

	if (n < PATH_MAX)
		return true;
	errno = ENAMETOOLONG;
	return failed(b->dir);
}

/* A name in the folder: a few safe characters, never a dot first. */
static void slug(char *to, size_t len, const char *s)
{
	size_t n = 0;

	for (; *s && n + 1 < len; s++) {
		bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			     (*s >= '0' && *s <= '9') || (n > 0 && strchr("._-", *s));

		to[n++] = plain ? *s : '_';
	}
	to[n] = '\0';
	if (n == 0)
		snprintf(to, len, "unknown");
}

static uint64_t hash_of(const struct baseline_key *k)
{
	const char *const parts[] = {k->package, k->revision, k->go, k->machine, k->kind};
	uint64_t h = 0;

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		h = XXH3_64bits_withSeed(parts[i], strlen(parts[i]) + 1, h);
	return h;
}

static char *dir_of(const struct baseline_key *k)
{
	char package[96], revision[16], kind[32], *dir;

	slug(package, sizeof package, k->package);
	slug(revision, 13, k->revision);
	slug(kind, sizeof kind, k->kind);
	if (asprintf(&dir, "%s/%s-%s-%016llx", package, revision, kind,
		     (unsigned long long)hash_of(k)) < 0)
		return NULL;
	return dir;
}

/* Counts the files NN.pb.gz; *last is the highest number. */
static size_t count_files(const struct baseline *b, const char *dir, unsigned *last)
{
	char path[PATH_MAX];
	struct dirent *e;
	size_t n = 0;
	DIR *d;

	*last = 0;
	d = path_in(b, path, dir, NULL) ? opendir(path) : NULL;
	while (d && (e = readdir(d))) {
		unsigned number;
		int end = 0;

		if (sscanf(e->d_name, "%u.pb.gz%n", &number, &end) != 1 || end == 0 ||
		    e->d_name[end])
			continue;
		n++;
		if (number > *last)
			*last = number;
	}
	if (d)
		closedir(d);
	return n;
}

/* --- the index ------------------------------------------------------------------- */

static bool add_set(struct baseline *b, const struct baseline_set *s)
{
	struct baseline_set *bigger = realloc(b->sets, (b->n + 1) * sizeof *bigger);

	if (!bigger)
		return false;
	b->sets = bigger;
	b->sets[b->n++] = *s;
	return true;
}

static void set_fini(struct baseline_set *s)
{
	baseline_key_fini(&s->key);
	free(s->dir);
	*s = (struct baseline_set){0};
}

/* Whether a name from the index stays inside the folder. */
static bool is_inside(const char *dir)
{
	return dir[0] != '/' && dir[0] != '.' && !strstr(dir, "/.") && strchr(dir, '/');
}

static void read_line(struct baseline *b, char *line)
{
	struct baseline_set s = {0};
	char *words[7], *rest = line;
	unsigned last;

	line[strcspn(line, "\n")] = '\0';
	for (size_t i = 0; i < 7; i++)
		words[i] = strsep(&rest, "\t");
	if (line[0] == '#' || !words[6] || !is_inside(words[0]))
		return;
	s.dir = strdup(words[0]);
	s.key.kind = field(words[1]);
	s.key.package = field(words[2]);
	s.key.revision = field(words[3]);
	s.key.go = field(words[4]);
	s.key.machine = field(words[5]);
	s.time = strtoll(words[6], NULL, 10);
	s.nfiles = s.dir ? count_files(b, s.dir, &last) : 0;
	/* A set may have been removed by hand. */
	if (s.nfiles == 0 || !s.key.machine || !add_set(b, &s))
		set_fini(&s);
}

static int by_time(const void *va, const void *vb)
{
	const struct baseline_set *a = va, *b = vb;

	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	return strcmp(a->dir, b->dir);
}

static void put_index(FILE *to, void *ctx)
{
	const struct baseline *b = ctx;

	fputs(INDEX_HEAD, to);
	for (size_t i = 0; i < b->n; i++) {
		const struct baseline_set *s = &b->sets[i];

		/* Freed sets have left the array. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		fprintf(to, "%s\t%s\t%s\t%s\t%s\t%s\t%lld\n", s->dir, s->key.kind, s->key.package,
			s->key.revision, s->key.go, s->key.machine, (long long)s->time);
	}
}

/* The old index stays until the new one is complete. */
static bool write_index(struct baseline *b)
{
	char path[PATH_MAX];
	int r;

	if (!path_in(b, path, "index.tsv", NULL))
		return false;
	r = new_file_words(path, put_index, b);
	errno = -r;
	return r == 0 || failed(path);
}

/* Reads a set that is not in an index, from its newest profile. */
static void read_set(struct baseline *b, const char *dir)
{
	char path[PATH_MAX], name[32];
	struct baseline_set s = {.dir = strdup(dir)};
	struct pprof_profile *p;
	unsigned last;

	s.nfiles = count_files(b, dir, &last);
	snprintf(name, sizeof name, "%02u.pb.gz", last);
	p = s.nfiles && path_in(b, path, dir, name) ? input_load((char *[]){path}, 1) : NULL;
	if (p && s.dir && baseline_key_of(p, &s.key)) {
		s.time = p->time_nanos;
		if (add_set(b, &s))
			s = (struct baseline_set){0};
	}
	set_fini(&s);
	pprof_profile_free(p);
}

/* Calls fn for each folder below one; "" is the baseline itself. */
static void each_folder(struct baseline *b, const char *below,
			void (*fn)(struct baseline *b, const char *dir))
{
	char path[PATH_MAX], dir[PATH_MAX];
	struct dirent *e;
	DIR *d = path_in(b, path, below, NULL) ? opendir(path) : NULL;

	while (d && (e = readdir(d))) {
		int n = snprintf(dir, sizeof dir, "%s%s%s", below, *below ? "/" : "", e->d_name);

		if (e->d_name[0] != '.' && n < (int)sizeof dir &&
		    (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN))
			fn(b, dir);
	}
	if (d)
		closedir(d);
}

static void read_package(struct baseline *b, const char *dir)
{
	each_folder(b, dir, read_set);
}

static void read_index(struct baseline *b)
{
	char path[PATH_MAX], *line = NULL;
	size_t len = 0;
	FILE *f = path_in(b, path, "index.tsv", NULL) ? fopen(path, "re") : NULL;

	if (!f)
		each_folder(b, "", read_package);
	while (f && getline(&line, &len, f) > 0)
		read_line(b, line);
	free(line);
	if (f)
		fclose(f);
	if (b->n)
		qsort(b->sets, b->n, sizeof *b->sets, by_time);
}

bool baseline_open(struct baseline *b, const char *dir, bool change)
{
	char path[PATH_MAX];
	struct stat st;

	*b = (struct baseline){.dir = strdup(dir), .lock = -1};
	if (!b->dir)
		return failed(dir);
	if (change && mkdir(dir, 0777) < 0 && errno != EEXIST)
		return failed(dir);
	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)) {
		if (errno == 0 || S_ISREG(st.st_mode))
			errno = ENOTDIR;
		return failed(dir);
	}
	if (change) {
		if (!path_in(b, path, ".lock", NULL))
			return false;
		b->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
		if (b->lock < 0 || flock(b->lock, LOCK_EX) < 0)
			return failed(path);
	}
	read_index(b);
	return true;
}

void baseline_close(struct baseline *b)
{
	for (size_t i = 0; i < b->n; i++)
		set_fini(&b->sets[i]);
	free(b->sets);
	free(b->dir);
	if (b->lock >= 0)
		close(b->lock);
}

/* --- changes --------------------------------------------------------------------- */

static struct baseline_set *set_for(struct baseline *b, const struct pprof_profile *p)
{
	struct baseline_set s = {0};

	if (!baseline_key_of(p, &s.key))
		return NULL;
	for (size_t i = 0; i < b->n; i++) {
		if (same_key(&b->sets[i].key, &s.key)) {
			set_fini(&s);
			return &b->sets[i];
		}
	}
	s.dir = dir_of(&s.key);
	if (s.dir && add_set(b, &s))
		return &b->sets[b->n - 1];
	set_fini(&s);
	say_error("out of memory");
	return NULL;
}

static bool make_dirs(const struct baseline *b, const char *dir)
{
	char path[PATH_MAX], *slash;

	if (!path_in(b, path, dir, NULL))
		return false;
	slash = strrchr(path, '/');
	*slash = '\0';
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return failed(path);
	*slash = '/';
	return (mkdir(path, 0777) == 0 || errno == EEXIST) || failed(path);
}

static bool write_profile(const struct pprof_profile *p, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	int r;

	if (fd < 0)
		return failed(path);
	r = pprof_write_fd(p, PPROF_LEVEL_DEFAULT, fd);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0)
		return true;
	errno = -r;
	failed(path);
	unlink(path);
	return false;
}

bool baseline_save(struct baseline *b, const struct pprof_profile *p)
{
	struct baseline_set *s = set_for(b, p);
	char name[32], path[PATH_MAX];
	unsigned last;

	if (!s || !make_dirs(b, s->dir))
		return false;
	count_files(b, s->dir, &last);
	snprintf(name, sizeof name, "%02u.pb.gz", last + 1);
	if (!path_in(b, path, s->dir, name) || !write_profile(p, path))
		return false;
	s->nfiles++;
	if (p->time_nanos > s->time)
		s->time = p->time_nanos;
	qsort(b->sets, b->n, sizeof *b->sets, by_time);
	if (write_index(b))
		return true;
	unlink(path); /* no index has it */
	return false;
}

/* Removes the baseline's files only: with other files in it, the folder stays. */
static void remove_files(const struct baseline *b, const char *dir)
{
	char path[PATH_MAX], name[32];
	unsigned last;

	count_files(b, dir, &last);
	for (unsigned i = 1; i <= last; i++) {
		snprintf(name, sizeof name, "%02u.pb.gz", i);
		if (path_in(b, path, dir, name))
			unlink(path);
	}
	if (path_in(b, path, dir, NULL))
		rmdir(path);
}

static bool alike(const struct baseline_key *a, const struct baseline_key *b)
{
	return !strcmp(a->package, b->package) && !strcmp(a->kind, b->kind) &&
	       !strcmp(a->machine, b->machine);
}

/* The index is written first: files that it lists must exist. */
int baseline_keep(struct baseline *b, size_t keep)
{
	struct baseline_set *old = calloc(b->n ? b->n : 1, sizeof *old);
	size_t kept = 0, nold = 0;
	bool written = true;

	if (!old)
		return -1;
	for (size_t i = 0; i < b->n; i++) {
		size_t newer = 0;

		for (size_t k = i + 1; k < b->n; k++)
			newer += alike(&b->sets[i].key, &b->sets[k].key);
		if (newer < keep)
			b->sets[kept++] = b->sets[i];
		else
			old[nold++] = b->sets[i];
	}
	b->n = kept;
	if (nold > 0)
		written = write_index(b);
	for (size_t i = 0; i < nold; i++) {
		if (written)
			remove_files(b, old[i].dir);
		set_fini(&old[i]);
	}
	free(old);
	return written ? (int)nold : -1;
}

/* --- finding --------------------------------------------------------------------- */

const struct baseline_set *baseline_find(const struct baseline *b, const struct baseline_key *like,
					 const char *revision)
{
	const struct baseline_set *best = NULL;
	int fits_best = -1;

	for (size_t i = b->n; i-- > 0;) {
		const struct baseline_set *s = &b->sets[i];
		int fits = 2 * !strcmp(s->key.machine, like->machine) +
			   !strcmp(s->key.go, like->go);
		bool wanted = revision ? !strncmp(s->key.revision, revision, strlen(revision))
				       : strcmp(s->key.revision, like->revision) != 0;

		if (!wanted || strcmp(s->key.package, like->package) != 0 ||
		    strcmp(s->key.kind, like->kind) != 0 || fits <= fits_best)
			continue;
		best = s;
		fits_best = fits;
	}
	return best;
}
