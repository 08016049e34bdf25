/* SPDX-License-Identifier: Apache-2.0 */
#include "http_parts.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

static const char library[] = "libmicrohttpd.so.12";

int http_lib_load(struct http_lib *lib)
{
	const struct {
		const char *name;
		void *to; /* a pointer to a function */
	} wanted[] = {
		{"MHD_start_daemon", &lib->start},
		{"MHD_stop_daemon", &lib->stop},
		{"MHD_get_connection_info", &lib->connection},
		{"MHD_lookup_connection_value", &lib->lookup},
		{"MHD_get_connection_values", &lib->values},
		{"MHD_create_response_from_buffer", &lib->response},
		{"MHD_add_response_header", &lib->header},
		{"MHD_queue_response", &lib->queue},
		{"MHD_destroy_response", &lib->destroy},
		{"MHD_suspend_connection", &lib->suspend},
		{"MHD_resume_connection", &lib->resume},
	};
	/* Never unloaded: its dependencies have thread-local data and don't support it. */
	void *opened = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (!opened)
		return -ENOTSUP;
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		void *found = dlsym(opened, wanted[i].name);

		if (!found)
			return -ENOTSUP;
		memcpy(wanted[i].to, &found, sizeof found);
	}
	return 0;
}
