/* SPDX-License-Identifier: Apache-2.0 */
/* Where prowl is built without ncurses. */
#include <stddef.h>

#include "term.h"
#include "top_screen.h"

bool top_screen_built(void)
{
	return false;
}

enum prowl_code top_screen_check(void)
{
	say_error("this prowl was built without ncurses (libncurses-dev): no table on the screen. "
		  "--once and --json work");
	return PROWL_UNSUPPORTED;
}

enum prowl_code top_screen_open(struct top_screen **ret)
{
	return top_screen_check();
}

void top_screen_close(struct top_screen *s)
{
}

int top_screen_fd(const struct top_screen *s)
{
	return -1;
}

int top_screen_event(struct top_screen *s)
{
	return TOP_EVENT_QUIT;
}

void top_screen_draw(struct top_screen *s, struct top_model *m)
{
}

void top_screen_repaint(struct top_screen *s, struct top_model *m)
{
}
