#include "worker/engine/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/network.h"
#include "common/philox.h"
#include "worker/model/moves.h"
#include "worker/model/weights.h"

struct sequence {
    uint64_t number, seed;
    uint32_t connection;
    int length;
    uint32_t step, n_steps;    /* step: done and reported */
    uint32_t passed, n_passes; /* through the model: a step is one, and the last may be two (moves.h) */
    uint32_t planned;          /* passes; more than `passed` while a plan's outcome is awaited */
    uint32_t forwards;         /* passes since the last report that needed a row of it */
    float temperature;
    enum solver solver;
    bool revise;
    uint32_t most_changes;
    struct part {             /* its place in the plan of each slot */
        int index, first_row; /* index: or NOT_NEEDED, NOT_PLANNED */
    } parts[STEP_SLOTS];
    int32_t *ids;      /* [max_length], as all below */
    int32_t *reported; /* the ids as they were last reported */
    uint8_t *editable;
    float *until_jump; /* SOLVER_STRATIFIED: of jump probability, until the next jump */
    uint32_t *changed, *changed_ids;
    float *changed_scores; /* log probabilities of changed_ids when they were drawn */
    float *scores;         /* of the tokens, when they were drawn last */
};

enum { NOT_NEEDED = -1, NOT_PLANNED = -2 }; /* no row of it was needed; it is not part of the plan */

struct batch {
    struct model_config config;
    struct plan_limits limits;
    int n;                      /* sequences that are here */
    int n_places, n_rows;       /* taken by those that have steps left to plan, within the limits */
    uint64_t n_steps;           /* taken so far */
    bool every_row;             /* no thinning */
    bool has_laws;              /* the model's rows change by laws */
    struct sequence *sequences; /* [most_here]; the first n, in the order of joining */
    void *storage;              /* what their arrays point into */
    float *confidence;          /* [max_length]: of one sequence's draws, while they are ranked */
};

/* Beside those that have a place, every slot's plan may be the last one of all sequences in it. */
static int most_here(const struct batch *batch)
{
    return (1 + STEP_SLOTS) * batch->limits.max_sequences;
}

/* Arrays of all sequences in one piece: sequences swap places, their arrays go with them. */
static bool give_storage(struct batch *batch)
{
    size_t n = (size_t)most_here(batch), length = (size_t)batch->config.max_length;
    enum { WORDS = 7 }; /* arrays of 4-byte elements */
    batch->sequences = calloc(n, sizeof *batch->sequences);
    batch->storage = calloc(n, length * (WORDS * sizeof(uint32_t) + sizeof(uint8_t)));
    batch->confidence = calloc(length, sizeof *batch->confidence);
    if (!batch->sequences || !batch->storage || !batch->confidence)
        return false;
    uint32_t *words = batch->storage;
    uint8_t *bytes = (uint8_t *)(words + WORDS * n * length);
    for (size_t i = 0; i < n; i++, words += WORDS * length) {
        batch->sequences[i].ids = (int32_t *)words;
        batch->sequences[i].changed = words + length;
        batch->sequences[i].changed_ids = words + 2 * length;
        batch->sequences[i].until_jump = (float *)(words + 3 * length);
        batch->sequences[i].changed_scores = (float *)(words + 4 * length);
        batch->sequences[i].reported = (int32_t *)(words + 5 * length);
        batch->sequences[i].scores = (float *)(words + 6 * length);
        batch->sequences[i].editable = bytes + i * length;
    }
    return true;
}

enum status batch_create(const struct model_config *config, struct plan_limits limits, struct batch **batch,
                         struct error *error)
{
    struct batch *made = calloc(1, sizeof *made);
    if (made) {
        made->config = *config;
        made->limits = limits;
        made->has_laws = model_has_laws(config);
    }
    if (!made || !give_storage(made)) {
        batch_free(made);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %d sequences of %d tokens",
                         limits.max_sequences, config->max_length);
    }
    *batch = made;
    return STATUS_OK;
}

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    free(batch->sequences);
    free(batch->storage);
    free(batch->confidence);
    free(batch);
}

