#include "mpi_main.h"

#include <mpi.h>
#include <stdlib.h>

struct collective *ranks;

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
