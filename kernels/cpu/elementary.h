#ifndef MILLRACE_KERNELS_CPU_ELEMENTARY_H
#define MILLRACE_KERNELS_CPU_ELEMENTARY_H

#include "kernels/cpu/simd.h"

/*
 * exp, and the functions made of it, from our own polynomial. A library's exp differs between machines, and
 * the same request must give the same bytes on all of them.
 */

/*
 * e^x within 2 ulp for -87 <= x <= 88; 0 below, e^88 (1.65e38) above; NaN stays NaN.
 * x = n ln 2 + r with |r| <= ln 2 / 2, e^x = 2^n e^r. Adding 1.5 * 2^23 rounds to an integer and leaves n in
 * the low bits. ln 2 is subtracted in two parts (Cody and Waite). e^r: Taylor's series to r^7, whose rest is
 * below 5.3e-9 there; the argument of min and of the comparison stands where a NaN comes through.
 */
static inline struct vf vf_exp(struct vf x)
{
    const struct vf magic = vf_all(0x1.8p23f);
    struct vf bounded = vf_min(vf_all(88.0f), x);
    struct vf shifted = vf_fma(bounded, vf_all(0x1.715476p0f), magic); /* 1 / ln 2 */
    struct vf n = vf_sub(shifted, magic);
    struct vf r = vf_fma(n, vf_all(-0x1.62e4p-1f), bounded);
    r = vf_fma(n, vf_all(-0x1.7f7d1cp-20f), r);
    struct vf p = vf_all(1.0f / 5040);
    p = vf_fma(p, r, vf_all(1.0f / 720));
    p = vf_fma(p, r, vf_all(1.0f / 120));
    p = vf_fma(p, r, vf_all(1.0f / 24));
    p = vf_fma(p, r, vf_all(1.0f / 6));
    p = vf_fma(p, r, vf_all(0.5f));
    p = vf_fma(p, r, vf_all(1.0f));
    p = vf_fma(p, r, vf_all(1.0f));
    p = vf_mul(p, vf_bits_to_power(shifted));
    return vf_if_less(x, vf_all(-87.0f), vf_all(0.0f), p);
}

/* x / (1 + e^-x) */
static inline struct vf vf_silu(struct vf x)
{
    struct vf e = vf_exp(vf_sub(vf_all(0.0f), x));
    return vf_div(x, vf_add(vf_all(1.0f), e));
}

/* 0.5 x (1 + tanh u), u = √(2/π) (x + 0.044715 x³) (Hendrycks and Gimpel, arXiv 1606.08415),
 * in the form x / (1 + e^-2u), which loses no digits where tanh is near -1. */
static inline struct vf vf_gelu_tanh(struct vf x)
{
    const struct vf minus_two_root = vf_all(-1.5957691216057308f);
    struct vf cubic = vf_fma(vf_mul(x, x), vf_all(0.044715f), vf_all(1.0f));
    struct vf e = vf_exp(vf_mul(minus_two_root, vf_mul(x, cubic)));
    return vf_div(x, vf_add(vf_all(1.0f), e));
}

#endif
