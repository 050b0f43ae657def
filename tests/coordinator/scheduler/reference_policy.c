#include "tests/coordinator/scheduler/reference_policy.h"

#include <stdlib.h>
#include <string.h>

/* What is on a replica and when it leaves, while a decision is made: the policy's picture of one replica. */
struct reference_entry {
    uint64_t number;
    enum request_class class;
    int length;
    uint32_t leaves_in; /* steps */
    int running;        /* index in the policy's input; -1: started by the decision at hand */
    bool may_give_way;
};

struct reference_occupancy {
    const struct reference_replica *replica;
    struct reference_entry *entries; /* [n], by leaves_in */
    int n;
    int64_t n_tokens;
    double work; /* positions times steps that are left */
};

#define REFERENCE_NEVER UINT32_MAX

static void count(struct reference_occupancy *occupancy, const struct reference_entry *entry, int sign)
{
    occupancy->n += sign;
    occupancy->n_tokens += sign * entry->length;
    occupancy->work += sign * (double)entry->length * (double)entry->leaves_in;
}

static void reference_insert(struct reference_occupancy *occupancy, struct reference_entry entry)
{
    int at = occupancy->n;
    while (at > 0 && occupancy->entries[at - 1].leaves_in > entry.leaves_in) {
        occupancy->entries[at] = occupancy->entries[at - 1];
        at--;
    }
    occupancy->entries[at] = entry;
    count(occupancy, &entry, 1);
}

static struct reference_entry reference_remove(struct reference_occupancy *occupancy, int index)
{
    struct reference_entry removed = occupancy->entries[index];
    count(occupancy, &removed, -1);
    memmove(&occupancy->entries[index], &occupancy->entries[index + 1],
            (size_t)(occupancy->n - index) * sizeof *occupancy->entries);
    return removed;
}

static int reference_find(const struct reference_occupancy *occupancy, uint64_t number)
{
    int index = 0;
    while (occupancy->entries[index].number != number)
        index++;
    return index;
}

static uint32_t reference_start_in(const struct reference_occupancy *occupancy, int length)
{
    const struct reference_replica *replica = occupancy->replica;
    int64_t n_tokens = occupancy->n_tokens + length;
    int n = occupancy->n + 1;
    uint32_t steps = 0;
    for (int i = 0; n > replica->max_sequences || n_tokens > replica->max_tokens; i++) {
        if (i == occupancy->n)
            return REFERENCE_NEVER;
        n_tokens -= occupancy->entries[i].length;
        n--;
        steps = occupancy->entries[i].leaves_in;
    }
    return steps;
}

static bool reference_takes(const struct reference_occupancy *occupancy, int length)
{
    const struct reference_replica *replica = occupancy->replica;
    return replica->open && occupancy->n < replica->max_sequences + replica->held_sequences &&
           occupancy->n_tokens + length <= replica->max_tokens + replica->held_tokens &&
           reference_start_in(occupancy, length) <= replica->ahead_steps;
}

/* Sequences that are looked at behind one that holds a reservation. */
enum { BYPASS_MOST = 64 };

/* A decision while it is made. */
struct making {
    const struct policy_rules *rules;
    const struct reference_input *input;
    struct reference_decision *decision;
    struct reference_occupancy *occupancies; /* [n_replicas] */
    struct reference_entry *storage;         /* what the entries of occupancies and `trial` point into */
    struct reference_occupancy trial;        /* for trying out who gives way */
    struct reference_entry *victims;         /* [n_running] */
    int *chosen;                             /* [n_running]: indexes of running */
    bool *considered;                        /* [n_waiting] */
    int next;                                /* the first of waiting that may not have been considered */

    int reserved; /* of waiting; -1: none */
    int reserved_room;
    uint32_t reserved_at; /* steps from now */
};

void reference_decision_release(struct reference_decision *decision)
{
    free(decision->preempted);
    free(decision->started);
    *decision = (struct reference_decision){0};
}

static void making_release(struct making *making)
{
    free(making->occupancies);
    free(making->storage);
    free(making->victims);
    free(making->chosen);
    free(making->considered);
}

/* Each occupancy may get all that wait, and one that is tried out. */
static bool allocate(struct making *making)
{
    const struct reference_input *input = making->input;
    size_t n_waiting = (size_t)input->n_waiting, n_running = (size_t)input->n_running,
           n_replicas = (size_t)input->n_replicas;
    making->occupancies = calloc(n_replicas + 1, sizeof *making->occupancies);
    making->storage = calloc(2 * n_running + (n_replicas + 1) * (n_waiting + 2), sizeof *making->storage);
    making->victims = calloc(n_running + 1, sizeof *making->victims);
    making->chosen = calloc(n_running + 1, sizeof *making->chosen);
    making->considered = calloc(n_waiting + 1, sizeof *making->considered);
    making->decision->preempted = calloc(n_running + 1, sizeof *making->decision->preempted);
    making->decision->started = calloc(n_waiting + 1, sizeof *making->decision->started);
    return making->occupancies && making->storage && making->victims && making->chosen &&
           making->considered && making->decision->preempted && making->decision->started;
}

