/* SPDX-License-Identifier: Apache-2.0 */
/* prowl daemon status, targets, capture, open, stop, token: what the daemon that runs is asked. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "browser.h"
#include "common_opts.h"
#include "daemon_client.h"
#include "daemon_verbs.h"
#include "jsonout.h"
#include "new_file.h"
#include "output.h"
#include "pprof.h"
#include "pprof_report.h"
#include "stop.h"
#include "term.h"
#include "weburl.h"

struct asking {
	const char *socket;
	bool json, quiet, top, all, no_browser;
	/* capture */
	const char *kind, *output;
	uint64_t duration_ns;
};

/* --- words ---------------------------------------------------------------------------- */

static void put_bytes(double bytes)
{
	char text[32];

	fputs(pprof_value_text(text, bytes, "bytes"), stdout);
}

static const char *when(double ms, char text[32])
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;

	if (ms <= 0 || !gmtime_r(&s, &tm) || !strftime(text, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(text, 32, "never");
	return text;
}

/* A name, and foreign text behind it. */
static void put_row(const char *name, const char *text)
{
	printf("%-12s ", name);
	text_put(stdout, text);
	putchar('\n');
}

/* The i-th of an array; NULL behind the last. */
static const json_t *member(const json_t *root, const char *array, size_t i)
{
	return json_array_get(json_object_get(root, array), i);
}

/* --- status --------------------------------------------------------------------------- */

static void put_store(const json_t *store)
{
	char since[32];

	if (!store)
		return;
	printf("%-12s ", "store");
	text_put(stdout, daemon_text(store, "path"));
	fputs(": ", stdout);
	put_bytes(daemon_number(store, "bytes"));
	fputs(" of at most ", stdout);
	put_bytes(daemon_number(store, "max_bytes"));
	printf(", since %s\n", when(daemon_number(store, "oldest"), since));
}

static void put_sink(const json_t *sink)
{
	char last[32];

	printf("%-12s ", "push");
	text_put(stdout, daemon_text(sink, "name"));
	putchar(' ');
	text_put(stdout, daemon_text(sink, "url"));
	printf(": %.0f sent, %.0f dropped, last at %s", daemon_number(sink, "sent"),
	       daemon_number(sink, "dropped"), when(daemon_number(sink, "last_success"), last));
	if (daemon_text(sink, "last_error")[0]) {
		fputs(", ", stdout);
		text_put(stdout, daemon_text(sink, "last_error"));
	}
	putchar('\n');
}

static void put_status(const json_t *root)
{
	const json_t *targets = json_object_get(root, "targets");
	const json_t *self = json_object_get(root, "self"), *one;
	char started[32];
	size_t i;

	printf("%-12s prowl ", "daemon");
	text_put(stdout, daemon_text(root, "version"));
	printf(", pid %.0f, on ", daemon_number(root, "pid"));
	text_put(stdout, daemon_text(root, "host"));
	printf(", since %s\n", when(daemon_number(root, "started"), started));
	printf("%-12s ", "sampling");
	text_put(stdout, daemon_text(root, "mode"));
	printf(", %.0f Hz\n", daemon_number(root, "rate"));
	if (daemon_text(root, "mode_why")[0])
		put_row("", daemon_text(root, "mode_why"));
	printf("%-12s %.0f profiled, %.0f not permitted, %.0f waiting\n", "targets",
	       daemon_number(targets, "active"), daemon_number(targets, "denied"),
	       daemon_number(targets, "deferred"));
	printf("%-12s %.2f %% of a CPU, ", "own cost", 100 * daemon_number(self, "cpu"));
	put_bytes(daemon_number(self, "memory_bytes"));
	putchar('\n');
	put_store(json_object_get(root, "store"));
	for (i = 0; (one = member(root, "listen", i)); i++)
		put_row(i ? "" : "listens at", json_string_value(one));
	for (i = 0; (one = member(root, "sinks", i)); i++)
		put_sink(one);
	for (i = 0; (one = member(root, "degraded", i)); i++)
		put_row("degraded", json_string_value(one));
}

/* Where the CPU time of a day went, by service. */
static void put_services(const json_t *root)
{
	double sum = 0;
	const json_t *one;
	size_t i;

	for (i = 0; (one = member(root, "series", i)); i++)
		sum += daemon_number(one, "total");
	printf("\n%12s %7s  service, in the last 24 hours\n", "CPU", "share");
	for (i = 0; (one = member(root, "series", i)); i++) {
		const char *service = daemon_text(json_object_get(one, "labels"), "service");
		double total = daemon_number(one, "total");
		char text[32];

		printf("%12s %6.2f%%  ", pprof_value_text(text, total, "nanoseconds"),
		       sum > 0 ? 100 * total / sum : 0);
		text_put(stdout, service[0] ? service : "(other)");
		putchar('\n');
	}
}

static enum prowl_code put_top(const struct asking *a)
{
	static const char services[] = "/api/v1/timeline?from=-24h&kind=cpu&type=cpu&by=service&"
				       "top=20&step=24h";
	static const char functions[] = "/api/v1/profile?from=-24h&format=text&max_nodes=20";
	struct http_reply r;
	enum prowl_code code;
	json_t *root;

	code = daemon_ask_json(a->socket, services, NULL, &r, &root);
	if (code != PROWL_OK)
		return code;
	put_services(root);
	json_decref(root);
	http_reply_fini(&r);
	code = daemon_ask(a->socket, functions, NULL, -1, &r);
	if (code != PROWL_OK)
		return code;
	putchar('\n');
	text_put_lines(stdout, r.body);
	http_reply_fini(&r);
	return PROWL_OK;
}

static enum prowl_code status(void *options, char **words, size_t n)
{
	const struct asking *a = options;
	struct http_reply r;
	enum prowl_code code;
	json_t *root;

	code = daemon_ask_json(a->socket, "/api/v1/status", NULL, &r, &root);
	if (code != PROWL_OK)
		return code;
	if (a->json)
		fputs(r.body, stdout);
	else if (!a->quiet)
		put_status(root);
	json_decref(root);
	http_reply_fini(&r);
	return a->top && !a->json && !a->quiet ? put_top(a) : PROWL_OK;
}

static enum prowl_code check_status(void *options, char **words, size_t n)
{
	const struct asking *a = options;

	if (!a->top || (!a->json && !a->quiet))
		return PROWL_OK;
	say_error("--top is text: without --json and --quiet");
	return PROWL_USAGE;
}

/* --- targets -------------------------------------------------------------------------- */

static void put_target(const json_t *t)
{
	const char *service = daemon_text(json_object_get(t, "labels"), "service");
	const json_t *why = json_array_get(json_object_get(t, "why_not"), 0);
	char cpu[32];

	printf("%-20s %-9s %10s  ", daemon_text(t, "key"), daemon_text(t, "state"),
	       pprof_value_text(cpu, daemon_number(t, "cpu_ns"), "nanoseconds"));
	text_put(stdout, service);
	if (strcmp(daemon_text(t, "comm"), service) != 0) {
		fputs(" (", stdout);
		text_put(stdout, daemon_text(t, "comm"));
		putchar(')');
	}
	if (why) {
		fputs(", no ", stdout);
		text_put(stdout, daemon_text(why, "kind"));
		fputs(": ", stdout);
		text_put(stdout, daemon_text(why, "reason"));
	}
	putchar('\n');
}

static enum prowl_code targets(void *options, char **words, size_t n)
{
	const struct asking *a = options;
	struct http_reply r;
	enum prowl_code code;
	const json_t *one;
	json_t *root;
	size_t i;

	code = daemon_ask_json(
		a->socket, a->all ? "/api/v1/targets?state=all" : "/api/v1/targets?state=active",
		NULL, &r, &root);
	if (code != PROWL_OK)
		return code;
	if (a->json) {
		fputs(r.body, stdout);
	} else {
		printf("%-20s %-9s %10s  %s\n", "KEY", "STATE", "CPU", "SERVICE");
		for (i = 0; (one = member(root, "targets", i)); i++)
			put_target(one);
	}
	json_decref(root);
	http_reply_fini(&r);
	return PROWL_OK;
}

/* --- capture -------------------------------------------------------------------------- */

static const char *const kind_words[] = {"cpu",   "wall",  "heap",         "allocs", "goroutine",
					 "block", "mutex", "threadcreate", NULL};

static bool take_kind(const struct opt *o, void *field, const char *arg)
{
	unsigned int word;

	if (!opts_word(o, &word, arg))
		return false;
	*(const char **)field = kind_words[word];
	return true;
}

static bool make_target(const struct asking *a, const char *key, char *target, size_t len)
{
	char escaped[1024];
	const char *name = !a->kind || strcmp(a->kind, "cpu") == 0 ? "profile" : a->kind;
	uint64_t seconds = (a->duration_ns + 999999999u) / 1000000000u;
	int n;

	if (!weburl_escape(key, "@:", escaped, sizeof escaped))
		return false;
	n = snprintf(target, len, "/targets/%s/debug/pprof/%s", escaped, name);
	if (seconds && n > 0 && (size_t)n < len)
		snprintf(target + n, len - (size_t)n, "?seconds=%" PRIu64, seconds);
	return true;
}

/* Under the name that was given, or one made of what was taken, in the working folder. */
static enum prowl_code write_file(const struct asking *a, const char *key,
				  const struct http_reply *r, char *path, size_t len)
{
	char name[256];
	struct new_file f;
	size_t done = 0;
	int e;

	snprintf(name, sizeof name, "prowl.%.100s.%s.pb.gz", key, a->kind ? a->kind : "cpu");
	for (char *c = name; *c; c++)
		if (*c == '/' || (unsigned char)*c < 0x21)
			*c = '-';
	e = a->output ? new_file_open(&f, a->output, 0666)
		      : new_file_open_unused(&f, name, ".pb.gz", 0666);
	if (e == 0) {
		while (done < r->len && e == 0) {
			ssize_t n = write(f.fd, r->body + done, r->len - done);

			if (n < 0 && errno != EINTR)
				e = -errno;
			done += n > 0 ? (size_t)n : 0;
		}
		e = new_file_close(&f, e);
	}
	snprintf(path, len, "%s", e == 0 ? f.path : a->output ? a->output : name);
	if (e < 0)
		say_error("%s: %s", path, strerror(-e));
	return e < 0 ? PROWL_FAILED : PROWL_OK;
}

static void say_written(const struct asking *a, const char *path, size_t size)
{
	struct output_file used = {.size = size};
	struct jsonout j;

	if (a->json) {
		pp_json_begin(&j, stdout, JSONOUT_INDENTED);
		pp_json_text(&j, "file", path);
		pp_json_unsigned(&j, "bytes", size);
		pp_json_end(&j);
		return;
	}
	snprintf(used.path, sizeof used.path, "%s", path);
	output_say_written(pprof_exporter_named("pprof"), &used);
}

static enum prowl_code take(const struct asking *a, const char *key, const char *target,
			    int wake_fd)
{
	struct http_reply r;
	enum prowl_code code;
	char path[4096];

	stop_catch(wake_fd);
	code = daemon_ask(a->socket, target, NULL, wake_fd, &r);
	stop_release();
	if (code != PROWL_OK) {
		if (stop_asked())
			say_info("ended; nothing was written");
		return code;
	}
	code = write_file(a, key, &r, path, sizeof path);
	if (code == PROWL_OK && !new_file_is_stdout(path))
		say_written(a, path, r.len);
	http_reply_fini(&r);
	return code;
}

static enum prowl_code capture(void *options, char **words, size_t n)
{
	const struct asking *a = options;
	enum prowl_code code;
	char target[2048];
	int wake_fd;

	if (n != 1 || !make_target(a, words[0], target, sizeof target)) {
		say_error(
			"which process? prowl daemon capture SERVICE, or PID; prowl daemon targets "
			"lists them");
		return PROWL_USAGE;
	}
	if (a->output && !output_may_write(pprof_exporter_named("pprof"), a->output))
		return PROWL_USAGE;
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake_fd < 0) {
		say_error("%s", strerror(errno));
		return PROWL_FAILED;
	}
	code = take(a, words[0], target, wake_fd);
	close(wake_fd);
	return code;
}

