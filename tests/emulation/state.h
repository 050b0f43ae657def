#ifndef MILLRACE_TESTS_EMULATION_STATE_H
#define MILLRACE_TESTS_EMULATION_STATE_H

#include "tests/emulation/faults.h"

/* What the files of the emulator share; guarded by the runtime's lock (runtime.h). */
namespace emulation
{
extern bool order_is_backward;
extern emulation_counters counters;
/* Keeps the first until emulation_reset, and prints it. */
void note_fault(const char *text);
} // namespace emulation

#endif
