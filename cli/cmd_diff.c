/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "diff_rules.h"
#include "output.h"
#include "pprof.h"
#include "show_diff.h"
#include "term.h"

enum {
	ID_BASE = 1,
	ID_HEAD,
	ID_FORMAT,
	ID_OUTPUT,
	ID_TYPE,
	ID_BY,
	ID_MODE,
	ID_OPERATIONS,
	ID_TOLERANCE,
	ID_Q,
	ID_MIN_SHARE,
	ID_RULES,
	ID_FAIL_ON,
	ID_LINES,
	ID_COLOR,
};

static const struct opt diff_opts[] = {
	{0, "base", "FILE...", "profiles of runs before the change", ID_BASE},
	{0, "head", "FILE...", "profiles of runs after it", ID_HEAD},
	{'t', "type", "NAME", "which values: cpu, alloc_space, ... (default: the profiles')",
	 ID_TYPE},
	{0, "by", "WHAT", "function (default), file, package or line", ID_BY},
	{0, "mode", "MODE",
	 "absolute (default): each run did the same work; share: of each profile's total; per-op",
	 ID_MODE},
	{0, "ops", "N,N,...", "with per-op: the operations of each base and head profile",
	 ID_OPERATIONS},
	{0, "tolerance", "SHARE", "an increase that is none (default: 5%)", ID_TOLERANCE},
	{0, "q", "SHARE", "false discoveries among the functions found (default: 5%)", ID_Q},
	{0, "min-share", "SHARE", "smaller parts of the total are not judged (default: 0.5%)",
	 ID_MIN_SHARE},
	{0, "rules", "FILE", "tolerances of single functions, and what is accepted (YAML)",
	 ID_RULES},
	{0, "fail-on", "WHAT", "any (default), total, function or never", ID_FAIL_ON},
	{'f', "format", "FORMAT", "text (default), markdown, json, junit or github", ID_FORMAT},
	{'o', "output", "FILE", "default: standard output", ID_OUTPUT},
	{'n', "lines", "N", "unchanged functions that are listed (default: 10)", ID_LINES},
	{0, "color", "WHEN", "auto, always or never", ID_COLOR},
	OPT_END,
};

enum fail_on { FAIL_ANY, FAIL_TOTAL, FAIL_FUNCTION, FAIL_NEVER };

typedef void (*show_fn)(FILE *f, const struct pprof_comparison *c, const struct diff_words *w);

static const struct {
	const char *name, *suffix;
	show_fn show;
} formats[] = {
	{"text", ".txt", show_diff_text},  {"markdown", ".md", show_diff_markdown},
	{"json", ".json", show_diff_json}, {"junit", ".xml", show_diff_junit},
	{"github", "", show_diff_github},
};
enum { NFORMATS = sizeof formats / sizeof *formats };

struct side {
	char **paths;
	size_t n;
};

struct diff {
	struct pprof_compare_options o;
	struct side base, head;
	double *operations;
	size_t noperations;
	struct diff_rules *rules;
	struct pprof_profile **profiles; /* base, then head */
	const char *format, *output, *mode, *ops;
	enum fail_on fail_on;
	uint64_t lines;
	char **warnings;
	size_t nwarnings;
};

/* --- which files ----------------------------------------------------------------- */

static bool takes_argument(const char *word)
{
	for (const struct opt *p = diff_opts; p->name; p++) {
		bool is_long = !strncmp(word, "--", 2) && !strcmp(word + 2, p->name);
		bool is_short = word[0] == '-' && word[1] == p->letter && p->letter && !word[2];

		if (is_long || is_short)
			return p->arg != NULL;
	}
	return false;
}

static void take_path(struct side *s, char *path)
{
	s->paths[s->n++] = path;
}

/*
 * --base and --head hold until the next option: what a shell makes of a pattern are several words.
 * Takes them out of argv; the rest is left to the usual parser. Plain words are base, then head.
 */
