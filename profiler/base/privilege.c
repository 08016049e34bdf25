/* SPDX-License-Identifier: Apache-2.0 */
#include "privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "grants.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif

struct caps {
	uint64_t effective, permitted;
};

bool prowl_privilege_elevated(void)
{
	return getauxval(AT_SECURE) != 0;
}

static uint64_t bit(unsigned int cap)
{
	return UINT64_C(1) << cap;
}

/* Capabilities unknown to the kernel are in none of its sets. */
static uint64_t caps_of(unsigned int may)
{
	uint64_t caps = 0;

	for (size_t i = 0; i < prowl_ngrants; i++) {
		if (may & prowl_grants[i].may)
			caps |= bit(prowl_grants[i].cap);
	}
	if (may & PROWL_MAY_SAMPLE && prctl(PR_CAPBSET_READ, CAP_PERFMON) < 0)
		caps |= bit(CAP_SYS_ADMIN);
	return caps;
}

static bool get(struct caps *c)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct v[2];

	if (syscall(SYS_capget, &head, v) < 0)
		return false;
	c->effective = v[0].effective | (uint64_t)v[1].effective << 32;
	c->permitted = v[0].permitted | (uint64_t)v[1].permitted << 32;
	return true;
}

/* Programs that we start inherit none of it. */
static bool set(const struct caps *c)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct v[2] = {
		{.effective = (uint32_t)c->effective, .permitted = (uint32_t)c->permitted},
		{.effective = (uint32_t)(c->effective >> 32),
		 .permitted = (uint32_t)(c->permitted >> 32)},
	};

	return syscall(SYS_capset, &head, v) == 0;
}

/* Setuid and setgid: the user's own ids for good, whatever capabilities may stay. */
static bool drop_ids(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return false;
	return setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0 && geteuid() == uid &&
	       getegid() == gid;
}

bool prowl_privilege_begin(unsigned int may)
{
	struct caps c;

	if (!prowl_privilege_elevated())
		return true;
	if (!drop_ids() || !get(&c))
		return false;
	c.permitted &= caps_of(may);
	c.effective = 0;
	if (!set(&c))
		return false;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* A reader of our memory would see all that we read. */
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

static void change(bool raise, uint64_t gone)
{
	struct caps c;

	if (!prowl_privilege_elevated() || !get(&c))
		return;
	c.permitted &= ~gone;
	c.effective = raise ? c.permitted : c.effective & c.permitted;
	set(&c);
}

void prowl_privilege_raise(void)
{
	change(true, 0);
}

void prowl_privilege_lower(void)
{
	struct caps c;

	if (prowl_privilege_elevated() && get(&c) && c.effective) {
		c.effective = 0;
		/* Reducing is never refused; if it were, going on would be worse than ending. */
		if (!set(&c))
			_exit(1);
	}
}

void prowl_privilege_drop(unsigned int may)
{
	change(false, caps_of(may));
}
