#ifndef MILLRACE_CLI_CLUSTER_STATUS_TABLE_H
#define MILLRACE_CLI_CLUSTER_STATUS_TABLE_H

#include <stdio.h>

#include "proto/millrace.pb-c.h"

/* The page of `millrace status`, for people. */
void status_table_print(const char *endpoint, const Millrace__V1__StatusResponse *status,
                        const Millrace__V1__Model *model, FILE *out);

#endif
