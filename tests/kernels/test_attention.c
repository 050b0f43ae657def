#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/support.h"
#include "tests/reference/reference.h"

enum { SEQUENCES_MAX = 4 };

struct shape {
    int n_heads, head_size, n_sequences;
    int lengths[SEQUENCES_MAX];
    int every; /* one query at every position that is a multiple of this, plus the sequence's number */
};

static const struct shape shapes[] = {
    {1, 2, 1, {1}, 1},          {3, 16, 2, {5, 33}, 1},
    {2, 48, 3, {17, 1, 64}, 2}, {4, 64, 4, {100, 15, 16, 130}, 3},
    {2, 80, 2, {31, 70}, 1},    {1, 128, 2, {200, 37}, 1},
    {2, 64, 1, {600}, 50},      {2, 16, 3, {8, 0, 9}, 1}, /* an empty sequence */
    {2, 16, 2, {3, 20}, 7},                               /* the first has one query */
    {2, 16, 0, {0}, 1},         {0, 16, 1, {5}, 1},       /* a rank without heads */
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

/* Everything that an attention reads, for one shape. */
struct problem {
    struct attention op;
    float *qkv, *rotary, *o;
    int32_t key_start[SEQUENCES_MAX + 1], query_start[SEQUENCES_MAX + 1], position[TEST_ROWS];
    int n_queries, width;
};

static float *make_rotary(int n, int head_size)
{
    float *rotary = cleared((size_t)n * head_size, sizeof *rotary);
    int half = head_size / 2;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < half; j++) {
            double angle = i * pow(10000, -2.0 * j / head_size);
            rotary[i * head_size + j] = (float)cos(angle);
            rotary[i * head_size + half + j] = (float)sin(angle);
        }
    return rotary;
}

/* q lies apart; k and v are two thirds of rows of 3 * width, as a fused projection leaves them. */
static void problem_init(struct problem *problem, const struct shape *shape, uint32_t seed)
{
    memset(problem, 0, sizeof *problem);
    problem->width = shape->n_heads * shape->head_size;
    for (int s = 0; s < shape->n_sequences; s++) {
        problem->key_start[s + 1] = problem->key_start[s] + shape->lengths[s];
        for (int i = 0; i < shape->lengths[s]; i++)
            if ((i + s) % shape->every == 0)
                problem->position[problem->n_queries++] = i;
        problem->query_start[s + 1] = problem->n_queries;
    }
    int width = problem->width, n_keys = problem->key_start[shape->n_sequences];
    problem->qkv = random_floats((size_t)(n_keys + problem->n_queries + 1) * 3 * width, seed, 2);
    problem->rotary = make_rotary(TEST_POSITIONS, shape->head_size);
    problem->o = cleared((size_t)(problem->n_queries + 1) * (width + 1), sizeof *problem->o);
    problem->op = (struct attention){.q = problem->qkv + (size_t)n_keys * 3 * width,
                                     .k = problem->qkv + width,
                                     .v = problem->qkv + 2 * width,
                                     .ld_q = 3 * width,
                                     .ld_kv = 3 * width,
                                     .ld_o = width + 1,
                                     .n_heads = shape->n_heads,
                                     .head_size = shape->head_size,
                                     .rotary = problem->rotary,
                                     .n_sequences = shape->n_sequences,
                                     .key_start = problem->key_start,
                                     .query_start = problem->query_start,
                                     .query_position = problem->position,
                                     .o = problem->o};
}

static void problem_release(struct problem *problem)
{
    free(problem->qkv), free(problem->rotary), free(problem->o);
}

