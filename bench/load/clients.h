#ifndef MILLRACE_BENCH_LOAD_CLIENTS_H
#define MILLRACE_BENCH_LOAD_CLIENTS_H

#include <stdatomic.h>

#include "common/rpc/client.h"

/*
 * N clients. Each asks for one text after the other until the time is over. One thread serves all clients of
 * a connection, so ten thousand of them do not fight for the processor with the program that is measured.
 * Lengths are uniform in [16, 512], step counts are 2, 4, 8 or 16, and all seeds differ. The same N gives the
 * same requests.
 */
struct load_options {
    const char *address;
    int n_clients, n_channels; /* connections that they share */
    double seconds;
    const atomic_bool *stop; /* true: the time is over already; NULL: only `seconds` count */
    int length, steps;       /* of every text; 0: at random as said above */
};

/* One text that came. Milliseconds. */
struct load_sample {
    double total, first_frame; /* as this client saw them, from before the request was sent */
    double queue, compute;     /* as the coordinator reported them */
    double tokens, token_steps;
};

struct load_result {
    struct load_sample *samples; /* [n]: of those that ended before the time was over */
    size_t n;
    size_t n_refused, n_failed;
    double seconds;
    struct error failure; /* the last */
};

/* Runs them; blocks for about `seconds`. Free the samples. */
enum status load_run(const struct load_options *options, struct load_result *result, struct error *error);

#endif
