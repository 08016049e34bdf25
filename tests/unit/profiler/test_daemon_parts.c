/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's smaller parts: its log, what systemd is told, what is known of processes, labels. */
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon_log.h"
#include "notify.h"
#include "pprof.h"
#include "relabel.h"
#include "roster.h"
#include "unit_test.h"

#define S UINT64_C(1000000000)

/* --- the log ------------------------------------------------------------------------------- */

static uint64_t clock_now;

static uint64_t now(void)
{
	return clock_now;
}

struct logged {
	struct daemon_log *log;
	int ends[2];
	char text[8192];
};

static void begin(struct logged *l, enum daemon_format format)
{
	clock_now = 100 * S;
	assert_int_equal(pipe(l->ends), 0);
	l->log = daemon_log_new(l->ends[1], DAEMON_INFO, format, now);
	assert_non_null(l->log);
}

/* What was written since the last time. */
static const char *said(struct logged *l)
{
	ssize_t n;

	(void)!write(l->ends[1], "", 1);
	n = read(l->ends[0], l->text, sizeof l->text);
	assert_true(n > 0);
	return l->text;
}

static void end(struct logged *l)
{
	daemon_log_free(l->log);
	close(l->ends[0]);
	close(l->ends[1]);
}

TEST(lines_have_the_priority_of_the_journal)
{
	struct logged l;

	begin(&l, DAEMON_JOURNAL);
	daemon_say(l.log, DAEMON_ERROR, "a %d", 1);
	daemon_say(l.log, DAEMON_WARNING, "b");
	daemon_say(l.log, DAEMON_INFO, "c\n\033[0m<0>");
	daemon_say(l.log, DAEMON_DEBUG, "d");
	assert_string_equal(said(&l), "<3>a 1\n<4>b\n<6>c??[0m<0>\n");
	daemon_log_level(l.log, DAEMON_DEBUG);
	daemon_say(l.log, DAEMON_DEBUG, "d");
	assert_string_equal(said(&l), "<7>d\n");
	end(&l);
}

TEST(lines_that_nobody_reads_hold_nobody_up)
{
	struct logged l;

	begin(&l, DAEMON_JOURNAL);
	/* More than a pipe holds. */
	for (int i = 0; i < 20000; i++)
		daemon_say(l.log, DAEMON_INFO, "line %d", i);
	while (poll(&(struct pollfd){l.ends[0], POLLIN, 0}, 1, 0) > 0)
		assert_true(read(l.ends[0], l.text, sizeof l.text) > 0);
	daemon_say(l.log, DAEMON_INFO, "then");
	assert_non_null(strstr(said(&l), " lines were left out: nobody read them\n<6>then\n"));
	end(&l);
}

TEST(json_is_one_object_a_line)
{
	struct logged l;

	begin(&l, DAEMON_JSON);
	daemon_say(l.log, DAEMON_WARNING, "say \"x\" \\ \xff");
	assert_non_null(
		strstr(said(&l), "\"level\":\"warning\",\"message\":\"say \\\"x\\\" \\\\ ?\"}\n"));
	end(&l);
}

TEST(repeats_are_counted_for_a_minute)
{
	struct logged l;

	begin(&l, DAEMON_JOURNAL);
	for (int i = 0; i < 5; i++)
		daemon_say(l.log, DAEMON_INFO, "same");
	daemon_say(l.log, DAEMON_INFO, "other");
	assert_string_equal(said(&l), "<6>same\n<6>other\n");
	clock_now += 59 * S;
	daemon_log_tick(l.log, false);
	assert_string_equal(said(&l), "");
	clock_now += S;
	daemon_log_tick(l.log, false);
	assert_string_equal(said(&l), "<6>same (4 times more in 60 s)\n");
	daemon_say(l.log, DAEMON_INFO, "same");
	assert_string_equal(said(&l), "<6>same\n");
	daemon_say(l.log, DAEMON_INFO, "same");
	clock_now += 70 * S;
	daemon_say(l.log, DAEMON_INFO, "same");
	assert_string_equal(said(&l), "<6>same (1 times more in 70 s)\n<6>same\n");
	/* As many different lines as there are: the count of the oldest is not lost. */
	daemon_say(l.log, DAEMON_INFO, "same");
	for (int i = 0; i < 100; i++) {
		clock_now++;
		daemon_say(l.log, DAEMON_INFO, "line %d", i);
	}
	assert_non_null(strstr(said(&l), "<6>same (1 times more in 0 s)\n"));
	end(&l);
}

TEST(a_long_line_is_cut)
{
	char text[5000];
	struct logged l;

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	begin(&l, DAEMON_JOURNAL);
	daemon_say(l.log, DAEMON_INFO, "%s", text);
	assert_int_equal(strlen(said(&l)), 3 + 1023 + 1);
	end(&l);
}

/* --- systemd --------------------------------------------------------------------------------- */

