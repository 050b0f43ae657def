#ifndef MILLRACE_COORDINATOR_REQUEST_REQUEST_H
#define MILLRACE_COORDINATOR_REQUEST_REQUEST_H

#include "coordinator/request/choices.h"
#include "coordinator/request/draft.h"
#include "coordinator/request/generate_options.h"
#include "coordinator/request/request_id.h"
#include "coordinator/request/request_sink.h"
#include "coordinator/request/run.h"
#include "coordinator/request/served_model.h"

/*
 * A request is what a client asked. It consists of runs: a run is one row of ids that a replica refines
 * (run.h). A rule makes one answer of them. Today every request has one run.
 *
 * A request is made by one thread, without a lock. From its acceptance to its end the scheduler's lock guards
 * the runs; terms and choices do not change any more.
 */
struct request {
    struct request_id id; /* drawn when it is accepted */
    struct request_terms terms;
    struct request_choices choices;
    struct run *runs; /* [n_runs] */
    int n_runs;
    const struct request_rule *rule;

    double estimated_seconds; /* until it is finished, when it was accepted; 0: not known */
    struct account *account;  /* of terms.caller; set when it is accepted */
    const struct request_sink *sink;
    void *sink_context;
    struct delivery *delivery; /* scheduler/delivery.h; set when it is accepted */
};

/* How a request's answer comes from its runs. */
struct request_rule {
    /* `finished` has taken its last step. Returns the run whose text is the answer, which ends the request;
     * NULL: others must finish first. */
    const struct run *(*answer)(const struct request *request, const struct run *finished);
};

/* One run; its text is the answer. */
extern const struct request_rule request_rule_single;

/*
 * Checks the options and makes a request of one run from them. INVALID_ARGUMENT (NOT_FOUND for the model)
 * names the field, its value and the limit. Without a seed the operating system draws one. The editable
 * positions start as the model's source has them: drawn from the vocabulary, or all masks.
 */
enum status request_create(const struct generate_options *options, const struct served_model *model,
                           struct request **request, struct error *error);

/* Makes a request of parts that were checked, and takes the draft over as it is. NULL: no memory; the draft
 * is then still the caller's. */
struct request *request_of_draft(const struct request_terms *terms, const struct request_choices *choices,
                                 struct draft *draft);
void request_free(struct request *request); /* NULL is allowed */

/* Positions of all its runs together. */
int64_t request_positions(const struct request *request);
/* Sets the number of steps of all its runs, before they have taken one. */
void request_set_steps(struct request *request, int steps);

#endif
