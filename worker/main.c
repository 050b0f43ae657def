/*
 * millrace-worker: one MPI rank of a replica.
 *
 *   mpirun -n 2 millrace-worker --model DIR --coordinator 127.0.0.1:7077
 *
 * Rank 0 attaches to the coordinator, forms the batch of each step and sends its plan to the others; every
 * rank computes its shard. Exit codes: 0 drained or told to stop; 1 failed; 2 bad usage. A rank that fails
 * takes the replica down: the launcher ends the job, the coordinator hands its sequences on.
 */
#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "common/log.h"
#include "common/program.h"
#include "worker/modes.h"
#include "worker/serve.h"

static const struct settings *settings;

/* The coordinator gave this replica up, and nothing has moved since. MPI's own end would wait for the rank
 * that hangs. */
static void end_hung(void)
{
    log_error("a rank of this replica hangs: ending it, so that its launcher starts it again");
    if (settings->ready_file)
        unlink(settings->ready_file);
    _exit(1);
}

static enum status run(struct collective *collective, bool *failed, struct error *error)
{
    if (settings->verify)
        return mode_verify(settings, collective, failed, error);
    if (settings->bench || settings->elbo)
        return mode_measure(settings, collective, error);
    return serve(settings, collective, end_hung, error);
}

int main(int argc, char **argv)
{
    program_begin(false);
    int parsed = settings_parse(argc, argv, &settings);
    if (parsed >= 0)
        return parsed;
    if (settings->plan)
        return mode_plan(settings);
    sigset_t set = serve_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    serve_remove_ready_file(settings);
    int provided;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return 1;
    struct error error = {0};
    struct collective *collective = collective_mpi_create();
    char program[48] = "worker";
    if (collective)
        snprintf(program, sizeof program, "%s.%d", settings->replica, collective->rank);
    log_open(program);
    bool failed = false;
    enum status status = collective ? run(collective, &failed, &error)
                                    : error_set(&error, STATUS_RESOURCE_EXHAUSTED, "no memory to start");
    if (status != STATUS_OK && (!collective || collective->rank == 0))
        log_error("%s", error.text);
    collective_free(collective);
    if (status != STATUS_OK)
        MPI_Abort(MPI_COMM_WORLD, 1); /* the others may wait for this rank for ever */
    MPI_Finalize();
    return failed;
}