static enum status check_ids(const struct batch *batch, const struct sequence_input *input,
                             struct error *error)
{
    for (size_t i = 0; i < input->length; i++)
        if (input->ids[i] >= (uint32_t)batch->config.n_ids)
            return error_set(error, STATUS_INVALID_ARGUMENT, "ids[%zu]: %u is not below the model's %d", i,
                             input->ids[i], batch->config.n_ids);
    return STATUS_OK;
}

/* What the model's network can use of what is asked. */
static enum status check_solver(const struct model_config *config, const struct sequence_input *input,
                                struct error *error)
{
    char solvers[160];
    const struct network *network = network_of(config->architecture);
    const int fewest = network_fewest_steps(config, input->solver, (int)input->length);
    if (!network_has_solver(network, input->solver))
        return error_set(error, STATUS_INVALID_ARGUMENT, "solver: %s is not for a %s model, which can use %s",
                         solver_name(input->solver), network->name,
                         network_solvers(network, solvers, sizeof solvers));
    if (input->n_steps < (uint32_t)fewest)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "steps: %u are too few for %zu positions, which this model writes in %d parts",
                         input->n_steps, input->length, fewest);
    if (!network_has_temperature(network) && input->temperature != 1)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "temperature: %g; the scores of a %s model have none, it must be 1",
                         (double)input->temperature, network->name);
    return STATUS_OK;
}

static enum status check_input(const struct batch *batch, const struct sequence_input *input,
                               struct error *error)
{
    const struct model_config *config = &batch->config;
    if (input->length < 1 || input->length > (size_t)config->max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT, "length: %zu is not in 1 ... %d", input->length,
                         config->max_length);
    if (input->n_steps < 1 || input->n_steps > (uint32_t)config->max_steps)
        return error_set(error, STATUS_INVALID_ARGUMENT, "steps: %u is not in 1 ... %d", input->n_steps,
                         config->max_steps);
    if (input->step >= input->n_steps)
        return error_set(error, STATUS_INVALID_ARGUMENT, "step: %u of %u are done already", input->step,
                         input->n_steps);
    if (!(input->temperature > 0) || !isfinite(1 / input->temperature))
        return error_set(error, STATUS_INVALID_ARGUMENT, "temperature: %g is not a positive number",
                         (double)input->temperature);
    if ((unsigned)input->solver >= SOLVER_COUNT)
        return error_set(error, STATUS_INVALID_ARGUMENT, "solver: %u is none of the %d that there are",
                         (unsigned)input->solver, SOLVER_COUNT);
    if (input->solver == SOLVER_STRATIFIED && input->step > 0 && !input->until_jump)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "until_jump: missing; a stratified text goes on only with it");
    enum status status = check_solver(config, input, error);
    return status ? status : check_ids(batch, input, error);
}

/* Copies the texts in; the phases of a stratified one are drawn where it begins. */
static void copy_state(struct sequence *sequence, const struct sequence_input *input)
{
    for (size_t i = 0; i < input->length; i++) {
        sequence->ids[i] = sequence->reported[i] = (int32_t)input->ids[i];
        sequence->editable[i] = input->editable[i] != 0;
        if (input->solver == SOLVER_STRATIFIED)
            sequence->until_jump[i] = input->step > 0
                                          ? input->until_jump[i]
                                          : (float)philox_uniform(input->seed, 0, (uint32_t)i, PHILOX_PHASE);
    }
}

