#ifndef MILLRACE_TESTS_EMULATION_COPY_H
#define MILLRACE_TESTS_EMULATION_COPY_H

/*
 * cp.async: the 16 bytes arrive when the thread waits for the group they belong to, not before; until then
 * the place holds NaN. So a missing wait shows as NaN, and one that never comes as a fault at the thread's
 * end.
 */
namespace emulation
{
void copy_begin(void *shared, const void *global, int size_bytes);
void copy_commit();
void copy_wait(int groups_left); /* until at most so many of the latest groups are under way */
} // namespace emulation

#endif
