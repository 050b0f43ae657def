#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

enum { LOOK_EVERY_MS = 20 }; /* without a pidfd */

/* ---- starting ---- */

/* mpirun closes every descriptor that it might have, one by one. */
static void limit_descriptors(long most)
{
    struct rlimit limit;
    if (!most || getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = (rlim_t)most;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL); /* what is ignored stays so over an exec */
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool connect_files(const struct process_options *options)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 &&
           (options->output < 0 || dup2(options->output, STDOUT_FILENO) >= 0) &&
           (options->errors < 0 || dup2(options->errors, STDERR_FILENO) >= 0) &&
           (options->kept < 0 || fcntl(options->kept, F_SETFD, 0) >= 0);
}

/* In the child, up to the exec; only async-signal-safe calls. Comes back, with errno, when something failed.
 */
static void become(const struct process_options *options, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    reset_signals();
    if (getppid() != parent) { /* it ended before the prctl */
        errno = ESRCH;
        return;
    }
    if (!connect_files(options))
        return;
    limit_descriptors(options->descriptors);
    if (options->environment)
        execvpe(options->arguments[0], options->arguments, options->environment);
    else
        execvp(options->arguments[0], options->arguments);
}

/* The errno of a failed exec comes through a pipe that a successful one closes. */
static int read_errno(int pipe_end)
{
    int number = 0;
    while (read(pipe_end, &number, sizeof number) < 0 && errno == EINTR)
        continue;
    return number;
}

static enum status refuse(const char *program, int number, struct error *error)
{
    enum status status = number == ENOENT                       ? STATUS_NOT_FOUND
                         : number == EAGAIN || number == ENOMEM ? STATUS_RESOURCE_EXHAUSTED
                                                                : STATUS_UNKNOWN;
    return error_set(error, status, "cannot start %s: %s", program, strerror(number));
}

enum status process_start(const struct process_options *options, struct process *process, struct error *error)
{
    int failure[2];
    pid_t parent = getpid();
    if (pipe2(failure, O_CLOEXEC) != 0)
        return refuse(options->arguments[0], errno, error);
    pid_t pid = fork();
    if (pid == 0) {
        become(options, parent);
        int number = errno;
        ssize_t written = write(failure[1], &number, sizeof number);
        _exit(written < 0 ? 126 : 127);
    }
    int number = pid < 0 ? errno : 0;
    close(failure[1]);
    if (pid > 0)
        number = read_errno(failure[0]);
    close(failure[0]);
    if (pid > 0 && number)
        waitpid(pid, NULL, 0);
    if (number)
        return refuse(options->arguments[0], number, error);
    setpgid(pid, pid); /* the child does the same, and either may be first */
    *process = (struct process){.pid = pid, .handle = (int)syscall(SYS_pidfd_open, pid, 0)};
    return STATUS_OK;
}

/* ---- ending ---- */

/* Takes the exit code where the child has ended. A child that somebody else has reaped has ended too. */
static bool has_ended(struct process *process, int *code)
{
    int status;
    pid_t reaped = waitpid(process->pid, &status, WNOHANG);
    if (reaped == 0 || (reaped < 0 && errno == EINTR))
        return false;
    if (reaped < 0)
        *code = 127;
    else
        *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (process->handle >= 0)
        close(process->handle);
    *process = (struct process){.handle = -1};
    return true;
}

/* Waits until the child may have ended. Without a pidfd (Linux before 5.3, or a seccomp filter that refuses
 * the call) nothing wakes us, so we look again soon. */
static void wait_a_while(const struct process *process, int left_ms)
{
    struct pollfd end = {.fd = process->handle, .events = POLLIN};
    if (process->handle >= 0)
        poll(&end, 1, left_ms);
    else
        poll(NULL, 0, left_ms < 0 || left_ms > LOOK_EVERY_MS ? LOOK_EVERY_MS : left_ms);
}

bool process_wait(struct process *process, int timeout_ms, int *code)
{
    double until = clock_seconds() + timeout_ms * 1e-3;
    while (!has_ended(process, code)) {
        double left_ms = (until - clock_seconds()) * 1e3;
        if (timeout_ms >= 0 && left_ms <= 0)
            return false;
        wait_a_while(process, timeout_ms < 0 ? -1 : (int)left_ms + 1);
    }
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
