#include "coordinator/monitoring/process_usage.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void write_one(struct exposition *page, const char *name, const char *type, const char *help,
                      double value)
{
    exposition_family(page, name, type, help);
    exposition_sample(page, name, value, NULL);
}

/* Fields of proc(5)'s /proc/self/stat. */
struct stat_fields {
    unsigned long long user_ticks, system_ticks, start_ticks, virtual_bytes, resident_pages;
    long threads;
};

static bool read_stat(struct stat_fields *fields)
{
    char line[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file)
        return false;
    size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = '\0';
    const char *rest = strrchr(line, ')'); /* a program's name may hold anything */
    return rest && sscanf(rest + 1,
                          " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %ld %*d "
                          "%llu %llu %llu",
                          &fields->user_ticks, &fields->system_ticks, &fields->threads, &fields->start_ticks,
                          &fields->virtual_bytes, &fields->resident_pages) == 6;
}

/* When the machine's clock ticks began, in seconds since 1970. */
static double boot_time(void)
{
    struct timespec now, since_boot;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    return (double)(now.tv_sec - since_boot.tv_sec) + 1e-9 * (double)(now.tv_nsec - since_boot.tv_nsec);
}

static void write_stat(struct exposition *page)
{
    struct stat_fields fields;
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    if (!read_stat(&fields))
        return;
    write_one(page, "process_cpu_seconds_total", "counter", "CPU time of the coordinator, user and system.",
              (double)(fields.user_ticks + fields.system_ticks) * tick);
    write_one(page, "process_start_time_seconds", "gauge",
              "When the coordinator started, in seconds since 1970.",
              boot_time() + (double)fields.start_ticks * tick);
    write_one(page, "process_virtual_memory_bytes", "gauge", "Address space of the coordinator.",
              (double)fields.virtual_bytes);
    write_one(page, "process_resident_memory_bytes", "gauge", "Memory of the coordinator.",
              (double)fields.resident_pages * (double)sysconf(_SC_PAGESIZE));
    write_one(page, "process_threads", "gauge", "Threads of the coordinator.", (double)fields.threads);
}

static void write_descriptors(struct exposition *page)
{
    struct rlimit limit;
    DIR *directory = opendir("/proc/self/fd");
    int n = -3; /* ".", ".." and the directory itself */
    while (directory && readdir(directory))
        n++;
    if (directory) {
        closedir(directory);
        write_one(page, "process_open_fds", "gauge", "Descriptors that the coordinator has open.", n);
    }
    if (!getrlimit(RLIMIT_NOFILE, &limit))
        write_one(page, "process_max_fds", "gauge", "Descriptors that the coordinator may have open.",
                  (double)limit.rlim_cur);
}

void process_usage_write(struct exposition *page)
{
    write_stat(page);
    write_descriptors(page);
}
