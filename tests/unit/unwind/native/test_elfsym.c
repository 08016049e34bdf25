/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, lines and inlined functions of this very program, and of copies of it that objcopy has
 * stripped in the ways that distributions do.
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "dwarf_parts.h"
#include "elfsym.h"
#include "unit_test.h"

#define KEEP __attribute__((noinline, used))

#if defined(__x86_64__)
#define HERE(pc) __asm__ volatile("1: lea 1b(%%rip), %0" : "=r"(pc))
#define RETURN   "ret\n"
#else
#define HERE(pc) __asm__ volatile("1: adr %0, 1b" : "=r"(pc))
#define RETURN   "ret\n"
#endif

/* Without type and size, as assembler code often is; then a named place inside of a sized function.
 */
__asm__(".text\n"
	".globl bare_function\n"
	"bare_function:\n"
	".skip 16, 0x90\n" RETURN ".globl bare_next\n"
	"bare_next:\n" RETURN ".globl sized\n"
	".type sized, @function\n"
	"sized:\n"
	".skip 16, 0x90\n"
	"inner_label:\n"
	".skip 16, 0x90\n" RETURN ".size sized, . - sized\n"
	".skip 32, 0x90\n"
	".local an_alias\n"
	".type an_alias, @function\n"
	".weak weak_alias\n"
	".type weak_alias, @function\n"
	".globl the_function\n"
	".type the_function, @function\n"
	"an_alias: weak_alias: the_function:\n" RETURN ".size an_alias, . - an_alias\n"
	".size weak_alias, . - weak_alias\n"
	".size the_function, . - the_function\n");
extern const char bare_function[], bare_next[], sized[], the_function[];

static volatile unsigned sink;
static int leaf_line, leaf_decl, middle_call, outer_call;

static inline __attribute__((always_inline)) uintptr_t inlined_leaf(void)
{
	uintptr_t pc;

	leaf_decl = __LINE__ - 4;
	leaf_line = __LINE__ + 1;
	HERE(pc);
	sink++;
	return pc;
}

static inline __attribute__((always_inline)) uintptr_t inlined_middle(void)
{
	middle_call = __LINE__ + 1;
	return inlined_leaf();
}

KEEP static uintptr_t outer(void)
{
	sink++;
	outer_call = __LINE__ + 1;
	return inlined_middle();
}

KEEP uintptr_t _ZN4proj5thingEi(int x);
uintptr_t _ZN4proj5thingEi(int x)
{
	uintptr_t pc;

	HERE(pc);
	sink += (unsigned)x;
	return pc;
}

static uintptr_t bias;
static char dir[] = "/tmp/prowl-elfsym-XXXXXX";
static char self[4096];

static int first_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	bias = info->dlpi_addr;
	return 1;
}

struct opened {
	struct uw_elf *elf;
	struct uw_elfsym *sym;
	struct uw_frame f[UW_MAX_INLINE];
};

static void open_file(struct opened *o, const char *path, const char *hint)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(uw_elf_open(fd, &o->elf, NULL), 0);
	assert_int_equal(uw_elfsym_new(o->elf, hint, &o->sym), 0);
}

static void close_file(struct opened *o)
{
	uw_elfsym_free(o->sym);
	uw_elf_free(o->elf);
}

static const char *name_at(struct opened *o, const void *p, size_t offset)
{
	size_t n = uw_elfsym_frames(o->sym, (uintptr_t)p + offset - bias, o->f, UW_MAX_INLINE);

	return n ? o->f[n - 1].name : NULL;
}

