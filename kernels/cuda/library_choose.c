#include "kernels/cuda/library_trial.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Chooses the algorithms. The library proposes algorithms for a product of some number of rows, best first.
 * We skip those that split the sum.
 *
 *   1. The reference: the first proposal for many rows that passes the trial (library_trial.h). If none does,
 *      the weight runs our own product.
 *   2. For each class of rows (lt_row_class): the first proposal for that many rows which gives the
 *      reference's bits. A GPU's fast tiles for 32,768 rows are slow ones for 64; kernels that do not split
 *      the sum usually add alike. Where no proposal does, the reference runs.
 *
 * Before a trial we ask the library whether the algorithm takes any number of rows of its class: it was
 * proposed for one number only. With e4m3 some algorithms refuse a few rows (cuBLASLt does with a long sum);
 * then fewer rows are padded to the least number that the algorithm takes. Weights of one shape share one
 * choice: a trial costs tens of milliseconds, once.
 */
enum { CANDIDATES = 8 };

/* What is looked for, and for which of the weight's products. */
struct search {
    struct trial trial;
    struct trial_kind kind;
    int n_proposed;
};

static cublasStatus_t prefer(cublasLtMatmulPreferenceOpaque_t *preference)
{
    const uint32_t no_reduction = CUBLASLT_REDUCTION_SCHEME_NONE, alignment = 16;
    const size_t workspace = LT_WORKSPACE_BYTES;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        const void *value;
        size_t size;
    } wishes[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace},
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &no_reduction, sizeof no_reduction},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &alignment, sizeof alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &alignment, sizeof alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &alignment, sizeof alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &alignment, sizeof alignment},
    };
    cublasStatus_t status = cublasLtMatmulPreferenceInit(preference);
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0] && status == CUBLAS_STATUS_SUCCESS; i++)
        status = cublasLtMatmulPreferenceSetAttribute(preference, wishes[i].attribute, wishes[i].value,
                                                      wishes[i].size);
    return status;
}

static bool splits_the_sum(const cublasLtMatmulAlgo_t *algorithm)
{
    int32_t parts = 0;
    uint32_t scheme = 0;
    size_t size;
    if (cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts, sizeof parts,
                                             &size) != CUBLAS_STATUS_SUCCESS ||
        cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &scheme,
                                             sizeof scheme, &size) != CUBLAS_STATUS_SUCCESS)
        return true;
    return parts > 1 || scheme != CUBLASLT_REDUCTION_SCHEME_NONE;
}

static struct lt_product product_of(const struct search *search, const struct lt_variant *variant, int rows)
{
    const struct trial *trial = &search->trial;
    return (struct lt_product){.weight = trial->weight,
                               .rows = rows,
                               .ld_x = trial->weight->ld,
                               .ld_y = trial->weight->n_out,
                               .y_type = search->kind.y_type,
                               .epilogue = search->kind.epilogue,
                               .x_scale = trial->scale,
                               .bias = trial->bias,
                               .bias_type = variant->bias_type};
}

/* Asks the library for proposals for this number of rows; returns how many there are. */
static int propose(struct search *search, const struct lt_variant *variant, int rows,
                   cublasLtMatmulHeuristicResult_t proposals[CANDIDATES])
{
    cublasLtMatmulPreferenceOpaque_t preference;
    struct lt_call call;
    int n = 0;
    const struct lt_product product = product_of(search, variant, rows);
    snprintf(search->trial.why, sizeof search->trial.why, "nothing is proposed");
    if (lt_describe(&call, &product) != CUBLAS_STATUS_SUCCESS ||
        prefer(&preference) != CUBLAS_STATUS_SUCCESS ||
        cublasLtMatmulAlgoGetHeuristic(search->trial.device->library->handle, &call.operation, &call.w,
                                       &call.x, &call.y, &call.y, &preference, CANDIDATES, proposals,
                                       &n) != CUBLAS_STATUS_SUCCESS)
        return 0;
    return n;
}

static bool is_candidate(struct search *search, const cublasLtMatmulHeuristicResult_t *proposal)
{
    if (proposal->state == CUBLAS_STATUS_SUCCESS && !splits_the_sum(&proposal->algo))
        return true;
    snprintf(search->trial.why, sizeof search->trial.why, "it splits the sum");
    return false;
}

