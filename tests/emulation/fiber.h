#ifndef MILLRACE_TESTS_EMULATION_FIBER_H
#define MILLRACE_TESTS_EMULATION_FIBER_H

#include <stddef.h>

/*
 * A thread of a kernel is a fiber: a stack of its own, and a switch that saves the registers which a function
 * must keep (System V ABI, x86-64) and takes another stack. A few nanoseconds, no system call.
 */
namespace emulation
{
/* Saves this stack's pointer in *from and goes on where `to` was left. */
extern "C" void emulation_switch(void **from, void *to);

/* The pointer of a fresh stack [memory, memory + size) on which the first switch enters `entry`, which never
 * returns. */
void *fiber_start(void *memory, size_t size, void (*entry)());

/* n stacks with a page that cannot be touched below each; kept until the program ends. */
class stacks
{
  public:
    static constexpr size_t size = 128 * 1024;
    /* The stack of fiber i; grows the set as needed. */
    void *get(int i);

  private:
    static constexpr int per_slab = 128, max_slabs = 8;
    void *slabs[max_slabs] = {};
};
} // namespace emulation

#endif