static void check_dwarf(struct opened *o)
{
	uintptr_t pc = outer() - bias;
	size_t n = uw_elfsym_frames(o->sym, pc, o->f, UW_MAX_INLINE);

	assert_int_equal(n, 3);
	assert_string_equal(o->f[0].name, "inlined_leaf");
	assert_string_equal(o->f[1].name, "inlined_middle");
	assert_string_equal(o->f[2].name, "outer");
	assert_int_equal(o->f[0].line, leaf_line);
	assert_int_equal(o->f[1].line, middle_call);
	assert_int_equal(o->f[2].line, outer_call);
	assert_int_equal(o->f[0].start_line, leaf_decl);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(strstr(o->f[i].file, "test_elfsym.c"));
		assert_int_equal(o->f[i].func, (uintptr_t)outer - bias);
		assert_ptr_equal(o->f[i].name, o->f[i].readable);
	}
	/* Cut chains keep the physical function. */
	assert_int_equal(uw_elfsym_frames(o->sym, pc, o->f, 2), 2);
	assert_string_equal(o->f[0].name, "inlined_leaf");
	assert_string_equal(o->f[1].name, "outer");
	assert_int_equal(uw_elfsym_frames(o->sym, pc, o->f, 0), 0);
	assert_int_equal(uw_elfsym_frames(o->sym, _ZN4proj5thingEi(1) - bias, o->f, 8), 1);
	assert_string_equal(o->f[0].name, "_ZN4proj5thingEi");
	assert_string_equal(o->f[0].readable, "proj::thing(int)");
}

TEST(symbols)
{
	struct opened o;

	open_file(&o, self, NULL);
	assert_string_equal(name_at(&o, bare_function, 0), "bare_function");
	assert_string_equal(name_at(&o, bare_function, 16), "bare_function");
	assert_string_equal(name_at(&o, bare_next, 0), "bare_next");
	assert_string_equal(name_at(&o, sized, 0), "sized");
	assert_string_equal(name_at(&o, sized, 15), "sized");
	assert_string_equal(name_at(&o, sized, 16), "sized");
	assert_string_equal(name_at(&o, sized, 32), "sized");
	assert_null(name_at(&o, sized, 40));
	assert_string_equal(name_at(&o, the_function, 0), "the_function");
	assert_null(name_at(&o, NULL, bias));
	assert_null(name_at(&o, NULL, bias - 1));
	assert_null(name_at(&o, &bias, 0));
	close_file(&o);
	uw_elfsym_free(NULL);
}

TEST(lines_and_inlined_functions)
{
	struct opened o;

	open_file(&o, self, NULL);
	check_dwarf(&o);
	close_file(&o);
}

/* Runs a shell command in the scratch folder with $1 = this program; skips the test without tools.
 */
static void run(const char *command)
{
	char line[8192];

	snprintf(line, sizeof line, "cd %s && set -- '%s' && { %s; } >/dev/null 2>&1", dir, self,
		 command);
	if (system("command -v objcopy >/dev/null && command -v xz >/dev/null") != 0)
		skip();
	assert_int_equal(system(line), 0);
}

