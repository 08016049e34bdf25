/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "corefile.h"
#include "golayout.h"
#include "probe.h"
#include "procfs.h"
#include "sampler.h"
#include "space.h"
#include "whatis.h"
#include "who.h"

/* --- in full --- */

static enum prowl_code no_memory(struct prowl_err *err)
{
	return prowl_fail(err, PROWL_FAILED, "out of memory");
}

static void take_tables(struct prowl_info *info, const struct uw_go *go, uint64_t bias)
{
	const struct uw_golayout *row = uw_go_layout(go);

	uw_go_text(go, &info->text_lo, &info->text_hi);
	info->bias = bias;
	info->text_lo += bias;
	info->text_hi += bias;
	info->moduledata = uw_go_moduledata(go) + bias;
	info->functions = uw_go_nfuncs(go);
	info->minor = uw_go_minor(go);
	info->layout_guessed = uw_go_guessed(go);
	snprintf(info->layout, sizeof info->layout, "go1.%u.%u", row->minor, row->patch);
}

static enum prowl_code fill_from(struct prowl_info *info, const struct uw_elf *elf,
				 const struct uw_go *go, uint64_t bias, struct prowl_err *err)
{
	if (prowl_program_describe(elf, go, &info->program) < 0)
		return no_memory(err);
	take_tables(info, go, bias);
	memcpy(info->go_build_id, info->program.go_build_id, sizeof info->go_build_id);
	return PROWL_OK;
}

static enum prowl_code inspect_elf(struct prowl_info *info, const struct uw_elf *elf,
				   struct prowl_err *err)
{
	struct uw_diag diag = {0};
	struct uw_go *go;
	int r = uw_go_open(elf, NULL, 0, &go, &diag);
	enum prowl_code code;

	if (r < 0)
		return prowl_whatis_refuse(elf, info->path, r, &diag, err);
	code = fill_from(info, elf, go, 0, err);
	uw_go_free(go);
	return code;
}

static enum prowl_code inspect_fd(int fd, struct prowl_info *info, struct prowl_err *err)
{
	struct uw_diag diag = {0};
	struct uw_elf *elf;
	enum prowl_code code;
	int r = uw_elf_open(fd, &elf, &diag);

	if (r == -ENOTSUP)
		return prowl_fail(err, PROWL_UNSUPPORTED,
				  "%s is not a little-endian 64-bit program", info->path);
	if (r == -ENOEXEC)
		return prowl_fail(err, PROWL_UNSUPPORTED, "%s is not a program (no valid ELF file)",
				  info->path);
	if (r < 0)
		return prowl_fail(err, PROWL_FAILED, "%s: %s", info->path, strerror(-r));
	code = inspect_elf(info, elf, err);
	uw_elf_free(elf);
	return code;
}

static struct prowl_info *info_new(const char *path, pid_t pid)
{
	struct prowl_info *info = calloc(1, sizeof *info);

	if (!info)
		return NULL;
	info->pid = pid;
	info->path = strdup(path);
	if (!info->path) {
		free(info);
		return NULL;
	}
	return info;
}

void prowl_info_free(struct prowl_info *info)
{
	if (!info)
		return;
	for (size_t i = 0; i < info->nmappings; i++)
		free(info->mappings[i].path);
	free(info->mappings);
	for (size_t i = 0; i < info->nmodules; i++)
		free(info->modules[i].path);
	free(info->modules);
	free(info->path);
	prowl_program_fini(&info->program);
	free(info);
}

enum prowl_code prowl_inspect_file(const char *path, struct prowl_info **ret, struct prowl_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct prowl_info *info;
	enum prowl_code code;
	struct stat st;

	if (fd < 0)
		return prowl_fail(err, errno == EACCES ? PROWL_PERMISSION : PROWL_FAILED, "%s: %s",
				  path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return prowl_fail(err, PROWL_UNSUPPORTED, "%s is not a program (no regular file)",
				  path);
	}
	info = info_new(path, 0);
	if (!info) {
		close(fd);
		return no_memory(err);
	}
	code = inspect_fd(fd, info, err);
	if (code != PROWL_OK) {
		prowl_info_free(info);
		return code;
	}
	*ret = info;
	return PROWL_OK;
}

/* --- a process --- */

static enum prowl_code take_mappings(struct prowl_info *info, struct uw_space *space,
				     struct prowl_err *err)
{
	info->mappings = calloc(space->n ? space->n : 1, sizeof *info->mappings);
	if (!info->mappings)
		return no_memory(err);
	for (size_t i = 0; i < space->n; i++) {
		struct prowl_mapping_info *to = &info->mappings[i];
		struct uw_mapping *m = &space->maps[i];
		const struct uw_elf *elf;

		*to = (struct prowl_mapping_info){
			.start = m->start, .end = m->end, .offset = m->offset};
		to->path = strdup(m->bin && m->bin->path ? m->bin->path : "");
		if (!to->path)
			return no_memory(err);
		info->nmappings++;
		to->has_bias = uw_space_elf(space, m, &elf, &to->bias);
		if (to->has_bias) {
			to->has_elf = true;
			memcpy(to->build_id, elf->build_id, sizeof to->build_id);
		}
	}
	return PROWL_OK;
}

