#ifndef MILLRACE_KERNELS_CPU_PRECISE_H
#define MILLRACE_KERNELS_CPU_PRECISE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/*
 * exp and ln in double precision for the few numbers per row that decide a draw. Made of additions and
 * products only, so that every machine gets the same bits (a library picks other code on other CPUs).
 */

/* 2^n, -1022 <= n <= 1023 */
static inline double power_of_two(int n)
{
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* e^x, relative error below 1e-15, for x <= 700; 0 below -700. x = n ln 2 + r, Taylor's series of e^r to
 * r^13. */
static inline double precise_exp(double x)
{
    if (!(x >= -700))
        return x < -700 ? 0 : x; /* not a number stays what it is */
    int n = (int)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    double r = x - n * 0x1.62e42feep-1 - n * 0x1.a39ef35793c76p-33, sum = 1;
    for (int i = 13; i > 0; i--)
        sum = 1 + sum * r / i;
    return sum * power_of_two(n);
}

/* ln x, absolute error below 1e-15 (relative, for large results), for normal x > 0. x = 2^n m with √½ <= m <
 * √2; ln m = 2 artanh s, s = (m - 1) / (m + 1), |s| < 0.172: its series to s^21. */
static inline double precise_log(double x)
{
    int n;
    double m = frexp(x, &n);
    if (m < 0.70710678118654752) {
        m *= 2;
        n--;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int i = 21; i > 0; i -= 2)
        sum = sum * square + 1.0 / i;
    return n * 0.69314718055994531 + 2 * s * sum;
}

#endif
