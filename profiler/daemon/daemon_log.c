/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon_log.h"

#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

enum { LINE = 1024, RECENT = 32 };
static const uint64_t FOLD = 60000000000; /* ns */

struct recent { /* a line that was written */
	char text[LINE];
	enum daemon_level level;
	uint64_t since;
	unsigned int again;
};

struct daemon_log {
	pthread_mutex_t lock;
	int fd;
	enum daemon_level level;
	enum daemon_format format;
	uint64_t (*now)(void);
	unsigned int lost; /* lines for which there was no room */
	struct recent recent[RECENT];
};

/* Whether fd is the journal's stream, which JOURNAL_STREAM names by device and inode. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(fd, &st) == 0 &&
	       st.st_dev == dev && st.st_ino == ino;
}

struct daemon_log *daemon_log_new(int fd, enum daemon_level level, enum daemon_format format,
				  uint64_t (*now)(void))
{
	struct daemon_log *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	l->fd = fd;
	l->level = level;
	l->now = now ? now : prowl_now;
	l->format = format;
	if (format == DAEMON_AUTO)
		l->format = is_journal(fd) ? DAEMON_JOURNAL : DAEMON_TEXT;
	return l;
}

void daemon_log_free(struct daemon_log *l)
{
	if (!l)
		return;
	daemon_log_tick(l, true);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void daemon_log_level(struct daemon_log *l, enum daemon_level level)
{
	pthread_mutex_lock(&l->lock);
	l->level = level;
	pthread_mutex_unlock(&l->lock);
}

/* --- one line ------------------------------------------------------------------------------- */

static const char *const names[] = {"error", "warning", "info", "debug"};

static void utc(char buf[32])
{
	time_t t = time(NULL);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static size_t as_json(char *buf, size_t len, enum daemon_level level, const char *text)
{
	char when[32];
	json_t *j;
	size_t n;

	utc(when);
	j = json_pack("{s:s, s:s, s:s}", "time", when, "level", names[level], "message", text);
	n = j ? json_dumpb(j, buf, len - 1, JSON_COMPACT) : 0;
	json_decref(j);
	if (n == 0 || n >= len)
		return 0;
	buf[n] = '\n';
	return n + 1;
}

static size_t as_text(const struct daemon_log *l, char *buf, size_t len, enum daemon_level level,
		      const char *text)
{
	static const char priority[] = {'3', '4', '6', '7'};
	char when[32];

	utc(when);
	if (l->format == DAEMON_JOURNAL)
		return (size_t)snprintf(buf, len, "<%c>%s\n", priority[level], text);
	return (size_t)snprintf(buf, len, "%s %s %s\n", when, names[level], text);
}

static void write_line(const struct daemon_log *l, enum daemon_level level, const char *text)
{
	char buf[2 * LINE + 128];
	size_t n = l->format == DAEMON_JSON ? as_json(buf, sizeof buf, level, text)
					    : as_text(l, buf, sizeof buf, level, text);

	/* Nobody is left to tell that a line can't be written. */
	if (n)
		(void)!write(l->fd, buf, n < sizeof buf ? n : sizeof buf - 1);
}

static bool has_room(const struct daemon_log *l)
{
	struct pollfd room = {.fd = l->fd, .events = POLLOUT};

	return poll(&room, 1, 0) != 0;
}

/*
 * A line that would have to wait for its reader is left out: a terminal that was stopped, or a
 * pipe that nobody reads, must not stop the threads that sample and serve.
 */
static void put(struct daemon_log *l, enum daemon_level level, const char *text)
{
	char lost[64];

	if (l->lost && has_room(l)) {
		snprintf(lost, sizeof lost, "%u lines were left out: nobody read them", l->lost);
		write_line(l, DAEMON_WARNING, lost);
		l->lost = 0;
	}
	if (has_room(l))
		write_line(l, level, text);
	else
		l->lost++;
}

/* Foreign text: what a terminal or a reader of lines obeys becomes '?', as does what is no ASCII
 * where it may be cut. */
static void tidy(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || (unsigned char)*s >= 0x7f)
			*s = '?';
	}
}

/* --- folding -------------------------------------------------------------------------------- */

static void put_count(struct daemon_log *l, struct recent *r, uint64_t now)
{
	char text[LINE + 64];

	if (r->again) {
		snprintf(text, sizeof text, "%s (%u times more in %llu s)", r->text, r->again,
			 (unsigned long long)((now - r->since + 500000000) / 1000000000));
		put(l, r->level, text);
	}
	r->again = 0;
	r->text[0] = '\0';
}

/* The place of a line that is written now: the oldest one. */
static struct recent *oldest(struct daemon_log *l)
{
	struct recent *best = &l->recent[0];

	for (size_t i = 1; i < RECENT; i++) {
		if (l->recent[i].since < best->since)
			best = &l->recent[i];
	}
	return best;
}

/* Whether it was written within the last minute, and is counted. */
static bool is_repeated(struct daemon_log *l, const char *text, uint64_t now)
{
	for (size_t i = 0; i < RECENT; i++) {
		struct recent *r = &l->recent[i];

		if (!r->text[0] || strcmp(r->text, text) != 0)
			continue;
		if (now - r->since < FOLD) {
			r->again++;
			return true;
		}
		put_count(l, r, now);
	}
	return false;
}

void daemon_say(struct daemon_log *l, enum daemon_level level, const char *fmt, ...)
{
	uint64_t now = l->now();
	char text[LINE];
	struct recent *r;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	tidy(text);
	pthread_mutex_lock(&l->lock);
	if (level <= l->level && !is_repeated(l, text, now)) {
		r = oldest(l);
		put_count(l, r, now);
		snprintf(r->text, sizeof r->text, "%s", text);
		r->level = level;
		r->since = now;
		put(l, level, text);
	}
	pthread_mutex_unlock(&l->lock);
}

void daemon_log_tick(struct daemon_log *l, bool all)
{
	uint64_t now = l->now();

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < RECENT; i++) {
		if (l->recent[i].text[0] && (all || now - l->recent[i].since >= FOLD))
			put_count(l, &l->recent[i], now);
	}
	pthread_mutex_unlock(&l->lock);
}
