/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include "cmd.h"
#include "http.h"
#include "input.h"
#include "pprof.h"
#include "pprof_report.h"
#include "term.h"
#include "view.h"

enum { ID_TYPE = 1, ID_BASE, ID_PORT, ID_NO_BROWSER, ID_COLOR };

static const struct opt open_opts[] = {
	{'t', "type", "NAME", "which values are shown first (default: the profile's)", ID_TYPE},
	{0, "diff-base", "FILE", "show what changed since this profile", ID_BASE},
	{0, "port", "N", "port on the loopback address (default: any that is free)", ID_PORT},
	{0, "no-browser", NULL, "only print the address", ID_NO_BROWSER},
	{0, "color", "WHEN", "auto, always or never", ID_COLOR},
	OPT_END,
};

struct opening {
	struct pprof_report_options o;
	const char *base_path;
	uint16_t port;
	bool no_browser;
	struct pprof_profile *p, *base;
	char *html;
	size_t html_len;
	uint8_t *pprof;
	size_t pprof_len;
};

static void opening_fini(struct opening *x)
{
	pprof_profile_free(x->p);
	pprof_profile_free(x->base);
	free(x->html);
	free(x->pprof);
}

static bool parse(struct opening *x, int argc, char **argv, int *first, int *code)
{
	struct opts o;
	const char *arg;
	bool ok = true;
	uint64_t n;
	int id;

	opts_permute(&cmd_open, argc, argv);
	opts_init(&o, &cmd_open, argc, argv);
	while (ok && (id = opts_next(&o, &arg, first, code)) >= 0) {
		switch (id) {
		case ID_TYPE:
			x->o.sample_type = arg;
			break;
		case ID_BASE:
			x->base_path = arg;
			break;
		case ID_PORT:
			ok = opts_number("port", arg, 1, 65535, &n);
			x->port = (uint16_t)n;
			break;
		case ID_NO_BROWSER:
			x->no_browser = true;
			break;
		case ID_COLOR:
			ok = say_color(arg);
			if (!ok)
				say_error("--color wants auto, always or never, not '%s'", arg);
			break;
		}
	}
	opts_fini(&o);
	if (!ok)
		*code = PROWL_USAGE;
	return ok && id == OPTS_DONE;
}

static int render(struct opening *x)
{
	FILE *f = open_memstream(&x->html, &x->html_len);
	int r = f ? pprof_report_html(x->p, &x->o, f) : -errno;

	if (f && fclose(f) != 0 && r == 0)
		r = -errno;
	return r;
}

/* As prowl report has it: without the frames that a profile wants to be dropped. */
static bool view_as_report(struct pprof_profile **p, int *code)
{
	struct view whole = {0};

	return !*p || view_apply(&whole, p, VIEW_AS_REPORT, code);
}

static int load(struct opening *x, char **paths, size_t n)
{
	int r, code;

	x->p = input_load(paths, n);
	if (!x->p)
		return PROWL_FAILED;
	if (x->base_path) {
		x->base = input_load_base(x->base_path, x->p, x->o.sample_type);
		if (!x->base)
			return PROWL_FAILED;
	}
	/* The file is served as it is. */
	r = pprof_encode(x->p, PPROF_LEVEL_DEFAULT, &x->pprof, &x->pprof_len);
	if (r == 0 && (!view_as_report(&x->p, &code) || !view_as_report(&x->base, &code)))
		return code;
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

/* Where there is a desktop; not as root, for whom browsers don't start, and who should not. */
static void start_browser(const char *url)
{
	char program[] = "xdg-open", *argv[] = {program, (char *)url, NULL};
	posix_spawn_file_actions_t quiet;
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;

	if ((!getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY")) || geteuid() == 0)
		return;
	if (posix_spawn_file_actions_init(&quiet) != 0 || posix_spawnattr_init(&attr) != 0)
		return;
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, program, &quiet, &attr, argv, environ) != 0)
		say_info("xdg-open is not there: open the address yourself");
	posix_spawn_file_actions_destroy(&quiet);
	posix_spawnattr_destroy(&attr);
}

static int serve(struct opening *x)
{
	const struct http_page pages[] = {
		{"/", "text/html; charset=utf-8", NULL, x->html, x->html_len},
		{"/profile.pb.gz", "application/octet-stream", "profile.pb.gz", x->pprof,
		 x->pprof_len},
		{0},
	};
	struct http_server *server;
	const char *why;
	char url[128];
	sigset_t ends;
	int r, sig;

	/* Before there is a thread, which then doesn't take them either. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	r = http_serve(pages, &x->port, &server, &why);
	if (r == -ENOTSUP) {
		say_error("%s; meanwhile: prowl report -f html -o report.html FILE", why);
		return PROWL_UNSUPPORTED;
	}
	if (r < 0) {
		say_error("can't listen at 127.0.0.1:%u: %s", x->port, strerror(-r));
		return r == -EACCES ? PROWL_PERMISSION : PROWL_FAILED;
	}
	snprintf(url, sizeof url, "http://127.0.0.1:%u/?t=%s", x->port, http_token(server, 0));
	puts(url);
	fflush(stdout);
	say_info("for you on this machine, each address once; the file itself: go tool pprof "
		 "'http://127.0.0.1:%u/profile.pb.gz?t=%s'; Ctrl-C ends",
		 x->port, http_token(server, 1));
	if (!x->no_browser)
		start_browser(url);
	sigwait(&ends, &sig);
	http_end(server);
	return PROWL_OK;
}

static int run(int argc, char **argv)
{
	struct opening x = {0};
	int first, code;

	if (!parse(&x, argc, argv, &first, &code))
		return code;
	if (first == argc) {
		say_error("which file? prowl open FILE...");
		return PROWL_USAGE;
	}
	code = load(&x, argv + first, (size_t)(argc - first));
	if (code == PROWL_OK)
		code = serve(&x);
	opening_fini(&x);
	return code;
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
	.run = run,
};
