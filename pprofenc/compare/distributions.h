/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tails of the distributions that comparisons need, and their inverses.
 *
 * The incomplete beta and gamma functions by series and continued fractions (Abramowitz and Stegun,
 * Handbook of Mathematical Functions, 6.5.29, 6.5.31, 26.5.8; the fractions evaluated by Lentz'
 * method). Relative error below 1e-9 for arguments up to a million. Pure functions.
 */
#pragma once

/* P(a, x) and Q(a, x) = 1 - P: the shares of the gamma distribution of shape a below and above x;
 * a > 0, x >= 0. */
double pp_gamma_below(double a, double x);
double pp_gamma_above(double a, double x);

/* I_x(a, b): the share of the beta distribution below x; a, b > 0, x in [0, 1]. */
double pp_beta_below(double a, double b, double x);

/* The probability that Student's t with df > 0 degrees of freedom is above t. */
double pp_t_above(double t, double df);
/* The t that is exceeded with probability p, 0 < p < 1. */
double pp_t_quantile(double p, double df);

/* The mean whose Poisson distribution gives n or more with probability p: the lower bound of a
 * count n > 0 (it may be no whole number), at confidence 1 - p. */
double pp_poisson_lower(double n, double p);