static bool split_sides(struct diff *d, int *argc, char **argv)
{
	struct side *now = NULL, plain = {calloc((size_t)*argc + 1, sizeof(char *)), 0};
	int n = 1;

	d->base.paths = calloc((size_t)*argc + 1, sizeof(char *));
	d->head.paths = calloc((size_t)*argc + 1, sizeof(char *));
	if (!plain.paths || !d->base.paths || !d->head.paths)
		return false;
	for (int i = 1; i < *argc; i++) {
		char *word = argv[i];
		bool base = !strncmp(word, "--base", 6), head = !strncmp(word, "--head", 6);

		if ((base || head) && (!word[6] || word[6] == '=')) {
			now = base ? &d->base : &d->head;
			if (word[6])
				take_path(now, word + 7);
		} else if (word[0] != '-' || !word[1]) {
			take_path(now ? now : &plain, word);
		} else {
			now = NULL;
			argv[n++] = word;
			if (takes_argument(word) && i + 1 < *argc)
				argv[n++] = argv[++i];
		}
	}
	argv[n] = NULL;
	*argc = n;
	if (plain.n == 2 && !d->base.n && !d->head.n) {
		take_path(&d->base, plain.paths[0]);
		take_path(&d->head, plain.paths[1]);
		plain.n = 0;
	}
	n = (int)plain.n;
	free(plain.paths);
	if (n)
		say_error(
			"which side is it? prowl diff BASE HEAD, or --base FILE... --head FILE...");
	return n == 0;
}

static const char *path_of(const struct diff *d, size_t i)
{
	return i < d->base.n ? d->base.paths[i] : d->head.paths[i - d->base.n];
}

static struct pprof_profile *load(const char *path)
{
	struct pprof_profile *p;
	struct pprof_diag diag = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0) {
		say_error("%s: %s", path, strerror(errno));
		return NULL;
	}
	r = pprof_read_fd(fd, 0, &p, &diag);
	close(fd);
	if (r == 0)
		return p;
	if (r == -EBADMSG)
		say_error("%s is not a valid profile: %s (at byte %llu)", path,
			  diag.what ? diag.what : "damaged", (unsigned long long)diag.at);
	else
		say_error("%s: %s", path, strerror(-r));
	return NULL;
}

static bool load_all(struct diff *d)
{
	size_t n = d->base.n + d->head.n;

	d->profiles = calloc(n + 1, sizeof *d->profiles);
	for (size_t i = 0; d->profiles && i < n; i++) {
		d->profiles[i] = load(path_of(d, i));
		if (!d->profiles[i])
			return false;
	}
	return d->profiles != NULL;
}

/* --- warnings -------------------------------------------------------------------- */

static void warn(struct diff *d, char *text)
{
	char **bigger = realloc(d->warnings, (d->nwarnings + 1) * sizeof *bigger);

	if (!bigger || !text) {
		free(text);
		return;
	}
	d->warnings = bigger;
	d->warnings[d->nwarnings++] = text;
}

/* What a comment that begins so says; "" without one. */
static const char *said(const struct pprof_profile *p, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < p->ncomments; i++) {
		const char *c = p->strings[p->comments[i]];

		if (!strncmp(c, key, n))
			return c + n;
	}
	return "";
}

/* What makes two profiles hard to compare, whatever the change: told, not refused. */
static void warn_of(struct diff *d, const char *key, const char *what)
{
	const char *first = said(d->profiles[0], key);
	size_t n = d->base.n + d->head.n;

	for (size_t i = 1; i < n; i++) {
		const char *other = said(d->profiles[i], key);
		char *text;

		if (!*first || !*other || !strcmp(first, other))
			continue;
		if (asprintf(&text, "%s differs: %s in %s, %s in %s", what, first, path_of(d, 0),
			     other, path_of(d, i)) >= 0)
			warn(d, text);
		return;
	}
}

static void warn_of_periods(struct diff *d)
{
	for (size_t i = 1; i < d->base.n + d->head.n; i++) {
		char *text;

		if (d->profiles[i]->period == d->profiles[0]->period)
			continue;
		if (asprintf(&text, "the sampling period differs: %lld in %s, %lld in %s",
			     (long long)d->profiles[0]->period, path_of(d, 0),
			     (long long)d->profiles[i]->period, path_of(d, i)) >= 0)
			warn(d, text);
		return;
	}
}

static void find_warnings(struct diff *d)
{
	warn_of(d, "build: go=", "the Go version");
	warn_of(d, "machine: ", "the machine");
	warn_of(d, "build: package=", "the program");
	warn_of_periods(d);
}

/* --- options --------------------------------------------------------------------- */

static bool one_of(const char *option, const char *arg, const char *const *words, int *ret)
{
	for (int i = 0; words[i]; i++) {
		if (!strcmp(arg, words[i])) {
			*ret = i;
			return true;
		}
	}
	say_error("--%s doesn't know '%s'; prowl diff --help lists what it does", option, arg);
	return false;
}

static bool share(const char *option, const char *arg, double *ret)
{
	*ret = diff_parse_percent(arg);
	if (*ret > 0)
		return true;
	say_error("--%s wants a share such as 5%%, not '%s'", option, arg);
	return false;
}

