#ifndef MILLRACE_COORDINATOR_HTTP_ANSWER_HEADERS_H
#define MILLRACE_COORDINATOR_HTTP_ANSWER_HEADERS_H

#include <microhttpd.h>

#include "common/status.h"

/*
 * Headers that every answer has: nothing is stored or guessed, no page of another origin embeds it, and the
 * page may load nothing but itself. With --http-allow-origin pages of that origin may read answers (CORS).
 */
struct answer_headers {
    const char *allow_origin; /* NULL: no other origin */
};

/* INVALID_ARGUMENT: --http-allow-origin is neither "*" nor an origin such as https://example.org. */
enum status answer_headers_init(struct answer_headers *headers, const char *allow_origin,
                                struct error *error);

/* `origin`: of the request; NULL: it has none. */
void answer_headers_add(const struct answer_headers *headers, const char *origin,
                        struct MHD_Response *response);

#endif
