#ifndef MILLRACE_WORKER_ENGINE_LAST_WORDS_H
#define MILLRACE_WORKER_ENGINE_LAST_WORDS_H

#include "common/rpc/client.h"
#include "common/status.h"

/*
 * What a rank above 0 tells the coordinator before it takes its replica down. The leader cannot: it is in the
 * middle of an exchange that this rank will not come to, and is killed when this rank exits. So the rank
 * opens a stream of its own, says whose replica fails and why (replica.proto, LoadFailed), and waits for the
 * coordinator to end the stream. The coordinator notes the reason; the loss itself it sees when the leader's
 * connection breaks.
 */
struct last_words {
    const char *coordinator; /* address */
    const struct rpc_security *security;
    const char *replica; /* name */
    const char *launch;  /* as the leader says in its Hello */
    int rank;
    const struct error *why;
};

/* Blocks for `seconds` at most. A coordinator that cannot be reached hears nothing. */
void last_words_say(const struct last_words *words, double seconds);

#endif
