/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd is told of a service of Type=notify: its protocol, without its library. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Sends lines such as "READY=1\nSTATUS=..." to $NOTIFY_SOCKET. 0 without one, or negative errno.
 */
int notify_send(const char *lines);
/* "RELOADING=1" with the time that systemd wants beside it. */
int notify_reloading(void);
/* How often it wants to hear that all goes on, in ns; 0: never, or it asks another process. */
uint64_t notify_watchdog(void);
