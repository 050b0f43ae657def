#ifndef MILLRACE_BENCH_PEAK_H
#define MILLRACE_BENCH_PEAK_H

/* Runs `rounds` rounds of independent fused multiply-adds on registers alone, as wide as the machine has
 * them, and returns how many floating-point operations they were. No product can exceed that rate. */
double peak_run(long rounds);

#endif
