#ifndef MILLRACE_BENCH_SCALE_REPLICAS_H
#define MILLRACE_BENCH_SCALE_REPLICAS_H

#include "common/rpc/client.h"

/*
 * Fake replicas: each attaches to a coordinator as a real one does (proto/replica.proto), pulses every
 * second, and answers what is submitted without computing anything. Every step changes CHANGES positions.
 * Each replica has a connection of its own; a few threads serve them all.
 */
struct fake_options {
    const char *address, *fingerprint;
    int n_replicas;
    int max_sequences;   /* of each replica; as many again are held for the next boundary */
    int max_tokens;      /* the same */
    double step_seconds; /* 0: all steps of a run are answered as soon as it is submitted */
};

struct fake_replicas;

/* Attaches all of them and waits until each has been welcomed. The strings must outlive them. */
enum status fake_replicas_start(const struct fake_options *options, struct fake_replicas **replicas,
                                struct error *error);
/* Hangs up and frees. NULL is allowed. */
void fake_replicas_stop(struct fake_replicas *replicas);

/* Frames that all of them have reported so far. */
unsigned long fake_replicas_frames(const struct fake_replicas *replicas);
/* Replicas whose line ended although nobody stopped them. */
int fake_replicas_lost(struct fake_replicas *replicas);

#endif
