#include "worker/verify/chi_square.h"

#include <math.h>

enum { LEAST_EXPECTED = 5, ITERATIONS_MAX = 10000 };

void chi_square_add(struct chi_square *chi_square, const int64_t *counts, const double *law, int n)
{
    double total = 0, mass = 0, rare_expected = 0, rare_count = 0;
    int cells = 0;
    for (int i = 0; i < n; i++) {
        total += (double)counts[i];
        mass += law[i];
    }
    for (int i = 0; i < n; i++) {
        double expected = law[i] / mass * total, count = (double)counts[i];
        if (!(law[i] > 0) && counts[i] > 0)
            chi_square->statistic = INFINITY;
        if (expected < LEAST_EXPECTED) {
            rare_expected += expected;
            rare_count += count;
            continue;
        }
        chi_square->statistic += (count - expected) * (count - expected) / expected;
        cells++;
    }
    if (rare_expected > 0) {
        chi_square->statistic += (rare_count - rare_expected) * (rare_count - rare_expected) / rare_expected;
        cells++;
    }
    chi_square->degrees += cells > 0 ? cells - 1 : 0;
}

/* P(a, x) by its series, for x < a + 1: x^a e^-x Σ x^k / (a (a+1) ... (a+k)) / Γ(a). */
static double lower_by_series(double a, double x)
{
    double term = 1 / a, sum = term;
    for (int k = 1; k < ITERATIONS_MAX && term > sum * 1e-16; k++) {
        term *= x / (a + k);
        sum += term;
    }
    return sum * exp(a * log(x) - x - lgamma(a));
}

/* Q(a, x) by its continued fraction x^a e^-x / Γ(a) · 1/(x+1-a- 1(1-a)/(x+3-a- ...)), from the front (Lentz's
 * method; DLMF 8.9.2). */
static double upper_by_fraction(double a, double x)
{
    const double tiny = 1e-300;
    double b = x + 1 - a, c = 1 / tiny, d = 1 / b, value = d;
    for (int k = 1; k < ITERATIONS_MAX; k++) {
        double numerator = -k * (k - a);
        b += 2;
        d = numerator * d + b;
        c = b + numerator / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        value *= d * c;
        if (fabs(d * c - 1) < 1e-15)
            break;
    }
    return value * exp(a * log(x) - x - lgamma(a));
}

double chi_square_p_value(const struct chi_square *chi_square)
{
    double a = chi_square->degrees / 2.0, x = chi_square->statistic / 2;
    if (!(x < INFINITY))
        return 0;
    if (chi_square->degrees == 0 || x <= 0)
        return 1;
    return x < a + 1 ? 1 - lower_by_series(a, x) : upper_by_fraction(a, x);
}
