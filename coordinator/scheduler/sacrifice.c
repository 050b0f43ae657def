#include "coordinator/scheduler/sacrifice.h"

#include <stdlib.h>
#include <string.h>

/* The runs that give way, in that order. */
struct victims {
    struct run_place **places; /* [n] */
    int n, capacity;
    int64_t n_tokens;
};

static bool append(struct victims *victims, struct run_place *place)
{
    if (victims->n == victims->capacity) {
        int capacity = victims->capacity ? 2 * victims->capacity : 16;
        struct run_place **grown = realloc(victims->places, (size_t)capacity * sizeof *grown);
        if (!grown)
            return false;
        victims->places = grown;
        victims->capacity = capacity;
    }
    victims->places[victims->n++] = place;
    victims->n_tokens += place->length;
    return true;
}

/* ---- a replica without some of its runs; room depends on the sums alone ---- */

static void leave_out(struct occupancy *without, const struct run_place *place, int sign)
{
    bool is_soon = place->steps_left <= without->limits.ahead_steps;
    without->n -= sign;
    without->n_tokens -= sign * place->length;
    without->n_soon -= is_soon ? sign : 0;
    without->soon_tokens -= is_soon ? sign * place->length : 0;
}

static bool has_room(const struct occupancy *without, int length)
{
    const struct occupancy_limits *limits = &without->limits;
    int64_t n_tokens = without->n_tokens + length;
    return without->n < limits->max_sequences + limits->held_sequences &&
           without->n - without->n_soon < limits->max_sequences &&
           n_tokens <= limits->max_tokens + limits->held_tokens &&
           n_tokens - without->soon_tokens <= limits->max_tokens;
}

/* ---- which of a replica's runs ---- */

/* Chooses runs until there is room: from the lowest class up, and in a class from the last accepted back.
 * Returns whether there is room. */
static bool take_victims(struct occupancy *without, const struct policy_waiting *waiting, double due_at,
                         struct victims *victims)
{
    bool enough = has_room(without, waiting->length);
    for (int c = CLASS_COUNT - 1; c > (int)waiting->class && !enough; c--) {
        struct run_place *place = without->by_class[c].youngest;
        for (; place && place->accepted_at > due_at && !enough; place = place->older) {
            if (place->is_chosen)
                continue; /* it gives way already, to another run of the same decision */
            if (!append(victims, place))
                return false;
            leave_out(without, place, 1);
            enough = has_room(without, waiting->length);
        }
    }
    return enough;
}

/* Lets those stay that need not give way after all. It tries the last chosen first. */
static void spare_victims(struct occupancy *without, int length, struct victims *victims)
{
    int n_left = 0;
    for (int i = victims->n - 1; i >= 0; i--) {
        struct run_place *place = victims->places[i];
        leave_out(without, place, -1);
        if (has_room(without, length)) {
            victims->n_tokens -= place->length;
            continue;
        }
        leave_out(without, place, 1);
        victims->places[victims->n - 1 - n_left++] = place; /* that entry has been read */
    }
    memmove(victims->places, victims->places + victims->n - n_left, (size_t)n_left * sizeof *victims->places);
    victims->n = n_left;
}

static bool find_victims(const struct occupancy *occupancy, const struct policy_waiting *waiting,
                         double due_at, struct victims *victims)
{
    struct occupancy without = *occupancy;
    victims->n = 0;
    victims->n_tokens = 0;
    if (!take_victims(&without, waiting, due_at, victims))
        return false;
    spare_victims(&without, waiting->length, victims);
    return victims->n > 0;
}

/* A lower bound of the positions that have to give way, found without a look at the runs. INT64_MAX: the
 * replica has no run of a lower class. */
static int64_t least_cost(const struct occupancy *occupancy, const struct policy_waiting *waiting)
{
    const struct occupancy_limits *limits = &occupancy->limits;
    int n_lower = 0;
    for (int c = (int)waiting->class + 1; c < CLASS_COUNT; c++)
        n_lower += occupancy->by_class[c].n;
    if (!n_lower)
        return INT64_MAX;
    int64_t n_tokens = occupancy->n_tokens + waiting->length;
    int64_t over = n_tokens - limits->max_tokens - limits->held_tokens;
    int64_t over_soon = n_tokens - occupancy->soon_tokens - limits->max_tokens;
    int64_t least = over > over_soon ? over : over_soon;
    return least > 1 ? least : 1;
}

/* ---- which replica ---- */

static bool reserve_preemptions(struct policy_decision *decision, int n_more)
{
    int needed = decision->n_preempted + n_more;
    if (needed <= decision->preempted_capacity)
        return true;
    struct policy_preemption *grown =
        realloc(decision->preempted, 2 * (size_t)needed * sizeof *decision->preempted);
    if (!grown)
        return false;
    decision->preempted = grown;
    decision->preempted_capacity = 2 * needed;
    return true;
}

static bool give_way(const struct policy_input *input, const struct victims *victims, int replica,
                     struct policy_decision *decision)
{
    if (!reserve_preemptions(decision, victims->n))
        return false;
    for (int i = 0; i < victims->n; i++) {
        struct run_place *place = victims->places[i];
        decision->preempted[decision->n_preempted++] = (struct policy_preemption){place, replica};
        occupancy_count(&input->replicas[replica].occupancy, place->length, place->steps_left, -1);
        place->is_chosen = true;
    }
    return true;
}

int sacrifice_choose(const struct policy_input *input, const struct policy_waiting *waiting, double due_at,
                     struct policy_decision *decision)
{
    struct victims trial = {0}, best = {0};
    int chosen = -1;
    for (int r = 0; r < input->n_replicas; r++) {
        const struct occupancy *occupancy = &input->replicas[r].occupancy;
        int64_t bound = input->replicas[r].open ? least_cost(occupancy, waiting) : INT64_MAX;
        if (bound == INT64_MAX || (chosen >= 0 && bound >= best.n_tokens) ||
            !find_victims(occupancy, waiting, due_at, &trial) ||
            (chosen >= 0 && trial.n_tokens >= best.n_tokens))
            continue;
        struct victims former = best;
        best = trial;
        trial = former;
        chosen = r;
    }
    if (chosen >= 0 && !give_way(input, &best, chosen, decision))
        chosen = -1;
    free(trial.places);
    free(best.places);
    return chosen;
}

void sacrifice_count_back(const struct policy_input *input, const struct policy_decision *decision)
{
    for (int i = 0; i < decision->n_preempted; i++) {
        struct run_place *place = decision->preempted[i].place;
        occupancy_count(&input->replicas[decision->preempted[i].replica].occupancy, place->length,
                        place->steps_left, 1);
        place->is_chosen = false;
    }
}