static const char *in_dir(const char *name)
{
	static char path[8192];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

TEST(a_debug_file_by_link)
{
	struct opened o;

	run("objcopy --only-keep-debug \"$1\" prog.debug && objcopy -S "
	    "--add-gnu-debuglink=prog.debug \"$1\" prog");
	open_file(&o, in_dir("prog"), NULL);
	assert_null(name_at(&o, sized, 0));
	close_file(&o);
	open_file(&o, in_dir("prog"), in_dir("prog"));
	assert_string_equal(name_at(&o, sized, 0), "sized");
	check_dwarf(&o);
	close_file(&o);
	run("mkdir .debug && mv prog.debug .debug");
	open_file(&o, in_dir("prog"), in_dir("prog"));
	check_dwarf(&o);
	close_file(&o);
}

TEST(packed_debug_sections)
{
	struct opened o;

	run("objcopy --compress-debug-sections=zlib \"$1\" packed");
	open_file(&o, in_dir("packed"), NULL);
	check_dwarf(&o);
	uw_elfsym_forget(o.sym);
	uw_elfsym_forget(o.sym);
	check_dwarf(&o);
	close_file(&o);
	run("objcopy --compress-debug-sections=zlib-gnu \"$1\" zdebug");
	open_file(&o, in_dir("zdebug"), NULL);
	check_dwarf(&o);
	uw_elfsym_forget(o.sym);
	check_dwarf(&o);
	close_file(&o);
}

/* Bytes that the sections of a file are unpacked into; -1: it has none. */
static ssize_t unpacked(const char *path)
{
	struct uw_dwarf *d;
	ssize_t size;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	if (uw_dwarf_new(fd, NULL, &d) < 0) {
		close(fd);
		return -1;
	}
	size = (ssize_t)uw_dwarf_unpacked(d);
	uw_dwarf_free(d);
	close(fd);
	return size;
}

TEST(what_is_unpacked)
{
	struct stat st;

	run("objcopy --compress-debug-sections=zlib \"$1\" packed && "
	    "objcopy --compress-debug-sections=zlib-gnu \"$1\" zdebug && "
	    "printf x >alt && objcopy --add-section .gnu_debugaltlink=alt packed alt.packed");
	assert_int_equal(unpacked(self), 0);
	assert_int_equal(unpacked(in_dir("zdebug")), 0);
	assert_int_equal(unpacked(in_dir("alt.packed")), 0);
	assert_int_equal(stat(self, &st), 0);
	assert_in_range(unpacked(in_dir("packed")), 1000, st.st_size);
}

/* The link's name fits, the file doesn't: by its build id, or by its checksum without one. */
TEST(a_wrong_debug_file)
{
	struct opened o;

	run("objcopy --only-keep-debug \"$1\" wrong.debug && "
	    "objcopy -S --add-gnu-debuglink=wrong.debug \"$1\" wrong && "
	    "printf 'abcdefghij' | dd of=id bs=1 2>/dev/null && "
	    "objcopy --remove-section .note.gnu.build-id wrong.debug wrong2.debug && "
	    "mv wrong2.debug wrong.debug");
	open_file(&o, in_dir("wrong"), in_dir("wrong"));
	if (o.elf->build_id[0])
		assert_null(name_at(&o, sized, 0));
	close_file(&o);
	run("objcopy --remove-section .note.gnu.build-id wrong wrong3 && mv wrong3 wrong");
	open_file(&o, in_dir("wrong"), in_dir("wrong"));
	assert_int_equal(strlen(o.elf->build_id), 0);
	assert_null(name_at(&o, sized, 0));
	close_file(&o);
}

TEST(packed_symbols)
{
	struct opened o;

	run("printf 'sized\\nouter\\n' >keep && objcopy --only-keep-debug \"$1\" full && "
	    "objcopy -S --keep-symbols=keep full mini && xz -c mini >mini.xz && "
	    "objcopy -S \"$1\" bare && objcopy --add-section .gnu_debugdata=mini.xz bare packed2");
	open_file(&o, in_dir("bare"), NULL);
	assert_null(name_at(&o, sized, 0));
	close_file(&o);
	open_file(&o, in_dir("packed2"), NULL);
	if (!name_at(&o, sized, 0)) {
		close_file(&o);
		skip(); /* built without liblzma */
	}
	assert_string_equal(name_at(&o, sized, 0), "sized");
	close_file(&o);
}

/* Whatever the tables of a file say, a look-up ends and its strings do. */
static void damage(const char *path, int rounds)
{
	static const char *const parts[] = {".symtab",     ".strtab",       NULL,
					    ".debug_line", ".debug_info",   ".debug_abbrev",
					    ".debug_str",  ".debug_ranges", ".debug_aranges"};
	struct opened good;
	unsigned seed = 1;
	char *image;

	open_file(&good, path, NULL);
	image = malloc(good.elf->size);
	assert_non_null(image);
	for (int round = 0; round < rounds; round++) {
		const char *part = parts[(size_t)round % (sizeof parts / sizeof *parts)];
		size_t size = good.elf->size, start = size - 64 * 40, len = 64 * 40;
		struct uw_section sec;
		struct opened o;
		int fd;

		if (part) {
			if (!uw_elf_section(good.elf, part, &sec) || sec.size == 0)
				continue;
			start = sec.offset;
			len = sec.size;
		}
		memcpy(image, good.elf->bytes, size);
		for (int i = 0; i < (round % 2 ? 500 : 10); i++)
			image[start + (size_t)rand_r(&seed) % len] = (char)rand_r(&seed);
		fd = memfd_create("damaged", MFD_CLOEXEC);
		assert_int_equal(write(fd, image, size), (ssize_t)size);
		if (uw_elf_open(fd, &o.elf, NULL) < 0)
			continue;
		assert_int_equal(uw_elfsym_new(o.elf, NULL, &o.sym), 0);
		for (size_t i = 0; i < 200; i++) {
			size_t n = uw_elfsym_frames(o.sym, (uintptr_t)outer - bias + i * 16 - 1600,
						    o.f, UW_MAX_INLINE);

			for (size_t j = 0; j < n; j++)
				assert_true(strlen(o.f[j].name) + strlen(o.f[j].readable) < 100000);
		}
		close_file(&o);
	}
	free(image);
	close_file(&good);
}

TEST(damaged_files)
{
	damage(self, 600);
}

/* Also in the first bytes of a section, which say what it unpacks to. */
TEST(damaged_packed_files)
{
	struct opened good;
	struct uw_section sec;
	char *image;

	run("objcopy --compress-debug-sections=zlib \"$1\" packed");
	damage(in_dir("packed"), 300);
	open_file(&good, in_dir("packed"), NULL);
	assert_true(uw_elf_section(good.elf, ".debug_info", &sec));
	image = malloc(good.elf->size);
	assert_non_null(image);
	for (unsigned bit = 0; bit < sizeof(Elf64_Chdr) * 8; bit++) {
		struct opened o;
		int fd = memfd_create("damaged", MFD_CLOEXEC);

		memcpy(image, good.elf->bytes, good.elf->size);
		image[sec.offset + bit / 8] ^= (char)(1 << bit % 8);
		assert_int_equal(write(fd, image, good.elf->size), (ssize_t)good.elf->size);
		assert_int_equal(uw_elf_open(fd, &o.elf, NULL), 0);
		assert_int_equal(uw_elfsym_new(o.elf, NULL, &o.sym), 0);
		assert_string_equal(name_at(&o, sized, 0), "sized");
		close_file(&o);
	}
	free(image);
	close_file(&good);
}

/* --- files that would cost gigabytes or hours -------------------------------------- */

static uint64_t cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/*
 * Nothing of it is used, it is counted, and it takes less than two seconds of CPU time: reading all
 * of it would take hours.
 */
static void is_left_out(const char *name)
{
	struct uw_care care = {0};
	uint64_t begun = cpu_ms();
	struct opened o;

	open_file(&o, in_dir(name), in_dir(name));
	uw_elfsym_share(o.sym, &care);
	assert_null(name_at(&o, sized, 0));
	assert_int_equal(care.left_out, 1);
	assert_true(care.unpacked <= UW_CARE_UNPACKED && care.summed <= UW_CARE_SUMMED);
	close_file(&o);
	assert_true(cpu_ms() - begun < 2000);
}

TEST(a_sparse_debug_file)
{
	run("cp \"$1\" sparse.debug && objcopy -S --remove-section .note.gnu.build-id "
	    "--add-gnu-debuglink=sparse.debug \"$1\" sparse && "
	    "{ truncate -s 8T sparse.debug || truncate -s 1T sparse.debug; }");
	is_left_out("sparse");
}

TEST(a_debug_file_that_is_none)
{
	struct opened o;

	run("rm -f fifo.debug; objcopy --only-keep-debug \"$1\" fifo.debug && "
	    "objcopy -S --add-gnu-debuglink=fifo.debug \"$1\" fifo && rm fifo.debug && "
	    "mkfifo fifo.debug && printf 'fifo.debug\\0abcdefghijklmnopqrst' >alt && "
	    "objcopy --add-section .gnu_debugaltlink=alt \"$1\" fifo2");
	open_file(&o, in_dir("fifo"), in_dir("fifo"));
	assert_null(name_at(&o, sized, 0));
	close_file(&o);
	open_file(&o, in_dir("fifo2"), in_dir("fifo2"));
	check_dwarf(&o);
	close_file(&o);
}

/* 96 MiB of zeros, packed by a factor of some thousands: by xz, and below by deflate. */
TEST(symbols_that_unpack_to_much)
{
	struct opened o;

	run("objcopy -S \"$1\" bare && head -c 96M /dev/zero | xz -0 -T1 >bomb.xz && "
	    "objcopy --add-section .gnu_debugdata=bomb.xz bare bomb");
	open_file(&o, in_dir("bomb"), NULL);
	assert_null(name_at(&o, sized, 0));
	close_file(&o);
#if defined(HAVE_LZMA)
	is_left_out("bomb");
#endif
}

/* The sections say their size themselves; a lie within what deflate can do is no lie to see. */
TEST(lines_that_unpack_to_much)
{
	struct uw_care care = {0};
	struct uw_section sec;
	struct uw_dwarf *d;
	struct opened o;
	Elf64_Chdr head;
	int fd;

	run("objcopy --compress-debug-sections=zlib \"$1\" big");
	open_file(&o, in_dir("big"), NULL);
	assert_true(uw_elf_section(o.elf, ".debug_info", &sec));
	memcpy(&head, o.elf->bytes + sec.offset, sizeof head);
	head.ch_size = sec.size * 1000;
	fd = open(in_dir("big"), O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, &head, sizeof head, (off_t)sec.offset), sizeof head);
	care.unpacked = UW_CARE_UNPACKED - head.ch_size;
	assert_int_equal(uw_dwarf_new(fd, &care, &d), -EFBIG);
	assert_int_equal(care.unpacked, UW_CARE_UNPACKED - head.ch_size);
	close(fd);
	close_file(&o);
}

