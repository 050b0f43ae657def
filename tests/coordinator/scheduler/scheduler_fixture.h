#ifndef MILLRACE_TESTS_COORDINATOR_SCHEDULER_SCHEDULER_FIXTURE_H
#define MILLRACE_TESTS_COORDINATOR_SCHEDULER_SCHEDULER_FIXTURE_H

#include <check.h>

#include "coordinator/scheduler/scheduler_state.h"

/*
 * A scheduler alone: clients and replicas are structs that write down what they are told. In tests they are
 * static, because the scheduler tells them about its end in tear_down.
 */
enum { LENGTH = 10, N_IDS = 100, STEPS = 4 };

/* A client that remembers. */
struct client {
    uint64_t number;
    int n_accepted, n_frames, n_moves, n_ended, steps; /* the frame of step 0 does not count */
    double estimated_seconds;
    uint32_t last_step, next_step;
    bool hears_several; /* runs, whose frames come in any order */
    enum status status;
    char text[256];
    int32_t ids[LENGTH];
};

/* A replica that remembers what was submitted last, and how much. */
struct fake_connection {
    uint64_t ticket; /* of the last that was submitted */
    uint64_t batch_step;
    int n_submitted, n_cancelled, n_drained, n_hung_up;
    uint64_t number, cancelled;
    uint32_t step;
    int32_t ids[LENGTH];
};
extern const struct replica_connection operations; /* of a fake_line */

/* Of the test that runs: set_up makes them anew. The queue has room for 3 requests and 100 positions. */
extern struct scheduler *scheduler;
extern int n_changes;
extern char events[64]; /* what the observer heard, a letter each */

void set_up(void);
void tear_down(void);

/* A request of one run. */
struct request *make_request(const struct request_terms *terms, int length, int steps_least);
/* Hands a request over. */
enum status accept_made(struct client *client, struct request *request, struct error *error);

/* accept_request: LENGTH positions, which must be taken. accept_length: of the first class, like it;
 * accept_with sets the client back, too. */
enum status accept_length(struct client *client, int length, struct error *error);
enum status accept_with(struct client *client, enum request_class class, int length,
                        struct request_terms terms, int steps_least, struct error *error);
void accept_request(struct client *client);
void accept_class(struct client *client, enum request_class class);

void attach(const char *name, struct fake_connection *connection);
/* With room for 4 × LENGTH positions. */
void attach_ready(const char *name, struct fake_connection *connection, int max_sequences);

/* Step `step` changes position `step` to the id 10 + step. */
enum status report(struct fake_connection *connection, uint64_t ticket, uint32_t step);
void report_steps(struct fake_connection *connection, uint64_t ticket, uint32_t from, uint32_t to);

struct scheduler_totals totals(void);
/* The state's name of the only replica; NULL: there is none. */
const char *only_state(void);

/* The cases, one per file. */
TCase *requests_case(void);
TCase *replicas_case(void);
TCase *limits_case(void);
TCase *failures_case(void);

#endif
