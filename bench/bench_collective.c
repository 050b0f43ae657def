/*
 * How long ranks of one machine take to sum: through MPI and through the memory that they share, in turn.
 *
 *   mpirun -n 2 bench_collective [WORK_US]
 *
 * WORK_US: between two sums every rank computes for so long (0). A row for each size; the median of many
 * short turns counts, so that another program on the machine disturbs both alike. --mca mpi_yield_when_idle 0
 * or 1 says how MPI waits; a busy program beside it shows what that costs.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "kernels/backend.h"
#include "worker/collective/collective.h"

enum { TURNS = 41, MOST = 1 << 20 };
#define TURN_SECONDS 0.01

static void work(double seconds)
{
    for (double end = clock_seconds() + seconds; clock_seconds() < end;)
        ;
}

static double seconds_of(struct collective *collective, float *x, int64_t n, int n_sums, double work_seconds)
{
    double start = clock_seconds();
    for (int i = 0; i < n_sums; i++) {
        if (work_seconds > 0)
            work(work_seconds);
        collective->table->all_reduce(collective, x, n);
    }
    return (clock_seconds() - start) / n_sums;
}

static int compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* As many sums as fit into a turn; all ranks take rank 0's word. */
static int sums_of_a_turn(struct collective *mpi, float *x, int64_t n, double work_seconds)
{
    int n_sums = (int)(TURN_SECONDS / seconds_of(mpi, x, n, 3, work_seconds)) + 1;
    mpi->table->broadcast(mpi, &n_sums, sizeof n_sums);
    return n_sums;
}

static void measure(struct collective *mpi, struct collective *shm, float *x, int64_t n, double work_seconds)
{
    double by_mpi[TURNS], by_shm[TURNS];
    int n_sums = sums_of_a_turn(mpi, x, n, work_seconds);
    for (int turn = 0; turn < TURNS; turn++) {
        by_mpi[turn] = seconds_of(mpi, x, n, n_sums, work_seconds);
        by_shm[turn] = seconds_of(shm, x, n, n_sums, work_seconds);
    }
    qsort(by_mpi, TURNS, sizeof *by_mpi, compare);
    qsort(by_shm, TURNS, sizeof *by_shm, compare);
    if (mpi->rank == 0)
        printf("| %d | %lld | %.0f | %.1f | %.1f | %.1f | %.1f |\n", mpi->n_ranks, (long long)n,
               work_seconds * 1e6, by_mpi[TURNS / 2] * 1e6, by_shm[TURNS / 2] * 1e6, by_mpi[TURNS / 10] * 1e6,
               by_shm[TURNS / 10] * 1e6);
}

int main(int argc, char **argv)
{
    static const int64_t sizes[] = {1536, 16384, 49152, 196608, 786432};
    const struct device_options options = {
        .n_threads = 1, .max_rows = 16, .max_positions = 16, .max_columns = 16};
    struct error error;
    struct device *device;
    struct collective *shm = NULL;
    double work_seconds = argc > 1 ? atof(argv[1]) * 1e-6 : 0;
    float *x = calloc(MOST, sizeof *x);
    MPI_Init(&argc, &argv);
    struct collective *mpi = collective_mpi_create();
    if (!x || mpi->n_ranks < 2 || backend_cpu.open(&device, &options, &error) != STATUS_OK ||
        collective_shm_create(mpi, &shm, &error) != STATUS_OK ||
        !mpi->table->bind(mpi, &backend_cpu, device, MOST) ||
        !shm->table->bind(shm, &backend_cpu, device, MOST)) {
        fprintf(stderr, "bench_collective: cannot start; two ranks or more on one machine\n");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    if (mpi->rank == 0)
        printf("| ranks | floats | work, us | MPI, us | shared memory, us | MPI, a tenth below | shared "
               "memory, a tenth "
               "below |\n|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        measure(mpi, shm, x, sizes[i], work_seconds);
    shm->table->unbind(shm);
    mpi->table->unbind(mpi);
    collective_free(shm);
    collective_free(mpi);
    backend_cpu.close(device);
    free(x);
    MPI_Finalize();
    return 0;
}