/* --- open, token, stop ---------------------------------------------------------------- */

/* One text of the answer to an order. */
static enum prowl_code ask_text(const struct asking *a, const char *target, const char *key,
				char *text, size_t len)
{
	struct http_reply r;
	enum prowl_code code;
	json_t *root;

	code = daemon_ask_json(a->socket, target, "{}", &r, &root);
	if (code != PROWL_OK)
		return code;
	snprintf(text, len, "%s", daemon_text(root, key));
	json_decref(root);
	http_reply_fini(&r);
	return PROWL_OK;
}

static void put_text(const struct asking *a, const char *key, const char *text)
{
	struct jsonout j;

	if (!a->json) {
		puts(text);
		return;
	}
	pp_json_begin(&j, stdout, JSONOUT_INDENTED);
	pp_json_text(&j, key, text);
	pp_json_end(&j);
}

static enum prowl_code open_page(void *options, char **words, size_t n)
{
	const struct asking *a = options;
	char url[512];
	enum prowl_code code = ask_text(a, "/api/v1/login", "url", url, sizeof url);

	if (code != PROWL_OK)
		return code;
	put_text(a, "url", url);
	fflush(stdout);
	say_info("for you, once, within a minute");
	if (!a->no_browser && !a->json)
		browser_start(url);
	return PROWL_OK;
}

