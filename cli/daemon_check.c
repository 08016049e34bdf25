/* SPDX-License-Identifier: Apache-2.0 */
/* prowl daemon check: the configuration, the processes of this moment and what is missing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common_opts.h"
#include "config.h"
#include "daemon.h"
#include "daemon_verbs.h"
#include "jsonout.h"
#include "privilege.h"
#include "procfs.h"
#include "proclist.h"
#include "subject.h"
#include "term.h"

struct check_opts {
	const char *config;
	bool all, json;
};

struct checking { /* under way */
	const struct check_opts *o;
	const struct prowl_config *config;
	struct prowl_names *names;
	struct jsonout *j;
	char host[256];
	size_t targets, denied, others;
};

struct verdict { /* on one process */
	const struct prowl_rule *rule;
	bool profiled;
	const struct prowl_series *series;
	char why[256]; /* it can't be profiled; "": it can */
};

/* --- one process ---------------------------------------------------------------------- */

static void put_text(const struct prowl_process *p, const struct verdict *v)
{
	const char *service = prowl_series_get(v->series, PROWL_SERIES_SERVICE);
	int pad = strlen(service) < 24 ? 24 - (int)strlen(service) : 0;

	printf("%7d  ", (int)p->pid);
	text_put(stdout, service);
	printf("%*s  %-16s  ", pad, "", v->rule ? v->rule->origin : "none");
	if (!v->profiled)
		puts("no");
	else
		puts(v->why[0] ? v->why : "yes");
}

static void put_json(struct jsonout *j, const struct prowl_process *p, const struct verdict *v)
{
	pp_json_open(j, NULL, '{');
	pp_json_unsigned(j, "pid", (uint64_t)p->pid);
	pp_json_text(j, "name", p->comm);
	pp_json_bool(j, "profile", v->profiled);
	pp_json_text(j, "rule", v->rule ? v->rule->origin : NULL);
	pp_json_text(j, "obstacle", v->profiled && v->why[0] ? v->why : NULL);
	pp_json_open(j, "labels", '{');
	for (size_t i = 0; i < v->series->n; i++)
		pp_json_text(j, v->series->labels[i].name, v->series->labels[i].value);
	pp_json_close(j, '}');
	pp_json_close(j, '}');
}

static void put(struct checking *c, const struct prowl_process *p, const struct verdict *v)
{
	if (c->j)
		put_json(c->j, p, v);
	else
		put_text(p, v);
}

static void see(const struct prowl_process *p, const char *cgroup, struct prowl_process_facts *ret)
{
	const struct prowl_buildinfo *b = &p->program->build;

	*ret = (struct prowl_process_facts){
		.pid = p->pid,
		.uid = p->uid,
		.comm = p->comm,
		.exe = p->exe,
		.cgroup = cgroup,
		.go = p->program->go,
		.go_version = p->program->go_version,
		.package = b->store ? b->path : NULL,
		.module = b->store ? b->main.path : NULL,
		.revision = b->store ? prowl_buildinfo_setting(b, "vcs.revision") : NULL,
		.go_build_id = p->program->go_build_id,
		.build_id = p->program->build_id,
	};
}

static int look(void *ctx, const struct prowl_process *p)
{
	struct checking *c = ctx;
	struct prowl_series *series;
	struct prowl_known known;
	struct prowl_process_facts seen;
	struct verdict v = {0};
	char cgroup[8192];

	prowl_read_of(p->pid, "cgroup", cgroup, sizeof cgroup);
	see(p, cgroup, &seen);
	prowl_known_of(c->names, &seen, 1, &known);
	v.rule = prowl_rules_find(&c->config->rules, &known.subject);
	v.profiled = v.rule && v.rule->profile && !known.place.helper;
	if (v.profiled)
		prowl_process_obstacle(p, v.why, sizeof v.why);
	c->targets += v.profiled;
	c->others += !v.profiled;
	c->denied += v.profiled && v.why[0];
	if (!v.profiled && !c->o->all)
		return 0;
	if (prowl_subject_series(&known.subject, v.rule, &c->config->labels, c->host, &series) < 0)
		return -ENOMEM;
	v.series = series;
	put(c, p, &v);
	prowl_series_free(series);
	return 0;
}

/* --- places --------------------------------------------------------------------------- */

