/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEEP_H
#define DEEP_H

/* c_mid1 ... c_mid11, c_hot, c_leaf: a deep C stack without frame pointers. */
unsigned long c_mid1(unsigned long n);
/* c_cb1, c_cb2, c_cb3, and back into Go: goCallback(n). */
unsigned long c_cb1(unsigned long n);

#endif
