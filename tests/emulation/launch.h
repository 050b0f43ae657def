#ifndef MILLRACE_TESTS_EMULATION_LAUNCH_H
#define MILLRACE_TESTS_EMULATION_LAUNCH_H

#include "tests/emulation/block.h"
#include "tests/emulation/runtime_api.h"

namespace emulation
{
/* Checks the shape against a GPU's limits and puts the kernel into the stream, or into the graph that it
 * records. */
cudaError_t enqueue_launch(const grid &grid, cudaStream_t stream);
} // namespace emulation

#endif
