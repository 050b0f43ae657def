#ifndef MILLRACE_TESTS_WORKER_FAILING_ORDER_H
#define MILLRACE_TESTS_WORKER_FAILING_ORDER_H

#include <stdbool.h>

/*
 * What is to fail, as the file says that $MILLRACE_TEST_FAILURE names: "RANK WHERE NUMBER once|always".
 * "once" removes the file when it has been obeyed, so that the next life of the replica is a healthy one. No
 * file: nothing fails.
 */
struct order {
    int rank;
    char where[16];
    long number;
    bool once;
};

/* Is this rank to fail here? `number` is set then. */
bool order_is(const char *where, long *number);
/* It has been done: a "once" is over. */
void order_obeyed(void);

#endif
