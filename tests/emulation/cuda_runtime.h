#ifndef MILLRACE_TESTS_EMULATION_CUDA_RUNTIME_H
#define MILLRACE_TESTS_EMULATION_CUDA_RUNTIME_H

/*
 * Stands in for CUDA's header of this name where the backend's own .c and .cu files are compiled for the
 * emulator (README.md). C sees the runtime calls, C++ also the language of kernels.
 */
#include "tests/emulation/runtime_api.h"
#ifdef __cplusplus
#include "tests/emulation/device_language.h"
#endif

#endif
