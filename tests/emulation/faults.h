#ifndef MILLRACE_TESTS_EMULATION_FAULTS_H
#define MILLRACE_TESTS_EMULATION_FAULTS_H

#include "tests/emulation/runtime_api.h"

/*
 * What only tests call: failures on demand, and what the emulator has found wrong.
 *
 * The environment does the same for whole programs: MILLRACE_EMULATED_FAILURE=cudaMalloc:3:2 lets the third
 * call of cudaMalloc return error 2; MILLRACE_EMULATED_MEMORY is the device's memory in bytes (default 4
 * GiB); MILLRACE_EMULATED_ORDER=backward runs blocks, warps and lanes from the last to the first: a result
 * that changes is a race. Errors 700 and above stay, as a GPU's do: every later call returns them.
 */
#ifdef __cplusplus
extern "C" {
#endif

/* From now on the nth call (1: the next) of the runtime function or "launch" returns `error`, once. NULL:
 * none does. */
void emulation_fail_call(const char *call, int nth, cudaError_t error);
/* The first defect of a kernel since the last reset, in words; "" when none was found. */
const char *emulation_report(void);
/* Forgets failures, also those that stay. Streams must be idle. */
void emulation_reset(void);
void emulation_set_order(int backward);
void emulation_set_memory(size_t size_bytes);

/* Counters of all kernels since the last reset. */
struct emulation_counters {
    uint64_t launches, barriers, products; /* products: mma of one warp */
    uint64_t matrix_loads;                 /* 8x8 matrices loaded by ldmatrix */
    uint64_t matrix_load_conflicts;        /* of them, those whose rows share banks */
};
struct emulation_counters emulation_counters_get(void);

#ifdef __cplusplus
}
#endif

#endif
