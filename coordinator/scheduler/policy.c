#include "coordinator/scheduler/policy.h"

#include <stdlib.h>

#include "coordinator/scheduler/sacrifice.h"

/* How many runs behind one with a reservation the policy looks at. */
enum { BYPASS_MOST = 64 };

/* A decision while it is made. */
struct making {
    const struct policy_rules *rules;
    const struct policy_input *input;
    struct policy_decision *decision;
    bool *considered; /* [n_waiting] */
    int next;         /* index: all waiting runs before it have been considered */
    int64_t too_long; /* runs of so many positions or more find room nowhere */

    int reserved; /* index of the waiting run with the reservation; -1: none */
    int reserved_replica;
    uint32_t reserved_at; /* steps from now */
};

void policy_decision_release(struct policy_decision *decision)
{
    free(decision->preempted);
    free(decision->started);
    *decision = (struct policy_decision){0};
}

static bool is_due(const struct making *making, double accepted_at)
{
    return making->input->now - accepted_at >= making->rules->due_seconds;
}

/* ---- whose turn it is ---- */

/* Whether the run waits in the queue and has not been considered yet. */
static bool is_candidate(const struct making *making, int i)
{
    return !making->considered[i] && making->input->waiting[i].replica < 0;
}

/* Among the classes below that of the first waiting run: the due run with the lowest number. -1: there is
 * none. */
static int find_passed_over(const struct making *making)
{
    const struct policy_waiting *waiting = making->input->waiting;
    int n = making->input->n_waiting, first = 0, oldest = -1;
    while (first < n && !is_candidate(making, first))
        first++;
    for (int i = first; i < n; i++) {
        if (waiting[i].class > waiting[first].class && is_candidate(making, i) &&
            is_due(making, waiting[i].accepted_at) &&
            (oldest < 0 || waiting[i].number < waiting[oldest].number))
            oldest = i;
    }
    return oldest;
}

static int take_next(struct making *making)
{
    int next = -1;
    if (making->reserved < 0 && making->decision->starts >= making->rules->due_share - 1)
        next = find_passed_over(making);
    while (next < 0 && making->next < making->input->n_waiting) {
        if (!making->considered[making->next])
            next = making->next;
        making->next++;
    }
    if (next >= 0)
        making->considered[next] = true;
    return next;
}

/* Updates decision->starts: did this start pass over a due run, or was it the turn of one? */
static void count_start(struct making *making, int started)
{
    if (making->input->waiting[started].replica >= 0)
        return;
    making->considered[started] = false;
    int due = find_passed_over(making);
    making->considered[started] = true;
    if (due < 0 || due == started)
        making->decision->starts = 0;
    else if (making->decision->starts < making->rules->due_share)
        making->decision->starts++;
}

/* ---- where ---- */

static struct occupancy *occupancy_of(const struct making *making, int replica)
{
    return &making->input->replicas[replica].occupancy;
}

/* In how many steps the run would leave if it were sent there now. */
static uint32_t leaves_in(const struct policy_waiting *waiting, const struct occupancy *occupancy)
{
    return waiting->steps_left + occupancy_start_in(occupancy, waiting->length, OCCUPANCY_NEVER);
}

/* Would the run with the reservation start later because of this one? */
static bool delays_reserved(const struct making *making, int r, const struct policy_waiting *waiting)
{
    if (making->reserved < 0 || making->reserved_replica != r)
        return false;
    struct occupancy *occupancy = occupancy_of(making, r);
    if (!occupancy_reserve(occupancy))
        return true;
    uint32_t leaves = leaves_in(waiting, occupancy);
    occupancy_count(occupancy, waiting->length, leaves, 1);
    bool late = occupancy_start_in(occupancy, making->input->waiting[making->reserved].length,
                                   OCCUPANCY_NEVER) > making->reserved_at;
    occupancy_count(occupancy, waiting->length, leaves, -1);
    return late;
}

static double load_of(const struct making *making, int r)
{
    double work = (double)making->input->replicas[r].occupancy.work;
    return making->input->equal_slowness ? work : work * making->input->replicas[r].slowness;
}

/* The replica with room that has the least load; -1: none. While nothing gives way, room only shrinks. So a
 * length that found no room once need not be tried again. */
