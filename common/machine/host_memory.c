#include "common/machine/host_memory.h"

#include <unistd.h>

#include "common/machine/control_groups.h"

size_t host_memory_bytes(void)
{
    size_t physical = (size_t)sysconf(_SC_PAGESIZE) * (size_t)sysconf(_SC_PHYS_PAGES);
    size_t limit = control_groups_memory_bytes(&control_groups_here);
    return physical < limit ? physical : limit;
}
