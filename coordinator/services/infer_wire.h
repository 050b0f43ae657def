#ifndef MILLRACE_COORDINATOR_SERVICES_INFER_WIRE_H
#define MILLRACE_COORDINATOR_SERVICES_INFER_WIRE_H

#include "common/status.h"
#include "coordinator/request/generate_options.h"
#include "coordinator/request/request_sink.h"
#include "coordinator/request/served_model.h"
#include "proto/inference.pb-c.h"

/*
 * The Open Inference Protocol's messages (proto/inference.proto) as what the rest of the coordinator knows.
 *
 *     inputs    text_input   BYTES [1]   the beginning of the text, which is pinned; may be empty
 *               suffix       BYTES [1]   its end, pinned too: what lies between is written (may be left out)
 *     outputs   text_output  BYTES [1]   the whole text, as UTF-8
 *               output_ids   UINT32 [length]
 *               changed_step UINT32 [length]   the step that last changed the position; 0: the starting state
 *               seed         UINT64 [1]
 *
 * A shape of [1, 1] is as good as [1]: Triton's clients add a batch. The parameters of a request are those of
 * GenerateRequest by their names, and the client library's own `timeout` (microseconds) and `priority` (1
 * high, 0 and 2 normal, 3 low). Nothing is ignored: a tensor or a parameter that is not known is refused by
 * name.
 */
struct infer_wire {
    struct generate_options options; /* of the terms only the class */
    struct generate_segment segments[3];
    char *text, *suffix;    /* NULL: not there */
    double timeout_seconds; /* INFINITY: none was asked for */
    bool frames;            /* every frame is to be told, not the end alone */
};

/* INVALID_ARGUMENT names the tensor or the parameter. After STATUS_OK the caller releases the result; the
 * message must live as long. */
enum status infer_wire_read(const Inference__ModelInferRequest *message, struct infer_wire *wire,
                            struct error *error);
void infer_wire_release(struct infer_wire *wire);

/* A bit for each output, in the order of the table above. */
enum { INFER_TEXT = 1, INFER_IDS = 2, INFER_CHANGED = 4, INFER_SEED = 8, INFER_ALL = 15 };

/* Which outputs a request wants: those that it names, or all. INVALID_ARGUMENT: a name that is none. */
enum status infer_wire_outputs(const Inference__ModelInferRequest *message, unsigned *outputs,
                               struct error *error);

/* A text on its way, or at its end. */
struct infer_answer {
    const char *id;       /* the client's own, of the request */
    const char *request;  /* our id of it, as in the logs */
    unsigned outputs;     /* which are told */
    uint32_t step, steps; /* the state after that step */
    bool final;           /* nothing follows for this request */
    int length;
    const int32_t *ids;           /* [length] */
    const uint32_t *changed_step; /* [length] */
    uint64_t seed;
};

/* The packed form of an answer. send is called once with the message, which lives until it returns. */
enum status infer_wire_answer(const struct served_model *model, const struct infer_answer *answer,
                              void (*send)(void *context, const Inference__ModelInferResponse *message),
                              void *context, struct error *error);

/* Sets what GetModel would say, in the protocol's words. The message points into static tables and `model`.
 */
void infer_wire_metadata(const struct served_model *model, Inference__ModelMetadataResponse *message);

/* The one version of a model that there is; "" means that one. */
extern const char infer_model_version[];

#endif
