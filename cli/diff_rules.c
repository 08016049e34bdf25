/* SPDX-License-Identifier: Apache-2.0 */
#include "diff_rules.h"

#include <cyaml/cyaml.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "term.h"
#include "words.h"

struct rule {
	char *name, *tolerance, *reason;
};

struct diff_rules {
	char *tolerance;
	struct rule *functions, *accept;
	unsigned nfunctions, naccept;
};

static const cyaml_schema_field_t rule_fields[] = {
	CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct rule, name, 1, CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("tolerance", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct rule,
			       tolerance, 1, CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("reason", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct rule,
			       reason, 0, CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t rule_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct rule, rule_fields),
};

static const cyaml_schema_field_t top_fields[] = {
	CYAML_FIELD_STRING_PTR("tolerance", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			       struct diff_rules, tolerance, 1, CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE_COUNT("functions", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
				   struct diff_rules, functions, nfunctions, &rule_schema, 0,
				   CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE_COUNT("accept", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
				   struct diff_rules, accept, naccept, &rule_schema, 0,
				   CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t top_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct diff_rules, top_fields),
};

/* The library reports an error as several lines; each becomes a message. */
static void on_message(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof text, fmt, args);
	text[strcspn(text, "\n")] = '\0';
	say_error("%s: %s", (const char *)ctx, text);
}

static cyaml_config_t config_for(const char *path)
{
	return (cyaml_config_t){.log_fn = on_message,
				.log_ctx = (void *)path,
				.log_level = CYAML_LOG_ERROR,
				.mem_fn = cyaml_mem,
				.flags = CYAML_CFG_DEFAULT};
}

double diff_parse_percent(const char *s)
{
	char *end;
	double v = strtod(s, &end);

	if (end == s || !(v >= 0) || v > 1e6 || (*end && strcmp(end, "%") != 0))
		return -1;
	/* "0.05" is a share, "5" is per cent. */
	return *end == '%' || v >= 1 ? v / 100 : v;
}

static bool check_percent(const char *path, const char *name, const char *s)
{
	if (!s || diff_parse_percent(s) >= 0)
		return true;
	say_error("%s: the tolerance of %s wants a share such as 5%%, not '%s'", path, name, s);
	return false;
}

static bool check(const char *path, const struct diff_rules *r)
{
	bool ok = check_percent(path, "all", r->tolerance);

	if (ok && r->tolerance && diff_parse_percent(r->tolerance) == 0) {
		say_error("%s: the tolerance of all must be above 0", path);
		ok = false;
	}
	for (unsigned i = 0; i < r->nfunctions; i++) {
		if (!r->functions[i].tolerance) {
			say_error("%s: %s has no tolerance", path, r->functions[i].name);
			ok = false;
		}
		ok = check_percent(path, r->functions[i].name, r->functions[i].tolerance) && ok;
	}
	for (unsigned i = 0; i < r->naccept; i++) {
		if (!r->accept[i].reason)
			say_warning("%s: %s is accepted without a reason (reason:)", path,
				    r->accept[i].name);
	}
	return ok;
}

struct diff_rules *diff_rules_load(const char *path)
{
	cyaml_config_t config = config_for(path);
	struct diff_rules *r = NULL;
	cyaml_err_t e;

	if (access(path, R_OK) < 0) {
		say_error("%s: can't be read", path);
		return NULL;
	}
	e = cyaml_load_file(path, &config, &top_schema, (cyaml_data_t **)&r, NULL);
	if (e != CYAML_OK) {
		say_error("%s: %s", path, cyaml_strerror(e));
		return NULL;
	}
	if (r && !check(path, r)) {
		diff_rules_free(r);
		return NULL;
	}
	return r;
}

void diff_rules_free(struct diff_rules *r)
{
	cyaml_config_t config = config_for("");

	cyaml_free(&config, &top_schema, r, 0);
}

double diff_rules_tolerance(const struct diff_rules *r)
{
	return r && r->tolerance ? diff_parse_percent(r->tolerance) : -1;
}

double diff_rules_tolerance_of(void *ctx, const char *name)
{
	const struct diff_rules *r = ctx;

	for (unsigned i = 0; r && i < r->naccept; i++) {
		if (prowl_glob(r->accept[i].name, name))
			return INFINITY;
	}
	for (unsigned i = 0; r && i < r->nfunctions; i++) {
		if (prowl_glob(r->functions[i].name, name))
			return diff_parse_percent(r->functions[i].tolerance);
	}
	return -1;
}
