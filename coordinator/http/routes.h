#ifndef MILLRACE_COORDINATOR_HTTP_ROUTES_H
#define MILLRACE_COORDINATOR_HTTP_ROUTES_H

#include "coordinator/http/exchange.h"
#include "coordinator/services/services.h"

/* What a method and a path are answered by. A path that ends in "*" stands for all that begin with it. */
struct route {
    const char *method; /* "GET" answers HEAD too */
    const char *path;
    unsigned scopes; /* of enum rpc_scope; RPC_SCOPE_ANYBODY asks nobody */
    enum http_subject subject;
    /* Runs on the server's thread and must not block. It answers, or has another thread answer later. */
    void (*handle)(struct exchange *exchange, struct coordinator *coordinator);
};

/* The route, or NULL with what is wrong: `methods` (of `size` bytes) lists those that the path knows, "":
 * there is no such path. */
const struct route *routes_find(const char *method, const char *path, char *methods, size_t size);

/* Handlers; each subject has a file. */
void completions_handle(struct exchange *exchange, struct coordinator *coordinator);
void chat_completions_handle(struct exchange *exchange, struct coordinator *coordinator);
void models_handle(struct exchange *exchange, struct coordinator *coordinator);
void model_handle(struct exchange *exchange, struct coordinator *coordinator);
void status_handle(struct exchange *exchange, struct coordinator *coordinator);
void page_handle(struct exchange *exchange, struct coordinator *coordinator);
void watchers_handle(struct exchange *exchange, struct coordinator *coordinator);

#endif
