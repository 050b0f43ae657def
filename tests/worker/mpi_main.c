#include "tests/worker/mpi_main.h"

#include <mpi.h>
#include <stdlib.h>

struct collective *ranks;

double largest_of_ranks(struct collective *collective, double mine)
{
    double all[64];
    collective->table->exchange(collective, &mine, sizeof mine, all);
    double largest = mine;
    for (int rank = 0; rank < collective->n_ranks; rank++)
        if (!(all[rank] <= largest)) /* NaN wins */
            largest = all[rank];
    return largest;
}

int main(void)
{
    int provided;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    ranks = collective_mpi_create();
    if (!ranks)
        MPI_Abort(MPI_COMM_WORLD, 1);
    SRunner *runner = srunner_create(mpi_suite());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, ranks->rank == 0 ? CK_NORMAL : CK_MINIMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    collective_free(ranks);
    MPI_Finalize();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
