/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd.h"
static int run(int argc, char **argv)
{
	return 1;
}
const struct cmd cmd_doctor = {.name = "doctor", .usage = "", .summary = "doctor", .run = run};
