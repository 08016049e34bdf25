/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel charged to the targets, and how samples represent it.
 *
 * A process' own clock gives its time to the nanosecond while its number is its own, also as a
 * zombie. Children that are gone were read some time before their end, or never. What they used is
 * in their parents' count of children that were waited for; so all of them together are one pool,
 * whose time is known. Where it isn't (the targets had children before, or some ended without a
 * parent that waits), it is what was read of them and the samples since.
 *
 * Samples are scaled to the charge as far as chance explains the difference. What is beyond that no
 * sample represents: it is reported as such, and not added to those that were sampled.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "window.h"

struct prowl_proc;
struct prowl_session;

/* Clocks were read: brings charges, and the result's cpu_ns and kernel_unsampled_ns, up to date. */
void prowl_charge_update(struct prowl_session *s);

/* In this window. */
struct prowl_share prowl_charge_share(const struct prowl_session *s, const struct prowl_proc *p);
/* Of all children that are gone. */
struct prowl_share prowl_charge_pool(const struct prowl_session *s);

/* A child that is gone: one of the pool. */
bool prowl_charge_pooled(const struct prowl_proc *p);

/* The process is about to leave the table, after prowl_charge_begin_window: its time is kept. */
void prowl_charge_forget(struct prowl_session *s, const struct prowl_proc *p);

/* What is charged from here on is the next window's; who has no samples keeps its time for that. */
void prowl_charge_begin_window(struct prowl_session *s);
