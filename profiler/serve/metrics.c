/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <math.h>
#include <string.h>

#include "utf8_length.h"

/* What is no UTF-8 becomes U+FFFD: Prometheus refuses the whole page else. */
static void put_escaped(FILE *to, const char *text, bool quotes)
{
	while (*text) {
		size_t n = pp_utf8_length(text, SIZE_MAX);

		if (*text == '\\')
			fputs("\\\\", to);
		else if (*text == '\n')
			fputs("\\n", to);
		else if (*text == '"' && quotes)
			fputs("\\\"", to);
		else if (n == 0)
			fputs("\xef\xbf\xbd", to);
		else
			fwrite(text, 1, n, to);
		text += n ? n : 1;
	}
}

static void begin_family(struct metrics *m, const struct prowl_metric *metric)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};

	if (strcmp(m->family, metric->family) == 0)
		return;
	snprintf(m->family, sizeof m->family, "%s", metric->family);
	fprintf(m->to, "# HELP %s ", metric->family);
	put_escaped(m->to, metric->help, false);
	fprintf(m->to, "\n# TYPE %s %s\n", metric->family, types[metric->type]);
}

static void put_value(FILE *to, double value)
{
	if (isnan(value))
		fputs("NaN", to);
	else if (isinf(value))
		fputs(value > 0 ? "+Inf" : "-Inf", to);
	else if (value == floor(value) && fabs(value) < 9007199254740992.0)
		fprintf(to, "%.0f", value);
	else
		fprintf(to, "%.12g", value);
}

void metrics_put(struct metrics *m, const struct prowl_metric *metric)
{
	begin_family(m, metric);
	fputs(metric->name ? metric->name : metric->family, m->to);
	for (size_t i = 0; i < PROWL_METRIC_LABELS && metric->labels[i].name; i++) {
		fprintf(m->to, "%s%s=\"", i ? "," : "{", metric->labels[i].name);
		put_escaped(m->to, metric->labels[i].value, true);
		putc('"', m->to);
	}
	if (metric->labels[0].name)
		putc('}', m->to);
	putc(' ', m->to);
	put_value(m->to, metric->value);
	putc('\n', m->to);
}