/* What was unpacked and let go is no longer counted; what is together too much is. */
TEST(files_share_the_limits)
{
	struct uw_care care = {0};
	struct opened o;

	run("objcopy --compress-debug-sections=zlib \"$1\" packed");
	open_file(&o, in_dir("packed"), NULL);
	uw_elfsym_share(o.sym, &care);
	for (int i = 0; i < 3; i++) {
		check_dwarf(&o);
		assert_in_range(care.unpacked, 1000, UW_CARE_UNPACKED);
		uw_elfsym_forget(o.sym);
		assert_int_equal(care.unpacked, 0);
	}
	care.unpacked = UW_CARE_UNPACKED;
	assert_int_equal(uw_elfsym_frames(o.sym, outer() - bias, o.f, UW_MAX_INLINE), 1);
	assert_string_equal(o.f[0].name, "outer");
	assert_int_equal(o.f[0].line, 0);
	assert_int_equal(care.left_out, 1);
	close_file(&o);
}

TEST(in_a_hurry)
{
	struct uw_care care = {.hurry = true};
	struct opened o;

	open_file(&o, self, NULL);
	uw_elfsym_share(o.sym, &care);
	assert_null(name_at(&o, sized, 0));
	care.hurry = false;
	assert_string_equal(name_at(&o, sized, 0), "sized");
	care.hurry = true;
	assert_string_equal(name_at(&o, sized, 0), "sized");
	assert_int_equal(uw_elfsym_frames(o.sym, outer() - bias, o.f, UW_MAX_INLINE), 1);
	close_file(&o);
}

