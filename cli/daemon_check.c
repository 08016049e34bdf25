/* SPDX-License-Identifier: Apache-2.0 */
/* prowl daemon check: the processes that would be profiled, and what is missing for it. */
#include <stdio.h>
#include <string.h>

#include "common_opts.h"
#include "daemon_verbs.h"
#include "privilege.h"
#include "proclist.h"
#include "term.h"

struct checked {
	size_t targets, denied;
};

static int show(void *ctx, const struct prowl_process *p)
{
	struct checked *c = ctx;
	char why[256];

	prowl_process_obstacle(p, why, sizeof why);
	if (!c->targets)
		printf("%7s  %-16s  %s\n", "PID", "NAME", "PROFILED");
	c->targets++;
	c->denied += why[0] != '\0';
	printf("%7d  ", (int)p->pid);
	text_put(stdout, p->comm);
	printf("%*s  %s\n", strlen(p->comm) < 16 ? 16 - (int)strlen(p->comm) : 0, "",
	       why[0] ? why : "yes");
	return 0;
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	struct checked c = {0};
	struct prowl_list_result res;
	struct prowl_err err = {0};

	prowl_privilege_raise();
	if (prowl_list(0, show, &c, &res, &err) != PROWL_OK)
		return say_failure(&err);
	say_info("%zu Go processes, %zu of which can't be profiled; %zu others can't be looked at",
		 c.targets, c.denied, res.hidden);
	return c.denied ? PROWL_PERMISSION : PROWL_OK;
}

static const struct opt check_opts[] = {
	COMMON_SAY,
	OPT_END,
};

const struct cmd daemon_check = {
	.name = "daemon check",
	.usage = "[options]",
	.summary = "print what would be profiled, and what is missing for it",
	.opts = check_opts,
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ,
	.run = run,
};