static int choose_replica(struct making *making, const struct policy_waiting *waiting)
{
    int best = -1;
    bool has_room = false;
    double least = 0;
    if (waiting->length >= making->too_long)
        return -1;
    for (int r = 0; r < making->input->n_replicas; r++) {
        const struct policy_replica *replica = &making->input->replicas[r];
        if (!replica->open || !occupancy_takes(&replica->occupancy, waiting->length))
            continue;
        has_room = true;
        double load = load_of(making, r);
        if ((best >= 0 && load >= least) || r == waiting->replica || delays_reserved(making, r, waiting))
            continue;
        best = r;
        least = load;
    }
    if (!has_room)
        making->too_long = waiting->length;
    return best;
}

/* Reserves the replica where the run will start soonest if no run gives way. Reserves nothing if it fits
 * nowhere. */
static void reserve(struct making *making, int index)
{
    uint32_t soonest = OCCUPANCY_NEVER;
    for (int r = 0; r < making->input->n_replicas; r++) {
        if (!making->input->replicas[r].open)
            continue;
        uint32_t steps =
            occupancy_start_in(occupancy_of(making, r), making->input->waiting[index].length, soonest);
        if (steps >= soonest)
            continue;
        soonest = steps;
        making->reserved = index;
        making->reserved_replica = r;
        making->reserved_at = steps;
    }
}

/* Makes room by preemption, and returns the replica. -1: that is not possible. */
static int make_room(struct making *making, const struct policy_waiting *waiting)
{
    double due_at = making->input->now - making->rules->due_seconds;
    int r = sacrifice_choose(making->input, waiting, due_at, making->decision);
    if (r >= 0)
        making->too_long = INT64_MAX;
    return r;
}

/* ---- one after the other ---- */

/* False: there is no memory to count the run there. */
static bool start(struct making *making, int index, int r)
{
    const struct policy_waiting *waiting = &making->input->waiting[index];
    struct policy_decision *decision = making->decision;
    struct occupancy *occupancy = occupancy_of(making, r);
    if (!occupancy_reserve(occupancy))
        return false;
    uint32_t leaves = leaves_in(waiting, occupancy);
    occupancy_count(occupancy, waiting->length, leaves, 1);
    decision->started[decision->n_started++] = (struct policy_start){index, r, leaves};
    count_start(making, index);
    return true;
}

static bool consider(struct making *making, int index)
{
    const struct policy_waiting *waiting = &making->input->waiting[index];
    int r = choose_replica(making, waiting);
    bool first = making->reserved < 0 && waiting->replica < 0;
    if (r < 0 && first)
        r = make_room(making, waiting);
    if (r >= 0)
        return start(making, index, r);
    if (first)
        reserve(making, index);
    return true;
}

/* Makes the occupancies as they were before the decision. */
static void count_back(const struct making *making)
{
    const struct policy_decision *decision = making->decision;
    for (int i = 0; i < decision->n_started; i++) {
        const struct policy_start *start = &decision->started[i];
        occupancy_count(occupancy_of(making, start->replica), making->input->waiting[start->waiting].length,
                        start->leaves_in, -1);
    }
    sacrifice_count_back(making->input, decision);
}

enum status policy_decide(const struct policy_rules *rules, const struct policy_input *input,
                          struct policy_decision *decision, struct error *error)
{
    struct making making = {
        .rules = rules, .input = input, .decision = decision, .reserved = -1, .too_long = INT64_MAX};
    size_t n_waiting = (size_t)input->n_waiting;
    *decision = (struct policy_decision){.starts = input->starts};
    decision->started = malloc((n_waiting + 1) * sizeof *decision->started);
    making.considered = calloc(n_waiting + 1, sizeof *making.considered);
    bool good = decision->started && making.considered;
    int n_behind = 0;
    for (int index; good && n_behind <= BYPASS_MOST && (index = take_next(&making)) >= 0;) {
        good = consider(&making, index);
        n_behind += making.reserved >= 0;
    }
    count_back(&making);
    free(making.considered);
    if (good)
        return STATUS_OK;
    policy_decision_release(decision);
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to decide what runs next");
}
