/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "term.h"

const char *const view_granularity_words[] = {
	[PPROF_FUNCTION] = "function", [PPROF_FILE_FUNCTION] = "filefunction",
	[PPROF_FILE] = "file",         [PPROF_LINE] = "line",
	[PPROF_ADDRESS] = "address",   [PPROF_PACKAGE] = "package",
	[PPROF_PACKAGE + 1] = NULL,
};

const char *const view_runtime_words[] = {
	[PPROF_RUNTIME_SHOW] = "show",
	[PPROF_RUNTIME_FOLD] = "fold",
	[PPROF_RUNTIME_HIDE] = "hide",
	[PPROF_RUNTIME_HIDE + 1] = NULL,
};

bool view_take_word(const struct opt *o, void *field, const char *arg)
{
	for (size_t i = 0; o->words[i]; i++) {
		size_t n = strlen(o->words[i]);

		/* "lines", "addresses" */
		if (strncmp(o->words[i], arg, n) == 0 &&
		    strcmp(arg + n, o->words[i][n - 1] == 's' ? "es" : "s") == 0)
			return opts_word(o, field, o->words[i]);
	}
	return opts_word(o, field, arg);
}

bool view_take_fraction(const struct opt *o, void *field, const char *arg)
{
	char *end;
	double d = strtod(arg, &end);

	if (end == arg || *end || !(d >= 0) || d > 1) {
		say_error("--%s wants a number from 0 to 1, not '%s'", o->name, arg);
		return false;
	}
	*(double *)field = d;
	return true;
}

bool view_take_peek(const struct opt *o, void *field, const char *arg)
{
	struct pprof_diag diag = {0};

	*(const char **)field = arg;
	if (pprof_pattern_check(arg, &diag) == 0)
		return true;
	say_error("--peek: bad regular expression at character %llu: %s",
		  (unsigned long long)diag.at + 1, diag.detail);
	return false;
}

bool view_take_unit(const struct opt *o, void *field, const char *arg)
{
	struct view *v = field;

	v->filter.unit = arg;
	v->report.unit = strcmp(arg, "minimum") ? arg : NULL;
	return true;
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

static enum prowl_code filter(struct view *v, struct pprof_profile **p)
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

bool view_apply(struct view *v, struct pprof_profile **p, enum view_use use, enum prowl_code *code)
{
	bool drops = use != VIEW_AS_DATA && (*p)->drop_frames;
	size_t type = 0;
	bool typed = pprof_find_sample_type(*p, v->report.sample_type, &type) == 0;

	v->filter.size = sizeof v->filter;
	v->report.size = sizeof v->report;
	v->filter.apart = use == VIEW_AS_TRACES;
	v->report.filtered = &v->filter;
	if (typed && !v->relative)
		v->report.total = pprof_total(*p, type);
	*code = is_whole(&v->filter) && !drops ? PROWL_OK : filter(v, p);
	return *code == PROWL_OK;
}
