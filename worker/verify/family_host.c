#include "worker/verify/family.h"

#include <math.h>

double family_softmax(const float *logits, int n_ids, int left_out, double *p)
{
    double max = -INFINITY, sum = 0;
    for (int i = 0; i < n_ids; i++)
        max = i == left_out ? max : fmax(max, (double)logits[i]);
    for (int i = 0; i < n_ids; i++)
        sum += p[i] = i == left_out ? 0 : exp((double)logits[i] - max);
    for (int i = 0; i < n_ids; i++)
        p[i] /= sum;
    return max + log(sum);
}

/* The law of noise: the mask with its share, else any id below n_noise. */
static double noise_of(const struct row_law *law, int token)
{
    double p = token < law->n_noise ? (1 - law->mask_share) / law->n_noise : 0;
    return token == law->mask ? p + law->mask_share : p;
}

void family_law(const struct row_law *law, const double *p, double log_total, int n_ids, int x, double *next)
{
    const double q = law->share * p[x] + law->floor;
    double from_p = 1, noise = 0, jump = 1;
    if (law->rule == ROW_MIXTURE) {
        from_p = law->from_p / q;
        noise = law->noise / q + law->noise_always;
        jump = from_p + noise;
    } else if (law->rule == ROW_SCORE) {
        from_p = jump = exp(fmin(law->log_scale + log_total, 0));
    } else if (law->rule == ROW_HAZARD) {
        jump = -expm1(-law->bound * (1 - p[x]));
        from_p = jump / (1 - p[x]);
    }
    for (int i = 0; i < n_ids; i++)
        next[i] = from_p * p[i] + (noise > 0 ? noise * noise_of(law, i) : 0);
    next[x] = law->rule == ROW_HAZARD ? 1 - jump : next[x] + 1 - jump;
}

int family_pick(const double *law, int n_ids, double u)
{
    double total = 0, sum = 0;
    for (int i = 0; i < n_ids; i++)
        total += fmax(law[i], 0);
    for (int i = 0; i < n_ids; i++)
        if ((sum += fmax(law[i], 0)) > u * total)
            return i;
    return n_ids - 1;
}

int family_likeliest(const double *p, int n_ids)
{
    int found = 0;
    for (int i = 1; i < n_ids; i++)
        found = p[i] > p[found] ? i : found;
    return found;
}
