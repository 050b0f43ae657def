/* Children: their end, their files, their environment; also on a kernel that gives no pidfd. */
#include "common/temporary.h"
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/launcher.h"
#include "common/program.h"
#include "tests/common/suites.h"

static enum status start_shell(const char *script, int output, char **environment, struct process *process,
                               struct error *error)
{
    const char *const arguments[] = {"sh", "-c", script, NULL};
    const struct process_options options = {.arguments = (char *const *)(uintptr_t)arguments,
                                            .environment = environment,
                                            .output = output,
                                            .errors = -1,
                                            .kept = -1};
    return process_start(&options, process, error);
}

static int run_shell(const char *script)
{
    int code = -1;
    struct process process;
    ck_assert_int_eq(start_shell(script, -1, NULL, &process, NULL), STATUS_OK);
    ck_assert(process_wait(&process, -1, &code));
    ck_assert_int_eq(process.pid, 0);
    return code;
}

START_TEST(exit_codes_and_deaths_are_told)
{
    ck_assert_int_eq(run_shell("exit 0"), 0);
    ck_assert_int_eq(run_shell("exit 7"), 7);
    ck_assert_int_eq(run_shell("kill -9 $$"), 128 + SIGKILL);
}
END_TEST

START_TEST(what_cannot_be_started_is_named)
{
    char directory[TEMPORARY_ROOM], program[TEMPORARY_ROOM + 16], said[TEMPORARY_ROOM + 64];
    const char *const arguments[] = {program, NULL};
    const struct process_options options = {
        .arguments = (char *const *)(uintptr_t)arguments, .output = -1, .errors = -1, .kept = -1};
    struct process process;
    struct error error;
    ck_assert_int_eq(temporary_directory(directory, "process", &error), STATUS_OK);
    snprintf(program, sizeof program, "%s/program", directory);
    snprintf(said, sizeof said, "cannot start %s: No such file or directory", program);
    ck_assert_int_eq(process_start(&options, &process, &error), STATUS_NOT_FOUND);
    ck_assert_str_eq(error.text, said);
    ck_assert_int_eq(rmdir(directory), 0);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left of it */
}
END_TEST

/* It ignores SIGTERM, and so does its own child, which holds the pipe open. */
static const char stubborn[] = "trap '' TERM; (echo ready; exec sleep 1000) & wait; exec sleep 1000";

static void stop_a_stubborn_one(void)
{
    char line[8];
    int ends[2];
    struct process process;
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_eq(start_shell(stubborn, ends[1], NULL, &process, NULL), STATUS_OK);
    close(ends[1]);
    ck_assert_int_eq(read(ends[0], line, 6), 6);
    process_stop(&process, 50);
    ck_assert_int_eq(process.pid, 0);
    ck_assert_int_eq(read(ends[0], line, 1), 0); /* its whole group is gone */
    close(ends[0]);
    process_stop(&process, 50); /* none: nothing happens */
}

START_TEST(one_that_does_not_listen_is_killed_with_its_children)
{
    stop_a_stubborn_one();
}
END_TEST

START_TEST(a_wait_ends_at_its_time)
{
    int code;
    struct process process;
    ck_assert_int_eq(start_shell("exec sleep 1000", -1, NULL, &process, NULL), STATUS_OK);
    double before = clock_seconds();
    ck_assert(!process_wait(&process, 0, &code));
    ck_assert(!process_wait(&process, 60, &code));
    ck_assert_double_ge(clock_seconds() - before, 0.06);
    process_stop(&process, 60000); /* sleep ends with SIGTERM */
    ck_assert_double_le(clock_seconds() - before, 50);
}
END_TEST

/* As a kernel before 5.3 answers, or a container's filter. */
static bool refuse_pidfd_open(void)
{
    struct sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof instructions / sizeof *instructions,
                                       .filter = instructions};
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) &&
           syscall(SYS_pidfd_open, getpid(), 0) == -1;
}

