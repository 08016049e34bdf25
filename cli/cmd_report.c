/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd.h"
#include "common_opts.h"
#include "input.h"
#include "pprof.h"
#include "show_report.h"
#include "term.h"

struct report {
	struct show_report show;
};

static const struct opt report_opts[] = {
	SHOW_REPORT_OPTS(struct report, show),
	OPT_COLOR,
	OPT_END,
};

static enum prowl_code run(void *options, char **words, size_t n)
{
	struct report *r = options;
	struct pprof_profile *p;
	enum prowl_code code;

	if (n == 0) {
		say_error("no file: prowl report FILE...");
		return PROWL_USAGE;
	}
	p = input_load(words, n);
	if (!p)
		return PROWL_FAILED;
	code = show_report(&r->show, &p);
	pprof_profile_free(p);
	return code;
}

const struct cmd cmd_report = {
	.name = "report",
	.usage = "[options] FILE...",
	.summary = "print, filter, convert and merge profiles",
	.text = "Reads any pprof file, also those of Go's own profiler; several files are merged.\n"
		"store:DIR?service=NAME&from=-2h is what the store of prowl daemon has of that time.\n\n"
		"Examples:\n"
		"  prowl report prowl.etcd.4242.cpu.*.pb.gz\n"
		"  prowl report -f folded cpu.pb.gz | flamegraph.pl > flame.svg\n"
		"  prowl report -f html -o cpu.html cpu.pb.gz\n"
		"  prowl report -f pgo -o default.pgo cpu.*.pb.gz\n"
		"  prowl report -f html -o change.html --diff-base before.pb.gz after.pb.gz\n"
		"  prowl report -t inuse_space --cum -n 20 heap.pb.gz\n"
		"  prowl report --focus 'net/http' --hide '^runtime\\.' --granularity line cpu.pb.gz\n"
		"  prowl report --peek 'json\\.Marshal' cpu.pb.gz\n"
		"  prowl report --tag endpoint=/api --tagroot endpoint -f tree cpu.pb.gz\n",
	.opts = report_opts,
	.operands = OPERANDS_FILES,
	.size = sizeof(struct report),
	.run = run,
};
