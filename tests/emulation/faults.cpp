#include "tests/emulation/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/emulation/memory.h"
#include "tests/emulation/runtime.h"
#include "tests/emulation/state.h"

namespace emulation
{
bool order_is_backward;
emulation_counters counters;
cudaError_t lasting_error, last_error;

namespace
{
std::recursive_mutex everything;
char first_fault[800];
struct {
    char call[64];
    int left; /* calls until it fails; 0: none does */
    cudaError_t error;
} failure;

bool read_environment()
{
    int error = 0;
    const char *text = getenv("MILLRACE_EMULATED_FAILURE"), *order = getenv("MILLRACE_EMULATED_ORDER");
    order_is_backward = order != nullptr && strcmp(order, "backward") == 0;
    if (text != nullptr && sscanf(text, "%63[^:]:%d:%d", failure.call, &failure.left, &error) != 3)
        fprintf(stderr, "emulation: MILLRACE_EMULATED_FAILURE=%s is not call:number:error\n", text);
    failure.error = (cudaError_t)error;
    return true;
}

bool is_lasting(cudaError_t error)
{
    return error >= cudaErrorIllegalAddress && error != cudaErrorLaunchOutOfResources &&
           error != cudaErrorPeerAccessAlreadyEnabled && error < cudaErrorNotSupported;
}

cudaError_t failure_of(const char *name)
{
    static const bool read = read_environment();
    (void)read;
    if (failure.left == 0 || strcmp(failure.call, name) != 0 || --failure.left > 0)
        return cudaSuccess;
    if (is_lasting(failure.error))
        lasting_error = failure.error;
    return failure.error;
}
} // namespace

void note_fault(const char *text)
{
    fprintf(stderr, "emulation: %s\n", text);
    if (first_fault[0] == '\0')
        snprintf(first_fault, sizeof first_fault, "%s", text);
}

/* A child made by fork has its parent's memory but no connection to the driver (CUDA C++ Programming Guide,
 * "Initialization"): CUDA refuses it. */
static bool is_forked_child()
{
    static const pid_t first_caller = getpid();
    return getpid() != first_caller;
}

call::call(const char *name) : lock(everything), error(failure_of(name))
{
    if (is_forked_child())
        error = cudaErrorInitializationError;
    if (lasting_error != cudaSuccess)
        error = lasting_error;
    if (error != cudaSuccess)
        last_error = error;
}

cudaError_t call::finish(cudaError_t result)
{
    if (result != cudaSuccess && result != cudaErrorNotReady)
        last_error = result;
    return result;
}
} // namespace emulation

using namespace emulation;

extern "C" {
void emulation_fail_call(const char *name, int nth, cudaError_t error)
{
    std::lock_guard<std::recursive_mutex> lock(everything);
    snprintf(failure.call, sizeof failure.call, "%s", name != nullptr ? name : "");
    failure.left = name != nullptr ? nth : 0;
    failure.error = error;
}

const char *emulation_report(void)
{
    return first_fault;
}

void emulation_reset(void)
{
    std::lock_guard<std::recursive_mutex> lock(everything);
    first_fault[0] = '\0';
    failure.left = 0;
    lasting_error = last_error = cudaSuccess;
    counters = {};
}

void emulation_set_order(int backward)
{
    order_is_backward = backward != 0;
}

void emulation_set_memory(size_t size_bytes)
{
    memory_limit() = size_bytes;
}

struct emulation_counters emulation_counters_get(void)
{
    return counters;
}

cudaError_t cudaGetLastError(void)
{
    std::lock_guard<std::recursive_mutex> lock(everything);
    cudaError_t error = last_error;
    last_error = lasting_error;
    return error;
}

cudaError_t cudaPeekAtLastError(void)
{
    return last_error;
}
}