START_TEST(test_attention_is_the_reference)
{
    struct problem problem;
    problem_init(&problem, &shapes[_i], 40);
    size_t n = (size_t)problem.n_queries * problem.width;
    size_t o_bytes = (size_t)problem.n_queries * (problem.width + 1) * sizeof(float);
    double *expected = cleared(n, sizeof *expected);
    float *best = cleared(o_bytes, 1);
    reference_attention(&problem.op, expected);
    for (const char *const *isa = machine_isas(); *isa != NULL; isa++)
        for (int n_threads = 1; n_threads <= 3; n_threads++) {
            struct device *device = open_device(*isa, n_threads);
            memset(problem.o, 0, o_bytes);
            backend_cpu.attention(device, &problem.op);
            finish_device(device);
            for (int i = 0; i < problem.n_queries; i++)
                check_close(problem.o + i * (problem.width + 1), expected + i * problem.width,
                            (size_t)problem.width, 4e-6, *isa);
            if (isa == machine_isas() && n_threads == 1)
                memcpy(best, problem.o, o_bytes);
            check_same_bits(problem.o, best, o_bytes, *isa);
        }
    free(expected), free(best);
    problem_release(&problem);
}
END_TEST

/* A query's row is the same alone and among others: all queries at once, then each sequence's last query
 * alone. */
START_TEST(test_a_query_does_not_depend_on_others)
{
    static const struct shape shape = {2, 64, 3, {90, 40, 61}, 1};
    struct problem problem;
    problem_init(&problem, &shape, 41);
    struct device *device = open_device(machine_isas()[0], 2);
    backend_cpu.attention(device, &problem.op);
    for (int s = 0; s < shape.n_sequences; s++) {
        int last = problem.query_start[s + 1] - 1;
        int32_t keys[2] = {0, shape.lengths[s]}, queries[2] = {0, 1};
        float alone[128];
        struct attention op = problem.op;
        op.n_sequences = 1;
        op.key_start = keys;
        op.query_start = queries;
        op.query_position = problem.position + last;
        op.k = (const float *)op.k + problem.key_start[s] * op.ld_kv;
        op.v = (const float *)op.v + problem.key_start[s] * op.ld_kv;
        op.q = (const float *)op.q + last * op.ld_q;
        op.o = alone;
        backend_cpu.attention(device, &op);
        check_same_bits(alone, problem.o + last * problem.op.ld_o, sizeof alone, "query");
    }
    finish_device(device);
    problem_release(&problem);
}
END_TEST

START_TEST(test_scores_far_apart)
{
    static const struct shape shape = {1, 16, 1, {50}, 1};
    struct problem problem;
    problem_init(&problem, &shape, 42);
    double *expected = cleared(50 * 16, sizeof *expected);
    for (int i = 0; i < 100 * 48; i++)
        problem.qkv[i] *= 20; /* scores of thousands: one key takes all */
    reference_attention(&problem.op, expected);
    struct device *device = open_device(machine_isas()[0], 1);
    backend_cpu.attention(device, &problem.op);
    for (int i = 0; i < 50; i++)
        check_close(problem.o + i * 17, expected + i * 16, 16, 5e-3, "far"); /* eps * 1e4 in the exponent */
    finish_device(device);
    free(expected);
    problem_release(&problem);
}
END_TEST

START_TEST(test_attention_says_what_does_not_fit)
{
    static const struct shape shape = {1, 16, 1, {1}, 1};
    struct problem problem;
    struct error error;
    problem_init(&problem, &shape, 43);
    struct device *device = open_device("generic", 1);
    problem.key_start[1] = TEST_POSITIONS + 1;
    backend_cpu.attention(device, &problem.op);
    ck_assert_int_eq(backend_cpu.synchronize(device, &error), STATUS_OUT_OF_RANGE);
    ck_assert_str_eq(error.text,
                     "attention over a sequence of 641 positions: the device was opened for at most 640");
    backend_cpu.close(device);
    problem_release(&problem);
}
END_TEST

Suite *attention_suite(void)
{
    Suite *suite = suite_create("attention");
    TCase *tests = tcase_create("attention");
    tcase_add_loop_test(tests, test_attention_is_the_reference, 0, N_SHAPES);
    tcase_add_test(tests, test_a_query_does_not_depend_on_others);
    tcase_add_test(tests, test_scores_far_apart);
    tcase_add_test(tests, test_attention_says_what_does_not_fit);
    suite_add_tcase(suite, tests);
    return suite;
}
