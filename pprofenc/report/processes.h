/* SPDX-License-Identifier: Apache-2.0 */
/* Of which processes a profile is, as its labels (PPROF_LABEL_PID, _COMM) tell. */
#pragma once

struct pprof_profile;

/*
 * "etcd (pid 12), caddy (pid 34)": the heaviest first, those of one name together ("cc (8
 * processes)"), at most a few names. "" of a profile whose labels don't tell several processes
 * apart. To be freed; NULL: out of memory.
 */
char *pp_processes(const struct pprof_profile *p);

/* What stands above a picture: the processes, else the main binary's file name, else "profile". To
 * be freed; NULL: out of memory. */
char *pp_title(const struct pprof_profile *p);
