#include "common/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void secure_descriptors(bool output_is_result)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) /* open takes the lowest number that is free, which is this one */
            (void)!open("/dev/null", output_is_result && fd == STDOUT_FILENO ? O_RDONLY : O_RDWR);
    }
}

/* Only async-signal-safe calls. A pipe that nobody reads says so to poll; a socket has another number. */
static void on_broken_pipe(int signal_number)
{
    int before = errno;
    struct pollfd output = {.fd = STDOUT_FILENO};
    if (poll(&output, 1, 0) == 1 && output.revents & POLLERR) {
        signal(signal_number, SIG_DFL);
        raise(signal_number); /* takes effect when this handler returns */
    }
    errno = before;
}

void program_begin(bool ends_with_reader)
{
    struct sigaction action = {.sa_handler = ends_with_reader ? on_broken_pipe : SIG_IGN,
                               .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    secure_descriptors(ends_with_reader);
    sigaction(SIGPIPE, &action, NULL);
}

enum status program_beside(const char *name, char *path, size_t size, struct error *error)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return error_set(error, STATUS_INTERNAL, "/proc/self/exe: %s", strerror(errno));
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    if ((size_t)snprintf(path, size, "%s/%s", self, name) >= size || access(path, X_OK))
        return error_set(error, STATUS_NOT_FOUND, "there is no %s in %s; build or install it there", name,
                         self);
    return STATUS_OK;
}
