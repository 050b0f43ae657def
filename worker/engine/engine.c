#include "worker/engine/engine.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/model/network.h"
#include "worker/engine/backlog.h"
#include "worker/engine/steps.h"
#include "worker/engine/submission.h"

struct engine {
    struct model *model;
    struct plan plan;           /* rank 0: commands that are no step. Other ranks: what came from rank 0 */
    struct batch *batch;        /* rank 0 */
    struct backlog backlog;     /* rank 0 */
    struct steps steps;         /* rank 0 */
    bool under_way[STEP_SLOTS]; /* other ranks: the slot's step has begun and was not waited for */
    struct sequence_report *reports; /* rank 0 [max_sequences] */
    char *answers;                   /* [n_ranks]: of an idle round */
    struct phases {
        double matmul, attention, head, communication;
    } counted; /* what the meters have counted of the model's clocks */
    bool draining, stopping;
    struct error device_error; /* other ranks: what failed while they waited for a plan; status OK: nothing */
};

#define IDLE_ROUND_SECONDS 1.0

static enum status prepare_to_lead(struct engine *engine, struct plan_limits limits, bool run_ahead,
                                   struct error *error)
{
    enum status status = batch_create(&engine->model->weights.config, limits, &engine->batch, error);
    if (status == STATUS_OK)
        status = steps_init(&engine->steps, engine->model, engine->batch, limits, error);
    engine->steps.run_ahead = run_ahead;
    engine->steps.announce = true;
    engine->reports = calloc((size_t)limits.max_sequences, sizeof *engine->reports);
    /* Twice a batch: everything that the coordinator may send comes here first, and the batch may have a gap
     * that is too small for the oldest. */
    bool held = backlog_init(&engine->backlog, 2 * limits.max_sequences, 2 * (int64_t)limits.max_rows);
    if (status == STATUS_OK && (!engine->reports || !held))
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the engine");
    return status;
}

enum status engine_create(struct model *model, struct plan_limits limits, bool run_ahead,
                          struct engine **engine, struct error *error)
{
    struct engine *made = calloc(1, sizeof *made);
    if (!made)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the engine");
    made->model = model;
    made->answers = calloc((size_t)model->collective->n_ranks, 1);
    enum status status = plan_init(&made->plan, limits, error);
    if (status == STATUS_OK && !made->answers)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the engine");
    if (status == STATUS_OK && model->collective->rank == 0)
        status = prepare_to_lead(made, limits, run_ahead, error);
    if (status != STATUS_OK) {
        engine_free(made);
        return status;
    }
    *engine = made;
    return STATUS_OK;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    steps_release(&engine->steps);
    batch_free(engine->batch);
    backlog_release(&engine->backlog, submission_free);
    plan_release(&engine->plan);
    free(engine->reports);
    free(engine->answers);
    free(engine);
}

/* Takes the submission over. */
static void submit(struct engine *engine, const struct mail *mail, const struct engine_sink *sink)
{
    struct error error;
    struct sequence_input input;
    enum status status = engine->draining ? error_set(&error, STATUS_UNAVAILABLE,
                                                      "this replica is draining; it takes no new sequences")
                                          : submission_read(mail->submission, &input, &error);
    if (status == STATUS_OK && backlog_push(&engine->backlog, mail, (int)input.length))
        return;
    if (status == STATUS_OK)
        error_set(&error, STATUS_RESOURCE_EXHAUSTED,
                  "%d sequences of %lld tokens wait here already; %d of %lld are the most", engine->backlog.n,
                  (long long)engine->backlog.n_tokens, engine->backlog.max_sequences,
                  (long long)engine->backlog.max_tokens);
    sink->rejected(sink->context, mail->number, mail->connection, &error);
    submission_free(mail->submission);
}

/* Takes the mail's submission over, if it has one. */
static void handle(struct engine *engine, const struct mail *mail, const struct engine_sink *sink)
{
    switch (mail->kind) {
    case MAIL_SUBMIT:
        submit(engine, mail, sink);
        break;
    case MAIL_CANCEL:
        if (!batch_remove(engine->batch, mail->number))
            backlog_remove(&engine->backlog, mail->number, submission_free);
        break;
    case MAIL_CANCEL_ALL:
        batch_clear(engine->batch);
        backlog_clear(&engine->backlog, submission_free);
        break;
    case MAIL_DRAIN:
        engine->draining = true;
        break;
    case MAIL_STOP:
        engine->stopping = true;
        break;
    }
}

