#ifndef MILLRACE_COORDINATOR_SERVICES_SERVICES_H
#define MILLRACE_COORDINATOR_SERVICES_SERVICES_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/rpc/server.h"
#include "coordinator/monitoring/http_counts.h"
#include "coordinator/monitoring/metrics.h"
#include "coordinator/monitoring/request_lines.h"
#include "coordinator/request/served_model.h"
#include "coordinator/scheduler/scheduler.h"
#include "coordinator/services/offload.h"

/* All that the services of proto/ need to answer. It outlives the server. */
struct coordinator {
    const struct served_model *model;
    struct scheduler *scheduler;
    struct metrics *metrics;
    struct offload *offload;
    const struct rpc_server *server; /* once it is open */
    pthread_mutex_t refusals_lock;   /* guards refusals */
    struct refusal_log refusals;
    struct http_counts http;
    const char *precision;  /* that replicas are started with; "auto" */
    double started_at;      /* monotonic seconds */
    _Atomic double beat_at; /* when the main loop last turned */
};

/* millrace.v1.Millrace, inference.GRPCInferenceService and millrace.replica.v1.Replicas. */
struct rpc_service millrace_service(struct coordinator *coordinator);
struct rpc_service inference_service(struct coordinator *coordinator);
struct rpc_service replicas_service(struct coordinator *coordinator);

/* Methods of millrace.v1.Millrace; each subject has a file. `coordinator` is a struct coordinator. */
void generate_on_call(struct rpc_call *call, const ProtobufCMessage *request, void *coordinator);
void generate_on_close(struct rpc_call *call, bool cancelled, void *coordinator);
void tokenize_on_call(struct rpc_call *call, const ProtobufCMessage *request, void *coordinator);
void detokenize_on_call(struct rpc_call *call, const ProtobufCMessage *request, void *coordinator);
void model_on_call(struct rpc_call *call, const ProtobufCMessage *request, void *coordinator);
void drain_on_call(struct rpc_call *call, const ProtobufCMessage *request, void *coordinator);
void status_on_call(struct rpc_call *call, const ProtobufCMessage *request, void *coordinator);

#endif
