/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of the daemon: a YAML file, PROWL_... of the environment, flags; the later ones
 * win. What is wrong is an error that says where: "daemon.yaml:12:3: profile has no key 'rat'; did
 * you mean 'rate'?". Only keys that have an effect are taken.
 *
 * Times are in nanoseconds, sizes in bytes, shares of 1. A configuration does not change once it is
 * made; any number of threads may read it then.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config_triggers.h"
#include "config_values.h"
#include "err.h"
#include "rules.h"

enum { PROWL_OTHER_NAME, PROWL_OTHER_ONE };
enum { PROWL_LOG_ERROR, PROWL_LOG_WARNING, PROWL_LOG_INFO, PROWL_LOG_DEBUG };
enum { PROWL_LOG_AUTO, PROWL_LOG_JOURNAL, PROWL_LOG_TEXT, PROWL_LOG_JSON };

struct prowl_config_pair {
	const char *name, *value;
};

struct prowl_config_pairs {
	struct prowl_config_pair *pair;
	size_t n;
};

/* A server that windows are pushed to; see push.h. Texts that are not set are "". */
struct prowl_config_sink {
	const char *name, *type, *url, *tenant, *user, *password_file, *bearer_token_file;
	const char *ca, *cert, *key, *proxy;
	const char *match; /* a selector of series; "": all */
	bool insecure;
	struct prowl_texts kinds; /* none: all */
	struct prowl_config_pairs headers, external_labels;
	uint64_t timeout, max_profile_bytes, spool_max_bytes, spool_max_age;
	uint64_t backoff_min, backoff_max; /* 0: push.h has the default */
	unsigned int line;                 /* of the file */
};

struct prowl_config {
	struct {
		unsigned int rate; /* Hz */
		uint64_t window;
		bool kernel, labels, self;
		uint64_t stack_bytes;
		unsigned int other; /* PROWL_OTHER_... */
	} profile;
	struct {
		bool cmdline, environment;
		unsigned int opens_per_second;
		uint64_t rescan;
	} discovery;
	struct {
		const char *pod_logs; /* a folder; "": not looked into */
	} kubernetes;
	struct {
		const char *containers; /* likewise */
	} docker;
	uint64_t runtime[PROWL_SCHEDULES]; /* periods; 0: never */
	struct {
		const char *path; /* "": by user, see prowl_config_store */
		uint64_t max_bytes, min_free, max_age;
		double max_delete_fraction;
		bool fsync;
		struct {
			unsigned int max;
			uint64_t max_bytes, max_age;
		} events;
	} store;
	struct {
		unsigned int targets, label_values, events_fds;
	} limits;
	struct {
		unsigned int max, max_seconds, max_rate;
	} captures;
	struct {
		const char *token_file; /* "": in the store's folder */
		struct prowl_texts allowed_hosts;
		bool metrics_without_token, insecure;
		unsigned int max_connections;
	} http;
	struct {
		unsigned int threads;
	} query;
	struct {
		double cpu; /* of one CPU */
	} budget;
	struct {
		unsigned int level, format; /* PROWL_LOG_... */
	} log;
	struct prowl_texts listen; /* none: by user, see prowl_config_socket */
	struct prowl_rules rules;
	struct prowl_label_policy labels;
	struct prowl_config_sink *push;
	size_t npush;
	const struct prowl_trigger *triggers;
	size_t ntriggers;

	const char *file;             /* that was read; "": none */
	struct prowl_config_own *own; /* private */
};

/* Defaults, and what the text says. `name` is that of the file, for messages. */
enum prowl_code prowl_config_parse(const char *name, const char *text, size_t len,
				   struct prowl_config **ret, struct prowl_err *err);

/*
 * Reads the file and the environment. path NULL: $XDG_CONFIG_HOME/prowl/daemon.yaml, else
 * /etc/prowl/daemon.yaml, else nothing but defaults.
 */
enum prowl_code prowl_config_load(const char *path, struct prowl_config **ret,
				  struct prowl_err *err);

/* PROWL_STORE_MAX_BYTES=... and the like of such a list as `environ`. */
enum prowl_code prowl_config_environment(struct prowl_config *c, char *const *variables,
					 struct prowl_err *err);

/* One key, by a flag that `origin` names ("--rate"). Lists get one more. */
enum prowl_code prowl_config_set(struct prowl_config *c, const char *key, const char *value,
				 const char *origin, struct prowl_err *err);

/* A rule before all others: this process, or every one of this name. */
enum prowl_code prowl_config_add_pid(struct prowl_config *c, pid_t pid, struct prowl_err *err);
enum prowl_code prowl_config_add_name(struct prowl_config *c, const char *name,
				      struct prowl_err *err);

void prowl_config_free(struct prowl_config *c);

/*
 * Where the store is, and the socket that is listened on where nothing else is configured:
 * $STATE_DIRECTORY and $RUNTIME_DIRECTORY of systemd; root: /var/lib/prowl, /run/prowl/prowl.sock;
 * else $XDG_STATE_HOME/prowl, $XDG_RUNTIME_DIR/prowl.sock. False: no such variable, or too long.
 */
bool prowl_config_store(const struct prowl_config *c, char *buf, size_t len);
bool prowl_config_socket(char *buf, size_t len);