enum status batch_add(struct batch *batch, const struct sequence_input *input, struct error *error)
{
    enum status status = check_input(batch, input, error);
    if (status != STATUS_OK)
        return status;
    if (batch->n_places == batch->limits.max_sequences)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "%d sequences run already, the most there may be",
                         batch->n_places);
    if (batch->n_rows + (int)input->length > batch->limits.max_rows)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                         "%zu tokens do not fit beside the %d that run: %d is the most", input->length,
                         batch->n_rows, batch->limits.max_rows);
    struct sequence *sequence = &batch->sequences[batch->n++];
    sequence->number = input->number;
    sequence->connection = input->connection;
    sequence->seed = input->seed;
    sequence->length = (int)input->length;
    sequence->step = input->step;
    sequence->n_steps = input->n_steps;
    sequence->temperature = input->temperature;
    sequence->solver = input->solver;
    sequence->revise = input->revise;
    sequence->most_changes = input->most_changes;
    sequence->planned = sequence->passed = input->step;
    sequence->n_passes = (uint32_t)moves_count(&batch->config, input->solver, (int)input->n_steps);
    sequence->forwards = 0;
    for (int slot = 0; slot < STEP_SLOTS; slot++)
        sequence->parts[slot].index = NOT_PLANNED;
    copy_state(sequence, input);
    batch->n_places++;
    batch->n_rows += sequence->length;
    return STATUS_OK;
}

static bool has_place(const struct sequence *sequence)
{
    return sequence->planned < sequence->n_passes;
}

static void give_place_back(struct batch *batch, const struct sequence *sequence)
{
    batch->n_places--;
    batch->n_rows -= sequence->length;
}

/* Keeps the others' order; the removed one's arrays go to the free end. */
static void remove_at(struct batch *batch, int index)
{
    struct sequence removed = batch->sequences[index];
    if (has_place(&removed))
        give_place_back(batch, &removed);
    batch->n--;
    memmove(&batch->sequences[index], &batch->sequences[index + 1],
            (size_t)(batch->n - index) * sizeof *batch->sequences);
    batch->sequences[batch->n] = removed;
}

bool batch_remove(struct batch *batch, uint64_t number)
{
    for (int i = 0; i < batch->n; i++) {
        if (batch->sequences[i].number == number) {
            remove_at(batch, i);
            return true;
        }
    }
    return false;
}

void batch_clear(struct batch *batch)
{
    batch->n = 0;
    batch->n_places = 0;
    batch->n_rows = 0;
}

bool batch_has_room(const struct batch *batch, size_t length)
{
    return length > (size_t)batch->limits.max_rows ||
           (batch->n_places < batch->limits.max_sequences &&
            length <= (size_t)(batch->limits.max_rows - batch->n_rows));
}

int batch_size(const struct batch *batch)
{
    return batch->n;
}

void batch_thin_no_more(struct batch *batch)
{
    batch->every_row = true;
}

/* May position i be written in this pass at all, whatever its uniform and the law say? */
static bool may_change(const struct batch *batch, const struct sequence *sequence, int i, bool last)
{
    if (!sequence->editable[i])
        return false;
    if (batch->has_laws)
        return true;
    bool revealed = batch->config.source == SOURCE_MASK && sequence->ids[i] != batch->config.mask_token;
    /* in its steps the cumulative scalar lets a revealed token change again, as the reference does */
    bool stays = !sequence->revise && (last || sequence->solver == SOLVER_MIXTURE_EULER);
    return !(revealed && stays);
}

/* The number that P(jump) is compared with: position i jumps in this step iff it is less. */
static double jump_uniform(const struct sequence *sequence, int i)
{
    if (sequence->solver == SOLVER_STRATIFIED)
        return (double)sequence->until_jump[i];
    return philox_uniform(sequence->seed, sequence->planned, (uint32_t)i, PHILOX_JUMP);
}

static void need(const struct sequence *sequence, int i, double u_jump, int first_row, struct plan *plan,
                 int n)
{
    plan->needed[n] = first_row + i;
    plan->u_jump[n] = u_jump;
    plan->u_draw[n] = philox_uniform(sequence->seed, sequence->planned, (uint32_t)i, PHILOX_DRAW);
}

