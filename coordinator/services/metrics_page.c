#include "coordinator/services/metrics_page.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/monitoring/process_usage.h"

enum { MAX_RANKS_SHOWN = 256 }; /* a replica may claim any number of ranks */

/* Copies of the replicas: the page is written without the scheduler's lock. */
struct replica_copies {
    struct replica *replicas;
    size_t n, capacity;
};

static void copy_replica(void *context, const struct replica *replica)
{
    struct replica_copies *copies = context;
    if (copies->n == copies->capacity) {
        size_t capacity = copies->capacity ? 2 * copies->capacity : 8;
        struct replica *grown = realloc(copies->replicas, capacity * sizeof *grown);
        if (!grown)
            return;
        copies->replicas = grown;
        copies->capacity = capacity;
    }
    copies->replicas[copies->n++] = *replica;
}

/* ---- the whole ---- */

static void write_gauge(struct exposition *page, const char *name, const char *help, double value)
{
    exposition_family(page, name, "gauge", help);
    exposition_sample(page, name, value, NULL);
}

static void write_counter(struct exposition *page, const char *name, const char *help, uint64_t value)
{
    exposition_family(page, name, "counter", help);
    exposition_sample(page, name, (double)value, NULL);
}

static void write_program(const struct coordinator *coordinator, struct exposition *page)
{
    const struct served_model *model = coordinator->model;
    exposition_family(page, "millrace_build_info", "gauge", "1, with what runs and what it serves.");
    exposition_sample(page, "millrace_build_info", 1, "version", MILLRACE_VERSION, "model",
                      model->config.name, "fingerprint", model->fingerprint, NULL);
}

static void write_load(struct coordinator *coordinator, struct exposition *page)
{
    struct scheduler_totals totals;
    char reason[512];
    scheduler_totals(coordinator->scheduler, &totals);
    write_gauge(page, "millrace_ready",
                "1: requests are taken and a replica can run them; the same as /readyz.",
                scheduler_is_ready(coordinator->scheduler, reason, sizeof reason));
    write_gauge(page, "millrace_queue_requests", "Accepted requests that wait for a replica.", totals.queued);
    write_gauge(page, "millrace_queue_tokens", "Positions of all requests that wait.",
                (double)totals.queued_tokens);
    write_gauge(page, "millrace_running_requests", "Requests that run on a replica.", totals.running);
    write_gauge(page, "millrace_running_tokens", "Positions of all requests that run.",
                (double)totals.running_tokens);
    write_counter(page, "millrace_full_batch_tokens_total",
                  "Positions of the steps that replicas took while somebody waited.", totals.full_tokens);
    write_counter(
        page, "millrace_full_batch_capacity_total",
        "What the positions of these steps could have been: the batch's fill is the one by the other.",
        totals.full_capacity);
}

/* ---- replicas: a family each, with a sample of every replica ---- */

struct replica_family {
    const char *name, *type, *help;
    double (*value)(const struct replica *replica);
};

static double is_up(const struct replica *replica)
{
    return replica->state == REPLICA_READY && replica->operations;
}

static double is_attached(const struct replica *replica)
{
    return replica->operations != NULL;
}

/* They are one MPI job, which is ready when each of them is: so one figure a replica says it of all. */
static double n_ranks_up(const struct replica *replica)
{
    return is_up(replica) ? replica->n_ranks : 0;
}

static double n_sequences(const struct replica *replica)
{
    return replica->running.n;
}

static double n_tokens(const struct replica *replica)
{
    return (double)replica->running.n_tokens;
}

static double most_sequences(const struct replica *replica)
{
    return replica->capacity.max_sequences;
}

static double most_tokens(const struct replica *replica)
{
    return (double)replica->capacity.max_tokens;
}

static double n_restarts(const struct replica *replica)
{
    return replica->restarts;
}

static double n_steps(const struct replica *replica)
{
    return (double)replica->pulse.steps;
}

static double n_passes(const struct replica *replica)
{
    return (double)replica->pulse.passes;
}

static double n_rows(const struct replica *replica)
{
    return (double)replica->pulse.rows;
}

static double n_needed_rows(const struct replica *replica)
{
    return (double)replica->pulse.needed_rows;
}

