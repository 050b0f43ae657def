#ifndef MILLRACE_WORKER_VERIFY_CHECKS_H
#define MILLRACE_WORKER_VERIFY_CHECKS_H

#include "worker/verify/golden.h"
#include "worker/verify/report.h"

/*
 * The checks, one for each kind of file. All ranks call them together and reach the same verdicts. A check
 * puts what it compared into the report. It returns an error when it could not judge the file, and says why.
 */
typedef enum status golden_check(const struct golden *golden, const char *file, struct report *report,
                                 struct error *error);

golden_check
    check_weights; /* a model directory made of them opens: exactly the tensors of the manifest's shape */
golden_check check_forward;    /* logits, float32 and float64, and probabilities */
golden_check check_trace;      /* the values inside a pass, through its observer */
golden_check check_grids;      /* the times of steps, bit for bit */
golden_check check_steps;      /* of single steps: times, hazard, P(jump), law of the destination */
golden_check check_final_step; /* the law of the last step and what it may overwrite */
golden_check
    check_trajectory;     /* every token of every step of whole texts, with the reference's random numbers */
golden_check check_draws; /* our random numbers against the exact laws, by chi-square */

#endif
