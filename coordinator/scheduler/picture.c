#include "coordinator/scheduler/picture.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"

enum { WINDOW = 64, AHEAD_STEPS_MOST = 8 };

/* Between the end of a step there and the arrival of what we send because of it. */
#define ROUND_TRIP_SECONDS 0.01

uint32_t picture_ahead_steps(const struct replica *replica)
{
    double step_seconds = cost_model_mean_seconds(&replica->cost);
    if (!replica->capacity.held_sequences)
        return 0;
    double trip_steps = step_seconds > 0 ? ceil(ROUND_TRIP_SECONDS / step_seconds) : 1;
    return (uint32_t)fmin(fmax(trip_steps, 1) + replica->capacity.run_ahead_steps, AHEAD_STEPS_MOST);
}

static bool allocate(struct picture *picture, size_t n_replicas, size_t n_running)
{
    size_t n_waiting = n_running + CLASS_COUNT * WINDOW;
    picture->replicas = calloc(n_replicas + 1, sizeof *picture->replicas);
    picture->replica_records = calloc(n_replicas + 1, sizeof *picture->replica_records);
    picture->running = calloc(n_running + 1, sizeof *picture->running);
    picture->running_sequences = calloc(n_running + 1, sizeof *picture->running_sequences);
    picture->waiting = calloc(n_waiting, sizeof *picture->waiting);
    picture->waiting_sequences = calloc(n_waiting, sizeof *picture->waiting_sequences);
    return picture->replicas && picture->replica_records && picture->running && picture->running_sequences &&
           picture->waiting && picture->waiting_sequences;
}

void picture_release(struct picture *picture)
{
    free(picture->replicas);
    free(picture->replica_records);
    free(picture->running);
    free(picture->running_sequences);
    free(picture->waiting);
    free(picture->waiting_sequences);
}

static void add_waiting(struct picture *picture, struct sequence *sequence, int replica, double now)
{
    int i = picture->input.n_waiting++;
    picture->waiting_sequences[i] = sequence;
    picture->waiting[i] = (struct policy_waiting){.number = sequence->number,
                                                  .class = sequence->request.class,
                                                  .length = sequence->request.length,
                                                  .steps_left = sequence_steps_left(sequence),
                                                  .waited = now - sequence->accepted_at,
                                                  .replica = replica};
}

static void add_running(struct picture *picture, struct sequence *sequence, int replica, double now)
{
    int i = picture->input.n_running++;
    picture->running_sequences[i] = sequence;
    picture->running[i] = (struct policy_running){.number = sequence->number,
                                                  .class = sequence->request.class,
                                                  .length = sequence->request.length,
                                                  .steps_left = sequence_steps_left(sequence),
                                                  .waited = now - sequence->accepted_at,
                                                  .replica = replica};
}

/* With what runs there; what could move elsewhere is among those that wait. */
static void add_replica(struct picture *picture, struct replica *replica, double now)
{
    int i = picture->input.n_replicas++;
    const struct replica_capacity *capacity = &replica->capacity;
    double full_step = cost_model_step_seconds(&replica->cost, (double)capacity->max_tokens);
    picture->replica_records[i] = replica;
    picture->replicas[i] = (struct policy_replica){.open = replica->state == REPLICA_READY,
                                                   .max_sequences = capacity->max_sequences,
                                                   .held_sequences = capacity->held_sequences,
                                                   .max_tokens = capacity->max_tokens,
                                                   .held_tokens = capacity->held_tokens,
                                                   .ahead_steps = picture_ahead_steps(replica),
                                                   .slowness = full_step / (double)capacity->max_tokens};
    for (struct sequence *sequence = replica->running.first; sequence; sequence = sequence->next) {
        add_running(picture, sequence, i, now);
        if (replica->state == REPLICA_DRAINING)
            add_waiting(picture, sequence, i, now);
    }
}

/* Until all are measured they count as equal. */
static void settle_slowness(struct picture *picture)
{
    bool all = true;
    for (int i = 0; i < picture->input.n_replicas; i++)
        all = all && (picture->replicas[i].slowness > 0 || !picture->replicas[i].open);
    for (int i = 0; i < picture->input.n_replicas && !all; i++)
        picture->replicas[i].slowness = 1;
}

static void add_queue(struct picture *picture, const struct queue *queue, double now)
{
    for (int class = 0; class < CLASS_COUNT; class ++) {
        struct sequence *sequence = queue->by_class[class].first;
        for (int i = 0; i < WINDOW && sequence; i++, sequence = sequence->next)
            add_waiting(picture, sequence, -1, now);
    }
}

enum status picture_draw(struct picture *picture, const struct queue *queue,
                         const struct replica_set *replicas, int starts, struct error *error)
{
    size_t n_replicas = 0, n_running = 0;
    double now = clock_seconds();
    *picture = (struct picture){.input.starts = starts};
    for (const struct replica *replica = replicas->first; replica; replica = replica->next) {
        n_replicas++;
        n_running += (size_t)replica->running.n;
    }
    if (!allocate(picture, n_replicas, n_running))
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to decide what runs next");
    for (struct replica *replica = replicas->first; replica; replica = replica->next) {
        if (replica->state == REPLICA_READY || replica->running.n)
            add_replica(picture, replica, now);
    }
    settle_slowness(picture);
    add_queue(picture, queue, now);
    picture->input.waiting = picture->waiting;
    picture->input.running = picture->running;
    picture->input.replicas = picture->replicas;
    return STATUS_OK;
}
