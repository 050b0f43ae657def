#ifndef MILLRACE_COORDINATOR_HTTP_PROBLEM_H
#define MILLRACE_COORDINATOR_HTTP_PROBLEM_H

#include <jansson.h>

#include "common/status.h"
#include "coordinator/http/exchange.h"

/*
 * What went wrong, as OpenAI's API says it:
 *
 *     {"error": {"message": "temperature: 200 is not from 0.01 to 100", "type": "invalid_request_error",
 *                "param": "temperature", "code": null}}
 */
struct problem {
    unsigned http_code; /* 0: the one of the status */
    const char *param;  /* the field; NULL: the message begins with it, or it is none */
    const char *code;   /* NULL: the one of the status */
};

/* 400 for INVALID_ARGUMENT, 429 for RESOURCE_EXHAUSTED, 503 for UNAVAILABLE and so on. */
unsigned problem_http_code(enum status status);

/* The body. NULL: no memory. `problem` may be NULL. */
json_t *problem_json(const struct error *error, const struct problem *problem);

/* Answers with the error; with RESOURCE_EXHAUSTED comes Retry-After, where the error has a time. */
void problem_answer(struct exchange *exchange, const struct error *error, const struct problem *problem);

/* Answers with JSON; takes it over. */
void json_answer(struct exchange *exchange, unsigned code, json_t *json);

#endif
