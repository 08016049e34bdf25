/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host [exit] LIBRARY...: loads libraries that are written in Go and starts each. With "exit" its
 * main thread ends then, and the others go on. Prints "ready" when all is as it will be.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int exits = argc > 1 && !strcmp(argv[1], "exit");

	for (int i = 1 + exits; i < argc; i++) {
		void *lib = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
		void (*start)(void) = lib ? (void (*)(void))dlsym(lib, "Start") : NULL;

		if (!start) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
		start();
	}
	puts("ready");
	fflush(stdout);
	if (exits)
		pthread_exit(NULL);
	for (;;)
		pause();
}