static bool is_due(const struct making *making, double waited)
{
    return waited >= making->rules->due_seconds;
}

/* The entries of the occupancies lie one after the other, each with space for all that may come. */
static void fill_occupancies(struct making *making)
{
    const struct reference_input *input = making->input;
    struct reference_entry *entries = making->storage;
    for (int r = 0; r < input->n_replicas; r++) {
        struct reference_occupancy *occupancy = &making->occupancies[r];
        *occupancy = (struct reference_occupancy){.replica = &input->replicas[r], .entries = entries};
        for (int i = 0; i < input->n_running; i++) {
            const struct reference_running *running = &input->running[i];
            if (running->replica == r)
                reference_insert(occupancy, (struct reference_entry){running->number, running->class,
                                                                     running->length, running->steps_left, i,
                                                                     !is_due(making, running->waited)});
        }
        entries += occupancy->n + input->n_waiting + 1;
    }
    making->trial.entries = entries;
}

/* ---- whose turn it is ---- */

/* Of the queue, and not considered yet. */
static bool is_candidate(const struct making *making, int i)
{
    return !making->considered[i] && making->input->waiting[i].replica < 0;
}

/* The due one with the lowest number among the classes behind the first that waits; -1: there is none. */
static int find_passed_over(const struct making *making)
{
    const struct reference_waiting *waiting = making->input->waiting;
    int n = making->input->n_waiting, first = 0, oldest = -1;
    while (first < n && !is_candidate(making, first))
        first++;
    for (int i = first; i < n; i++) {
        if (is_candidate(making, i) && waiting[i].class > waiting[first].class &&
            is_due(making, waiting[i].waited) && (oldest < 0 || waiting[i].number < waiting[oldest].number))
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

/* Was that the turn of one who is passed over, or did it pass over one? */
static void count_start(struct making *making, int started)
{
    const struct reference_waiting *waiting = &making->input->waiting[started];
    making->considered[started] = false;
    int due = find_passed_over(making);
    making->considered[started] = true;
    if (waiting->replica >= 0)
        return;
    if (due < 0 || due == started)
        making->decision->starts = 0;
    else if (making->decision->starts < making->rules->due_share)
        making->decision->starts++;
}

/* ---- where ---- */

static struct reference_entry entry_of(const struct reference_waiting *waiting,
                                       const struct reference_occupancy *occupancy)
{
    return (struct reference_entry){.number = waiting->number,
                                    .class = waiting->class,
                                    .length = waiting->length,
                                    .leaves_in =
                                        waiting->steps_left + reference_start_in(occupancy, waiting->length),
                                    .running = -1};
}

/* Would the one with the reservation start later than it would without this one? */
static bool delays_reserved(struct making *making, int r, const struct reference_waiting *waiting)
{
    if (making->reserved < 0 || making->reserved_room != r)
        return false;
    struct reference_occupancy *occupancy = &making->occupancies[r];
    reference_insert(occupancy, entry_of(waiting, occupancy));
    bool late =
        reference_start_in(occupancy, making->input->waiting[making->reserved].length) > making->reserved_at;
    reference_remove(occupancy, reference_find(occupancy, waiting->number));
    return late;
}

static double load_of(const struct reference_occupancy *occupancy)
{
    return occupancy->work * occupancy->replica->slowness;
}

/* The replica with room where the least is left to do; -1: none. */
static int choose_room(struct making *making, const struct reference_waiting *waiting)
{
    int best = -1;
    for (int r = 0; r < making->input->n_replicas; r++) {
        if (r == waiting->replica || !reference_takes(&making->occupancies[r], waiting->length) ||
            delays_reserved(making, r, waiting))
            continue;
        if (best < 0 || load_of(&making->occupancies[r]) < load_of(&making->occupancies[best]))
            best = r;
    }
    return best;
}

/* Where it will start soonest, when nobody gives way. None: it fits nowhere. */
static void reserve(struct making *making, int index)
{
    uint32_t soonest = REFERENCE_NEVER;
    for (int r = 0; r < making->input->n_replicas; r++) {
        const struct reference_occupancy *occupancy = &making->occupancies[r];
        uint32_t steps = occupancy->replica->open
                             ? reference_start_in(occupancy, making->input->waiting[index].length)
                             : REFERENCE_NEVER;
        if (steps >= soonest)
            continue;
        soonest = steps;
        making->reserved = index;
        making->reserved_room = r;
        making->reserved_at = steps;
    }
}

/* ---- who gives way ---- */

/* The lowest class first, in it the last accepted. */
static int compare_victims(const void *a, const void *b)
{
    const struct reference_entry *x = a, *y = b;
    if (x->class != y->class)
        return x->class < y->class ? 1 : -1;
    return (x->number < y->number) - (x->number > y->number);
}

static int list_victims(struct making *making, const struct reference_occupancy *occupancy,
                        enum request_class class)
{
    int n = 0;
    for (int i = 0; i < occupancy->n; i++) {
        const struct reference_entry *entry = &occupancy->entries[i];
        if (entry->running >= 0 && entry->may_give_way && entry->class > class)
            making->victims[n++] = *entry;
    }
    qsort(making->victims, (size_t)n, sizeof *making->victims, compare_victims);
    return n;
}

/* Of the first n victims, which `trial` is without, those that may stay after all are put back. Returns how
 * many are left. */
static int spare_victims(struct making *making, int n, int length)
{
    struct reference_occupancy *trial = &making->trial;
    int n_left = 0;
    for (int i = n - 1; i >= 0; i--) {
        reference_insert(trial, making->victims[i]);
        if (reference_takes(trial, length))
            continue;
        reference_remove(trial, reference_find(trial, making->victims[i].number));
        making->victims[n - 1 - n_left++] = making->victims[i]; /* a place that is done with */
    }
    memmove(making->victims, making->victims + n - n_left, (size_t)n_left * sizeof *making->victims);
    return n_left;
}

/* Leaves who would have to give way on replica r in making->victims. Returns how many; 0: that does not help.
 */
static int find_victims(struct making *making, const struct reference_waiting *waiting,
                        const struct reference_occupancy *occupancy)
{
    struct reference_occupancy *trial = &making->trial;
    struct reference_entry *entries = trial->entries;
    int n = list_victims(making, occupancy, waiting->class), n_taken = 0;
    memcpy(entries, occupancy->entries, (size_t)occupancy->n * sizeof *entries);
    *trial = *occupancy;
    trial->entries = entries;
    while (n_taken < n && !reference_takes(trial, waiting->length)) {
        reference_remove(trial, reference_find(trial, making->victims[n_taken].number));
        n_taken++;
    }
    return reference_takes(trial, waiting->length) ? spare_victims(making, n_taken, waiting->length) : 0;
}

/* The replica where room can be made for the least, with the victims in making->chosen; -1: nowhere. */
static int choose_sacrifice(struct making *making, const struct reference_waiting *waiting, int *n_chosen)
{
    int best = -1;
    int64_t least = 0;
    for (int r = 0; r < making->input->n_replicas; r++) {
        int n =
            making->occupancies[r].replica->open ? find_victims(making, waiting, &making->occupancies[r]) : 0;
        int64_t tokens = 0;
        for (int i = 0; i < n; i++)
            tokens += making->victims[i].length;
        if (!n || (best >= 0 && tokens >= least))
            continue;
        best = r;
        least = tokens;
        *n_chosen = n;
        for (int i = 0; i < n; i++)
            making->chosen[i] = making->victims[i].running;
    }
    return best;
}

/* Makes room by preemption. -1: it cannot be. */
static int make_room(struct making *making, const struct reference_waiting *waiting)
{
    struct reference_decision *decision = making->decision;
    int n = 0, r = choose_sacrifice(making, waiting, &n);
    for (int i = 0; i < n && r >= 0; i++) {
        struct reference_occupancy *occupancy = &making->occupancies[r];
        reference_remove(occupancy,
                         reference_find(occupancy, making->input->running[making->chosen[i]].number));
        decision->preempted[decision->n_preempted++] = making->chosen[i];
    }
    return r;
}

/* ---- one after the other ---- */

static void start(struct making *making, int index, int r)
{
    const struct reference_waiting *waiting = &making->input->waiting[index];
    struct reference_decision *decision = making->decision;
    reference_insert(&making->occupancies[r], entry_of(waiting, &making->occupancies[r]));
    decision->started[decision->n_started++] = (struct reference_start){index, r};
    count_start(making, index);
}

static void consider(struct making *making, int index)
{
    const struct reference_waiting *waiting = &making->input->waiting[index];
    int r = choose_room(making, waiting);
    bool first = making->reserved < 0 && waiting->replica < 0;
    if (r < 0 && first)
        r = make_room(making, waiting);
    if (r >= 0)
        start(making, index, r);
    else if (first)
        reserve(making, index);
}

enum status reference_decide(const struct policy_rules *rules, const struct reference_input *input,
                             struct reference_decision *decision, struct error *error)
{
    struct making making = {.rules = rules, .input = input, .decision = decision, .reserved = -1};
    *decision = (struct reference_decision){.starts = input->starts};
    if (!allocate(&making)) {
        making_release(&making);
        reference_decision_release(decision);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to decide what runs next");
    }
    fill_occupancies(&making);
    int n_behind = 0;
    for (int index; n_behind <= BYPASS_MOST && (index = take_next(&making)) >= 0;) {
        consider(&making, index);
        n_behind += making.reserved >= 0;
    }
    making_release(&making);
    return STATUS_OK;
}
