#include "coordinator/supervision/devices.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/launcher.h"
#include "common/log.h"
#include "common/process.h"

/* CUDA on a large machine that nobody has used since it started takes seconds to begin. */
enum { PATIENCE_MS = 60000, GRACE_MS = 1000 };

static bool may_have_gpus(const char *backend)
{
    return strcmp(backend, "cpu") != 0 && (access("/dev/nvidiactl", F_OK) == 0 ||
                                           access("/dev/dxg", F_OK) == 0 || getenv("MILLRACE_CUDA_MODULE"));
}

/* "cuda 8" */
static int read_answer(int from)
{
    char text[64];
    int n = 0;
    ssize_t size = read(from, text, sizeof text - 1);
    text[size > 0 ? size : 0] = '\0';
    return sscanf(text, "cuda %d", &n) == 1 && n > 0 ? n : 0;
}

static int ask(const char *worker, const char *backend, const int ends[2], char **environment)
{
    struct process process;
    struct error error;
    const char *const arguments[] = {worker, "--devices", "--backend", backend, NULL};
    const struct process_options options = {.arguments = (char *const *)(uintptr_t)arguments,
                                            .environment = environment,
                                            .output = ends[1],
                                            .errors = -1,
                                            .kept = -1};
    int code = -1;
    if (process_start(&options, &process, &error) != STATUS_OK) {
        log_warning("GPUs are not counted: %s", error.text);
        return 0;
    }
    if (!process_wait(&process, PATIENCE_MS, &code)) {
        log_warning("GPUs are not counted: %s --devices has not answered in %d s", worker,
                    PATIENCE_MS / 1000);
        process_stop(&process, GRACE_MS);
    }
    return code == 0 ? read_answer(ends[0]) : 0;
}

int devices_count(const char *worker, const char *backend)
{
    int ends[2], n = 0;
    if (!may_have_gpus(backend) || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return 0;
    char **environment = launcher_environment_create(NULL, NULL);
    if (environment)
        n = ask(worker, backend, ends, environment);
    launcher_environment_free(environment);
    close(ends[0]);
    close(ends[1]);
    return n;
}
