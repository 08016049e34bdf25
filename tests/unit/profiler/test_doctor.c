/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the doctor says on machines that are made up here: what the kernel would answer is put in
 * the place of its answers.
 */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bpf.h"
#include "doctor.h"
#include "grants.h"
#include "probe.h"
#include "procfs.h"
#include "sampler.h"
#include "unit_test.h"

static struct machine {
	struct prowl_standing own;
	int paranoid, kptr_restrict;
	int perf_user, perf_kernel, perf_cpu, maps; /* negative errno, or 0 */
	bool perf_works;
	struct prowl_sampler_facts facts;
} machine;

struct prowl_standing __wrap_prowl_standing(void);
int __wrap_prowl_read_number(const char *path, int none);
int __wrap_prowl_probe_perf(pid_t pid, int cpu, bool kernel);
int __wrap_prowl_probe_maps(pid_t pid);
int __wrap_prowl_bpf_new(bool labels, struct prowl_bpf **ret, const char **why);
enum prowl_code __wrap_prowl_sampler_probe(pid_t pid, struct prowl_sampler_facts *ret,
					   struct prowl_err *err);

struct prowl_standing __wrap_prowl_standing(void)
{
	return machine.own;
}

int __wrap_prowl_read_number(const char *path, int none)
{
	if (!strcmp(path, "/proc/sys/kernel/perf_event_paranoid"))
		return machine.paranoid;
	if (!strcmp(path, "/proc/sys/kernel/kptr_restrict"))
		return machine.kptr_restrict;
	return none;
}

int __wrap_prowl_probe_perf(pid_t pid, int cpu, bool kernel)
{
	return cpu >= 0 ? machine.perf_cpu : kernel ? machine.perf_kernel : machine.perf_user;
}

int __wrap_prowl_probe_maps(pid_t pid)
{
	return machine.maps;
}

int __wrap_prowl_bpf_new(bool labels, struct prowl_bpf **ret, const char **why)
{
	*why = "it needs CAP_BPF and CAP_PERFMON";
	return -EPERM;
}

enum prowl_code __wrap_prowl_sampler_probe(pid_t pid, struct prowl_sampler_facts *ret,
					   struct prowl_err *err)
{
	if (!machine.perf_works)
		return prowl_fail(err, PROWL_PERMISSION, "no events here");
	*ret = machine.facts;
	return PROWL_OK;
}

static struct prowl_doctor *examine(void)
{
	struct prowl_doctor *d;

	assert_int_equal(prowl_doctor_new(0, &d, NULL), PROWL_OK);
	for (size_t i = 0; i < d->n; i++) {
		assert_true(d->checks[i].value[0] != '\0');
		/* A cure for each evil, and for nothing else. */
		assert_int_equal(d->checks[i].fix[0] != '\0', d->checks[i].state != PROWL_CHECK_OK);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(d->checks[i].id, d->checks[k].id);
	}
	return d;
}

static const struct prowl_check *check(const struct prowl_doctor *d, const char *id)
{
	for (size_t i = 0; i < d->n; i++) {
		if (!strcmp(d->checks[i].id, id))
			return &d->checks[i];
	}
	fail_msg("there is no check %s", id);
	return NULL;
}

TEST(a_user_on_a_usual_machine)
{
	struct prowl_doctor *d;

	machine = (struct machine){.own.bound = UINT64_MAX,
				   .paranoid = 2,
				   .perf_kernel = -EACCES,
				   .perf_cpu = -EACCES,
				   .perf_works = true};
	d = examine();
	assert_int_equal(check(d, "perf_event_paranoid")->state, PROWL_CHECK_WARN);
	assert_non_null(strstr(check(d, "perf_event_paranoid")->value, "own processes, user"));
	assert_int_equal(check(d, "perf_user")->state, PROWL_CHECK_OK);
	assert_int_equal(check(d, "perf_kernel")->state, PROWL_CHECK_WARN);
	assert_int_equal(check(d, "cap_syslog")->state, PROWL_CHECK_WARN);
	assert_int_equal(check(d, "seccomp")->state, PROWL_CHECK_OK);
	assert_int_equal(d->works, PROWL_WORKS_USER);
	assert_false(d->whole_cpus);
	assert_string_equal(d->verdict, "CPU profiles work for own processes: user frames only, "
					"sampled thread by thread");
	prowl_doctor_free(d);
}

