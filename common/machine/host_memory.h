#ifndef MILLRACE_COMMON_MACHINE_HOST_MEMORY_H
#define MILLRACE_COMMON_MACHINE_HOST_MEMORY_H

#include <stddef.h>

/* How many bytes of memory the machine has, or this process may take where that is less: the kernel ends a
 * process that takes more than its control groups allow. */
size_t host_memory_bytes(void);

#endif
