#ifndef MILLRACE_COORDINATOR_REQUEST_CHOICES_H
#define MILLRACE_COORDINATOR_REQUEST_CHOICES_H

#include "common/model/config.h"
#include "common/status.h"
#include "coordinator/request/generate_options.h"

/* How a request is to be written: the options about that, checked and with every default filled in. */
struct request_choices {
    int steps_most;  /* without steps_least: the number of steps */
    int steps_least; /* of automatic steps, which are chosen when the request is accepted; 0: not automatic */
    int steps_default; /* of the model */
    uint64_t seed;
    float temperature;
    enum solver solver;
    bool revise;
    uint32_t most_changes; /* of a step; 0: no limit */
};

/* Checks those options. INVALID_ARGUMENT names the field, its value and the limit. */
enum status choices_make(const struct generate_options *options, const struct model_config *config,
                         struct request_choices *choices, struct error *error);

/* Checks that the steps suffice for a text of that length; raises the least of automatic ones. */
enum status choices_check_length(const struct model_config *config, int length,
                                 struct request_choices *choices, struct error *error);

#endif
