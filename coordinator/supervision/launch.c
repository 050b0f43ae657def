#include "coordinator/supervision/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "coordinator/supervision/launch_environment.h"

enum { MAX_ARGUMENTS = 48, NUMBER_SIZE = 16 };

enum status launch_find_beside(const char *program, char *path, size_t size, struct error *error)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return error_set(error, STATUS_INTERNAL, "/proc/self/exe: %s", strerror(errno));
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    if ((size_t)snprintf(path, size, "%s/%s", self, program) >= size || access(path, X_OK))
        return error_set(error, STATUS_NOT_FOUND, "there is no %s in %s", program, self);
    return STATUS_OK;
}

/* A command line that grows; the numbers in it live here. */
struct command {
    const char *arguments[MAX_ARGUMENTS];
    char numbers[8][NUMBER_SIZE];
    int n, n_numbers;
};

static void add(struct command *command, const char *option, const char *value)
{
    command->arguments[command->n++] = option;
    if (value)
        command->arguments[command->n++] = value;
}

static void add_number(struct command *command, const char *option, int value)
{
    char *number = command->numbers[command->n_numbers++];
    snprintf(number, NUMBER_SIZE, "%d", value);
    add(command, option, number);
}

static void add_parameter(struct command *command, const char *name, const char *value)
{
    add(command, "--mca", name);
    add(command, value, NULL);
}

static void build_command(const struct launch_options *options, const char *name, const char *shm_directory,
                          struct command *command)
{
    add(command, options->mpirun, NULL);
    add_number(command, "-n", options->n_ranks);
    add(command, "--bind-to", options->bind_to_core ? "core" : "none");
    if (options->oversubscribe)
        add(command, "--oversubscribe", NULL);
    add(command, "--mca", NULL);
    add_number(command, "odls_base_sigkill_timeout", options->grace_seconds);
    add_parameter(command, "btl", "self,vader"); /* one host */
    if (*shm_directory)
        add_parameter(command, "btl_vader_backing_directory", shm_directory);
    if (options->oversubscribe)
        add_parameter(command, "mpi_yield_when_idle", "1");
    add(command, options->worker, NULL);
    add(command, "--model", options->model);
    add(command, "--coordinator", options->address);
    add(command, "--replica", name);
    add(command, "--backend", options->backend);
    add(command, "--precision", options->precision);
    add(command, "--log-format", options->log_format);
    add_number(command, "--threads", options->n_threads);
    add_number(command, "--batch-tokens", options->batch_tokens);
    add_number(command, "--max-sequences", options->max_sequences);
}

/* We may have many connections; mpirun closes every descriptor that it might have, one by one. */
static void limit_descriptors(long most)
{
    struct rlimit limit;
    if (!most || getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = (rlim_t)most;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* In the child. What fails here is told by the exit code alone, as a shell would. */
static void become(struct command *command, char **environment, long descriptors, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it ended before we asked */
        _exit(1);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(nothing, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO); /* standard output is the coordinator's own */
    sigprocmask(SIG_SETMASK, &none, NULL);
    limit_descriptors(descriptors);
    execvpe(command->arguments[0], (char *const *)(uintptr_t)command->arguments, environment);
    _exit(127);
}

enum status launch_replica(const struct launch_options *options, const char *name, const char *shm_directory,
                           pid_t *pid, struct error *error)
{
    struct command command = {0};
    build_command(options, name, shm_directory, &command);
    char **environment = launch_environment_create(options->token);
    if (!environment)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to start %s", options->mpirun);
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        become(&command, environment, options->descriptors, parent);
    launch_environment_free(environment);
    if (child < 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "cannot start %s: %s", options->mpirun,
                         strerror(errno));
    setpgid(child, child); /* both sides, so that it holds when either goes on */
    *pid = child;
    return STATUS_OK;
}
