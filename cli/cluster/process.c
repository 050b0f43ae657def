#include "cli/cluster/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/terminal/interrupt.h"

/* In the child, up to the exec; only async-signal-safe calls. Comes back when something failed. */
static void become(char *const argv[], struct process_files files, pid_t parent)
{
    setpgid(0, 0);
    interrupt_unblock();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it died before the prctl */
        return;
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0)
        return;
    if (files.output >= 0 && dup2(files.output, STDOUT_FILENO) < 0)
        return;
    if (files.errors >= 0 && dup2(files.errors, STDERR_FILENO) < 0)
        return;
    if (files.kept >= 0 && fcntl(files.kept, F_SETFD, 0) < 0)
        return;
    execvp(argv[0], argv);
}

/* The errno of a failed exec comes through a pipe that a successful one closes. */
static int read_errno(int pipe_end)
{
    int number = 0;
    while (read(pipe_end, &number, sizeof number) < 0 && errno == EINTR)
        continue;
    return number;
}

static int pidfd_of(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

enum status process_start(char *const argv[], struct process_files files, struct process *process,
                          struct error *error)
{
    int failure[2];
    pid_t parent = getpid();
    if (pipe2(failure, O_CLOEXEC) != 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no pipe to start %s: %s", argv[0],
                         strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        become(argv, files, parent);
        int number = errno;
        ssize_t written = write(failure[1], &number, sizeof number);
        _exit(written < 0 ? 126 : 127);
    }
    close(failure[1]);
    int number = pid < 0 ? errno : read_errno(failure[0]);
    close(failure[0]);
    if (pid > 0 && number)
        waitpid(pid, NULL, 0);
    if (number)
        return error_set(error, number == ENOENT ? STATUS_NOT_FOUND : STATUS_UNKNOWN, "cannot start %s: %s",
                         argv[0], strerror(number));
    setpgid(pid, pid); /* also here: whoever comes first */
    *process = (struct process){.pid = pid, .handle = pidfd_of(pid)};
    return STATUS_OK;
}

bool process_wait(struct process *process, int timeout_ms, int *code)
{
    struct pollfd end = {.fd = process->handle, .events = POLLIN};
    int status;
    if (poll(&end, 1, timeout_ms) <= 0 || waitpid(process->pid, &status, WNOHANG) != process->pid)
        return false;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    close(process->handle);
    *process = (struct process){0};
    return true;
}

void process_stop(struct process *process, int grace_ms)
{
    int code;
    if (process->pid == 0)
        return;
    kill(process->pid, SIGTERM); /* it ends its own children */
    if (process_wait(process, grace_ms, &code))
        return;
    kill(-process->pid, SIGKILL);
    process_wait(process, -1, &code);
}
