/* The policy alone, against a picture of replicas that step, take up mail at their boundaries and answer
 * late, as real ones do. One tick is one step of every replica, and one second. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/scheduler/policy.h"
#include "tests/coordinator/scheduler/reference_policy.h"

enum { MOST = 4096, REPLICAS = 3, MOST_REPLICAS = 8, NOWHERE = -1 };

struct work {
    struct policy_waiting it;
    int arrived, replica; /* NOWHERE: it waits */
    int mail_at;          /* the tick at which the replica can take it up */
    int leave_at;         /* preempted: the tick at which the replica drops it; it still steps until then */
    int ghost;            /* the replica that does so; NOWHERE: none */
    bool joined, ended;
    int n_preempted, started_at, ended_at;
};

struct world {
    struct policy_rules rules;
    struct policy_replica replicas[REPLICAS];
    int n_replicas, n, now, starts, order[MOST], n_order; /* order: of submission */
    struct work works[MOST];
    uint64_t random;
    int64_t filled,
        fillable; /* positions of steps taken while somebody waited, and what they could have been */
    int n_preemptions;
};

static struct world world;

static uint32_t draw(uint32_t below)
{
    world.random = world.random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(world.random >> 33) % below;
}

static void set_up_world(int n_replicas, int max_sequences, int64_t max_tokens, uint32_t ahead)
{
    for (int r = 0; r < REPLICAS; r++)
        occupancy_release(&world.replicas[r].occupancy);
    memset(&world, 0, sizeof world);
    world.random = 7;
    world.rules = (struct policy_rules){.due_seconds = 20, .due_share = 4};
    world.n_replicas = n_replicas;
    const struct occupancy_limits limits = {.max_sequences = max_sequences,
                                            .max_tokens = max_tokens,
                                            .held_sequences = ahead ? max_sequences : 0,
                                            .held_tokens = ahead ? max_tokens : 0,
                                            .ahead_steps = ahead};
    for (int r = 0; r < n_replicas; r++) {
        world.replicas[r] = (struct policy_replica){.open = true, .slowness = 1};
        occupancy_set_limits(&world.replicas[r].occupancy, &limits);
    }
}

static struct work *arrive(enum request_class class, int length, uint32_t steps)
{
    struct work *work = &world.works[world.n];
    ck_assert_int_lt(world.n, MOST);
    *work = (struct work){.it = {.number = (uint64_t)++world.n,
                                 .class = class,
                                 .length = length,
                                 .steps_left = steps,
                                 .replica = NOWHERE},
                          .arrived = world.now,
                          .replica = NOWHERE,
                          .ghost = NOWHERE};
    return work;
}

/* ---- a replica's step ---- */

static const struct occupancy_limits *limits_of(int r)
{
    return &world.replicas[r].occupancy.limits;
}

static void join(int r, int64_t *tokens, int *n)
{
    bool blocked = false;
    for (int i = 0; i < world.n_order; i++) {
        struct work *work = &world.works[world.order[i]];
        if (work->ended || work->replica != r || work->joined || work->mail_at > world.now || blocked)
            continue;
        if (*n == limits_of(r)->max_sequences || *tokens + work->it.length > limits_of(r)->max_tokens) {
            blocked = true; /* strictly in order */
            continue;
        }
        work->joined = true;
        work->started_at = work->started_at ? work->started_at : world.now;
        *tokens += work->it.length;
        ++*n;
    }
}

static bool steps_on(const struct work *work, int r)
{
    return !work->ended &&
           ((work->replica == r && work->joined) || (work->ghost == r && world.now < work->leave_at));
}

static void step_one(struct work *work)
{
    if (work->replica == NOWHERE && work->ghost == NOWHERE)
        return;
    if (--work->it.steps_left == 0) {
        work->ended = true;
        work->ended_at = world.now;
    }
}

