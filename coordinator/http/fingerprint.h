#ifndef MILLRACE_COORDINATOR_HTTP_FINGERPRINT_H
#define MILLRACE_COORDINATOR_HTTP_FINGERPRINT_H

#include <stddef.h>

#include "coordinator/services/services.h"

/* Names what writes a text: the model, the precision and the version of the program, as
 * "books-mini/f32/0.1.0". The precision is that of the first replica that is ready, else the one that
 * replicas are started with. The same fingerprint and seed give the same text. */
void fingerprint_write(struct coordinator *coordinator, char *text, size_t size);

#endif
