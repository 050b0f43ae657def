#include "coordinator/http/problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

/* What a status is over HTTP. 499 is nginx' for a client that is gone; nobody reads it. */
static const struct {
    unsigned http_code;
    const char *type, *code;
} kinds[] = {
    [STATUS_OK] = {200, NULL, NULL},
    [STATUS_CANCELLED] = {499, "server_error", "cancelled"},
    [STATUS_UNKNOWN] = {500, "server_error", "unknown"},
    [STATUS_INVALID_ARGUMENT] = {400, "invalid_request_error", NULL},
    [STATUS_DEADLINE_EXCEEDED] = {504, "server_error", "deadline_exceeded"},
    [STATUS_NOT_FOUND] = {404, "invalid_request_error", "not_found"},
    [STATUS_ALREADY_EXISTS] = {409, "invalid_request_error", "already_exists"},
    [STATUS_PERMISSION_DENIED] = {403, "invalid_request_error", "permission_denied"},
    [STATUS_RESOURCE_EXHAUSTED] = {429, "requests", "rate_limit_exceeded"},
    [STATUS_FAILED_PRECONDITION] = {400, "invalid_request_error", "failed_precondition"},
    [STATUS_ABORTED] = {409, "server_error", "aborted"},
    [STATUS_OUT_OF_RANGE] = {400, "invalid_request_error", NULL},
    [STATUS_UNIMPLEMENTED] = {501, "invalid_request_error", "not_implemented"},
    [STATUS_INTERNAL] = {500, "server_error", "internal_error"},
    [STATUS_UNAVAILABLE] = {503, "server_error", "service_unavailable"},
    [STATUS_DATA_LOSS] = {500, "server_error", "data_loss"},
    [STATUS_UNAUTHENTICATED] = {401, "invalid_request_error", "invalid_api_key"},
};

unsigned problem_http_code(enum status status)
{
    return (size_t)status < sizeof kinds / sizeof *kinds ? kinds[status].http_code : 500;
}

/* The field that a sentence begins with ("stop[2]: ..."), without its index. */
static json_t *field_of(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz_0123456789.");
    size_t all = size + strcspn(text + size, ": ");
    if (!size || text[all] != ':')
        return json_null();
    return json_stringn(text, size);
}

json_t *problem_json(const struct error *error, const struct problem *problem)
{
    const struct problem none = {0};
    const struct problem *is = problem ? problem : &none;
    bool about_field = error->status == STATUS_INVALID_ARGUMENT || error->status == STATUS_NOT_FOUND;
    char message[ERROR_TEXT_MAX];
    utf8_copy(message, sizeof message, error->text); /* a value that it quotes may be cut */
    json_t *param = is->param ? json_string(is->param) : about_field ? field_of(error->text) : json_null();
    const char *code = is->code ? is->code : kinds[error->status].code;
    return json_pack("{s:{s:s, s:s, s:o, s:s?}}", "error", "message", message, "type",
                     kinds[error->status].type, "param", param, "code", code);
}

static void set_retry_headers(struct exchange *exchange, const struct error *error)
{
    char text[32];
    snprintf(text, sizeof text, "%d", (error->retry_after_ms + 999) / 1000);
    exchange_set_header(exchange, MHD_HTTP_HEADER_RETRY_AFTER, text);
    snprintf(text, sizeof text, "%d", error->retry_after_ms);
    exchange_set_header(exchange, "retry-after-ms", text);
}

void problem_answer(struct exchange *exchange, const struct error *error, const struct problem *problem)
{
    if (error->retry_after_ms > 0)
        set_retry_headers(exchange, error);
    else if (error->status == STATUS_RESOURCE_EXHAUSTED)
        exchange_set_header(exchange, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (error->status == STATUS_DEADLINE_EXCEEDED) /* OpenAI's client would try it again at once */
        exchange_set_header(exchange, "x-should-retry", "false");
    if (error->status == STATUS_UNAUTHENTICATED)
        exchange_set_header(exchange, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    unsigned code = problem && problem->http_code ? problem->http_code : problem_http_code(error->status);
    json_answer(exchange, code, problem_json(error, problem));
}

void json_answer(struct exchange *exchange, unsigned code, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(json);
    if (!text) {
        text = strdup("{\"error\":{\"message\":\"no memory for the answer\",\"type\":\"server_error\","
                      "\"param\":null,\"code\":null}}");
        code = MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    exchange_answer(exchange, code, "application/json", text, text ? strlen(text) : 0);
}
