#include "common/owned_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* -1: it is another user's, or in use. */
static int open_locked(const char *path)
{
    struct stat found;
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor >= 0 && !fstat(descriptor, &found) && found.st_uid == geteuid() &&
        !flock(descriptor, LOCK_EX | LOCK_NB))
        return descriptor;
    if (descriptor >= 0)
        close(descriptor);
    return -1;
}

bool owned_directory_make(struct owned_directory *directory, const char *parent, const char *name)
{
    int size =
        snprintf(directory->path, sizeof directory->path, "%s/millrace-%d-%s", parent, (int)getpid(), name);
    directory->lock = -1;
    if (size < (int)sizeof directory->path && !mkdir(directory->path, 0700))
        directory->lock = open_locked(directory->path);
    if (directory->lock < 0)
        directory->path[0] = '\0';
    return directory->lock >= 0;
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

void owned_directory_remove(struct owned_directory *directory)
{
    if (*directory->path)
        remove_tree(directory->path, directory->lock);
    directory->path[0] = '\0';
}

void owned_directory_sweep(const char *parent)
{
    DIR *all = opendir(parent);
    const struct dirent *entry;
    while (all && (entry = readdir(all))) {
        char path[512];
        int owner, descriptor;
        if (sscanf(entry->d_name, "millrace-%d-", &owner) != 1 ||
            snprintf(path, sizeof path, "%s/%s", parent, entry->d_name) >= (int)sizeof path)
            continue;
        descriptor = open_locked(path);
        if (descriptor >= 0)
            remove_tree(path, descriptor);
    }
    if (all)
        closedir(all);
}
