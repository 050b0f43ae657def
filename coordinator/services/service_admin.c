/* Millrace's methods that change the cluster: DrainReplica. */
#include "common/log.h"
#include "coordinator/services/services.h"
#include "proto/millrace.pb-c.h"

/* A replica that we start again reads the model anew, and is refused if that is another one by now: then it
 * must not leave in the first place. What others start may have its model elsewhere. */
static enum status check_restart(struct coordinator *coordinator,
                                 const Millrace__V1__DrainReplicaRequest *request, struct error *error)
{
    if (!request->restart || !scheduler_is_supervised(coordinator->scheduler, request->replica))
        return STATUS_OK;
    enum status status = served_model_check_unchanged(coordinator->model, error);
    return status == STATUS_OK ? status : error_prefix(error, "replica %s", request->replica);
}

void drain_on_call(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    const Millrace__V1__DrainReplicaRequest *request = (const void *)message;
    struct coordinator *coordinator = context;
    Millrace__V1__DrainReplicaResponse response = MILLRACE__V1__DRAIN_REPLICA_RESPONSE__INIT;
    struct error error;
    bool supervised = false;
    if (!request->restart && scheduler_forget(coordinator->scheduler, request->replica)) {
        log_info("%s has the lost replica %s forgotten", rpc_call_caller(call)->name, request->replica);
        response.forgotten = true;
        rpc_reply(call, &response.base);
        return;
    }
    enum status status = check_restart(coordinator, request, &error);
    if (status == STATUS_OK)
        status = scheduler_drain(coordinator->scheduler, request->replica, request->restart, &supervised,
                                 &response.left, &error);
    if (status != STATUS_OK) {
        rpc_fail(call, &error);
        return;
    }
    log_info("%s drains replica %s%s", rpc_call_caller(call)->name, request->replica,
             request->restart ? ", to start it again" : "");
    response.started_here = supervised;
    rpc_reply(call, &response.base);
}
