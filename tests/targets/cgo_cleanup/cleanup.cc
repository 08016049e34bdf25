/* SPDX-License-Identifier: Apache-2.0 */
#include <string>

static volatile unsigned long sink;

extern "C" __attribute__((noinline)) unsigned long cxx_spin(unsigned long n)
{
	for (unsigned long i = 0; i < 200000; i++)
		sink = i + n;
	return sink;
}

/* A landing pad for `text`: its FDE names a personality routine. */
extern "C" unsigned long with_cleanup(unsigned long n)
{
	std::string text = "some text that needs memory of its own " + std::to_string(n);

	return cxx_spin(n) + text.size();
}
