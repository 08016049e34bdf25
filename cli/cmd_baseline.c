/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "baseline.h"
#include "cmd.h"
#include "err.h"
#include "input.h"
#include "json.h"
#include "term.h"

enum { ID_KEEP = 1, ID_LIKE, ID_REVISION, ID_JSON, ID_QUIET };

static const struct opt baseline_opts[] = {
	{0, "keep", "N", "save: keep the newest N revisions of each program and machine", ID_KEEP},
	{0, "like", "FILE", "use: for a comparison with this profile", ID_LIKE},
	{0, "revision", "REV", "use: of this revision, instead of the newest other one",
	 ID_REVISION},
	{0, "json", NULL, "list: as JSON", ID_JSON},
	{'q', "quiet", NULL, "print only what was asked for", ID_QUIET},
	OPT_END,
};

struct options {
	uint64_t keep;
	const char *like, *revision;
	bool json;
};

/* --- save ------------------------------------------------------------------------ */

static bool save_file(struct baseline *b, char *path)
{
	struct pprof_profile *p = input_load(&path, 1);
	bool ok = p && baseline_save(b, p);

	pprof_profile_free(p);
	return ok;
}

static int save(struct baseline *b, const struct options *o, char **files, size_t n)
{
	int removed = 0;

	for (size_t i = 0; i < n; i++) {
		if (!save_file(b, files[i]))
			return PROWL_FAILED;
	}
	if (o->keep)
		removed = baseline_keep(b, o->keep);
	if (removed < 0)
		return PROWL_FAILED;
	say_info("saved %zu %s in %s, removed %d old %s", n, n == 1 ? "profile" : "profiles",
		 b->dir, removed, removed == 1 ? "set" : "sets");
	return PROWL_OK;
}

/* --- list ------------------------------------------------------------------------ */

static void print_time(FILE *f, int64_t ns)
{
	time_t seconds = ns / 1000000000;
	char text[32];
	struct tm tm;

	if (!ns || !gmtime_r(&seconds, &tm) ||
	    !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(text, sizeof text, "-");
	fputs(text, f);
}

static void list_text(const struct baseline *b)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct baseline_set *s = &b->sets[i];

		print_time(stdout, s->time);
		printf("  %2zu x %-12s ", s->nfiles, s->key.kind);
		text_put(stdout, s->key.package);
		printf("  %.12s  ", s->key.revision[0] ? s->key.revision : "-");
		text_put(stdout, s->key.go[0] ? s->key.go : "-");
		fputs("  ", stdout);
		text_put(stdout, s->key.machine[0] ? s->key.machine : "-");
		putchar('\n');
	}
}

