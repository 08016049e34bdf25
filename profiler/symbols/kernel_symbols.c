/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kallsyms_file.h"

enum { MAX_TEXT = 4 << 20 }; /* of /proc/modules: some 100 bytes a module */

#define CACHE_NAME "kallsyms"

/* --- the key ------------------------------------------------------------------------------------
 */

/* The whole file. `missing_ok`: no such file is an empty one. */
static int read_text(const char *path, bool missing_ok, char **ret, size_t *ret_len)
{
	size_t len = 0, cap = 0;
	char *text = NULL;
	int fd, r = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && !(missing_ok && errno == ENOENT))
		return -errno;
	while (fd >= 0 && r == 0) {
		ssize_t n;

		if (len == cap) {
			char *p = cap < MAX_TEXT ? realloc(text, cap ? cap * 2 : 4096) : NULL;

			if (!p) {
				r = -ENOMEM;
				break;
			}
			text = p;
			cap = cap ? cap * 2 : 4096;
		}
		n = read(fd, text + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		free(text);
		return r;
	}
	*ret = text;
	*ret_len = len;
	return 0;
}

/* sysfs gives every folder a new number: a rebuilt module loaded to the old one's place differs. */
static uint64_t module_instance(void *ctx, const char *module)
{
	char path[192];
	struct stat st;

	(void)ctx;
	snprintf(path, sizeof path, "/sys/module/%s", module);
	return stat(path, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static int read_key(const struct prowl_kernel_symbols_paths *paths, struct uw_kallsyms_key *key)
{
	char *boot = NULL, *modules = NULL;
	size_t boot_len = 0, modules_len = 0;
	struct utsname uts;
	int r;

	memset(&uts, 0, sizeof uts);
	if (uname(&uts) < 0)
		return -errno;
	memset(uts.nodename, 0, sizeof uts.nodename);
	memset(uts.domainname, 0, sizeof uts.domainname);
	r = read_text(paths->boot_id, false, &boot, &boot_len);
	if (r == 0)
		r = read_text(paths->modules, true, &modules, &modules_len);
	if (r == 0)
		r = uw_kallsyms_key_make(key, (struct uw_text){boot, boot_len},
					 (struct uw_text){(const char *)&uts, sizeof uts},
					 (struct uw_text){modules ? modules : "", modules_len},
					 module_instance, NULL);
	free(boot);
	free(modules);
	return r;
}

/* --- the folder and the file ------------------------------------------------------------------
 */

static bool is_mine(int fd, mode_t type)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type && st.st_uid == geteuid();
}

static bool others_may_write(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || (st.st_mode & (S_IWGRP | S_IWOTH));
}

/* A folder of this user's. at is closed. */
static int enter(int at, const char *name, int flags, bool make)
{
	int fd, r = 0;

	flags |= O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	fd = openat(at, name, flags);
	if (fd < 0 && errno == ENOENT && make && (mkdirat(at, name, 0700) == 0 || errno == EEXIST))
		fd = openat(at, name, flags);
	if (fd < 0)
		r = -errno;
	else if (!is_mine(fd, S_IFDIR))
		r = -EACCES;
	if (at >= 0)
		close(at);
	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
}

/* The folder of the cache: a descriptor, or negative errno, -ENOENT when there is to be none. */
static int open_folder(void)
{
	const char *off = secure_getenv("PROWL_NO_CACHE");
	const char *xdg = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
	int fd;

	if (off && *off)
		return -ENOENT;
	if (xdg && *xdg == '/') {
		fd = enter(AT_FDCWD, xdg, 0, true);
	} else if (home && *home == '/') {
		fd = enter(AT_FDCWD, home, 0, false);
		if (fd >= 0)
			fd = enter(fd, ".cache", 0, true);
	} else {
		return -ENOENT;
	}
	if (fd >= 0)
		fd = enter(fd, "prowl", O_NOFOLLOW, true);
	if (fd >= 0 && others_may_write(fd)) {
		close(fd);
		return -EACCES;
	}
	return fd;
}

static int load_kept(int folder, const struct uw_kallsyms_key *key, const uint64_t *pcs, size_t n,
		     struct uw_kallsyms **ret)
{
	int r, fd = openat(folder, CACHE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	r = is_mine(fd, S_IFREG) && !others_may_write(fd) ? uw_kallsyms_load(fd, key, pcs, n, ret)
							  : -EACCES;
	close(fd);
	return r;
}

struct new_file {
	int folder, fd;
	char name[48];
};

static int cache_file_new(struct new_file *f, int folder)
{
	uint64_t id;

	if (getrandom(&id, sizeof id, GRND_NONBLOCK) != (ssize_t)sizeof id)
		id = (uint64_t)getpid();
	snprintf(f->name, sizeof f->name, CACHE_NAME ".%016" PRIx64, id);
	f->folder = folder;
	f->fd = openat(folder, f->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	return f->fd < 0 ? -errno : 0;
}

/* With r == 0 it takes the place of the old one, otherwise it goes. */
static int new_file_close(struct new_file *f, int r)
{
	/* Some file systems report only now that there was no space. */
	if (close(f->fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(f->folder, f->name, f->folder, CACHE_NAME) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(f->folder, f->name, 0);
	return r;
}

/* --- names ----------------------------------------------------------------------------------- */

static int resolve(const char *path, const uint64_t *pcs, size_t n, struct uw_kallsyms **ret)
{
	int r, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	r = uw_kallsyms_resolve(fd, pcs, n, ret);
	close(fd);
	return r;
}

/* What the kept symbols leave open. That it stays open is no error. */
static void resolve_rest(struct prowl_kernel_symbols *k, const uint64_t *pcs, size_t n,
			 const char *path)
{
	uint64_t *rest = NULL;
	size_t nrest = 0;

	for (size_t i = 0; i < n; i++) {
		if (uw_kallsyms_name(k->kept, pcs[i], NULL, NULL))
			continue;
		if (!rest)
			rest = malloc((n - i) * sizeof *rest);
		if (!rest)
			return;
		rest[nrest++] = pcs[i];
	}
	if (nrest > 0 && resolve(path, rest, nrest, &k->read) < 0)
		k->read = NULL;
	free(rest);
}

/* Reads all symbols and keeps them. *key is of before: only if it still holds are they kept. */
static int read_and_keep(struct prowl_kernel_symbols *k,
			 const struct prowl_kernel_symbols_paths *paths,
			 const struct uw_kallsyms_key *key, struct new_file *f)
{
	struct uw_kallsyms_key now;
	int r, w, fd = open(paths->kallsyms, O_RDONLY | O_CLOEXEC);

	r = fd < 0 ? -errno : uw_kallsyms_read(fd, &k->read);
	if (fd >= 0)
		close(fd);
	w = r;
	if (w == 0)
		w = read_key(paths, &now);
	if (w == 0 && memcmp(&now, key, sizeof now) != 0)
		w = -EAGAIN;
	if (w == 0)
		w = uw_kallsyms_save(k->read, key, f->fd);
	k->cache_error = new_file_close(f, w);
	k->cache = k->cache_error == 0 ? PROWL_KERNEL_SYMBOLS_WRITTEN
				       : PROWL_KERNEL_SYMBOLS_UNWRITABLE;
	return r;
}

static const char *either(const char *path, const char *standard)
{
	return path ? path : standard;
}

int prowl_kernel_symbols_init(struct prowl_kernel_symbols *k, const uint64_t *pcs, size_t n,
			      const struct prowl_kernel_symbols_paths *given)
{
	static const struct prowl_kernel_symbols_paths none;
	const struct prowl_kernel_symbols_paths *g = given ? given : &none;
	const struct prowl_kernel_symbols_paths paths = {
		.kallsyms = either(g->kallsyms, "/proc/kallsyms"),
		.modules = either(g->modules, "/proc/modules"),
		.boot_id = either(g->boot_id, "/proc/sys/kernel/random/boot_id"),
	};
	struct uw_kallsyms_key key;
	struct new_file f = {0};
	int r, folder;

	*k = (struct prowl_kernel_symbols){0};
	if (n == 0)
		return 0;
	folder = open_folder();
	r = folder < 0 ? folder : read_key(&paths, &key);
	if (r == 0 && load_kept(folder, &key, pcs, n, &k->kept) == 0) {
		k->cache = PROWL_KERNEL_SYMBOLS_KEPT;
		resolve_rest(k, pcs, n, paths.kallsyms);
	} else {
		/* To read all symbols is worth it only where they can be kept. */
		if (r == 0) {
			r = cache_file_new(&f, folder);
			if (r < 0)
				k->cache = PROWL_KERNEL_SYMBOLS_UNWRITABLE;
		}
		k->cache_error = r;
		r = r == 0 ? read_and_keep(k, &paths, &key, &f)
			   : resolve(paths.kallsyms, pcs, n, &k->read);
	}
	if (folder >= 0)
		close(folder);
	if (r < 0)
		k->read = NULL;
	return r;
}

const char *prowl_kernel_symbols_name(const struct prowl_kernel_symbols *k, uint64_t pc,
				      const char **module)
{
	const char *name = k->kept ? uw_kallsyms_name(k->kept, pc, module, NULL) : NULL;

	if (!name && k->read)
		name = uw_kallsyms_name(k->read, pc, module, NULL);
	return name;
}

void prowl_kernel_symbols_fini(struct prowl_kernel_symbols *k)
{
	uw_kallsyms_free(k->kept);
	uw_kallsyms_free(k->read);
	*k = (struct prowl_kernel_symbols){0};
}
