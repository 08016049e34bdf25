/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte of choices, twelve texts that end with a 0, and a profile: the filter's options and its
 * input. It must end, with a sound profile or a reason, and every format must be able to print it.
 */
#include <stdlib.h>
#include <string.h>

#include "pprof.h"
#include "pprof_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* The texts, copied so that what is read beyond one is seen; the rest of the input is returned. */
static size_t take_texts(const uint8_t *bytes, size_t len, char *texts[], size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		size_t k = strnlen((const char *)bytes + at, len - at);

		texts[i] = strndup((const char *)bytes + at, k);
		check(texts[i] != NULL);
		at += k < len - at ? k + 1 : k;
	}
	return at;
}

static void check_sound(const struct pprof_profile *p)
{
	struct pprof_profile *again;
	uint8_t *a, *b;
	size_t na, nb;

	check(pprof_encode(p, PPROF_LEVEL_RAW, &a, &na) == 0);
	check(pprof_decode(a, na, 0, &again, NULL) == 0);
	check(pprof_encode(again, PPROF_LEVEL_RAW, &b, &nb) == 0);
	check(na == nb && memcmp(a, b, na) == 0);
	free(a);
	free(b);
	pprof_profile_free(again);
}

static void check_printable(const struct pprof_profile *p,
			    const struct pprof_report_options *options)
{
	const struct pprof_exporter *e;

	for (size_t i = 0; (e = pprof_exporter_at(i)); i++) {
		char *text;
		size_t len;
		FILE *to = open_memstream(&text, &len);

		check(to != NULL);
		e->write(p, options, to);
		fclose(to);
		free(text);
	}
}

static void filter(const struct pprof_profile *p, const struct pprof_filter_options *o)
{
	struct pprof_report_options report = {.size = sizeof report,
					      .filtered = o,
					      .unit = o->unit,
					      .peek = o->show,
					      .node_fraction = 0.01};
	struct pprof_diag diag = {0};
	struct pprof_profile *q;
	int r = pprof_filter(p, o, &q, &diag);

	if (r < 0) {
		check(diag.what != NULL);
		return;
	}
	check(q->nsamples <= p->nsamples);
	check_sound(q);
	report.total = p->nsample_types ? pprof_total(p, 0) : 0;
	check_printable(q, &report);
	pprof_profile_free(q);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	enum { NTEXTS = 12 };
	struct pprof_filter_options o = PPROF_SIZED(o);
	struct pprof_profile *p;
	char *texts[NTEXTS];
	size_t at;

	if (len == 0)
		return 0;
	at = 1 + take_texts(bytes + 1, len - 1, texts, NTEXTS);
	o = (struct pprof_filter_options){
		.size = sizeof(struct pprof_filter_options),
		.focus = texts[0],
		.ignore = texts[1],
		.hide = texts[2],
		.show = texts[3],
		.show_from = texts[4],
		.tag_focus = texts[5],
		.tag_ignore = texts[6],
		.tag_show = texts[7],
		.tag_hide = texts[8],
		.tag_root = texts[9],
		.tag_leaf = texts[10],
		.unit = *texts[11] ? texts[11] : NULL,
		.granularity = (enum pprof_granularity)((bytes[0] & 7) % 6),
		.runtime = (enum pprof_runtime)((bytes[0] >> 3 & 3) % 3),
		.no_inlines = bytes[0] & 32,
		.apart = bytes[0] & 64,
	};
	if (pprof_decode(bytes + at, len - at, 1 << 20, &p, NULL) == 0) {
		filter(p, &o);
		pprof_profile_free(p);
	}
	for (size_t i = 0; i < NTEXTS; i++)
		free(texts[i]);
	return 0;
}
