/* SPDX-License-Identifier: Apache-2.0 */
/* Names of frames by function, line, file, address or package. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frame_names.h"

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static bool ends(const char *s, const char *with)
{
	size_t n = strlen(s), k = strlen(with);

	return n >= k && strcmp(s + n - k, with) == 0;
}

/* --- whose code it is ------------------------------------------------------------ */

bool pp_is_runtime_package(const char *package, size_t len)
{
	static const char bytealg[] = "internal/bytealg", runtime[] = "runtime";

	return (len == sizeof runtime - 1 && memcmp(package, runtime, len) == 0) ||
	       (len == sizeof bytealg - 1 && memcmp(package, bytealg, len) == 0) ||
	       (len > 17 &&
		(begins(package, "runtime/internal/") || begins(package, "internal/runtime/")));
}

const char *pp_source_folder(const char *file, size_t *ret_len)
{
	static const char mod[] = "/pkg/mod/", src[] = "/src/";
	const char *start = strstr(file, mod), *slash = strrchr(file, '/');

	if (start) {
		start += sizeof mod - 1;
	} else if (file[0] == '/') {
		for (const char *s = file; (s = strstr(s, src)); s++)
			start = s + sizeof src - 1;
	} else {
		start = file; /* built with -trimpath */
	}
	if (!start || !slash || slash <= start)
		return NULL;
	*ret_len = (size_t)(slash - start);
	return start;
}

bool pp_is_runtime(const char *function, const char *file)
{
	size_t len = pp_package_length(function);
	const char *folder;

	if (len > 0)
		return pp_is_runtime_package(function, len);
	/* Assembly may have no package in its name: memeqbody, aeshashbody, _rt0_amd64_linux. */
	if (!ends(file, ".s"))
		return false;
	folder = pp_source_folder(file, &len);
	return folder && pp_is_runtime_package(folder, len);
}

/* --- paths ----------------------------------------------------------------------- */

/* Removes the last element, but not a root nor a "..". */
static char *path_up(const char *start, char *w, bool rooted)
{
	char *slash = w;

	if (w == start)
		return NULL;
	while (slash > start && slash[-1] != '/')
		slash--;
	if (w - slash == 2 && slash[0] == '.' && slash[1] == '.')
		return NULL;
	return slash > start ? slash - 1 : rooted ? NULL : slash;
}

/* The shortest equivalent path, in place: no empty, "." or needless ".." elements. */
static void path_clean(char *path)
{
	bool rooted = path[0] == '/';
	char *start = path + rooted, *w = start;
	const char *r = start;

	while (*r) {
		size_t n = strcspn(r, "/");
		char *up = NULL;

		if (n == 2 && r[0] == '.' && r[1] == '.')
			up = path_up(start, w, false);
		if (up) {
			w = up;
		} else if (n > 0 && !(n == 1 && r[0] == '.') &&
			   !(rooted && n == 2 && w == start && r[0] == '.' && r[1] == '.')) {
			if (w > start)
				*w++ = '/';
			memmove(w, r, n);
			w += n;
		}
		r += n + (r[n] == '/');
	}
	*w = '\0';
}

static char *clean_copy(const char *path)
{
	char *copy = strdup(path);

	if (copy)
		path_clean(copy);
	return copy;
}

/* --- packages -------------------------------------------------------------------- */

static const char *object_of(const struct pprof_profile *p, uint32_t location)
{
	uint32_t m = p->locations[location].mapping;

	return m == PPROF_NONE ? "" : p->strings[p->mappings[m].filename];
}

