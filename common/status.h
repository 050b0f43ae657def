#ifndef MILLRACE_COMMON_STATUS_H
#define MILLRACE_COMMON_STATUS_H

/*
 * One status for every function that can fail, and the sentence that goes with it.
 *
 * The values are gRPC's own (grpc/status.h), so that a status found deep in a parser
 * reaches the client as it is. Functions return the status and, where the caller can
 * tell a person about it, fill a struct error: who detects a failure writes the
 * sentence, callers pass both up untouched. Outputs are set only on STATUS_OK.
 */
enum status {
    STATUS_OK = 0,
    STATUS_CANCELLED = 1,
    STATUS_UNKNOWN = 2,
    STATUS_INVALID_ARGUMENT = 3, /* the request or the file is wrong; the same again will fail again */
    STATUS_DEADLINE_EXCEEDED = 4,
    STATUS_NOT_FOUND = 5,
    STATUS_ALREADY_EXISTS = 6,
    STATUS_PERMISSION_DENIED = 7,
    STATUS_RESOURCE_EXHAUSTED = 8, /* memory, queue, descriptors: later it may work */
    STATUS_FAILED_PRECONDITION = 9,
    STATUS_ABORTED = 10,
    STATUS_OUT_OF_RANGE = 11,
    STATUS_UNIMPLEMENTED = 12,
    STATUS_INTERNAL = 13, /* a defect of ours, or a device that failed */
    STATUS_UNAVAILABLE = 14,
    STATUS_DATA_LOSS = 15, /* a file that is damaged */
    STATUS_UNAUTHENTICATED = 16,
};

enum { ERROR_TEXT_MAX = 512 };

/* The sentence for a person: names the field or file, the value and the limit. Always terminated. */
struct error {
    enum status status;
    char text[ERROR_TEXT_MAX];
    int retry_after_ms; /* the same again may work after so long; 0: nobody knows. error_set sets 0 */
};

/* Writes the sentence and returns `status`, so that `return error_set(...)` reads as one thought.
 * `error` may be NULL. Too long a text is cut at the end of a character of UTF-8. */
enum status error_set(struct error *error, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before the sentence that is there; for adding the file's name on the way up. Returns
 * error->status. */
enum status error_prefix(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "INVALID_ARGUMENT" and so on; "UNKNOWN" for a value that is none. */
const char *status_name(enum status status);

#endif
