/* SPDX-License-Identifier: Apache-2.0 */
/* The weights of samples of threads that inherited one of many periods. */
#include <stddef.h>
#include <stdint.h>

#include "perf_parts.h"
#include "unit_test.h"

enum { FROM = 50000, TO = 2500000, STEP = 50 };

/* What the samples of a thread that lives for `life` stand for, on the average over all periods. */
static double weighed(uint64_t life)
{
	double sum = 0;
	uint64_t n = 0;

	for (uint64_t period = FROM + STEP / 2; period < TO; period += STEP, n++)
		for (uint64_t i = 1; i * period <= life; i++)
			sum += (double)prowl_perf_spread_weight(FROM, TO, period, i);
	return sum / (double)n;
}

/* But for the first part, which is shorter than every period, it is the time that they lived. */
TEST(test_mean)
{
	for (uint64_t life = 20000; life < 40000000; life += life / 7) {
		double want = life > FROM ? (double)(life - FROM) : 0, mean = weighed(life);

		assert_true(mean >= want * 0.995 - STEP && mean <= want * 1.005 + STEP);
	}
}

/* Of a thread that lives for long, each sample stands for a period. */
TEST(test_long)
{
	assert_int_equal(prowl_perf_spread_weight(FROM, TO, 100000, 100000), 100000);
	assert_in_range(prowl_perf_spread_weight(FROM, TO, TO, 50), 0.97 * TO, 1.03 * TO);
}