/* Lists the positions that this pass can change, with their uniforms. Returns how many. */
static int list_needed(const struct batch *batch, const struct sequence *sequence, const struct move *move,
                       int first_row, struct plan *plan, int first_needed)
{
    /* a stratified position's P counts even where it cannot jump yet; plain flow matching draws whatever is
     * needed */
    bool all =
        sequence->solver == SOLVER_STRATIFIED || (batch->every_row && sequence->solver != SOLVER_DFM_EULER);
    int n = first_needed;
    for (int i = move->first; i < move->end; i++) {
        double limit = move->limit[sequence->ids[i] != batch->config.mask_token];
        if (limit <= 0 || !may_change(batch, sequence, i, move->is_last))
            continue;
        double u_jump = move->is_last && !batch->has_laws ? 0 : jump_uniform(sequence, i);
        if (u_jump >= limit && !all)
            continue;
        need(sequence, i, u_jump, first_row, plan, n++);
    }
    return n - first_needed;
}

static bool is_masked(const struct batch *batch, const struct sequence *sequence, int i)
{
    return sequence->editable[i] && sequence->ids[i] == batch->config.mask_token;
}

/* Lists one masked position of the first block of the text that has any. */
static int list_single(const struct batch *batch, const struct sequence *sequence, struct move *move,
                       int first_row, struct plan *plan, int first_needed)
{
    int first = 0, n = 0, block = batch->config.block_size;
    while (first < sequence->length && !is_masked(batch, sequence, first))
        first++;
    if (first == sequence->length)
        return 0;
    int end = (first / block + 1) * block;
    move->end = end < sequence->length ? end : sequence->length;
    for (int i = first; i < move->end; i++)
        n += is_masked(batch, sequence, i);
    int left = (int)(philox_uniform(sequence->seed, sequence->planned, 0, PHILOX_JUMP) * n);
    int found = first;
    while (!is_masked(batch, sequence, found) || left-- > 0)
        found++;
    need(sequence, found, 0, first_row, plan, first_needed);
    return 1;
}

/* The rows' ids: the host's, or, while the outcome of the step before is awaited, the device's. */
static void plan_ids(const struct sequence *sequence, int n, struct plan *plan)
{
    const struct part *before = &sequence->parts[(plan->slot + 1) % STEP_SLOTS];
    int first_row = plan->header->n_rows;
    memcpy(plan->ids + first_row, sequence->ids, (size_t)n * sizeof *plan->ids);
    for (int i = 0; i < n; i++)
        plan->from_row[first_row + i] = before->index >= 0 ? before->first_row + i : -1;
}

static void plan_sequence(const struct batch *batch, struct sequence *sequence, struct plan *plan)
{
    struct plan_header *header = plan->header;
    struct part *part = &sequence->parts[plan->slot];
    struct move move;
    move_at(&batch->config, sequence->solver, sequence->length, (int)sequence->planned,
            (int)sequence->n_steps, &move);
    int n_needed = move.is_single
                       ? list_single(batch, sequence, &move, header->n_rows, plan, header->n_needed)
                       : list_needed(batch, sequence, &move, header->n_rows, plan, header->n_needed);
    *part = (struct part){n_needed > 0 ? header->n_sequences : NOT_NEEDED, header->n_rows};
    sequence->planned++;
    if (n_needed == 0)
        return;
    plan_ids(sequence, move.end, plan);
    plan->sequences[header->n_sequences++] = (struct plan_sequence){
        .at = move.at,
        .first_row = header->n_rows,
        .end_row = header->n_rows + move.end,
        .first_needed = header->n_needed,
        .end_needed = header->n_needed + n_needed,
        .inverse_temperature = 1.0f / sequence->temperature,
        .forbid_mask = batch->config.source == SOURCE_MASK,
        .step = (int32_t)sequence->planned - 1,
        .n_steps = (int32_t)sequence->n_steps,
        .class = batch->config.n_classes,
        .law = {move.law[0], move.law[1]},
    };
    header->n_rows += move.end;
    header->n_needed += n_needed;
}

