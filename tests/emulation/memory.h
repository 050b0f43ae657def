#ifndef MILLRACE_TESTS_EMULATION_MEMORY_H
#define MILLRACE_TESTS_EMULATION_MEMORY_H

#include <stddef.h>

namespace emulation
{
size_t &memory_limit(); /* bytes of the emulated GPU */
size_t memory_used();
} // namespace emulation

#endif
