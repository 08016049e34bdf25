/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's configuration: every key, what is refused and where, and who wins. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "unit_test.h"

static struct prowl_config *parsed(const char *text)
{
	struct prowl_config *c = NULL;
	struct prowl_err err = {0};

	if (prowl_config_parse("f.yaml", text, strlen(text), &c, &err) != PROWL_OK)
		fail_msg("%s\n%s", err.text, text);
	return c;
}

static void refused(const char *text, const char *saying)
{
	struct prowl_config *c = NULL;
	struct prowl_err err = {0};

	if (prowl_config_parse("f.yaml", text, strlen(text), &c, &err) != PROWL_USAGE)
		fail_msg("was taken: %s", text);
	if (!strstr(err.text, saying))
		fail_msg("'%s' is not in '%s'", saying, err.text);
	assert_null(c);
}

TEST(nothing_configured_is_every_go_program_at_19_hz)
{
	static const char *const empty[] = {"", "# only a comment\n", "---\n", "~\n"};

	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
		struct prowl_config *c = parsed(empty[i]);

		assert_int_equal(c->profile.rate, 19);
		assert_int_equal(c->profile.window, 60 * UINT64_C(1000000000));
		assert_int_equal(c->rules.n, 1);
		assert_true(c->rules.rules[0].has_go && c->rules.rules[0].profile);
		assert_int_equal(c->store.max_bytes, 0);
		assert_true(c->store.fsync);
		prowl_config_free(c);
	}
}

TEST(values_have_units)
{
	struct prowl_config *c = parsed(
		"profile: {rate: 7, window: 10s, kernel: false, other: one}\n"
		"runtime:\n"
		"  heap: 1m30s\n"
		"  mutex: none\n"
		"store:\n"
		"  path: '/x y'\n"
		"  max_bytes: 64MiB\n"
		"  min_free: auto\n"
		"  max_age: 30d\n"
		"  max_delete_fraction: 12.5%\n"
		"  events: {max: 3, max_bytes: 2GB}\n"
		"listen: [\"unix:/a\", 'http://127.0.0.1:1']\n"
		"log: {level: debug, format: json}\n");

	assert_int_equal(c->profile.rate, 7);
	assert_false(c->profile.kernel);
	assert_int_equal(c->profile.other, PROWL_OTHER_ONE);
	assert_int_equal(c->runtime[PROWL_SCHEDULE_HEAP], UINT64_C(90000000000));
	assert_int_equal(c->runtime[PROWL_SCHEDULE_MUTEX], 0);
	assert_int_equal(c->runtime[PROWL_SCHEDULE_BLOCK], UINT64_C(600000000000));
	assert_string_equal(c->store.path, "/x y");
	assert_int_equal(c->store.max_bytes, 64 << 20);
	assert_int_equal(c->store.min_free, 0);
	assert_int_equal(c->store.max_age, UINT64_C(30) * 86400 * 1000000000);
	assert_true(c->store.max_delete_fraction == 0.125);
	assert_int_equal(c->store.events.max, 3);
	assert_int_equal(c->store.events.max_bytes, 2000000000);
	assert_int_equal(c->listen.n, 2);
	assert_string_equal(c->listen.text[1], "http://127.0.0.1:1");
	assert_int_equal(c->log.level, PROWL_LOG_DEBUG);
	assert_int_equal(c->log.format, PROWL_LOG_JSON);
	prowl_config_free(c);
}

