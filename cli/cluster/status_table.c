#include "cli/cluster/status_table.h"

#include <inttypes.h>
#include <string.h>

#include "cli/terminal/view.h"
#include "common/solver.h"
#include "common/utf8.h"

/* "45 s", "12 min", "3 h 12 min", "2 d 5 h" */
static void print_duration(double seconds, FILE *out)
{
    uint64_t s = seconds > 0 ? (uint64_t)seconds : 0;
    if (s < 60)
        fprintf(out, "%" PRIu64 " s", s);
    else if (s < 3600)
        fprintf(out, "%" PRIu64 " min", s / 60);
    else if (s < 86400)
        fprintf(out, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
    else
        fprintf(out, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
}

/* "3.0 million", "1.3 billion" */
static void print_count(uint64_t count, FILE *out)
{
    if (count >= 1000000000)
        fprintf(out, "%.1f billion", (double)count * 1e-9);
    else if (count >= 1000000)
        fprintf(out, "%.1f million", (double)count * 1e-6);
    else
        fprintf(out, "%" PRIu64, count);
}

/* What a server says of itself is text of others. */
static const char *plain(char *text)
{
    utf8_make_printable(text);
    return text;
}

static void print_model(const Millrace__V1__Model *model, FILE *out)
{
    fprintf(out, "model     %s: %s, %s source, ", plain(model->name), plain(model->architecture),
            plain(model->source));
    print_count(model->parameters, out);
    fprintf(out, " parameters, vocabulary %" PRIu32 "\n", model->vocabulary);
    fprintf(out,
            "          %" PRIu32 " tokens a text (trained length; at most %" PRIu32 "), %" PRIu32
            " steps (at most %" PRIu32 "), solver %s\n",
            model->trained_length, model->max_length, model->default_steps, model->max_steps,
            solver_name((enum solver)model->default_solver));
}

static int width_of(const char *text, int width)
{
    int size = (int)strlen(text);
    return size > width ? size : width;
}

struct widths {
    int name, state, backend;
};

/* How full its batch is: "  87 %"; "   - " of one that has not said what it holds. */
static void print_fill(uint64_t tokens, uint64_t max_tokens, FILE *out)
{
    if (max_tokens)
        fprintf(out, "%3.0f %%", 100 * (double)tokens / (double)max_tokens);
    else
        fputs("    -", out);
}

static void print_replica(const Millrace__V1__ReplicaStatus *replica, struct widths widths, FILE *out)
{
    fprintf(out, "%-*s  %-*s  %5" PRIu32 "  %-*s  %9" PRIu32 "  ", widths.name, replica->name, widths.state,
            replica->state, replica->ranks, widths.backend, replica->backend, replica->sequences);
    print_fill(replica->tokens, replica->max_tokens, out);
    fprintf(out, "  %9" PRIu64 "  %8" PRIu32 "\n", replica->steps, replica->restarts);
    if (*replica->last_error) {
        fprintf(out, "%-*s  last error: ", widths.name, "");
        view_print_plain(replica->last_error, strlen(replica->last_error), out);
        fputc('\n', out);
    }
}

static void print_replicas(const Millrace__V1__StatusResponse *status, FILE *out)
{
    struct widths widths = {7, 8, 7};
    for (size_t i = 0; i < status->n_replicas; i++) {
        widths.name = width_of(plain(status->replicas[i]->name), widths.name);
        widths.state = width_of(plain(status->replicas[i]->state), widths.state);
        widths.backend = width_of(plain(status->replicas[i]->backend), widths.backend);
    }
    fprintf(out, "\n%-*s  %-*s  %5s  %-*s  %9s  %5s  %9s  %8s\n", widths.name, "REPLICA", widths.state,
            "STATE", "RANKS", widths.backend, "BACKEND", "SEQUENCES", "BATCH", "STEPS", "RESTARTS");
    for (size_t i = 0; i < status->n_replicas; i++)
        print_replica(status->replicas[i], widths, out);
}

/* "text 0.05 s, 0.11 s": half of them took at most the first, 95 of 100 at most the second. */
static void print_quantiles(const char *name, const Millrace__V1__Quantiles *quantiles, FILE *out)
{
    if (quantiles && quantiles->p95_ms > 0)
        fprintf(out, "%s %.3g s, %.3g s", name, quantiles->p50_ms * 1e-3, quantiles->p95_ms * 1e-3);
    else
        fprintf(out, "%s -", name);
}

static void print_recent(const Millrace__V1__Recent *recent, FILE *out)
{
    if (!recent || !(recent->seconds > 0))
        return;
    fprintf(out, "last %.0f s%*s%.3g texts/s, %.0f tokens/s, %.3g steps/s, %.3g changes a step\n",
            recent->seconds, recent->seconds < 9.5 ? 3 : 2, "", recent->requests_per_second,
            recent->tokens_per_second, recent->steps_per_second, recent->changes_per_step);
    print_quantiles("latency   p50, p95: text", recent->total, out);
    print_quantiles("; first frame", recent->first_frame, out);
    print_quantiles("; queue", recent->queue, out);
    fputc('\n', out);
}

void status_table_print(const char *endpoint, const Millrace__V1__StatusResponse *status,
                        const Millrace__V1__Model *model, FILE *out)
{
    fprintf(out, "cluster   %s, version %s, up ", endpoint, plain(status->version));
    print_duration(status->uptime_seconds, out);
    fputc('\n', out);
    print_model(model, out);
    fprintf(out,
            "requests  %" PRIu32 " running, %" PRIu32 " queued; of %" PRIu64 " accepted %" PRIu64
            " finished, %" PRIu64 " cancelled, %" PRIu64 " failed\n",
            status->running, status->queued, status->accepted, status->finished, status->cancelled,
            status->failed);
    print_recent(status->recent, out);
    if (status->batch_fill > 0)
        fprintf(out, "batches   %.0f %% full while requests waited\n", 100 * status->batch_fill);
    if (status->n_replicas == 0)
        fputs("\nno replica has attached yet: requests wait\n", out);
    else
        print_replicas(status, out);
}