/* The oldest submissions join the batch, as far as there is room. A replica that drains finishes them too. */
static void join(struct engine *engine, const struct engine_sink *sink)
{
    struct backlog *backlog = &engine->backlog;
    while (backlog->n && batch_has_room(engine->batch, (size_t)backlog->entries[0].length)) {
        struct mail mail = backlog_pop(backlog);
        struct error error;
        struct sequence_input input;
        enum status status = submission_read(mail.submission, &input, &error);
        input.connection = mail.connection;
        if (status == STATUS_OK)
            status = batch_add(engine->batch, &input, &error);
        if (status != STATUS_OK)
            sink->rejected(sink->context, mail.number, mail.connection, &error);
        submission_free(mail.submission);
    }
}

static bool has_work(const struct engine *engine)
{
    return batch_size(engine->batch) > 0 || engine->backlog.n > 0 || engine->steps.n_under_way > 0;
}

static void broadcast_plan(struct engine *engine)
{
    struct collective *collective = engine->model->collective;
    collective->table->broadcast(collective, engine->plan.block, engine->plan.size_bytes);
}

/* A round of answers. It ends when every rank has answered. */
static enum status answer(struct engine *engine, struct error *error)
{
    struct collective *collective = engine->model->collective;
    const char here = 1;
    collective->table->exchange(collective, &here, 1, engine->answers);
    meter_add(engine->model->meters, METER_PROGRESS, 1);
    if (collective->status == STATUS_OK)
        return STATUS_OK;
    return error_set(error, collective->status, "the exchange between the ranks of this replica broke");
}

static enum status look_after_ranks(struct engine *engine, struct error *error)
{
    *engine->plan.header = (struct plan_header){.command = PLAN_PING};
    broadcast_plan(engine);
    return answer(engine, error);
}

static bool is_idle(const struct engine *engine)
{
    return !has_work(engine) && !engine->draining && !engine->stopping;
}

/* Takes all mail that is there. Waits for mail when there is nothing to compute. */
static enum status take_mail(struct engine *engine, struct mailbox *mailbox, const struct engine_sink *sink,
                             struct error *error)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        bool idle = is_idle(engine);
        struct mail mail;
        if (mailbox_take(mailbox, idle ? IDLE_ROUND_SECONDS : 0, &mail))
            handle(engine, &mail, sink);
        else if (idle)
            status = look_after_ranks(engine, error);
        else
            break;
    }
    if (status == STATUS_OK)
        join(engine, sink);
    return status;
}

/* Brings one meter up to what the model's clock says; returns the seconds that came to it. */
static double count_phase(struct engine *engine, enum meter meter, double now, double *counted)
{
    double passed = now - *counted;
    meter_add(engine->model->meters, meter, (uint64_t)(passed * 1e9));
    *counted = now;
    return passed;
}

/* On a device whose operations are only enqueued the host's clocks measure the enqueuing. Such a step is not
 * split into phases. */
static void count_phases(struct engine *engine, double seconds)
{
    const struct model *model = engine->model;
    struct phases *counted = &engine->counted;
    double named = 0;
    if (model->backend->on_host) {
        named = count_phase(engine, METER_MATMUL_NS, model->forward.seconds.matmul, &counted->matmul);
        named +=
            count_phase(engine, METER_ATTENTION_NS, model->forward.seconds.attention, &counted->attention);
        named += count_phase(engine, METER_HEAD_NS, model->sampler.seconds, &counted->head);
        named +=
            count_phase(engine, METER_COMMUNICATION_NS, model->collective->seconds, &counted->communication);
    }
    meter_add(model->meters, METER_OTHER_NS, seconds > named ? (uint64_t)((seconds - named) * 1e9) : 0);
}

