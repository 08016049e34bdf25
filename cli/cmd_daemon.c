/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prowl daemon VERB: the table of verbs. Each is a command of its own, with its options and its
 * help; what it does is elsewhere (daemon_*.c).
 */
#include <stddef.h>

#include "cmd.h"
#include "daemon_verbs.h"

static const struct cmd *const verbs[] = {
	&daemon_run,     &daemon_check,  &daemon_query,  &daemon_fsck,   &daemon_pin,
	&daemon_unpin,   &daemon_export, &daemon_import, &daemon_status, &daemon_targets,
	&daemon_capture, &daemon_open,   &daemon_stop,   &daemon_token,  NULL,
};

const struct cmd cmd_daemon = {
	.name = "daemon",
	.usage = "VERB [options]",
	.summary = "profile all Go processes of this machine, continuously",
	.text = "prowl daemon VERB --help prints the options of a verb.\n",
	.verbs = verbs,
};
