#ifndef MILLRACE_COMMON_FILE_STAMP_H
#define MILLRACE_COMMON_FILE_STAMP_H

#include <stdbool.h>
#include <time.h>

/* What of a file changes when its content does: which file it is (links are followed, so that a directory of
 * links that is switched over counts), its size and its times. */
struct file_stamp {
    bool exists;
    unsigned long long device, inode, size_bytes;
    struct timespec modified, changed;
};

struct file_stamp file_stamp_of(const char *path);
bool file_stamp_equal(const struct file_stamp *left, const struct file_stamp *right);

#endif
