/*
 * The contract "same model + same request + same seed → the same bytes", as a property: random requests
 * (lengths, steps, pinned positions, seeds, temperatures, solvers) give the same text alone and in any mix,
 * in any order of arrival, and after a resumption from any frame. With the demonstration model, on every
 * number of ranks; and with the host running ahead of the device, which must change nothing
 * (MILLRACE_RUN_AHEAD=on). The promise holds for each precision (MILLRACE_PRECISION). MILLRACE_TEST_MODEL
 * names another model, of any network.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/network.h"
#include "common/philox.h"
#include "kernels/precision.h"
#include "tests/worker/mpi_main.h"
#include "worker/engine/steps.h"

enum { N_REQUESTS = 24, LENGTH_MOST = 96, STEPS_MOST = 9, AT_ONCE = 5 };

struct request {
    uint32_t ids[LENGTH_MOST];
    uint8_t editable[LENGTH_MOST];
    struct sequence_input input;
    uint32_t final[LENGTH_MOST], frame[STEPS_MOST + 1][LENGTH_MOST]; /* alone; frame k: after k steps */
    float until_jump[STEPS_MOST + 1][LENGTH_MOST];                   /* stratified: belongs to the frame */
};

static struct model model;
static struct steps steps;
static struct batch *batch;
static struct request requests[N_REQUESTS];
static const struct plan_limits limits = {.max_sequences = AT_ONCE, .max_rows = AT_ONCE * LENGTH_MOST};

static uint32_t pick(uint32_t request, uint32_t what, uint32_t n)
{
    return (uint32_t)(philox_uniform(20261121, request, what, PHILOX_INITIAL) * n);
}

/* The r-th of the solvers that the model can use; the one that takes as many steps as positions is left out.
 */
static enum solver solver_of(uint32_t r)
{
    const struct network *network = network_of(model.weights.config.architecture);
    uint32_t n = 0, found = 0;
    for (int i = 0; i < SOLVER_FIRST_HITTING; i++)
        n += network_has_solver(network, (enum solver)i);
    uint32_t left = r % n;
    while (!network_has_solver(network, (enum solver)found) || left-- > 0)
        found++;
    return (enum solver)found;
}

/* What only some networks allow. */
static void fit_to_network(struct request *request)
{
    const struct model_config *config = &model.weights.config;
    struct sequence_input *input = &request->input;
    uint32_t fewest = (uint32_t)network_fewest_steps(config, input->solver, (int)input->length);
    input->n_steps = input->n_steps < fewest ? fewest : input->n_steps;
    if (!network_has_temperature(network_of(config->architecture)))
        input->temperature = 1;
    for (size_t i = 0; i < input->length && config->source == SOURCE_MASK; i++)
        if (request->editable[i])
            request->ids[i] = (uint32_t)config->mask_token;
}

static void make_request(uint32_t r)
{
    struct request *request = &requests[r];
    uint32_t length = 1 + pick(r, 0, LENGTH_MOST), share = pick(r, 1, 4);
    for (uint32_t i = 0; i < length; i++) {
        request->ids[i] = pick(r, 1000 + i, (uint32_t)model.weights.config.vocabulary);
        request->editable[i] = pick(r, 2000 + i, 4) >= share; /* none to three quarters are pinned */
    }
    request->input = (struct sequence_input){.number = r,
                                             .ids = request->ids,
                                             .editable = request->editable,
                                             .length = length,
                                             .n_steps = 1 + pick(r, 2, STEPS_MOST),
                                             .seed = 1 + pick(r, 3, 1u << 30),
                                             .temperature = 0.5f + 0.25f * (float)pick(r, 4, 5),
                                             .solver = solver_of(r),
                                             .most_changes = pick(r, 5, 3) == 0 ? 1 + pick(r, 6, 20) : 0};
    fit_to_network(request);
}

