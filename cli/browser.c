/* SPDX-License-Identifier: Apache-2.0 */
#include "browser.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <unistd.h>

#include "term.h"

void browser_start(const char *url)
{
	char program[] = "xdg-open", *argv[] = {program, (char *)url, NULL};
	posix_spawn_file_actions_t quiet;
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;

	if ((!getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY")) || geteuid() == 0)
		return;
	if (posix_spawn_file_actions_init(&quiet) != 0 || posix_spawnattr_init(&attr) != 0)
		return;
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, program, &quiet, &attr, argv, environ) != 0)
		say_info("xdg-open is not there: open the address yourself");
	posix_spawn_file_actions_destroy(&quiet);
	posix_spawnattr_destroy(&attr);
}