/* Names in C and the kernel have dots too ("f.cold", "f.isra.0"), but no packages. */
static bool is_go(const char *file, const char *object)
{
	if (*file)
		return ends(file, ".go") || ends(file, ".s") || file[0] == '<';
	return object[0] != '[' && !strstr(object, ".so");
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The linker writes some bytes of a path as %2e. */
static void unescape(char *s)
{
	char *w = s;

	for (; *s; s++) {
		int hi = s[0] == '%' ? hex(s[1]) : -1, lo = hi >= 0 ? hex(s[2]) : -1;

		if (lo >= 0 && hi < 8 && hi + lo > 0) {
			*w++ = (char)(hi << 4 | lo);
			s += 2;
		} else {
			*w++ = *s;
		}
	}
	*w = '\0';
}

size_t pp_package_length(const char *function)
{
	/* Parameters and receivers may hold other packages' names. */
	size_t n = strcspn(function, "[("), slash = n, dot;

	while (slash > 0 && function[slash - 1] != '/')
		slash--;
	dot = slash + strcspn(function + slash, ".");
	return dot < n ? dot : 0;
}

/* "" where the name has none. */
static char *package_of(const char *function)
{
	char *package = strndup(function, pp_package_length(function));

	if (package && strchr(package, '/'))
		unescape(package);
	return package;
}

static char *bracketed(const char *object)
{
	const char *slash = strrchr(object, '/');
	char *name;

	return asprintf(&name, "[%s]", slash ? slash + 1 : object) < 0 ? NULL : name;
}

/*
 * For assembly without a package in its name: the folder, below GOROOT or in a module without its
 * version; "" where it is unknown.
 */
static char *package_of_file(const char *file)
{
	size_t len;
	const char *folder = ends(file, ".s") ? pp_source_folder(file, &len) : NULL;
	char *package = folder ? strndup(folder, len) : strdup(""), *at, *rest;

	at = package ? strchr(package, '@') : NULL;
	if (at) {
		rest = at + strcspn(at, "/");
		memmove(at, rest, strlen(rest) + 1);
	}
	return package;
}

static char *package_name(const struct pprof_profile *p, uint32_t location,
			  const struct pprof_function *f)
{
	const char *object = object_of(p, location), *name = p->strings[f->name];
	char *package = is_go(p->strings[f->filename], object) ? package_of(name) : strdup("");

	if (package && !*package && !strchr(name, '.') && *name != '[') {
		free(package);
		package = package_of_file(p->strings[f->filename]);
	}
	if (!package || *package)
		return package;
	free(package);
	/* "[kernel.kallsyms]" has its brackets already. */
	if (object[0] == '[')
		return strdup(object);
	return *object && *name != '[' ? bracketed(object) : strdup(name);
}

/* --- the rest -------------------------------------------------------------------- */

static char *object_name(const struct pprof_profile *p, uint32_t location)
{
	const char *object = object_of(p, location);

	return *object ? bracketed(object) : strdup("<unknown>");
}

/* "file:line", "file" without a line, "" without both. */
static char *place_of(const char *file, const struct pprof_line *line, bool with_line)
{
	char *clean = *file ? clean_copy(file) : strdup(""), *place;
	int n;

	if (!clean || !with_line || line->line == 0)
		return clean;
	n = line->column
		    ? asprintf(&place, "%s:%" PRId64 ":%" PRId64, clean, line->line, line->column)
		    : asprintf(&place, "%s:%" PRId64, clean, line->line);
	free(clean);
	return n < 0 ? NULL : place;
}

static char *with_address(uint64_t address, char *name)
{
	char *whole;
	int n;

	if (!name || address == 0)
		return name;
	n = asprintf(&whole, "%016" PRIx64 " %s", address, name);
	free(name);
	return n < 0 ? NULL : whole;
}

static char *joined(const char *name, char *place)
{
	char *whole;
	int n;

	if (!place || !*name)
		return place;
	n = asprintf(&whole, "%s%s%s", name, *place ? " " : "", place);
	free(place);
	return n < 0 ? NULL : whole;
}

char *pp_frame_name(const struct pprof_profile *p, uint32_t location, const struct pprof_line *line,
		    enum pprof_granularity granularity)
{
	uint64_t address = granularity == PPROF_ADDRESS ? p->locations[location].address : 0;
	const struct pprof_function *f = line ? &p->functions[line->function] : NULL;
	bool lines = granularity == PPROF_LINE || granularity == PPROF_ADDRESS;
	char *name;

	if (!f)
		return with_address(address, object_name(p, location));
	if (granularity == PPROF_PACKAGE)
		return package_name(p, location, f);
	if (granularity == PPROF_FUNCTION)
		return strdup(p->strings[f->name]);
	name = joined(granularity == PPROF_FILE ? "" : p->strings[f->name],
		      place_of(p->strings[f->filename], line, lines));
	if (name && !*name) {
		free(name);
		name = object_name(p, location);
	}
	return with_address(address, name);
}
