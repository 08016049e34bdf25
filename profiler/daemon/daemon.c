/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "daemon_parts.h"
#include "notify.h"

enum { MOST_LISTENERS = 8, END_S = 5 };
static const uint64_t END = 5000000000; /* ns that the end may take */
/* Signals so close behind the first are the same one: timeout(1) sends it to the group as well. */
static const uint64_t AT_ONCE = 300000000;

int64_t daemon_wall(void)
{
	return (int64_t)prowl_clock_ns(CLOCK_REALTIME);
}

void daemon_wish(struct daemon *d, unsigned int wish)
{
	uint64_t one = 1;

	atomic_fetch_or(&d->wishes, wish);
	(void)!write(d->events_fd, &one, sizeof one);
}

/* --- the parts -----------------------------------------------------------------------------------
 */

static void store_log(void *ctx, const char *line)
{
	daemon_say(((struct daemon *)ctx)->log, DAEMON_INFO, "store: %s", line);
}

static void serve_log(void *ctx, bool important, const char *line)
{
	daemon_say(((struct daemon *)ctx)->log, important ? DAEMON_WARNING : DAEMON_INFO,
		   "http: %s", line);
}

static enum prowl_code open_store(struct daemon *d, struct prowl_err *err)
{
	const struct prowl_config *c = d->config;
	struct prowl_store_options o = {
		.path = d->store_path,
		.no_fsync = !c->store.fsync,
		.max_bytes = c->store.max_bytes,
		.min_free = c->store.min_free,
		.max_age_ns = c->store.max_age,
		.max_delete_fraction = c->store.max_delete_fraction,
		.events_max = c->store.events.max,
		.events_max_bytes = c->store.events.max_bytes,
		.events_max_age_ns = c->store.events.max_age,
		.label_values = c->limits.label_values,
		.window_ns = c->profile.window / d->scale,
		.hour_ns = 3600000000000 / d->scale,
		.host = d->hostname,
		.log = store_log,
		.log_ctx = d,
	};

	if (d->o->no_store)
		return PROWL_OK;
	if (!prowl_config_store(c, d->store_path, sizeof d->store_path))
		return prowl_fail(err, PROWL_USAGE,
				  "the store has no place: set store.path, or XDG_STATE_HOME");
	return prowl_store_open(&o, &d->store, err);
}

static enum prowl_code open_host(struct daemon *d, struct prowl_err *err)
{
	const struct prowl_config *c = d->config;
	/* Shorter windows are as much more work. */
	double cpu = c->budget.cpu * d->scale;
	struct prowl_host_options o = {
		.rate = c->profile.rate,
		.window_ns = c->profile.window / d->scale,
		.rescan_ns = c->discovery.rescan,
		.opens_per_second = c->discovery.opens_per_second,
		.stack_bytes = (uint32_t)c->profile.stack_bytes,
		.user_only = !c->profile.kernel,
		.no_labels = !c->profile.labels,
		.environment = c->discovery.environment,
		.one_other = c->profile.other == PROWL_OTHER_ONE,
		.self = c->profile.self,
		.limits = {.targets = c->limits.targets,
			   .events = c->limits.events_fds,
			   .captures = c->captures.max},
		/* Half for sampling, a third for looks; the rest is that of store and queries. */
		.budget = {.sampling = cpu * 0.5, .looking = cpu * 0.3},
	};

	return prowl_host_open(&o, &daemon_ops, d, &d->host, err);
}

/* The folder of the usual socket is made: /run is empty after a start. */
static void make_folder_of(const char *path)
{
	char folder[4096], *slash;

	snprintf(folder, sizeof folder, "%s", path);
	slash = strrchr(folder, '/');
	if (!slash || slash == folder)
		return;
	*slash = '\0';
	/* The socket in it has a mode of its own. */
	if (mkdir(folder, 0700) == 0)
		chmod(folder, 0755);
}

/* Whoever may use the Unix socket besides root and the daemon's user. */
static gid_t group_of(void)
{
	const struct group *g = getgrnam("prowl");

	return g ? g->gr_gid : (gid_t)-1;
}

