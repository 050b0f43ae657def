#include "common/machine/host_memory.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* One number in a file; "max", or no such file: SIZE_MAX. */
static size_t read_limit(const char *path)
{
    unsigned long long bytes;
    FILE *file = fopen(path, "re");
    if (!file)
        return SIZE_MAX;
    int n = fscanf(file, "%llu", &bytes);
    fclose(file);
    return n == 1 && bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
}

/* Of `directory`, which it shortens, and all above it up to the root. */
static size_t limit_upwards(const char *root, char *directory, const char *name)
{
    size_t limit = SIZE_MAX;
    for (;;) {
        char path[4096];
        char *slash = strrchr(directory, '/');
        if (slash && slash[1] == '\0')
            *slash = '\0'; /* the root's own name is "/" */
        if (snprintf(path, sizeof path, "%s%s/%s", root, directory, name) < (int)sizeof path)
            limit = least(limit, read_limit(path));
        slash = strrchr(directory, '/');
        if (!slash)
            return limit;
        *slash = '\0';
    }
}

/* Is "memory" one of a list "a,b,c"? */
static int lists_memory(char *controllers)
{
    char *rest = NULL;
    for (char *one = strtok_r(controllers, ",", &rest); one; one = strtok_r(NULL, ",", &rest))
        if (strcmp(one, "memory") == 0)
            return 1;
    return 0;
}

/* A line "number:controllers:directory"; version 2's has number 0 and no controllers. */
static size_t limit_of_line(char *line, const char *mount)
{
    char root[1024];
    char *controllers = strchr(line, ':'), *directory = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!directory)
        return SIZE_MAX;
    *controllers++ = '\0';
    *directory++ = '\0';
    directory[strcspn(directory, "\n")] = '\0';
    if (*controllers == '\0')
        return limit_upwards(mount, directory, "memory.max");
    snprintf(root, sizeof root, "%s/memory", mount);
    return lists_memory(controllers) ? limit_upwards(root, directory, "memory.limit_in_bytes") : SIZE_MAX;
}

size_t host_memory_limit(const char *groups, const char *mount)
{
    size_t limit = SIZE_MAX;
    char line[4096];
    FILE *file = fopen(groups, "re");
    if (!file)
        return SIZE_MAX;
    while (fgets(line, sizeof line, file))
        limit = least(limit, limit_of_line(line, mount));
    fclose(file);
    return limit;
}

size_t host_memory_bytes(void)
{
    size_t physical = (size_t)sysconf(_SC_PAGESIZE) * (size_t)sysconf(_SC_PHYS_PAGES);
    return least(physical, host_memory_limit("/proc/self/cgroup", "/sys/fs/cgroup"));
}
