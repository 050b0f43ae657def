#include "cli/cluster/get_model.h"

#include <stdint.h>

enum status get_model(struct rpc_channel *channel, const char *name, double timeout_s,
                      Millrace__V1__Model **model, struct error *error)
{
    Millrace__V1__GetModelRequest request = MILLRACE__V1__GET_MODEL_REQUEST__INIT;
    ProtobufCMessage *answer = NULL;
    if (name)
        request.model = (char *)(uintptr_t)name;
    enum status status = rpc_unary(channel, "/millrace.v1.Millrace/GetModel", &request.base,
                                   &millrace__v1__model__descriptor, timeout_s, &answer, error);
    if (status == STATUS_OK)
        *model = (Millrace__V1__Model *)answer;
    return status;
}
