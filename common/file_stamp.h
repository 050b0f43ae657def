#ifndef MILLRACE_COMMON_FILE_STAMP_H
#define MILLRACE_COMMON_FILE_STAMP_H

#include <stdbool.h>
#include <time.h>

/* The facts about a file that change when its content changes: which file it is, its size and its times.
 * Links are followed, so switching a directory of links to another one is a change too. */
struct file_stamp {
    bool exists;
    unsigned long long device, inode, size_bytes;
    struct timespec modified, changed;
};

struct file_stamp file_stamp_of(const char *path);
bool file_stamp_equal(const struct file_stamp *left, const struct file_stamp *right);

#endif
