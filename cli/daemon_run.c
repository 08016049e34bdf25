/* SPDX-License-Identifier: Apache-2.0 */
/* prowl daemon run: flags → the configuration → the daemon. */
#include <stdio.h>
#include <string.h>

#include "common_opts.h"
#include "config.h"
#include "daemon.h"
#include "daemon_verbs.h"
#include "privilege.h"
#include "term.h"

enum { MOST = 16 };

struct words { /* of an option that may be repeated */
	const char *word[MOST];
	size_t n;
};

struct run_opts {
	const char *config, *store, *level;
	uint64_t rate, time_scale;
	struct words listen, names, pids;
	bool no_store;
};

static bool take_word(const struct opt *o, void *field, const char *arg)
{
	struct words *w = field;

	if (w->n == MOST) {
		say_error("--%s: more than %d of them", o->name, MOST);
		return false;
	}
	w->word[w->n++] = arg;
	return true;
}

static bool take_pid(const struct opt *o, void *field, const char *arg)
{
	pid_t pid;

	return opts_parse_pid(arg, &pid) && take_word(o, field, arg);
}

/* --- flags win over the file --------------------------------------------------------------------
 */

static enum prowl_code set_values(const struct run_opts *o, struct prowl_config *c,
				  struct prowl_err *err)
{
	enum prowl_code code = PROWL_OK;
	char number[24];

	if (o->rate) {
		snprintf(number, sizeof number, "%llu", (unsigned long long)o->rate);
		code = prowl_config_set(c, "profile.rate", number, "--rate", err);
	}
	if (code == PROWL_OK && o->store)
		code = prowl_config_set(c, "store.path", o->store, "--store", err);
	if (code == PROWL_OK && o->level)
		code = prowl_config_set(c, "log.level", o->level, "--log-level", err);
	if (o->listen.n)
		c->listen = (struct prowl_texts){0};
	for (size_t i = 0; i < o->listen.n && code == PROWL_OK; i++)
		code = prowl_config_set(c, "listen", o->listen.word[i], "--listen", err);
	return code;
}

static enum prowl_code add_rules(const struct run_opts *o, struct prowl_config *c,
				 struct prowl_err *err)
{
	enum prowl_code code = PROWL_OK;
	pid_t pid;

	for (size_t i = 0; i < o->names.n && code == PROWL_OK; i++)
		code = prowl_config_add_name(c, o->names.word[i], err);
	for (size_t i = 0; i < o->pids.n && code == PROWL_OK; i++) {
		if (opts_parse_pid(o->pids.word[i], &pid))
			code = prowl_config_add_pid(c, pid, err);
	}
	return code;
}

static enum prowl_code configure(void *ctx, struct prowl_config **ret, struct prowl_err *err)
{
	const struct run_opts *o = ctx;
	struct prowl_config *c;
	enum prowl_code code = prowl_config_load(o->config, &c, err);

	if (code != PROWL_OK)
		return code;
	code = set_values(o, c, err);
	if (code == PROWL_OK)
		code = add_rules(o, c, err);
	if (code == PROWL_OK)
		*ret = c;
	else
		prowl_config_free(c);
	return code;
}

/* --- the command
 * ---------------------------------------------------------------------------------- */

static enum prowl_code run(void *options, char **words, size_t n)
{
	struct run_opts *o = options;
	struct prowl_daemon_options daemon = {
		.configure = configure,
		.ctx = o,
		.no_store = o->no_store,
		.time_scale = (unsigned int)o->time_scale,
	};
	struct prowl_err err = {0};

	prowl_privilege_raise();
	if (prowl_daemon_run(&daemon, &err) != PROWL_OK)
		return say_failure(&err);
	return PROWL_OK;
}

static enum prowl_code check(void *options, char **words, size_t n)
{
	const struct run_opts *o = options;

	if (!o->no_store || !o->store)
		return PROWL_OK;
	say_error("give either --store or --no-store");
	return PROWL_USAGE;
}

static const char *const levels[] = {"error", "warning", "info", "debug", NULL};

static const struct opt run_opts[] = {
	OPT_TEXT(0, "config", "FILE",
		 "the configuration (default $XDG_CONFIG_HOME/prowl/daemon.yaml, "
		 "/etc/prowl/daemon.yaml)",
		 struct run_opts, config),
	{.name = "listen",
	 .arg = "ADDRESS",
	 .help = "unix:PATH or http://HOST:PORT; may be repeated",
	 .take = take_word,
	 .at = OPT_FIELD(struct run_opts, listen, struct words)},
	OPT_TEXT(0, "store", "DIR",
		 "where profiles are kept (default $XDG_STATE_HOME/prowl; root: /var/lib/prowl)",
		 struct run_opts, store),
	OPT_FLAG(0, "no-store", "keep nothing", struct run_opts, no_store),
	OPT_NUMBER(0, "rate", "samples per second of CPU time (default 19)", struct run_opts, rate,
		   1, 1000),
	{.letter = 'p',
	 .name = "pid",
	 .arg = "PID",
	 .help = "profile this process, too; may be repeated",
	 .take = take_pid,
	 .at = OPT_FIELD(struct run_opts, pids, struct words)},
	{.letter = 'n',
	 .name = "name",
	 .arg = "NAME",
	 .help = "profile processes of this name, too; may be repeated",
	 .take = take_word,
	 .at = OPT_FIELD(struct run_opts, names, struct words)},
	{.name = "log-level",
	 .arg = "LEVEL",
	 .help = "(default info)",
	 .take = opts_text,
	 .at = OPT_FIELD(struct run_opts, level, const char *),
	 .words = levels},
	OPT_NUMBER(0, "time-scale",
		   "windows, hours and periods are N times shorter: for demonstrations and tests",
		   struct run_opts, time_scale, 1, 60),
	OPT_END,
};

const struct cmd daemon_run = {
	.name = "daemon run",
	.usage = "[options]",
	.summary = "profile, keep and serve, until SIGTERM",
	.text = "Without a configuration: every Go program that may be profiled, 19 times a second of CPU\n"
		"time, into a store that is bounded; served on a Unix socket. SIGHUP reads the\n"
		"configuration again.\n\n"
		"Examples:\n"
		"  prowl daemon run\n"
		"  prowl daemon run --store /tmp/profiles --listen http://127.0.0.1:7424\n"
		"  prowl daemon run --name nginx\n",
	.opts = run_opts,
	.size = sizeof(struct run_opts),
	.check = check,
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ | PROWL_MAY_NAME,
	.run = run,
};
