/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "common_opts.h"
#include "input.h"
#include "output.h"
#include "pprof.h"
#include "term.h"
#include "view.h"

struct report {
	struct view view;
	const char *format, *output, *base;
	bool comments;
};

static const struct opt report_opts[] = {
	{.letter = 'f',
	 .name = "format",
	 .arg = "FORMAT",
	 .take = opts_text,
	 .at = OPT_FIELD(struct report, format, const char *),
	 .word = output_name,
	 .help = "(default by the file's name, else text)"},
	OPT_TEXT('o', "output", "FILE", "default: standard output", struct report, output),
	VIEW_OPTS(struct report, view),
	OPT_TEXT(0, "diff-base", "FILE", "html, svg: show what changed since this profile",
		 struct report, base),
	OPT_FLAG(0, "comments",
		 "print only the profile's comments: how it was taken, what was lost",
		 struct report, comments),
	OPT_COLOR,
	OPT_END,
};

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
static const struct pprof_exporter *choose_format(const struct report *r)
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

static enum prowl_code write_report(struct report *r, struct pprof_profile **p,
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

static enum prowl_code run(void *options, char **words, size_t n)
{
	struct report *r = options;
	struct pprof_profile *p, *base = NULL;
	enum prowl_code code = PROWL_FAILED;

	if (n == 0) {
		say_error("no file: prowl report FILE...");
		return PROWL_USAGE;
	}
	p = input_load(words, n);
	if (!p)
		return code;
	if (r->base)
		base = input_load_base(r->base, p, r->view.report.sample_type);
	if (!r->base || base)
		code = r->comments ? print_comments(p) : write_report(r, &p, &base);
	pprof_profile_free(base);
	pprof_profile_free(p);
	return code;
}

const struct cmd cmd_report = {
	.name = "report",
	.usage = "[options] FILE...",
	.summary = "print, filter, convert and merge profiles",
	.text = "Reads any pprof file, also those of Go's own profiler; several files are merged.\n\n"
		"Examples:\n"
		"  prowl report prowl.etcd.4242.cpu.*.pb.gz\n"
		"  prowl report -f folded cpu.pb.gz | flamegraph.pl > flame.svg\n"
		"  prowl report -f html -o cpu.html cpu.pb.gz\n"
		"  prowl report -f pgo -o default.pgo cpu.*.pb.gz\n"
		"  prowl report -f html -o change.html --diff-base before.pb.gz after.pb.gz\n"
		"  prowl report -t inuse_space --cum -n 20 heap.pb.gz\n"
		"  prowl report --focus 'net/http' --hide '^runtime\\.' --granularity line cpu.pb.gz\n"
		"  prowl report --peek 'json\\.Marshal' cpu.pb.gz\n"
		"  prowl report --tag endpoint=/api --tagroot endpoint -f tree cpu.pb.gz\n",
	.opts = report_opts,
	.operands = OPERANDS_FILES,
	.size = sizeof(struct report),
	.run = run,
};