static bool read_operations(struct diff *d)
{
	const char *p = d->ops;

	d->operations = calloc(strlen(p) + 1, sizeof *d->operations);
	while (d->operations && *p) {
		char *end;
		double v = strtod(p, &end);

		if (end == p || !(v > 0) || (*end && *end != ',')) {
			say_error("--ops wants positive numbers, separated by commas, not '%s'", p);
			return false;
		}
		d->operations[d->noperations++] = v;
		p = *end ? end + 1 : end;
	}
	if (d->noperations == d->base.n + d->head.n)
		return true;
	say_error("--ops has %zu numbers, but there are %zu profiles", d->noperations,
		  d->base.n + d->head.n);
	return false;
}

static bool set_option(struct diff *d, int id, const char *arg)
{
	static const char *const by[] = {"function", "file", "package", "line", NULL};
	static const char *const modes[] = {"absolute", "share", "per-op", NULL};
	static const char *const fails[] = {"any", "total", "function", "never", NULL};
	int k;

	switch (id) {
	case ID_TYPE:
		d->o.sample_type = arg;
		return true;
	case ID_BY:
		if (!one_of("by", arg, by, &k))
			return false;
		d->o.by = (enum pprof_by)k;
		return true;
	case ID_MODE:
		if (!one_of("mode", arg, modes, &k))
			return false;
		d->o.exposure = (enum pprof_exposure)k;
		return true;
	case ID_FAIL_ON:
		if (!one_of("fail-on", arg, fails, &k))
			return false;
		d->fail_on = (enum fail_on)k;
		return true;
	case ID_OPERATIONS:
		d->ops = arg;
		return true;
	case ID_TOLERANCE:
		return share("tolerance", arg, &d->o.tolerance);
	case ID_Q:
		return share("q", arg, &d->o.q);
	case ID_MIN_SHARE:
		return share("min-share", arg, &d->o.min_share);
	case ID_RULES:
		d->rules = diff_rules_load(arg);
		return d->rules != NULL;
	case ID_LINES:
		return opts_number("lines", arg, 0, 1000000, &d->lines);
	case ID_FORMAT:
		d->format = arg;
		return true;
	case ID_OUTPUT:
		d->output = arg;
		return true;
	case ID_COLOR:
		if (!say_color(arg))
			say_error("--color wants auto, always or never, not '%s'", arg);
		return say_color(arg);
	default: /* --base and --head are taken out before */
		return false;
	}
}

static bool check(struct diff *d)
{
	if (!d->base.n || !d->head.n) {
		say_error("which profiles? prowl diff BASE HEAD, or --base FILE... --head FILE...");
		return false;
	}
	if ((d->o.exposure == PPROF_PER_OPERATION) != (d->ops != NULL)) {
		say_error("--mode per-op and --ops belong together");
		return false;
	}
	if (d->ops && !read_operations(d))
		return false;
	d->o.operations = d->operations;
	if (d->rules) {
		if (!(d->o.tolerance > 0) && diff_rules_tolerance(d->rules) > 0)
			d->o.tolerance = diff_rules_tolerance(d->rules);
		d->o.tolerance_of = diff_rules_tolerance_of;
		d->o.ctx = d->rules;
	}
	return true;
}

static show_fn choose_format(const struct diff *d)
{
	size_t n = d->output ? strlen(d->output) : 0;

	for (size_t i = 0; i < NFORMATS; i++) {
		size_t k = strlen(formats[i].suffix);

		if (d->format ? !strcmp(d->format, formats[i].name)
			      : n > k && k && !strcmp(d->output + n - k, formats[i].suffix))
			return formats[i].show;
	}
	if (!d->format)
		return show_diff_text;
	say_error("unknown format '%s'; there are text, markdown, json, junit and github",
		  d->format);
	return NULL;
}

/* --- the comparison -------------------------------------------------------------- */

static enum prowl_code exit_of(const struct diff *d, const struct pprof_comparison *c)
{
	bool total = c->total.verdict == PPROF_REGRESSED, function = c->nregressed > 0;

	if (d->fail_on == FAIL_NEVER)
		return PROWL_OK;
	if (c->verdict == PPROF_UNDECIDED)
		return PROWL_INCONCLUSIVE;
	if (c->verdict != PPROF_REGRESSED)
		return PROWL_OK;
	if ((d->fail_on == FAIL_TOTAL && !total) || (d->fail_on == FAIL_FUNCTION && !function))
		return PROWL_OK;
	return PROWL_REGRESSION;
}

