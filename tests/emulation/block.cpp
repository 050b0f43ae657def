#include "tests/emulation/block.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <memory>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/emulation/fiber.h"
#include "tests/emulation/shared_region.h"
#include "tests/emulation/state.h"

namespace emulation
{
thread *current;
dim3 block_index, block_size, grid_size;

namespace
{
stacks fiber_stacks;
std::unique_ptr<thread[]> threads; /* [max_threads], allocated with the first kernel */
warp warps[max_threads / warp_size];
int n_threads, n_warps, n_done, n_at_barrier;
bool failed;
void *host_stack; /* of the caller of run_grid */
const grid *running;

warp &own_warp()
{
    return warps[current->number / warp_size];
}

unsigned lane_bit(const thread &thread)
{
    return 1u << thread.number % warp_size;
}

/* The next lane of the warp that can run, after `lane` in the order that tests ask for; -1: none. */
int next_lane(const warp &warp, int lane)
{
    if (warp.ready == 0)
        return -1;
    if (order_is_backward) {
        unsigned below = lane == 0 ? 0 : warp.ready & (0xffffffffu >> (warp_size - lane));
        return 31 - __builtin_clz(below != 0 ? below : warp.ready);
    }
    unsigned above = lane >= 31 ? 0 : warp.ready & (0xffffffffu << (lane + 1));
    return __builtin_ctz(above != 0 ? above : warp.ready);
}

/* A thread that can run: of this warp, so that a warp's operation is soon complete, else of the next. */
thread *next_ready()
{
    int own = current->number / warp_size, lane = current->number % warp_size;
    for (int i = 0; i < n_warps; i++) {
        int w = (order_is_backward ? own - i + n_warps : own + i) % n_warps;
        int found = next_lane(warps[w], i == 0 ? lane : order_is_backward ? 0 : 31);
        if (found >= 0)
            return &threads[w * warp_size + found];
    }
    return nullptr;
}

[[noreturn]] void fault_stuck()
{
    for (int i = 0; i < n_threads; i++)
        if (threads[i].state == state::in_warp)
            fault("thread %d waits in an operation of its warp with mask %08x, which not all of these lanes "
                  "make",
                  i, threads[i].mask);
    for (int i = 0; i < n_threads; i++)
        if (threads[i].state == state::at_barrier)
            fault("thread %d waits at the barrier of %s:%d, which %d of %d threads do not reach", i,
                  threads[i].file, threads[i].line, n_threads - n_at_barrier, n_threads);
    fault("nobody can run");
}

void hand_over()
{
    thread *self = current, *next = next_ready();
    if (next == nullptr)
        fault_stuck();
    current = next;
    emulation_switch(&self->stack, next->stack);
}

void check_copies()
{
    if (!current->copies.empty())
        fault("a thread ends with %zu asynchronous copies that it never waited for", current->copies.size());
}

void fiber_main()
{
    running->body();
    check_copies();
    current->state = state::done;
    own_warp().ready &= ~lane_bit(*current);
    if (++n_done == n_threads)
        emulation_switch(&current->stack, host_stack);
    hand_over();
    abort(); /* nobody wakes a thread that is done */
}

void start_thread(int i)
{
    thread &thread = threads[i];
    unsigned x = block_size.x, y = block_size.y;
    thread.index = {i % x, i / x % y, i / (x * y)};
    thread.number = i;
    thread.state = state::ready;
    thread.copies.clear();
    thread.n_groups = 0;
    thread.stack = fiber_start(fiber_stacks.get(i), stacks::size, fiber_main);
}

bool run_block()
{
    n_done = n_at_barrier = 0;
    for (int i = 0; i < n_threads; i++)
        start_thread(i);
    for (int w = 0; w < n_warps; w++) {
        int lanes = n_threads - w * warp_size;
        warps[w] = {lanes >= warp_size ? 0xffffffffu : (1u << lanes) - 1, 0};
    }
    shared_region_begin(running->shared_bytes);
    current = &threads[order_is_backward ? n_threads - 1 : 0];
    emulation_switch(&host_stack, current->stack);
    if (!failed && !shared_region_intact())
        note_fault("a thread wrote before the first byte of shared memory"), failed = true;
    current = nullptr;
    return !failed;
}

void name_kernel(char *text, size_t size)
{
    Dl_info info;
    int status;
    if (dladdr(running->kernel, &info) == 0 || info.dli_sname == nullptr) {
        snprintf(text, size, "kernel at %p", running->kernel);
        return;
    }
    char *name = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
    snprintf(text, size, "%s", name != nullptr ? name : info.dli_sname);
    free(name);
}
} // namespace

bool run_grid(const grid &grid)
{
    if (!threads)
        threads.reset(new thread[max_threads]());
    running = &grid;
    failed = false;
    block_size = grid.block_size, grid_size = grid.blocks;
    n_threads = (int)(block_size.x * block_size.y * block_size.z);
    n_warps = (n_threads + warp_size - 1) / warp_size;
    counters.launches++;
    signals_take();
    uint64_t n = (uint64_t)grid_size.x * grid_size.y * grid_size.z;
    for (uint64_t i = 0; i < n && !failed; i++) {
        uint64_t b = order_is_backward ? n - 1 - i : i;
        block_index = {(unsigned)(b % grid_size.x), (unsigned)(b / grid_size.x % grid_size.y),
                       (unsigned)(b / grid_size.x / grid_size.y)};
        run_block();
    }
    signals_give_back();
    running = nullptr;
    return !failed;
}

void barrier(const char *file, int line)
{
    current->file = file, current->line = line;
    if (++n_at_barrier < n_threads) {
        current->state = state::at_barrier;
        own_warp().ready &= ~lane_bit(*current);
        hand_over();
        return;
    }
    n_at_barrier = 0;
    counters.barriers++;
    for (int i = 0; i < n_threads; i++) {
        thread &thread = threads[i];
        if (thread.line != line || strcmp(thread.file, file) != 0)
            fault("thread %d waits at the barrier of %s:%d, thread %d at that of %s:%d", i, thread.file,
                  thread.line, current->number, file, line);
        thread.state = state::ready;
        warps[i / warp_size].ready |= lane_bit(thread);
    }
}

/* All lanes of the mask wait: they must have made one and the same call. */
static void perform(warp &warp)
{
    thread *lanes = &threads[current->number / warp_size * warp_size];
    void *operands[warp_size] = {};
    for (unsigned left = current->mask; left != 0; left &= left - 1) {
        thread &lane = lanes[__builtin_ctz(left)];
        if (lane.operation != current->operation || lane.mask != current->mask)
            fault("lanes %d and %d of a warp make different calls at the same time (masks %08x and %08x)",
                  lane.number % warp_size, current->number % warp_size, lane.mask, current->mask);
        operands[lane.number % warp_size] = lane.operands;
        lane.state = state::ready;
    }
    warp.waiting &= ~current->mask;
    warp.ready |= current->mask;
    current->operation(operands, current->mask);
}

void warp_call(warp_operation operation, unsigned mask, void *operands)
{
    warp &warp = own_warp();
    unsigned bit = lane_bit(*current);
    if ((mask & bit) == 0)
        fault("a lane is not in the mask %08x of its own call", mask);
    current->operation = operation, current->mask = mask, current->operands = operands;
    current->state = state::in_warp;
    warp.waiting |= bit, warp.ready &= ~bit;
    if ((warp.waiting & mask) == mask)
        perform(warp);
    else
        hand_over();
}

void fault(const char *format, ...)
{
    char what[400], name[200], text[800];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    name_kernel(name, sizeof name);
    snprintf(text, sizeof text, "%s, block (%u, %u, %u), thread %d: %s", name, block_index.x, block_index.y,
             block_index.z, current->number, what);
    note_fault(text);
    failed = true;
    void *abandoned;
    emulation_switch(&abandoned, host_stack);
    abort();
}
} // namespace emulation