TEST(what_is_wrong_is_told_with_its_place)
{
	refused("profile:\n  rat: 5\n",
		"f.yaml:2:3: profile has no key 'rat'; did you mean 'rate'?");
	refused("stor: {}\n",
		"f.yaml:1:1: the configuration has no key 'stor'; did you mean 'store'?");
	refused("store: {events: {mx: 1}}\n", "f.yaml:1:18: store.events has no key 'mx'");
	refused("profile.rate: 5\n", "has no key 'profile.rate'");
	refused("profile: {rate: 0}\n",
		"f.yaml:1:17: profile.rate wants a whole number from 1 to 1000");
	refused("profile: {rate: 19 Hz}\n", "not '19 Hz'");
	refused("profile: {rate: [1]}\n", "rate wants a value");
	refused("profile: {rate: }\n", "rate wants a value");
	refused("profile: 5\n", "profile wants keys with values");
	refused("profile: {window: 60}\n", "wants a time such as");
	refused("profile: {window: 7s}\n", "must divide an hour");
	refused("profile: {window: 2h}\n", "from 1s to 1h");
	refused("profile: {kernel: yes}\n", "wants true or false");
	refused("profile: {other: none}\n", "wants name or one");
	refused("store: {max_bytes: 64MB2}\n", "wants a size");
	refused("store: {max_bytes: -1}\n", "wants a size");
	refused("store: {max_delete_fraction: 0.2}\n", "wants a share such as 1%");
	refused("budget: {cpu: 0%}\n", "wants a share");
	refused("listen: {a: b}\n", "listen wants a list");
	refused("listen: [[a]]\n", "this wants a value");
	refused("- a\n", "this wants keys with values");
	refused("log: {level: info, level: info}\n", "f.yaml:1:20: 'level' is there twice");
	refused("log: &x {level: info}\nprofile: *x\n", "aliases (*x)");
	refused("log: {}\n---\nlog: {}\n", "a second document");
	refused("log: {level: info\n", "no YAML");
	refused("log: {level: \"a\\0b\"}\n", "byte 0");
	refused("[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", "more than 16 levels");
}

TEST(rules_are_read_in_their_order)
{
	struct prowl_config *c = parsed("targets:\n"
					"  - match: {unit: 'nginx.service', go: false, uid: 33}\n"
					"    service: web-{pod}\n"
					"    labels: {team: edge, tier_1: \"\"}\n"
					"    rate: 7\n"
					"    runtime: {heap: 5m, goroutine: none}\n"
					"  - match: {namespace: 'kube-*'}\n"
					"    profile: false\n"
					"  - {}\n");
	const struct prowl_rule *r = c->rules.rules;

	assert_int_equal(c->rules.n, 3);
	assert_string_equal(r[0].pattern[PROWL_FACT_UNIT], "nginx.service");
	assert_true(r[0].has_go && !r[0].go && r[0].has_uid && r[0].uid == 33 && r[0].profile);
	assert_string_equal(r[0].service, "web-{pod}");
	assert_int_equal(r[0].nlabels, 2);
	assert_string_equal(r[0].labels[0].value, "edge");
	assert_int_equal(r[0].rate, 7);
	assert_true(r[0].has_period[PROWL_SCHEDULE_HEAP] &&
		    r[0].has_period[PROWL_SCHEDULE_GOROUTINE]);
	assert_int_equal(r[0].period[PROWL_SCHEDULE_HEAP], UINT64_C(300000000000));
	assert_int_equal(r[0].period[PROWL_SCHEDULE_GOROUTINE], 0);
	assert_false(r[0].has_period[PROWL_SCHEDULE_BLOCK]);
	assert_string_equal(r[0].origin, "f.yaml:2");
	assert_false(r[1].profile);
	assert_string_equal(r[2].origin, "f.yaml:9");
	prowl_config_free(c);
	c = parsed("targets: []\n");
	assert_int_equal(c->rules.n, 0);
	prowl_config_free(c);
}

TEST(wrong_rules_are_refused)
{
	refused("targets: {}\n", "targets wants a list");
	refused("targets: [5]\n", "this wants keys with values");
	refused("targets: [{mach: {}}]\n", "a target has no key 'mach'; did you mean 'match'?");
	refused("targets: [{match: {cmm: x}}]\n", "match has no key 'cmm'; did you mean 'comm'?");
	refused("targets: [{match: {go: maybe}}]\n", "go wants true or false");
	refused("targets: [{match: {uid: no-such-user-here}}]\n", "there is no user");
	refused("targets: [{service: ''}]\n", "a name must not be empty");
	refused("targets: [{service: 'a{nope}'}]\n", "{comm}");
	refused("targets: [{service: 'a{comm'}]\n", "{comm}");
	refused("targets: [{labels: {a-b: x}}]\n", "is no name of a label");
	refused("targets: [{labels: {1a: x}}]\n", "is no name of a label");
	refused("targets: [{rate: 1001}]\n", "from 1 to 1000");
	refused("targets: [{runtime: {heap: 10ms}}]\n", "a time from 1s");
	refused("targets: [{runtime: {heep: 10s}}]\n", "did you mean 'heap'?");
	refused("labels: {kep: []}\n", "did you mean 'keep'?");
	refused("labels: {rename: {a: ''}}\n", "must be empty");
}

