/* The sums that events keep up, against sums that are made anew from all runs. */
#include <stdlib.h>

#include "tests/coordinator/scheduler/capacity_cases.h"

enum { N_PLACES = 60 };

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

static void check_sums(const struct occupancy *occupancy, const struct occupancy *anew)
{
    ck_assert_int_eq(occupancy->n, anew->n);
    ck_assert_int_eq(occupancy->n_tokens, anew->n_tokens);
    ck_assert_int_eq(occupancy->work, anew->work);
    ck_assert_int_eq(occupancy->n_soon, anew->n_soon);
    ck_assert_int_eq(occupancy->soon_tokens, anew->soon_tokens);
    ck_assert_int_eq(occupancy->longest, anew->longest);
    ck_assert_int_eq(occupancy->n_groups, anew->n_groups);
    for (int i = 0; i < anew->n_groups; i++) {
        ck_assert_uint_eq(occupancy->groups[i].steps_left, anew->groups[i].steps_left);
        ck_assert_int_eq(occupancy->groups[i].n, anew->groups[i].n);
        ck_assert_int_eq(occupancy->groups[i].n_tokens, anew->groups[i].n_tokens);
    }
}

/* Each class's list has its runs in the order of their numbers, in both directions. */
static void check_lists(const struct occupancy *occupancy)
{
    int n = 0;
    for (int c = 0; c < CLASS_COUNT; c++) {
        const struct run_place *last = NULL;
        int64_t n_tokens = 0;
        int n_class = 0;
        for (const struct run_place *place = occupancy->by_class[c].oldest; place; place = place->younger) {
            ck_assert_ptr_eq(place->older, last);
            ck_assert(!last || last->number < place->number);
            ck_assert_int_eq(place->class, c);
            n_tokens += place->length;
            n_class++;
            last = place;
        }
        ck_assert_ptr_eq(occupancy->by_class[c].youngest, last);
        ck_assert_int_eq(occupancy->by_class[c].n, n_class);
        ck_assert_int_eq(occupancy->by_class[c].n_tokens, n_tokens);
        n += n_class;
    }
    ck_assert_int_eq(n, occupancy->n);
}

static void check_against_new(const struct occupancy *occupancy, const struct run_place *places,
                              const bool *is_there)
{
    struct occupancy anew = {0};
    occupancy_set_limits(&anew, &occupancy->limits);
    for (int i = 0; i < N_PLACES; i++) {
        ck_assert(occupancy_reserve(&anew));
        if (is_there[i])
            occupancy_count(&anew, places[i].length, places[i].steps_left, 1);
    }
    check_sums(occupancy, &anew);
    check_lists(occupancy);
    occupancy_release(&anew);
}

static void come(struct occupancy *occupancy, struct run_place *place)
{
    *place = (struct run_place){.number = 1 + draw(1000000),
                                .class = (enum request_class)draw(CLASS_COUNT),
                                .length = 1 + (int)draw(40),
                                .steps_left = 1 + draw(12)};
    ck_assert(occupancy_reserve(occupancy));
    occupancy_add(occupancy, place);
}

static void change_limits(struct occupancy *occupancy)
{
    const struct occupancy_limits limits = {.max_sequences = 1 + (int)draw(30),
                                            .max_tokens = 10 + draw(600),
                                            .held_sequences = (int)draw(30),
                                            .held_tokens = draw(600),
                                            .ahead_steps = draw(6)};
    occupancy_set_limits(occupancy, &limits);
}

