#include "tests/emulation/fiber.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#ifndef __x86_64__
#error "the emulator's switch is written for x86-64"
#endif

__asm__(".text\n"
        ".globl emulation_switch\n"
        ".hidden emulation_switch\n"
        ".type emulation_switch, @function\n"
        "emulation_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size emulation_switch, . - emulation_switch\n");

namespace emulation
{
void *fiber_start(void *memory, size_t size, void (*entry)())
{
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(memory, size); /* of a fiber that was abandoned */
#endif
    enum { SAVED = 6 };
    uintptr_t top = ((uintptr_t)memory + size) & ~(uintptr_t)15;
    void **stack = (void **)top;
    *--stack = nullptr; /* a return address, so that the stack is aligned as after a call */
    *--stack = (void *)entry;
    for (int i = 0; i < SAVED; i++)
        *--stack = nullptr;
    return stack;
}

void *stacks::get(int i)
{
    constexpr size_t page = 4096, pitch = size + page;
    void *&slab = slabs[i / per_slab];
    if (slab == nullptr) {
        slab = mmap(nullptr, pitch * per_slab, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (slab == MAP_FAILED) {
            perror("emulation: no memory for the stacks of kernel threads");
            abort();
        }
        for (int k = 0; k < per_slab; k++)
            mprotect((char *)slab + pitch * k, page, PROT_NONE);
    }
    return (char *)slab + pitch * (i % per_slab) + page;
}
} // namespace emulation
