/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"

static int put(struct prowl_kernel_names *k, uint64_t pc, const char *name, const char *module)
{
	struct prowl_kernel_name n = {0};
	int r = prowl_array_reserve(&k->names, &k->cap, k->n + 1, sizeof *k->names);

	if (r < 0)
		return r;
	n.name = name ? strdup(name) : NULL;
	n.module = module ? strdup(module) : NULL;
	if ((name && !n.name) || (module && !n.module) ||
	    prowl_idmap_put(&k->ids, pc, (uint32_t)k->n) < 0) {
		free(n.name);
		free(n.module);
		return -ENOMEM;
	}
	k->names[k->n++] = n;
	return 0;
}

/* Nothing is kept on disk: all symbols, for now and later. */
static void read_all(struct prowl_kernel_names *k)
{
	int fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (uw_kallsyms_read(fd, &k->all) < 0)
		k->all = NULL;
	close(fd);
}

static int learn_new(struct prowl_kernel_names *k, const uint64_t *pcs, size_t n)
{
	struct prowl_kernel_symbols syms = {0};
	const char *name, *module;
	int r = 0;

	if (k->times++ > 0 && !k->all && k->cache != PROWL_KERNEL_SYMBOLS_KEPT &&
	    k->cache != PROWL_KERNEL_SYMBOLS_WRITTEN)
		read_all(k);
	if (!k->all) {
		r = prowl_kernel_symbols_init(&syms, pcs, n, NULL);
		k->cache = syms.cache;
		k->cache_error = syms.cache_error;
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		module = NULL;
		name = k->all ? uw_kallsyms_name(k->all, pcs[i], &module, NULL)
			      : prowl_kernel_symbols_name(&syms, pcs[i], &module);
		r = put(k, pcs[i], name, module);
	}
	prowl_kernel_symbols_fini(&syms);
	return r;
}

static void forget(struct prowl_kernel_names *k)
{
	for (size_t i = 0; i < k->n; i++) {
		free(k->names[i].name);
		free(k->names[i].module);
	}
	k->n = 0;
	prowl_idmap_fini(&k->ids);
	k->ids = (struct prowl_idmap){0};
}

int prowl_kernel_names_learn(struct prowl_kernel_names *k, const uint64_t *pcs, size_t n)
{
	uint64_t *fresh = malloc((n + 1) * sizeof *fresh);
	size_t nfresh = 0;
	uint32_t id;
	int r = 0;

	if (!fresh)
		return -ENOMEM;
	if (k->n >= PROWL_KERNEL_NAMES_MAX)
		forget(k);
	for (size_t i = 0; i < n; i++) {
		if (!prowl_idmap_get(&k->ids, pcs[i], &id))
			fresh[nfresh++] = pcs[i];
	}
	if (nfresh > 0)
		r = learn_new(k, fresh, nfresh);
	free(fresh);
	return r;
}

const struct prowl_kernel_name *prowl_kernel_names_of(const struct prowl_kernel_names *k,
						      uint64_t pc)
{
	uint32_t id;

	return prowl_idmap_get(&k->ids, pc, &id) && k->names[id].name ? &k->names[id] : NULL;
}

void prowl_kernel_names_fini(struct prowl_kernel_names *k)
{
	forget(k);
	free(k->names);
	uw_kallsyms_free(k->all);
	*k = (struct prowl_kernel_names){0};
}