static void step_replica(int r, bool somebody_waits)
{
    int64_t tokens = 0, held = 0;
    int n = 0;
    for (int i = 0; i < world.n; i++) {
        struct work *work = &world.works[i];
        if (work->ghost == r && world.now >= work->leave_at)
            work->ghost = NOWHERE;
        if (steps_on(work, r)) {
            tokens += work->it.length;
            n++;
        }
    }
    join(r, &tokens, &n);
    ck_assert_int_le(n, limits_of(r)->max_sequences);
    ck_assert_int_le(tokens, limits_of(r)->max_tokens);
    for (int i = 0; i < world.n; i++) {
        struct work *work = &world.works[i];
        if (steps_on(work, r))
            step_one(work);
        else if (work->replica == r && !work->ended && work->mail_at <= world.now)
            held += work->it.length;
    }
    ck_assert_int_le(held, limits_of(r)->held_tokens);
    world.filled += somebody_waits ? tokens : 0;
    world.fillable += somebody_waits ? limits_of(r)->max_tokens : 0;
}

/* ---- a decision ---- */

static int list_waiting(struct policy_waiting *waiting, int *works)
{
    int n = 0;
    for (int class = 0; class < CLASS_COUNT; class ++) {
        for (int i = 0; i < world.n; i++) {
            struct work *work = &world.works[i];
            if ((int)work->it.class != class || work->ended || work->replica != NOWHERE)
                continue;
            waiting[n] = work->it;
            waiting[n].accepted_at = work->arrived;
            works[n++] = i;
        }
    }
    return n;
}

static void empty_replicas(void)
{
    for (int r = 0; r < world.n_replicas; r++) {
        struct occupancy *occupancy = &world.replicas[r].occupancy;
        struct occupancy_limits limits = occupancy->limits;
        occupancy_release(occupancy);
        occupancy_set_limits(occupancy, &limits);
    }
}

/* All that runs, on its replicas; places[i] is of works[i]. */
static int list_running(struct run_place *places, int *works)
{
    int n = 0;
    empty_replicas();
    for (int i = 0; i < world.n; i++) {
        const struct work *work = &world.works[i];
        if (work->ended || work->replica == NOWHERE)
            continue;
        struct occupancy *occupancy = &world.replicas[work->replica].occupancy;
        places[n] = (struct run_place){.number = work->it.number,
                                       .class = work->it.class,
                                       .length = work->it.length,
                                       .steps_left = work->it.steps_left,
                                       .accepted_at = work->arrived};
        ck_assert(occupancy_reserve(occupancy));
        occupancy_add(occupancy, &places[n]);
        works[n++] = i;
    }
    return n;
}

static void check_same(const struct policy_decision *one, const struct policy_input *input)
{
    struct policy_decision other;
    ck_assert_int_eq(policy_decide(&world.rules, input, &other, NULL), STATUS_OK);
    ck_assert_int_eq(one->n_started, other.n_started);
    ck_assert_int_eq(one->n_preempted, other.n_preempted);
    for (int i = 0; i < one->n_started; i++) {
        ck_assert_int_eq(one->started[i].waiting, other.started[i].waiting);
        ck_assert_int_eq(one->started[i].replica, other.started[i].replica);
    }
    policy_decision_release(&other);
}

/* ---- the same, by the reference ---- */

static void list_for_reference(const struct policy_input *input, struct reference_waiting *waiting,
                               struct reference_replica *replicas)
{
    for (int i = 0; i < input->n_waiting; i++) {
        const struct policy_waiting *it = &input->waiting[i];
        waiting[i] = (struct reference_waiting){
            it->number, it->class, it->length, it->steps_left, input->now - it->accepted_at, it->replica};
    }
    for (int r = 0; r < input->n_replicas; r++) {
        const struct occupancy_limits *limits = &input->replicas[r].occupancy.limits;
        replicas[r] =
            (struct reference_replica){.open = input->replicas[r].open,
                                       .max_sequences = limits->max_sequences,
                                       .held_sequences = limits->held_sequences,
                                       .max_tokens = limits->max_tokens,
                                       .held_tokens = limits->held_tokens,
                                       .ahead_steps = limits->ahead_steps,
                                       .slowness = input->equal_slowness ? 1 : input->replicas[r].slowness};
    }
}

