/*
 * A child is mpirun, and the ranks are its children. When mpirun dies its ranks are adopted by us (main asks
 * the kernel for that), and killed: nothing of a replica outlives its launcher.
 *
 *   waiting → living  [start]        start_at has come
 *   living  → waiting [on_death]     start_at = now + pause
 */
#include "coordinator/supervision/spawn.h"
#include "common/clock.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/launcher.h"
#include "common/owned_directory.h"
#include "common/rpc/token.h"

#define LEAST_PAUSE_SECONDS 0.5
#define SETTLED_SECONDS 10.0 /* who lived for so long is started again at once */
#define MOST_PAUSE_SECONDS 10.0
#define IDLE_LOOK_SECONDS 1.0

enum { FAILED_STARTS_MAX = 3, LEAST_ROOM_BYTES = 64 << 10 };

struct child {
    char name[16];
    struct owned_directory
        shm_directory; /* of the ranks' shared memory: those that are killed leave it behind */
    pid_t pid;         /* 0: none */
    double started_at, start_at;
    bool was_attached, is_killed; /* since it was started */
    int n_failed_starts;          /* in a row: it died before it was ready */
};

struct spawn {
    const struct launch_options *options;
    struct scheduler *scheduler;
    double attach_seconds;
    bool restarting;
    int n_children;
    struct child children[];
};

struct spawn *spawn_create(const struct launch_options *options, int n_replicas, double attach_seconds,
                           struct scheduler *scheduler)
{
    struct spawn *spawn = calloc(1, sizeof *spawn + (size_t)n_replicas * sizeof *spawn->children);
    if (!spawn)
        return NULL;
    owned_directory_sweep("/dev/shm");
    spawn->options = options;
    spawn->scheduler = scheduler;
    spawn->attach_seconds = attach_seconds;
    spawn->restarting = true;
    spawn->n_children = n_replicas;
    for (int i = 0; i < n_replicas; i++) {
        snprintf(spawn->children[i].name, sizeof spawn->children[i].name, "r%d", i);
        scheduler_expect(scheduler, spawn->children[i].name);
    }
    return spawn;
}

void spawn_free(struct spawn *spawn)
{
    free(spawn);
}

/* ---- death ---- */

static void describe_death(int wait_status, double seconds, char *text, size_t size)
{
    if (WIFSIGNALED(wait_status))
        snprintf(text, size, "its launcher was killed by signal %d after %.1f s", WTERMSIG(wait_status),
                 seconds);
    else
        snprintf(text, size, "its launcher ended with exit code %d after %.1f s", WEXITSTATUS(wait_status),
                 seconds);
}

/* Room that is left in a directory: a launcher without any says nothing that helps. */
static bool is_full(const char *directory)
{
    struct statvfs room;
    if (statvfs(directory, &room))
        return false;
    bool has_files = room.f_files > 0; /* some file systems do not count them */
    return room.f_bavail * room.f_frsize < LEAST_ROOM_BYTES || (has_files && !room.f_favail);
}

static void explain_death(const struct child *child, char *text, size_t size)
{
    const char *temporary = getenv("TMPDIR");
    const char *const places[] = {temporary && *temporary ? temporary : "/tmp", "/dev/shm"};
    size_t used = strlen(text);
    for (int i = 0; i < 2 && !child->was_attached; i++) {
        if (is_full(places[i])) {
            snprintf(text + used, size - used, ": %.60s is full, where the ranks keep files while they run",
                     places[i]);
            return;
        }
    }
}

static double pause_after(double n_failures)
{
    double doublings = fmin(fmax(n_failures - 1, 0), 10);
    return fmin(LEAST_PAUSE_SECONDS * pow(2, doublings), MOST_PAUSE_SECONDS);
}

/* It died, or could not even be started. */
static void start_again(struct spawn *spawn, struct child *child, const char *reason)
{
    double now = clock_seconds();
    int n_fruitless;
    bool was_ready = scheduler_restarting(spawn->scheduler, child->name, reason, &n_fruitless);
    child->n_failed_starts = was_ready ? 0 : child->n_failed_starts + 1;
    bool had_settled = was_ready && !n_fruitless && now - child->started_at >= SETTLED_SECONDS;
    double pause = had_settled ? 0 : pause_after(fmax(child->n_failed_starts, n_fruitless));
    child->start_at = now + pause;
    log_warning("replica %s: %s; starting it again in %.1f s", child->name, reason, pause);
    if (child->n_failed_starts >= FAILED_STARTS_MAX)
        scheduler_give_up(spawn->scheduler, child->name, NULL);
}

