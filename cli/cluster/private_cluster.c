#include "cli/cluster/private_cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cli/terminal/interrupt.h"
#include "common/launcher.h"
#include "common/program.h"

enum { START_TIMEOUT_S = 60, LOOK_EVERY_MS = 50, STOP_GRACE_MS = 5000, LOG_SHOWN_BYTES = 2000 };

/* Settings of certificates, tokens, a port and a file in our environment are for clusters that stay. */
static char **create_environment(void)
{
    static const char *const without[] = {"MILLRACE_TLS_",     "MILLRACE_TOKEN",       "MILLRACE_HTTP",
                                          "MILLRACE_METRICS=", "MILLRACE_READY_FILE=", NULL};
    return launcher_environment_create(without, NULL);
}

static enum status launch(struct private_cluster *cluster, const char *program, const char *model_directory,
                          int64_t n_ranks, int ready_fd, struct error *error)
{
    char ranks[24], ready[24];
    snprintf(ranks, sizeof ranks, "%lld", (long long)n_ranks);
    snprintf(ready, sizeof ready, "%d", ready_fd);
    const char *const argv[] = {program, "--listen", "127.0.0.1:0",   "--spawn",    "1",   "--ranks",
                                ranks,   "--model",  model_directory, "--ready-fd", ready, NULL};
    char **environment = create_environment();
    if (!environment)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to start %s", program);
    const struct process_options options = {.arguments = (char *const *)(uintptr_t)argv,
                                            .environment = environment,
                                            .output = cluster->log,
                                            .errors = cluster->log,
                                            .kept = ready_fd};
    enum status status = process_start(&options, &cluster->coordinator, error);
    launcher_environment_free(environment);
    return status;
}

/* Reads what has come of the line "ADDRESS\n". True: it is whole. */
static bool read_address(struct private_cluster *cluster, int ready, size_t *n_read)
{
    ssize_t size = read(ready, cluster->address + *n_read, sizeof cluster->address - 1 - *n_read);
    if (size > 0)
        *n_read += (size_t)size;
    cluster->address[*n_read] = '\0';
    char *end = strchr(cluster->address, '\n');
    if (end)
        *end = '\0';
    return end != NULL;
}

static enum status wait_until_ready(struct private_cluster *cluster, int ready, struct error *error)
{
    size_t n_read = 0;
    int code = 0;
    for (int waited_ms = 0; waited_ms < START_TIMEOUT_S * 1000; waited_ms += LOOK_EVERY_MS) {
        struct pollfd input = {.fd = ready, .events = POLLIN};
        if (interrupt_taken())
            return error_set(error, STATUS_CANCELLED, "interrupted");
        if (poll(&input, 1, LOOK_EVERY_MS) > 0 && (input.revents & POLLIN) &&
            read_address(cluster, ready, &n_read))
            return STATUS_OK;
        if (process_wait(&cluster->coordinator, input.revents & POLLHUP ? LOOK_EVERY_MS : 0, &code))
            return error_set(error, STATUS_FAILED_PRECONDITION,
                             "the cluster for this command did not start (exit code %d)", code);
    }
    return error_set(error, STATUS_DEADLINE_EXCEEDED, "the cluster for this command did not start in %d s",
                     START_TIMEOUT_S);
}

enum status private_cluster_start(struct private_cluster *cluster, const char *model_directory,
                                  int64_t n_ranks, struct error *error)
{
    char program[PATH_MAX];
    int ready[2];
    *cluster = PRIVATE_CLUSTER_NONE;
    enum status status = program_beside("millrace-coordinator", program, sizeof program, error);
    if (status != STATUS_OK)
        return status;
    cluster->log = memfd_create("millrace-log", MFD_CLOEXEC);
    if (cluster->log < 0 || pipe2(ready, O_CLOEXEC) != 0) {
        private_cluster_stop(cluster);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no files to start a cluster with: %s",
                         strerror(errno));
    }
    status = launch(cluster, program, model_directory, n_ranks, ready[1], error);
    close(ready[1]);
    if (status == STATUS_OK)
        status = wait_until_ready(cluster, ready[0], error);
    close(ready[0]);
    if (status != STATUS_OK) {
        process_stop(&cluster->coordinator, STOP_GRACE_MS);
        if (status != STATUS_CANCELLED)
            private_cluster_show_log(cluster);
        private_cluster_stop(cluster);
    }
    return status;
}

void private_cluster_stop(struct private_cluster *cluster)
{
    process_stop(&cluster->coordinator, STOP_GRACE_MS);
    if (cluster->log >= 0)
        close(cluster->log);
    *cluster = PRIVATE_CLUSTER_NONE;
}

void private_cluster_show_log(const struct private_cluster *cluster)
{
    char text[LOG_SHOWN_BYTES + 1];
    off_t size = cluster->log >= 0 ? lseek(cluster->log, 0, SEEK_END) : 0;
    off_t from = size > LOG_SHOWN_BYTES ? size - LOG_SHOWN_BYTES : 0;
    ssize_t n = size > 0 ? pread(cluster->log, text, LOG_SHOWN_BYTES, from) : 0;
    if (n <= 0)
        return;
    text[n] = '\0';
    char *line = from > 0 && strchr(text, '\n') ? strchr(text, '\n') + 1 : text;
    for (char *rest = line; (line = strsep(&rest, "\n")) != NULL;)
        fprintf(stderr, *line ? "  | %s\n" : "%s", line);
}
