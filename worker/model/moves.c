#include "worker/model/moves.h"

#include <math.h>

#include "common/model/network.h"

/* ReMDM's cap on how likely a revealed position is masked again in a step. */
static const double most_remasking = 0.04;

static const struct noise_level text = {.alpha = 1};

static bool is_flow(const struct model_config *config)
{
    return network_of(config->architecture)->output == OUTPUT_FLOW;
}

static bool is_flow_solver(enum solver solver)
{
    return solver == SOLVER_CUMULATIVE || solver == SOLVER_MIXTURE_EULER || solver == SOLVER_DFM_EULER ||
           solver == SOLVER_STRATIFIED;
}

/* Does a pass come after the last step that removes what noise is left? UDLM's authors have none. */
static bool cleans_up(const struct model_config *config, enum solver solver)
{
    if (is_flow(config) || is_flow_solver(solver) || config->architecture == ARCHITECTURE_BD3LM)
        return false;
    return solver == SOLVER_GREEDY || config->architecture != ARCHITECTURE_UDLM;
}

int moves_count(const struct model_config *config, enum solver solver, int n_steps)
{
    return n_steps + cleans_up(config, solver);
}

struct schedule_step move_times(const struct model_config *config, int pass, int n_steps)
{
    if (is_flow(config)) /* t and h are the same for any exponent */
        return schedule_step_at(pass, n_steps, 1);
    return (struct schedule_step){
        .t = noise_network_time(config, noise_time(config, pass < n_steps ? pass : n_steps, n_steps))};
}