TEST(sinks_are_read)
{
	struct prowl_config *c = parsed(
		"push:\n"
		"  - {name: a.b-c, type: pyroscope, url: 'http://h', basic_auth: {user: u, "
		"password_file: /p}, headers: {X-A: b}, kinds: [cpu, heap], timeout: 3s, "
		"tls: {insecure: true}, spool: {max_bytes: 1MiB}, backoff: {min: 500ms}}\n"
		"  - {name: x, type: parca, url: 'http://i', match: 'service=\"a\"'}\n");
	const struct prowl_config_sink *s = c->push;

	assert_int_equal(c->npush, 2);
	assert_string_equal(s[0].name, "a.b-c");
	assert_string_equal(s[0].user, "u");
	assert_string_equal(s[0].password_file, "/p");
	assert_int_equal(s[0].headers.n, 1);
	assert_string_equal(s[0].headers.pair[0].value, "b");
	assert_int_equal(s[0].kinds.n, 2);
	assert_true(s[0].insecure);
	assert_int_equal(s[0].timeout, UINT64_C(3000000000));
	assert_int_equal(s[0].spool_max_bytes, 1 << 20);
	assert_int_equal(s[0].backoff_min, 500000000);
	assert_int_equal(s[0].backoff_max, 0);
	assert_string_equal(s[1].match, "service=\"a\"");
	assert_string_equal(s[1].tenant, "");
	prowl_config_free(c);
	refused("push: {}\n", "push wants a list");
	refused("push: [{name: a, type: b}]\n", "needs type and url");
	refused("push: [{name: 'a/b', type: b, url: c}]\n", "needs a name");
	refused("push: [{nam: a}]\n", "did you mean 'name'?");
	refused("push: [{spool: {max_age: 5}}]\n", "max_age wants a time");
	refused("push: [{tls: {isecure: true}}]\n", "tls has no key 'isecure'");
	refused("push: [{name: a, type: b, url: c}, {name: a, type: b, url: c}]\n",
		"two sinks are named a");
}

TEST(triggers_are_read)
{
	struct prowl_config *c = parsed(
		"triggers:\n"
		"  - name: memory\n"
		"    when: {memory: '> 90%', goroutines: '> 3x median(1h)', cpu: '>1.5', min: 10}\n"
		"    for: 30s\n"
		"    cooldown: 1h\n"
		"    max_per_day: 3\n"
		"    capture: [heap, cpu=10s]\n");
	const struct prowl_trigger *t = c->triggers;

	assert_int_equal(c->ntriggers, 1);
	assert_int_equal(t->nwhen, 3);
	assert_int_equal(t->when[0].kind, PROWL_ABOVE_LIMIT);
	assert_true(t->when[0].value > 0.89 && t->when[0].value < 0.91);
	assert_int_equal(t->when[1].kind, PROWL_ABOVE_MEDIAN);
	assert_int_equal(t->when[1].span, UINT64_C(3600000000000));
	assert_true(t->when[2].kind == PROWL_ABOVE && t->when[2].value == 1.5);
	assert_true(t->min == 10);
	assert_int_equal(t->for_, UINT64_C(30000000000));
	assert_int_equal(t->max_per_day, 3);
	assert_int_equal(t->ncapture, 2);
	assert_string_equal(t->capture[1].kind, "cpu");
	assert_int_equal(t->capture[1].ns, UINT64_C(10000000000));
	prowl_config_free(c);
	c = parsed("");
	assert_int_equal(c->ntriggers, 2);
	prowl_config_free(c);
	c = parsed("triggers: []\n");
	assert_int_equal(c->ntriggers, 0);
	prowl_config_free(c);
	refused("triggers: [{name: a}]\n", "needs when and capture");
	refused("triggers: [{name: A}]\n", "needs a name");
	refused("triggers: [{when: {cpu: '90%'}}]\n", "cpu wants");
	refused("triggers: [{when: {cpu: '> 90%'}}]\n", "cpu wants");
	refused("triggers: [{when: {rss: '> 2x median(1s)'}}]\n", "rss wants");
	refused("triggers: [{when: {rss: '> 0.5x median(1h)'}}]\n", "rss wants");
	refused("triggers: [{when: {memry: '> 1'}}]\n", "did you mean 'memory'?");
	refused("triggers: [{capture: [cpu=1h]}]\n", "a time up to 5m");
}