/* In a child of the test, because a filter cannot be taken off. An assertion that fails there ends it. */
START_TEST(all_of_it_works_without_pidfd)
{
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60); /* what would hang fails */
        ck_assert(refuse_pidfd_open());
        ck_assert_int_eq(run_shell("exit 7"), 7);
        stop_a_stubborn_one();
        _exit(42);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 42, "status %x", (unsigned)status);
}
END_TEST

/* ---- what a child inherits ---- */

static void read_output(const char *script, char **environment, char *text, size_t size)
{
    int code, file = memfd_create("output", MFD_CLOEXEC);
    struct process process;
    ck_assert_int_eq(start_shell(script, file, environment, &process, NULL), STATUS_OK);
    ck_assert(process_wait(&process, -1, &code));
    ssize_t n = pread(file, text, size - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(file);
}

START_TEST(a_child_begins_with_a_clean_slate)
{
    char text[512];
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    void (*action)(int) = signal(SIGPIPE, SIG_IGN);
    read_output("grep -E 'Sig(Blk|Ign)' /proc/self/status; cat; ulimit -n", NULL, text, sizeof text);
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, action);
    ck_assert_msg(strstr(text, "SigBlk:\t0000000000000000"), "%s", text);
    unsigned long ignored = strtoul(strstr(text, "SigIgn:\t") + 8, NULL, 16);
    ck_assert_msg(!(ignored >> (SIGPIPE - 1) & 1), "%s", text);
}
END_TEST

/* What Slurm, PBS, and an mpirun around us say is about their job; what people set stays. */
START_TEST(a_launcher_hears_nothing_of_an_outer_one)
{
    static const char *const gone[] = {"SLURM_NTASKS",
                                       "SLURM_JOB_NODELIST",
                                       "PBS_JOBID",
                                       "OMPI_COMM_WORLD_SIZE",
                                       "OMPI_MCA_orte_hnp_uri",
                                       "PMIX_RANK",
                                       "PRTE_LAUNCHED",
                                       "PMI_RANK",
                                       "LSB_JOBID",
                                       "MILLRACE_TOKEN",
                                       "MILLRACE_READY_FILE"};
    static const char *const kept[] = {"OMPI_MCA_btl", "PMIX_MCA_gds", "SLURMY", "MILLRACE_READY_FILES"};
    static const char *const without[] = {"MILLRACE_TOKEN", "MILLRACE_READY_FILE=", NULL};
    static const char *const with[] = {"ADDED=1", "PATH=/never", NULL};
    char text[65536];
    for (unsigned i = 0; i < sizeof gone / sizeof *gone; i++)
        setenv(gone[i], "x", 1);
    for (unsigned i = 0; i < sizeof kept / sizeof *kept; i++)
        setenv(kept[i], "x", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "0", 1);
    unsetenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM");
    char **environment = launcher_environment_create(without, with);
    read_output("env | sed 's/^/|/'", environment, text, sizeof text);
    for (unsigned i = 0; i < sizeof gone / sizeof *gone; i++) {
        char entry[64];
        snprintf(entry, sizeof entry, "|%s=x", gone[i]);
        ck_assert_msg(!strstr(text, entry), "%s reaches the launcher", gone[i]);
        unsetenv(gone[i]);
    }
    for (unsigned i = 0; i < sizeof kept / sizeof *kept; i++) {
        char entry[64];
        snprintf(entry, sizeof entry, "|%s=x", kept[i]);
        ck_assert_msg(strstr(text, entry), "%s does not reach the launcher", kept[i]);
        unsetenv(kept[i]);
    }
    ck_assert_ptr_nonnull(strstr(text, "|ADDED=1"));
    ck_assert_ptr_null(strstr(text, "|PATH=/never")); /* the name is there */
    ck_assert_ptr_nonnull(strstr(text, "|OMPI_ALLOW_RUN_AS_ROOT=0"));
    ck_assert_ptr_nonnull(strstr(text, "|OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"));
    launcher_environment_free(environment);
    launcher_environment_free(NULL);
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
}
END_TEST

