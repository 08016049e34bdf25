/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack [no-header] PROGRAM: runs a static program at fixed addresses from anonymous memory, as
 * one that unpacks itself does: no part of it is the mapping of a file. With "no-header" the ELF
 * header is overwritten.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, STACK = 8 << 20 };

static void die(const char *what)
{
	perror(what);
	_exit(1);
}

static uintptr_t load_segment(int fd, const Elf64_Phdr *p, const Elf64_Ehdr *e, int spoil)
{
	uintptr_t from = p->p_vaddr & ~(uintptr_t)(PAGE - 1);
	uintptr_t to = (p->p_vaddr + p->p_memsz + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
	int prot = (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
		   (p->p_flags & PF_X ? PROT_EXEC : 0);

	if (mmap((void *)from, to - from, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)from)
		die("mmap");
	if (pread(fd, (void *)p->p_vaddr, p->p_filesz, (off_t)p->p_offset) != (ssize_t)p->p_filesz)
		die("pread");
	if (spoil && p->p_offset == 0)
		memset((void *)p->p_vaddr, 0, 16);
	mprotect((void *)from, to - from, prot);
	return p->p_offset == 0 ? p->p_vaddr + e->e_phoff : 0;
}

/* What the kernel would have put onto the stack: argc, argv, environment, auxiliary vector. */
static uintptr_t make_stack(char *name, const Elf64_Ehdr *e, uintptr_t headers)
{
	const uint64_t aux[][2] = {{AT_PAGESZ, PAGE},
				   {AT_PHDR, headers},
				   {AT_PHENT, sizeof(Elf64_Phdr)},
				   {AT_PHNUM, e->e_phnum},
				   {AT_ENTRY, e->e_entry},
				   {AT_RANDOM, getauxval(AT_RANDOM)},
				   {AT_SYSINFO_EHDR, getauxval(AT_SYSINFO_EHDR)},
				   {AT_HWCAP, getauxval(AT_HWCAP)},
				   {AT_NULL, 0}};
	char *area = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *sp = (uint64_t *)(area + STACK / 2), *at = sp;

	*at++ = 1;
	*at++ = (uintptr_t)name;
	*at++ = 0;
	*at++ = 0; /* no environment */
	memcpy(at, aux, sizeof aux);
	return (uintptr_t)sp;
}

int main(int argc, char **argv)
{
	int spoil = argc > 2 && !strcmp(argv[1], "no-header");
	int fd = argc > 1 + spoil ? open(argv[1 + spoil], O_RDONLY) : -1;
	Elf64_Phdr p[64];
	uintptr_t headers = 0;
	Elf64_Ehdr e;

	if (fd < 0 || pread(fd, &e, sizeof e, 0) != sizeof e || e.e_phnum > 64 ||
	    pread(fd, p, sizeof p[0] * e.e_phnum, (off_t)e.e_phoff) < 0)
		die("program");
	for (int i = 0; i < e.e_phnum; i++)
		if (p[i].p_type == PT_LOAD)
			headers |= load_segment(fd, &p[i], &e, spoil);
	close(fd);
	__asm__ volatile("mov %0, %%rsp; xor %%edx, %%edx; xor %%ebp, %%ebp; jmp *%1" ::"r"(
				 make_stack(argv[1 + spoil], &e, headers)),
			 "r"(e.e_entry)
			 : "memory", "rdx");
	return 0;
}
