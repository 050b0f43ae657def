#ifndef MILLRACE_COMMON_FILE_LOCK_H
#define MILLRACE_COMMON_FILE_LOCK_H

#include "common/status.h"

/*
 * One writer at a time. The lock is that of a directory (flock): it leaves no file behind, and it outlives
 * the files that are renamed in it. It holds between the processes of one machine. It ends with the process
 * at the latest.
 */
struct file_lock {
    int directory;
};

/* Waits for the directory of the file that `path` names, through links. For read, change, write. */
enum status file_lock_wait(const char *path, struct file_lock *lock, struct error *error);
/* Takes a directory itself. ALREADY_EXISTS: another process holds it. */
enum status directory_lock_try(const char *directory, struct file_lock *lock, struct error *error);
void file_lock_release(struct file_lock *lock);

#endif