/* Whether the store can be written, or made below a folder that can. */
static bool check_store(const struct checking *c)
{
	char path[4096], *slash;
	bool made = true;
	int error = 0;

	if (!prowl_config_store(c->config, path, sizeof path)) {
		say_error("the store has no place: set store.path, or XDG_STATE_HOME");
		return false;
	}
	if (access(path, F_OK) < 0)
		made = false;
	if (made && access(path, R_OK | W_OK | X_OK) < 0)
		error = errno;
	if (!c->j)
		say_info("store: %s%s", path, made ? "" : " (will be made)");
	/* The folder that will hold the new one. */
	while (!made && access(path, F_OK) < 0 && (slash = strrchr(path, '/')))
		slash[slash == path] = '\0';
	if (!made && access(path, W_OK | X_OK) < 0)
		error = errno;
	if (error)
		say_error("%s can't be written: %s", path, strerror(error));
	return !error;
}

static void say_places(const struct checking *c)
{
	char socket[4096];

	say_info("configuration: %s", *c->config->file ? c->config->file : "none, the defaults");
	for (size_t i = 0; i < c->config->listen.n; i++)
		say_info("listens on %s", c->config->listen.text[i]);
	if (!c->config->listen.n && prowl_config_socket(socket, sizeof socket))
		say_info("listens on unix:%s", socket);
}

/* --- the command ---------------------------------------------------------------------- */

static void begin_output(struct checking *c, struct jsonout *j)
{
	if (!c->o->json) {
		say_places(c);
		printf("%7s  %-24s  %-16s  %s\n", "PID", "SERVICE", "RULE", "PROFILED");
		return;
	}
	pp_json_begin(j, stdout, JSONOUT_INDENTED);
	pp_json_text(j, "configuration", *c->config->file ? c->config->file : NULL);
	pp_json_open(j, "processes", '[');
	c->j = j;
}

static void end_output(struct checking *c, size_t hidden)
{
	if (c->j) {
		pp_json_close(c->j, ']');
		pp_json_unsigned(c->j, "targets", c->targets);
		pp_json_unsigned(c->j, "denied", c->denied);
		pp_json_unsigned(c->j, "others", c->others);
		pp_json_unsigned(c->j, "not_readable", hidden);
		pp_json_end(c->j);
		return;
	}
	say_info("%zu processes would be profiled%s", c->targets - c->denied,
		 c->others && !c->o->all ? "; --all lists the others" : "");
	if (c->denied)
		say_warning("%zu can't be profiled; prowl doctor says what is missing", c->denied);
	if (hidden)
		say_warning("%zu can't be looked at for want of permission%s", hidden,
			    geteuid() ? ": root, or CAP_SYS_PTRACE, sees more" : "");
}

static enum prowl_code look_at_all(struct checking *c)
{
	struct prowl_list_result res = {0};
	struct prowl_err err = {0};
	struct jsonout j;
	enum prowl_code code;

	begin_output(c, &j);
	prowl_privilege_raise();
	code = prowl_list(PROWL_LIST_ALL, look, c, &res, &err);
	prowl_privilege_lower();
	end_output(c, res.hidden);
	if (code != PROWL_OK)
		return say_failure(&err);
	if (!check_store(c))
		return PROWL_FAILED;
	return c->denied ? PROWL_PERMISSION : PROWL_OK;
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	struct checking c = {.o = options};
	struct prowl_err err = {0};
	struct prowl_config *config;
	enum prowl_code code;

	if (prowl_config_load(c.o->config, &config, &err) != PROWL_OK)
		return say_failure(&err);
	if (prowl_daemon_check(config, &err) != PROWL_OK) {
		prowl_config_free(config);
		return say_failure(&err);
	}
	c.config = config;
	gethostname(c.host, sizeof c.host - 1);
	c.names = prowl_names_new(config->kubernetes.pod_logs, config->docker.containers);
	code = c.names ? look_at_all(&c) : PROWL_FAILED;
	prowl_names_free(c.names);
	prowl_config_free(config);
	return code;
}

static const struct opt check_opts[] = {
	OPT_TEXT(0, "config", "FILE", "the configuration (default as prowl daemon run)",
		 struct check_opts, config),
	OPT_FLAG('a', "all", "processes that no rule takes, too", struct check_opts, all),
	OPT_JSON("print JSON", struct check_opts, json),
	COMMON_SAY,
	OPT_END,
};

const struct cmd daemon_check = {
	.name = "daemon check",
	.usage = "[options]",
	.summary = "check the configuration; print what it would profile",
	.text = "Prints the processes of this moment that would be profiled, under which name, by which\n"
		"rule, and what is missing for it.\n\n"
		"Examples:\n"
		"  prowl daemon check\n"
		"  prowl daemon check --config new.yaml --all\n",
	.opts = check_opts,
	.size = sizeof(struct check_opts),
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ,
	.run = run,
};
