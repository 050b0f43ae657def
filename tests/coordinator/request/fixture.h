#ifndef MILLRACE_TESTS_COORDINATOR_REQUEST_FIXTURE_H
#define MILLRACE_TESTS_COORDINATOR_REQUEST_FIXTURE_H

#include "coordinator/request/served_model.h"

/* The demonstration model of the tree (V 2048, trained length 128), opened for a test. */
void open_demonstration_model(struct served_model *model);

#endif
