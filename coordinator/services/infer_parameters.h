#ifndef MILLRACE_COORDINATOR_SERVICES_INFER_PARAMETERS_H
#define MILLRACE_COORDINATOR_SERVICES_INFER_PARAMETERS_H

#include "coordinator/services/infer_wire.h"

/* Reads the parameters of a request into wire->options, timeout_seconds and frames. INVALID_ARGUMENT names
 * the parameter: one that is not known, of another type, or out of what any option can hold. All other checks
 * are request_create's. */
enum status infer_parameters_read(const Inference__ModelInferRequest *message, struct infer_wire *wire,
                                  struct error *error);

#endif
