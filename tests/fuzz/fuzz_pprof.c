/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a profile. What is accepted must survive encoding unchanged, merge with itself
 * whatever the order, and be printable in every format.
 */
#include <stdlib.h>
#include <string.h>

#include "pprof.h"
#include "pprof_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct encoded {
	uint8_t *bytes;
	size_t len;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static struct encoded encoded(const struct pprof_profile *p)
{
	struct encoded e;

	check(pprof_encode(p, PPROF_LEVEL_RAW, &e.bytes, &e.len) == 0);
	return e;
}

static void check_same(const struct pprof_profile *a, const struct pprof_profile *b)
{
	struct encoded ea = encoded(a), eb = encoded(b);

	check(ea.len == eb.len && memcmp(ea.bytes, eb.bytes, ea.len) == 0);
	free(ea.bytes);
	free(eb.bytes);
}

static void check_round_trip(const struct pprof_profile *p)
{
	struct pprof_profile *again;
	struct encoded e = encoded(p);

	check(pprof_decode(e.bytes, e.len, 0, &again, NULL) == 0);
	check_same(p, again);
	free(e.bytes);
	pprof_profile_free(again);
}

static void check_merge(const struct pprof_profile *p)
{
	struct pprof_profile *one, *two, *three, *other;
	const struct pprof_profile *in[] = {p, p};

	check(pprof_merge(in, 1, &one, NULL) == 0);
	check(pprof_merge((const struct pprof_profile *[]){one}, 1, &other, NULL) == 0);
	check_same(one, other);
	pprof_profile_free(other);
	check(pprof_merge(in, 2, &two, NULL) == 0);
	check(pprof_merge((const struct pprof_profile *[]){one, two}, 2, &three, NULL) == 0);
	check(pprof_merge((const struct pprof_profile *[]){two, one}, 2, &other, NULL) == 0);
	check_same(three, other);
	pprof_profile_free(one);
	pprof_profile_free(two);
	pprof_profile_free(three);
	pprof_profile_free(other);
}

static void check_reports(const struct pprof_profile *p)
{
	struct pprof_report_options o = {.size = sizeof o, .nodes = 3, .node_fraction = 0.005};
	const struct pprof_exporter *e;

	for (size_t i = 0; (e = pprof_exporter_at(i)); i++) {
		char *text;
		size_t len;
		FILE *to = open_memstream(&text, &len);

		check(to != NULL);
		e->write(p, i % 2 ? &o : NULL, to);
		fclose(to);
		free(text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct pprof_diag diag;
	struct pprof_profile *p;
	int r = pprof_decode(bytes, len, 16 << 20, &p, &diag);

	if (r < 0) {
		check(diag.what != NULL);
		return 0;
	}
	check_round_trip(p);
	check_merge(p);
	check_reports(p);
	pprof_profile_free(p);
	return 0;
}
