/* SPDX-License-Identifier: Apache-2.0 */
#include "show_report.h"

#include <string.h>

#include "input.h"
#include "pprof.h"
#include "term.h"

static enum prowl_code print_comments(const struct pprof_profile *p)
{
	for (size_t i = 0; i < p->ncomments; i++) {
		text_put(stdout, p->strings[p->comments[i]]);
		putchar('\n');
	}
	return PROWL_OK;
}

/* Before any file is written. */
static bool has_type(const struct pprof_profile *p, const char *name)
{
	size_t type;

	if (pprof_find_sample_type(p, name, &type) == 0)
		return true;
	if (p->nsample_types == 0) {
		say_error("the profile has no values: it is empty");
		return false;
	}
	say_error("the profile has no values called '%s'; it has:", name ? name : "");
	for (size_t i = 0; i < p->nsample_types; i++) {
		fputs("  ", stderr);
		text_put(stderr, p->strings[p->sample_types[i].type]);
		fputc('\n', stderr);
	}
	return false;
}

/* The wanted format, or NULL after an error message. */
static const struct pprof_exporter *choose_format(const struct show_report *r)
{
	bool peek = r->view.report.peek;
	const char *format = r->format ? r->format : peek ? "peek" : r->output ? NULL : "text";
	const struct pprof_exporter *f = output_choose(format, r->output);

	if (f && !strcmp(f->name, "peek") != peek) {
		say_error(peek ? "--peek is for -f peek" : "-f peek needs --peek REGEX");
		return NULL;
	}
	return f;
}

/* The compiler identifies functions by name and position. */
static bool keeps_names(const struct pprof_filter_options *f)
{
	if (f->granularity == PPROF_FUNCTION && f->runtime == PPROF_RUNTIME_SHOW &&
	    !f->no_inlines && !f->tag_root && !f->tag_leaf)
		return true;
	say_error("-f pgo goes without --granularity, --runtime, --noinlines, --tagroot and "
		  "--tagleaf: the compiler wants the functions as they are");
	return false;
}

static enum prowl_code write_report(struct show_report *r, struct pprof_profile **p,
				    struct pprof_profile **base)
{
	const struct pprof_exporter *f = choose_format(r);
	const char *path = r->output ? r->output : "-";
	struct view view = r->view;
	enum view_use use;
	enum prowl_code code;
	uint64_t size;

	if (!f || !output_may_write(f, path) ||
	    (!(f->flags & PPROF_EXPORT_BINARY) && !has_type(*p, r->view.report.sample_type)))
		return PROWL_USAGE;
	if (r->base && !(f->flags & PPROF_EXPORT_COMPARES)) {
		say_error("--diff-base goes with -f html or -f svg, not with %s", f->name);
		return PROWL_USAGE;
	}
	if (output_is_pgo(f) && !keeps_names(&r->view.filter))
		return PROWL_USAGE;
	use = (f->flags & PPROF_EXPORT_BINARY) ? VIEW_AS_DATA
	      : strcmp(f->name, "traces")      ? VIEW_AS_REPORT
					       : VIEW_AS_TRACES;
	/* The same view of both. */
	if (*base && !view_apply(&view, base, use, &code))
		return code;
	r->view.report.base = *base;
	if (view_apply(&r->view, p, use, &code))
		code = output_write_report(*p, f, &r->view.report, path, &size);
	return code;
}

enum prowl_code show_report(struct show_report *r, struct pprof_profile **p)
{
	enum prowl_code code = PROWL_FAILED;
	struct pprof_profile *base = NULL;

	if (r->comments)
		return print_comments(*p);
	if (r->base)
		base = input_load_base(r->base, *p, r->view.report.sample_type);
	if (!r->base || base)
		code = write_report(r, p, &base);
	pprof_profile_free(base);
	return code;
}
