#ifndef MILLRACE_BENCH_PEAK_H
#define MILLRACE_BENCH_PEAK_H

/* Runs `rounds` rounds of independent fused multiply-adds on registers alone, as wide as the machine has
 * them, and returns their floating-point operations: what no product can exceed. */
double peak_run(long rounds);

#endif
