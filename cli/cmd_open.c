/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "browser.h"
#include "cmd.h"
#include "common_opts.h"
#include "input.h"
#include "pages.h"
#include "pprof.h"
#include "pprof_report.h"
#include "stop.h"
#include "term.h"
#include "view.h"

struct opening {
	struct pprof_report_options o;
	const char *base_path;
	unsigned int port;
	bool no_browser;
	struct pprof_profile *p, *base;
	char *html;
	size_t html_len;
	uint8_t *pprof;
	size_t pprof_len;
};

static const struct opt open_opts[] = {
	OPT_TEXT('t', "type", "NAME", "which values are shown first (default: the profile's)",
		 struct opening, o.sample_type),
	OPT_TEXT(0, "diff-base", "FILE", "show what changed since this profile", struct opening,
		 base_path),
	OPT_UINT(0, "port", "N", "port on the loopback address (default: any that is free)",
		 struct opening, port, 1, 65535),
	OPT_FLAG(0, "no-browser", "only print the address", struct opening, no_browser),
	OPT_COLOR,
	OPT_END,
};

static void opening_fini(void *options)
{
	struct opening *x = options;

	pprof_profile_free(x->p);
	pprof_profile_free(x->base);
	free(x->html);
	free(x->pprof);
}

static int render(struct opening *x)
{
	FILE *f = open_memstream(&x->html, &x->html_len);
	int r = f ? pprof_report_html(x->p, &x->o, f) : -errno;

	if (f && fclose(f) != 0 && r == 0)
		r = -errno;
	return r;
}

/* As in prowl report: without the profile's drop_frames. */
static bool view_as_report(struct pprof_profile **p, enum prowl_code *code)
{
	struct view whole = {0};

	return !*p || view_apply(&whole, p, VIEW_AS_REPORT, code);
}

static enum prowl_code load(struct opening *x, char **paths, size_t n)
{
	enum prowl_code code;
	int r;

	x->p = input_load(paths, n);
	if (!x->p)
		return PROWL_FAILED;
	if (x->base_path) {
		x->base = input_load_base(x->base_path, x->p, x->o.sample_type);
		if (!x->base)
			return PROWL_FAILED;
	}
	/* The profile is served unchanged. */
	r = pprof_encode(x->p, PPROF_LEVEL_DEFAULT, &x->pprof, &x->pprof_len);
	if (r == 0 && (!view_as_report(&x->p, &code) || !view_as_report(&x->base, &code)))
		return code;
	x->o.size = sizeof x->o;
	x->o.base = x->base;
	if (r == 0)
		r = render(x);
	if (r == -ENOENT) {
		if (x->p->nsample_types == 0)
			say_error("the profile has no values: it is empty");
		else
			say_error("the profile has no values called '%s'", x->o.sample_type);
		return PROWL_USAGE;
	}
	if (r < 0)
		say_error("%s", strerror(-r));
	return r < 0 ? PROWL_FAILED : PROWL_OK;
}

static enum prowl_code serve(struct opening *x)
{
	const struct page pages[] = {
		{"/", "text/html; charset=utf-8", NULL, x->html, x->html_len},
		{"/profile.pb.gz", "application/octet-stream", "profile.pb.gz", x->pprof,
		 x->pprof_len},
		{0},
	};
	struct pages *server;
	const char *why;
	char url[128];
	uint16_t port = (uint16_t)x->port;
	sigset_t before;
	int r;

	/* Before the server's thread starts: it inherits the mask. */
	stop_hold(&before);
	r = pages_serve(pages, &port, &server, &why);
	if (r == -ENOTSUP) {
		say_error("%s; meanwhile: prowl report -f html -o report.html FILE", why);
		return PROWL_UNSUPPORTED;
	}
	if (r < 0) {
		say_error("can't listen at 127.0.0.1:%u: %s", port, strerror(-r));
		return r == -EACCES ? PROWL_PERMISSION : PROWL_FAILED;
	}
	snprintf(url, sizeof url, "http://127.0.0.1:%u/?t=%s", port, pages_token(server, 0));
	puts(url);
	fflush(stdout);
	say_info("for you on this machine, each address once; the file itself: go tool pprof "
		 "'http://127.0.0.1:%u/profile.pb.gz?t=%s'; Ctrl-C ends",
		 port, pages_token(server, 1));
	if (!x->no_browser)
		browser_start(url);
	stop_wait();
	pages_end(server);
	return PROWL_OK;
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	enum prowl_code code;

	if (n == 0) {
		say_error("no file: prowl open FILE...");
		return PROWL_USAGE;
	}
	code = load(options, words, n);
	return code == PROWL_OK ? serve(options) : code;
}

const struct cmd cmd_open = {
	.name = "open",
	.usage = "[options] FILE...",
	.summary = "look at a profile in the browser",
	.text = "Serves the report of prowl report -f html at an address of the loopback, prints it and,\n"
		"where there is a desktop, opens it. Several files are merged. The address is good for\n"
		"one browser, so that other users of the machine can't look.\n\n"
		"Examples:\n"
		"  prowl open cpu.pb.gz\n"
		"  prowl open --diff-base before.pb.gz after.pb.gz\n"
		"  prowl open --no-browser --port 8080 cpu.pb.gz    # and on your machine:\n"
		"  ssh -L 8080:127.0.0.1:8080 server\n",
	.opts = open_opts,
	.operands = OPERANDS_FILES,
	.size = sizeof(struct opening),
	.run = run,
	.fini = opening_fini,
};