static double clip(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

static double limit_of(const struct row_law *law)
{
    const double noise = law->noise_always, moved = law->from_p + law->noise;
    return moved > 0 ? clip(noise + moved / law->floor) : clip(noise);
}

/* The law of a position whose token has the mass beta_from of the noise that there is, and beta_to of the
 * noise that is to be left. */
static struct row_law law_of(const struct transition *it, double beta_from, double beta_to)
{
    const double left = 1 - it->to.alpha, b = beta_from - it->from.alpha / it->to.alpha * beta_to;
    struct row_law law = {.rule = ROW_MIXTURE,
                          .share = it->from.alpha,
                          .floor = beta_from,
                          .from_p = it->to.alpha * (it->kappa * b + (1 - it->kappa) * beta_from),
                          .noise = it->kappa * b * left,
                          .noise_always = (1 - it->kappa) * left,
                          .mask_share = left > 0 ? clip(it->to.mask / left) : 0};
    if (beta_from <= 0) { /* no noise makes this token: it is text, and certain */
        law.share = law.from_p = law.noise = 0;
        law.floor = 1;
    }
    return law;
}

void transition_law(const struct model_config *config, const struct transition *transition,
                    struct row_law law[2], double limit[2])
{
    const double betas[2][2] = {{transition->from.mask, transition->to.mask},
                                {transition->from.other, transition->to.other}};
    for (int i = 0; i < 2; i++) {
        law[i] = law_of(transition, betas[i][0], betas[i][1]);
        law[i].mask = config->mask_token;
        law[i].n_noise = config->vocabulary;
    }
    law[0].share = 0;                      /* the mask is no text */
    law[0].noise *= 1 - law[0].mask_share; /* noise that is the mask again changes nothing */
    law[0].noise_always *= 1 - law[0].mask_share;
    law[0].mask_share = 0;
    for (int i = 0; i < 2; i++)
        limit[i] = limit_of(&law[i]);
}

void score_law(const struct model_config *config, double t, double factor, struct row_law law[2],
               double limit[2])
{
    const double sigma = -log(noise_at(config, t).alpha);
    const double scale = config->is_unscaled ? 0 : log(expm1(sigma)) + log((double)config->n_ids - 1);
    law[0] = (struct row_law){.rule = ROW_SCORE, .log_scale = log(factor) - scale};
    limit[0] = 1;
    limit[1] = 0;
}

/* Every position that may change is drawn, or takes the likeliest token. A mask source's text stays as it is.
 */
static void draw_all(const struct model_config *config, enum row_rule rule, struct move *move)
{
    for (int i = 0; i < 2; i++) {
        move->law[i] = (struct row_law){.rule = (int32_t)rule};
        move->limit[i] = i == 0 || config->source == SOURCE_UNIFORM;
    }
}

/* A masked position is revealed with that probability, whatever p is. */
static void reveal(double probability, struct move *move)
{
    move->law[0] = (struct row_law){.rule = ROW_MIXTURE, .floor = 1, .from_p = probability};
    move->limit[0] = probability;
    move->limit[1] = 0;
}

static void remask(const struct model_config *config, struct transition *transition, struct move *move)
{
    const double left = 1 - transition->to.alpha;
    const double most = fmin(most_remasking, left / transition->from.alpha);
    transition->kappa = left > 0 ? clip(1 - most / left) : 1;
    transition_law(config, transition, move->law, move->limit);
}

/* FS-DFM's solvers on a uniform model, with κ = α. */
static void hazard(const struct model_config *config, enum solver solver, double t, double s, bool last,
                   struct move *move)
{
    const double before = 1 - noise_at(config, t).alpha, after = 1 - noise_at(config, s).alpha;
    if (last || solver == SOLVER_DFM_EULER) {
        draw_all(config, ROW_DRAWN, move);
        move->limit[1] = last ? 1 : clip((before - after) / before);
        return;
    }
    const double bound = solver == SOLVER_MIXTURE_EULER ? 1 : log(before) - log(after);
    move->law[1] = (struct row_law){.rule = ROW_HAZARD, .bound = bound};
    move->limit[1] = schedule_jump_limit(bound);
}

/* The pass after the last step. */
static void clean_up(const struct model_config *config, enum solver solver, double t, struct move *move)
{
    const struct transition transition = {noise_at(config, t), text, 1};
    const bool is_mask = network_of(config->architecture)->output == OUTPUT_UNMASKED;
    if (solver == SOLVER_ANALYTIC || solver == SOLVER_SCORE_EULER)
        draw_all(config, ROW_DRAWN, move);
    else if (solver == SOLVER_GREEDY || is_mask)
        draw_all(config, ROW_LIKELIEST, move);
    else
        transition_law(config, &transition, move->law, move->limit);
}

static void step(const struct model_config *config, enum solver solver, double t, double s, bool last,
                 struct move *move)
{
    struct transition transition = {noise_at(config, t), noise_at(config, s), 1};
    const double sigma = -log(transition.from.alpha), sigma_after = -log(transition.to.alpha);
    const double analytic = expm1(sigma - sigma_after);
    if (is_flow_solver(solver))
        hazard(config, solver, t, s, last, move);
    else if (solver == SOLVER_SCORE_EULER) /* h dσ/dt; α is linear in t */
        score_law(config, t, (transition.to.alpha - transition.from.alpha) / transition.from.alpha, move->law,
                  move->limit);
    else if (solver == SOLVER_ANALYTIC && config->architecture == ARCHITECTURE_SEDD)
        score_law(config, t, analytic, move->law, move->limit);
    else if (solver == SOLVER_ANALYTIC)
        reveal(clip(analytic / expm1(sigma)), move);
    else if (solver == SOLVER_REMASKING)
        remask(config, &transition, move);
    else
        transition_law(config, &transition, move->law, move->limit);
}

/* BD3-LM: the steps are shared out among the blocks of the text, one block after another. */
static void block_step(const struct model_config *config, int length, int pass, int n_steps,
                       struct move *move)
{
    const int64_t n_blocks = network_fewest_steps(config, SOLVER_ANCESTRAL, length), steps = n_steps;
    const int64_t block = ((pass + 1) * n_blocks + steps - 1) / steps - 1;
    const int first = (int)(block * steps / n_blocks), end = (int)((block + 1) * steps / n_blocks);
    const double t = noise_time(config, pass - first, end - first),
                 s = noise_time(config, pass - first + 1, end - first);
    step(config, SOLVER_ANCESTRAL, t, s, pass + 1 == end, move);
    move->first = (int)block * config->block_size;
    move->end = move->first + config->block_size < length ? move->first + config->block_size : length;
}

static void flow_step(const struct model_config *config, enum solver solver, int pass, int n_steps,
                      struct move *move)
{
    move->at = schedule_step_at(pass, n_steps, config->scheduler_exponent);
    move->is_last = move->at.bound < 0;
    if (solver == SOLVER_MIXTURE_EULER && !move->is_last)
        move->at.bound = 1;
    move->limit[0] = schedule_jump_limit(move->at.bound);
    if (solver == SOLVER_DFM_EULER && !move->is_last) {
        move->at.bound = -1;
        move->limit[0] = schedule_plain_jump(move->at.t, move->at.h, config->scheduler_exponent);
    }
    move->limit[1] = move->limit[0];
}

void move_at(const struct model_config *config, enum solver solver, int length, int pass, int n_steps,
             struct move *move)
{
    *move = (struct move){.end = length};
    if (is_flow(config)) {
        flow_step(config, solver, pass, n_steps, move);
        return;
    }
    move->is_last = pass + 1 == moves_count(config, solver, n_steps);
    move->at = move_times(config, pass, n_steps);
    move->is_single = solver == SOLVER_FIRST_HITTING;
    if (solver == SOLVER_FIRST_HITTING)
        draw_all(config, ROW_DRAWN, move);
    else if (config->block_size)
        block_step(config, length, pass, n_steps, move);
    else if (pass == n_steps)
        clean_up(config, solver, noise_time(config, n_steps, n_steps), move);
    else
        step(config, solver, noise_time(config, pass, n_steps), noise_time(config, pass + 1, n_steps),
             move->is_last, move);
}