TEST(systemd_is_told_at_its_socket)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), n;
	char name[64], got[256] = "";

	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1"), 0);
	n = snprintf(name, sizeof name, "@prowl-test-%d", (int)getpid());
	memcpy(sa.sun_path + 1, name + 1, (size_t)n - 1);
	assert_int_equal(bind(fd, (const struct sockaddr *)&sa,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
			 0);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_send("READY=1\nSTATUS=x"), 0);
	assert_int_equal(recv(fd, got, sizeof got - 1, 0), 16);
	assert_string_equal(got, "READY=1\nSTATUS=x");
	memset(got, 0, sizeof got);
	assert_int_equal(notify_reloading(), 0);
	assert_true(recv(fd, got, sizeof got - 1, 0) > 0);
	assert_int_equal(strncmp(got, "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	close(fd);
	assert_true(notify_send("READY=1") < 0);
	setenv("NOTIFY_SOCKET", "no path", 1);
	assert_true(notify_send("READY=1") < 0);
	unsetenv("NOTIFY_SOCKET");
}

TEST(the_watchdog_is_that_of_this_process)
{
	char pid[24];

	setenv("NOTIFY_SOCKET", "/x", 1);
	setenv("WATCHDOG_USEC", "5000000", 1);
	assert_int_equal(notify_watchdog(), 5 * S);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog(), 0);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog(), 5 * S);
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_watchdog(), 0);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

/* --- what is known of processes --------------------------------------------------------------- */

static void is_s(void *ctx, const struct roster_entry *e)
{
	assert_string_equal(prowl_series_get(e->series, "service"), "s");
}

TEST(a_roster_is_bounded_and_forgets_those_that_ended_first)
{
	struct roster *r = roster_new(4);
	struct roster_figures f = {.wall = 7, .goroutines = 9};
	struct roster_entry e = {0}, got;

	const struct prowl_series_label label = {"service", "s", true};
	struct prowl_series *series;

	assert_int_equal(prowl_series_new(&label, 1, &series), 0);
	e.series = series;
	for (pid_t pid = 1; pid <= 4; pid++) {
		e.id = (struct roster_id){pid, 100};
		roster_put(r, &e);
	}
	roster_figures(r, (struct roster_id){2, 100}, &f);
	roster_gone(r, (struct roster_id){3, 100}, 1000);
	/* The same number, another process. */
	assert_false(roster_get(r, (struct roster_id){2, 101}, &got));
	snprintf(e.rule, sizeof e.rule, "again");
	e.id = (struct roster_id){2, 100};
	roster_put(r, &e);
	assert_true(roster_get(r, e.id, &got));
	assert_string_equal(got.rule, "again");
	assert_int_equal(got.figures.goroutines, 9);
	e.id = (struct roster_id){5, 100};
	roster_put(r, &e);
	assert_false(roster_get(r, (struct roster_id){3, 100}, &got));
	assert_true(roster_get(r, (struct roster_id){5, 100}, &got));
	assert_int_equal(got.figures.goroutines, -1);
	/* An hour later those that ended are gone. */
	roster_gone(r, (struct roster_id){4, 100}, 2000);
	roster_gone(r, (struct roster_id){1, 100}, 2000 + 3601 * (int64_t)S);
	assert_false(roster_get(r, (struct roster_id){4, 100}, &got));
	assert_true(roster_get(r, (struct roster_id){1, 100}, &got));
	assert_null(got.series);
	prowl_series_free(series);
	roster_each(r, is_s, NULL);
	roster_free(r);
}

/* --- labels of samples --------------------------------------------------------------------------
 */

static void add(struct pprof_profile *p, const char *tenant, const char *request, int64_t value)
{
	struct pprof_label labels[2] = {{0}};

	assert_int_equal(pprof_string(p, "tenant", &labels[0].key), 0);
	assert_int_equal(pprof_string(p, tenant, &labels[0].str), 0);
	assert_int_equal(pprof_string(p, "request", &labels[1].key), 0);
	assert_int_equal(pprof_string(p, request, &labels[1].str), 0);
	assert_int_equal(pprof_sample_add(p, NULL, 0, &value, labels, 2), 0);
}

TEST(labels_are_dropped_and_renamed_in_samples)
{
	static const char *const drop[] = {"req*"};
	static const struct prowl_rename renames[] = {{"tenant", "customer"}};
	struct prowl_label_policy policy = {
		.drop = drop, .ndrop = 1, .rename = renames, .nrename = 1};
	struct prowl_label_policy nothing = {0};
	struct pprof_profile *p, *q;

	assert_int_equal(pprof_profile_new(&p), 0);
	assert_int_equal(pprof_sample_type(p, "samples", "count"), 0);
	assert_int_equal(pprof_period(p, "cpu", "nanoseconds", 10), 0);
	assert_int_equal(pprof_comment(p, "as it was"), 0);
	p->time_nanos = 5;
	add(p, "red", "1", 1);
	add(p, "red", "2", 2);
	add(p, "blue", "3", 4);
	assert_false(relabel_wanted(&nothing));
	assert_true(relabel_wanted(&policy));
	assert_int_equal(relabel(p, &policy, &q), 0);
	assert_int_equal(q->nsamples, 2);
	assert_int_equal(pprof_total(q, 0), 7);
	for (size_t i = 0; i < q->nsamples; i++) {
		assert_int_equal(q->samples[i].nlabels, 1);
		assert_string_equal(q->strings[pprof_sample_labels(q, i)->key], "customer");
	}
	assert_int_equal(q->time_nanos, 5);
	assert_int_equal(q->period, 10);
	assert_int_equal(q->ncomments, 1);
	pprof_profile_free(p);
	pprof_profile_free(q);
}
