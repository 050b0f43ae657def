#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/philox.h"
#include "kernels/backend.h"
#include "kernels/cpu/pool.h"
#include "bench/peak.h"

/*
 * bench_kernels [THREADS [SECONDS_PER_ROW [FILTER]]]
 *
 * Prints one row of tab-separated values for each operation and shape: what, device, shape, best and median
 * time, GFLOP/s of the best, the best peak, and the share of the peak. The peak is timed again beside every
 * repetition, on as many threads, because the clock and the load of a shared machine change. The share is the
 * median of the repetitions' shares. Some results are checked against double precision.
 */
enum { REPETITIONS_MAX = 400, SAMPLES = 200 };

struct bench {
    const struct backend *backend;
    struct device *device;
    struct pool *pool; /* for the peak alone */
    int n_threads;
    double seconds;
    const char *filter;
};

struct timing {
    double best_s, median_s;
    double peak;              /* flop per second */
    double median_peak_flops; /* of time * peak: the operations that the peak would have done meanwhile */
};

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void peak_part(void *context, int part, int thread)
{
    (void)thread;
    ((double *)context)[part] = peak_run(200000);
}

static double peak_once(const struct bench *bench)
{
    double flops[64] = {0}, total = 0, start = now_s();
    pool_run(bench->pool, peak_part, flops, bench->n_threads);
    double seconds = now_s() - start;
    for (int i = 0; i < bench->n_threads; i++)
        total += flops[i];
    return total / seconds;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct timing measure(const struct bench *bench, void (*operation)(const struct bench *, const void *),
                             const void *argument)
{
    double times[REPETITIONS_MAX], work[REPETITIONS_MAX];
    struct timing timing = {0};
    int n = 0;
    operation(bench, argument);
    for (double end = now_s() + bench->seconds; n < 3 || (now_s() < end && n < REPETITIONS_MAX); n++) {
        double peak = peak_once(bench), start = now_s();
        operation(bench, argument);
        times[n] = now_s() - start;
        work[n] = times[n] * peak;
        timing.peak = fmax(timing.peak, peak);
    }
    qsort(work, (size_t)n, sizeof work[0], by_size);
    timing.median_peak_flops = work[n / 2];
    qsort(times, (size_t)n, sizeof times[0], by_size);
    timing.best_s = times[0];
    timing.median_s = times[n / 2];
    return timing;
}

static void report(const struct bench *bench, const char *what, const char *shape, double flops,
                   struct timing timing)
{
    printf("%s\t%s\t%s\t%.3f ms\t%.3f ms\t%.1f GFLOP/s\tpeak %.1f\t%.1f%%\n", what,
           bench->backend->describe(bench->device), shape, timing.best_s * 1e3, timing.median_s * 1e3,
           flops / timing.best_s * 1e-9, timing.peak * 1e-9, 100 * flops / timing.median_peak_flops);
    fflush(stdout);
}

static void fail(const char *what)
{
    fprintf(stderr, "bench_kernels: %s\n", what);
    exit(EXIT_FAILURE);
}

static float *floats(const struct bench *bench, size_t n, uint32_t seed)
{
    float *values = bench->backend->allocate(bench->device, n * sizeof *values);
    if (values == NULL)
        fail("no memory");
    for (size_t i = 0; seed != 0 && i < n; i++) {
        uint64_t x = (i + 1) * 0x9E3779B97F4A7C15u * seed;
        values[i] = (float)((x ^ x >> 31) & 0xFFFF) * 0x1p-16f - 0.5f;
    }
    return values;
}

static struct weight *make_weight(const struct bench *bench, const float *w, int n_out, int n_in,
                                  int n_leaves)
{
    struct matrix_view view = {w, DTYPE_F32, n_out, n_in, n_in};
    int32_t leaves[MATMUL_LEAVES + 1];
    struct weight *weight;
    struct error error;
    for (int i = 0; i <= n_leaves; i++)
        leaves[i] = n_in * i / n_leaves;
    if (bench->backend->weight_create(bench->device, WEIGHT_PRODUCT, &view, 1, leaves, n_leaves, &weight,
                                      &error) != STATUS_OK)
        fail(error.text);
    return weight;
}

static double dot(const float *a, const float *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* The same product with WEIGHTS copies of the weight in turn, because in a model no layer finds its weight in
 * a near cache. */
enum { WEIGHTS = 8 };
struct layers {
    struct matmul op[WEIGHTS];
    int *turn;
};

static void run_matmul(const struct bench *bench, const void *argument)
{
    const struct layers *layers = argument;
    bench->backend->matmul(bench->device, &layers->op[(*layers->turn)++ % WEIGHTS]);
}

static void bench_matmul(const struct bench *bench, int rows, int n_out, int n_in, int n_leaves)
{
    char shape[64];
    snprintf(shape, sizeof shape, "M=%d N=%d K=%d leaves=%d", rows, n_out, n_in, n_leaves);
    if (strstr("matmul", bench->filter) == NULL)
        return;
    float *x = floats(bench, (size_t)rows * (size_t)n_in, 1),
          *w = floats(bench, (size_t)n_out * (size_t)n_in, 2);
    float *y = floats(bench, (size_t)rows * (size_t)n_out, 0);
    struct matmul op = {.x = x, .ld_x = n_in, .rows = rows, .y = y, .ld_y = n_out};
    struct weight *weights[WEIGHTS];
    int turn = 0, n_weights = n_out > 10000 ? 1 : WEIGHTS;
    struct layers layers = {.turn = &turn};
    for (int i = 0; i < WEIGHTS; i++) {
        op.weight = weights[i] = i < n_weights ? make_weight(bench, w, n_out, n_in, n_leaves) : weights[0];
        layers.op[i] = op;
    }
    struct timing timing = measure(bench, run_matmul, &layers);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        int row = (int)(philox_uniform(1, i, 0, 0) * rows),
            column = (int)(philox_uniform(1, i, 1, 0) * n_out);
        double expected = dot(x + (int64_t)row * n_in, w + (int64_t)column * n_in, n_in);
        if (!(fabs(y[(int64_t)row * n_out + column] - expected) < 1e-5 * (1 + sqrt(n_in))))
            fail("matmul: a wrong result");
    }
    report(bench, "matmul", shape, 2.0 * rows * n_out * n_in, timing);
    for (int i = 0; i < n_weights; i++)
        bench->backend->weight_free(bench->device, weights[i]);
    bench->backend->release(bench->device, x);
    bench->backend->release(bench->device, y);
    bench->backend->release(bench->device, w);
}

static void run_attention(const struct bench *bench, const void *op)
{
    bench->backend->attention(bench->device, op);
}

/* With q = 0 every key weighs the same, so o is the mean of v. The time does not depend on the values. */
static void check_attention(const struct bench *bench, struct attention op, int length)
{
    float *zeros = floats(bench, (size_t)op.query_start[1] * (size_t)op.ld_q, 0);
    op.q = zeros;
    op.n_sequences = 1;
    run_attention(bench, &op);
    for (int d = 0; d < op.n_heads * op.head_size; d++) {
        double mean = 0;
        for (int i = 0; i < length; i++)
            mean += ((const float *)op.v)[i * op.ld_kv + d];
        if (!(fabs(((const float *)op.o)[(length - 1) * op.ld_o + d] - mean / length) < 1e-5))
            fail("attention: a wrong result");
    }
    bench->backend->release(bench->device, zeros);
}

static void bench_attention(const struct bench *bench, int n_sequences, int length, int n_heads,
                            int head_size)
{
    if (strstr("attention", bench->filter) == NULL)
        return;
    int rows = n_sequences * length, width = n_heads * head_size;
    char shape[80];
    snprintf(shape, sizeof shape, "%d x L=%d heads=%d size=%d", n_sequences, length, n_heads, head_size);
    float *qkv = floats(bench, (size_t)rows * 3 * (size_t)width, 3),
          *o = floats(bench, (size_t)(rows * width), 0);
    float *rotary = floats(bench, (size_t)(length * head_size), 4);
    int32_t start[65], *position = bench->backend->allocate(bench->device, (size_t)rows * sizeof *position);
    for (int i = 0; i <= n_sequences; i++)
        start[i] = i * length;
    for (int i = 0; i < rows; i++)
        position[i] = i % length;
    struct attention op = {.q = qkv,
                           .k = qkv + width,
                           .v = qkv + 2 * width,
                           .ld_q = 3 * width,
                           .ld_kv = 3 * width,
                           .ld_o = width,
                           .n_heads = n_heads,
                           .head_size = head_size,
                           .rotary = rotary,
                           .n_sequences = n_sequences,
                           .key_start = start,
                           .query_start = start,
                           .query_position = position,
                           .o = o};
    struct timing timing = measure(bench, run_attention, &op);
    check_attention(bench, op, length);
    report(bench, "attention", shape, 4.0 * rows * length * width, timing);
    bench->backend->release(bench->device, qkv);
    bench->backend->release(bench->device, o);
    bench->backend->release(bench->device, rotary);
    bench->backend->release(bench->device, position);
}

static void run_head_scan(const struct bench *bench, const void *op)
{
    bench->backend->head_scan(bench->device, op);
}

static void check_head(const struct head_scan *op, const float *w, int n_out, int n_in, int row)
{
    double sum = 0, max = op->groups[row].max;
    for (int i = 0; i < n_out; i++)
        sum += exp(dot((const float *)op->x + (int64_t)row * n_in, w + (int64_t)i * n_in, n_in) +
                   op->bias[i] - max);
    if (!(fabs(op->groups[row].sum / sum - 1) < 1e-4))
        fail("head_scan: a wrong sum");
}

static void bench_head(const struct bench *bench, int rows, int n_out, int n_in)
{
    if (strstr("head_scan", bench->filter) == NULL)
        return;
    char shape[64];
    snprintf(shape, sizeof shape, "M=%d N=%d K=%d", rows, n_out, n_in);
    float *x = floats(bench, (size_t)rows * (size_t)n_in, 5),
          *w = floats(bench, (size_t)n_out * (size_t)n_in, 6);
    float *bias = floats(bench, (size_t)n_out, 7), *one = floats(bench, (size_t)rows, 0);
    float *left_out_logit = floats(bench, (size_t)rows, 0);
    int n_tiles = (n_out + VOCABULARY_TILE - 1) / VOCABULARY_TILE;
    int32_t *none = bench->backend->allocate(bench->device, (size_t)rows * sizeof *none),
            columns[] = {0, n_out};
    struct exp_sum *tiles =
        bench->backend->allocate(bench->device, sizeof *tiles * (size_t)rows * (size_t)n_tiles);
    struct exp_sum *groups = bench->backend->allocate(bench->device, sizeof *groups * (size_t)rows);
    for (int i = 0; i < rows; i++) {
        one[i] = 1;
        none[i] = -1;
    }
    struct weight *weight = make_weight(bench, w, n_out, n_in, 1);
    struct head_scan op = {x, rows, weight, bias, 0, 1, columns, one, none, tiles, groups, left_out_logit};
    struct timing timing = measure(bench, run_head_scan, &op);
    check_head(&op, w, n_out, n_in, 0);
    check_head(&op, w, n_out, n_in, rows - 1);
    report(bench, "head_scan", shape, 2.0 * rows * n_out * n_in, timing);
    bench->backend->weight_free(bench->device, weight);
    void *const memory[] = {x, w, bias, one, left_out_logit, none, tiles, groups};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        bench->backend->release(bench->device, memory[i]);
}

static void bench_all(const struct bench *bench)
{
    static const int outs_ins_leaves[][3] = {{3072, 768, 1}, {768, 3072, 8}, {768, 768, 8},  {2304, 768, 1},
                                             {1536, 768, 1}, {768, 1536, 4}, {1152, 768, 1}, {768, 384, 4}};
    static const int row_counts[] = {1024, 128, 16, 1};
    for (size_t r = 0; r < sizeof row_counts / sizeof row_counts[0]; r++)
        for (size_t i = 0; i < sizeof outs_ins_leaves / sizeof outs_ins_leaves[0]; i++)
            bench_matmul(bench, row_counts[r], outs_ins_leaves[i][0], outs_ins_leaves[i][1],
                         outs_ins_leaves[i][2]);
    bench_matmul(bench, 1024, 50257, 768, 1);
    bench_attention(bench, 1, 1024, 12, 64);
    bench_attention(bench, 8, 128, 12, 64);
    bench_attention(bench, 8, 128, 4, 48);
    bench_head(bench, 1024, 50257, 768);
    bench_head(bench, 128, 50257, 768);
    bench_head(bench, 128, 2048, 192);
}

int main(int argc, char **argv)
{
    struct bench bench = {.backend = &backend_cpu,
                          .n_threads = argc > 1 ? atoi(argv[1]) : 1,
                          .seconds = argc > 2 ? atof(argv[2]) : 0.3,
                          .filter = argc > 3 ? argv[3] : ""};
    struct device_options options = {bench.n_threads, 0, 1024, 1024, 3072};
    struct error error;
    if (bench.n_threads < 1 || bench.n_threads > 64)
        fail("THREADS must be 1 to 64");
    if (bench.backend->open(&bench.device, &options, &error) != STATUS_OK ||
        pool_create(bench.n_threads, &bench.pool, &error) != STATUS_OK)
        fail(error.text);
    bench_all(&bench);
    if (bench.backend->synchronize(bench.device, &error) != STATUS_OK)
        fail(error.text);
    pool_free(bench.pool);
    bench.backend->close(bench.device);
    return EXIT_SUCCESS;
}