static void on_death(struct spawn *spawn, struct child *child, int wait_status)
{
    char reason[192];
    double now = clock_seconds();
    describe_death(wait_status, now - child->started_at, reason, sizeof reason);
    if (wait_status)
        explain_death(child, reason, sizeof reason);
    owned_directory_remove(&child->shm_directory);
    child->pid = 0;
    if (!spawn->restarting) {
        log_info("replica %s ended", child->name);
        return;
    }
    if (scheduler_take_drained(spawn->scheduler, child->name)) {
        log_info("replica %s has ended: it was drained", child->name);
        child->n_failed_starts = 0;
        child->start_at = now;
        return;
    }
    start_again(spawn, child, reason);
}

static struct child *child_of(struct spawn *spawn, pid_t pid)
{
    for (int i = 0; i < spawn->n_children; i++) {
        if (spawn->children[i].pid == pid)
            return &spawn->children[i];
    }
    return NULL;
}

/* Ranks whose launcher is gone have become our children: every child of ours that is no launcher is one. */
static void kill_orphans(struct spawn *spawn)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *children = fopen(path, "re");
    int pid;
    while (children && fscanf(children, "%d", &pid) == 1) {
        if (!child_of(spawn, pid))
            kill(pid, SIGKILL);
    }
    if (children)
        fclose(children);
}

static void reap(struct spawn *spawn)
{
    int wait_status;
    pid_t pid;
    bool died = false;
    while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
        struct child *child = child_of(spawn, pid);
        if (!child)
            continue;
        on_death(spawn, child, wait_status);
        died = true;
    }
    if (died)
        kill_orphans(spawn);
}

/* ---- life ---- */

/* With a secret that only this process gets, so that nobody else takes its name. */
static enum status launch(struct spawn *spawn, struct child *child, struct error *error)
{
    char secret[TOKEN_SIZE];
    enum status status = token_make(secret, error);
    if (status != STATUS_OK)
        return status;
    scheduler_launching(spawn->scheduler, child->name, secret);
    status = launch_replica(spawn->options, child->name, (int)(child - spawn->children), secret,
                            child->shm_directory.path, &child->pid, error);
    explicit_bzero(secret, sizeof secret);
    return status;
}

static void start(struct spawn *spawn, struct child *child)
{
    struct error error;
    double now = clock_seconds();
    const char *shared_memory = launcher_shared_memory(spawn->options->n_ranks);
    if (shared_memory)
        owned_directory_make(&child->shm_directory, shared_memory, child->name);
    child->started_at = now;
    child->was_attached = child->is_killed = false;
    if (launch(spawn, child, &error) == STATUS_OK) {
        log_info("replica %s: started, %d ranks of %d threads", child->name, spawn->options->n_ranks,
                 spawn->options->n_threads);
        return;
    }
    owned_directory_remove(&child->shm_directory);
    if (error.status == STATUS_NOT_FOUND)
        error_prefix(&error, "is Open MPI installed?");
    start_again(spawn, child, error.text);
}

/* Its leader attaches before anything that takes long. */
static bool never_attached(const struct spawn *spawn, struct child *child)
{
    child->was_attached |= scheduler_is_attached(spawn->scheduler, child->name);
    return !child->was_attached && clock_seconds() - child->started_at >= spawn->attach_seconds;
}

/* A job that hangs does not end by itself. The launcher goes first, stopped or not; its ranks, which have
 * groups of their own, when it is reaped. */
static void kill_hung(struct spawn *spawn)
{
    for (int i = 0; i < spawn->n_children; i++) {
        struct child *child = &spawn->children[i];
        if (!child->pid || child->is_killed)
            continue;
        bool is_late = never_attached(spawn, child);
        if (!is_late && !scheduler_take_stuck(spawn->scheduler, child->name))
            continue;
        log_error("replica %s %s: killing it", child->name,
                  is_late ? "was started and never attached" : "hangs");
        kill(-child->pid, SIGKILL);
        child->is_killed = true;
    }
}

double spawn_step(struct spawn *spawn)
{
    double wait = IDLE_LOOK_SECONDS;
    kill_hung(spawn);
    reap(spawn);
    for (int i = 0; i < spawn->n_children && spawn->restarting; i++) {
        struct child *child = &spawn->children[i];
        if (!child->pid && scheduler_is_held(spawn->scheduler, child->name))
            continue;
        if (!child->pid && child->start_at <= clock_seconds())
            start(spawn, child);
        if (!child->pid)
            wait = fmin(wait, fmax(child->start_at - clock_seconds(), 0));
    }
    return wait;
}

void spawn_stop_restarting(struct spawn *spawn)
{
    spawn->restarting = false;
}

void spawn_signal(struct spawn *spawn, int signal_number)
{
    for (int i = 0; i < spawn->n_children; i++) {
        if (spawn->children[i].pid)
            kill(-spawn->children[i].pid, signal_number);
    }
}

int spawn_n_living(const struct spawn *spawn)
{
    int n = 0;
    for (int i = 0; i < spawn->n_children; i++)
        n += spawn->children[i].pid != 0;
    return n;
}
