#ifndef MILLRACE_COORDINATOR_SUPERVISION_READINESS_H
#define MILLRACE_COORDINATOR_SUPERVISION_READINESS_H

#include <stdbool.h>

#include "common/status.h"

/* Tells the program that started us where we listen: one line "ADDRESS\n", once, when the first replica is
 * ready. */
struct readiness {
    const char *file; /* written whole under this name; NULL: none */
    int descriptor;   /* written and closed; -1: none */
    bool told;
};

/* The first call writes; later ones do nothing. A failure is logged: the cluster itself is fine. */
void readiness_tell(struct readiness *readiness, const char *address);

/* True: a program waits to be told and has not been told. */
bool readiness_awaited(const struct readiness *readiness);

#endif