static enum prowl_code listen_at(struct daemon *d, struct prowl_listener *l, size_t *n,
				 struct prowl_err *err)
{
	const struct prowl_texts *list = &d->config->listen;
	enum prowl_code code = PROWL_OK;
	char path[4096], address[4096 + 8];

	*n = 0;
	for (size_t i = 0; i < list->n && code == PROWL_OK; i++) {
		if (*n == MOST_LISTENERS)
			return prowl_fail(err, PROWL_USAGE, "more than %d addresses to listen at",
					  MOST_LISTENERS);
		code = prowl_serve_listen(list->text[i], group_of(), &l[*n], err);
		*n += code == PROWL_OK;
	}
	if (list->n || !prowl_config_socket(path, sizeof path))
		return code;
	make_folder_of(path);
	snprintf(address, sizeof address, "unix:%s", path);
	code = prowl_serve_listen(address, group_of(), &l[0], err);
	*n = code == PROWL_OK;
	return code;
}

static void close_all(struct prowl_listener *l, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		close(l[i].fd);
		prowl_serve_unlink(&l[i]);
	}
}

/* As configured, or in the folder of the store; NULL: none, a token for this run. */
static const char *token_file(const struct daemon *d, char *buf, size_t len)
{
	if (*d->config->http.token_file)
		return d->config->http.token_file;
	if (!d->store)
		return NULL;
	snprintf(buf, len, "%s/token", d->store_path);
	return buf;
}

static enum prowl_code open_serve(struct daemon *d, const struct prowl_backend *backend,
				  struct prowl_err *err)
{
	const struct prowl_config *c = d->config;
	struct prowl_listener listeners[MOST_LISTENERS];
	char token[sizeof d->store_path + 8];
	struct prowl_serve_options o = {
		.listeners = listeners,
		.token_file = token_file(d, token, sizeof token),
		.hosts = c->http.allowed_hosts.text,
		.nhosts = c->http.allowed_hosts.n,
		.insecure = c->http.insecure,
		.metrics_without_token = c->http.metrics_without_token,
		.gid = group_of(),
		.max_connections = c->http.max_connections,
		.max_captures = c->captures.max,
		.max_seconds = c->captures.max_seconds,
		.max_rate = c->captures.max_rate,
		.query_threads = c->query.threads,
		.backend = backend,
		.store = d->store,
		.log = serve_log,
		.log_ctx = d,
	};
	enum prowl_code code;

	code = listen_at(d, listeners, &o.nlisteners, err);
	if (code != PROWL_OK || !o.nlisteners) {
		close_all(listeners, o.nlisteners);
		return code;
	}
	code = prowl_serve_open(&o, &d->serve, err);
	for (size_t i = 0; code == PROWL_OK && i < o.nlisteners; i++)
		daemon_say(d->log, DAEMON_INFO, "listens at %s", listeners[i].address);
	return code;
}

/* --- beginning and end -------------------------------------------------------------------------
 */

static struct prowl_series *series_of_others(const struct daemon *d)
{
	const struct prowl_series_label labels[] = {
		{PROWL_SERIES_SERVICE, "(other)", true},
		{PROWL_SERIES_HOST, d->hostname, true},
	};
	struct prowl_series *s = NULL;

	prowl_series_new(labels, 2, &s);
	return s;
}

enum prowl_code prowl_daemon_check(const struct prowl_config *c, struct prowl_err *err)
{
	enum prowl_code code = daemon_check_triggers(c, err);

	return code == PROWL_OK ? daemon_check_push(c, err) : code;
}

/*
 * Files and folders are of the daemon's user, and of its group where that is prowl's: any other one
 * may be everybody's.
 */
static void limit_modes(void)
{
	mode_t others = getegid() == group_of() ? 0027 : 0077;

	umask(umask(others) | others);
}

/* The configuration, and whether it can be had. */
static enum prowl_code configure(struct daemon *d, struct prowl_config **ret, struct prowl_err *err)
{
	enum prowl_code code = d->o->configure(d->o->ctx, ret, err);

	if (code != PROWL_OK)
		return code;
	code = prowl_daemon_check(*ret, err);
	if (code != PROWL_OK)
		prowl_config_free(*ret);
	return code;
}

