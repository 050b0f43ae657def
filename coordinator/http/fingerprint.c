#include "coordinator/http/fingerprint.h"

#include <stdio.h>
#include <string.h>

/* A replica says "cpu f32". */
static void note_precision(void *context, const struct replica *replica)
{
    char *precision = context;
    const char *space = strrchr(replica->backend, ' ');
    if (!*precision && replica->state == REPLICA_READY && space)
        snprintf(precision, REPLICA_BACKEND_MAX, "%s", space + 1);
}

void fingerprint_write(struct coordinator *coordinator, char *text, size_t size)
{
    char precision[REPLICA_BACKEND_MAX] = "";
    scheduler_each_replica(coordinator->scheduler, note_precision, precision);
    snprintf(text, size, "%s/%s/%s", coordinator->model->config.name,
             *precision ? precision : coordinator->precision, MILLRACE_VERSION);
}
