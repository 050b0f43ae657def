#ifndef MILLRACE_COMMON_LAUNCHER_H
#define MILLRACE_COMMON_LAUNCHER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Tells Open MPI's mpirun how to start a job on this machine. Nothing is left to its defaults. mpirun would
 * count processors in its own way, read a file of hosts, and use the hosts and slots of a batch job around
 * us.
 */

/* A command line that grows. It does not own texts; the numbers in it live here. */
enum { ARGUMENTS_MAX = 64, ARGUMENTS_NUMBERS_MAX = 12, ARGUMENTS_NUMBER_SIZE = 24 };

struct arguments {
    const char *words[ARGUMENTS_MAX + 1]; /* ends with NULL */
    char numbers[ARGUMENTS_NUMBERS_MAX][ARGUMENTS_NUMBER_SIZE];
    int n, n_numbers;
};

/* `value`: NULL for a flag or an operand. */
void arguments_add(struct arguments *arguments, const char *name, const char *value);
void arguments_add_number(struct arguments *arguments, const char *name, int64_t value);

struct launcher_job {
    const char *mpirun; /* a path, or a name that is looked up in PATH */
    int n_ranks;
    bool bind_to_core;  /* each rank to a core of its own */
    bool oversubscribe; /* more ranks and threads than cores: a rank that waits gives its core to others */
};

/* Begins a command line. The caller adds more options of mpirun, then the program's path, then the program's
 * options.
 */
void launcher_begin(struct arguments *arguments, const struct launcher_job *job);
/* --mca NAME VALUE */
void launcher_add_parameter(struct arguments *arguments, const char *name, const char *value);

/*
 * The directory for the ranks' shared memory: /dev/shm, or where that is too small, full, or missing, $TMPDIR
 * or /tmp, with a warning in the log. Open MPI would say several pages about processes that cannot be
 * reached. NULL: leave it to Open MPI, no place has room.
 */
const char *launcher_shared_memory(int n_ranks);

/*
 * The environment of a launcher that we start: our own,
 * - without what another launcher or batch system around us says to the programs that it starts (Slurm, PBS,
 *   LSF, Grid Engine, Open MPI, PMIx): it is about its own job. What people set for Open MPI stays
 *   (OMPI_MCA_..., OMPI_ALLOW_RUN_AS_ROOT);
 * - without the entries that begin with one of `without` (ends with NULL; "NAME=" for exactly one variable);
 * - with the entries `with` ("NAME=VALUE", ends with NULL) where there is none of that name, and with leave
 *   for mpirun to run as root, as in a container.
 *
 * Only the same user sees a token in the environment; on a command line everybody would see it. NULL without
 * memory. Make it before a fork: a child of a program with threads may not allocate memory.
 */
char **launcher_environment_create(const char *const *without, const char *const *with);
/* Overwrites it first. NULL is allowed. */
void launcher_environment_free(char **environment);

#endif
