#include "worker/collective/shared_block.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

/* Where the others find rank 0's file. The number also stands at the file's begin, in the HEAD_BYTES before
 * what the ranks share: a process of that id may be another one where ranks have process ids of their own. */
enum { HEAD_BYTES = 64 };

struct place {
    int64_t process, descriptor;
    uint64_t number;
};

static enum status map(struct shared_block *block, int descriptor, struct error *error)
{
    char *map = mmap(NULL, HEAD_BYTES + block->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (map == MAP_FAILED)
        return error_set(error, STATUS_UNAVAILABLE, "cannot map shared memory of %zu bytes: %s",
                         block->size_bytes, strerror(errno));
    block->memory = map + HEAD_BYTES;
    return STATUS_OK;
}

/* *descriptor stays open until the others have opened the file. */
static enum status create(struct shared_block *block, struct place *place, int *descriptor,
                          struct error *error)
{
    *descriptor = memfd_create("millrace-ranks", MFD_CLOEXEC);
    if (*descriptor < 0 || ftruncate(*descriptor, HEAD_BYTES + (off_t)block->size_bytes) ||
        getrandom(&place->number, sizeof place->number, 0) != sizeof place->number)
        return error_set(error, STATUS_UNAVAILABLE, "cannot make shared memory of %zu bytes: %s",
                         block->size_bytes, strerror(errno));
    place->process = getpid();
    place->descriptor = *descriptor;
    if (pwrite(*descriptor, &place->number, sizeof place->number, 0) != sizeof place->number)
        return error_set(error, STATUS_UNAVAILABLE, "cannot write to shared memory: %s", strerror(errno));
    return map(block, *descriptor, error);
}

static enum status open_of_rank_0(struct shared_block *block, const struct place *place, int *descriptor,
                                  struct error *error)
{
    char path[64];
    uint64_t number = 0;
    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)place->process,
             (long long)place->descriptor);
    *descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (*descriptor < 0)
        return error_set(error, STATUS_UNAVAILABLE, "cannot open rank 0's shared memory at %s: %s", path,
                         strerror(errno));
    if (pread(*descriptor, &number, sizeof number, 0) != sizeof number || number != place->number)
        return error_set(error, STATUS_UNAVAILABLE, "%s is not rank 0's shared memory: another container?",
                         path);
    return map(block, *descriptor, error);
}

enum status shared_block_open(struct shared_block *block, struct collective *base, size_t size_bytes,
                              struct error *error)
{
    struct place place = {0};
    int descriptor = -1;
    enum status status = STATUS_OK;
    *block = (struct shared_block){.size_bytes = size_bytes};
    if (base->rank == 0)
        status = create(block, &place, &descriptor, error);
    base->table->broadcast(base, &place, sizeof place);
    if (base->rank > 0)
        status = place.process ? open_of_rank_0(block, &place, &descriptor, error)
                               : STATUS_OK; /* rank 0 has failed, and says why */
    status = collective_agree(base, status, error);
    if (descriptor >= 0)
        close(descriptor);
    if (status != STATUS_OK)
        shared_block_close(block);
    return status;
}

void shared_block_close(struct shared_block *block)
{
    if (block->memory)
        munmap((char *)block->memory - HEAD_BYTES, HEAD_BYTES + block->size_bytes);
    *block = (struct shared_block){0};
}