static enum prowl_code begin(struct daemon *d, struct prowl_err *err)
{
	struct prowl_config *config;
	enum prowl_code code = configure(d, &config, err);

	if (code != PROWL_OK)
		return code;
	limit_modes();
	d->config = d->first = config;
	d->loaded = d->started = daemon_wall();
	gethostname(d->hostname, sizeof d->hostname - 1);
	d->log = daemon_log_new(STDERR_FILENO, (enum daemon_level)d->config->log.level,
				(enum daemon_format)d->config->log.format, NULL);
	d->names = prowl_names_new(d->config->kubernetes.pod_logs, d->config->docker.containers);
	d->roster = roster_new(DAEMON_ROSTER);
	d->others = series_of_others(d);
	d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	d->events_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!d->log || !d->names || !d->roster || !d->others || d->wake_fd < 0 || d->events_fd < 0)
		return prowl_fail(err, PROWL_FAILED, "out of memory or descriptors");
	return PROWL_OK;
}

static void end(struct daemon *d)
{
	prowl_serve_close(d->serve);
	prowl_host_free(d->host);
	daemon_push_close(d);
	prowl_store_close(d->store);
	prowl_series_free(d->decided);
	prowl_series_free(d->others);
	roster_free(d->roster);
	prowl_names_free(d->names);
	daemon_log_free(d->log);
	if (d->config != d->first)
		prowl_config_free(d->config);
	prowl_config_free(d->first);
	if (d->wake_fd >= 0)
		close(d->wake_fd);
	if (d->events_fd >= 0)
		close(d->events_fd);
	pthread_rwlock_destroy(&d->lock);
	pthread_mutex_destroy(&d->loading);
}

/* --- what it found -------------------------------------------------------------------------------
 */

struct found {
	struct daemon *d;
	size_t targets, denied, no_looks;
	char why[256], looks[256]; /* of the first that is denied */
};

static int count_target(void *ctx, const struct prowl_host_target *t)
{
	struct found *f = ctx;

	f->targets++;
	if (t->why && *t->why && f->denied++ == 0)
		snprintf(f->why, sizeof f->why, "%s", t->why);
	else if (t->looks && *t->looks && f->no_looks++ == 0)
		snprintf(f->looks, sizeof f->looks, "%s", t->looks);
	return 0;
}

static void say_found(struct daemon *d)
{
	struct found f = {.d = d};
	struct prowl_host_status s;

	prowl_host_targets(d->host, count_target, &f);
	prowl_host_status(d->host, &s);
	daemon_say(d->log, DAEMON_INFO,
		   "found: targets=%zu processes=%zu mode=\"%s\" rate=%u configuration=%s",
		   f.targets, s.processes, daemon_mode_name(s.mode), s.rate,
		   *d->first->file ? d->first->file : "(defaults)");
	if (s.why[0])
		daemon_say(d->log, DAEMON_WARNING, "%s: %s", daemon_mode_name(s.mode), s.why);
	if (f.denied)
		daemon_say(d->log, DAEMON_WARNING,
			   "%zu targets can't be sampled: %s; prowl doctor says what is missing",
			   f.denied, f.why);
	if (f.no_looks)
		daemon_say(d->log, DAEMON_WARNING,
			   "%zu targets have no runtime profiles: %s; prowl doctor says what is "
			   "missing",
			   f.no_looks, f.looks);
	if (d->store)
		daemon_say(
			d->log, DAEMON_INFO,
			"store: %s; prowl daemon query SERVICE reads it, prowl daemon open shows "
			"it in a browser",
			d->store_path);
	else
		daemon_say(d->log, DAEMON_INFO, "no store: nothing is kept");
}

/* --- the thread that waits
 * ------------------------------------------------------------------------ */

static enum prowl_code load_again(struct daemon *d, struct prowl_err *err)
{
	struct prowl_config *config, *old;
	struct prowl_names *names, *old_names;
	enum prowl_code code = configure(d, &config, err);

