/* SPDX-License-Identifier: Apache-2.0 */
/* Names the processes of a profile by its labels (PPROF_LABEL_PID, _COMM). */
#pragma once

struct pprof_profile;

/*
 * "etcd (pid 12), caddy (pid 34)": the heaviest first, those of one name together ("cc (8
 * processes)"), at most a few names. "" if the labels don't distinguish several processes. To be
 * freed; NULL: out of memory.
 */
char *pp_processes(const struct pprof_profile *p);

/*
 * The title of a picture: the processes, else the main binary's file name, else "profile". To be
 * freed; NULL: out of memory.
 */
char *pp_title(const struct pprof_profile *p);