/* Outside of any job all settings of Open MPI are somebody's own. */
START_TEST(settings_of_people_stay)
{
    char text[65536];
    setenv("OMPI_MCA_orte_tmpdir_base", "/x", 1);
    for (int inside = 0; inside < 2; inside++) {
        if (inside)
            setenv("PMIX_RANK", "0", 1);
        char **environment = launcher_environment_create(NULL, NULL);
        read_output("env | sed 's/^/|/'", environment, text, sizeof text);
        ck_assert_int_eq(strstr(text, "|OMPI_MCA_orte_tmpdir_base=/x") != NULL, !inside);
        launcher_environment_free(environment);
    }
    unsetenv("PMIX_RANK");
    unsetenv("OMPI_MCA_orte_tmpdir_base");
}
END_TEST

START_TEST(a_launcher_is_told_everything)
{
    struct arguments arguments;
    char text[1024] = "";
    const struct launcher_job job = {.mpirun = "mpirun", .n_ranks = 3, .oversubscribe = true};
    launcher_begin(&arguments, &job);
    arguments_add(&arguments, "worker", NULL);
    for (int i = 0; arguments.words[i]; i++) {
        strcat(text, arguments.words[i]);
        strcat(text, " ");
    }
    ck_assert_str_eq(text, "mpirun -n 3 --host localhost:3 --bind-to none --mca btl self,vader "
                           "--oversubscribe --mca mpi_yield_when_idle 1 worker ");
}
END_TEST

/* ---- how a program begins ---- */

/* Runs `part` in a child of the test; its exit code, or -1 for a death. */
static int in_a_child(void (*part)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        part();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void open_with_nothing_open(void)
{
    for (int i = 0; i < 3; i++)
        close(i);
    program_begin(false);
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    _exit(file > STDERR_FILENO ? 42 : 43);
}

/* A file would be overwritten by what is printed. */
START_TEST(no_file_gets_the_number_of_a_standard_one)
{
    ck_assert_int_eq(in_a_child(open_with_nothing_open), 42);
}
END_TEST

static void write_to_a_pipe_without_reader(int number)
{
    int ends[2];
    if (pipe(ends))
        _exit(1);
    close(ends[0]);
    if (number >= 0)
        dup2(ends[1], number);
    ssize_t written = write(number >= 0 ? number : ends[1], "x", 1);
    _exit(written < 0 && errno == EPIPE ? 42 : 43);
}

static void service_writes_anywhere(void)
{
    program_begin(false);
    write_to_a_pipe_without_reader(STDOUT_FILENO);
}

static void command_writes_to_a_peer(void)
{
    program_begin(true);
    write_to_a_pipe_without_reader(-1);
}

static void command_writes_to_its_reader(void)
{
    program_begin(true);
    write_to_a_pipe_without_reader(STDOUT_FILENO);
}

START_TEST(a_peer_that_hangs_up_ends_no_program_but_a_reader_does)
{
    ck_assert_int_eq(in_a_child(service_writes_anywhere), 42);
    ck_assert_int_eq(in_a_child(command_writes_to_a_peer), 42);
    ck_assert_int_eq(in_a_child(command_writes_to_its_reader), -SIGPIPE);
}
END_TEST

Suite *process_suite(void)
{
    Suite *suite = suite_create("process");
    TCase *tests = tcase_create("process");
    tcase_add_test(tests, exit_codes_and_deaths_are_told);
    tcase_add_test(tests, what_cannot_be_started_is_named);
    tcase_add_test(tests, one_that_does_not_listen_is_killed_with_its_children);
    tcase_add_test(tests, a_wait_ends_at_its_time);
    tcase_add_test(tests, all_of_it_works_without_pidfd);
    tcase_add_test(tests, a_child_begins_with_a_clean_slate);
    tcase_add_test(tests, a_launcher_hears_nothing_of_an_outer_one);
    tcase_add_test(tests, settings_of_people_stay);
    tcase_add_test(tests, a_launcher_is_told_everything);
    tcase_add_test(tests, no_file_gets_the_number_of_a_standard_one);
    tcase_add_test(tests, a_peer_that_hangs_up_ends_no_program_but_a_reader_does);
    suite_add_tcase(suite, tests);
    return suite;
}
