/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds files, and the files in folders, to a fuzz target: its corpus as an ordinary test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static size_t replayed;

static int replay_file(const char *path, size_t size)
{
	/* Exactly as large as the input, so that a sanitizer sees each byte read beyond it. */
	uint8_t *bytes = malloc(size ? size : 1);
	FILE *f = fopen(path, "rb");
	int r = -1;

	if (f && bytes && fread(bytes, 1, size, f) == size) {
		LLVMFuzzerTestOneInput(bytes, size);
		replayed++;
		r = 0;
	} else {
		perror(path);
	}
	if (f)
		fclose(f);
	free(bytes);
	return r;
}

static int replay(const char *path)
{
	struct dirent **entries;
	struct stat st;
	char *inner;
	int n, r = 0;

	if (stat(path, &st) < 0) {
		perror(path);
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path, st.st_size);
	n = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.' &&
		    asprintf(&inner, "%s/%s", path, entries[i]->d_name) >= 0) {
			r |= replay(inner);
			free(inner);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return n < 0 ? -1 : r;
}

int main(int argc, char **argv)
{
	int r = 0;

	for (int i = 1; i < argc; i++)
		r |= replay(argv[i]);
	printf("%zu inputs\n", replayed);
	return r < 0 || replayed == 0;
}
