#include "common/machine/control_groups.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

const struct control_groups control_groups_here = {.list = "/proc/self/cgroup", .mount = "/sys/fs/cgroup"};

/* One kind of limit, as a directory of each version shows it; INFINITY: none. */
struct limit {
    const char *controller; /* its name in version 1 */
    double (*version1)(const char *directory);
    double (*version2)(const char *directory);
};

/* The one or two numbers in a file; returns how many there are. "max" is no number. */
static int read_numbers(const char *directory, const char *name, long long numbers[2])
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    int n = fscanf(file, "%lld %lld", &numbers[0], &numbers[1]);
    fclose(file);
    return n;
}

static double read_bytes(const char *directory, const char *name)
{
    long long numbers[2];
    return read_numbers(directory, name, numbers) >= 1 && numbers[0] >= 0 ? (double)numbers[0] : INFINITY;
}

static double memory_of_version1(const char *directory)
{
    return read_bytes(directory, "memory.limit_in_bytes");
}

static double memory_of_version2(const char *directory)
{
    return read_bytes(directory, "memory.max");
}

static double share(long long quota_us, long long period_us)
{
    return quota_us > 0 && period_us > 0 ? (double)quota_us / (double)period_us : INFINITY;
}

static double cpu_of_version1(const char *directory)
{
    long long quota[2], period[2]; /* a quota of -1: no limit */
    bool both = read_numbers(directory, "cpu.cfs_quota_us", quota) >= 1 &&
                read_numbers(directory, "cpu.cfs_period_us", period) >= 1;
    return both ? share(quota[0], period[0]) : INFINITY;
}

static double cpu_of_version2(const char *directory)
{
    long long numbers[2];
    return read_numbers(directory, "cpu.max", numbers) == 2 ? share(numbers[0], numbers[1]) : INFINITY;
}

/* The least of `directory`, a path below `root` that this shortens, and of all above it up to the root. */
static double least_upwards(const char *root, char *directory, double (*read)(const char *))
{
    double least = INFINITY;
    for (;;) {
        char path[4096];
        char *slash = strrchr(directory, '/');
        if (slash && slash[1] == '\0')
            *slash = '\0'; /* the root's own name is "/" */
        if (snprintf(path, sizeof path, "%s%s", root, directory) < (int)sizeof path)
            least = fmin(least, read(path));
        slash = strrchr(directory, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

/* Is the controller one of a list "a,b,c"? */
static bool is_listed(const char *controller, const char *list)
{
    size_t size = strlen(controller);
    for (const char *one = list; one; one = strchr(one, ',')) {
        one += *one == ',';
        if (!strncmp(one, controller, size) && (one[size] == ',' || !one[size]))
            return true;
    }
    return false;
}

/* A line "number:controllers:directory"; that of version 2 has number 0 and no controllers. */
static double limit_of_line(const struct limit *limit, char *line, const char *mount)
{
    char root[1024];
    char *controllers = strchr(line, ':'), *directory = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!directory)
        return INFINITY;
    *controllers++ = '\0';
    *directory++ = '\0';
    directory[strcspn(directory, "\n")] = '\0';
    if (*controllers == '\0')
        return least_upwards(mount, directory, limit->version2);
    snprintf(root, sizeof root, "%s/%s", mount, limit->controller);
    return is_listed(limit->controller, controllers) ? least_upwards(root, directory, limit->version1)
                                                     : INFINITY;
}

static double least_of_lines(const struct limit *limit, const struct control_groups *groups)
{
    double least = INFINITY;
    char line[4096];
    FILE *file = fopen(groups->list, "re");
    if (!file)
        return INFINITY;
    while (fgets(line, sizeof line, file))
        least = fmin(least, limit_of_line(limit, line, groups->mount));
    fclose(file);
    return least;
}

size_t control_groups_memory_bytes(const struct control_groups *groups)
{
    static const struct limit memory = {"memory", memory_of_version1, memory_of_version2};
    double bytes = least_of_lines(&memory, groups);
    return bytes < (double)SIZE_MAX ? (size_t)bytes : SIZE_MAX;
}

double control_groups_cpu_quota(const struct control_groups *groups)
{
    static const struct limit cpu = {"cpu", cpu_of_version1, cpu_of_version2};
    return least_of_lines(&cpu, groups);
}
