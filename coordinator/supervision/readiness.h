#ifndef MILLRACE_COORDINATOR_SUPERVISION_READINESS_H
#define MILLRACE_COORDINATOR_SUPERVISION_READINESS_H

#include <stdbool.h>

#include "common/status.h"

/* Tells whoever started us where we listen, once, when the first replica is ready: one line "ADDRESS\n". */
struct readiness {
    const char *file; /* written whole under this name; NULL: none */
    int descriptor;   /* written and closed; -1: none */
    bool told;
};

/* The first call writes; later ones do nothing. A failure is logged: the cluster itself is fine. */
void readiness_tell(struct readiness *readiness, const char *address);

/* Is there somebody who waits to be told, and has not been? */
bool readiness_awaited(const struct readiness *readiness);

#endif
