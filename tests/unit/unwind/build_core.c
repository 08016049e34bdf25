/* SPDX-License-Identifier: Apache-2.0 */
#include "build_core.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PRSTATUS = 336, PRPSINFO = 136 };

struct out {
	uint8_t *p;
	size_t len;
};

static void put(struct out *o, const void *p, size_t len)
{
	o->p = realloc(o->p, o->len + len + 1);
	if (!o->p)
		abort();
	if (p && len)
		memcpy(o->p + o->len, p, len);
	else
		memset(o->p + o->len, 0, len);
	o->len += len;
}

static void put8(struct out *o, uint64_t v)
{
	put(o, &v, sizeof v);
}

static void align(struct out *o, size_t to)
{
	put(o, NULL, -o->len & (to - 1));
}

static void put_note(struct out *o, uint32_t type, const void *desc, size_t len)
{
	uint32_t head[] = {5, (uint32_t)len, type};

	put(o, head, sizeof head);
	put(o, "CORE\0\0\0", 8);
	put(o, desc, len);
	align(o, 4);
}

static void put_thread(struct out *o, const struct build_core_thread *t)
{
	uint8_t desc[PRSTATUS] = {0};
	uint64_t regs[27] = {0};

	regs[0] = t->regs.r15;
	regs[1] = t->regs.r14;
	regs[2] = t->regs.r13;
	regs[3] = t->regs.r12;
	regs[4] = t->regs.bp;
	regs[5] = t->regs.bx;
	regs[16] = t->regs.ip;
	regs[19] = t->regs.sp;
	regs[21] = t->fs_base;
	memcpy(desc + 12, &t->signal, sizeof t->signal);
	memcpy(desc + 32, &t->tid, sizeof t->tid);
	memcpy(desc + 112, regs, sizeof regs);
	put_note(o, NT_PRSTATUS, desc, sizeof desc);
}

static void put_process(struct out *o, const struct build_core *what)
{
	uint8_t desc[PRPSINFO] = {0};

	memcpy(desc + 24, &what->pid, sizeof what->pid);
	strncpy((char *)desc + 40, what->comm, 16);
	put_note(o, NT_PRPSINFO, desc, sizeof desc);
}

static void put_auxv(struct out *o, const struct build_core *what)
{
	uint64_t auxv[] = {AT_SYSINFO_EHDR, what->vdso, AT_ENTRY, what->entry, AT_NULL, 0};

	put_note(o, NT_AUXV, auxv, sizeof auxv);
}

static void put_files(struct out *o, const struct build_core *what)
{
	uint64_t page = what->gcore ? 1 : PAGE;
	struct out d = {0};
	size_t n = 0;

	while (what->files[n].path)
		n++;
	if (!n)
		return;
	put8(&d, n);
	put8(&d, page);
	for (size_t i = 0; i < n; i++) {
		put8(&d, what->files[i].start);
		put8(&d, what->files[i].end);
		put8(&d, what->files[i].offset / page);
	}
	for (size_t i = 0; i < n; i++)
		put(&d, what->files[i].path, strlen(what->files[i].path) + 1);
	put_note(o, NT_FILE, d.p, d.len);
	free(d.p);
}

static void put_notes(struct out *o, const struct build_core *what)
{
	for (size_t i = 0; what->threads[i].tid; i++) {
		put_thread(o, &what->threads[i]);
		if (i > 0)
			continue;
		if (what->comm)
			put_process(o, what);
		if (what->entry)
			put_auxv(o, what);
		put_files(o, what);
	}
}

static void put_memory(struct out *o, const struct build_core *what, Elf64_Phdr *ph)
{
	for (size_t i = 0; what->segments[i].size; i++) {
		const struct build_core_segment *s = &what->segments[i];

		align(o, PAGE);
		ph[i] = (Elf64_Phdr){.p_type = PT_LOAD,
				     .p_flags = s->flags,
				     .p_offset = o->len,
				     .p_vaddr = s->start,
				     .p_filesz = s->bytes ? s->held : 0,
				     .p_memsz = s->size,
				     .p_align = PAGE};
		if (s->bytes)
			put(o, s->bytes, s->held);
	}
}

struct built_core build_core(const struct build_core *what)
{
	struct built_core ret = {.headers_at = sizeof(Elf64_Ehdr)};
	Elf64_Phdr ph[BUILD_CORE_MAX + 1] = {{.p_type = PT_NOTE, .p_align = 4}};
	struct out o = {0};
	size_t n = 0;
	Elf64_Ehdr eh = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = what->type ? what->type : ET_CORE,
		.e_machine = what->machine ? what->machine : EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof eh,
		.e_ehsize = sizeof eh,
		.e_phentsize = sizeof(Elf64_Phdr),
	};

	while (what->segments[n].size)
		n++;
	eh.e_phnum = (uint16_t)(n + 1);
	put(&o, NULL, sizeof eh + (n + 1) * sizeof *ph);
	if (what->gcore)
		put_memory(&o, what, ph + 1);
	align(&o, 4);
	ret.notes_at = o.len;
	put_notes(&o, what);
	ret.notes_size = o.len - ret.notes_at;
	ph[0].p_offset = ret.notes_at;
	ph[0].p_filesz = ret.notes_size;
	if (!what->gcore)
		put_memory(&o, what, ph + 1);
	ret.memory_at = n ? ph[1].p_offset : o.len;
	memcpy(o.p, &eh, sizeof eh);
	memcpy(o.p + sizeof eh, ph, (n + 1) * sizeof *ph);
	ret.bytes = o.p;
	ret.size = o.len;
	return ret;
}

int built_core_fd(const struct built_core *b, size_t size)
{
	int fd = memfd_create("core", MFD_CLOEXEC);

	if (fd < 0 || write(fd, b->bytes, size) != (ssize_t)size)
		abort();
	return fd;
}

void built_core_fini(struct built_core *b)
{
	free(b->bytes);
}
