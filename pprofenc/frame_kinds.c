/* SPDX-License-Identifier: Apache-2.0 */
#include "frame_kinds.h"

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

/* "pkg.F" and "host/path.F", but not "f.part.0", a C compiler's name for a part of a function. */
static bool is_go_name(const char *name)
{
	static const char *const pieces[] = {"isra", "part",     "constprop",
					     "cold", "lto_priv", "llvm"};
	const char *dot = strchr(name, '.');

	if (!dot || dot == name || strstr(name, "::"))
		return false;
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
		if (begins(dot + 1, pieces[i]))
			return false;
	return true;
}

/* Names of all granularities begin with the function; a blank separates the file. */
static bool is_runtime(const char *name, const char *file)
{
	char function[64];
	const char *end = strchr(name, ' ');

	if (strcmp(name, "[runtime]") == 0)
		return true;
	/* Names without a package are short; others are recognized by their beginning. */
	if (end && (size_t)(end - name) < sizeof function) {
		*(char *)mempcpy(function, name, (size_t)(end - name)) = '\0';
		name = function;
	}
	return pp_is_runtime(name, file);
}

/* The folder that a file lies in. */
static bool is_runtime_file(const char *file)
{
	size_t len;
	const char *folder = pp_source_folder(file, &len);

	return folder && pp_is_runtime_package(folder, len);
}

/* Kinds of packages: Go's have their path as a name, other code has its binary in brackets. */
static enum frame_kind kind_of_package(const char *name, const char *object)
{
	if (begins(name, "[kernel"))
		return KIND_KERNEL;
	if (pp_is_runtime_package(name, strlen(name)) || strcmp(name, "[runtime]") == 0)
		return KIND_RUNTIME;
	return *name != '[' ? KIND_GO : *object ? KIND_NATIVE : KIND_OTHER;
}

enum frame_kind pp_frame_kind(const char *name, const char *file, const char *object,
			      enum pprof_granularity granularity)
{
	bool go;

	if (granularity == PPROF_PACKAGE)
		return kind_of_package(name, object);
	/* "0000000000401000 main.work ..." */
	if (granularity == PPROF_ADDRESS && name[strspn(name, "0123456789abcdef")] == ' ')
		name += strspn(name, "0123456789abcdef") + 1;
	go = ends(file, ".go") || ends(file, ".s") ||
	     (!*file && !strstr(object, ".so") && is_go_name(name));
	if (begins(object, "[kernel") || begins(object, "[guest.kernel") || begins(name, "[kernel"))
		return KIND_KERNEL;
	if (granularity == PPROF_FILE && go && is_runtime_file(name))
		return KIND_RUNTIME;
	if (is_runtime(name, file) && (go || !*file))
		return KIND_RUNTIME;
	if (go)
		return KIND_GO;
	return begins(name, "[") && !*object ? KIND_OTHER : KIND_NATIVE;
}