static void check_decisions(const struct policy_decision *decision, const struct reference_decision *wanted,
                            const struct run_place *places)
{
    ck_assert_int_eq(decision->n_started, wanted->n_started);
    ck_assert_int_eq(decision->n_preempted, wanted->n_preempted);
    ck_assert_int_eq(decision->starts, wanted->starts);
    for (int i = 0; i < wanted->n_started; i++) {
        ck_assert_int_eq(decision->started[i].waiting, wanted->started[i].waiting);
        ck_assert_int_eq(decision->started[i].replica, wanted->started[i].replica);
    }
    for (int i = 0; i < wanted->n_preempted; i++)
        ck_assert_int_eq(decision->preempted[i].place - places, wanted->preempted[i]);
}

/* places[n_running] are all on input's replicas, replica_of[i] is where. */
static void check_against_reference(const struct policy_decision *decision, const struct policy_input *input,
                                    const struct run_place *places, const int *replica_of, int n_running)
{
    static struct reference_waiting waiting[MOST];
    static struct reference_running running[MOST];
    struct reference_replica replicas[MOST_REPLICAS];
    list_for_reference(input, waiting, replicas);
    for (int i = 0; i < n_running; i++)
        running[i] = (struct reference_running){places[i].number,
                                                places[i].class,
                                                places[i].length,
                                                places[i].steps_left,
                                                input->now - places[i].accepted_at,
                                                replica_of[i]};
    const struct reference_input same = {.waiting = waiting,
                                         .n_waiting = input->n_waiting,
                                         .running = running,
                                         .n_running = n_running,
                                         .replicas = replicas,
                                         .n_replicas = input->n_replicas,
                                         .starts = input->starts};
    struct reference_decision wanted;
    ck_assert_int_eq(reference_decide(&world.rules, &same, &wanted, NULL), STATUS_OK);
    check_decisions(decision, &wanted, places);
    reference_decision_release(&wanted);
}

static void give_way(struct work *work)
{
    work->leave_at = world.now + 2; /* the step that follows is under way when the word comes */
    work->ghost = work->joined ? work->replica : NOWHERE;
    work->replica = NOWHERE;
    work->joined = false;
    work->n_preempted++;
    world.n_preemptions++;
    for (int i = 0; i < world.n_order; i++) {
        if (&world.works[world.order[i]] == work)
            memmove(&world.order[i], &world.order[i + 1],
                    (size_t)(--world.n_order - i) * sizeof *world.order);
    }
}

static void carry_out(const struct policy_decision *decision, const struct policy_input *input,
                      const int *waiting_works, const struct run_place *places, const int *running_works)
{
    for (int i = 0; i < decision->n_preempted; i++) {
        struct work *work = &world.works[running_works[decision->preempted[i].place - places]];
        bool for_a_higher_class = false;
        for (int k = 0; k < decision->n_started; k++)
            for_a_higher_class |= input->waiting[decision->started[k].waiting].class < work->it.class;
        ck_assert(for_a_higher_class);
        ck_assert_double_lt(world.now - work->arrived, world.rules.due_seconds);
        give_way(work);
    }
    for (int i = 0; i < decision->n_started; i++) {
        struct work *work = &world.works[waiting_works[decision->started[i].waiting]];
        ck_assert_int_eq(work->replica, NOWHERE);
        ck_assert(world.replicas[decision->started[i].replica].open);
        work->replica = decision->started[i].replica;
        work->mail_at = world.now + 2;
        work->ghost = NOWHERE; /* its step under way is done again: the stale report counts for nothing */
        ck_assert_int_lt(world.n_order, MOST);
        world.order[world.n_order++] = waiting_works[decision->started[i].waiting];
    }
}

static int decide(void)
{
    static struct policy_waiting waiting[MOST];
    static struct run_place places[MOST];
    static int waiting_works[MOST], running_works[MOST], replica_of[MOST];
    int n_running = list_running(places, running_works);
    struct policy_input input = {.waiting = waiting,
                                 .n_waiting = list_waiting(waiting, waiting_works),
                                 .replicas = world.replicas,
                                 .n_replicas = world.n_replicas,
                                 .now = world.now,
                                 .starts = world.starts};
    struct policy_decision decision;
    for (int i = 0; i < n_running; i++)
        replica_of[i] = world.works[running_works[i]].replica;
    ck_assert_int_eq(policy_decide(&world.rules, &input, &decision, NULL), STATUS_OK);
    check_same(&decision, &input);
    check_against_reference(&decision, &input, places, replica_of, n_running);
    world.starts = decision.starts;
    carry_out(&decision, &input, waiting_works, places, running_works);
    int n_left = input.n_waiting - decision.n_started;
    policy_decision_release(&decision);
    return n_left;
}

