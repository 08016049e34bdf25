/* SPDX-License-Identifier: Apache-2.0 */
/* Reports what works on this machine, and how to make the rest work. */
#include <string.h>

#include "cmd.h"
#include "common_opts.h"
#include "doctor.h"
#include "jsonout.h"
#include "privilege.h"
#include "term.h"

struct doctor_opts {
	pid_t pid;
	bool json;
};

static const struct opt doctor_opts[] = {
	OPT_PID("also check what may be done with this process", struct doctor_opts, pid),
	OPT_JSON("print JSON", struct doctor_opts, json),
	OPT_END,
};

static const char *const states[] = {"ok", "warn", "FAIL"};

/*
 * Prints the lines of a fix with a margin, so that commands and YAML can be copied; each text once.
 */
static void put_fix(const struct prowl_doctor *d, size_t i)
{
	const char *s = d->checks[i].fix;

	for (size_t k = 0; *s && k < i; k++) {
		if (!strcmp(d->checks[k].fix, s)) {
			printf("          the same as for: %s\n", d->checks[k].what);
			return;
		}
	}
	while (*s) {
		size_t n = strcspn(s, "\n");

		printf("          %.*s\n", (int)n, s);
		s += n + (s[n] == '\n');
	}
}

static void put_text(const struct prowl_doctor *d)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct prowl_check *c = &d->checks[i];

		printf("%-4s  %s: ", states[c->state], c->what);
		text_put(stdout, c->value);
		putchar('\n');
		put_fix(d, i);
	}
	putchar('\n');
	text_put(stdout, d->verdict);
	putchar('\n');
}

static void put_json(const struct prowl_doctor *d)
{
	static const char *const works[] = {"nothing", "user", "kernel+user"};
	static const char *const words[] = {"ok", "warn", "fail"};
	struct jsonout j;

	pp_json_begin(&j, stdout, JSONOUT_INDENTED);
	if (d->pid)
		pp_json_unsigned(&j, "pid", (uint64_t)d->pid);
	pp_json_text(&j, "works", works[d->works]);
	pp_json_bool(&j, "whole_cpus", d->whole_cpus);
	pp_json_text(&j, "verdict", d->verdict);
	pp_json_open(&j, "checks", '[');
	for (size_t i = 0; i < d->n; i++) {
		const struct prowl_check *c = &d->checks[i];

		pp_json_open(&j, NULL, '{');
		pp_json_text(&j, "id", c->id);
		pp_json_text(&j, "state", words[c->state]);
		pp_json_text(&j, "what", c->what);
		pp_json_text(&j, "value", c->value);
		pp_json_text(&j, "fix", c->fix[0] ? c->fix : NULL);
		pp_json_close(&j, '}');
	}
	pp_json_close(&j, ']');
	pp_json_end(&j);
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	const struct doctor_opts *o = options;
	struct prowl_err err = {0};
	struct prowl_doctor *d;
	enum prowl_code code;

	prowl_privilege_raise();
	if (prowl_doctor_new(o->pid, &d, &err) != PROWL_OK)
		return say_failure(&err);
	if (o->json)
		put_json(d);
	else
		put_text(d);
	code = d->works == PROWL_WORKS_NOTHING ? PROWL_PERMISSION : PROWL_OK;
	prowl_doctor_free(d);
	return code;
}

const struct cmd cmd_doctor = {
	.name = "doctor",
	.usage = "[options]",
	.summary = "check permissions and kernel features, and how to get what is missing",
	.text = "Exits 0 when CPU profiles work (with --pid: of that process), 4 when they don't.\n"
		"Nothing is changed.\n\n"
		"Examples:\n"
		"  prowl doctor\n"
		"  prowl doctor --pid 4242\n",
	.opts = doctor_opts,
	.size = sizeof(struct doctor_opts),
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ | PROWL_MAY_NAME,
	.run = run,
};
