/* SPDX-License-Identifier: Apache-2.0 */
#include "allow_write.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "term.h"

static const uint64_t defaults[PROWL_RATES] = {PROWL_RATE_HEAP_DEFAULT, PROWL_RATE_BLOCK_DEFAULT,
					       PROWL_RATE_MUTEX_DEFAULT};

static const char *const wants[PROWL_RATES] = {"bytes, such as 524288",
					       "nanoseconds or a time such as 100us, 1ms",
					       "a number: one of so many contentions"};

/* The unit behind the number, in ns; 1 without one; 0: unknown. */
static uint64_t unit(enum prowl_rate which, const char *s)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};

	if (!*s)
		return 1;
	for (size_t i = 0; which == PROWL_RATE_BLOCK && i < sizeof units / sizeof *units; i++) {
		if (!strcmp(s, units[i].name))
			return units[i].ns;
	}
	return 0;
}

static bool value(const struct opt *o, enum prowl_rate which, const char *s, uint64_t *ret)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || *s < '0' || *s > '9' || v < o->min ||
	    __builtin_mul_overflow(v, unit(which, end), ret) || *ret < o->min ||
	    *ret > prowl_rate_max(which)) {
		say_error("--%s: %s wants %s, from %llu to %llu, not '%s'", o->name,
			  prowl_rate_name(which), wants[which], (unsigned long long)o->min,
			  (unsigned long long)prowl_rate_max(which), s);
		return false;
	}
	return true;
}

static bool parse_one(const struct opt *o, char *word, struct prowl_rates_wish *wish)
{
	char *equals = strchr(word, '=');

	if (equals)
		*equals = '\0';
	for (int i = 0; i < PROWL_RATES; i++) {
		enum prowl_rate which = (enum prowl_rate)i;

		if (strcmp(word, prowl_rate_name(which)) != 0)
			continue;
		wish->set[i] = true;
		wish->value[i] = defaults[i];
		return !equals || value(o, which, equals + 1, &wish->value[i]);
	}
	say_error("--%s knows heap-rate, block-rate and mutex-rate, not '%s'", o->name, word);
	return false;
}

bool allow_write_take(const struct opt *o, void *field, const char *arg)
{
	char *copy = strdup(arg), *at = copy;
	bool good = copy != NULL;

	while (good && at) {
		char *word = strsep(&at, ",");

		good = parse_one(o, word, field);
	}
	free(copy);
	return good;
}

bool allow_write_wanted(const struct prowl_rates_wish *wish)
{
	for (int i = 0; i < PROWL_RATES; i++) {
		if (wish->set[i])
			return true;
	}
	return false;
}

void allow_write_say_set(const struct prowl_rates_report *report)
{
	for (int i = 0; i < PROWL_RATES; i++) {
		const struct prowl_rate_change *c = &report->change[i];

		if (c->state == PROWL_RATE_SET)
			say_info("%s set to %llu (it was %llu) until the end of the window, also "
				 "if prowl is killed",
				 prowl_rate_variable((enum prowl_rate)i),
				 (unsigned long long)c->set, (unsigned long long)c->before);
		if (c->state == PROWL_RATE_SET && i == PROWL_RATE_HEAP && c->before != 0)
			say_warning(
				"the program samples its heap itself: all its heap profiles, its "
				"own too, are wrong from now on, since samples taken at two rates "
				"are scaled by one");
	}
}

void allow_write_say_end(const struct prowl_rates_report *report)
{
	for (int i = 0; i < PROWL_RATES; i++) {
		const struct prowl_rate_change *c = &report->change[i];
		const char *name = prowl_rate_variable((enum prowl_rate)i);

		switch (c->state) {
		case PROWL_RATE_RESTORED:
			say_detail("%s is %llu again", name, (unsigned long long)c->before);
			break;
		case PROWL_RATE_FOREIGN:
			say_warning("%s was set to %llu by prowl and to something else since: left "
				    "as it is (before, it was %llu)",
				    name, (unsigned long long)c->set,
				    (unsigned long long)c->before);
			break;
		case PROWL_RATE_STUCK:
			say_warning("%s could not be put back to %llu", name,
				    (unsigned long long)c->before);
			break;
		default:
			break;
		}
	}
}
