#include "coordinator/supervision/launch_environment.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_ADDED = 3 };

static bool begins(const char *entry, const char *prefix)
{
    return !strncmp(entry, prefix, strlen(prefix));
}

static bool is_ours(const char *entry)
{
    return begins(entry, "MILLRACE_TLS_") || begins(entry, "MILLRACE_TOKEN") ||
           begins(entry, "MILLRACE_READY_FILE=");
}

static bool is_set(const char *name)
{
    return getenv(name) != NULL;
}

static char *token_entry(const char *token)
{
    char *entry = NULL;
    return asprintf(&entry, "MILLRACE_TOKEN=%s", token) < 0 ? NULL : entry;
}

/* Appends a copy; false: no memory. */
static bool add(char **environment, size_t *n, char *entry)
{
    environment[*n] = entry;
    *n += entry != NULL;
    return entry != NULL;
}

static bool fill(char **environment, const char *token)
{
    static const char *const root[] = {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"};
    size_t n = 0;
    bool good = true;
    for (char **entry = environ; *entry && good; entry++)
        good = is_ours(*entry) || add(environment, &n, strdup(*entry));
    for (int i = 0; i < 2 && good; i++) { /* containers run as root; mpirun wants both */
        char *entry = NULL;
        good = is_set(root[i]) || (asprintf(&entry, "%s=1", root[i]) > 0 && add(environment, &n, entry));
    }
    return good && (!token || add(environment, &n, token_entry(token)));
}

char **launch_environment_create(const char *token)
{
    size_t n = 0;
    while (environ[n])
        n++;
    char **environment = calloc(n + N_ADDED + 1, sizeof *environment);
    if (environment && fill(environment, token))
        return environment;
    launch_environment_free(environment);
    return NULL;
}

void launch_environment_free(char **environment)
{
    for (char **entry = environment; entry && *entry; entry++) {
        explicit_bzero(*entry, strlen(*entry));
        free(*entry);
    }
    free(environment);
}
