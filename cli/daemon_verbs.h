/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of prowl daemon. To add one: a struct cmd in daemon_NAME.c whose name is
 * "daemon VERB", a line here, one in the table of cmd_daemon.c, and its options in
 * man/prowl-daemon.scd.
 */
#pragma once

#include "cmd.h"

extern const struct cmd daemon_run;
extern const struct cmd daemon_check;
extern const struct cmd daemon_query;
extern const struct cmd daemon_fsck;
extern const struct cmd daemon_pin;
extern const struct cmd daemon_unpin;
extern const struct cmd daemon_export;
extern const struct cmd daemon_import;
extern const struct cmd daemon_status;
extern const struct cmd daemon_targets;
extern const struct cmd daemon_capture;
extern const struct cmd daemon_open;
extern const struct cmd daemon_stop;
extern const struct cmd daemon_token;