/* The one command, and no other: who follows them in order keeps what the first one gave. */
TEST(every_grant_is_the_same_command)
{
	struct prowl_doctor *d;
	size_t n = 0;

	machine = (struct machine){
		.own.bound = UINT64_MAX, .paranoid = 2, .perf_cpu = -EACCES, .perf_works = true};
	d = examine();
	for (size_t i = 0; i < d->n; i++) {
		const char *at = strstr(d->checks[i].fix, "sudo setcap ");

		/* Kernels before 5.8 need another one, and say so. */
		if (!at || d->container || !strcmp(d->checks[i].id, "kernel"))
			continue;
		assert_int_equal(strncmp(at, PROWL_SETCAP, sizeof PROWL_SETCAP - 1), 0);
		n++;
	}
	assert_true(d->container || n >= prowl_ngrants - 1);
	prowl_doctor_free(d);
}

TEST(one_who_may_do_all)
{
	struct prowl_doctor *d;

	machine = (struct machine){.own = {UINT64_MAX, UINT64_MAX, UINT64_MAX, 0, false},
				   .paranoid = 4,
				   .perf_works = true,
				   .facts = {.whole_cpus = true, .kernel = true}};
	d = examine();
	assert_int_equal(check(d, "perf_event_paranoid")->state, PROWL_CHECK_OK);
	for (size_t i = 0; i < prowl_ngrants; i++) {
		if (prowl_grants[i].advised)
			assert_string_equal(check(d, prowl_grants[i].id)->value, "yes");
	}
	assert_int_equal(d->works, PROWL_WORKS_KERNEL);
	assert_true(d->whole_cpus);
	assert_string_equal(d->verdict,
			    "CPU profiles work for every process whose mappings may be read: "
			    "kernel and user frames, sampled by whole CPUs");
	prowl_doctor_free(d);
}

TEST(a_sandbox_that_refuses)
{
	struct prowl_doctor *d;

	machine = (struct machine){.own = {.bound = UINT64_MAX, .seccomp = 2},
				   .paranoid = 3,
				   .perf_user = -EPERM,
				   .perf_kernel = -EPERM,
				   .perf_cpu = -EPERM};
	d = examine();
	assert_int_equal(check(d, "seccomp")->state, PROWL_CHECK_WARN);
	assert_non_null(strstr(check(d, "seccomp")->value, "a filter"));
	assert_non_null(strstr(check(d, "seccomp")->fix, "seccomp=PROFILE.json"));
	assert_int_equal(check(d, "perf_event_paranoid")->state, PROWL_CHECK_FAIL);
	assert_int_equal(check(d, "perf_user")->state, PROWL_CHECK_FAIL);
	assert_int_equal(d->works, PROWL_WORKS_NOTHING);
	assert_string_equal(d->verdict, "nothing works for own processes: no events here");
	prowl_doctor_free(d);
}

TEST(a_user_namespace)
{
	struct prowl_doctor *d;

	machine = (struct machine){.own = {UINT64_MAX, UINT64_MAX, UINT64_MAX, 0, true},
				   .paranoid = 2,
				   .maps = -EACCES};
	d = examine();
	assert_int_equal(check(d, "user_namespace")->state, PROWL_CHECK_WARN);
	assert_non_null(strstr(check(d, "user_namespace")->fix, "on the host"));
	/* Its capabilities are none of the machine's. */
	assert_int_equal(check(d, "perf_event_paranoid")->state, PROWL_CHECK_WARN);
	assert_non_null(strstr(d->verdict, "its mappings can't be read"));
	prowl_doctor_free(d);
}

TEST(processes_that_can_not_be_examined)
{
	struct prowl_doctor *d = NULL;
	struct prowl_err err;

	assert_int_equal(prowl_doctor_new(0x7ffffff0, &d, &err), PROWL_NOTHING);
	assert_string_equal(err.text, "there is no process 2147483632");
	assert_null(d);
}
