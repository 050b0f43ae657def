#include "tests/emulation/shared_region.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/emulation/block.h"

namespace emulation
{
namespace
{
constexpr size_t page = 4096, area_bytes = 256 * 1024, canary_bytes = 64, poison = 0xff, canary = 0xa5;
unsigned char *area; /* [area_bytes], then a page that cannot be touched */
unsigned char *begin;
size_t size;
char signal_stack[64 * 1024];
struct sigaction former_segv, former_bus;
stack_t former_stack;

void map_area()
{
    area = (unsigned char *)mmap(nullptr, area_bytes + page, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED || mprotect(area + area_bytes, page, PROT_NONE) != 0) {
        perror("emulation: no shared memory");
        abort();
    }
}

/* The kernel is left for good from here: its fibers are abandoned, and so is this handler's stack. */
void on_signal(int, siginfo_t *info, void *)
{
    const unsigned char *address = (const unsigned char *)info->si_addr;
    if (address >= area + area_bytes && address < area + area_bytes + page)
        fault("byte %zu of %zu bytes of shared memory was read or written", (size_t)(address - begin), size);
    fault("address %p was read or written, which nobody has", info->si_addr);
}
} // namespace

void shared_region_begin(size_t size_bytes)
{
    if (area == nullptr)
        map_area();
    size = size_bytes;
    begin = area + area_bytes - (size_bytes + 15) / 16 * 16;
    memset(begin - canary_bytes, canary, canary_bytes);
    memset(begin, poison, size_bytes);
}

bool shared_region_intact()
{
    for (size_t i = 1; i <= canary_bytes; i++)
        if (begin[-(ptrdiff_t)i] != canary)
            return false;
    return true;
}

unsigned char *shared_begin()
{
    return begin;
}

void check_shared(const void *address, size_t n, const char *what)
{
    uintptr_t from = (uintptr_t)address, first = (uintptr_t)begin;
    if (from < first || from + n > first + size)
        fault("%s of %zu bytes at byte %td of %zu bytes of shared memory", what, n, (ptrdiff_t)(from - first),
              size);
    if (from % 16 != 0)
        fault("%s at byte %td of shared memory, which is no multiple of 16", what, (ptrdiff_t)(from - first));
}

void signals_take()
{
    stack_t stack = {};
    stack.ss_sp = signal_stack;
    stack.ss_size = sizeof signal_stack;
    sigaltstack(&stack, &former_stack);
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, &former_segv);
    sigaction(SIGBUS, &action, &former_bus);
}

void signals_give_back()
{
    sigaction(SIGSEGV, &former_segv, nullptr);
    sigaction(SIGBUS, &former_bus, nullptr);
    sigaltstack(&former_stack, nullptr);
}
} // namespace emulation
