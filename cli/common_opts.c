/* SPDX-License-Identifier: Apache-2.0 */
#include "common_opts.h"

#include <string.h>

#include "output.h"
#include "pprof_report.h"
#include "term.h"

const char *const common_color_words[] = {"auto", "always", "never", NULL};

bool common_take_pid(const struct opt *o, void *field, const char *arg)
{
	pid_t pid;

	return opts_parse_pid(arg, &pid) && target_add_pid(field, pid);
}

bool common_take_name(const struct opt *o, void *field, const char *arg)
{
	const char **name = field;

	if (*name) {
		say_error("--name can be given only once; for more processes, give their --pid");
		return false;
	}
	*name = arg;
	return true;
}

bool common_take_quiet(const struct opt *o, void *field, const char *arg)
{
	say_level(SAY_QUIET);
	return true;
}

bool common_take_verbose(const struct opt *o, void *field, const char *arg)
{
	say_level(SAY_VERBOSE);
	return true;
}

bool common_take_color(const struct opt *o, void *field, const char *arg)
{
	unsigned int index;

	return opts_word(o, &index, arg) && say_color(arg);
}

static enum prowl_code say_no_target(unsigned int ways)
{
	static const char *const words[] = {", --name NAME", ", --core FILE",
					    ", a command after --"};
	enum { NWORDS = sizeof words / sizeof *words };
	char text[128] = "--pid PID";
	size_t n = strlen(text);

	for (size_t i = 0; i < NWORDS; i++) {
		bool last = ways >> i == 1;

		if (ways & 1u << i)
			n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", last ? " or" : "",
					      words[i] + last);
	}
	say_error("no target: give %s", text);
	return PROWL_USAGE;
}

enum prowl_code common_check_exe(const char *core, const char *exe)
{
	if (!exe || core)
		return PROWL_OK;
	say_error("--exe goes with --core FILE");
	return PROWL_USAGE;
}

enum prowl_code common_check_target(const struct common_opts *c, unsigned int ways)
{
	bool process = c->pids.n || c->name;

	if (!process && !c->who.core)
		return say_no_target(ways);
	if (process && c->who.core) {
		say_error("give either a process or --core, not both");
		return PROWL_USAGE;
	}
	return common_check_exe(c->who.core, c->who.exe);
}

enum prowl_code common_find_named(struct common_opts *c, bool one)
{
	enum prowl_code code = c->name ? target_add_name(&c->pids, c->name) : PROWL_OK;

	if (code == PROWL_OK && one && c->pids.n > 1) {
		say_error("there are %zu such processes: give the --pid of one", c->pids.n);
		return PROWL_USAGE;
	}
	if (one && c->pids.n)
		c->who.pid = c->pids.pid[0];
	return code;
}

enum prowl_code common_check_output(struct common_opts *c)
{
	c->out = output_choose(c->format, c->output);
	if (c->out && !strcmp(c->out->name, "peek")) {
		say_error(
			"-f peek needs a function: write a profile, then prowl report --peek REGEX");
		return PROWL_USAGE;
	}
	return c->out && output_may_write(c->out, c->output) ? PROWL_OK : PROWL_USAGE;
}
