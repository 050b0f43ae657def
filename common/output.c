#include "common/output.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 0, or the reason. A file system of another machine tells only when a file is closed that it is full. */
static int flush(void)
{
    const bool failed_before = ferror(stdout);
    if (fflush(stdout) != 0)
        return errno;
    if (failed_before)
        return EIO;
    const int copy = dup(STDOUT_FILENO);
    return copy >= 0 && close(copy) != 0 && errno != EINTR ? errno : 0;
}

enum status output_deliver(struct error *error)
{
    const int reason = flush();
    if (reason == 0)
        return STATUS_OK;
    return error_set(error, STATUS_DATA_LOSS, "standard output cannot be written: %s", strerror(reason));
}

int output_finish(const char *program, int code)
{
    const int reason = flush();
    if (reason == 0)
        return code;
    if (reason == EPIPE) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    if (code != EXIT_SUCCESS)
        return code;
    fprintf(stderr, "%s: standard output cannot be written: %s\n", program, strerror(reason));
    return EXIT_FAILURE;
}
