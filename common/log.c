#include "common/log.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log_queue.h"
#include "common/utf8.h"

enum { LINE_MAX_BYTES = 3072, MESSAGE_MAX_BYTES = 2048 };

#define CLOSE_SECONDS 1.0 /* for a reader that is behind when the program ends */

static const char *const level_names[] = {"debug", "info", "warning", "error"};
static const struct log_field no_fields[] = {{0}};

/* Written by log_open, log_set_format and log_queue_lines before any thread starts, read-only until
 * log_close. */
static struct {
    const char *program;
    enum log_level level;
    bool level_from_environment;
    bool json;
    struct log_queue *queue; /* NULL: the thread that logs also writes */
} settings = {.program = "millrace", .level = LOG_INFO};

void log_open(const char *program)
{
    settings.program = program;
    const char *level = getenv("MILLRACE_LOG");
    for (unsigned i = 0; level && i < sizeof level_names / sizeof *level_names; i++) {
        if (!strcmp(level, level_names[i])) {
            settings.level = (enum log_level)i;
            settings.level_from_environment = true;
        }
    }
}

enum status log_set_format(const char *format, struct error *error)
{
    if (!format || !*format)
        return STATUS_OK;
    if (strcmp(format, "text") && strcmp(format, "json"))
        return error_set(error, STATUS_INVALID_ARGUMENT, "--log-format: \"%.40s\" is neither text nor json",
                         format);
    settings.json = !strcmp(format, "json");
    return STATUS_OK;
}

void log_set_level(enum log_level level)
{
    if (!settings.level_from_environment)
        settings.level = level;
}

static void write_line(const char *line, size_t size_bytes)
{
    if (settings.queue) {
        log_queue_put(settings.queue, line, size_bytes);
        return;
    }
    ssize_t written = write(STDERR_FILENO, line, size_bytes);
    (void)written; /* nobody is left to tell */
}

static bool is_left_out(const struct log_field *field)
{
    return field->text ? !*field->text : isnan(field->number);
}

/* ---- for machines ---- */

static json_t *json_of_field(const struct log_field *field)
{
    char text[MESSAGE_MAX_BYTES];
    if (field->text) {
        snprintf(text, sizeof text, "%s", field->text);
        utf8_make_printable(text);
        return json_string(text);
    }
    bool whole = field->number == floor(field->number) && fabs(field->number) < 0x1p53;
    return whole ? json_integer((json_int_t)field->number) : json_real(field->number);
}

static json_t *json_of_line(enum log_level level, const char *message)
{
    struct timespec now;
    struct tm parts;
    char stamp[40], with_ms[56];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(with_ms, sizeof with_ms, "%s.%03ldZ", stamp, now.tv_nsec / 1000000);
    return json_pack("{s:s, s:s, s:s, s:s}", "time", with_ms, "level", level_names[level], "program",
                     settings.program, "message", message);
}

static void write_json(enum log_level level, const char *message, const struct log_field *field)
{
    json_t *line = json_of_line(level, message);
    for (; field->name; field++)
        if (!is_left_out(field))
            json_object_set_new(line, field->name, json_of_field(field));
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    if (text) {
        size_t size = strlen(text);
        text[size] = '\n'; /* over the terminator: one write for the whole line */
        write_line(text, size + 1);
    }
    free(text);
    json_decref(line);
}

/* ---- for people ---- */

/* A line that is cut where it does not fit. */
struct line {
    char text[LINE_MAX_BYTES];
    size_t size;
};

static void put(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct line *line, const char *format, ...)
{
    size_t room = sizeof line->text - line->size;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line->text + line->size, room, format, arguments);
    va_end(arguments);
    line->size += size < 0 ? 0 : (size_t)size < room ? (size_t)size : room - 1;
}

static void put_quoted(struct line *line, const char *text)
{
    put(line, "\"");
    for (; *text; text++)
        put(line, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    put(line, "\"");
}

/* A text with blanks or quotes stands in quotes, so that its end can be seen. */
static void put_field(struct line *line, const struct log_field *field)
{
    if (!field->text)
        put(line, " %s=%.9g", field->name, field->number);
    else if (!strpbrk(field->text, " \"="))
        put(line, " %s=%s", field->name, field->text);
    else {
        put(line, " %s=", field->name);
        put_quoted(line, field->text);
    }
}

static void write_text(enum log_level level, const char *message, const struct log_field *field)
{
    struct timespec now;
    struct tm parts;
    char clock[16];
    struct line line = {.size = 0};
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    strftime(clock, sizeof clock, "%H:%M:%S", &parts);
    put(&line, "%s.%03ld %-7s %s: %s", clock, now.tv_nsec / 1000000, level_names[level], settings.program,
        message);
    for (; field->name; field++)
        if (!is_left_out(field))
            put_field(&line, field);
    utf8_make_printable(line.text);
    line.text[line.size] = '\n'; /* over the terminator */
    write_line(line.text, line.size + 1);
}

/* ---- either ---- */

static void write_event(enum log_level level, const char *message, const struct log_field *fields)
{
    if (settings.json)
        write_json(level, message, fields);
    else
        write_text(level, message, fields);
}

static void tell_dropped(void)
{
    uint64_t dropped = settings.queue ? log_queue_take_dropped(settings.queue) : 0;
    if (dropped)
        write_event(LOG_WARNING, "log lines were dropped: their reader is too slow",
                    (struct log_field[]){{"dropped", NULL, (double)dropped}, {0}});
}

void log_event(enum log_level level, const char *message, const struct log_field *fields)
{
    if (level < settings.level)
        return;
    tell_dropped();
    write_event(level, message, fields);
}

enum status log_queue_lines(struct error *error)
{
    settings.queue = log_queue_open(STDERR_FILENO);
    return settings.queue ? STATUS_OK
                          : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory or thread for the log");
}

void log_close(void)
{
    if (!settings.queue)
        return;
    tell_dropped();
    log_queue_close(settings.queue, CLOSE_SECONDS);
    settings.queue = NULL;
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level < settings.level)
        return;
    char message[MESSAGE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    utf8_make_printable(message);
    log_event(level, message, no_fields);
}
