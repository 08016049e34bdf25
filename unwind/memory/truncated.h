/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of targets are mapped, and their owner may truncate one while it is read: the kernel then
 * sends SIGBUS. With this, a missing page reads as zeros instead, which readers of files take for
 * damaged tables.
 *
 * A program that uses this library calls it once, at its start, before a file of a target is
 * opened; calling it again does no harm. It changes the handler of the whole process: a library
 * that is a guest in another program asks its owner first.
 */
#pragma once

/*
 * 0 or negative errno. Faults that are no missing page of a file go to the handler that was there
 * before, or end the process as they would have.
 */
int uw_survive_truncated_files(void);
