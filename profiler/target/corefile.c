/* SPDX-License-Identifier: Apache-2.0 */
#include "corefile.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gobuild.h"

static enum prowl_code cannot_open(const char *path, int error, struct prowl_err *err)
{
	if (error == -EINVAL)
		return prowl_fail(err, PROWL_FAILED, "%s is no regular file", path);
	if (error == -EACCES || error == -EPERM)
		return prowl_fail(err, PROWL_PERMISSION, "%s: %s", path, strerror(-error));
	return prowl_fail(err, PROWL_FAILED, "%s: %s", path, strerror(-error));
}

/* systemd-coredump and apport compress theirs. */
static bool is_packed(const char *path)
{
	static const char *const ends[] = {".zst", ".lz4", ".xz", ".gz", ".bz2"};
	size_t len = strlen(path);

	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		size_t n = strlen(ends[i]);

		if (len > n && !strcmp(path + len - n, ends[i]))
			return true;
	}
	return false;
}

static enum prowl_code not_a_core(const char *path, int error, const struct uw_diag *diag,
				  struct prowl_err *err)
{
	switch (error) {
	case -ENOEXEC:
		prowl_fail(err, PROWL_FAILED, "%s is not a core file, or damaged (%s)", path,
			   diag->what);
		if (is_packed(path))
			prowl_hint(err, "unpack it first; coredumpctl dump -o FILE PID does so for "
					"those that systemd keeps");
		return PROWL_FAILED;
	case -EINVAL:
		return prowl_fail(err, PROWL_FAILED,
				  "%s is an ELF file, but not a core file: a program?", path);
	case -ENOTSUP:
		return prowl_fail(err, PROWL_UNSUPPORTED,
				  "%s is not of a little-endian 64-bit amd64 or arm64 process",
				  path);
	case -EBADMSG:
		return prowl_fail(err, PROWL_FAILED, "%s is damaged (%s at 0x%llx)", path,
				  diag->what, (unsigned long long)diag->at);
	default:
		return prowl_fail(err, PROWL_FAILED, "%s: %s (%s)", path, strerror(-error),
				  diag->what);
	}
}

static enum prowl_code no_program(const char *path, const char *exe, const struct prowl_corefile *c,
				  int error, struct prowl_err *err)
{
	const struct uw_core_file *p = c->load.program;

	switch (error) {
	case -ENOMEM:
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	case -ENODATA:
		return prowl_fail(err, PROWL_FAILED,
				  "%s does not say which files the process had mapped (no NT_FILE "
				  "and NT_AUXV notes%s)",
				  path, c->core->missing ? "; it was cut short" : "");
	case -ESTALE:
		prowl_fail(err, exe ? PROWL_USAGE : PROWL_FAILED,
			   "%s is not the program that ran: its bytes differ from those in %s",
			   c->load.exe, path);
		break;
	case -ENOEXEC:
		prowl_fail(err, exe ? PROWL_USAGE : PROWL_FAILED,
			   "%s is not a program (no valid ELF file)", c->load.exe);
		break;
	default:
		prowl_fail(err, error == -EACCES ? PROWL_PERMISSION : PROWL_FAILED,
			   "the program of %s can't be opened: %s: %s", path, c->load.exe,
			   strerror(-error));
	}
	prowl_hint(err, "name the program that wrote this core, which was %s%s, with --exe FILE",
		   p ? p->path : "?", p && p->deleted ? " (deleted already then)" : "");
	return err ? err->code : PROWL_FAILED;
}

static enum prowl_code no_go(const char *path, const struct prowl_corefile *c,
			     const struct uw_space *space, int r, struct prowl_err *err)
{
	struct uw_gobuild b = {.version = ""};
	const struct uw_binary *exe = space->exe;
	int why = exe ? exe->go_error : -ENOENT;

	if (exe && exe->elf)
		uw_gobuild_read(exe->elf, NULL, 0, &b);
	if (r == -ENODATA)
		return prowl_fail(err, PROWL_FAILED,
				  "%s does not have the data of the program (%s)", path,
				  c->core->missing ? "it was cut short"
						   : "/proc/PID/coredump_filter left it out");
	if (r == -ESTALE)
		return prowl_fail(
			err, PROWL_FAILED,
			"%s is not the program that ran: its tables differ from those in %s",
			c->load.exe, path);
	if (why == -ENOTSUP)
		return prowl_fail(err, PROWL_UNSUPPORTED,
				  "%s was built with %s: Go versions before 1.16 are not supported",
				  c->load.exe, b.version[0] ? b.version : "a Go older than 1.16");
	if (why == -EBADMSG)
		return prowl_fail(err, PROWL_UNSUPPORTED,
				  "%s is a Go program (%s), but its tables don't verify (%s)",
				  c->load.exe, b.version[0] ? b.version : "version unknown",
				  exe->go_diag.what ? exe->go_diag.what : "tables");
	return prowl_fail(err, PROWL_UNSUPPORTED, "%s is not a Go program", c->load.exe);
}

static enum prowl_code open_program(const char *path, const char *exe, struct uw_space *space,
				    struct prowl_corefile *c, struct prowl_err *err)
{
	int r = uw_space_load_core(space, c->core, exe, &c->load);

	if (r < 0)
		return no_program(path, exe, c, r, err);
	uw_space_go(space);
	r = uw_space_check_go(space, &space->live);
	if (r < 0)
		return no_go(path, c, space, r, err);
	return PROWL_OK;
}

enum prowl_code prowl_corefile_open(const char *path, const char *exe, struct uw_space *space,
				    struct prowl_corefile *ret, struct prowl_err *err)
{
	struct prowl_err unused;
	struct prowl_corefile c = {0};
	struct uw_diag diag = {0};
	enum prowl_code code;
	struct stat st;
	int fd = uw_open_regular(path, &st), r;

	if (!err)
		err = &unused;
	if (fd < 0)
		return cannot_open(path, fd, err);
	r = uw_core_open(fd, &c.core, &diag);
	if (r < 0)
		return not_a_core(path, r, &diag, err);
	code = open_program(path, exe, space, &c, err);
	if (code != PROWL_OK) {
		prowl_corefile_close(&c);
		return code;
	}
	*ret = c;
	return PROWL_OK;
}

void prowl_corefile_close(struct prowl_corefile *c)
{
	uw_core_free(c->core);
	c->core = NULL;
}
