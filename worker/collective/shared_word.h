#ifndef MILLRACE_WORKER_COLLECTIVE_SHARED_WORD_H
#define MILLRACE_WORKER_COLLECTIVE_SHARED_WORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A number in memory that processes share, which one raises and others wait for.
 *
 * Who waits looks for SHARED_WORD_SPIN_US microseconds, which is longer than another rank is behind when both
 * have a core. Then it sleeps in the kernel (futex), so a rank that shares its core with others, or waits for
 * work, leaves the core to them. Who raises the word enters the kernel only where somebody sleeps. Where
 * there are more ranks than cores, a rank that looks offers its core to others between two looks: who is to
 * raise the word may wait for one.
 *
 * A sleeper is counted before its last look at the value, and the value changes before the count is read.
 * Both are sequentially consistent, so one of the two always sees the other.
 */
struct shared_word {
    _Alignas(64) atomic_uint value;
    atomic_uint n_sleeping;
};

enum { SHARED_WORD_SPIN_US = 30 };

/* Adds one to the value, and wakes all that wait for it. */
void shared_word_raise(struct shared_word *word);

/* How to wait. */
struct shared_word_waiting {
    bool offers_core;            /* between two looks */
    bool (*look)(void *context); /* may be NULL */
    void *context;
};

/*
 * Waits until the value is another one than `seen`. Calls `look`, unless it is NULL, after LOOK_FIRST_MS and
 * then every LOOK_MS; if that returns false, the wait ends. Returns whether the value is another one.
 */
enum { SHARED_WORD_LOOK_FIRST_MS = 2, SHARED_WORD_LOOK_MS = 100 };
bool shared_word_wait(struct shared_word *word, uint32_t seen, const struct shared_word_waiting *waiting);

#endif
