#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/verify/checks.h"
#include "worker/verify/family.h"
#include "worker/verify/golden_model.h"
#include "worker/verify/pass.h"

/* Relative to the largest number of the tensor, or to 1 where that number is less. */
static const double tolerance = 2e-5;

enum { NOTE_ROOM = 400 };

/* How a recorded intermediate appears in this engine, where its name or its value differs. */
enum appearance {
    AS_IT_IS,
    AFTER_SILU, /* the activation is part of the product */
    AFTER_GELU,
    BEFORE_BIAS, /* the bias is added with the gate, once for all ranks */
    FUSED,       /* does not exist in memory: judged through what follows from it */
    OUTSIDE,     /* an input, or something that is not part of the pass */
    FIRST_THIRD, /* recorded as one with two others */
    SECOND_THIRD,
    LAST_THIRD,
};

static const struct appearance_row {
    const char *recorded, *observed; /* without the block's "b0." */
    enum appearance how;
} appearances[] = {
    {"time_condition_fuser_pre_silu", "silu(time_condition_fuser)", AFTER_SILU},
    {"condition_fuser_pre_silu", "c_in", AFTER_SILU},
    {"t_emb", "silu(t_emb)", AFTER_SILU}, /* of a teacher */
    {"mlp0", "gelu", AFTER_GELU},
    {"mlp", "mlp", BEFORE_BIAS},
    {"norm1", "", FUSED}, /* with the modulation: mod1 */
    {"norm2", "", FUSED},
    {"norm_final", "", FUSED},
    {"q_rot", "", FUSED}, /* with the attention: attn */
    {"k_rot", "", FUSED},
    {"qkv", "q", FIRST_THIRD},
    {"qkv", "k", SECOND_THIRD},
    {"qkv", "v", LAST_THIRD},
    {"x_t", "", OUTSIDE},
    {"x", "", OUTSIDE}, /* of a published family, as the next */
    {"net_time", "", OUTSIDE},
    {"t", "", OUTSIDE},
    {"dt", "", OUTSIDE},
    {"logits", "", OUTSIDE},
    {"rope_cos", "", OUTSIDE},
    {"rope_sin", "", OUTSIDE},
};
enum { N_APPEARANCES = sizeof appearances / sizeof *appearances };

/* One recorded intermediate. */
struct traced {
    const struct array *expected;
    char name[64]; /* without the block's part */
    int block;     /* -1: of no block */
    int n_seen;    /* the number of observations that were compared with it */
    double largest;
};

struct trace {
    struct golden_file file;
    struct model model;
    struct traced *traced; /* [n] */
    int n;
    float *host; /* room for an observation */
    size_t room;
    bool failed; /* no memory, or the device */
};

/* "b2.out" is "out" of block 2. */
static void split_name(const char *name, struct traced *traced)
{
    int block, end = 0;
    bool of_block = sscanf(name, "b%d.%n", &block, &end) == 1 && end > 0;
    traced->block = of_block ? block : -1;
    snprintf(traced->name, sizeof traced->name, "%s", of_block ? name + end : name);
}

static const struct appearance_row *find_appearance(const char *recorded, const char *observed)
{
    for (int i = 0; i < N_APPEARANCES; i++)
        if (!strcmp(appearances[i].recorded, recorded) && !strcmp(appearances[i].observed, observed))
            return &appearances[i];
    return NULL;
}

