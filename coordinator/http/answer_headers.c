#include "coordinator/http/answer_headers.h"

#include <stdbool.h>
#include <string.h>

static const struct {
    const char *name, *value;
} fixed[] = {
    {"Cache-Control", "no-store"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Embedder-Policy", "require-corp"},
};

/* SCHEME://HOST[:PORT], with nothing behind it. */
static bool is_origin(const char *text)
{
    const char *host = strstr(text, "://");
    return host && host > text && host[3] && !strpbrk(host + 3, "/?#@ ,");
}

enum status answer_headers_init(struct answer_headers *headers, const char *allow_origin, struct error *error)
{
    *headers = (struct answer_headers){allow_origin};
    if (!allow_origin || !strcmp(allow_origin, "*") || is_origin(allow_origin))
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "--http-allow-origin: \"%.100s\" is neither * nor an origin such as https://example.org",
                     allow_origin);
}

static void add_cors(const struct answer_headers *headers, const char *origin, struct MHD_Response *response)
{
    bool is_any = !strcmp(headers->allow_origin, "*");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "cross-origin");
    MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Origin");
    if (!is_any && strcmp(headers->allow_origin, origin) != 0)
        return;
    MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, headers->allow_origin);
    MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET, POST");
    MHD_add_response_header(response, "Access-Control-Allow-Headers", "authorization, *");
    MHD_add_response_header(response, "Access-Control-Expose-Headers",
                            "retry-after, retry-after-ms, traceparent, x-request-id");
    MHD_add_response_header(response, "Access-Control-Max-Age", "600");
}

void answer_headers_add(const struct answer_headers *headers, const char *origin,
                        struct MHD_Response *response)
{
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        MHD_add_response_header(response, fixed[i].name, fixed[i].value);
    if (headers->allow_origin && origin)
        add_cors(headers, origin, response);
    else
        MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
}