static void count_step(struct engine *engine, int n_reports, double seconds)
{
    const struct model *model = engine->model;
    struct meters *meters = model->meters;
    uint64_t n_changed = 0;
    for (int i = 0; i < n_reports; i++)
        n_changed += engine->reports[i].n_changed;
    meter_add(meters, METER_PROGRESS, 1);
    meter_add(meters, METER_STEPS, (uint64_t)n_reports);
    if (engine->steps.last.n_needed > 0) {
        meter_add(meters, METER_PASSES, 1);
        meter_add(meters, METER_ROWS, (uint64_t)engine->steps.last.n_rows);
    }
    meter_add(meters, METER_NEEDED_ROWS, (uint64_t)engine->steps.last.n_needed);
    meter_add(meters, METER_CHANGED, n_changed);
    count_phases(engine, seconds);
}

/* One step of everything that was in the batch when the step began. A sequence whose last step has begun
 * gives its place back, so others join before the step after it begins. */
static enum status step(struct engine *engine, const struct engine_sink *sink, struct error *error)
{
    int n_reports;
    double seconds;
    while (steps_begin(&engine->steps))
        join(engine, sink);
    if (engine->steps.n_under_way == 0)
        return STATUS_OK; /* all that came was rejected, or left */
    enum status status = steps_end(&engine->steps, engine->reports, &n_reports, &seconds, error);
    if (status != STATUS_OK)
        return status;
    count_step(engine, n_reports, seconds);
    for (int i = 0; i < n_reports && sink; i++)
        sink->report(sink->context, &engine->reports[i], seconds);
    return STATUS_OK;
}

enum status engine_lead(struct engine *engine, struct mailbox *mailbox, const struct engine_sink *sink,
                        struct error *error)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        status = take_mail(engine, mailbox, sink, error);
        if (status != STATUS_OK || engine->stopping || (engine->draining && !has_work(engine)))
            break;
        status = step(engine, sink, error);
    }
    if (status == STATUS_OK)
        status = steps_drop(&engine->steps, error);
    if (status != STATUS_OK)
        return status; /* the other ranks wait for a plan: the launcher ends them when this rank exits */
    if (!engine->stopping)
        sink->drained(sink->context);
    engine->plan.header->command = PLAN_STOP;
    broadcast_plan(engine);
    return STATUS_OK;
}

/* Waits for the slot's last step, if there was one. Ranks above 0 do not need its outcome. */
static enum status finish(struct engine *engine, int slot, struct error *error)
{
    bool under_way = engine->under_way[slot];
    engine->under_way[slot] = false;
    return under_way ? model_wait(engine->model, slot, error) : STATUS_OK;
}

/* Begins the step that rank 0 sent, in the next slot. */
static enum status follow_step(struct engine *engine, struct error *error)
{
    int slot = engine->plan.slot = (engine->plan.slot + 1) % STEP_SLOTS;
    enum status status = finish(engine, slot, error);
    if (status != STATUS_OK)
        return status;
    model_begin(engine->model, &engine->plan);
    engine->under_way[slot] = true;
    /* A rank that dropped out of the exchange has failed, and will not hear of another plan. */
    return engine->model->collective->status == STATUS_OK ? STATUS_OK : finish(engine, slot, error);
}

static enum status follow_to_the_end(struct engine *engine, struct error *error)
{
    enum status status = STATUS_OK;
    for (int slot = 0; slot < STEP_SLOTS && status == STATUS_OK; slot++)
        status = finish(engine, slot, error);
    return status;
}

/*
 * While rank 0 sends no plan: it may wait for a step in which this rank's device has failed. So this rank
 * waits for its own oldest step. It does not wait for a younger one, because the next plan may come before
 * that ends. false: the device has failed.
 */
static bool look_after_device(void *context)
{
    struct engine *engine = context;
    int youngest = engine->plan.slot, oldest = (youngest + 1) % STEP_SLOTS;
    int slot = engine->under_way[oldest] ? oldest : youngest;
    return finish(engine, slot, &engine->device_error) == STATUS_OK;
}

