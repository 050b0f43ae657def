#include "tests/coordinator/scheduler/capacity_cases.h"

#include <stdlib.h>

struct run plain_run(enum request_class class, int length, int steps, double accepted_at)
{
    static uint64_t last_number;
    return (struct run){.number = ++last_number,
                        .class = class,
                        .length = length,
                        .steps = steps,
                        .accepted_at = accepted_at};
}

struct replica *ready_replica(struct replica_set *set, const char *name, int max_sequences,
                              int64_t max_tokens)
{
    struct replica *replica = replica_set_get(set, name);
    ck_assert_ptr_nonnull(replica);
    replica->capacity = (struct replica_capacity){.max_sequences = max_sequences, .max_tokens = max_tokens};
    replica_set_state(set, replica, REPLICA_READY);
    return replica;
}

void measure_replica(struct replica_set *set, struct replica *replica, double tokens, double seconds)
{
    for (int i = 0; i < 20; i++)
        cost_model_add(&replica->cost, tokens, seconds);
    replica_set_update(set, replica);
}

void place_run(struct replica_set *set, struct replica *replica, struct run *run)
{
    ck_assert(replica_set_reserve_run(set, replica));
    replica_set_add_run(set, replica, run);
}

int main(void)
{
    Suite *suite = suite_create("capacity");
    suite_add_tcase(suite, occupancy_case());
    suite_add_tcase(suite, cost_case());
    suite_add_tcase(suite, estimate_case());
    suite_add_tcase(suite, snapshot_case());
    suite_add_tcase(suite, replica_set_case());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
