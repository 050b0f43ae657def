#include "bench/load/cpu.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

double cpu_seconds(pid_t pid)
{
    char path[64], line[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    size_t n = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[n] = '\0';
    const char *after_name = strrchr(line, ')'); /* proc(5): utime and stime are the fields 14 and 15 */
    if (!after_name ||
        sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return 0;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

double cpu_seconds_of_children(pid_t pid)
{
    char path[64];
    double seconds = 0;
    int child;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *children = fopen(path, "re");
    while (children && fscanf(children, "%d", &child) == 1)
        seconds += cpu_seconds(child) + cpu_seconds_of_children(child);
    if (children)
        fclose(children);
    return seconds;
}
