/* SPDX-License-Identifier: Apache-2.0 */
#include "processes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "pprof.h"
#include "table.h"
#include "units.h"

enum { MOST_NAMES = 4 };

struct process {
	int64_t pid;
	uint32_t pid_text, comm; /* strings; 0: none */
	uint64_t weight;
};

struct processes {
	const struct pprof_profile *p;
	struct process *v;
	size_t n, cap;
	struct table table;
};

struct process_key {
	const struct processes *l;
	struct process id;
};

static bool same_process(const void *ctx, uint32_t index)
{
	const struct process_key *k = ctx;
	const struct process *a = &k->l->v[index], *b = &k->id;

	return a->pid == b->pid && a->pid_text == b->pid_text && a->comm == b->comm;
}

static struct process of_sample(const struct pprof_profile *p, size_t sample)
{
	const struct pprof_label *l = pprof_sample_labels(p, sample);
	struct process id = {0};

	for (size_t i = 0; i < p->samples[sample].nlabels; i++) {
		const char *key = p->strings[l[i].key];

		if (strcmp(key, PPROF_LABEL_PID) == 0) {
			id.pid = l[i].num;
			id.pid_text = l[i].str;
		} else if (strcmp(key, PPROF_LABEL_COMM) == 0) {
			id.comm = l[i].str;
		}
	}
	return id;
}

static int add(struct processes *l, const struct process *id, uint64_t weight)
{
	struct process_key key = {l, *id};
	uint64_t words[] = {(uint64_t)id->pid, (uint64_t)id->pid_text << 32 | id->comm};
	uint32_t hash = (uint32_t)XXH3_64bits(words, sizeof words);
	uint32_t at = pp_table_find(&l->table, hash, same_process, &key);
	int r;

	if (at == PPROF_NONE) {
		r = pp_array_reserve(&l->v, &l->cap, l->n + 1, sizeof *l->v);
		if (r == 0)
			r = pp_table_reserve(&l->table);
		if (r < 0)
			return r;
		at = (uint32_t)l->n++;
		l->v[at] = *id;
		pp_table_put(&l->table, hash, at);
	}
	l->v[at].weight += weight;
	return 0;
}

static int find_all(struct processes *l)
{
	const struct pprof_profile *p = l->p;
	size_t type = 0;
	int r = 0;

	if (pprof_find_sample_type(p, NULL, &type) < 0)
		return 0;
	for (size_t i = 0; r == 0 && i < p->nsamples; i++) {
		struct process id = of_sample(p, i);

		if (id.pid || id.pid_text)
			r = add(l, &id, magnitude(pprof_sample_values(p, i)[type]));
	}
	return r;
}

/* --- as a text ------------------------------------------------------------------- */

struct name { /* processes of one name */
	const char *comm;
	const struct process *first;
	size_t n;
	uint64_t weight;
};

static int by_weight(const void *va, const void *vb)
{
	const struct name *a = va, *b = vb;

	if (a->weight != b->weight)
		return a->weight > b->weight ? -1 : 1;
	return strcmp(a->comm, b->comm);
}

/* Processes without a name are listed one by one. */
static size_t collect_names(const struct processes *l, struct name *names)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		const struct process *v = &l->v[i];
		size_t at = v->comm ? 0 : n;

		while (at < n && (!names[at].first->comm || names[at].first->comm != v->comm))
			at++;
		if (at == n)
			names[n++] = (struct name){l->p->strings[v->comm], v, 0, 0};
		names[at].n++;
		names[at].weight += v->weight;
	}
	qsort(names, n, sizeof *names, by_weight);
	return n;
}

static void put_name(FILE *to, const struct processes *l, const struct name *name)
{
	const struct process *v = name->first;
	const char *comm = name->comm;

	if (name->n > 1) {
		fprintf(to, "%s (%zu processes)", comm, name->n);
		return;
	}
	fprintf(to, v->comm ? "%s (pid " : "%spid ", comm);
	if (v->pid_text)
		fputs(l->p->strings[v->pid_text], to);
	else
		fprintf(to, "%" PRId64, v->pid);
	fputs(v->comm ? ")" : "", to);
}

static char *to_text(const struct processes *l)
{
	struct name *names = calloc(l->n, sizeof *names);
	size_t n = names ? collect_names(l, names) : 0, len, rest = 0;
	char *text = NULL;
	FILE *to = names ? open_memstream(&text, &len) : NULL;

	for (size_t i = 0; to && i < n; i++) {
		if (i >= MOST_NAMES) {
			rest += names[i].n;
			continue;
		}
		fputs(i ? ", " : "", to);
		put_name(to, l, &names[i]);
	}
	if (rest)
		fprintf(to, " and %zu more", rest);
	free(names);
	if (to && fclose(to) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

char *pp_processes(const struct pprof_profile *p)
{
	struct processes l = {.p = p};
	int r = find_all(&l);
	char *text = r < 0 ? NULL : l.n < 2 ? strdup("") : to_text(&l);

	free(l.v);
	pp_table_fini(&l.table);
	return text;
}

char *pp_title(const struct pprof_profile *p)
{
	char *several = pp_processes(p);
	const char *file, *slash;

	if (!several || *several)
		return several;
	free(several);
	file = p->nmappings ? p->strings[p->mappings[0].filename] : "";
	slash = strrchr(file, '/');
	return strdup(!*file ? "profile" : slash ? slash + 1 : file);
}