static enum prowl_code take_modules(struct prowl_info *info, struct uw_space *space,
				    struct prowl_err *err)
{
	info->modules = calloc(space->nmods ? space->nmods : 1, sizeof *info->modules);
	if (!info->modules)
		return no_memory(err);
	info->main_module = space->chosen;
	info->nruntimes = uw_space_runtimes(space);
	for (size_t i = 0; i < space->nmods; i++) {
		const struct uw_go_module *m = &space->mods[i];
		struct prowl_go_module *to = &info->modules[i];

		*to = (struct prowl_go_module){.path = strdup(m->bin->path),
					       .text_lo = m->lo,
					       .text_hi = m->hi,
					       .functions = uw_go_nfuncs(m->go),
					       .runtime = m->runtime};
		if (!to->path)
			return no_memory(err);
		snprintf(to->go_version, sizeof to->go_version, "%s", uw_go_version(m->go));
		info->nmodules++;
	}
	return PROWL_OK;
}

/* Opens what `profile` would open, and closes it again. */
static void take_sampler(struct prowl_info *info)
{
	struct prowl_sampler_facts f;
	struct prowl_err why = {0};

	if (prowl_sampler_probe(info->pid, &f, &why) != PROWL_OK) {
		strcpy(info->sampler, "none");
		snprintf(info->sampler_why, sizeof info->sampler_why, "%s", why.text);
		return;
	}
	info->sampler_works = true;
	snprintf(info->sampler, sizeof info->sampler, "perf cpu-clock, %s",
		 f.whole_cpus ? "whole CPUs" : "per thread");
	if (f.whole_cpus)
		snprintf(info->sampler_why, sizeof info->sampler_why,
			 "the kernel allows events on all %u CPUs: user and kernel frames",
			 f.ncpus);
	else
		snprintf(info->sampler_why, sizeof info->sampler_why,
			 "whole CPUs need CAP_PERFMON (kernel.perf_event_paranoid is %d): %s",
			 f.paranoid, f.kernel ? "user and kernel frames" : "user frames only");
}

static enum prowl_code set_path(struct prowl_info *info, const char *path, struct prowl_err *err)
{
	char *copy = strdup(path);

	if (!copy)
		return no_memory(err);
	free(info->path);
	info->path = copy;
	return PROWL_OK;
}

/* Describes a space that has Go. */
static enum prowl_code describe_space(struct prowl_info *info, struct uw_space *space,
				      struct prowl_err *err)
{
	struct uw_go *go = uw_space_go(space);
	struct uw_binary *bin = space->go_bin;
	enum prowl_code code = set_path(info, bin->path, err);

	if (code == PROWL_OK)
		code = fill_from(info, uw_binary_elf(bin), go, space->go_bias, err);
	if (code == PROWL_OK)
		code = take_modules(info, space, err);
	if (code == PROWL_OK)
		code = take_mappings(info, space, err);
	return code;
}

static enum prowl_code inspect_space(struct prowl_info *info, struct uw_space *space,
				     struct prowl_err *err)
{
	struct prowl_target target = {.pid = info->pid};
	int r = uw_space_load(space);

	if (r < 0) {
		memcpy(target.comm, info->comm, sizeof target.comm);
		return prowl_fail_target(err, &target, "mappings", r);
	}
	if (!uw_space_go(space))
		return prowl_whatis_not_go(space, info->comm, err);
	return describe_space(info, space, err);
}

enum prowl_code prowl_inspect_pid(pid_t pid, struct prowl_info **ret, struct prowl_err *err)
{
	struct uw_binaries files = {0};
	struct prowl_info *info;
	struct uw_space space;
	enum prowl_code code;

	code = prowl_whatis(pid, NULL, err);
	if (code != PROWL_OK)
		return code;
	info = info_new("", pid);
	if (!info)
		return no_memory(err);
	prowl_comm(pid, info->comm, sizeof info->comm);
	uw_space_init(&space, &files, pid);
	code = inspect_space(info, &space, err);
	uw_space_fini(&space);
	uw_binaries_fini(&files);
	if (code != PROWL_OK) {
		prowl_info_free(info);
		return code;
	}
	info->memory_error = prowl_probe_memory(pid);
	take_sampler(info);
	*ret = info;
	return PROWL_OK;
}

/* --- a core file --- */

static void take_core(struct prowl_info *info, const struct prowl_corefile *c)
{
	info->is_core = true;
	info->pid = c->core->pid;
	snprintf(info->comm, sizeof info->comm, "%s", c->core->comm);
	info->core = (struct prowl_core_facts){.threads = c->core->nthreads,
					       .signal = c->core->signal,
					       .memory = c->core->memory,
					       .missing = c->core->missing,
					       .libs_missing = c->load.missing,
					       .libs_changed = c->load.changed,
					       .proved = c->load.proved};
}

enum prowl_code prowl_inspect_core(const char *core, const char *exe, struct prowl_info **ret,
				   struct prowl_err *err)
{
	struct prowl_info *info = info_new("", 0);
	struct prowl_corefile file = {0};
	struct uw_binaries files = {0};
	struct uw_space space;
	enum prowl_code code;

	if (!info)
		return no_memory(err);
	uw_space_init(&space, &files, 0);
	code = prowl_corefile_open(core, exe, &space, &file, err);
	if (code == PROWL_OK) {
		take_core(info, &file);
		code = describe_space(info, &space, err);
	}
	uw_space_fini(&space);
	prowl_corefile_close(&file);
	uw_binaries_fini(&files);
	if (code != PROWL_OK) {
		prowl_info_free(info);
		return code;
	}
	*ret = info;
	return PROWL_OK;
}
