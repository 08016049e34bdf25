/* SPDX-License-Identifier: Apache-2.0 */
/* Wall-clock time of goroutines. */
#include <stdlib.h>

#include "cmd.h"
#include "output.h"
#include "privilege.h"
#include "take.h"
#include "term.h"

enum { MAX_RATE = 1000 };

static bool take_percent(const struct opt *o, void *field, const char *arg)
{
	char *end;
	double v = strtod(arg, &end);

	if (end != arg && *end == '%')
		end++;
	if (end == arg || *end || !(v > 0) || v > 100) {
		say_error("--%s wants a part of one CPU in percent, up to 100, not '%s'", o->name,
			  arg);
		return false;
	}
	*(double *)field = v / 100;
	return true;
}

static const struct opt wall_opts[] = {
	COMMON_PIDS("process to look at", struct take, common),
	COMMON_NAME("the process with this name (comm or file name)", struct take, common),
	COMMON_SECONDS("how long: 5, 30s, 2m (default 30)", struct take, common),
	OPT_UINT('F', "rate", "HZ", "looks a second (default 10)", struct take, o.wall.rate, 1,
		 MAX_RATE),
	{.name = "max-overhead",
	 .arg = "PERCENT",
	 .take = take_percent,
	 .at = OPT_FIELD(struct take, o.wall.max_overhead, double),
	 .help = "own CPU time, of one CPU (default 1)"},
	COMMON_OUTPUT("wall", struct take, common),
	COMMON_SAY,
	OPT_END,
};

const struct cmd cmd_wall = {
	.name = "wall",
	.usage = "[options] --pid PID | --name NAME",
	.summary = "where goroutines spend their time, waiting and running",
	.text = "Examples:\n"
		"  prowl wall --pid 4242 --seconds 30\n"
		"  prowl report -t lock prowl.*.wall.*.pb.gz\n"
		"\n"
		"The values are nanoseconds of goroutines' time: wall, and by state running,\n"
		"runnable, syscall, io, chan, select, lock, sleep, gc, other.\n",
	.opts = wall_opts,
	.no_sigpipe = true,
	.size = sizeof(struct take),
	.defaults = &(const struct take){.kind = "wall"},
	.check = take_check,
	.may = PROWL_MAY_SAMPLE | PROWL_MAY_READ | PROWL_MAY_NAME,
	.run = take_run,
};
