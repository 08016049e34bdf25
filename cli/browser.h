/* SPDX-License-Identifier: Apache-2.0 */
/* The user's browser. */
#pragma once

/* Opens an address, on a desktop, and not as root: browsers refuse to start as root. */
void browser_start(const char *url);