	if (code != PROWL_OK)
		return code;
	names = prowl_names_new(config->kubernetes.pod_logs, config->docker.containers);
	if (!names) {
		prowl_config_free(config);
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	}
	daemon_log_level(d->log, (enum daemon_level)config->log.level);
	daemon_say(d->log, DAEMON_INFO, "configuration read again: rules=%zu", config->rules.n);
	pthread_rwlock_wrlock(&d->lock);
	old = d->config;
	old_names = d->names;
	d->config = config;
	d->names = names;
	d->loaded = daemon_wall();
	pthread_rwlock_unlock(&d->lock);
	if (old != d->first)
		prowl_config_free(old);
	prowl_names_free(old_names);
	prowl_host_reconsider(d->host);
	return PROWL_OK;
}

/* One at a time: a signal and the server ask for it in threads of their own. */
enum prowl_code daemon_reload(struct daemon *d, struct prowl_err *err)
{
	enum prowl_code code;

	pthread_mutex_lock(&d->loading);
	code = load_again(d, err);
	d->load_failed = code != PROWL_OK;
	pthread_mutex_unlock(&d->loading);
	return code;
}

static void reload(struct daemon *d)
{
	struct prowl_err err = {0};

	notify_reloading();
	if (daemon_reload(d, &err) != PROWL_OK)
		daemon_say(d->log, DAEMON_ERROR, "the configuration stays as it was: %s", err.text);
	notify_send("READY=1");
}

struct waiting {
	struct daemon *d;
	int signal_fd;
	uint64_t watchdog, next_watchdog, next_status; /* monotonic ns */
	bool said;                                     /* what was found */
};

/* Whether windows come: twice their length may pass, and what a slow disk takes. */
static bool goes_on(const struct daemon *d, uint64_t now)
{
	return now - d->progress < 2 * (d->first->profile.window / d->scale) + 30000000000;
}

static void say_status(struct daemon *d)
{
	struct prowl_host_status s;
	char text[160];

	prowl_host_status(d->host, &s);
	snprintf(text, sizeof text, "STATUS=%zu targets, %.1f %% of a CPU, %llu windows", s.targets,
		 (s.sampling + s.looking) * 100, (unsigned long long)s.windows);
	notify_send(text);
}

static void periodically(struct waiting *w, uint64_t now)
{
	struct prowl_host_status s;

	if (!w->said) {
		prowl_host_status(w->d->host, &s);
		if (s.scans > 0 && s.waiting == 0 && s.mode != PROWL_HOST_STARTING) {
			say_found(w->d);
			w->said = true;
		}
	}
	if (w->watchdog && now >= w->next_watchdog && goes_on(w->d, now)) {
		notify_send("WATCHDOG=1");
		w->next_watchdog = now + w->watchdog / 2;
	}
	if (now >= w->next_status) {
		daemon_log_tick(w->d->log, false);
		say_status(w->d);
		w->next_status = now + 10000000000;
	}
}

/* Reads one signal; DAEMON_STOP, DAEMON_RELOAD or 0. */
static unsigned int read_signal(int fd)
{
	struct signalfd_siginfo si;

	if (read(fd, &si, sizeof si) != sizeof si)
		return 0;
	return si.ssi_signo == SIGHUP ? DAEMON_RELOAD : DAEMON_STOP;
}

static unsigned int wait_for_wish(struct waiting *w)
{
	struct pollfd fds[] = {{.fd = w->signal_fd, .events = POLLIN},
			       {.fd = w->d->events_fd, .events = POLLIN}};
	unsigned int wish = 0;
	uint64_t n;

	poll(fds, 2, 200);
	if (fds[0].revents)
		wish |= read_signal(w->signal_fd);
	if (fds[1].revents)
		(void)!read(w->d->events_fd, &n, sizeof n);
	return wish | atomic_exchange(&w->d->wishes, 0);
}

/* Until the end is asked for, or the host ends by itself. */
static void wait_for_end(struct waiting *w)
{
	for (;;) {
		unsigned int wish = wait_for_wish(w);

		if (wish & (DAEMON_STOP | DAEMON_HOST_ENDED))
			return;
		if (wish & DAEMON_RELOAD)
			reload(w->d);
		periodically(w, prowl_now());
	}
}

/* --- the thread that samples ---------------------------------------------------------------------
 */