static void tick(void)
{
    static int n_left;
    n_left = world.now ? n_left : 0;
    for (int r = 0; r < world.n_replicas; r++)
        step_replica(r, n_left > 0);
    n_left = decide();
    world.now++;
}

static bool all_ended(void)
{
    for (int i = 0; i < world.n; i++)
        if (!world.works[i].ended)
            return false;
    return true;
}

static void run_out(int most_ticks)
{
    for (int i = 0; i < most_ticks && !all_ended(); i++)
        tick();
    ck_assert(all_ended());
}

static int wait_of(const struct work *work)
{
    return work->started_at - work->arrived;
}

/* ---- tests ---- */

START_TEST(everything_ends_and_no_budget_is_exceeded)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        set_up_world(1 + (int)(seed % REPLICAS), 8, 100, (uint32_t)(seed % 2));
        world.random = seed;
        for (int i = 0; i < 400; i++) {
            if (draw(4) == 0)
                arrive((enum request_class)draw(CLASS_COUNT), 1 + (int)draw(100), 1 + draw(16));
            tick();
        }
        run_out(4000);
    }
}
END_TEST

START_TEST(the_batch_stays_full)
{
    set_up_world(2, 16, 80, 1);
    for (int i = 0; i < 300; i++) {
        while (world.n < 7 * (i + 10))
            arrive(CLASS_NORMAL, 5 + (int)draw(6), 1 + draw(8));
        tick();
    }
    double fill = (double)world.filled / (double)world.fillable;
    ck_assert_double_gt(fill, 0.90);
}
END_TEST

START_TEST(one_step_texts_keep_the_batch_full_too)
{
    set_up_world(1, 80, 80, 1);
    for (int i = 0; i < 200; i++) {
        while (world.n < 10 * (i + 3))
            arrive(CLASS_NORMAL, 10, 1);
        tick();
        decide(); /* several times between two steps, as events come: what is sent ahead stays bounded */
        decide();
    }
    ck_assert_double_gt((double)world.filled / (double)world.fillable, 0.97);
}
END_TEST

START_TEST(a_higher_class_goes_first)
{
    set_up_world(1, 1, 100, 0);
    struct work *running = arrive(CLASS_HIGH, 100, 5);
    tick();
    struct work *low = arrive(CLASS_LOW, 10, 2), *normal = arrive(CLASS_NORMAL, 10, 2),
                *high = arrive(CLASS_HIGH, 10, 2), *second = arrive(CLASS_HIGH, 10, 2);
    run_out(100);
    ck_assert_int_lt(running->ended_at, high->started_at);
    ck_assert_int_lt(high->started_at, second->started_at);
    ck_assert_int_lt(second->started_at, normal->started_at);
    ck_assert_int_lt(normal->started_at, low->started_at);
}
END_TEST

/* More of the high class than can ever be served. The bound of policy.h, in ticks: a start here frees a place
 * within 8. */
START_TEST(nobody_starves)
{
    set_up_world(1, 4, 40, 1);
    struct work *lows[20];
    int n_lows = 0;
    for (int i = 0; i < 1000; i++) {
        for (int k = 0; k < 2; k++)
            arrive(CLASS_HIGH, 10, 1 + draw(8));
        if (i % 50 == 0)
            lows[n_lows++] = arrive(i % 100 ? CLASS_LOW : CLASS_NORMAL, 10, 4);
        tick();
    }
    for (int i = 0; i + 2 < n_lows; i++) {
        ck_assert(lows[i]->started_at);
        ck_assert_int_ge(wait_of(lows[i]), 20);
        ck_assert_int_le(wait_of(lows[i]), 20 + 4 * 8);
    }
    int n_high = 0;
    for (int i = 0; i < world.n; i++)
        n_high += world.works[i].it.class == CLASS_HIGH && world.works[i].ended;
    ck_assert_int_gt(n_high, 500); /* the class still means something */
}
END_TEST