static void open_everything(void)
{
    char directory[4096];
    struct error error;
    const char *other = getenv("MILLRACE_TEST_MODEL");
    snprintf(directory, sizeof directory, "%s/models/books-mini", getenv("MILLRACE_SOURCE"));
    if (other)
        snprintf(directory, sizeof directory, "%s", other);
    struct model_options options = {.directory = directory,
                                    .backend = "cpu",
                                    .n_threads = 1,
                                    .collective = ranks,
                                    .limits = limits,
                                    .exchange = getenv("MILLRACE_TEST_COLLECTIVE")};
    const char *precision = getenv("MILLRACE_PRECISION");
    if (precision)
        ck_assert_int_eq(precision_parse(precision, &options.precision, &error), STATUS_OK);
    ck_assert_msg(model_open(&model, &options, &error) == STATUS_OK, "%s", error.text);
    ck_assert_int_eq(batch_create(&model.weights.config, limits, &batch, &error), STATUS_OK);
    ck_assert_int_eq(steps_init(&steps, &model, batch, limits, &error), STATUS_OK);
    const char *run_ahead = getenv("MILLRACE_RUN_AHEAD");
    steps.run_ahead = run_ahead && strcmp(run_ahead, "on") == 0;
    for (uint32_t r = 0; r < N_REQUESTS; r++)
        make_request(r);
}

static void close_everything(void)
{
    steps_release(&steps);
    batch_free(batch);
    model_close(&model);
}

/* Every rank plans alike: the plan needs no broadcast here. Returns the number of reports. */
static int step(struct sequence_report *reports)
{
    struct error error;
    double seconds;
    int n_reports;
    ck_assert_msg(steps_turn(&steps, reports, &n_reports, &seconds, &error) == STATUS_OK, "%s", error.text);
    return n_reports;
}

static void apply(const struct sequence_report *report, uint32_t *ids)
{
    for (size_t c = 0; c < report->n_changed; c++)
        ids[report->positions[c]] = report->ids[c];
}

static void add(const struct sequence_input *input)
{
    struct error error;
    ck_assert_msg(batch_add(batch, input, &error) == STATUS_OK, "%s", error.text);
}

static void run_alone(struct request *request)
{
    struct sequence_report report;
    size_t size = request->input.length * sizeof *request->ids;
    memcpy(request->final, request->ids, size);
    memcpy(request->frame[0], request->ids, size);
    add(&request->input);
    for (bool done = false; !done; done = report.done) {
        while (step(&report) == 0) /* the last step may take two passes */
            continue;
        apply(&report, request->final);
        memcpy(request->frame[report.step], request->final, size);
        if (report.until_jump)
            memcpy(request->until_jump[report.step], report.until_jump, report.length * sizeof(float));
    }
}

/* Those that come join as soon as there is room, before a step that is begun ahead, too. */
static int join(const uint32_t *queue, int n, uint32_t texts[][LENGTH_MOST])
{
    int next = 0;
    for (; next < n && batch_has_room(batch, requests[queue[next]].input.length); next++) {
        memcpy(texts[queue[next]], requests[queue[next]].ids, sizeof texts[0]);
        add(&requests[queue[next]].input);
    }
    return next;
}

/* Runs requests from queue[0 .. n) as places come free; counts the texts that differ from those made alone.
 */
static int run_mixed(const uint32_t *queue, int n)
{
    static uint32_t texts[N_REQUESTS][LENGTH_MOST];
    struct sequence_report reports[AT_ONCE];
    int next = 0, finished = 0, wrong = 0;
    while (finished < n) {
        do
            next += join(queue + next, n - next, texts);
        while (steps_begin(&steps));
        int n_reports = step(reports);
        for (int i = 0; i < n_reports; i++) {
            const struct request *request = &requests[reports[i].number];
            uint32_t *text = texts[reports[i].number];
            apply(&reports[i], text);
            finished += reports[i].done;
            wrong +=
                reports[i].done && memcmp(text, request->final, request->input.length * sizeof *text) != 0;
        }
    }
    return wrong;
}

START_TEST(a_text_is_the_same_in_any_company)
{
    uint32_t queue[N_REQUESTS];
    int wrong = 0;
    for (uint32_t r = 0; r < N_REQUESTS; r++)
        run_alone(&requests[r]);
    for (uint32_t order = 0; order < 3; order++) {
        for (uint32_t r = 0; r < N_REQUESTS; r++)
            queue[r] = order == 0 ? r : order == 1 ? N_REQUESTS - 1 - r : (7 * r + 3) % N_REQUESTS;
        wrong += run_mixed(queue, N_REQUESTS);
    }
    ck_assert_double_eq(largest_of_ranks(ranks, wrong), 0);
}
END_TEST