static enum prowl_code token(void *options, char **words, size_t n)
{
	const struct asking *a = options;
	char text[128];
	enum prowl_code code = ask_text(a, "/api/v1/token", "token", text, sizeof text);

	if (code == PROWL_OK)
		put_text(a, "token", text);
	explicit_bzero(text, sizeof text);
	return code;
}

static enum prowl_code stop(void *options, char **words, size_t n)
{
	const struct asking *a = options;
	struct http_reply r;
	enum prowl_code code = daemon_ask(a->socket, "/api/v1/stop", "{}", -1, &r);

	if (code != PROWL_OK)
		return code;
	if (a->json)
		fputs(r.body, stdout);
	else
		say_info("the daemon writes its last window and ends");
	http_reply_fini(&r);
	return PROWL_OK;
}

/* --- commands ------------------------------------------------------------------------- */

static const struct opt status_opts[] = {
	DAEMON_SOCKET(struct asking, socket),
	OPT_FLAG(0, "top", "where the CPU time of the last 24 hours went", struct asking, top),
	OPT_JSON("print JSON", struct asking, json),
	OPT_FLAG('q', "quiet", "print nothing: whether it runs is the exit status", struct asking,
		 quiet),
	OPT_COLOR,
	OPT_END,
};

const struct cmd daemon_status = {
	.name = "daemon status",
	.usage = "[options]",
	.summary = "what the daemon does, what it costs, what is wrong",
	.opts = status_opts,
	.size = sizeof(struct asking),
	.check = check_status,
	.run = status,
};

