/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints what the Go tables of a file say: for each hexadecimal pc on stdin the frames, innermost
 * first, as "name<TAB>file:line<TAB>start line<TAB>w?" and an empty line. Link-time addresses.
 *
 *   gosym_dump FILE            the frames of the pcs on stdin
 *   gosym_dump FILE dwarf      the same, as symbol tables and DWARF have them
 *   gosym_dump FILE info       one line about the file, and how long it took to open
 *   gosym_dump FILE random N   N pcs inside of Go functions, the same ones each time
 *   gosym_dump FILE speed      time of one look-up
 *   gosym_dump FILE func NAME  entry, end, flags, id and special of a function
 *   gosym_dump FILE special    all the functions with a rule of their own
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "elf.h"
#include "elfsym.h"
#include "golayout.h"
#include "gosym.h"

static double now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 20;
}

static bool random_func(const struct uw_go *go, uint64_t *state, struct uw_go_func *f)
{
	uint64_t lo, hi;

	uw_go_text(go, &lo, &hi);
	return uw_go_func_at(go, lo + next_random(state) % (hi - lo), f) && f->end > f->entry;
}

static void print_random(const struct uw_go *go, long n)
{
	uint64_t state = 1;
	struct uw_go_func f;

	while (n > 0) {
		if (!random_func(go, &state, &f))
			continue;
		/* not the last byte: Go takes the byte behind it for a return address */
		if (f.end - f.entry < 2)
			continue;
		printf("%" PRIx64 "\n", f.entry + next_random(&state) % (f.end - f.entry - 1));
		n--;
	}
}

static void print_frame(const struct uw_frame *f, const char *kind)
{
	printf("%s\t%s:%d\t%d\t%s\n", f->name, f->file ? f->file : "?", f->line, f->start_line,
	       kind);
}

static void print_frames(const struct uw_go *go)
{
	static struct uw_go_frame frames[UW_MAX_INLINE];
	struct uw_go_func f;
	char line[64];

	while (fgets(line, sizeof line, stdin)) {
		uint64_t pc = strtoull(line, NULL, 16);
		size_t n = 0;

		if (uw_go_func_at(go, pc, &f))
			n = uw_go_frames(go, &f, pc, frames, UW_MAX_INLINE);
		for (size_t i = 0; i < n; i++)
			print_frame(&frames[i].frame, frames[i].wrapper ? "w" : "-");
		putchar('\n');
	}
}

static int print_dwarf(const struct uw_elf *elf)
{
	static struct uw_frame frames[UW_MAX_INLINE];
	struct uw_elfsym *sym;
	char line[64];
	int r = uw_elfsym_new(elf, NULL, &sym);

	if (r < 0)
		return 1;
	while (fgets(line, sizeof line, stdin)) {
		size_t n = uw_elfsym_frames(sym, strtoull(line, NULL, 16), frames, UW_MAX_INLINE);

		for (size_t i = 0; i < n; i++)
			print_frame(&frames[i], "-");
		putchar('\n');
	}
	uw_elfsym_free(sym);
	return 0;
}

static void print_func(const struct uw_go *go, const struct uw_go_func *f)
{
	printf("%" PRIx64 " %" PRIx64 " flags=%u id=%u special=%d %s\n", f->entry, f->end, f->flags,
	       f->func_id, (int)f->special, uw_go_func_name(go, f));
}

static void print_special(const struct uw_go *go)
{
	struct uw_go_func f;
	uint64_t lo, hi;

	uw_go_text(go, &lo, &hi);
	for (uint64_t pc = lo; pc < hi && uw_go_func_at(go, pc, &f); pc = f.end)
		if (f.special != UW_GO_NORMAL)
			print_func(go, &f);
}

