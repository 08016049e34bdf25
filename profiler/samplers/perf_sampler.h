/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples from the kernel: perf_event_open(2) with the cpu-clock event, one ring per CPU.
 *
 * Two ways of attaching, chosen by what the kernel allows:
 *
 *  whole CPUs    one event per CPU, every process' samples arrive and those of others are dropped
 *                by the session. Unbiased, about 0.05 us per context switch. CAP_PERFMON (or
 *                CAP_SYS_ADMIN before Linux 5.8), or perf_event_paranoid <= 0.
 *  per thread    one event per thread and CPU, inherited by new threads, all of a CPU redirected
 *                into that CPU's ring. For one's own processes at perf_event_paranoid <= 2.
 *
 * Per thread, an event gives its first sample only after a whole period of that thread's time on
 * that CPU: many threads at a low rate would lose half a period each. So the first period of each
 * event is random, uniform in (0, period], and is set to the nominal one when the first sample
 * arrives; what arrives between is dropped. A thread that starts later inherits the period of that
 * time for good, the kernel has no way to change it; its samples say which, and are weighted
 * accordingly. Where many threads end before their first sample, those that follow inherit ever
 * other periods, so that all times of their lives are sampled alike, which costs them up to some 4
 * % of their CPU time. Where that can't help (the first 50 us, the time before it was seen), the
 * time that no sample represents is known all the same: see charge.h.
 */
#pragma once

#include "sampler.h"

extern const struct prowl_event_kind prowl_cpu_clock;
extern const struct prowl_sampler_ops prowl_perf;
