#ifndef MILLRACE_COMMON_LOG_H
#define MILLRACE_COMMON_LOG_H

#include "common/status.h"

/*
 * One line per event on standard error, either for people
 *     12:03:04.512 info    coordinator: request finished request=12 replica=r0 seconds=0.215
 * or, with --log-format json (MILLRACE_LOG_FORMAT=json), one JSON object per line for machines
 *     {"time":"2026-11-21T12:03:04.512Z","level":"info","program":"coordinator","message":"request finished",
 *      "request":"12","replica":"r0","seconds":0.215}
 * MILLRACE_LOG=debug|info|warning|error sets the least level that is written.
 * Thread-safe: a line is one write(2). That blocks while the reader does, unless log_queue_lines was called.
 * Text from outside cannot forge lines: control characters and bytes that are not UTF-8 are replaced. Never
 * log prompts, texts, tokens of requests or secrets.
 */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Call once at the start of main; `program` must outlive the process ("r0.1"). Reads MILLRACE_LOG. */
void log_open(const char *program);

/* "text" or "json"; before any other thread starts. INVALID_ARGUMENT for anything else. NULL and ""
 * change nothing. */
enum status log_set_format(const char *format, struct error *error);

/* The least level written, unless MILLRACE_LOG says otherwise. Default LOG_INFO. */
void log_set_level(enum log_level level);

/*
 * From now on a thread of its own writes the lines. So no thread that logs waits for the reader of standard
 * error, such as a terminal that is stopped or a collector that hangs. Lines above a bound are dropped, and a
 * later line says how many. Call before any other thread starts.
 */
enum status log_queue_lines(struct error *error);
/* Writes the lines that wait, for a second at most. Call at the end of main, when no other thread logs. */
void log_close(void);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

/* A value that people search logs for: a text, or a number where text is NULL. "" and NAN are left out. */
struct log_field {
    const char *name; /* letters, digits and '_' */
    const char *text;
    double number;
};

/* A line with fields; the array ends with .name = NULL. `message` is a fixed sentence: what differs is in the
 * fields. log_event(LOG_INFO, "request finished", (struct log_field[]){{"request", "12"}, {"steps", NULL, 8},
 * {0}}); */
void log_event(enum log_level level, const char *message, const struct log_field *fields);

#endif
