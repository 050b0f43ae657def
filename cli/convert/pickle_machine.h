#ifndef MILLRACE_CLI_CONVERT_PICKLE_MACHINE_H
#define MILLRACE_CLI_CONVERT_PICKLE_MACHINE_H

#include "cli/convert/pickle.h"

/* The parts of the machine that its operations are written in. Only pickle.c, pickle_operations.c
 * and pickle_opaque.c use them. */
enum { MARKS_MAX = 1000 };

struct arena_chunk; /* a linked list of blocks */

struct pickle {
    struct arena_chunk *chunks;
    size_t used_bytes, most_bytes; /* of the arena */
    struct pickle_value *root;
};

struct value_array {
    struct pickle_value **values;
    size_t n, room;
};

struct machine {
    const unsigned char *bytes;
    size_t size_bytes, at; /* at: the next byte */
    size_t opcode_at;      /* for messages */
    struct pickle *pickle;
    struct value_array stack, memo;
    size_t marks[MARKS_MAX]; /* heights of the stack */
    size_t n_marks;
    bool stopped;
    struct error *error;
};

/* INVALID_ARGUMENT "pickle, byte N: ..." */
enum status machine_fail(struct machine *machine, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The next n bytes of the program. */
enum status machine_take(struct machine *machine, uint64_t n, const unsigned char **bytes);

/* A little-endian whole number of n bytes, n at most 8. */
enum status machine_take_number(struct machine *machine, size_t n, uint64_t *number);

/* Zeroed memory that lives as long as the pickle. */
enum status machine_allocate(struct machine *machine, size_t size_bytes, void **memory);

/* A new value, pushed. */
enum status machine_push(struct machine *machine, struct pickle_value value);
enum status machine_push_same(struct machine *machine, struct pickle_value *value);

/* The uppermost value. A value below the last mark is not reached. */
enum status machine_pop(struct machine *machine, struct pickle_value **value);
enum status machine_top(struct machine *machine, struct pickle_value **value);

/* Removes the last mark. The values above it are values[first] to values[stack.n - 1]. */
enum status machine_pop_mark(struct machine *machine, size_t *first);

enum status value_array_append(struct machine *machine, struct value_array *array,
                               struct pickle_value *value);

void arena_free(struct arena_chunk *chunks);

#endif
