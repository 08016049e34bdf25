/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "calltree.h"

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static bool ends(const char *s, const char *with)
{
	size_t n = strlen(s), k = strlen(with);

	return n >= k && strcmp(s + n - k, with) == 0;
}

/* "pkg.F" and "host/path.F", but not "f.part.0", as compilers of C name the pieces of a function.
 */
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

static bool is_runtime(const char *name)
{
	return begins(name, "runtime.") || begins(name, "runtime/internal/") ||
	       begins(name, "internal/runtime/") || strcmp(name, "runtime") == 0 ||
	       strcmp(name, "[runtime]") == 0;
}

enum frame_kind pp_frame_kind(const char *name, const char *file, const char *object)
{
	bool go = ends(file, ".go") || (!*file && !strstr(object, ".so") && is_go_name(name)) ||
		  ends(file, ".s");

	if (begins(object, "[kernel") || begins(object, "[guest.kernel") || begins(name, "[kernel"))
		return KIND_KERNEL;
	if (is_runtime(name) && (go || !*file))
		return KIND_RUNTIME;
	if (go)
		return KIND_GO;
	return begins(name, "[") && !*object ? KIND_OTHER : KIND_NATIVE;
}