START_TEST(sums_kept_up_are_those_made_anew)
{
    static struct run_place places[N_PLACES];
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct occupancy occupancy = {0};
        bool is_there[N_PLACES] = {0};
        random_state = seed;
        change_limits(&occupancy);
        for (int event = 0; event < 300; event++) {
            int i = (int)draw(N_PLACES);
            if (!is_there[i])
                come(&occupancy, &places[i]);
            else if (draw(4) && places[i].steps_left)
                occupancy_step(&occupancy, &places[i]);
            else
                occupancy_remove(&occupancy, &places[i]);
            is_there[i] = !is_there[i] || places[i].older || places[i].younger ||
                          occupancy.by_class[places[i].class].oldest == &places[i];
            if (!draw(50))
                change_limits(&occupancy);
            check_against_new(&occupancy, places, is_there);
        }
        occupancy_release(&occupancy);
    }
}
END_TEST

/* Run by run, as slow as it is plain. */
static uint32_t start_by_definition(const struct occupancy_limits *limits, const struct run_place *places,
                                    int n_places, int length)
{
    for (uint32_t steps = 0; steps <= 20; steps++) {
        int n = 0;
        int64_t n_tokens = 0;
        for (int i = 0; i < n_places; i++) {
            n += places[i].steps_left > steps;
            n_tokens += places[i].steps_left > steps ? places[i].length : 0;
        }
        if (n < limits->max_sequences && n_tokens + length <= limits->max_tokens)
            return steps;
    }
    return OCCUPANCY_NEVER;
}

static bool gives_way(const struct run_place *place, enum request_class class, double due_at)
{
    return place->class > class && place->accepted_at > due_at;
}

START_TEST(a_start_is_as_defined)
{
    enum { MOST = 12 };
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct occupancy occupancy = {0};
        struct run_place places[MOST] = {0}, kept[MOST];
        random_state = seed;
        int n = (int)draw(MOST), length = 1 + (int)draw(200), n_kept = 0;
        change_limits(&occupancy);
        enum request_class class = (enum request_class)draw(CLASS_COUNT);
        double due_at = draw(15);
        for (int i = 0; i < n; i++) {
            come(&occupancy, &places[i]);
            occupancy_remove(&occupancy, &places[i]);
            places[i].number = (uint64_t)i + 1;
            places[i].accepted_at = i;
            occupancy_add(&occupancy, &places[i]);
            if (!gives_way(&places[i], class, due_at))
                kept[n_kept++] = places[i];
        }
        uint32_t start = start_by_definition(&occupancy.limits, places, n, length);
        ck_assert_uint_eq(occupancy_start_in(&occupancy, length, OCCUPANCY_NEVER), start);
        ck_assert_uint_eq(occupancy_start_in(&occupancy, length, 3), start < 3 ? start : OCCUPANCY_NEVER);
        ck_assert_uint_eq(occupancy_start_above(&occupancy, length, class, due_at),
                          start_by_definition(&occupancy.limits, kept, n_kept, length));
        occupancy_release(&occupancy);
    }
}
END_TEST

START_TEST(what_is_held_bounds_what_is_sent_ahead)
{
    struct occupancy occupancy = {0};
    struct run_place running = {.number = 1, .length = 80, .steps_left = 1};
    const struct occupancy_limits limits = {
        .max_sequences = 4, .max_tokens = 100, .held_sequences = 1, .held_tokens = 30, .ahead_steps = 1};
    ck_assert(!occupancy_takes(&occupancy, 1)); /* before it is ready */
    occupancy_set_limits(&occupancy, &limits);
    ck_assert(occupancy_takes(&occupancy, 100) && !occupancy_takes(&occupancy, 101));
    ck_assert(occupancy_reserve(&occupancy));
    occupancy_add(&occupancy, &running);
    ck_assert(
        occupancy_takes(&occupancy, 50)); /* 80 leave with the step under way, 30 may be held until then */
    ck_assert(!occupancy_takes(&occupancy, 51));
    occupancy_release(&occupancy);
}
END_TEST

TCase *occupancy_case(void)
{
    TCase *cases = tcase_create("occupancy");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, sums_kept_up_are_those_made_anew);
    tcase_add_test(cases, a_start_is_as_defined);
    tcase_add_test(cases, what_is_held_bounds_what_is_sent_ahead);
    return cases;
}
