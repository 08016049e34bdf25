/* SPDX-License-Identifier: Apache-2.0 */
#include "term.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "utf8.h"

static struct {
	int level;
	int color; /* -1: not decided */
	bool line; /* a progress line stands */
	void (*to)(void *ctx, const char *text);
	void *ctx;
} term = {.color = -1};

size_t text_control(const char *s)
{
	unsigned char c = (unsigned char)s[0], next = c ? (unsigned char)s[1] : 0;

	if ((c && c < 0x20) || c == 0x7f)
		return 1;
	return c == 0xc2 && next >= 0x80 && next < 0xa0 ? 2 : 0;
}

bool text_char(const char *s, size_t *ret_len)
{
	size_t control = text_control(s), n = 0;
	uint32_t c;

	if (control == 0)
		n = utf8_decode(s, &c);
	*ret_len = n ? n : control ? control : 1;
	return n > 0;
}

static void put(FILE *f, const char *s, bool lines)
{
	size_t n;

	for (; *s; s += n) {
		if (text_char(s, &n) || (lines && *s == '\n'))
			fwrite(s, 1, n, f);
		else
			putc('?', f);
	}
}

void text_put(FILE *f, const char *s)
{
	put(f, s, false);
}

void text_put_lines(FILE *f, const char *s)
{
	put(f, s, true);
}

void say_level(int level)
{
	term.level = level;
}

bool say_verbose(void)
{
	return term.level >= SAY_VERBOSE;
}

static bool set(const char *name)
{
	const char *v = getenv(name);

	return v && v[0];
}

bool say_color(const char *when)
{
	if (!strcmp(when, "always"))
		term.color = 1;
	else if (!strcmp(when, "never"))
		term.color = 0;
	else if (strcmp(when, "auto") != 0)
		return false;
	return true;
}

bool say_use_color(int fd)
{
	const char *t = getenv("TERM");

	if (term.color >= 0)
		return term.color;
	if (set("NO_COLOR"))
		return false;
	if (set("CLICOLOR_FORCE") || set("FORCE_COLOR"))
		return true;
	return isatty(fd) && (!t || strcmp(t, "dumb") != 0);
}

void say_elsewhere(void (*to)(void *ctx, const char *text), void *ctx)
{
	term.to = to;
	term.ctx = ctx;
}

static void say(const char *color, const char *word, const char *fmt, va_list ap)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	if (term.to) {
		term.to(term.ctx, text ? text : "out of memory");
		free(text);
		return;
	}
	say_progress_end();
	if (*color && say_use_color(STDERR_FILENO))
		fprintf(stderr, "prowl: \033[%sm%s\033[0m", color, word);
	else
		fprintf(stderr, "prowl: %s", word);
	if (text)
		text_put(stderr, text);
	free(text);
	fputc('\n', stderr);
}

#define SAY(color, word)                   \
	do {                               \
		va_list ap;                \
		va_start(ap, fmt);         \
		say(color, word, fmt, ap); \
		va_end(ap);                \
	} while (0)

void say_error(const char *fmt, ...)
{
	SAY("31", "error: ");
}

void say_warning(const char *fmt, ...)
{
	SAY("33", "warning: ");
}

void say_info(const char *fmt, ...)
{
	if (term.level > SAY_QUIET)
		SAY("", "");
}

void say_detail(const char *fmt, ...)
{
	if (term.level >= SAY_VERBOSE)
		SAY("", "");
}

void say_own_cost(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) < 0)
		return;
	say_info("prowl itself: %.3f s of CPU, %.1f MB",
		 (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
			 (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6,
		 (double)u.ru_maxrss / 1024.0);
}

void say_progress(const char *fmt, ...)
{
	const char *t = getenv("TERM");
	va_list ap;

	if (term.level < SAY_NORMAL || !isatty(STDERR_FILENO) || set("CI") ||
	    (t && !strcmp(t, "dumb")))
		return;
	fputs("\r\033[K", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fflush(stderr);
	term.line = true;
}

void say_progress_end(void)
{
	if (term.line)
		fputs("\r\033[K", stderr);
	term.line = false;
}

enum prowl_code say_failure(const struct prowl_err *err)
{
	say_error("%s", err->text);
	if (err->hint[0]) {
		text_put_lines(stderr, err->hint);
		fputc('\n', stderr);
	}
	return err->code;
}
