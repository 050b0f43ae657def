#ifndef MILLRACE_KERNELS_CPU_FLUSH_H
#define MILLRACE_KERNELS_CPU_FLUSH_H

/*
 * Subnormal numbers as zeros, in and out, for the calling thread. The tile unit (AMX) knows no other way: it
 * treats subnormal inputs as zeros and writes zeros for subnormal results, whatever the thread's mode is. So
 * in bf16 and int8 all instruction sets compute like that (MXCSR's DAZ and FTZ, FPCR's FZ on Arm).
 */
#if defined(__x86_64__)
#include <xmmintrin.h>

enum { FLUSH_BITS = 0x8040 }; /* flush to zero, denormals are zeros */

static inline unsigned long flush_begin(void)
{
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | FLUSH_BITS);
    return before;
}
static inline void flush_end(unsigned long before)
{
    _mm_setcsr((unsigned)before);
}
#elif defined(__aarch64__)
static inline unsigned long flush_begin(void)
{
    unsigned long before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" ::"r"(before | 1ul << 24));
    return before;
}
static inline void flush_end(unsigned long before)
{
    __asm__ volatile("msr fpcr, %0" ::"r"(before));
}
#else
#error "say here how this processor flushes subnormal numbers to zero"
#endif

#endif