/* Asks the library whether the variant's algorithm takes this number of rows; nothing runs. */
static bool takes_rows(struct search *search, const struct lt_variant *variant, int rows)
{
    struct lt_call call;
    cublasLtMatmulHeuristicResult_t result;
    const struct lt_product product = product_of(search, variant, rows);
    if (lt_describe(&call, &product) == CUBLAS_STATUS_SUCCESS &&
        cublasLtMatmulAlgoCheck(search->trial.device->library->handle, &call.operation, &call.w, &call.x,
                                &call.y, &call.y, &variant->algorithm[lt_row_class(rows)],
                                &result) == CUBLAS_STATUS_SUCCESS &&
        result.workspaceSize <= LT_WORKSPACE_BYTES)
        return true;
    snprintf(search->trial.why, sizeof search->trial.why, "it refuses %d rows", rows);
    return false;
}

/* Every number up to 256, then odd and even ones that grow by an eighth. */
static bool takes_all(struct search *search, const struct lt_variant *variant, int least, int most)
{
    for (int rows = least; rows < most; rows += rows < 256 ? 1 : rows / 8 | 1)
        if (!takes_rows(search, variant, rows))
            return false;
    return takes_rows(search, variant, most);
}

/* Sets the least number of rows from which on the algorithm takes all. Only rows of e4m3 can be padded: they
 * lie in scratch of our own (matmul.c). */
static bool find_least_rows(struct search *search, struct lt_variant *variant)
{
    static const int starts[] = {1, 17, 65, 129, LT_PADDED_ROWS_MAX};
    const struct weight *weight = search->trial.weight;
    int most = search->trial.device->max_rows;
    bool can_pad = weight->format == WEIGHT_E4M3 &&
                   (size_t)weight->n_out * LT_PADDED_ROWS_MAX * sizeof(float) <= LT_PADDED_BYTES;
    int n = can_pad ? (int)(sizeof starts / sizeof starts[0]) : 1;
    for (int i = 0; i < n && starts[i] <= most; i++) {
        variant->least_rows = starts[i];
        if (takes_all(search, variant, starts[i], most))
            return true;
    }
    return false;
}

static void use_everywhere(struct lt_variant *variant, const cublasLtMatmulAlgo_t *algorithm, int place)
{
    for (int i = 0; i < LT_ROW_CLASSES; i++) {
        variant->algorithm[i] = *algorithm;
        variant->place[i] = place;
    }
}

/* Finds the reference, for one type of bias. Its results are then in the trial. */
static void choose_reference(struct search *search, struct lt_variant *variant)
{
    cublasLtMatmulHeuristicResult_t proposals[CANDIDATES];
    int n = search->n_proposed = propose(search, variant, search->trial.rows, proposals);
    for (int i = 0; i < n && !variant->usable && search->trial.device->failure.status == STATUS_OK; i++) {
        if (!is_candidate(search, &proposals[i]))
            continue;
        use_everywhere(variant, &proposals[i].algo, i);
        variant->usable =
            find_least_rows(search, variant) && trial_passes(&search->trial, variant, search->kind);
    }
}

/* Finds a faster algorithm of the same bits for one class of rows. */
static void choose_for_class(struct search *search, struct lt_variant *variant, int row_class)
{
    cublasLtMatmulHeuristicResult_t proposals[CANDIDATES];
    int most = search->trial.device->max_rows, from = lt_class_least(row_class),
        to = lt_class_most(row_class);
    from = from > variant->least_rows ? from : variant->least_rows;
    to = to < most ? to : most;
    if (from > to)
        return;
    struct lt_variant other = *variant;
    int n = propose(search, variant, to, proposals);
    for (int i = 0; i < n && search->trial.device->failure.status == STATUS_OK; i++) {
        if (!is_candidate(search, &proposals[i]))
            continue;
        use_everywhere(&other, &proposals[i].algo, i);
        if (memcmp(&proposals[i].algo, &variant->algorithm[row_class], sizeof proposals[i].algo) == 0 ||
            (takes_all(search, &other, from, to) &&
             trial_agrees(&search->trial, &other, search->kind, from, to))) {
            variant->algorithm[row_class] = proposals[i].algo;
            variant->place[row_class] = i;
            return;
        }
    }
}