START_TEST(a_long_text_is_not_passed_for_ever)
{
    set_up_world(1, 16, 100, 1);
    for (int i = 0; i < 50; i++) {
        for (int k = 0; k < 4; k++)
            arrive(CLASS_NORMAL, 10, 1 + draw(8));
        tick();
    }
    struct work *whole = arrive(CLASS_HIGH, 100, 3); /* due to start as soon as all that run have ended */
    for (int i = 0; i < 12; i++) {
        for (int k = 0; k < 4; k++)
            arrive(CLASS_HIGH, 10, 1 + draw(8));
        tick();
    }
    ck_assert(whole->started_at);
    ck_assert_int_le(wait_of(whole), 10);
}
END_TEST

START_TEST(short_ones_fill_the_hole_before_a_long_one)
{
    set_up_world(1, 16, 100, 0);
    arrive(CLASS_NORMAL, 60, 20);
    tick();
    struct work *whole = arrive(CLASS_NORMAL, 100, 2), *fits = arrive(CLASS_NORMAL, 40, 15),
                *too_slow = arrive(CLASS_NORMAL, 40, 40);
    for (int i = 0; i < 5; i++)
        tick();
    ck_assert(fits->started_at);
    ck_assert(!too_slow->started_at);
    run_out(200);
    ck_assert_int_le(whole->started_at, 26);
    ck_assert_int_gt(too_slow->started_at, whole->started_at);
}
END_TEST

START_TEST(the_lowest_and_youngest_give_way_and_go_on)
{
    set_up_world(1, 4, 40, 1);
    struct work *normal = arrive(CLASS_NORMAL, 10, 30), *low = arrive(CLASS_LOW, 10, 30),
                *young = arrive(CLASS_LOW, 10, 30), *other = arrive(CLASS_NORMAL, 10, 30);
    for (int i = 0; i < 5; i++)
        tick();
    struct work *high = arrive(CLASS_HIGH, 10, 5);
    tick();
    tick();
    tick();
    ck_assert_int_eq(young->n_preempted, 1);
    ck_assert_int_eq(normal->n_preempted + low->n_preempted + other->n_preempted, 0);
    ck_assert(high->started_at);
    run_out(100);
    ck_assert_int_gt(young->ended_at, high->ended_at);
    ck_assert_int_eq(young->n_preempted, 1);
}
END_TEST

START_TEST(no_more_give_way_than_needed)
{
    set_up_world(1, 8, 100, 0);
    struct work *large = arrive(CLASS_LOW, 60, 19), *small = arrive(CLASS_LOW, 20, 19),
                *last = arrive(CLASS_LOW, 20, 19);
    for (int i = 0; i < 4; i++)
        tick();
    arrive(CLASS_HIGH, 60, 2);
    tick();
    ck_assert_int_eq(large->n_preempted, 1); /* after the two small ones, which then may stay */
    ck_assert_int_eq(small->n_preempted + last->n_preempted, 0);
    run_out(100);
}
END_TEST

/* Random classes under more load than there is room: how often is one run moved out of the way? */
START_TEST(there_is_no_thrashing)
{
    int worst = 0;
    set_up_world(2, 4, 64, 1);
    for (int i = 0; i < 1000; i++) {
        if (draw(2) == 0)
            arrive((enum request_class)draw(CLASS_COUNT), 16 + (int)draw(16), 1 + draw(12));
        tick();
    }
    run_out(4000);
    for (int i = 0; i < world.n; i++)
        worst = world.works[i].n_preempted > worst ? world.works[i].n_preempted : worst;
    ck_assert_int_gt(world.n_preemptions, 10);
    ck_assert_int_le(worst, 6);
    ck_assert_int_le(world.n_preemptions, world.n);
}
END_TEST