static void list_json(const struct baseline *b)
{
	struct json j;

	json_begin(&j, stdout);
	json_open(&j, "sets", '[');
	for (size_t i = 0; i < b->n; i++) {
		const struct baseline_set *s = &b->sets[i];

		json_open(&j, NULL, '{');
		json_string(&j, "dir", s->dir);
		json_string(&j, "kind", s->key.kind);
		json_string(&j, "package", s->key.package);
		json_string(&j, "revision", s->key.revision);
		json_string(&j, "go", s->key.go);
		json_string(&j, "machine", s->key.machine);
		json_signed(&j, "time_nanos", s->time);
		json_number(&j, "profiles", s->nfiles);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_end(&j);
}

/* --- use ------------------------------------------------------------------------- */

static void print_files(const struct baseline *b, const struct baseline_set *s)
{
	/* Numbers may have gaps: 99 is beyond what a set has. */
	for (unsigned i = 1, found = 0; found < s->nfiles && i < 10000; i++) {
		char path[4096];
		FILE *f;

		snprintf(path, sizeof path, "%s/%s/%02u.pb.gz", b->dir, s->dir, i);
		f = fopen(path, "re");
		if (!f)
			continue;
		fclose(f);
		found++;
		puts(path);
	}
}

static int use(const struct baseline *b, const struct options *o)
{
	struct pprof_profile *p = input_load((char *[]){(char *)o->like}, 1);
	struct baseline_key like = {0};
	const struct baseline_set *s;

	if (!p || !baseline_key_of(p, &like)) {
		pprof_profile_free(p);
		return PROWL_FAILED;
	}
	s = baseline_find(b, &like, o->revision);
	if (!s) {
		say_error("%s has no %s profile of %s%s%s", b->dir, like.kind, like.package,
			  o->revision ? " at revision " : " but of the same revision",
			  o->revision ? o->revision : "");
	} else {
		if (strcmp(s->key.machine, like.machine) != 0)
			say_warning("the machine differs: %s", s->key.machine);
		if (strcmp(s->key.go, like.go) != 0)
			say_warning("the Go version differs: %s", s->key.go);
		say_info("base: %.12s, %zu profiles", s->key.revision, s->nfiles);
		print_files(b, s);
	}
	baseline_key_fini(&like);
	pprof_profile_free(p);
	return s ? PROWL_OK : PROWL_NOTHING;
}

/* --- the command ----------------------------------------------------------------- */

static int act(const struct options *o, char **words, size_t n)
{
	bool saves = !strcmp(words[0], "save");
	struct baseline b;
	int code = PROWL_OK;

	if (!baseline_open(&b, words[1], saves)) {
		baseline_close(&b);
		return PROWL_FAILED;
	}
	if (saves)
		code = save(&b, o, words + 2, n - 2);
	else if (!strcmp(words[0], "use"))
		code = use(&b, o);
	else if (o->json)
		list_json(&b);
	else
		list_text(&b);
	baseline_close(&b);
	return code;
}

static bool check(const struct options *o, char **words, size_t n)
{
	bool saves = n > 0 && !strcmp(words[0], "save"), lists = n > 0 && !strcmp(words[0], "list");
	bool uses = n > 0 && !strcmp(words[0], "use");

	if (!saves && !lists && !uses)
		say_error("prowl baseline save DIR FILE..., list DIR, or use DIR --like FILE");
	else if (n < 2)
		say_error("which folder? prowl baseline %s DIR", words[0]);
	else if (saves ? n < 3 : n > 2)
		say_error(saves ? "which profiles? prowl baseline save DIR FILE..."
				: "one folder at a time");
	else if (uses != (o->like != NULL))
		say_error(uses ? "for which profile? --like FILE" : "--like is for use");
	else
		return true;
	return false;
}

static int run(int argc, char **argv)
{
	struct options b = {0};
	struct opts o;
	const char *arg;
	int id, first, code = PROWL_USAGE;
	bool ok = true;

	opts_permute(&cmd_baseline, argc, argv);
	opts_init(&o, &cmd_baseline, argc, argv);
	while (ok && (id = opts_next(&o, &arg, &first, &code)) >= 0) {
		switch (id) {
		case ID_KEEP:
			ok = opts_number("keep", arg, 1, 1000000, &b.keep);
			break;
		case ID_LIKE:
			b.like = arg;
			break;
		case ID_REVISION:
			b.revision = arg;
			break;
		case ID_JSON:
			b.json = true;
			break;
		case ID_QUIET:
			say_level(SAY_QUIET);
			break;
		}
	}
	opts_fini(&o);
	if (ok && id == OPTS_EXIT)
		return code;
	if (!ok || !check(&b, argv + first, (size_t)(argc - first)))
		return PROWL_USAGE;
	return act(&b, argv + first, (size_t)(argc - first));
}

const struct cmd cmd_baseline = {
	.name = "baseline",
	.usage = "save DIR FILE... | list DIR | use DIR --like FILE",
	.summary = "keep profiles of earlier builds, and find the ones to compare with",
	.text = "The folder holds ordinary pprof files, in sets by program, revision, Go version and "
		"machine, which\nprofiles say in their comments. A branch, an artifact store or a bucket can keep "
		"it.\n\n"
		"Examples:\n"
		"  prowl baseline save baseline head/*.pb.gz --keep 20\n"
		"  prowl diff --base $(prowl baseline use baseline --like head/1.pb.gz) --head head/*.pb.gz\n",
	.opts = baseline_opts,
	.run = run,
};
