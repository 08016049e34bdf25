/* SPDX-License-Identifier: Apache-2.0 */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "input_store.h"
#include "pprof.h"
#include "term.h"

static struct pprof_profile *load(const char *path)
{
	struct pprof_profile *p;
	struct pprof_diag diag = {0};
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	int r;

	if (fd < 0) {
		say_error("%s: %s", path, strerror(errno));
		return NULL;
	}
	r = pprof_read_fd(fd, 0, &p, &diag);
	close(fd);
	if (r == 0)
		return p;
	if (r == -EBADMSG && diag.at == 0)
		say_error("%s is not a valid profile: %s", path, diag.what ? diag.what : "damaged");
	else if (r == -EBADMSG)
		say_error("%s is not a valid profile: %s (at byte %llu)", path,
			  diag.what ? diag.what : "damaged", (unsigned long long)diag.at);
	else
		say_error("%s: %s", path, strerror(-r));
	return NULL;
}

struct pprof_profile *input_load(char *const *paths, size_t n)
{
	struct pprof_profile **in = calloc(n, sizeof *in), *merged = NULL;
	struct pprof_diag diag = {0};
	size_t k = 0;
	int r;

	while (in && k < n &&
	       (in[k] = input_is_store(paths[k]) ? input_load_store(paths[k]) : load(paths[k])))
		k++;
	if (k == n && n == 1) {
		merged = in[0];
		in[0] = NULL;
	} else if (k == n && n > 0) {
		r = pprof_merge((const struct pprof_profile *const *)in, n, &merged, &diag);
		if (r < 0) {
			say_error("%s can't be merged with %s: %s %s",
				  paths[diag.at < n ? diag.at : 0], paths[0],
				  diag.what ? diag.what : strerror(-r), diag.detail);
			merged = NULL;
		} else if (diag.what) {
			say_warning("left out, as not all of the files have them: %s", diag.detail);
		}
	}
	for (size_t i = 0; in && i < k; i++)
		pprof_profile_free(in[i]);
	free(in);
	return merged;
}

const char *input_comment(const struct pprof_profile *p, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; p && i < p->ncomments; i++) {
		const char *c = p->strings[p->comments[i]];

		if (!strncmp(c, key, n))
			return c + n;
	}
	return "";
}

struct pprof_profile *input_load_base(const char *path, const struct pprof_profile *p,
				      const char *type)
{
	struct pprof_profile *base = input_load((char *const[]){(char *)path}, 1);
	size_t index;

	/* The report itself refuses values that p doesn't have. */
	if (!base || pprof_find_sample_type(p, type, &index) < 0)
		return base;
	type = p->strings[p->sample_types[index].type];
	if (pprof_find_sample_type(base, type, &index) == 0)
		return base;
	say_error("%s has no values called '%s' to compare with", path, type);
	pprof_profile_free(base);
	return NULL;
}
