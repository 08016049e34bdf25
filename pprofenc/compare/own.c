/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frame_kinds.h"
#include "frame_names.h"
#include "pprof.h"
#include "table.h"

/* The first elements of the standard library's import paths, sorted; "cmd" is the Go toolchain. */
static const char *const standard[] = {
	"archive", "arena",   "bufio",    "bytes",  "cmd",     "cmp",      "compress", "container",
	"context", "crypto",  "database", "debug",  "embed",   "encoding", "errors",   "expvar",
	"flag",    "fmt",     "go",       "hash",   "html",    "image",    "index",    "internal",
	"io",      "iter",    "log",      "maps",   "math",    "mime",     "net",      "os",
	"path",    "plugin",  "reflect",  "regexp", "runtime", "simd",     "slices",   "sort",
	"strconv", "strings", "structs",  "sync",   "syscall", "testing",  "text",     "time",
	"unicode", "unique",  "unsafe",   "uuid",   "vendor",  "weak",
};

static int by_text(const void *key, const void *element)
{
	return strcmp(key, *(const char *const *)element);
}

static bool is_standard(const char *package, size_t len)
{
	char first[16];
	const char *slash = memchr(package, '/', len);
	size_t n = slash ? (size_t)(slash - package) : len;

	if (n >= sizeof first)
		return false;
	*(char *)mempcpy(first, package, n) = '\0';
	return bsearch(first, standard, sizeof standard / sizeof *standard, sizeof *standard,
		       by_text) != NULL;
}

static int add(struct own_modules *m, const char *path)
{
	int r = pp_array_reserve(&m->paths, &m->cap, m->n + 1, sizeof *m->paths);

	if (r == 0)
		m->paths[m->n++] = path;
	return r;
}

static int add_comment(struct own_modules *m, const char *text)
{
	static const char module[] = "build: module=", package[] = "build: package=";
	const char *path = NULL;

	if (strncmp(text, module, sizeof module - 1) == 0)
		path = text + sizeof module - 1;
	else if (strncmp(text, package, sizeof package - 1) == 0)
		path = text + sizeof package - 1;
	if (!path || !*path || strcmp(path, "command-line-arguments") == 0)
		return 0;
	/* Go's own programs are built without a module's name. */
	if (strncmp(path, "cmd/", 4) == 0)
		path = "cmd";
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->paths[i], path) == 0)
			return 0;
	return add(m, path);
}

int pp_own_init(struct own_modules *m, const struct pprof_profile *const *profiles, size_t n)
{
	int r = 0;

	*m = (struct own_modules){0};
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; r == 0 && k < profiles[i]->ncomments; k++)
			r = add_comment(m, profiles[i]->strings[profiles[i]->comments[k]]);
	return r;
}

void pp_own_fini(struct own_modules *m)
{
	free(m->paths);
}

static bool is_of_module(const struct own_modules *m, const char *package, size_t len)
{
	for (size_t i = 0; i < m->n; i++) {
		size_t n = strlen(m->paths[i]);

		if (len >= n && memcmp(package, m->paths[i], n) == 0 &&
		    (len == n || package[n] == '/'))
			return true;
	}
	return false;
}

bool pp_is_own(const struct own_modules *m, const char *function, const char *file,
	       const char *object)
{
	const char *package = function;
	size_t len = pp_package_length(function);

	if (pp_frame_kind(function, file, object, PPROF_FUNCTION) != KIND_GO)
		return false;
	if (len == 0) /* assembly */
		package = pp_source_folder(file, &len);
	if (!package || len == 0)
		return false;
	/* "type:.eq.main.key", "go:buildid": made by the linker */
	if (memchr(package, ':', len) || strncmp(function, "type..", 6) == 0)
		return false;
	return is_of_module(m, package, len) || !is_standard(package, len);
}
