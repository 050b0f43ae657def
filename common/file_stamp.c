#include "common/file_stamp.h"

#include <sys/stat.h>

struct file_stamp file_stamp_of(const char *path)
{
    struct stat found;
    if (stat(path, &found))
        return (struct file_stamp){0};
    return (struct file_stamp){.exists = true,
                               .device = found.st_dev,
                               .inode = found.st_ino,
                               .size_bytes = (unsigned long long)found.st_size,
                               .modified = found.st_mtim,
                               .changed = found.st_ctim};
}

static bool same_time(struct timespec left, struct timespec right)
{
    return left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec;
}

bool file_stamp_equal(const struct file_stamp *left, const struct file_stamp *right)
{
    return left->exists == right->exists && left->device == right->device && left->inode == right->inode &&
           left->size_bytes == right->size_bytes && same_time(left->modified, right->modified) &&
           same_time(left->changed, right->changed);
}
