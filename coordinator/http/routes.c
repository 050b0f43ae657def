#include "coordinator/http/routes.h"

#include <stdio.h>
#include <string.h>

#define GENERATE RPC_SCOPE_GENERATE
#define LOOK (RPC_SCOPE_GENERATE | RPC_SCOPE_ADMIN)
#define ANYBODY RPC_SCOPE_ANYBODY

static const struct route routes[] = {
    {"GET", "/", ANYBODY, HTTP_PAGE, page_handle},
    {"GET", "/page.css", ANYBODY, HTTP_PAGE, page_handle},
    {"GET", "/page.js", ANYBODY, HTTP_PAGE, page_handle},
    {"POST", "/v1/completions", GENERATE, HTTP_COMPLETIONS, completions_handle},
    {"POST", "/v1/chat/completions", GENERATE, HTTP_CHAT_COMPLETIONS, chat_completions_handle},
    {"GET", "/v1/models", LOOK, HTTP_MODELS, models_handle},
    {"GET", "/v1/models/*", LOOK, HTTP_MODELS, model_handle},
    {"GET", "/v1/millrace/status", LOOK, HTTP_STATUS, status_handle},
    {"GET", "/metrics", LOOK, HTTP_WATCHERS, watchers_handle},
    {"GET", "/healthz", ANYBODY, HTTP_WATCHERS, watchers_handle},
    {"GET", "/readyz", ANYBODY, HTTP_WATCHERS, watchers_handle},
};
enum { N_ROUTES = sizeof routes / sizeof *routes };

static bool has_path(const struct route *route, const char *path)
{
    size_t size = strlen(route->path);
    if (route->path[size - 1] == '*')
        return !strncmp(route->path, path, size - 1) && path[size - 1];
    return !strcmp(route->path, path);
}

static bool has_method(const struct route *route, const char *method)
{
    return !strcmp(route->method, method) || (!strcmp(route->method, "GET") && !strcmp(method, "HEAD"));
}

const struct route *routes_find(const char *method, const char *path, char *methods, size_t size)
{
    *methods = '\0';
    for (int i = 0; i < N_ROUTES; i++) {
        const struct route *route = &routes[i];
        size_t used = strlen(methods);
        if (!has_path(route, path))
            continue;
        if (has_method(route, method))
            return route;
        snprintf(methods + used, size - used, "%s%s%s", used ? ", " : "", route->method,
                 !strcmp(route->method, "GET") ? ", HEAD" : "");
    }
    return NULL;
}
