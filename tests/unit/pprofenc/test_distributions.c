/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <math.h>

#include "distributions.h"
#include "unit_test.h"

/* To 1e-9 of the value. */
#define near(got, wanted) near_at(got, wanted, __LINE__)

static void near_at(double got, long double wanted, int line)
{
	if (!(fabsl(got - wanted) <= 1e-9L * fabsl(wanted)))
		fail_msg("line %d: %.17g, not %.17Lg", line, got, wanted);
}

/*
 * Closed forms of Student's t with few degrees of freedom (Abramowitz and Stegun 26.7.3, 26.7.4),
 * with theta = atan(t / sqrt(df)).
 */
static long double t_above(long double t, int df)
{
	long double theta = atanl(t / sqrtl(df)), c = cosl(theta), term = 1, sum = 0;

	if (df % 2) {
		for (int k = 1; k <= df - 2; k += 2) {
			sum += term * c;
			term *= c * c * (k + 1) / (k + 2);
		}
		return 0.5L - (theta + sinl(theta) * sum) / M_PIl;
	}
	for (int k = 0; k <= df - 2; k += 2) {
		sum += term;
		term *= c * c * (k + 1) / (k + 2);
	}
	return 0.5L - sinl(theta) * sum / 2;
}

TEST(students_t)
{
	for (int df = 1; df <= 40; df++) {
		for (double t = 0.125; t <= 8; t += 0.125) {
			/* The closed form is a difference: it is exact to 1e-18, not to a share. */
			if (t_above(t, df) < 1e-8L)
				break;
			near(pp_t_above(t, df), t_above(t, df));
			near(pp_t_above(-t, df), 1 - t_above(t, df));
		}
	}
	near(pp_t_above(0, 7), 0.5L);
	/* Printed percentage points: Abramowitz and Stegun, table 26.10, three digits each. */
	assert_true(fabs(pp_t_quantile(0.025, 10) - 2.228) < 0.0005);
	assert_true(fabs(pp_t_quantile(0.005, 5) - 4.032) < 0.0005);
	assert_true(fabs(pp_t_quantile(0.025, 120) - 1.980) < 0.0005);
	assert_true(fabs(pp_t_quantile(0.1, 1) - 3.078) < 0.0005);
}

TEST(quantiles_invert)
{
	for (double df = 0.25; df < 1e6; df *= 3.7)
		for (double p = 1e-7; p < 1; p *= 2.3)
			near(pp_t_above(pp_t_quantile(p, df), df), p);
	assert_true(pp_t_quantile(0.5, 3) == 0);
	near(pp_t_quantile(0.9, 4), -pp_t_quantile(0.1, 4));
}

/* Of whole a: Poisson's sums. */
static long double poisson_below(int n, long double mean)
{
	long double term = expl(-mean), sum = 0;

	for (int k = 0; k < n; k++) {
		sum += term;
		term *= mean / (k + 1);
	}
	return sum;
}

TEST(gamma_distribution)
{
	for (int a = 1; a <= 200; a += 7) {
		for (double x = 0.5; x < 3 * a + 20; x *= 1.3) {
			long double above = poisson_below(a, x);

			near(pp_gamma_above(a, x), above);
			if (above < 0.9L)
				near(pp_gamma_below(a, x), 1 - above);
		}
	}
	/* One degree of freedom is the normal distribution. */
	for (double x = 0.01; x < 20; x *= 1.5)
		near(pp_gamma_above(0.5, x), erfcl(sqrtl(x)));
	near(pp_gamma_below(1e6, 1e6) + pp_gamma_above(1e6, 1e6), 1);
	assert_true(pp_gamma_below(3, 0) == 0 && pp_gamma_above(3, 0) == 1);
	/* Percentage points of χ², table 26.8: 18.307 with 10 at 0.05, 6.635 with 1 at 0.01. */
	assert_true(fabs(pp_gamma_above(5, 18.307 / 2) - 0.05) < 1e-5);
	assert_true(fabs(pp_gamma_above(0.5, 6.635 / 2) - 0.01) < 1e-5);
}

/* Of whole a and b: binomial sums. */
static long double beta_below(int a, int b, long double x)
{
	long double sum = 0, choose = 1;
	int n = a + b - 1;

	for (int k = 0; k <= n; k++) {
		if (k >= a)
			sum += choose * powl(x, k) * powl(1 - x, n - k);
		choose = choose * (n - k) / (k + 1);
	}
	return sum;
}

TEST(beta_distribution)
{
	for (int a = 1; a <= 30; a += 3)
		for (int b = 1; b <= 30; b += 4)
			for (double x = 0.05; x < 1; x += 0.05)
				near(pp_beta_below(a, b, x), beta_below(a, b, x));
	for (double x = 0.03; x < 1; x += 0.07)
		near(pp_beta_below(0.5, 0.5, x), 2 / M_PIl * asinl(sqrtl(x)));
	near(pp_beta_below(1e5, 1e5, 0.5), 0.5L);
	near(pp_beta_below(3e5, 7, 1 - 1e-5) + pp_beta_below(7, 3e5, 1e-5), 1);
	assert_true(pp_beta_below(2, 3, 0) == 0 && pp_beta_below(2, 3, 1) == 1);
}

TEST(poisson_bounds)
{
	/* That many or more, at that mean, with that probability. */
	for (int n = 1; n < 3000; n = n * 3 / 2 + 1)
		for (double p = 0.001; p < 0.6; p *= 3)
			near(1 - pp_gamma_above(n, pp_poisson_lower(n, p)), p);
	near(pp_poisson_lower(1, 0.05), -logl(0.95L));
	assert_true(pp_poisson_lower(0, 0.05) == 0);
}
