/*
 * millrace-worker: one MPI rank of a replica.
 *
 *   mpirun -n 2 millrace-worker --model DIR --coordinator 127.0.0.1:7077
 *
 * Rank 0 attaches to the coordinator, forms the batch of each step and sends its plan to the others; every
 * rank computes its shard. Exit codes: 0 drained or told to stop; 1 failed; 2 bad usage. A rank that fails
 * takes the replica down: the launcher ends the job, and the coordinator hands its sequences to other
 * replicas.
 */
#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/output.h"
#include "common/program.h"
#include "worker/modes.h"
#include "worker/serve.h"

static const struct settings *settings;

/* The coordinator gave this replica up, and nothing has moved since. The process ends without MPI, which
 * would wait for the rank that hangs. */
static void end_hung(void)
{
    log_error("a rank of this replica hangs: ending it, so that its launcher starts it again");
    if (settings->ready_file)
        unlink(settings->ready_file);
    _exit(1);
}

/* A signal ends this replica while the main thread is in the middle of loading. */
static void end_stopped(void)
{
    _exit(0);
}

static enum status run(struct collective *collective, bool *failed, struct error *error)
{
    if (settings->verify)
        return mode_verify(settings, collective, failed, error);
    if (settings->bench || settings->elbo)
        return mode_measure(settings, collective, error);
    static const struct serve_ends ends = {.hung = end_hung, .stopped = end_stopped};
    return serve(settings, collective, &ends, error);
}

/* Only a replica waits for signals. A worker that measures or checks is ended by them at once. */
static void block_signals(void)
{
    sigset_t set = serve_signals();
    if (settings_serve(settings))
        pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* MPI may provide less than it was asked for, and tells that here alone. */
static enum status start_mpi(struct collective **collective, struct error *error)
{
    int provided;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return error_set(error, STATUS_INTERNAL, "MPI_Init_thread failed");
    if (provided < MPI_THREAD_FUNNELED)
        return error_set(error, STATUS_UNAVAILABLE,
                         "this MPI does not allow other threads beside the one that calls it; use one that "
                         "provides MPI_THREAD_FUNNELED");
    *collective = collective_mpi_create();
    return *collective ? STATUS_OK : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to start");
}

/* All ranks have the same verdict, so rank 0 alone logs it. In a replica every rank has logged its own error
 * already (serve.c). */
static void log_failure(const struct collective *collective, const struct error *error)
{
    if (!collective || collective->rank == 0)
        log_error("%s", error->text);
    else if (!settings_serve(settings) && collective_rank_of(error->text) < 0)
        log_error("rank %d of %d: %s", collective->rank, collective->n_ranks, error->text);
}

/* Ends all ranks, since the others may wait for this one for ever. The same fault may have hit rank 0, so a
 * rank above 0 first leaves it a moment to say so. */
static int abort_all(int rank)
{
    const struct timespec moment = {.tv_nsec = 500000000};
    int initialised;
    if (rank > 0)
        nanosleep(&moment, NULL);
    MPI_Initialized(&initialised);
    if (initialised)
        MPI_Abort(MPI_COMM_WORLD, 1);
    return 1;
}

int main(int argc, char **argv)
{
    program_begin(false);
    int parsed = settings_parse(argc, argv, &settings);
    if (parsed >= 0)
        return output_finish("millrace-worker", parsed);
    if (settings->plan)
        return output_finish("millrace-worker", mode_plan(settings));
    if (settings->devices)
        return output_finish("millrace-worker", mode_devices(settings));
    block_signals();
    serve_remove_ready_file(settings);
    struct error error = {0};
    struct collective *collective = NULL;
    enum status status = start_mpi(&collective, &error);
    char program[48] = "worker";
    if (collective)
        snprintf(program, sizeof program, "%s.%d", settings->replica, collective->rank);
    log_open(program);
    bool failed = false;
    if (status == STATUS_OK)
        status = run(collective, &failed, &error);
    if (status != STATUS_OK) {
        log_failure(collective, &error);
        return abort_all(collective ? collective->rank : 0);
    }
    collective_free(collective);
    MPI_Finalize();
    return output_finish("millrace-worker", failed);
}