START_TEST(the_least_loaded_replica_is_chosen)
{
    set_up_world(3, 4, 100, 0);
    world.replicas[2].slowness = 100;
    world.replicas[1].open = false;
    struct work *long_one = arrive(CLASS_NORMAL, 10, 20);
    tick();
    struct work *second = arrive(CLASS_NORMAL, 10, 1);
    tick();
    struct work *third = arrive(CLASS_NORMAL, 50, 1);
    tick();
    ck_assert_int_eq(long_one->replica, 0);
    ck_assert_int_eq(second->replica, 2);
    ck_assert_int_eq(third->replica, 0); /* 10 × 100 there are more than 10 × 18 here */
}
END_TEST

START_TEST(runs_of_a_draining_replica_move_where_there_is_room)
{
    set_up_world(2, 4, 40, 0);
    world.replicas[0].open = false;
    struct policy_waiting moving[2] = {{1, CLASS_LOW, 30, 5, -1, 0}, {2, CLASS_LOW, 30, 5, -1, 0}};
    struct run_place places[2] = {
        {.number = 1, .class = CLASS_LOW, .length = 30, .steps_left = 5, .accepted_at = -1},
        {.number = 2, .class = CLASS_LOW, .length = 30, .steps_left = 5, .accepted_at = -1}};
    for (int i = 0; i < 2; i++) {
        ck_assert(occupancy_reserve(&world.replicas[0].occupancy));
        occupancy_add(&world.replicas[0].occupancy, &places[i]);
    }
    struct policy_input input = {
        .waiting = moving, .n_waiting = 2, .replicas = world.replicas, .n_replicas = 2};
    struct policy_decision decision;
    ck_assert_int_eq(policy_decide(&world.rules, &input, &decision, NULL), STATUS_OK);
    ck_assert_int_eq(decision.n_started,
                     1); /* the other one goes on where it is, and nobody gives way for it */
    ck_assert_int_eq(decision.started[0].waiting, 0);
    ck_assert_int_eq(decision.started[0].replica, 1);
    ck_assert_int_eq(decision.n_preempted, 0);
    policy_decision_release(&decision);
}
END_TEST

/* ---- states at random, as no simulation reaches them ---- */

struct state {
    struct policy_replica replicas[MOST_REPLICAS];
    struct run_place places[MOST];
    int replica_of[MOST], n_running, n_waiting, n_replicas;
    struct policy_waiting waiting[MOST];
};

static struct state state;

static struct occupancy_limits random_limits(void)
{
    bool holds = draw(2);
    return (struct occupancy_limits){.max_sequences = 1 + (int)draw(12),
                                     .max_tokens = 20 + draw(200),
                                     .held_sequences = holds ? (int)draw(8) : 0,
                                     .held_tokens = holds ? draw(200) : 0,
                                     .ahead_steps = holds ? draw(5) : 0};
}

/* Whatever fits beside what is there already, or is held. */
static void fill_replica(int r, uint64_t *number)
{
    struct occupancy *occupancy = &state.replicas[r].occupancy;
    const struct occupancy_limits *limits = &occupancy->limits;
    for (int tries = (int)draw(30); tries > 0; tries--) {
        int length = 1 + (int)draw(60);
        if (occupancy->n >= limits->max_sequences + limits->held_sequences ||
            occupancy->n_tokens + length > limits->max_tokens + limits->held_tokens)
            continue;
        struct run_place *place = &state.places[state.n_running];
        *number += 1 + draw(3);
        *place = (struct run_place){.number = *number,
                                    .class = (enum request_class)draw(CLASS_COUNT),
                                    .length = length,
                                    .steps_left = 1 + draw(20),
                                    .accepted_at = (double)*number};
        ck_assert(occupancy_reserve(occupancy));
        occupancy_add(occupancy, place);
        state.replica_of[state.n_running++] = r;
    }
}

static void wait_to_move(const struct run_place *place, int r)
{
    state.waiting[state.n_waiting++] = (struct policy_waiting){
        place->number, place->class, place->length, place->steps_left, place->accepted_at, r};
}