struct sampling {
	struct daemon *d;
	enum prowl_code code;
	struct prowl_err err;
};

static void *sample(void *arg)
{
	struct sampling *s = arg;

	s->code = prowl_host_run(s->d->host, s->d->wake_fd, &s->err);
	daemon_wish(s->d, DAEMON_HOST_ENDED);
	return NULL;
}

/* The last window is cut and written. A second signal, or too long: what is written stays. */
static void end_sampling(struct waiting *w, pthread_t thread)
{
	uint64_t one = 1, begin = prowl_now(), until = begin + END;

	notify_send("STOPPING=1");
	(void)!write(w->d->wake_fd, &one, sizeof one);
	while (pthread_tryjoin_np(thread, NULL) != 0) {
		bool again = wait_for_wish(w) & DAEMON_STOP && prowl_now() - begin > AT_ONCE;

		if (again || prowl_now() >= until) {
			daemon_say(w->d->log, DAEMON_ERROR,
				   "ended before the last window was written");
			_exit(PROWL_FAILED);
		}
	}
}

static enum prowl_code work(struct daemon *d, int signal_fd, struct prowl_err *err)
{
	struct waiting w = {.d = d, .signal_fd = signal_fd, .watchdog = notify_watchdog()};
	struct sampling s = {.d = d};
	enum prowl_code code;
	pthread_t thread;

	d->progress = prowl_now();
	if (pthread_create(&thread, NULL, sample, &s) != 0)
		return prowl_fail(err, PROWL_FAILED, "a thread can't be started");
	code = daemon_watch_begin(d, err);
	if (code == PROWL_OK) {
		notify_send("READY=1");
		wait_for_end(&w);
	}
	daemon_watch_end(d);
	end_sampling(&w, thread);
	if (code != PROWL_OK)
		return code;
	if (s.code != PROWL_OK && err)
		*err = s.err;
	else
		daemon_say(d->log, DAEMON_INFO, "ended: windows=%llu",
			   (unsigned long long)d->stored);
	return s.code;
}

static void leave(int unused)
{
	_exit(PROWL_OK);
}

/*
 * All windows are written: answers and pushes that are under way may take some seconds more, and
 * end with the next signal.
 */
static void limit_end(void)
{
	static const int signals[] = {SIGALRM, SIGTERM, SIGINT};
	struct sigaction sa = {.sa_handler = leave};
	sigset_t set;

	sigemptyset(&set);
	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		sigaction(signals[i], &sa, NULL);
		sigaddset(&set, signals[i]);
	}
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	alarm(END_S);
}

static enum prowl_code open_and_work(struct daemon *d, int signal_fd, struct prowl_err *err)
{
	struct prowl_backend backend;
	enum prowl_code code = open_store(d, err);

	if (code == PROWL_OK)
		code = daemon_push_open(d, err);
	if (code == PROWL_OK)
		code = open_host(d, err);
	daemon_backend(d, &backend);
	if (code == PROWL_OK)
		code = open_serve(d, &backend, err);
	if (code == PROWL_OK) {
		code = work(d, signal_fd, err);
		limit_end();
	}
	/* Before the backend is gone. */
	prowl_serve_close(d->serve);
	d->serve = NULL;
	return code;
}

/* For this thread and all that it will start. */
static int take_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

enum prowl_code prowl_daemon_run(const struct prowl_daemon_options *o, struct prowl_err *err)
{
	struct daemon d = {
		.o = o,
		.scale = o->time_scale ? o->time_scale : 1,
		.lock = PTHREAD_RWLOCK_INITIALIZER,
		.loading = PTHREAD_MUTEX_INITIALIZER,
		.wake_fd = -1,
		.events_fd = -1,
	};
	int signal_fd = take_signals();
	enum prowl_code code = PROWL_OK;

	if (signal_fd < 0)
		code = prowl_fail(err, PROWL_FAILED, "signals: %s", strerror(errno));
	if (code == PROWL_OK)
		code = begin(&d, err);
	if (code == PROWL_OK)
		code = open_and_work(&d, signal_fd, err);
	end(&d);
	alarm(0);
	if (signal_fd >= 0)
		close(signal_fd);
	return code;
}
