#include "worker/collective/shared_word.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LOOKS_A_TIME = 32 }; /* between two readings of the clock */

void shared_word_raise(struct shared_word *word)
{
    atomic_fetch_add(&word->value, 1);
    if (atomic_load(&word->n_sleeping) > 0)
        syscall(SYS_futex, &word->value, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Tells the processor that this is a loop that waits. */
static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool spin(struct shared_word *word, uint32_t seen, bool offers_core)
{
    for (int64_t end = now_us() + SHARED_WORD_SPIN_US; now_us() < end;) {
        for (int i = 0; i < (offers_core ? 1 : LOOKS_A_TIME); i++) {
            if (atomic_load_explicit(&word->value, memory_order_acquire) != seen)
                return true;
            relax();
        }
        if (offers_core)
            sched_yield();
    }
    return false;
}

/* Returns after that time, when the value changed, or at a signal. */
static void sleep_on(struct shared_word *word, uint32_t seen, int64_t ms)
{
    const struct timespec limit = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    atomic_fetch_add(&word->n_sleeping, 1);
    syscall(SYS_futex, &word->value, FUTEX_WAIT, seen, &limit, NULL, 0);
    atomic_fetch_sub(&word->n_sleeping, 1);
}

bool shared_word_wait(struct shared_word *word, uint32_t seen, const struct shared_word_waiting *waiting)
{
    if (spin(word, seen, waiting->offers_core))
        return true;
    int64_t look_at = now_us() + SHARED_WORD_LOOK_FIRST_MS * 1000;
    while (atomic_load(&word->value) == seen) {
        int64_t left_us = look_at - now_us();
        if (left_us > 0) {
            sleep_on(word, seen, left_us / 1000 + 1);
            continue;
        }
        if (waiting->look && !waiting->look(waiting->context))
            return false;
        look_at = now_us() + SHARED_WORD_LOOK_MS * 1000;
    }
    return true;
}