static double n_changed(const struct replica *replica)
{
    return (double)replica->pulse.changed;
}

static const struct replica_family families[] = {
    {"millrace_replica_up", "gauge", "1: it is attached, every rank has loaded and a warm-up step is done.",
     is_up},
    {"millrace_replica_attached", "gauge", "1: its line to the coordinator is open.", is_attached},
    {"millrace_replica_ranks_up", "gauge",
     "Ranks that have loaded their share and take steps: all of the replica's, or none.", n_ranks_up},
    {"millrace_replica_running_requests", "gauge", "Requests that run there.", n_sequences},
    {"millrace_replica_running_tokens", "gauge", "Positions of the requests that run there.", n_tokens},
    {"millrace_replica_max_requests", "gauge", "Requests that it runs at the same time.", most_sequences},
    {"millrace_replica_max_tokens", "gauge", "Positions that it runs at the same time: its batch's budget.",
     most_tokens},
    {"millrace_replica_restarts_total", "counter", "Times that it came back after it was lost or drained.",
     n_restarts},
    {"millrace_replica_sequence_steps_total", "counter",
     "Steps of single requests, since its leader started.", n_steps},
    {"millrace_replica_passes_total", "counter",
     "Forward passes of the whole batch, since its leader started.", n_passes},
    {"millrace_replica_rows_total", "counter",
     "Positions that passed through the model, since its leader started.", n_rows},
    {"millrace_replica_needed_rows_total", "counter",
     "Of these rows, those that could change and so needed the head, since its leader started.",
     n_needed_rows},
    {"millrace_replica_changed_positions_total", "counter",
     "Positions that steps changed, since its leader started.", n_changed},
};

static void write_family(const struct replica_copies *copies, const struct replica_family *family,
                         struct exposition *page)
{
    exposition_family(page, family->name, family->type, family->help);
    for (size_t i = 0; i < copies->n; i++)
        exposition_sample(page, family->name, family->value(&copies->replicas[i]), "replica",
                          copies->replicas[i].name, NULL);
}

static void write_states(const struct replica_copies *copies, struct exposition *page)
{
    exposition_family(page, "millrace_replica_state", "gauge", "1 for the state that the replica is in.");
    for (size_t i = 0; i < copies->n; i++)
        for (int state = REPLICA_STARTING; state <= REPLICA_DRAINED; state++)
            exposition_sample(page, "millrace_replica_state", (int)copies->replicas[i].state == state,
                              "replica", copies->replicas[i].name, "state",
                              replica_state_name((enum replica_state)state), NULL);
}

static void write_phases(const struct replica_copies *copies, struct exposition *page)
{
    static const char name[] = "millrace_replica_phase_seconds_total";
    exposition_family(page, name, "counter",
                      "Time in steps by phase, of the replica's leader, since it started.");
    for (size_t i = 0; i < copies->n; i++) {
        const struct replica_pulse *pulse = &copies->replicas[i].pulse;
        const char *replica = copies->replicas[i].name;
        exposition_sample(page, name, pulse->matmul_seconds, "replica", replica, "phase", "matmul", NULL);
        exposition_sample(page, name, pulse->attention_seconds, "replica", replica, "phase", "attention",
                          NULL);
        exposition_sample(page, name, pulse->head_seconds, "replica", replica, "phase", "head", NULL);
        exposition_sample(page, name, pulse->communication_seconds, "replica", replica, "phase",
                          "communication", NULL);
        exposition_sample(page, name, pulse->other_seconds, "replica", replica, "phase", "other", NULL);
    }
}

static void write_replicas(struct coordinator *coordinator, struct exposition *page)
{
    struct replica_copies copies = {0};
    scheduler_each_replica(coordinator->scheduler, copy_replica, &copies);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        write_family(&copies, &families[i], page);
    write_states(&copies, page);
    write_phases(&copies, page);
    free(copies.replicas);
}

void metrics_page_write(struct coordinator *coordinator, struct exposition *page)
{
    write_program(coordinator, page);
    write_load(coordinator, page);
    metrics_write(coordinator->metrics, page);
    write_replicas(coordinator, page);
    http_counts_write(&coordinator->http, page);
    process_usage_write(page);
}
