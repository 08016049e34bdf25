/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "term.h"

static bool choose(const char *option, const char *const *words, const char *arg, int *ret)
{
	for (int i = 0; words[i]; i++) {
		size_t n = strlen(words[i]);

		/* pprof has the plural: "lines", "addresses". */
		if (strncmp(words[i], arg, n) == 0 &&
		    (!arg[n] || strcmp(arg + n, words[i][n - 1] == 's' ? "es" : "s") == 0)) {
			*ret = i;
			return true;
		}
	}
	fprintf(stderr, "prowl: --%s wants", option);
	for (int i = 0; words[i]; i++)
		fprintf(stderr, "%s %s", i == 0 ? "" : words[i + 1] ? "," : " or", words[i]);
	fputs(", not '", stderr);
	text_put(stderr, arg);
	fputs("'\n", stderr);
	return false;
}

static bool take_granularity(struct view *v, const char *arg)
{
	static const char *const words[] = {
		[PPROF_FUNCTION] = "function", [PPROF_FILE_FUNCTION] = "filefunction",
		[PPROF_FILE] = "file",         [PPROF_LINE] = "line",
		[PPROF_ADDRESS] = "address",   [PPROF_PACKAGE] = "package",
		[PPROF_PACKAGE + 1] = NULL,
	};
	int which;

	if (!choose("granularity", words, arg, &which))
		return false;
	v->filter.granularity = (enum pprof_granularity)which;
	return true;
}

static bool take_runtime(struct view *v, const char *arg)
{
	static const char *const words[] = {
		[PPROF_RUNTIME_SHOW] = "show",
		[PPROF_RUNTIME_FOLD] = "fold",
		[PPROF_RUNTIME_HIDE] = "hide",
		[PPROF_RUNTIME_HIDE + 1] = NULL,
	};
	int which;

	if (!choose("runtime", words, arg, &which))
		return false;
	v->filter.runtime = (enum pprof_runtime)which;
	return true;
}

static bool take_fraction(const char *option, const char *arg, double *ret)
{
	char *end;
	double d = strtod(arg, &end);

	if (end == arg || *end || !(d >= 0) || d > 1) {
		say_error("--%s wants a number from 0 to 1, not '%s'", option, arg);
		return false;
	}
	*ret = d;
	return true;
}

static bool take_peek(struct view *v, const char *arg)
{
	struct pprof_diag diag = {0};

	v->report.peek = arg;
	if (pprof_pattern_check(arg, &diag) == 0)
		return true;
	say_error("--peek: bad regular expression at character %llu: %s",
		  (unsigned long long)diag.at + 1, diag.detail);
	return false;
}

static bool take_lines(struct view *v, const char *arg)
{
	uint64_t n;

	if (!opts_number("lines", arg, 1, 1000000, &n))
		return false;
	v->report.nodes = n;
	return true;
}

/* Options whose text is kept as it is. */
static const char **text_of(struct view *v, int id)
{
	switch (id) {
	case VIEW_TYPE:
		return &v->report.sample_type;
	case VIEW_FOCUS:
		return &v->filter.focus;
	case VIEW_IGNORE:
		return &v->filter.ignore;
	case VIEW_SHOW:
		return &v->filter.show;
	case VIEW_HIDE:
		return &v->filter.hide;
	case VIEW_SHOW_FROM:
		return &v->filter.show_from;
	case VIEW_TAG_FOCUS:
		return &v->filter.tag_focus;
	case VIEW_TAG_IGNORE:
		return &v->filter.tag_ignore;
	case VIEW_TAG_SHOW:
		return &v->filter.tag_show;
	case VIEW_TAG_HIDE:
		return &v->filter.tag_hide;
	case VIEW_TAG_ROOT:
		return &v->filter.tag_root;
	case VIEW_TAG_LEAF:
		return &v->filter.tag_leaf;
	default:
		return NULL;
	}
}

enum view_taken view_take(struct view *v, int id, const char *arg)
{
	const char **text = text_of(v, id);
	bool ok = true;

	if (text) {
		*text = arg;
		return VIEW_OK;
	}
	switch (id) {
	case VIEW_LINES:
		ok = take_lines(v, arg);
		break;
	case VIEW_CUM:
		v->report.cum = true;
		break;
	case VIEW_GRANULARITY:
		ok = take_granularity(v, arg);
		break;
	case VIEW_NO_INLINES:
		v->filter.no_inlines = true;
		break;
	case VIEW_RUNTIME:
		ok = take_runtime(v, arg);
		break;
	case VIEW_RELATIVE:
		v->relative = true;
		break;
	case VIEW_UNIT:
		v->filter.unit = arg;
		v->report.unit = strcmp(arg, "minimum") ? arg : NULL;
		break;
	case VIEW_NODE_FRACTION:
		ok = take_fraction("nodefraction", arg, &v->report.node_fraction);
		break;
	case VIEW_EDGE_FRACTION:
		ok = take_fraction("edgefraction", arg, &v->report.edge_fraction);
		break;
	case VIEW_PEEK:
		ok = take_peek(v, arg);
		break;
	default:
		return VIEW_OTHER;
	}
	return ok ? VIEW_OK : VIEW_WRONG;
}

/* "--show-from" for "show_from: missing )". */
static void say_bad(const struct pprof_diag *diag)
{
	char option[sizeof diag->detail];
	const char *how = strchr(diag->detail, ':');

	snprintf(option, sizeof option, "%.*s", (int)strcspn(diag->detail, ":"), diag->detail);
	for (char *c = option; *c; c++)
		if (*c == '_')
			*c = '-';
	if (how)
		say_error("--%s: %s at character %llu%s", option, diag->what,
			  (unsigned long long)diag->at + 1, how);
	else
		say_error("--%s: %s", option, diag->what);
}

/* Nothing to filter: large profiles need not be copied. */
static bool is_whole(const struct pprof_filter_options *f)
{
	const char *const texts[] = {f->focus,     f->ignore,    f->hide,       f->show,
				     f->show_from, f->tag_focus, f->tag_ignore, f->tag_show,
				     f->tag_hide,  f->tag_root,  f->tag_leaf};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i] && *texts[i])
			return false;
	return f->granularity == PPROF_FUNCTION && f->runtime == PPROF_RUNTIME_SHOW &&
	       !f->no_inlines;
}

static int filter(struct view *v, struct pprof_profile **p)
{
	struct pprof_profile *filtered;
	struct pprof_diag diag = {0};
	int r = pprof_filter(*p, &v->filter, &filtered, &diag);

	if (r == -EINVAL) {
		say_bad(&diag);
		return PROWL_USAGE;
	}
	if (r < 0) {
		say_error("%s", strerror(-r));
		return PROWL_FAILED;
	}
	if (diag.what)
		say_warning("matched nothing in this profile: %s", diag.detail);
	pprof_profile_free(*p);
	*p = filtered;
	return PROWL_OK;
}

bool view_apply(struct view *v, struct pprof_profile **p, enum view_use use, int *code)
{
	bool drops = use != VIEW_AS_DATA && (*p)->drop_frames;
	size_t type = 0;
	bool typed = pprof_find_sample_type(*p, v->report.sample_type, &type) == 0;

	v->filter.apart = use == VIEW_AS_TRACES;
	v->report.filtered = &v->filter;
	if (typed && !v->relative)
		v->report.total = pprof_total(*p, type);
	*code = is_whole(&v->filter) && !drops ? PROWL_OK : filter(v, p);
	return *code == PROWL_OK;
}
