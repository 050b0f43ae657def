#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/any.h"
#include "tests/kernels/support.h"
#include "tests/reference/reference.h"

/* Attention on any backend. */
enum { SEQUENCES_MAX = 5 };

struct shape {
    int n_heads, head_size, n_sequences;
    int lengths[SEQUENCES_MAX];
    int every;   /* one query at every position that is a multiple of this, plus the sequence's number */
    int padding; /* elements between rows of o: 1 makes rows that begin anywhere */
};

static const struct shape shapes[] = {
    {1, 2, 1, {1}, 1, 0},
    {3, 16, 2, {5, 33}, 1, 8},
    {2, 48, 3, {17, 1, 64}, 2, 0},
    {4, 64, 4, {100, 15, 16, 130}, 3, 1},
    {2, 80, 2, {31, 70}, 1, 0},
    {1, 128, 2, {200, 37}, 1, 1},
    {2, 64, 1, {600}, 50, 0},
    {4, 64, 2, {280, 300}, 1, 0}, /* many queries: larger blocks on a GPU */
    {8, 128, 1, {150}, 1, 0},
    {12, 80, 1, {140}, 1, 0},
    {2, 96, 2, {65, 20}, 1, 0},
    {1, 256, 2, {40, 33}, 1, 0},
    {1, 250, 1, {40}, 1, 0}, /* head sizes that tensor cores do not take */
    {3, 6, 2, {33, 40}, 1, 0},
    {2, 40, 2, {33, 129}, 1, 0},
    {2, 16, 3, {8, 0, 9}, 1, 0}, /* an empty sequence */
    {2, 16, 2, {3, 20}, 7, 0},   /* the first has one query */
    {1, 32, 5, {3, 70, 70, 1, 90}, 2, 0},
    {2, 16, 0, {0}, 1, 0},
    {0, 16, 1, {5}, 1, 0}, /* a rank without heads */
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

/* What an attention reads, on the host, and the same on the device. */
struct problem {
    struct device *device;
    enum dtype type;
    struct attention op, there;
    float *qkv, *rotary;
    int32_t key_start[SEQUENCES_MAX + 1], query_start[SEQUENCES_MAX + 1], position[ANY_ROWS];
    int n_queries, n_keys, width;
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

static void place_rows(struct problem *problem, const struct shape *shape)
{
    for (int s = 0; s < shape->n_sequences; s++) {
        problem->key_start[s + 1] = problem->key_start[s] + shape->lengths[s];
        problem->op.longest =
            shape->lengths[s] > problem->op.longest ? shape->lengths[s] : problem->op.longest;
        for (int i = 0; i < shape->lengths[s]; i++)
            if ((i + s) % shape->every == 0)
                problem->position[problem->n_queries++] = i;
        problem->query_start[s + 1] = problem->n_queries;
    }
    problem->n_keys = problem->key_start[shape->n_sequences];
}

/* q lies apart; k and v are two thirds of rows of 3 * width, as a fused projection leaves them. */
static void problem_init(struct problem *problem, const struct any_variant *variant,
                         const struct shape *shape)
{
    memset(problem, 0, sizeof *problem);
    place_rows(problem, shape);
    int width = problem->width = shape->n_heads * shape->head_size;
    size_t n = (size_t)(problem->n_keys + problem->n_queries + 1) * 3 * width;
    problem->device = any_open_variant(variant);
    problem->type = any_backend->activation_type(problem->device);
    problem->qkv = random_floats(n, 40, 2);
    any_round(problem->qkv, n, problem->type);
    problem->rotary = make_rotary(ANY_POSITIONS, shape->head_size);
    problem->op.q = problem->qkv + (size_t)problem->n_keys * 3 * width;
    problem->op.k = problem->qkv + width, problem->op.v = problem->qkv + 2 * width;
    problem->op.ld_q = problem->op.ld_kv = 3 * width;
    problem->op.ld_o = width + shape->padding;
    problem->op.n_heads = shape->n_heads, problem->op.head_size = shape->head_size;
    problem->op.rotary = problem->rotary;
    problem->op.n_sequences = shape->n_sequences, problem->op.n_queries = problem->n_queries;
    problem->op.key_start = problem->key_start, problem->op.query_start = problem->query_start;
    problem->op.query_position = problem->position;
}

static void problem_upload(struct problem *problem)
{
    struct device *device = problem->device;
    size_t element = dtype_bytes(problem->type), n_rows = (size_t)problem->n_keys + problem->n_queries + 1;
    size_t width = (size_t)problem->width, starts = (size_t)problem->op.n_sequences + 1;
    char *qkv = any_put_floats(device, problem->qkv, n_rows * 3 * width, problem->type);
    problem->there = problem->op;
    problem->there.q = qkv + element * (size_t)problem->n_keys * 3 * width;
    problem->there.k = qkv + element * width, problem->there.v = qkv + element * 2 * width;
    problem->there.rotary =
        any_put(device, problem->rotary, (size_t)ANY_POSITIONS * problem->op.head_size * sizeof(float));
    problem->there.key_start = any_put(device, problem->key_start, starts * sizeof(int32_t));
    problem->there.query_start = any_put(device, problem->query_start, starts * sizeof(int32_t));
    problem->there.query_position =
        any_put(device, problem->position, (size_t)problem->n_queries * sizeof(int32_t));
    problem->there.o =
        any_backend->allocate(device, ((size_t)problem->n_queries + 1) * problem->op.ld_o * element);
    ck_assert_ptr_nonnull(problem->there.o);
}

static void problem_release(struct problem *problem)
{
    char *qkv = (char *)problem->there.k - dtype_bytes(problem->type) * (size_t)problem->width;
    void *const there[] = {qkv,
                           (void *)problem->there.rotary,
                           (void *)problem->there.key_start,
                           (void *)problem->there.query_start,
                           (void *)problem->there.query_position,
                           problem->there.o};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        any_backend->release(problem->device, there[i]);
    free(problem->qkv), free(problem->rotary);
}

/* bf16: the rotated q and k, exp(scores) and o are each rounded once, 2^-9; scores of up to 8 move the
 * softmax by as much as their own error of some 2^-8. */
static double tolerance(enum dtype type)
{
    return type == DTYPE_BF16 ? 1e-2 : 4e-6;
}

static void check_attention(const struct problem *problem, const float *o, const char *what)
{
    int64_t width = problem->width, ld_o = problem->op.ld_o;
    double *expected = cleared(problem->n_queries * width, sizeof *expected);
    reference_attention(&problem->op, expected);
    for (int i = 0; i < problem->n_queries; i++) {
        check_close(o + i * ld_o, expected + i * width, width, tolerance(problem->type), what);
        for (int64_t j = width; j < ld_o; j++)
            ck_assert_float_eq(o[i * ld_o + j], 0); /* what lies between rows stays */
    }
    free(expected);
}

START_TEST(test_attention)
{
    const struct any_variant *variants;
    for (int v = 0; v < any_formats(&variants); v++) {
        struct problem problem;
        problem_init(&problem, &variants[v], &shapes[_i]);
        problem_upload(&problem);
        size_t n = (size_t)problem.n_queries * problem.op.ld_o;
        float *o = cleared(n, sizeof *o);
        any_backend->attention(problem.device, &problem.there);
        any_get_floats(problem.device, problem.there.o, n, problem.type, o);
        if (!variants[v].same_bits) /* or any_get has said so */
            check_attention(&problem, o, variants[v].name);
        free(o);
        problem_release(&problem);
        any_close(problem.device);
    }
}
END_TEST

/* A query's row is the same bits alone and among others, in a large batch and in a small one, wherever it
 * lies in it. */
START_TEST(test_a_query_does_not_depend_on_others)
{
    static const struct shape alike[] = {{4, 64, 3, {130, 40, 180}, 1, 0}, {8, 128, 2, {130, 41}, 1, 0}};
    const struct any_variant *variants;
    for (int v = 0; v < any_formats(&variants); v++) {
        struct problem problem;
        problem_init(&problem, &variants[v], &alike[_i]);
        problem_upload(&problem);
        size_t row_bytes = (size_t)problem.width * dtype_bytes(problem.type);
        char *all = cleared(problem.n_queries, row_bytes), *alone = cleared(problem.n_queries, row_bytes);
        any_backend->attention(problem.device, &problem.there);
        any_get(problem.device, problem.there.o, problem.n_queries * row_bytes, all);
        for (int i = 0; i < 2 * alike[_i].n_sequences; i++) {
            /* of every sequence its last 37 queries, then its last one */
            int s = i / 2, end = problem.query_start[s + 1], first = end - (i % 2 == 0 ? 37 : 1);
            int32_t keys[2] = {0, alike[_i].lengths[s]}, queries[2] = {0, end - first};
            struct attention op = problem.there;
            size_t kv = (size_t)problem.key_start[s] * op.ld_kv * dtype_bytes(problem.type);
            op.n_sequences = 1, op.n_queries = end - first, op.longest = keys[1];
            op.k = (const char *)op.k + kv, op.v = (const char *)op.v + kv;
            op.q = (const char *)op.q + (size_t)first * op.ld_q * dtype_bytes(problem.type);
            op.query_position = problem.there.query_position + first;
            op.key_start = any_put(problem.device, keys, sizeof keys);
            op.query_start = any_put(problem.device, queries, sizeof queries);
            any_backend->attention(problem.device, &op);
            any_get(problem.device, op.o, (end - first) * row_bytes, alone);
            check_same_bits(alone, all + first * row_bytes, (end - first) * row_bytes, "queries alone");
            any_backend->release(problem.device, (void *)op.key_start);
            any_backend->release(problem.device, (void *)op.query_start);
        }
        free(all), free(alone);
        problem_release(&problem);
        any_close(problem.device);
    }
}
END_TEST

/* Scores of thousands: one key takes all. bfloat16 cannot say which. */
START_TEST(test_scores_far_apart)
{
    enum { N = 50, WIDTH = 16 };
    static const struct shape shape = {1, WIDTH, 1, {N}, 1, 0};
    const struct any_variant *variants;
    for (int v = 0; v < any_formats(&variants); v++) {
        struct problem problem;
        double expected[N * WIDTH];
        float o[N * WIDTH];
        if (variants[v].precision != PRECISION_F32)
            continue;
        problem_init(&problem, &variants[v], &shape);
        for (int i = 0; i < 2 * N * 3 * WIDTH; i++)
            problem.qkv[i] *= 20;
        problem_upload(&problem);
        reference_attention(&problem.op, expected);
        any_backend->attention(problem.device, &problem.there);
        any_get(problem.device, problem.there.o, sizeof o, o);
        check_close(o, expected, N * WIDTH, 5e-3, "far"); /* eps * 1e4 in the exponent */
        problem_release(&problem);
        any_close(problem.device);
    }
}
END_TEST

START_TEST(test_sizes_that_do_not_fit_are_refused)
{
    static const struct {
        int head_size, longest;
        const char *text;
    } cases[] = {{15, 33, "head size 15"},
                 {16, ANY_POSITIONS + 1, "641 positions: the device was opened for at most 640"}};
    const struct any_variant *variants;
    struct problem problem;
    struct error error = {0};
    (void)any_formats(&variants);
    problem_init(&problem, &variants[0], &shapes[1]);
    problem.key_start[2] = problem.key_start[1] + cases[_i].longest;
    problem_upload(&problem);
    struct attention op = problem.there;
    op.head_size = cases[_i].head_size, op.longest = cases[_i].longest;
    any_backend->attention(problem.device, &op);
    ck_assert_int_eq(any_backend->synchronize(problem.device, &error), STATUS_OUT_OF_RANGE);
    ck_assert_ptr_nonnull(strstr(error.text, cases[_i].text));
    problem_release(&problem);
    any_backend->close(problem.device);
}
END_TEST

Suite *any_attention_suite(void)
{
    Suite *suite = suite_create("attention, any backend");
    TCase *tests = tcase_create("attention");
    tcase_add_loop_test(tests, test_attention, 0, N_SHAPES);
    tcase_add_loop_test(tests, test_a_query_does_not_depend_on_others, 0, 2);
    tcase_add_test(tests, test_scores_far_apart);
    tcase_add_loop_test(tests, test_sizes_that_do_not_fit_are_refused, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}
