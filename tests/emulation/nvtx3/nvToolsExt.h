#ifndef MILLRACE_TESTS_EMULATION_NVTX3_NVTOOLSEXT_H
#define MILLRACE_TESTS_EMULATION_NVTX3_NVTOOLSEXT_H

/* Stands in for NVTX: named ranges of a thread's time, for profilers (NVIDIA Tools Extension, version 3). */
#ifdef __cplusplus
extern "C" {
#endif

int nvtxRangePushA(const char *message);
int nvtxRangePop(void); /* negative: there is none to end */

/* What only tests call: how many ranges have begun, and how many of them have not ended. */
struct emulation_ranges {
    int n_begun, n_open;
};
__attribute__((visibility("default"))) struct emulation_ranges emulation_ranges_get(void);

#ifdef __cplusplus
}
#endif

#endif
