#include "coordinator/monitoring/http_counts.h"

#include <stdio.h>

static const char *const subjects[HTTP_SUBJECT_COUNT] = {
    [HTTP_COMPLETIONS] = "/v1/completions",
    [HTTP_CHAT_COMPLETIONS] = "/v1/chat/completions",
    [HTTP_MODELS] = "/v1/models",
    [HTTP_STATUS] = "/v1/millrace/status",
    [HTTP_PAGE] = "/",
    [HTTP_WATCHERS] = "watchers",
    [HTTP_OTHER] = "other",
};

/* Every code that the door answers with; the last stands for all others. */
static const unsigned codes[HTTP_CODE_COUNT] = {200, 204, 304, 400, 401, 403, 404, 405, 408, 409,
                                                413, 415, 429, 431, 499, 500, 501, 503, 504, 0};

static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                0.5,   1,      2.5,   5,    10,    25,   60,  300};

void http_counts_init(struct http_counts *counts)
{
    histogram_init(&counts->seconds, bounds, sizeof bounds / sizeof *bounds, 1e-9);
}

void http_counts_answer(struct http_counts *counts, enum http_subject subject, unsigned code, double seconds)
{
    int index = 0;
    while (codes[index] && codes[index] != code)
        index++;
    atomic_fetch_add_explicit(&counts->answers[subject][index], 1, memory_order_relaxed);
    if (subject == HTTP_COMPLETIONS)
        histogram_observe(&counts->seconds, seconds);
}

static void write_answers(const struct http_counts *counts, struct exposition *page)
{
    exposition_family(page, "millrace_http_answers_total", "counter",
                      "Answers of the HTTP door, by what was asked and the code.");
    for (int subject = 0; subject < HTTP_SUBJECT_COUNT; subject++) {
        for (int index = 0; index < HTTP_CODE_COUNT; index++) {
            char code[16] = "other";
            uint64_t n = atomic_load_explicit(&counts->answers[subject][index], memory_order_relaxed);
            if (codes[index])
                snprintf(code, sizeof code, "%u", codes[index]);
            if (n || codes[index] == 200)
                exposition_sample(page, "millrace_http_answers_total", (double)n, "path", subjects[subject],
                                  "code", code, NULL);
        }
    }
}

static void write_one(struct exposition *page, const char *name, const char *type, const char *help,
                      double value)
{
    exposition_family(page, name, type, help);
    exposition_sample(page, name, value, NULL);
}

void http_counts_write(const struct http_counts *counts, struct exposition *page)
{
    write_one(page, "millrace_http_connections", "gauge", "Open connections of the HTTP door.",
              atomic_load(&counts->connections));
    write_answers(counts, page);
    write_one(page, "millrace_http_left_total", "counter",
              "Clients of the HTTP door that left before their answer was whole.",
              (double)atomic_load(&counts->left));
    write_one(page, "millrace_http_cut_total", "counter",
              "Connections that the HTTP door hung up on: too slow, or silent for too long.",
              (double)atomic_load(&counts->cut));
    histogram_write(&counts->seconds, "millrace_http_completion_seconds",
                    "From the head of a request for completions to the end of its answer.", page);
}