TEST(flags_win_over_the_environment_which_wins_over_the_file)
{
	struct prowl_config *c = parsed("profile: {rate: 7, window: 30s}\nlisten: unix:/file\n");
	char rate[] = "PROWL_PROFILE_RATE=11", bytes[] = "PROWL_STORE_EVENTS_MAX_BYTES=5MiB";
	char listen[] = "PROWL_LISTEN=unix:/a,unix:/b", other[] = "PROWL_DEBUG=walk";
	char bad[] = "PROWL_PROFILE_WINDOW=1";
	char *variables[] = {other, rate, bytes, listen, NULL}, *wrong[] = {bad, NULL};
	struct prowl_err err = {0};

	assert_int_equal(prowl_config_environment(c, variables, &err), PROWL_OK);
	assert_int_equal(c->profile.rate, 11);
	assert_int_equal(c->profile.window, UINT64_C(30000000000));
	assert_int_equal(c->store.events.max_bytes, 5 << 20);
	assert_int_equal(c->listen.n, 2);
	assert_string_equal(c->listen.text[0], "unix:/a");
	assert_int_equal(prowl_config_set(c, "profile.rate", "13", "--rate", &err), PROWL_OK);
	assert_int_equal(prowl_config_set(c, "listen", "unix:/c", "--listen", &err), PROWL_OK);
	assert_int_equal(c->profile.rate, 13);
	assert_string_equal(c->listen.text[2], "unix:/c");
	assert_int_equal(prowl_config_set(c, "profile.rate", "x", "--rate", &err), PROWL_USAGE);
	assert_non_null(strstr(err.text, "--rate wants a whole number"));
	assert_int_equal(prowl_config_environment(c, wrong, &err), PROWL_USAGE);
	assert_non_null(strstr(err.text, "PROWL_PROFILE_WINDOW wants a time"));
	prowl_config_free(c);
}

TEST(a_pid_or_name_comes_before_all_rules)
{
	struct prowl_config *c = parsed("targets: [{profile: false}]\n");
	struct prowl_subject s = {.pid = 7};
	struct prowl_err err = {0};

	for (size_t i = 0; i < PROWL_FACTS; i++)
		s.fact[i] = "";
	assert_false(prowl_rules_find(&c->rules, &s)->profile);
	assert_int_equal(prowl_config_add_pid(c, 7, &err), PROWL_OK);
	assert_int_equal(prowl_config_add_name(c, "nginx", &err), PROWL_OK);
	assert_string_equal(prowl_rules_find(&c->rules, &s)->origin, "--pid");
	s.pid = 8;
	assert_false(prowl_rules_find(&c->rules, &s)->profile);
	s.fact[PROWL_FACT_EXE] = "/usr/sbin/nginx";
	assert_string_equal(prowl_rules_find(&c->rules, &s)->origin, "--name");
	prowl_config_free(c);
}

TEST(every_key_has_a_variable_of_its_own)
{
	for (size_t i = 0; i < config_nkeys; i++) {
		char a[CONFIG_VARIABLE], b[CONFIG_VARIABLE];

		config_variable(&config_keys[i], a);
		assert_int_equal(strncmp(a, "PROWL_", 6), 0);
		assert_true(strlen(a) == strlen(config_keys[i].name) + 6);
		for (size_t k = 0; k < i; k++) {
			config_variable(&config_keys[k], b);
			assert_string_not_equal(a, b);
		}
	}
}

/* The line of a key: "*profile.rate*: _19_". */
static bool is_key(const char *name)
{
	for (size_t i = 0; i < config_nkeys; i++) {
		if (!strcmp(config_keys[i].name, name))
			return true;
	}
	return false;
}

TEST(the_manual_has_every_key_and_no_other)
{
	FILE *f = unit_test_args && unit_test_args[0] ? fopen(unit_test_args[0], "r") : NULL;
	char line[1024], name[128];
	bool keys = false;
	size_t n = 0;

	if (!f)
		skip();
	while (fgets(line, sizeof line, f)) {
		if (line[0] == '#')
			keys = !strcmp(line, "# KEYS\n");
		if (!keys || sscanf(line, "*%127[a-z_.]*:", name) != 1)
			continue;
		if (!is_key(name))
			fail_msg("the manual has %s, which is no key", name);
		n++;
	}
	fclose(f);
	assert_int_equal(n, config_nkeys);
}
