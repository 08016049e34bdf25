/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readable names of C++ (Itanium ABI) and Rust (legacy and v0) symbols, by libiberty.
 *
 * Names come from foreign files: input longer than 4 KiB and output longer than 16 KiB (a short
 * name can ask for gigabytes by repeating its own parts) are refused, and libiberty's limit on
 * recursion stays on. Any thread may call.
 */
#pragma once

/* A new string for free(), or NULL when name is not mangled, damaged, or too long. */
char *uw_demangle(const char *name);