/* Whether the observation shows this intermediate, and how. */
static bool matches(const struct traced *traced, const struct observation *seen, enum appearance *how)
{
    const struct appearance_row *row = find_appearance(traced->name, seen->name);
    if (traced->block != seen->block || (!row && strcmp(traced->name, seen->name) != 0))
        return false;
    *how = row ? row->how : AS_IT_IS;
    return true;
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double as_observed(enum appearance how, double recorded, double bias)
{
    return how == AFTER_SILU    ? silu(recorded)
           : how == AFTER_GELU  ? gelu_tanh(recorded)
           : how == BEFORE_BIAS ? recorded - bias
                                : recorded;
}

static double magnitude(const struct array *array)
{
    double largest = 1;
    for (int64_t i = 0; i < array->n; i++)
        largest = fmax(largest, fabs(array->x[i]));
    return largest;
}

/* bias: [width], zeros where there is none to leave out. */
static void compare(struct traced *traced, const struct observation *seen, const float *x,
                    enum appearance how, const float *bias)
{
    int64_t width = seen->rows ? traced->expected->n / seen->rows : 0;
    int64_t first = how == SECOND_THIRD ? width / 3 : how == LAST_THIRD ? 2 * width / 3 : 0;
    double scale = magnitude(traced->expected);
    traced->n_seen++;
    if (width * seen->rows != traced->expected->n || seen->columns.end > width)
        traced->largest = NAN; /* another shape */
    for (int row = 0; row < seen->rows && !isnan(traced->largest); row++)
        for (int c = seen->columns.first; c < seen->columns.end; c++) {
            double recorded = traced->expected->x[row * width + first + c];
            double expected = as_observed(how, recorded, how == BEFORE_BIAS ? (double)bias[c] : 0);
            double ours = (double)x[row * seen->ld + c - seen->columns.first];
            traced->largest = worse(traced->largest, fabs(ours - expected) / scale);
        }
}

/* Copies an observation to the host. Elements of fewer bytes arrive at the end of `to` and are widened from
 * there. */
static bool download(struct trace *trace, const void *x, enum dtype type, size_t n, float *to)
{
    struct error error;
    struct model *model = &trace->model;
    char *raw = (char *)(to + n) - n * dtype_bytes(type);
    model->backend->download(model->device, raw, x, n * dtype_bytes(type));
    if (model->backend->synchronize(model->device, &error) != STATUS_OK)
        return false;
    for (size_t i = 0; i < n && type != DTYPE_F32; i++)
        dtype_to_float(type, raw + i * dtype_bytes(type), 1, to + i);
    return true;
}

/* Fetches the bias of the block's second MLP product, which is observed before the bias is added. */
static bool fetch_bias(struct trace *trace, const struct observation *seen, float *bias)
{
    bool wanted = !strcmp(seen->name, "mlp") && seen->block >= 0;
    return !wanted || download(trace, trace->model.weights.blocks[seen->block].down_bias, DTYPE_F32,
                               (size_t)trace->model.weights.config.hidden, bias);
}

static void observe(void *context, const struct observation *seen)
{
    struct trace *trace = context;
    int width = range_size(seen->columns);
    size_t n = seen->rows && width ? (size_t)(seen->rows - 1) * (size_t)seen->ld + (size_t)width : 0;
    float *bias = trace->host + trace->room;
    if (n > trace->room || !download(trace, seen->x, seen->type, n, trace->host) ||
        !fetch_bias(trace, seen, bias)) {
        trace->failed = true;
        return;
    }
    for (int i = 0; i < trace->n; i++) {
        enum appearance how;
        if (matches(&trace->traced[i], seen, &how))
            compare(&trace->traced[i], seen, trace->host, how, bias);
    }
}

static enum status list_tensors(struct trace *trace, struct error *error)
{
    trace->n = tensors_count(trace->file.tensors);
    trace->traced = calloc((size_t)trace->n + 1, sizeof *trace->traced);
    for (int i = 0; i < trace->n && trace->traced; i++) {
        const char *name = tensors_at(trace->file.tensors, i)->name;
        trace->traced[i].expected = golden_find(&trace->file, "%s", name);
        split_name(name, &trace->traced[i]);
        if (!trace->traced[i].expected)
            return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %s", name);
    }
    return trace->traced ? STATUS_OK
                         : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %d tensors", trace->n);
}

static struct traced *find_traced(const struct trace *trace, const char *name)
{
    for (int i = 0; i < trace->n; i++)
        if (trace->traced[i].block < 0 && !strcmp(trace->traced[i].name, name))
            return &trace->traced[i];
    return NULL;
}

/* Logits exist in this engine one tile at a time; here they are made from the last thing that exists whole.
 */
static void compare_logits(struct trace *trace, const float *logits, int rows)
{
    struct traced *traced = find_traced(trace, "logits");
    int n_ids = trace->model.weights.config.n_ids;
    const struct observation seen = {"logits", -1, NULL, DTYPE_F32, rows, n_ids, {0, n_ids}};
    if (traced)
        compare(traced, &seen, logits, AS_IT_IS, NULL);
}

/* The rotary table [max_length, head_size]: cosines, then sines. */
static void compare_rotary(struct trace *trace, const char *name, int first_column)
{
    struct traced *traced = find_traced(trace, name);
    int size = trace->model.weights.config.head_size;
    if (!traced)
        return;
    int rows = (int)traced->expected->shape[0];
    const struct observation seen = {name, -1, NULL, DTYPE_F32, rows, size, {0, size / 2}};
    size_t n = (size_t)rows * (size_t)size;
    if (rows > trace->model.weights.config.max_length || n > trace->room ||
        !download(trace, trace->model.weights.rotary, DTYPE_F32, n, trace->host))
        trace->failed = true;
    else
        compare(traced, &seen, trace->host + first_column, AS_IT_IS, NULL);
}

static enum status make_room(struct trace *trace, const struct pass *pass, struct error *error)
{
    const struct model_config *config = &trace->model.weights.config;
    size_t rows = (size_t)(pass->n_sequences * pass->length), widest = 4 * (size_t)config->hidden;
    size_t table = (size_t)config->max_length * (size_t)config->head_size,
           features = 256 + 2 * (size_t)config->condition;
    trace->room = rows * widest + table + features + 6 * (size_t)config->hidden;
    trace->host = calloc(trace->room + (size_t)config->hidden, sizeof *trace->host);
    return trace->host ? STATUS_OK
                       : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the intermediates");
}

static enum status run_pass(struct trace *trace, const struct pass *pass, struct error *error)
{
    const struct observer observer = {observe, trace};
    const void *x;
    struct model *model = &trace->model;
    int rows = pass->n_sequences * pass->length;
    model->forward.observer = model->conditioning.observer = &observer;
    enum status status = pass_run(model, &trace->file, pass, &x, error);
    model->forward.observer = model->conditioning.observer = NULL;
    float *logits = status == STATUS_OK ? pass_logits(model, x, rows) : NULL;
    if (status == STATUS_OK && !logits)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for logits");
    if (status != STATUS_OK)
        return status;
    compare_logits(trace, logits, rows);
    free(logits);
    compare_rotary(trace, "rope_cos", 0);
    compare_rotary(trace, "rope_sin", model->weights.config.head_size / 2);
    if (trace->failed)
        status = error_set(error, STATUS_INTERNAL, "an intermediate could not be read");
    return collective_agree(model->collective, status, error);
}

/* Gathers the worst difference of all ranks, because a rank judges only its own columns. */
static enum status gather_ranks(struct trace *trace, struct error *error)
{
    struct collective *collective = trace->model.collective;
    size_t n = (size_t)trace->n, n_ranks = (size_t)collective->n_ranks;
    double *mine = calloc(n + 1, sizeof *mine), *all = calloc((n + 1) * n_ranks, sizeof *all);
    enum status status =
        mine && all ? STATUS_OK : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu tensors", n);
    status = collective_agree(collective, status, error);
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        mine[i] = trace->traced[i].largest;
    if (status == STATUS_OK)
        collective->table->exchange(collective, mine, n * sizeof *mine, all);
    for (size_t i = 0; i < n * n_ranks && status == STATUS_OK; i++)
        trace->traced[i % n].largest = worse(trace->traced[i % n].largest, all[i]);
    free(mine);
    free(all);
    return status;
}

static bool has_appearance(const char *name, enum appearance how)
{
    for (int i = 0; i < N_APPEARANCES; i++)
        if (!strcmp(appearances[i].recorded, name) && appearances[i].how == how)
            return true;
    return false;
}

static enum status tell(const struct trace *trace, struct report *report, struct error *error)
{
    double largest = 0;
    int n_seen = 0, n_note = 0;
    char note[NOTE_ROOM] = "";
    const char *where = "";
    for (int i = 0; i < trace->n; i++) {
        const struct traced *traced = &trace->traced[i];
        if (traced->n_seen > 0) {
            where = isnan(largest) || traced->largest <= largest ? where : traced->expected->name;
            largest = worse(largest, traced->largest);
            n_seen++;
        } else if (has_appearance(traced->name, FUSED)) {
            if (n_note < NOTE_ROOM)
                n_note += snprintf(note + n_note, (size_t)(NOTE_ROOM - n_note), "%s%s", n_note ? ", " : "",
                                   traced->expected->name);
        } else if (!has_appearance(traced->name, OUTSIDE)) {
            return error_set(error, STATUS_INVALID_ARGUMENT, "%s: this engine shows nothing of that name",
                             traced->expected->name);
        }
    }
    char text[2 * NOTE_ROOM];
    snprintf(text, sizeof text, "largest in %s%s%s%s", where,
             *note ? "; judged by what follows, being fused with it: " : "", note, "");
    report_finding(report, &(struct finding){.file = trace->file.name,
                                             .what = "intermediates, relative",
                                             .count = n_seen,
                                             .unit = "tensors",
                                             .value = largest,
                                             .limit = tolerance,
                                             .note = text});
    return STATUS_OK;
}

/* A family's trace names its inputs otherwise, and its time is what the network is told. */
static enum status read_family_pass(struct golden_file *file, struct pass *pass, struct error *error)
{
    const struct array *ids = golden_array(file, 2, (int64_t[]){-1, -1}, "x");
    if (!ids)
        return golden_file_error(file, error);
    *pass = (struct pass){.n_sequences = (int)ids->shape[0], .length = (int)ids->shape[1], .ids = ids};
    pass->t = golden_array(file, 1, ids->shape, "net_time");
    return golden_file_error(file, error);
}

static enum status check(const struct golden *golden, struct trace *trace, struct report *report,
                         struct error *error)
{
    struct pass pass;
    char model[128];
    const char *stem = trace->file.name + strlen("trace_");
    snprintf(model, sizeof model, "%.*s", (int)(strlen(stem) - strlen(".safetensors")), stem);
    const bool of_family = json_object_get(golden->manifest, "family");
    const char *weights = golden_weights(golden, model, "");
    if (!weights && !of_family)
        return error_set(error, STATUS_INVALID_ARGUMENT, "manifest.json has no model \"%s\"", model);
    enum status status =
        of_family ? read_family_pass(&trace->file, &pass, error) : pass_read(&trace->file, "", &pass, error);
    if (status == STATUS_OK)
        status = list_tensors(trace, error);
    if (status == STATUS_OK && of_family)
        status = family_model_open(golden, model, pass.n_sequences, pass.length, &trace->model, error);
    else if (status == STATUS_OK)
        status =
            golden_model_open(golden, model, weights, (struct golden_load){pass.n_sequences, pass.length, 1},
                              &trace->model, error);
    if (status == STATUS_OK)
        status = make_room(trace, &pass, error);
    if (status == STATUS_OK)
        status = run_pass(trace, &pass, error);
    if (status == STATUS_OK)
        status = gather_ranks(trace, error);
    return status == STATUS_OK ? tell(trace, report, error) : status;
}

enum status check_trace(const struct golden *golden, const char *name, struct report *report,
                        struct error *error)
{
    struct trace trace = {0};
    enum status status = golden_file_open(&trace.file, golden, name, error);
    if (status != STATUS_OK)
        return status;
    status = check(golden, &trace, report, error);
    model_close(&trace.model);
    free(trace.traced);
    free(trace.host);
    golden_file_close(&trace.file);
    return status;
}