/* One that leaves in the middle takes nothing from the others, and its place and numbers can be used at once.
 */
START_TEST(one_that_leaves_changes_nothing)
{
    struct sequence_report reports[AT_ONCE];
    int wrong = 0, n_left = 0;
    for (uint32_t r = 0; r < N_REQUESTS; r++)
        run_alone(&requests[r]);
    for (uint32_t r = 0; r + 1 < N_REQUESTS; r++) {
        uint32_t text[LENGTH_MOST], other = r + 1;
        bool left = false, done = false;
        memcpy(text, requests[r].ids, sizeof text);
        add(&requests[r].input);
        add(&requests[other].input);
        while (!done) {
            int n_reports = step(reports);
            for (int i = 0; i < n_reports; i++) {
                if (reports[i].number != r) {
                    wrong += left;
                    continue;
                }
                apply(&reports[i], text);
                done = reports[i].done;
            }
            if (!left && batch_remove(batch, other))
                n_left++;
            left = true;
        }
        wrong += memcmp(text, requests[r].final, requests[r].input.length * sizeof *text) != 0;
        struct error error; /* a step of the one that left may still be under way */
        wrong += batch_size(batch) != 0 || steps_drop(&steps, &error) != STATUS_OK;
    }
    ck_assert_int_gt(n_left, N_REQUESTS / 2);
    ck_assert_double_eq(largest_of_ranks(ranks, wrong), 0);
}
END_TEST

START_TEST(a_text_goes_on_from_any_frame)
{
    int wrong = 0, resumed = 0;
    struct sequence_report report;
    for (uint32_t r = 0; r < N_REQUESTS; r++)
        run_alone(&requests[r]);
    for (uint32_t r = 0; r < N_REQUESTS; r++) {
        for (uint32_t from = 1; from < requests[r].input.n_steps; from++, resumed++) {
            uint32_t text[LENGTH_MOST];
            struct sequence_input input = requests[r].input;
            memcpy(text, requests[r].frame[from], sizeof text);
            input.ids = requests[r].frame[from];
            input.step = from;
            input.until_jump = requests[r].until_jump[from];
            add(&input);
            for (bool done = false; !done; done = report.done) {
                while (step(&report) == 0)
                    continue;
                apply(&report, text);
            }
            wrong += memcmp(text, requests[r].final, input.length * sizeof *text) != 0;
        }
    }
    ck_assert_int_gt(resumed, N_REQUESTS);
    ck_assert_double_eq(largest_of_ranks(ranks, wrong), 0);
}
END_TEST

/* Thinning is exact: rows that it leaves out would not have changed. */
START_TEST(thinning_changes_nothing)
{
    uint32_t queue[N_REQUESTS];
    for (uint32_t r = 0; r < N_REQUESTS; r++) {
        queue[r] = r;
        run_alone(&requests[r]);
    }
    batch_thin_no_more(batch);
    ck_assert_double_eq(largest_of_ranks(ranks, run_mixed(queue, N_REQUESTS)), 0);
}
END_TEST

/* Tokens of all texts in one number; compared between numbers of ranks by the script that runs this test. */
START_TEST(print_the_texts_sum)
{
    uint64_t sum = 0xCBF29CE484222325u;
    for (uint32_t r = 0; r < N_REQUESTS; r++) {
        run_alone(&requests[r]);
        for (size_t i = 0; i < requests[r].input.length; i++)
            sum = (sum ^ requests[r].final[i]) * 0x100000001B3u;
    }
    const char *path = getenv("MILLRACE_SUM_FILE");
    FILE *file = path && ranks->rank == 0 ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%016llx\n", (unsigned long long)sum);
        fclose(file);
    }
}
END_TEST

Suite *mpi_suite(void)
{
    Suite *suite = suite_create("determinism");
    TCase *cases = tcase_create("property");
    tcase_add_unchecked_fixture(cases, open_everything, close_everything);
    tcase_add_test(cases, a_text_is_the_same_in_any_company);
    tcase_add_test(cases, one_that_leaves_changes_nothing);
    tcase_add_test(cases, a_text_goes_on_from_any_frame);
    tcase_add_test(cases, thinning_changes_nothing);
    tcase_add_test(cases, print_the_texts_sum);
    suite_add_tcase(suite, cases);
    return suite;
}
