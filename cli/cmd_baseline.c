/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "baseline.h"
#include "cmd.h"
#include "common_opts.h"
#include "input.h"
#include "jsonout.h"
#include "term.h"

struct options {
	uint64_t keep;
	const char *like, *revision;
	bool json;
};

static const struct opt baseline_opts[] = {
	OPT_NUMBER(0, "keep", "save: keep the newest N revisions of each program and machine",
		   struct options, keep, 1, 1000000),
	OPT_TEXT(0, "like", "FILE", "use: for a comparison with this profile", struct options,
		 like),
	OPT_TEXT(0, "revision", "REV", "use: of this revision, instead of the newest other one",
		 struct options, revision),
	OPT_JSON("list: as JSON", struct options, json),
	OPT_QUIET("print only the result"),
	OPT_END,
};

/* --- save ------------------------------------------------------------------------ */

static bool save_file(struct baseline *b, char *path)
{
	struct pprof_profile *p = input_load(&path, 1);
	bool ok = p && baseline_save(b, p);

	pprof_profile_free(p);
	return ok;
}

static enum prowl_code save(struct baseline *b, const struct options *o, char **files, size_t n)
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
	struct jsonout j;

	pp_json_begin(&j, stdout, JSONOUT_INDENTED);
	pp_json_open(&j, "sets", '[');
	for (size_t i = 0; i < b->n; i++) {
		const struct baseline_set *s = &b->sets[i];

		pp_json_open(&j, NULL, '{');
		pp_json_text(&j, "dir", s->dir);
		pp_json_text(&j, "kind", s->key.kind);
		pp_json_text(&j, "package", s->key.package);
		pp_json_text(&j, "revision", s->key.revision);
		pp_json_text(&j, "go", s->key.go);
		pp_json_text(&j, "machine", s->key.machine);
		pp_json_number(&j, "time_nanos", s->time);
		pp_json_unsigned(&j, "profiles", s->nfiles);
		pp_json_close(&j, '}');
	}
	pp_json_close(&j, ']');
	pp_json_end(&j);
}

/* --- use ------------------------------------------------------------------------- */

static void print_files(const struct baseline *b, const struct baseline_set *s)
{
	/* The numbers may have gaps. */
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

static enum prowl_code use(const struct baseline *b, const struct options *o)
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

static enum prowl_code run(void *options, char **words, size_t n)
{
	const struct options *o = options;
	bool saves = !strcmp(words[0], "save");
	struct baseline b;
	enum prowl_code code = PROWL_OK;

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

static enum prowl_code check(void *options, char **words, size_t n)
{
	const struct options *o = options;
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
		return PROWL_OK;
	return PROWL_USAGE;
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
	.operands = OPERANDS_FILES,
	.size = sizeof(struct options),
	.check = check,
	.run = run,
};
