#ifndef MILLRACE_TESTS_WORKER_MPI_MAIN_H
#define MILLRACE_TESTS_WORKER_MPI_MAIN_H

#include <check.h>

#include "worker/collective/collective.h"

/* The ranks of this test program; made by main before the suite runs. */
extern struct collective *ranks;

/* Each test program with MPI gives its suite here; mpi_main.c has main. Check must not fork (CK_FORK=no). */
Suite *mpi_suite(void);

/* The largest `mine` of all ranks, the same on all: assert on that, so that no rank leaves the others
 * waiting. */
double largest_of_ranks(struct collective *collective, double mine);

#endif
