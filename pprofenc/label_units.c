/* SPDX-License-Identifier: Apache-2.0 */
#include "label_units.h"

#include <stdlib.h>
#include <string.h>

static const char *guessed_unit(const char *key)
{
	return strcmp(key, "alignment") == 0 || strcmp(key, "request") == 0 ? "bytes" : key;
}

const char **pp_label_units(const struct pprof_profile *p)
{
	const char **units = calloc(p->nstrings, sizeof *units);

	if (!units)
		return NULL;
	for (size_t i = 0; i < p->nlabels; i++) {
		const struct pprof_label *l = &p->labels[i];

		if (l->str == 0 && l->unit && !units[l->key])
			units[l->key] = p->strings[l->unit];
	}
	for (size_t i = 0; i < p->nlabels; i++) {
		uint32_t key = p->labels[i].key;

		if (p->labels[i].str == 0 && !units[key])
			units[key] = guessed_unit(p->strings[key]);
	}
	return units;
}

const char *pp_label_unit(const struct pprof_profile *p, const struct pprof_label *l,
			  const char *const *units)
{
	return l->unit ? p->strings[l->unit] : units[l->key];
}