static void choose(struct search *search, struct lt_variant *variant)
{
    bool is_bf16 = search->kind.y_type == DTYPE_BF16;
    variant->bias_type = CUDA_R_32F;
    choose_reference(search, variant);
    if (!variant->usable && search->kind.epilogue != EPILOGUE_NONE && is_bf16) {
        variant->bias_type = CUDA_R_16BF; /* rounded to bf16, which is as exact as y itself */
        choose_reference(search, variant);
    }
    for (int row_class = 0; row_class < LT_ROW_CLASSES && variant->usable; row_class++)
        choose_for_class(search, variant, row_class);
}

/* ---- saying so ---- */

struct line {
    char text[600];
    size_t used;
};

static void add(struct line *line, const char *form, ...)
{
    va_list arguments;
    va_start(arguments, form);
    int n = vsnprintf(line->text + line->used, sizeof line->text - line->used, form, arguments);
    va_end(arguments);
    size_t room = sizeof line->text - line->used - 1;
    line->used += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
}

static void add_variant(struct line *line, const struct search *search, const struct lt_variant *variant)
{
    static const char *const epilogues[] = {"", " + bias", " + bias, gelu"};
    add(line, "; %s%s: ", search->kind.y_type == DTYPE_F32 ? "f32" : "bf16",
        epilogues[search->kind.epilogue]);
    if (!variant->usable) {
        add(line, "own (%s)", search->trial.why);
        return;
    }
    add(line, "cuBLASLt");
    for (int row_class = 0; row_class < LT_ROW_CLASSES; row_class++)
        add(line, "%s%d", row_class ? "," : " #", variant->place[row_class] + 1);
    add(line, " of %d", search->n_proposed);
    if (variant->least_rows > 1)
        add(line, " from %d rows on, padded below", variant->least_rows);
}

/* Results in float32 have no bias in our networks (it is added after the ranks' sum): such calls run our own
 * product. */
static void choose_all(struct search *search, struct library_choice *choice)
{
    struct line line = {0};
    const struct weight *weight = search->trial.weight;
    add(&line, "products of [%d, %d] %s", weight->n_out, weight->n_in,
        weight->format == WEIGHT_E4M3 ? "e4m3" : "bf16");
    for (int output = 0; output < N_OUTPUTS; output++)
        for (int epilogue = 0; epilogue < (output ? N_EPILOGUES : 1); epilogue++) {
            struct lt_variant *variant = &choice->variant[output][epilogue];
            search->kind = (struct trial_kind){output ? DTYPE_BF16 : DTYPE_F32, (enum epilogue)epilogue};
            choose(search, variant);
            choice->usable |= variant->usable;
            add_variant(&line, search, variant);
        }
    device_tell(search->trial.device, line.text);
}

static bool library_takes(const struct device *device, const struct weight *weight)
{
    return device->library != NULL && weight->use == WEIGHT_PRODUCT && weight->format != WEIGHT_F32 &&
           weight->data != NULL && weight->n_in % 8 == 0 &&
           weight->n_out % (weight->format == WEIGHT_E4M3 ? 16 : 8) == 0 &&
           (size_t)weight->n_out * 2 <= LT_BIAS_BYTES;
}

static struct library_choice *find(const struct product_library *library, const struct weight *weight)
{
    struct library_choice *choice = library->choices;
    while (choice != NULL && (choice->n_out != weight->n_out || choice->n_in != weight->n_in ||
                              choice->format != weight->format))
        choice = choice->next;
    return choice;
}

struct library_choice *library_choose(struct device *device, const struct weight *weight)
{
    if (!library_takes(device, weight))
        return NULL;
    struct library_choice *choice = find(device->library, weight);
    if (choice == NULL) {
        choice = calloc(1, sizeof *choice);
        if (choice == NULL)
            return NULL;
        *choice = (struct library_choice){.next = device->library->choices,
                                          .n_out = weight->n_out,
                                          .n_in = weight->n_in,
                                          .format = weight->format};
        device->library->choices = choice;
        struct search search = {0};
        trial_init(&search.trial, device, weight);
        if (device->failure.status == STATUS_OK)
            choose_all(&search, choice);
        trial_release(&search.trial);
    }
    return choice->usable ? choice : NULL;
}
