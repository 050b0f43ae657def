#include "tests/reference/reference.h"

#include <math.h>
#include <stdlib.h>

double reference_activation(enum activation activation, double x)
{
    if (activation == ACTIVATION_SILU)
        return x / (1 + exp(-x));
    if (activation == ACTIVATION_GELU_TANH)
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    return x;
}

static double dot(const float *a, const float *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

void reference_matmul(const float *x, int64_t ld_x, int rows, const float *w, int n_out, int n_in,
                      const float *bias, enum activation activation, double *y)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < n_out; j++) {
            double sum = dot(x + i * ld_x, w + (int64_t)j * n_in, n_in) + (bias != NULL ? bias[j] : 0);
            y[(int64_t)i * n_out + j] = reference_activation(activation, sum);
        }
}

void reference_norm_modulate(const struct norm_modulate *op, double *y)
{
    for (int i = 0; i < op->rows; i++) {
        const float *x = op->x + (int64_t)i * op->width;
        const float *modulation = op->modulation + op->condition_of_row[i] * op->ld_modulation;
        double mean = 0, variance = 0;
        for (int d = 0; d < op->width; d++)
            mean += x[d];
        mean /= op->width;
        for (int d = 0; d < op->width; d++)
            variance += (x[d] - mean) * (x[d] - mean);
        variance /= op->width;
        for (int d = 0; d < op->width; d++)
            y[(int64_t)i * op->width + d] = (x[d] - mean) / sqrt(variance + 1e-5) * op->weight[d] *
                                                (1 + (double)modulation[op->scale_offset + d]) +
                                            modulation[op->shift_offset + d];
    }
}

void reference_gated_add(const struct gated_add *op, double *x)
{
    for (int i = 0; i < op->rows; i++)
        for (int d = 0; d < op->width; d++) {
            int64_t at = (int64_t)i * op->width + d;
            double gate = op->modulation[op->condition_of_row[i] * op->ld_modulation + op->gate_offset + d];
            x[at] = op->x[at] + gate * ((double)op->y[at] + (op->bias != NULL ? op->bias[d] : 0));
        }
}

static double rotated(const struct attention *op, const float *x, int position, int d)
{
    int half = op->head_size / 2, j = d % half;
    const float *rotary = op->rotary + (int64_t)position * op->head_size;
    double cosine = rotary[j], sine = rotary[half + j];
    return d < half ? x[j] * cosine - x[j + half] * sine : x[j + half] * cosine + x[j] * sine;
}

static void attend(const struct attention *op, int sequence, int query, int head, double *weights, double *o)
{
    int first = op->key_start[sequence], n_keys = op->key_start[sequence + 1] - first, size = op->head_size;
    const float *q = (const float *)op->q + query * op->ld_q + head * size;
    double max = -INFINITY, total = 0;
    for (int j = 0; j < n_keys; j++) {
        const float *k = (const float *)op->k + (first + j) * op->ld_kv + head * size;
        weights[j] = 0;
        for (int d = 0; d < size; d++)
            weights[j] += rotated(op, q, op->query_position[query], d) * rotated(op, k, j, d);
        weights[j] /= sqrt(size);
        max = fmax(max, weights[j]);
    }
    for (int j = 0; j < n_keys; j++)
        total += weights[j] = exp(weights[j] - max);
    for (int d = 0; d < size; d++) {
        o[d] = 0;
        for (int j = 0; j < n_keys; j++)
            o[d] += weights[j] / total * ((const float *)op->v)[(first + j) * op->ld_kv + head * size + d];
    }
}

void reference_attention(const struct attention *op, double *o)
{
    for (int s = 0; s < op->n_sequences; s++) {
        double *weights = malloc(sizeof *weights * (size_t)(op->key_start[s + 1] - op->key_start[s] + 1));
        for (int query = op->query_start[s]; query < op->query_start[s + 1]; query++)
            for (int head = 0; head < op->n_heads; head++)
                attend(op, s, query, head, weights,
                       o + ((int64_t)query * op->n_heads + head) * op->head_size);
        free(weights);
    }
}

void reference_logits(const struct head_scan *op, const float *w, int n_out, int n_in, double *logits)
{
    for (int i = 0; i < op->rows; i++)
        for (int j = 0; j < n_out; j++)
            logits[(int64_t)i * n_out + j] =
                (dot((const float *)op->x + (int64_t)i * n_in, w + (int64_t)j * n_in, n_in) + op->bias[j]) *
                op->inverse_temperature[i];
}

static double mass(const double *logits, int i, double max)
{
    return exp(logits[i] - max);
}

static int32_t invert(const double *logits, int n, int32_t left_out, double max, double total, double u,
                      double *margin)
{
    double sum = 0;
    int32_t last = -1;
    for (int32_t i = 0; i < n; i++) {
        double before = sum;
        if (i == left_out)
            continue;
        sum += mass(logits, i, max);
        last = i;
        if (sum > u * total) {
            *margin = fmin(u - before / total, sum / total - u);
            return i;
        }
    }
    *margin = 0;
    return last;
}

struct reference_choice reference_choose(const double *logits, int n, int32_t left_out, double bound,
                                         double u_jump, double u_draw)
{
    double max = -INFINITY, total = 0, own = 0, margin = 1;
    for (int i = 0; i < n; i++)
        max = fmax(max, logits[i]);
    for (int i = 0; i < n; i++)
        *(i == left_out ? &own : &total) += mass(logits, i, max);
    struct reference_choice choice = {.token = -1, .jump_probability = 1};
    if (bound >= 0) {
        choice.jump_probability = -expm1(-bound * total / (total + own));
        margin = fabs(u_jump - choice.jump_probability);
    } else {
        own = 0;
    }
    choice.margin = margin;
    if (bound >= 0 && u_jump >= choice.jump_probability)
        return choice;
    choice.token = invert(logits, n, left_out, max, total, u_draw, &choice.margin);
    choice.margin = fmin(margin, choice.margin);
    choice.log_probability = logits[choice.token] - max - log(total + own);
    return choice;
}
