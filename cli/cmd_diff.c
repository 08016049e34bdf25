/* SPDX-License-Identifier: Apache-2.0 */
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "err.h"
#include "gate.h"
#include "term.h"

struct diff {
	struct gate gate;
};

/* split_sides takes those that are written in full. */
static bool take_short(const struct opt *o, void *field, const char *arg)
{
	say_error("write --%s in full", o->name);
	return false;
}

static const struct opt diff_opts[] = {
	{.name = "base",
	 .arg = "FILES",
	 .take = take_short,
	 .help = "profiles of runs before the change"},
	{.name = "head", .arg = "FILES", .take = take_short, .help = "profiles of runs after it"},
	OPT_WORD(0, "mode", "MODE", "(default: absolute, for runs of the same work)", struct diff,
		 gate.o.exposure, gate_mode_words),
	OPT_TEXT(0, "ops", "LIST", "with per-op: the operations of each base and head profile",
		 struct diff, gate.ops),
	GATE_OPTIONS(struct diff, gate),
	OPT_END,
};

/* Expands a pattern that the shell left alone, in quotes or behind --base=. */
static bool take(struct gate_side *s, const char *word)
{
	bool ok = true;
	glob_t found;

	if (access(word, F_OK) == 0 || glob(word, 0, NULL, &found) != 0)
		return gate_take(s, word);
	for (size_t i = 0; i < found.gl_pathc && ok; i++)
		ok = gate_take(s, found.gl_pathv[i]);
	globfree(&found);
	return ok;
}

/*
 * --base and --head take all words up to the next option, since a shell expands a pattern into
 * several. Removes them from argv for the usual parser. Two plain words are base and head.
 */
static bool split_sides(void *options, int *argc, char **argv)
{
	struct gate *g = &((struct diff *)options)->gate;
	struct gate_side *now = NULL, plain = {0};
	bool ok = true;
	int n = 1;

	for (int i = 1; i < *argc && ok; i++) {
		char *word = argv[i];
		bool base = !strncmp(word, "--base", 6), head = !strncmp(word, "--head", 6);

		if ((base || head) && (!word[6] || word[6] == '=')) {
			now = base ? &g->base : &g->head;
			if (word[6])
				ok = take(now, word + 7);
		} else if (word[0] != '-' || !word[1]) {
			ok = now ? take(now, word) : gate_take(&plain, word);
		} else {
			now = NULL;
			argv[n++] = word;
			if (opts_takes_next(&cmd_diff, word) && i + 1 < *argc)
				argv[n++] = argv[++i];
		}
	}
	argv[n] = NULL;
	*argc = n;
	if (ok && plain.n == 2 && !g->base.n && !g->head.n) {
		ok = take(&g->base, plain.paths[0]) && take(&g->head, plain.paths[1]);
	} else if (ok && plain.n) {
		say_error(
			"which side is it? prowl diff BASE HEAD, or --base FILE... --head FILE...");
		ok = false;
	}
	for (size_t i = 0; i < plain.n; i++)
		free(plain.paths[i]);
	free(plain.paths);
	return ok;
}

static enum prowl_code check(void *options, char **words, size_t n)
{
	return gate_check(&((struct diff *)options)->gate);
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	return gate_compare(&((struct diff *)options)->gate);
}

static void fini(void *options)
{
	gate_fini(&((struct diff *)options)->gate);
}

const struct cmd cmd_diff = {
	.name = "diff",
	.usage = "[options] BASE HEAD, or --base FILE... --head FILE...",
	.summary = "compare profiles of runs; fail on a regression that is more than noise",
	.text = "Give the profiles of several runs of the same work on each side, at least five, taken "
		"in turn\non one machine. Exit code 0: no regression, 3: a regression, 7: inconclusive.\n\n"
		"Examples:\n"
		"  prowl diff --base base/*.pb.gz --head head/*.pb.gz\n"
		"  prowl diff --base base/*.pb.gz --head head/*.pb.gz -o diff.md --rules prowl.yaml\n"
		"  prowl diff --mode share yesterday.pb.gz today.pb.gz\n",
	.opts = diff_opts,
	.operands = OPERANDS_FILES,
	.size = sizeof(struct diff),
	.defaults = &(const struct diff){.gate.lines = GATE_LINES},
	.begin = split_sides,
	.check = check,
	.run = run,
	.fini = fini,
};
