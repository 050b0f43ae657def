#include "worker/model/schedule.h"

#include <math.h>

static const float epsilon = 1e-8f;

static double remaining(float t, double exponent)
{
    float kappa = exponent == 1.0 ? t : (float)pow(t, exponent);
    float left = 1.0f - kappa;
    return left < epsilon ? epsilon : left > 1.0f ? 1.0 : left;
}

double schedule_bound(float t, float h, double exponent)
{
    double moved = log(remaining(t, exponent)) - log(remaining((float)(t + h), exponent));
    return (double)h / ((double)h + (double)epsilon) * moved;
}

static float node(int step, int n_steps)
{
    return step == n_steps ? 1.0f : (float)((1.0 / n_steps) * step);
}

struct schedule_step schedule_step_at(int step, int n_steps, double exponent)
{
    struct schedule_step at = {.t = node(step, n_steps)};
    at.h = node(step + 1, n_steps) - at.t;
    at.bound = step + 1 == n_steps ? -1.0 : schedule_bound(at.t, at.h, exponent);
    return at;
}

double schedule_plain_jump(float t, float h, double exponent)
{
    double slope = exponent == 1.0 ? 1.0 : exponent * pow((double)t, exponent - 1.0);
    return -expm1(-(double)h * slope / remaining(t, exponent));
}

double schedule_jump_limit(double bound)
{
    return bound < 0 ? 1.0 : -expm1(-bound);
}
