#include "common/log.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warning", "error"};

/* Written by log_open before any thread starts, read-only afterwards. */
static struct {
    const char *program;
    enum log_level level;
    bool level_from_environment;
    bool json;
} settings = {.program = "millrace", .level = LOG_INFO};

void log_open(const char *program)
{
    settings.program = program;
    const char *format = getenv("MILLRACE_LOG_FORMAT");
    settings.json = format && !strcmp(format, "json");
    const char *level = getenv("MILLRACE_LOG");
    for (unsigned i = 0; level && i < sizeof level_names / sizeof *level_names; i++) {
        if (!strcmp(level, level_names[i])) {
            settings.level = (enum log_level)i;
            settings.level_from_environment = true;
        }
    }
}

void log_set_level(enum log_level level)
{
    if (!settings.level_from_environment)
        settings.level = level;
}

static void write_line(const char *line, size_t size_bytes)
{
    ssize_t written = write(STDERR_FILENO, line, size_bytes);
    (void)written; /* nobody is left to tell */
}

static void write_json(enum log_level level, const char *message)
{
    struct timespec now;
    struct tm parts;
    char stamp[40], with_ms[56];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(with_ms, sizeof with_ms, "%s.%03ldZ", stamp, now.tv_nsec / 1000000);
    json_t *line = json_pack("{s:s, s:s, s:s, s:s%}", "time", with_ms, "level", level_names[level], "program",
                             settings.program, "message", message, strlen(message));
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    if (text) {
        size_t size = strlen(text);
        text[size] = '\n'; /* over the terminator: one write for the whole line */
        write_line(text, size + 1);
    }
    free(text);
    json_decref(line);
}

static void write_text(enum log_level level, const char *message)
{
    struct timespec now;
    struct tm parts;
    char clock[16], line[2304];
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    strftime(clock, sizeof clock, "%H:%M:%S", &parts);
    int size = snprintf(line, sizeof line, "%s.%03ld %-7s %s: %s\n", clock, now.tv_nsec / 1000000,
                        level_names[level], settings.program, message);
    if (size >= (int)sizeof line) {
        size = sizeof line - 1;
        line[size - 1] = '\n';
    }
    write_line(line, (size_t)size);
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level < settings.level)
        return;
    char message[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (settings.json)
        write_json(level, message);
    else
        write_text(level, message);
}
