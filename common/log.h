#ifndef MILLRACE_COMMON_LOG_H
#define MILLRACE_COMMON_LOG_H

/*
 * One line per event on standard error, either for people
 *     12:03:04.512 info  coordinator: replica r0 attached (2 ranks)
 * or, with MILLRACE_LOG_FORMAT=json, one JSON object per line for machines
 *     {"time":"2026-11-21T12:03:04.512Z","level":"info","program":"coordinator","message":"..."}
 * MILLRACE_LOG=debug|info|warning|error sets the least level that is written.
 * Thread-safe: a line is one write(2). Never log prompts, texts or tokens of requests.
 */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Call once at the start of main; `program` must outlive the process ("worker 1/2"). Reads the environment. */
void log_open(const char *program);

/* The least level written, unless MILLRACE_LOG says otherwise. Default LOG_INFO. */
void log_set_level(enum log_level level);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
