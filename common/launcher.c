#include "common/launcher.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/log.h"

/* ---- the command line ---- */

void arguments_add(struct arguments *arguments, const char *name, const char *value)
{
    assert(arguments->n + 2 <= ARGUMENTS_MAX);
    arguments->words[arguments->n++] = name;
    if (value)
        arguments->words[arguments->n++] = value;
}

static char *new_number(struct arguments *arguments)
{
    assert(arguments->n_numbers < ARGUMENTS_NUMBERS_MAX);
    return arguments->numbers[arguments->n_numbers++];
}

void arguments_add_number(struct arguments *arguments, const char *name, int64_t value)
{
    char *number = new_number(arguments);
    snprintf(number, ARGUMENTS_NUMBER_SIZE, "%lld", (long long)value);
    arguments_add(arguments, name, number);
}

void launcher_add_parameter(struct arguments *arguments, const char *name, const char *value)
{
    arguments_add(arguments, "--mca", name);
    arguments_add(arguments, value, NULL);
}

/* Gives mpirun as many slots on this machine as there are ranks, however it counts processors. */
static void add_host(struct arguments *arguments, int n_ranks)
{
    char *host = new_number(arguments);
    snprintf(host, ARGUMENTS_NUMBER_SIZE, "localhost:%d", n_ranks);
    arguments_add(arguments, "--host", host);
}

void launcher_begin(struct arguments *arguments, const struct launcher_job *job)
{
    *arguments = (struct arguments){0};
    arguments_add(arguments, job->mpirun, NULL);
    arguments_add_number(arguments, "-n", job->n_ranks);
    add_host(arguments, job->n_ranks);
    arguments_add(arguments, "--bind-to", job->bind_to_core ? "core" : "none");
    launcher_add_parameter(arguments, "btl", "self,vader"); /* one host */
    if (job->oversubscribe) {
        arguments_add(arguments, "--oversubscribe", NULL);
        launcher_add_parameter(arguments, "mpi_yield_when_idle", "1");
    }
}

/* ---- shared memory ---- */

/* What a rank takes there: Open MPI's segment of 4 MiB and what it rounds up, in one file. */
enum { SHARED_BYTES_PER_RANK = 5 << 20, SHARED_FILES_BESIDE = 4 };

static bool has_room(const char *directory, int n_ranks, uint64_t *free_bytes)
{
    struct statvfs room;
    *free_bytes = 0;
    if (statvfs(directory, &room) != 0 || access(directory, W_OK) != 0)
        return false;
    *free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    bool has_files = !room.f_files || room.f_favail >= (uint64_t)n_ranks + SHARED_FILES_BESIDE;
    return has_files && *free_bytes >= (uint64_t)n_ranks * SHARED_BYTES_PER_RANK;
}

const char *launcher_shared_memory(int n_ranks)
{
    static const char usual[] = "/dev/shm";
    const char *temporary = getenv("TMPDIR"), *const others[] = {temporary ? temporary : "/tmp", "/tmp"};
    uint64_t free_bytes, ignored;
    if (has_room(usual, n_ranks, &free_bytes))
        return usual;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (!has_room(others[i], n_ranks, &ignored))
            continue;
        log_warning(
            "%s has no room for %d ranks (%.1f MiB are free, %d are needed): their shared memory is in %s; "
            "containers get more with --shm-size",
            usual, n_ranks, (double)free_bytes / (1 << 20), n_ranks * (SHARED_BYTES_PER_RANK >> 20),
            others[i]);
        return others[i];
    }
    return NULL;
}

/* ---- the environment ---- */

static bool begins_with_any(const char *entry, const char *const *prefixes)
{
    for (; prefixes && *prefixes; prefixes++) {
        if (!strncmp(entry, *prefixes, strlen(*prefixes)))
            return true;
    }
    return false;
}

/* What a batch system or another launcher says to the programs of its own job. Settings of Open MPI come from
 * people, so they stay; inside another mpirun some come from that, and it has overwritten what people had
 * set. */
static bool is_of_outer_launcher(const char *entry, bool is_inside_mpirun)
{
    static const char *const theirs[] = {"SLURM_", "PBS_",  "LSB_", "PE_HOSTFILE=", "OMPI_",
                                         "PMIX_",  "PRTE_", "PMI_", "ORTE_",        NULL};
    static const char *const settings[] = {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_MCA_", "PMIX_MCA_", "PRTE_MCA_",
                                           NULL};
    static const char *const of_mpirun[] = {
        "OMPI_MCA_orte_",        "OMPI_MCA_ess",   "OMPI_MCA_pmix", "OMPI_MCA_plm",   "OMPI_MCA_ras",
        "OMPI_MCA_initial_wdir", "OMPI_MCA_shmem", "PRTE_MCA_ess",  "PRTE_MCA_prte_", NULL};
    if (!begins_with_any(entry, theirs))
        return false;
    return !begins_with_any(entry, settings) || (is_inside_mpirun && begins_with_any(entry, of_mpirun));
}

static bool has_name(char *const *environment, const char *entry)
{
    size_t size = strcspn(entry, "=") + 1;
    for (; *environment; environment++) {
        if (!strncmp(*environment, entry, size))
            return true;
    }
    return false;
}

/* Appends a copy; false: no memory. */
static bool append(char **environment, size_t *n, const char *entry)
{
    environment[*n] = strdup(entry);
    return environment[(*n)++] != NULL;
}

static bool append_missing(char **environment, size_t *n, const char *const *entries)
{
    bool good = true;
    for (; entries && *entries && good; entries++)
        good = has_name(environment, *entries) || append(environment, n, *entries);
    return good;
}

static size_t count(const char *const *entries)
{
    size_t n = 0;
    while (entries && entries[n])
        n++;
    return n;
}

char **launcher_environment_create(const char *const *without, const char *const *with)
{
    static const char *const as_root[] = {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                                          NULL};
    size_t n = 0, most = count((const char *const *)environ) + count(as_root) + count(with);
    char **environment = calloc(most + 1, sizeof *environment);
    bool good = environment != NULL, is_inside_mpirun = getenv("PMIX_RANK") || getenv("OMPI_COMM_WORLD_RANK");
    for (char **entry = environ; good && *entry; entry++) {
        if (!is_of_outer_launcher(*entry, is_inside_mpirun) && !begins_with_any(*entry, without))
            good = append(environment, &n, *entry);
    }
    good = good && append_missing(environment, &n, as_root) && append_missing(environment, &n, with);
    if (good)
        return environment;
    launcher_environment_free(environment);
    return NULL;
}

void launcher_environment_free(char **environment)
{
    for (char **entry = environment; entry && *entry; entry++) {
        explicit_bzero(*entry, strlen(*entry));
        free(*entry);
    }
    free(environment);
}
