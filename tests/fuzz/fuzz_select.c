/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a selector and, as it is, a time: as they come in requests. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "selector.h"
#include "when.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_selector(const char *text)
{
	static const struct prowl_series_label labels[] = {
		{"service", "etcd", true}, {"pod", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false}};
	struct prowl_selector *s = NULL;
	struct prowl_series *series = NULL;

	if (prowl_series_new(labels, 2, &series) < 0)
		abort();
	if (prowl_selector_new(text, &s, NULL) == PROWL_OK)
		(void)prowl_selector_matches(s, series);
	prowl_selector_free(s);
	prowl_series_free(series);
}

/* A time that is printed is the same time when it is read. */
static void check_time(const char *text)
{
	char printed[PROWL_WHEN];
	int64_t t, again;

	if (!prowl_when_parse(text, 1796025600000000000, &t) || t < 0)
		return;
	prowl_when_text(printed, t);
	if (prowl_when_parse(printed, 0, &again) ? again != t : t < 9180000000000000000)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	check_selector(text);
	check_time(text);
	free(text);
	return 0;
}
