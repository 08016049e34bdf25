/* SPDX-License-Identifier: Apache-2.0 */
#include "distributions.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

enum { STEPS = 20000 }; /* an argument of a million takes some thousand */

static double not_zero(double v)
{
	return fabs(v) < DBL_MIN / DBL_EPSILON ? DBL_MIN / DBL_EPSILON : v;
}

static bool settled(double factor)
{
	return fabs(factor - 1) < DBL_EPSILON;
}

/*
 * log(gamma(a)) - a log(a) + a: the rest without the large terms, by Stirling's series, so that
 * they needn't cancel.
 */
static double stirling(double a)
{
	double i = 1 / a, s = i * i;

	if (a < 16)
		return lgamma(a) - a * log(a) + a;
	return 0.5 * log(2 * M_PI / a) +
	       i * (1.0 / 12 - s * (1.0 / 360 - s * (1.0 / 1260 - s * (1.0 / 1680 - s / 1188))));
}

/* x - log(1 + x), also for small x; `one` is 1 + x, as exact as it is known. */
static double log_rest(double x, double one)
{
	double term = x * x, sum = 0;

	if (fabs(x) > 0.1)
		return x - log(one);
	for (int k = 2; k < 40; k++) {
		sum += (k % 2 ? -term : term) / k;
		term *= x;
	}
	return sum;
}

/* --- gamma ----------------------------------------------------------------------- */

/* x^a e^-x / gamma(a) */
static double gamma_front(double a, double x)
{
	return exp(-a * log_rest((x - a) / a, x / a) - stirling(a));
}

static double gamma_series(double a, double x)
{
	double term = 1 / a, sum = term;

	for (int k = 1; k < STEPS && term > sum * DBL_EPSILON; k++) {
		term *= x / (a + k);
		sum += term;
	}
	return sum * gamma_front(a, x);
}

static double gamma_fraction(double a, double x)
{
	double b = x + 1 - a, c = 1 / DBL_MIN, d = 1 / not_zero(b), h = d;

	for (int k = 1; k < STEPS; k++) {
		double an = -k * (k - a), factor;

		b += 2;
		d = 1 / not_zero(an * d + b);
		c = not_zero(b + an / c);
		factor = c * d;
		h *= factor;
		if (settled(factor))
			break;
	}
	return h * gamma_front(a, x);
}

double pp_gamma_below(double a, double x)
{
	if (x <= 0)
		return 0;
	return x < a + 1 ? gamma_series(a, x) : 1 - gamma_fraction(a, x);
}

double pp_gamma_above(double a, double x)
{
	if (x <= 0)
		return 1;
	return x < a + 1 ? 1 - gamma_series(a, x) : gamma_fraction(a, x);
}

/* --- beta ------------------------------------------------------------------------ */

/*
 * x^a y^b / B(a, b), y = 1 - x. With the mode m = a / (a + b) the powers are those at the mode,
 * which cancel with the gammas' large terms, and how far x is from it.
 */
static double beta_front(double a, double b, double x, double y)
{
	double n = a + b, dx = (x * b - y * a) / a, dy = (y * a - x * b) / b;

	return exp(-a * log_rest(dx, x * n / a) - b * log_rest(dy, y * n / b) - stirling(a) -
		   stirling(b) + stirling(n));
}

static double beta_fraction(double a, double b, double x)
{
	double c = 1, d = 1 / not_zero(1 - (a + b) * x / (a + 1)), h = d;

	for (int m = 1; m < STEPS; m++) {
		double m2 = 2.0 * m, even = m * (b - m) * x / ((a + m2 - 1) * (a + m2));
		double odd = -(a + m) * (a + b + m) * x / ((a + m2) * (a + m2 + 1)), factor;

		d = 1 / not_zero(1 + even * d);
		c = not_zero(1 + even / c);
		h *= c * d;
		d = 1 / not_zero(1 + odd * d);
		c = not_zero(1 + odd / c);
		factor = c * d;
		h *= factor;
		if (settled(factor))
			break;
	}
	return h;
}

/* y = 1 - x, given as it may be known better than that. */
static double beta_xy(double a, double b, double x, double y)
{
	if (x <= 0 || y <= 0)
		return x <= 0 ? 0 : 1;
	if (x < (a + 1) / (a + b + 2))
		return beta_front(a, b, x, y) * beta_fraction(a, b, x) / a;
	return 1 - beta_front(b, a, y, x) * beta_fraction(b, a, y) / b;
}

double pp_beta_below(double a, double b, double x)
{
	return beta_xy(a, b, x, 1 - x);
}

/* --- Student's t ----------------------------------------------------------------- */

double pp_t_above(double t, double df)
{
	double s = t * t, tail;

	if (isinf(s))
		return t > 0 ? 0 : 1;
	tail = beta_xy(df / 2, 0.5, df / (df + s), s / (df + s)) / 2;
	return t > 0 ? tail : 1 - tail;
}

/* By bisection: called a few times per comparison only. */
static double solve(double (*f)(double x, const double *arg), const double *arg, double low,
		    double high)
{
	for (int i = 0; i < 200 && low < high; i++) {
		double mid = low + (high - low) / 2;

		if (mid <= low || mid >= high)
			break;
		if (f(mid, arg) > 0)
			high = mid;
		else
			low = mid;
	}
	return low + (high - low) / 2;
}

static double t_miss(double t, const double *arg)
{
	return arg[0] - pp_t_above(t, arg[1]);
}

double pp_t_quantile(double p, double df)
{
	double arg[] = {p < 0.5 ? p : 1 - p, df}, high = 2, t;

	if (p == 0.5)
		return 0;
	while (pp_t_above(high, df) > arg[0] && high < 1e300)
		high *= 2;
	t = solve(t_miss, arg, 0, high);
	return p < 0.5 ? t : -t;
}

static double poisson_miss(double mean, const double *arg)
{
	return pp_gamma_below(arg[0], mean) - arg[1];
}

double pp_poisson_lower(double n, double p)
{
	double arg[] = {n, p};

	return n > 0 ? solve(poisson_miss, arg, 0, n * 2 + 10) : 0;
}