static const struct opt targets_opts[] = {
	DAEMON_SOCKET(struct asking, socket),
	OPT_FLAG('a', "all", "also those that have ended", struct asking, all),
	OPT_JSON("print JSON, with all labels", struct asking, json),
	COMMON_SAY,
	OPT_END,
};

const struct cmd daemon_targets = {
	.name = "daemon targets",
	.usage = "[options]",
	.summary = "the processes that the daemon looks at",
	.opts = targets_opts,
	.size = sizeof(struct asking),
	.run = targets,
};

static const struct opt capture_opts[] = {
	DAEMON_SOCKET(struct asking, socket),
	{.letter = 'k',
	 .name = "kind",
	 .arg = "KIND",
	 .take = take_kind,
	 .words = kind_words,
	 .at = OPT_FIELD(struct asking, kind, const char *),
	 .help = "(default: cpu)"},
	OPT_TIME('d', "seconds",
		 "for so long (default: cpu and wall 30s, others the present state)", struct asking,
		 duration_ns),
	OPT_TEXT('o', "output", "FILE", "- is stdout (default prowl.TARGET.KIND.pb.gz)",
		 struct asking, output),
	OPT_JSON("print the file's name and size as JSON", struct asking, json),
	COMMON_SAY,
	OPT_END,
};

const struct cmd daemon_capture = {
	.name = "daemon capture",
	.usage = "[options] TARGET",
	.summary = "take a profile of a process, by the daemon's rights",
	.text = "TARGET is a service, PID, PID@START, container:ID or pod:NAME[:CONTAINER].\n",
	.opts = capture_opts,
	.operands = OPERANDS_FILES,
	.size = sizeof(struct asking),
	.run = capture,
};

static const struct opt open_opts[] = {
	DAEMON_SOCKET(struct asking, socket),
	OPT_FLAG(0, "no-browser", "only print the address", struct asking, no_browser),
	OPT_JSON("print the address as JSON", struct asking, json),
	COMMON_SAY,
	OPT_END,
};

const struct cmd daemon_open = {
	.name = "daemon open",
	.usage = "[options]",
	.summary = "look at the daemon's page in the browser",
	.text = "Prints an address that is good for one browser within a minute, and opens it where there\n"
		"is a desktop. The daemon has to listen at a TCP address, such as --listen\n"
		"http://127.0.0.1:7424.\n",
	.opts = open_opts,
	.size = sizeof(struct asking),
	.run = open_page,
};

static const struct opt token_opts[] = {
	DAEMON_SOCKET(struct asking, socket),
	OPT_JSON("print it as JSON", struct asking, json),
	COMMON_SAY,
	OPT_END,
};

const struct cmd daemon_token = {
	.name = "daemon token",
	.usage = "[options]",
	.summary = "print the token that requests at a TCP address need",
	.text = "curl -H \"Authorization: Bearer $(prowl daemon token)\" http://127.0.0.1:7424/metrics\n"
		"go tool pprof \"http://prowl:$(prowl daemon token)@127.0.0.1:7424/targets/etcd/debug/"
		"pprof/heap\"\n",
	.opts = token_opts,
	.size = sizeof(struct asking),
	.run = token,
};

static const struct opt stop_opts[] = {
	DAEMON_SOCKET(struct asking, socket),
	OPT_JSON("print JSON", struct asking, json),
	COMMON_SAY,
	OPT_END,
};

const struct cmd daemon_stop = {
	.name = "daemon stop",
	.usage = "[options]",
	.summary = "end the daemon; what it has of the present window is written",
	.opts = stop_opts,
	.size = sizeof(struct asking),
	.run = stop,
};
