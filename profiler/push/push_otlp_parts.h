/* SPDX-License-Identifier: Apache-2.0 */
/* A message of OTLP while it is made: everything in it lives until push_otlp_fini. */
#pragma once

#include "idmap.h"
#include "push_otlp.pb-c.h"
#include "push_wire_parts.h"

struct push_otlp_message {
	const struct push_part *part;
	const struct pprof_profile *p;
	void **blocks; /* all memory of it */
	size_t nblocks, cap_blocks;
	bool failed; /* there was not enough: what was made is not to be used */

	/* The dictionary: entry 0 of each table is the zero value. */
	PushOtlp__Dictionary dictionary;
	size_t cap_strings, cap_attributes;
	struct prowl_idmap known; /* attributes of labels, by their hash */
	/* of each sample of the profile */
	uint32_t *stack_of;
	int32_t *attributes_of;  /* of all, one after the other */
	size_t *first_attribute; /* of each sample, and the end */
};

/* n zeroed elements; NULL, and m->failed, where there is no memory. */
void *push_otlp_get(struct push_otlp_message *m, size_t n, size_t size);
void push_otlp_fini(struct push_otlp_message *m);

/* The index of a string. */
int32_t push_otlp_string(struct push_otlp_message *m, const char *s);
/* Adds an attribute of the dictionary; its index. The value is kept as it is. */
int32_t push_otlp_attribute(struct push_otlp_message *m, const char *key, PushOtlp__AnyValue *value,
			    int32_t unit);
PushOtlp__AnyValue *push_otlp_text(struct push_otlp_message *m, const char *s);

/* push_otlp_tables.c: fills the dictionary, and the arrays of samples. */
void push_otlp_tables(struct push_otlp_message *m);