static void fill_queue(uint64_t *number)
{
    for (int i = 0; i < state.n_running; i++) {
        if (!state.replicas[state.replica_of[i]].open && draw(2))
            wait_to_move(&state.places[i], state.replica_of[i]);
    }
    for (int class = 0; class < CLASS_COUNT; class ++) {
        uint64_t last = draw(100);
        for (uint32_t n = draw(40); n > 0; n--) {
            last += 3 + draw(3);
            state.waiting[state.n_waiting++] =
                (struct policy_waiting){last * CLASS_COUNT + (uint64_t) class + *number, /* never twice */
                                        (enum request_class) class,
                                        1 + (int)draw(draw(4) ? 60 : 250),
                                        1 + draw(20),
                                        (double)last,
                                        NOWHERE};
        }
    }
}

static void set_up_state(void)
{
    uint64_t number = 0;
    for (int r = 0; r < MOST_REPLICAS; r++)
        occupancy_release(&state.replicas[r].occupancy);
    state.n_running = state.n_waiting = 0;
    state.n_replicas = 1 + (int)draw(MOST_REPLICAS);
    for (int r = 0; r < state.n_replicas; r++) {
        struct occupancy_limits limits = random_limits();
        state.replicas[r] = (struct policy_replica){.open = draw(5) != 0, .slowness = 1 + draw(3)};
        occupancy_set_limits(&state.replicas[r].occupancy, &limits);
        fill_replica(r, &number);
    }
    fill_queue(&number);
}

/* A picture of an occupancy's sums, to see that nothing is left of a decision. */
static void check_as_before(const struct policy_replica *before)
{
    for (int r = 0; r < state.n_replicas; r++) {
        const struct occupancy *then = &before[r].occupancy, *now = &state.replicas[r].occupancy;
        ck_assert_int_eq(then->n, now->n);
        ck_assert_int_eq(then->n_tokens, now->n_tokens);
        ck_assert_int_eq(then->work, now->work);
        ck_assert_int_eq(then->longest, now->longest);
        ck_assert_int_eq(then->n_groups, now->n_groups);
    }
    for (int i = 0; i < state.n_running; i++)
        ck_assert(!state.places[i].is_chosen);
}

START_TEST(every_decision_is_the_reference_s)
{
    int n_started = 0, n_preempted = 0, n_reserved = 0;
    set_up_world(1, 1, 1, 0);
    for (uint64_t seed = 0; seed < 1000; seed++) {
        world.random = seed;
        set_up_state();
        const struct policy_input input = {.waiting = state.waiting,
                                           .n_waiting = state.n_waiting,
                                           .replicas = state.replicas,
                                           .n_replicas = state.n_replicas,
                                           .equal_slowness = draw(4) == 0,
                                           .now = draw(150),
                                           .starts = (int)draw(4)};
        struct policy_replica before[MOST_REPLICAS];
        struct policy_decision decision;
        memcpy(before, state.replicas, sizeof before);
        ck_assert_int_eq(policy_decide(&world.rules, &input, &decision, NULL), STATUS_OK);
        check_against_reference(&decision, &input, state.places, state.replica_of, state.n_running);
        check_as_before(before);
        n_started += decision.n_started;
        n_preempted += decision.n_preempted;
        n_reserved += decision.n_started < state.n_waiting;
        policy_decision_release(&decision);
    }
    ck_assert_int_gt(n_started, 3500);
    ck_assert_int_gt(n_preempted, 350);
    ck_assert_int_gt(n_reserved, 350);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policy");
    TCase *tests = tcase_create("policy");
    suite_add_tcase(suite, tests);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, every_decision_is_the_reference_s);
    tcase_add_test(tests, everything_ends_and_no_budget_is_exceeded);
    tcase_add_test(tests, the_batch_stays_full);
    tcase_add_test(tests, one_step_texts_keep_the_batch_full_too);
    tcase_add_test(tests, a_higher_class_goes_first);
    tcase_add_test(tests, nobody_starves);
    tcase_add_test(tests, a_long_text_is_not_passed_for_ever);
    tcase_add_test(tests, short_ones_fill_the_hole_before_a_long_one);
    tcase_add_test(tests, the_lowest_and_youngest_give_way_and_go_on);
    tcase_add_test(tests, no_more_give_way_than_needed);
    tcase_add_test(tests, there_is_no_thrashing);
    tcase_add_test(tests, the_least_loaded_replica_is_chosen);
    tcase_add_test(tests, runs_of_a_draining_replica_move_where_there_is_room);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
