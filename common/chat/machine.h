#ifndef MILLRACE_COMMON_CHAT_MACHINE_H
#define MILLRACE_COMMON_CHAT_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"
#include "common/tokenizer/byte_store.h"

/*
 * What parsing and running a template share: memory, and bounds, since a template may be hostile. The first
 * error stays; whoever works on looks at `status` where it goes on for long.
 */
struct machine {
    struct byte_store store;
    size_t memory; /* bytes taken */
    size_t steps;  /* nodes evaluated, items gone through */
    enum status status;
    struct error *error; /* may be NULL */
    int line;            /* of the template, for the error */
    void *spare[8];      /* zeros: stands for what there was no memory for */
};

enum { MACHINE_MEMORY_MAX = 256 << 20, MACHINE_STEPS_MAX = 2000000 };

/* Memory that lives as long as the machine; NULL after an error. */
void *bounded_take(struct machine *machine, size_t n);

/* Counts; false after an error or too many. */
bool bounded_step(struct machine *machine, size_t n);

/* Remembers the first error: "line N: ...". INVALID_ARGUMENT */
void bounded_fail(struct machine *machine, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool bounded_failed(const struct machine *machine);
void bounded_release(struct machine *machine);

#endif
