#ifndef MILLRACE_TESTS_EMULATION_BLOCK_H
#define MILLRACE_TESTS_EMULATION_BLOCK_H

#include <functional>
#include <stdint.h>
#include <vector>

#include "tests/emulation/vectors.h"

/*
 * One block of a kernel at a time: every thread a fiber that runs until it waits (at a barrier, or in an
 * operation of its warp) and then hands over to the next that can run.
 *
 *   runs → waits at barrier [barrier]   → runs, when every thread of the block waits there
 *   runs → waits in warp    [warp_call] → runs, when every lane of the mask has made the same call
 *   runs → done; when nobody can run and somebody is not done, the block is stuck: a fault.
 *
 * One kernel runs at a time in a process (runtime's lock), so all state here is plain.
 */
namespace emulation
{
constexpr int warp_size = 32, max_threads = 1024, max_shared_bytes = 227 * 1024;

enum class state { ready, at_barrier, in_warp, done };

/* What a warp does together: called once, by the last lane that arrives, with every lane's operands. */
using warp_operation = void (*)(void *const operands[warp_size], unsigned mask);

/* A copy from global to shared memory that is under way (cp.async). */
struct pending_copy {
    void *to;
    const void *from;
    int size_bytes;
    int group; /* number of the commit that closed it */
};

struct thread {
    uint3 index;
    int number; /* in the block */
    void *stack;
    emulation::state state;
    const char *file; /* of the barrier */
    int line;
    warp_operation operation; /* of the warp's call */
    unsigned mask;
    void *operands;
    std::vector<pending_copy> copies;
    int n_groups; /* commits so far */
};

struct warp {
    unsigned ready, waiting; /* lanes */
};

struct grid {
    dim3 blocks, block_size;
    size_t shared_bytes;
    std::function<void()> body; /* the kernel with its arguments, as one thread runs it */
    const void *kernel;         /* its address, for reports */
};

/* The thread and block that run now; valid in kernels only. */
extern thread *current;
extern dim3 block_index, block_size, grid_size;

/* Runs all blocks. false: a fault was found (faults.h has the words), and the kernel was abandoned. */
bool run_grid(const grid &grid);

void barrier(const char *file, int line);
void warp_call(warp_operation operation, unsigned mask, void *operands);

/* Ends the kernel that runs: it has a defect. Does not return. */
[[noreturn]] void fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Dynamic shared memory of the block that runs. Its end meets memory that cannot be touched. */
unsigned char *shared_begin();
/* A fault unless [address, address + size) lies in the block's dynamic shared memory. */
void check_shared(const void *address, size_t size, const char *what);
} // namespace emulation

#endif
