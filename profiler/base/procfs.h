/* SPDX-License-Identifier: Apache-2.0 */
/* Small files of /proc and /sys: what the kernel says of processes, of us and of itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What fits of a file, ended with a NUL ("" on failure). Its length, or negative errno. */
ssize_t prowl_read_text(const char *path, char *buf, size_t len);
/* The same of /proc/PID/NAME; pid 0: our own. */
ssize_t prowl_read_of(pid_t pid, const char *name, char *buf, size_t len);

/* The number in a file; `none` where it can't be read. */
int prowl_read_number(const char *path, int none);

/* The name of a process, without its newline; "" when it is gone. */
void prowl_comm(pid_t pid, char *buf, size_t len);
/* Of the thread tid of pid. */
void prowl_thread_comm(pid_t pid, pid_t tid, char *buf, size_t len);

/* The number behind "NAME:" in the text of /proc/PID/status. */
bool prowl_status_field(const char *status, const char *name, int base, uint64_t *ret);

/* A field of the text of /proc/PID/stat, counted from 1 as in proc(5): the 3rd or a later one. */
bool prowl_stat_field(const char *stat, int field, char *buf, size_t len);

/* The number of a namespace ("pid", "mnt", "user"); 0: not known. pid 0: our own. */
ino_t prowl_namespace(pid_t pid, const char *kind);