/* Does it depend on the outcome of the step before what the next step needs, or what the text is? A law
 * is chosen by what a row holds; stratified jumps count P(jump); where only the likeliest changes are taken
 * the device does not know which; and what is revealed may be what is needed no more. */
static bool waits_for_text(const struct batch *batch, const struct sequence *sequence)
{
    bool last = sequence->planned + 1 == sequence->n_passes;
    bool reveals = batch->config.source == SOURCE_MASK && !sequence->revise &&
                   (last || sequence->solver == SOLVER_MIXTURE_EULER);
    return batch->has_laws || sequence->solver == SOLVER_STRATIFIED || sequence->most_changes > 0 || reveals;
}

bool batch_can_plan(const struct batch *batch)
{
    bool any = false;
    for (int i = 0; i < batch->n; i++) {
        const struct sequence *sequence = &batch->sequences[i];
        if (!has_place(sequence))
            continue;
        if (sequence->planned > sequence->passed && waits_for_text(batch, sequence))
            return false;
        any = true;
    }
    return any;
}

void batch_plan(struct batch *batch, struct plan *plan)
{
    *plan->header = (struct plan_header){.command = PLAN_STEP};
    for (int i = 0; i < batch->n; i++) {
        struct sequence *sequence = &batch->sequences[i];
        if (!has_place(sequence))
            continue;
        plan_sequence(batch, sequence, plan);
        if (!has_place(sequence))
            give_place_back(batch, sequence);
    }
}

/* The k-th largest, counted from 0, of values[n]; reorders them (Hoare's selection: qsort may allocate). */
static float kth_largest(float *values, int n, int k)
{
    int low = 0, high = n - 1;
    while (low < high) {
        float pivot = values[(low + high) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (values[i] > pivot)
                i++;
            while (values[j] < pivot)
                j--;
            if (i <= j) {
                float swapped = values[i];
                values[i++] = values[j];
                values[j--] = swapped;
            }
        }
        if (k <= j)
            high = j;
        else if (k >= i)
            low = i;
        else
            break;
    }
    return values[k];
}

/*
 * Confidence-ordered unmasking: the log-probability that a draw must reach to be taken, so that at most
 * `most_changes` are; of equal ones none at the border is, as in the reference.
 */
static float least_confidence(struct batch *batch, const struct sequence *sequence,
                              const struct plan_sequence *planned, const struct sampled *sampled)
{
    uint32_t n = 0;
    for (int i = planned->first_needed; i < planned->end_needed; i++)
        if (sampled[i].token >= 0)
            batch->confidence[n++] = sampled[i].log_probability;
    if (sequence->most_changes == 0 || n <= sequence->most_changes)
        return -INFINITY;
    return nextafterf(kth_largest(batch->confidence, (int)n, (int)sequence->most_changes), INFINITY);
}

/* A stratified position comes nearer to its next jump by this step's P, and gets the next stratum when it has
 * jumped. */
static void approach_jump(struct sequence *sequence, int position, double jump_probability, bool jumped)
{
    float left = sequence->until_jump[position] - (float)jump_probability;
    sequence->until_jump[position] = jumped ? left + 1 : left;
}

/* What has changed since the last report. */
static void list_changes(struct sequence *sequence, struct sequence_report *report)
{
    for (int i = 0; i < sequence->length; i++) {
        if (sequence->ids[i] == sequence->reported[i])
            continue;
        sequence->reported[i] = sequence->ids[i];
        sequence->changed[report->n_changed] = (uint32_t)i;
        sequence->changed_scores[report->n_changed] = sequence->scores[i];
        sequence->changed_ids[report->n_changed++] = (uint32_t)sequence->ids[i];
    }
}

/* ln p of a token that was drawn; noise is as likely as any other of the vocabulary. */
static float score_of(const struct batch *batch, const struct sampled *sampled)
{
    return isfinite(sampled->log_probability) ? sampled->log_probability
                                              : -logf((float)batch->config.vocabulary);
}

