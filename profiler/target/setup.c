/* SPDX-License-Identifier: Apache-2.0 */
#include "setup.h"

#include "log.h"
#include "truncated.h"

bool prowl_setup(const char *debug, const char **ret_known)
{
	unsigned int domains;
	bool known = uw_log_parse(debug, &domains);

	*ret_known = uw_log_domains();
	uw_log_set(domains);
	uw_survive_truncated_files();
	return known;
}
