/* SPDX-License-Identifier: Apache-2.0 */
/* Shows the rates at which a Go runtime samples its own profiles, and restores them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allow_write.h"
#include "cmd.h"
#include "common_opts.h"
#include "jsonout.h"
#include "privilege.h"
#include "who.h"
#include "term.h"

struct rates {
	pid_t pid;
	bool restore, json;
	struct prowl_rates_wish wish;
};

static const struct opt rates_opts[] = {
	OPT_PID("the Go process", struct rates, pid),
	OPT_FLAG(0, "restore", "set them to what they are when a program starts", struct rates,
		 restore),
	{.name = "set",
	 .arg = "RATES",
	 .take = allow_write_take,
	 .at = OPT_FIELD(struct rates, wish, struct prowl_rates_wish),
	 .help = "such as heap-rate=0,block-rate=1ms: set these, for good"},
	OPT_JSON("print JSON", struct rates, json),
	OPT_END,
};

static void show_text(const struct prowl_rate_now *now)
{
	static const char *const units[PROWL_RATES] = {
		[PROWL_RATE_HEAP] = "bytes a sample",
		[PROWL_RATE_BLOCK] = "ns blocked a sample",
		[PROWL_RATE_MUTEX] = "contentions a sample",
	};

	for (int i = 0; i < PROWL_RATES; i++) {
		printf("%-11s  %-26s  ", prowl_rate_name((enum prowl_rate)i),
		       prowl_rate_variable((enum prowl_rate)i));
		if (now[i].known)
			printf("%llu %s; at the start %llu\n", (unsigned long long)now[i].value,
			       units[i], (unsigned long long)now[i].start);
		else
			puts("not known for certain where it is");
	}
}

static void show_json(const struct prowl_rate_now *now)
{
	struct jsonout j;

	pp_json_begin(&j, stdout, JSONOUT_INDENTED);
	for (int i = 0; i < PROWL_RATES; i++) {
		pp_json_open(&j, prowl_rate_name((enum prowl_rate)i), '{');
		pp_json_text(&j, "variable", prowl_rate_variable((enum prowl_rate)i));
		pp_json_bool(&j, "known", now[i].known);
		if (now[i].known)
			pp_json_unsigned(&j, "value", now[i].value);
		pp_json_unsigned(&j, "start", now[i].start);
		pp_json_close(&j, '}');
	}
	pp_json_end(&j);
}

/* Rates that already have their start value are not written. */
static void wish_for_start(struct rates *c, const struct prowl_rate_now *now)
{
	for (int i = 0; i < PROWL_RATES; i++) {
		if (!now[i].known || now[i].value == now[i].start)
			continue;
		c->wish.set[i] = true;
		c->wish.value[i] = now[i].start;
	}
}

static enum prowl_code put(const struct rates *c, const struct prowl_runtime *rt)
{
	struct prowl_rates_report report = {0};
	struct prowl_err err = {0};

	if (prowl_rates_put(rt, &c->wish, &report, &err) != PROWL_OK)
		return say_failure(&err);
	for (int i = 0; i < PROWL_RATES; i++) {
		if (report.change[i].state == PROWL_RATE_SET)
			say_info("%s set to %llu (it was %llu)",
				 prowl_rate_variable((enum prowl_rate)i),
				 (unsigned long long)report.change[i].set,
				 (unsigned long long)report.change[i].before);
	}
	return PROWL_OK;
}

static enum prowl_code work(struct rates *c, const struct prowl_runtime *rt)
{
	struct prowl_rate_now now[PROWL_RATES];
	struct prowl_err err = {0};
	enum prowl_code code;

	if (prowl_rates_look(rt, now, &err) != PROWL_OK)
		return say_failure(&err);
	if (c->restore)
		wish_for_start(c, now);
	if (allow_write_wanted(&c->wish)) {
		code = put(c, rt);
		if (code != PROWL_OK)
			return code;
		if (prowl_rates_look(rt, now, &err) != PROWL_OK)
			return say_failure(&err);
	}
	if (c->json)
		show_json(now);
	else
		show_text(now);
	return PROWL_OK;
}

static enum prowl_code check(void *options, char **words, size_t n)
{
	const struct rates *c = options;

	if (!c->pid) {
		say_error("no target: give --pid PID");
		return PROWL_USAGE;
	}
	if (c->restore && allow_write_wanted(&c->wish)) {
		say_error("give either --restore or --set");
		return PROWL_USAGE;
	}
	return PROWL_OK;
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	struct rates *c = options;
	struct prowl_runtime *rt;
	struct prowl_err err = {0};
	enum prowl_code code;

	prowl_privilege_raise();
	if (prowl_runtime_open(&(struct prowl_who){.pid = c->pid}, &rt, &err) != PROWL_OK)
		return say_failure(&err);
	code = work(c, rt);
	prowl_runtime_free(rt);
	return code;
}

const struct cmd cmd_rates = {
	.name = "rates",
	.usage = "[options] --pid PID",
	.summary = "show the rates of a Go program's own profiles, and put them back",
	.text = "For rates that were left behind: where prowl and the process that guards the rates of\n"
		"--allow-write were killed together.\n\n"
		"Examples:\n"
		"  prowl rates --pid 4242\n"
		"  prowl rates --pid 4242 --restore\n"
		"  prowl rates --pid 4242 --set mutex-rate=0,block-rate=1ms\n",
	.opts = rates_opts,
	.size = sizeof(struct rates),
	.check = check,
	.may = PROWL_MAY_READ,
	.run = run,
};
