/* SPDX-License-Identifier: Apache-2.0 */
#include "sniff.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BEGINS(text) text, sizeof(text) - 1

/* By their first bytes; the first match counts. */
static const struct {
	const char *begin;
	size_t len;
	const char *what;
} kinds[] = {
	/* answers of net/http/pprof as text, and its message where there is no profile */
	{BEGINS("heap profile: "),
	 "it is the text of a heap profile (debug=1): fetch it without debug=1"},
	{BEGINS("--- mutex:\n"),
	 "it is the text of a mutex profile (debug=1): fetch it without debug=1"},
	{BEGINS("--- contention:\n"),
	 "it is the text of a block profile (debug=1): fetch it without debug=1"},
	{BEGINS("goroutine profile: "),
	 "it is the text of a goroutine profile (debug=1): fetch it without debug=1"},
	{BEGINS("threadcreate profile: "),
	 "it is the text of a threadcreate profile (debug=1): fetch it without debug=1"},
	{BEGINS("goroutine "), "it is a dump of goroutines as text (debug=2, or a panic): fetch it "
			       "without debug=2"},
	{BEGINS("404 page not found"),
	 "it is a server's answer, 404 page not found: is net/http/pprof served there?"},
	{BEGINS("could not enable CPU profiling: "),
	 "it is a server's answer: another CPU profile was being taken there"},
	{BEGINS("Could not enable CPU profiling: "),
	 "it is a server's answer: another CPU profile was being taken there"},
	{BEGINS("Unknown profile"), "it is a server's answer: there is no such profile there"},
	/* other data about programs */
	{BEGINS("go 1."), "it is an execution trace of Go: go tool trace reads it"},
	{BEGINS("mode: "), "it is a coverage profile of Go: go tool cover reads it"},
	{BEGINS("GO PREPROFILE V1\n"), "it is what the Go compiler makes of a profile for PGO: the "
				       "profile itself is wanted"},
	{BEGINS("PERFILE"), "it is a perf.data file: perf script, or perf report, reads it"},
	{BEGINS("PERFFILE"), "it is a perf.data file: perf script, or perf report, reads it"},
	{BEGINS("FLR\0"), "it is a recording of Java's flight recorder"},
	{BEGINS("# callgrind"), "it is a callgrind file: kcachegrind reads it"},
	{BEGINS("version https://git-lfs"),
	 "it is a pointer of Git LFS: git lfs pull fetches the file"},
	/* reports that prowl and pprof write */
	{BEGINS("File: "), "it is a report as text: the profile that it was made from is wanted"},
	{BEGINS("Type: "), "it is a report as text: the profile that it was made from is wanted"},
	{BEGINS("{\"schema_version\""),
	 "it is a report as JSON: the profile that it was made from is wanted"},
	/* any files */
	{BEGINS("\x28\xb5\x2f\xfd"), "it is packed by zstd: unpack it with zstd -d"},
	{BEGINS("BZh"), "it is packed by bzip2: unpack it with bzip2 -d"},
	{BEGINS("\xfd"
		"7zXZ"),
	 "it is packed by xz: unpack it with xz -d"},
	{BEGINS("\x04\x22\x4d\x18"), "it is packed by lz4: unpack it with lz4 -d"},
	{BEGINS("PK\3\4"), "it is a zip archive: unpack it with unzip"},
	{BEGINS("SQLite format 3"), "it is a database of SQLite"},
	{BEGINS("MZ"), "it is a program of Windows"},
	{BEGINS("\xcf\xfa\xed\xfe"), "it is a program of macOS"},
	{BEGINS("\x89PNG"), "it is a picture (PNG)"},
	{BEGINS("%PDF-"), "it is a PDF document"},
};

static bool begins(const uint8_t *b, size_t len, const char *with, size_t n)
{
	return len >= n && memcmp(b, with, n) == 0;
}

static const char *elf(const uint8_t *b, size_t len)
{
	enum { E_TYPE = 16, ET_CORE = 4, LITTLE = 1 };
	int type = len < 18 ? 0 : b[5] == LITTLE ? b[E_TYPE] : b[E_TYPE + 1];

	return type == ET_CORE ? "it is a core file: prowl goroutine --core, prowl heap --core, "
				 "... read it"
			       : "it is a program (ELF), not a profile of one";
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t skip_blanks(const uint8_t *b, size_t len)
{
	size_t n = 0;

	while (n < len && is_blank(b[n]))
		n++;
	return n;
}

static bool has(const uint8_t *b, size_t len, const char *text)
{
	return memmem(b, len, text, strlen(text)) != NULL;
}

static const char *markup(const uint8_t *b, size_t len)
{
	if (has(b, len, "<svg"))
		return "it is a picture (SVG): the profile that it was made from is wanted";
	return "it is a page (HTML) or XML: a report, or a server's answer";
}

static const char *json(const uint8_t *b, size_t len)
{
	if (has(b, len, "speedscope"))
		return "it is a speedscope file: speedscope shows it; the profile that it was made "
		       "from is wanted";
	if (has(b, len, "\"traceEvents\"") || has(b, len, "\"ph\""))
		return "it is a trace of events as JSON: Perfetto shows it";
	return "it is JSON";
}

/* Only bytes of text. */
static bool is_text(const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (b[i] == 0x7f ||
		    (b[i] < ' ' && !is_blank(b[i]) && b[i] != '\f' && b[i] != '\033'))
			return false;
	return len > 0;
}

/* "a;b;c 42", with a name in front in perf's output. */
static bool is_folded(const uint8_t *b, size_t len)
{
	const uint8_t *end = memchr(b, '\n', len);
	size_t n = end ? (size_t)(end - b) : len, digits = 0;

	while (digits < n && b[n - 1 - digits] >= '0' && b[n - 1 - digits] <= '9')
		digits++;
	return digits > 0 && digits < n && b[n - 1 - digits] == ' ' && memchr(b, ';', n);
}

const char *pp_sniff(const void *bytes, size_t len)
{
	enum { MOST = 4096, USTAR = 257 };
	const uint8_t *b = bytes;
	size_t blanks;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (begins(b, len, kinds[i].begin, kinds[i].len))
			return kinds[i].what;
	if (begins(b, len, BEGINS("\177ELF")))
		return elf(b, len);
	if (len > USTAR + 5 && begins(b + USTAR, len - USTAR, BEGINS("ustar")))
		return "it is a tar archive: unpack it with tar -x";
	len = len < MOST ? len : MOST;
	if (!is_text(b, len))
		return NULL;
	blanks = skip_blanks(b, len);
	if (blanks < len && b[blanks] == '<')
		return markup(b, len);
	if (blanks < len && (b[blanks] == '{' || b[blanks] == '['))
		return json(b, len);
	if (is_folded(b, len))
		return "it is folded stacks: flamegraph.pl or speedscope shows them";
	return "it is text";
}
