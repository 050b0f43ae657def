#ifndef MILLRACE_TESTS_EMULATION_SHARED_REGION_H
#define MILLRACE_TESTS_EMULATION_SHARED_REGION_H

#include <stddef.h>

/*
 * Dynamic shared memory of the running block: it ends at a page that cannot be touched (to 16 bytes), so a
 * read or write beyond it is a signal, which becomes a fault of the kernel. It starts filled with NaN: what
 * was never written shows. So do other wild addresses of a kernel.
 */
namespace emulation
{
void shared_region_begin(size_t size_bytes);
bool shared_region_intact(); /* the bytes just before it */
void signals_take();         /* around the run of a grid */
void signals_give_back();
} // namespace emulation

#endif
