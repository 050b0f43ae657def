#include "coordinator/shm_directory.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void shm_directory_make(const char *name, char *path, size_t size)
{
    snprintf(path, size, "/dev/shm/millrace-%d-%s", (int)getpid(), name);
    if (mkdir(path, 0700))
        path[0] = '\0';
}

void shm_directory_remove(const char *path)
{
    DIR *directory = *path ? opendir(path) : NULL;
    if (!directory)
        return;
    const struct dirent *entry;
    while ((entry = readdir(directory))) /* "." and ".." cannot be unlinked */
        unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    rmdir(path);
}