/* What GitHub shows below the run. */
static void add_summary(const struct pprof_comparison *c, const struct diff_words *w)
{
	const char *path = getenv("GITHUB_STEP_SUMMARY");
	FILE *f = path && *path ? fopen(path, "ae") : NULL;

	if (path && *path && !f)
		say_warning("%s, the summary of the step, can't be written: %s", path,
			    strerror(errno));
	if (!f)
		return;
	show_diff_markdown(f, c, w);
	fclose(f);
}

static int write_out(const struct diff *d, const struct pprof_comparison *c, show_fn show)
{
	struct diff_words w = {.base = d->base.paths[0],
			       .head = d->head.paths[0],
			       .lines = d->lines,
			       .workspace = getenv("GITHUB_WORKSPACE"),
			       .warnings = (const char *const *)d->warnings,
			       .nwarnings = d->nwarnings};
	bool to_file = d->output && strcmp(d->output, "-") != 0;
	FILE *f = to_file ? fopen(d->output, "we") : stdout;
	const char *actions = getenv("GITHUB_ACTIONS");
	bool failed;

	if (!f) {
		say_error("%s: %s", d->output, strerror(errno));
		return PROWL_FAILED;
	}
	show(f, c, &w);
	failed = fflush(f) != 0 || ferror(f);
	if (to_file)
		failed |= fclose(f) != 0;
	if (failed) {
		say_error("%s: %s", to_file ? d->output : "standard output", strerror(errno));
		return PROWL_FAILED;
	}
	/* A file for machines, and a line for who reads the log. */
	if (show != show_diff_text)
		show_diff_verdict(stderr, c);
	if (actions && !strcmp(actions, "true")) {
		if (to_file || show == show_diff_text)
			show_diff_github(stdout, c, &w);
		add_summary(c, &w);
	}
	return PROWL_OK;
}

static int compare(struct diff *d, show_fn show)
{
	struct pprof_comparison *c;
	struct pprof_diag diag = {0};
	const struct pprof_profile *const *p = (const struct pprof_profile *const *)d->profiles;
	int r = pprof_compare(p, d->base.n, p + d->base.n, d->head.n, &d->o, &c, &diag);
	int code;

	if (r < 0) {
		say_error("%s: %s", path_of(d, diag.at), diag.what ? diag.what : strerror(-r));
		return r == -ENODATA ? PROWL_NOTHING : r == -ENOMEM ? PROWL_FAILED : PROWL_USAGE;
	}
	code = write_out(d, c, show);
	if (code == PROWL_OK)
		code = (int)exit_of(d, c);
	pprof_comparison_free(c);
	return code;
}

static void diff_fini(struct diff *d)
{
	for (size_t i = 0; d->profiles && i < d->base.n + d->head.n; i++)
		pprof_profile_free(d->profiles[i]);
	for (size_t i = 0; i < d->nwarnings; i++)
		free(d->warnings[i]);
	free(d->profiles);
	free(d->warnings);
	free(d->operations);
	free(d->base.paths);
	free(d->head.paths);
	diff_rules_free(d->rules);
}

static int work(struct diff *d)
{
	show_fn show = check(d) ? choose_format(d) : NULL;

	if (!show)
		return PROWL_USAGE;
	if (!load_all(d))
		return PROWL_FAILED;
	find_warnings(d);
	return compare(d, show);
}

static int run(int argc, char **argv)
{
	struct diff d = {.lines = 10};
	struct opts o;
	const char *arg;
	int id = OPTS_DONE, first, code = PROWL_USAGE;
	bool ok = split_sides(&d, &argc, argv);

	opts_init(&o, &cmd_diff, argc, argv);
	while (ok && (id = opts_next(&o, &arg, &first, &code)) >= 0)
		ok = set_option(&d, id, arg);
	opts_fini(&o);
	if (!ok)
		code = PROWL_USAGE;
	else if (id != OPTS_EXIT)
		code = work(&d);
	diff_fini(&d);
	return code;
}

const struct cmd cmd_diff = {
	.name = "diff",
	.usage = "[options] BASE HEAD, or --base FILE... --head FILE...",
	.summary = "compare profiles of runs; fail on a regression that is more than noise",
	.text = "Give the profiles of several runs of the same work on each side, at least five, taken "
		"in turn\non one machine. Exit code 0: no regression, 3: a regression, 7: the data can't "
		"tell.\n\n"
		"Examples:\n"
		"  prowl diff --base base/*.pb.gz --head head/*.pb.gz\n"
		"  prowl diff --base base/*.pb.gz --head head/*.pb.gz -o diff.md --rules prowl.yaml\n"
		"  prowl diff --mode share yesterday.pb.gz today.pb.gz\n",
	.opts = diff_opts,
	.run = run,
};
