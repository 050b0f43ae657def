#include "tests/emulation/copy.h"

#include <string.h>

#include "tests/emulation/block.h"

namespace emulation
{
void copy_begin(void *shared, const void *global, int size_bytes)
{
    check_shared(shared, 16, "cp.async");
    if (size_bytes < 0 || size_bytes > 16)
        fault("cp.async of %d bytes; at most 16", size_bytes);
    if ((uintptr_t)global % 16 != 0)
        fault("cp.async from address %p, which is no multiple of 16", global);
    memset(shared, 0xff, 16);
    current->copies.push_back({shared, global, size_bytes, current->n_groups});
}

void copy_commit()
{
    current->n_groups++;
}

void copy_wait(int groups_left)
{
    std::vector<pending_copy> &copies = current->copies;
    size_t done = 0;
    for (; done < copies.size() && copies[done].group < current->n_groups - groups_left; done++) {
        const pending_copy &copy = copies[done];
        memset(copy.to, 0, 16);
        if (copy.size_bytes > 0)
            memcpy(copy.to, copy.from, (size_t)copy.size_bytes);
    }
    copies.erase(copies.begin(), copies.begin() + (long)done);
}
} // namespace emulation
