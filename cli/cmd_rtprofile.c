/* SPDX-License-Identifier: Apache-2.0 */
/* heap, allocs, block, mutex, threadcreate: profiles that the Go runtime keeps itself. */
#include "allow_write.h"
#include "cmd.h"
#include "output.h"
#include "privilege.h"
#include "take.h"

static const struct opt rtprofile_opts[] = {
	COMMON_PIDS("process to read", struct take, common),
	COMMON_NAME("the process with this name (comm or file name)", struct take, common),
	COMMON_CORE("core file to read", struct take, common),
	COMMON_SECONDS("only what is recorded within that time: 5, 30s, 2m", struct take, common),
	OPT_ALLOW_WRITE(struct take, o.rates),
	COMMON_OUTPUT("KIND", struct take, common),
	COMMON_SAY,
	OPT_END,
};

/* clang-format off */
#define RTPROFILE(ident, title, details) \
	const struct cmd cmd_##ident = { \
		.name = #ident, \
		.usage = "[options] --pid PID | --name NAME | --core FILE", \
		.summary = (title), \
		.text = (details), \
		.opts = rtprofile_opts, \
		.may = PROWL_MAY_READ, \
		.no_sigpipe = true, \
		.size = sizeof(struct take), \
		.defaults = &(const struct take){.kind = #ident}, \
		.check = take_check, \
		.run = take_run, \
	}
/* clang-format on */

RTPROFILE(heap, "memory in use, and what was allocated, as a Go program records it",
	  "Examples:\n"
	  "  prowl heap --pid 4242\n"
	  "  prowl heap --pid 4242 --seconds 60 -o growth.pb.gz\n"
	  "  prowl heap --core core.4242 -f text -o -\n"
	  "\n"
	  "The same records as at /debug/pprof/heap, without an endpoint in the program.\n");
RTPROFILE(allocs, "all allocations since the start of a Go program",
	  "Examples:\n"
	  "  prowl allocs --pid 4242\n"
	  "  prowl allocs --pid 4242 --seconds 30 -f text -o -\n"
	  "\n"
	  "The same records as prowl heap, shown by what was allocated.\n");
RTPROFILE(block, "where goroutines of a Go program waited",
	  "Examples:\n"
	  "  prowl block --pid 4242 --seconds 30\n"
	  "\n"
	  "The program has to record it: runtime.SetBlockProfileRate.\n");
RTPROFILE(mutex, "which locks of a Go program were contended",
	  "Examples:\n"
	  "  prowl mutex --pid 4242 --seconds 30\n"
	  "\n"
	  "The program has to record it: runtime.SetMutexProfileFraction.\n");
RTPROFILE(threadcreate, "what made the threads of a Go program",
	  "Examples:\n"
	  "  prowl threadcreate --pid 4242 -f text -o -\n");