static enum status follow(struct engine *engine, struct error *error)
{
    for (;;) {
        broadcast_plan(engine);
        if (engine->device_error.status != STATUS_OK) {
            *error = engine->device_error;
            return error->status;
        }
        if (engine->model->collective->status != STATUS_OK)
            return error_set(error, engine->model->collective->status, "rank 0 of this replica is gone");
        if (engine->plan.header->command == PLAN_STOP)
            return follow_to_the_end(engine, error);
        enum status status =
            engine->plan.header->command == PLAN_PING ? answer(engine, error) : follow_step(engine, error);
        if (status != STATUS_OK)
            return status;
    }
}

enum status engine_follow(struct engine *engine, struct error *error)
{
    struct collective *collective = engine->model->collective;
    collective->waits = look_after_device;
    collective->waits_context = engine;
    enum status status = follow(engine, error);
    collective->waits = NULL;
    return status;
}

/*
 * How long the warm-up's text is. A GPU loads the code of a kernel when it is first used, and records a graph
 * of a shape when it comes for the second time: two texts of full length leave neither to the first request.
 * A CPU has nothing of the kind, and a long text would cost it seconds.
 */
struct warm_up {
    int length, n_texts;
};

static struct warm_up warm_up_of(const struct model *model, int tokens)
{
    enum { SHORT = 16 };
    int most = model->weights.config.max_length;
    if (tokens == 0)
        tokens = model->backend->on_host ? SHORT : most;
    return (struct warm_up){.length = tokens < most ? tokens : most,
                            .n_texts = model->backend->on_host ? 1 : 2};
}

/* Rank 0: the first pass of one text. A published network may need more passes for it; they are left out. */
static enum status write_one(struct engine *engine, int length, struct error *error)
{
    const struct model_config *config = &engine->model->weights.config;
    uint32_t *ids = calloc((size_t)length, sizeof *ids);
    uint8_t *editable = calloc((size_t)length, sizeof *editable);
    enum status status = STATUS_OK;
    if (!ids || !editable)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the warm-up's text");
    for (int i = 0; i < length && status == STATUS_OK; i++) {
        /* a token that is revealed need not be drawn, and a step without a needed row is not even sent */
        ids[i] = config->source == SOURCE_MASK ? (uint32_t)config->mask_token : 0;
        editable[i] = 1;
    }
    const struct sequence_input input = {
        .ids = ids,
        .editable = editable,
        .length = (size_t)length,
        .n_steps = (uint32_t)network_fewest_steps(config, config->default_solver, length),
        .solver = config->default_solver,
        .temperature = 1};
    if (status == STATUS_OK)
        status = batch_add(engine->batch, &input, error);
    free(ids);
    free(editable);
    if (status == STATUS_OK) {
        status = step(engine, NULL, error);
        batch_clear(engine->batch);
        return status;
    }
    engine->plan.header->command = PLAN_STOP; /* the others wait for a plan */
    broadcast_plan(engine);
    return status;
}

static enum status lead_warm_up(struct engine *engine, struct warm_up warm_up, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < warm_up.n_texts && status == STATUS_OK; i++)
        status = write_one(engine, warm_up.length, error);
    return status;
}

static enum status follow_warm_up(struct engine *engine, struct warm_up warm_up, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < warm_up.n_texts && status == STATUS_OK; i++) {
        broadcast_plan(engine);
        if (engine->plan.header->command != PLAN_STEP)
            return follow_to_the_end(engine, error);
        status = follow_step(engine, error);
    }
    return status == STATUS_OK ? follow_to_the_end(engine, error) : status;
}

/* Does a rank whose step is done know that all ranks' devices have taken part in it? */
static bool waits_for_all(const struct collective *collective)
{
    return collective->n_ranks > 1 && collective->table->on_device;
}

enum status engine_warm_up(struct engine *engine, int tokens, struct error *error)
{
    struct collective *collective = engine->model->collective;
    struct warm_up warm_up = warm_up_of(engine->model, tokens);
    enum status status =
        collective->rank == 0 ? lead_warm_up(engine, warm_up, error) : follow_warm_up(engine, warm_up, error);
    bool is_broken = collective->status != STATUS_OK || (status != STATUS_OK && waits_for_all(collective));
    if (is_broken)
        return status; /* the other ranks are in the middle of an exchange, and cannot agree */
    return collective_verdict(collective, status, error);
}