static void print_speed(const struct uw_go *go)
{
	enum { N = 1 << 16, ROUNDS = 16 };
	static struct uw_go_frame frames[UW_MAX_INLINE];
	uint64_t *pcs = calloc(N, sizeof *pcs), state = 1, sum = 0;
	struct uw_go_func f;
	double t[4] = {0};

	for (size_t i = 0; pcs && i < N; i++) {
		while (!random_func(go, &state, &f))
			;
		pcs[i] = f.entry + next_random(&state) % (f.end - f.entry);
	}
	for (size_t round = 0; pcs && round < ROUNDS; round++) {
		t[0] -= now(CLOCK_PROCESS_CPUTIME_ID);
		for (size_t i = 0; i < N; i++)
			sum += uw_go_func_at(go, pcs[i], &f) ? f.index : 0;
		t[0] += now(CLOCK_PROCESS_CPUTIME_ID);
		t[1] -= now(CLOCK_PROCESS_CPUTIME_ID);
		for (size_t i = 0; i < N; i++)
			if (uw_go_func_at(go, pcs[i], &f))
				sum += (uint64_t)uw_go_sp_delta(go, &f, pcs[i]);
		t[1] += now(CLOCK_PROCESS_CPUTIME_ID);
		t[2] -= now(CLOCK_PROCESS_CPUTIME_ID);
		for (size_t i = 0; i < N; i++)
			if (uw_go_func_at(go, pcs[i], &f))
				sum += uw_go_frames(go, &f, pcs[i], frames, UW_MAX_INLINE);
		t[2] += now(CLOCK_PROCESS_CPUTIME_ID);
	}
	t[3] = (double)N * ROUNDS;
	printf("func_at %.0f ns, with sp_delta %.0f ns, with frames %.0f ns (%" PRIu64 ")\n",
	       t[0] / t[3], t[1] / t[3], t[2] / t[3], sum);
	free(pcs);
}

static void print_info(const struct uw_go *go, double cpu_ns)
{
	uint64_t lo, hi;
	size_t len;

	uw_go_text(go, &lo, &hi);
	uw_go_modinfo(go, &len);
	printf("%s minor=%d%s row=1.%d.%d text=%" PRIx64 "-%" PRIx64
	       " funcs=%zu moduledata=%" PRIx64 " modinfo=%zu opened in %.3f ms CPU\n",
	       uw_go_version(go), uw_go_minor(go), uw_go_guessed(go) ? "(guessed)" : "",
	       uw_go_layout(go)->minor, uw_go_layout(go)->patch, lo, hi, uw_go_nfuncs(go),
	       uw_go_moduledata(go), len, cpu_ns / 1e6);
}

int main(int argc, char **argv)
{
	struct uw_diag diag = {0};
	struct uw_go_func f;
	struct uw_elf *elf = NULL;
	struct uw_go *go = NULL;
	double cpu;
	int fd, r;

	if (argc < 2)
		return 2;
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	r = uw_elf_open(fd, &elf, &diag);
	if (r == 0)
		r = uw_go_open(elf, NULL, 0, &go, &diag);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	if (r < 0) {
		fprintf(stderr, "%s: %s at 0x%" PRIx64 ": %s\n", argv[1],
			diag.what ? diag.what : "?", diag.at, strerror(-r));
		uw_elf_free(elf);
		return 1;
	}
	if (argc > 2 && strcmp(argv[2], "info") == 0)
		print_info(go, cpu);
	else if (argc > 3 && strcmp(argv[2], "random") == 0)
		print_random(go, strtol(argv[3], NULL, 10));
	else if (argc > 2 && strcmp(argv[2], "speed") == 0)
		print_speed(go);
	else if (argc > 2 && strcmp(argv[2], "dwarf") == 0)
		r = print_dwarf(elf);
	else if (argc > 2 && strcmp(argv[2], "special") == 0)
		print_special(go);
	else if (argc > 3 && strcmp(argv[2], "func") == 0)
		r = uw_go_func_named(go, argv[3], &f) ? (print_func(go, &f), 0) : 1;
	else
		print_frames(go);
	uw_go_free(go);
	uw_elf_free(elf);
	return r;
}