/* Adds the drawn token to what the report says of the last pass. Noise has no probability under the model. */
static void score(const struct sampled *sampled, struct sequence_report *report)
{
    if (!isfinite(sampled->log_probability))
        return;
    report->log_probability += (double)sampled->log_probability;
    report->n_scored++;
}

/* Writes the drawn tokens into the sequence, which is part of the plan. */
static void write_tokens(struct batch *batch, struct sequence *sequence, const struct plan *plan,
                         const struct plan_sequence *planned, const struct sampled *sampled,
                         struct sequence_report *report)
{
    bool stratified = sequence->solver == SOLVER_STRATIFIED;
    float least = report->done ? -INFINITY : least_confidence(batch, sequence, planned, sampled);
    for (int i = planned->first_needed; i < planned->end_needed; i++) {
        int position = plan->needed[i] - planned->first_row;
        bool taken = sampled[i].token >= 0 && sampled[i].log_probability >= least;
        if (stratified && !report->done)
            approach_jump(sequence, position, sampled[i].jump_probability, taken);
        if (!taken)
            continue;
        if (report->done)
            score(&sampled[i], report);
        sequence->ids[position] = sampled[i].token;
        sequence->scores[position] = score_of(batch, &sampled[i]);
    }
}

/* How many steps are done after so many passes: the last step may take two. */
static uint32_t steps_after(const struct sequence *sequence, uint32_t passed)
{
    if (passed == sequence->n_passes)
        return sequence->n_steps;
    return passed < sequence->n_steps ? passed : sequence->n_steps - 1;
}

/* Applies a pass to the sequence. False: the step that it belongs to is not done, and there is nothing to
 * report. */
static bool apply_sequence(struct batch *batch, struct sequence *sequence, const struct plan *plan,
                           const struct sampled *sampled, struct sequence_report *report)
{
    int index = sequence->parts[plan->slot].index;
    uint32_t step = steps_after(sequence, ++sequence->passed);
    bool stratified = sequence->solver == SOLVER_STRATIFIED;
    sequence->parts[plan->slot].index = NOT_PLANNED;
    sequence->forwards += index != NOT_NEEDED;
    *report = (struct sequence_report){.number = sequence->number,
                                       .connection = sequence->connection,
                                       .step = step,
                                       .positions = sequence->changed,
                                       .ids = sequence->changed_ids,
                                       .log_probabilities = sequence->changed_scores,
                                       .until_jump = stratified ? sequence->until_jump : NULL,
                                       .length = (size_t)sequence->length,
                                       .forwards = sequence->forwards,
                                       .batch_step = batch->n_steps,
                                       .done = step == sequence->n_steps};
    if (index != NOT_NEEDED)
        write_tokens(batch, sequence, plan, &plan->sequences[index], sampled, report);
    if (step == sequence->step)
        return false;
    sequence->step = step;
    sequence->forwards = 0;
    list_changes(sequence, report);
    return true;
}

int batch_apply(struct batch *batch, const struct plan *plan, const struct sampled *sampled,
                struct sequence_report *reports)
{
    int n_reports = 0, n_tokens = 0;
    batch->n_steps++;
    for (int i = 0; i < batch->n; i++)
        if (batch->sequences[i].parts[plan->slot].index != NOT_PLANNED)
            n_tokens += batch->sequences[i].length;
    for (int i = 0; i < batch->n; i++) {
        if (batch->sequences[i].parts[plan->slot].index == NOT_PLANNED)
            continue;
        struct sequence_report *report = &reports[n_reports];
        if (!apply_sequence(batch, &batch->sequences[i], plan, sampled, report))
            continue;
        report->batch_tokens = n_tokens;
        n_reports++;
    }
    for (int i = batch->n - 1; i >= 0; i--)
        if (batch->sequences[i].step == batch->sequences[i].n_steps)
            remove_at(batch, i);
    return n_reports;
}
