#include "coordinator/supervision/shm_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char parent[] = "/dev/shm";

static int open_locked(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB)) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

void shm_directory_make(struct shm_directory *directory, const char *name)
{
    snprintf(directory->path, sizeof directory->path, "%s/millrace-%d-%s", parent, (int)getpid(), name);
    directory->lock = mkdir(directory->path, 0700) ? -1 : open_locked(directory->path);
    if (directory->lock < 0)
        directory->path[0] = '\0';
}

/* Takes the descriptor over. */
static void remove_tree(const char *path, int descriptor)
{
    DIR *files = fdopendir(descriptor);
    const struct dirent *entry;
    while (files && (entry = readdir(files))) /* "." and ".." cannot be unlinked */
        unlinkat(descriptor, entry->d_name, 0);
    rmdir(path);
    if (files)
        closedir(files);
    else
        close(descriptor);
}

void shm_directory_remove(struct shm_directory *directory)
{
    if (*directory->path)
        remove_tree(directory->path, directory->lock);
    directory->path[0] = '\0';
}

void shm_directory_sweep(void)
{
    DIR *all = opendir(parent);
    const struct dirent *entry;
    while (all && (entry = readdir(all))) {
        char path[sizeof parent + sizeof entry->d_name];
        int owner, descriptor;
        if (sscanf(entry->d_name, "millrace-%d-", &owner) != 1)
            continue;
        snprintf(path, sizeof path, "%s/%s", parent, entry->d_name);
        descriptor = open_locked(path);
        if (descriptor >= 0)
            remove_tree(path, descriptor);
    }
    if (all)
        closedir(all);
}