TEST(a_large_file)
{
	const char *path = NULL;
	struct timespec a, b, c;
	struct opened o;
	size_t known = 0;

	for (int v = 20; v >= 10 && !path; v--) {
		static char name[64];

		snprintf(name, sizeof name, "/usr/lib/llvm-%d/lib/libLLVM-%d.so.1", v, v);
		path = access(name, R_OK) == 0 ? name : NULL;
	}
	if (!path)
		skip();
	open_file(&o, path, NULL);
	clock_gettime(CLOCK_MONOTONIC, &a);
	uw_elfsym_frames(o.sym, o.elf->entry, o.f, 1);
	clock_gettime(CLOCK_MONOTONIC, &b);
	for (size_t i = 0; i < o.elf->nsegs; i++) {
		if (o.elf->segs[i].flags & PF_X) {
			for (uint64_t pc = 0; pc < 100000; pc++)
				known += uw_elfsym_frames(
					o.sym,
					o.elf->segs[i].vaddr +
						pc * (o.elf->segs[i].filesz / 100000),
					o.f, 1);
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &c);
	print_message(
		"# %s: index %.1f ms, then %.2f us a look-up, %zu known\n", path,
		(double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6,
		((double)(c.tv_sec - b.tv_sec) * 1e6 + (double)(c.tv_nsec - b.tv_nsec) / 1e3) / 1e5,
		known);
	close_file(&o);
}

static int start(void **state)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	dl_iterate_phdr(first_object, NULL);
	return n > 0 && mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
	char line[128];

	snprintf(line, sizeof line, "rm -r %s", dir);
	return system(line);
}

TEST_GROUP(start, end);
