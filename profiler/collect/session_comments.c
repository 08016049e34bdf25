/* SPDX-License-Identifier: Apache-2.0 */
/* What a session knows of itself, as comments of a profile. */
#include "comments.h"
#include "pprof.h"
#include "session_parts.h"

/* Of the Go program, or else of the program that was started. */
static void note_build(struct pprof_profile *p, struct uw_space *space)
{
	const struct uw_go *go = uw_space_go(space);
	struct uw_binary *bin = go ? space->go_bin : space->exe;

	prowl_comments_build(p, go, bin ? uw_binary_elf(bin) : NULL);
}

void prowl_session_note(struct prowl_session *s, struct pprof_profile *p)
{
	const struct prowl_result *r = &s->result;
	const struct prowl_sampler_facts *f = &s->sampler->facts;

	prowl_comment(p, "prowl " PROWL_VERSION ": cpu profile by perf cpu-clock, %u Hz, %s, %s",
		      s->o.rate, f->whole_cpus ? "whole CPUs" : "per thread",
		      r->kernel ? "kernel and user" : "user only");
	for (size_t i = 0; i < prowl_session_targets(s); i++) {
		struct prowl_target t;

		prowl_session_target(s, i, &t);
		prowl_comment(p, "target: %s, pid %d, %s%s%s%s", t.comm, (int)t.pid,
			      t.go_version[0] ? t.go_version : "not Go",
			      t.stripped ? ", stripped" : "", t.pie ? ", PIE" : "",
			      t.cgo ? ", cgo" : "");
		if (t.go_guessed)
			prowl_comment(p, "warning: " PROWL_GO_GUESSED, t.go_version);
		if (t.go_error)
			prowl_comment(p, "warning: the Go tables of %s could not be read", t.comm);
		note_build(p, &s->procs.procs[i]->image->space);
	}
	prowl_comments_machine(p);
	prowl_comment(p, "samples: %llu; lost: %llu; dropped: %llu; damaged: %llu; throttled: %llu",
		      (unsigned long long)r->samples, (unsigned long long)r->lost,
		      (unsigned long long)r->hash_dropped, (unsigned long long)r->damaged,
		      (unsigned long long)r->throttled);
	prowl_comment(
		p,
		"stacks: %llu; complete: %llu; truncated: %llu; unknown root: %llu; with unknown "
		"frames: %llu",
		(unsigned long long)r->user_stacks, (unsigned long long)(r->complete),
		(unsigned long long)(r->truncated), (unsigned long long)r->unknown_root,
		(unsigned long long)r->unknown_frames);
	prowl_comment(
		p,
		"walks: leaf's caller put back: %llu; through C frames: %llu; completed from what was "
		"copied at the sample, exact: %llu; from live memory, verified: %llu of %llu; given up: "
		"%llu; cut where the chain left the stack: %llu; places in C without unwind tables where frames "
		"may be missing: %llu",
		(unsigned long long)s->walks.repaired, (unsigned long long)s->walks.cfi,
		(unsigned long long)s->walks.exact, (unsigned long long)s->walks.live,
		(unsigned long long)s->walks.live_attempts, (unsigned long long)s->walks.given_up,
		(unsigned long long)s->walks.off_stack, (unsigned long long)s->walks.gaps);
	if (r->no_bpf)
		prowl_comment(p, "other stacks: read after the sample, no BPF (%s)", r->no_bpf);
	else
		prowl_comment(
			p,
			"other stacks: copied at the sample by BPF, for the %llu samples that need "
			"it; lost: %llu; without their sample: %llu",
			(unsigned long long)r->copied, (unsigned long long)r->copies_lost,
			(unsigned long long)r->copies_stray);
	prowl_comment(
		p,
		"cpu charged by the kernel: %.6f s; sampled: %.6f s; weights are scaled to the charge",
		(double)r->cpu_ns / 1e9, (double)r->sampled_ns / 1e9);
	if (s->labels)
		prowl_comment(
			p,
			"labels: %llu samples labelled, %llu without labels, %llu too old, %llu "
			"unknown; %llu copied at the sample",
			(unsigned long long)r->labelled, (unsigned long long)r->unlabelled,
			(unsigned long long)r->labels_too_old,
			(unsigned long long)r->labels_unknown, (unsigned long long)r->labels_exact);
	if (r->labels_cut)
		prowl_comment(
			p, "warning: %llu samples have labels that were cut: " PROWL_LABELS_LIMITS,
			(unsigned long long)r->labels_cut, UW_LABEL_BYTES, UW_LABELS_MAX);
	if (s->timeline.moments)
		prowl_comment(p, "timeline: %llu samples with their time, %llu without",
			      (unsigned long long)r->timed, (unsigned long long)r->untimed);
	if (r->unsampled_ns)
		prowl_comment(p,
			      "warning: no sample stands for %.6f s of it, shown as [not sampled]: "
			      "threads or processes too short-lived for the rate",
			      (double)r->unsampled_ns / 1e9);
	if (!r->kernel)
		prowl_comment(
			p,
			"warning: no permission to sample the kernel; its %.6f s are estimated from tick "
			"accounting and shown as [kernel, not sampled]",
			(double)r->kernel_unsampled_ns / 1e9);
	if (r->left_out)
		prowl_comment(
			p,
			"warning: symbols or debug information of %u files were left out: too "
			"large, or too slow to read, for the file of a target",
			r->left_out);
	if (r->hurried)
		prowl_comment(p, "warning: a signal ended the naming: some native addresses are "
				 "[unknown], others have no lines");
	if (r->kernel && r->kernel_sampled && !r->kernel_names)
		prowl_comment(
			p,
			"warning: kernel symbols are hidden (kernel.kptr_restrict or no CAP_SYSLOG)");
}
