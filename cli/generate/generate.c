/* `millrace generate`: one request, shown while it is refined. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/generate/choices.h"
#include "cli/command.h"
#include "cli/cluster/connection.h"
#include "cli/cluster/ask.h"
#include "cli/generate/infill.h"
#include "cli/generate/input.h"
#include "cli/terminal/interrupt.h"
#include "cli/generate/output.h"

static const char generate_path[] = "/millrace.v1.Millrace/Generate";
enum { MODEL_TIMEOUT_S = 10 };

struct generate_settings {
    const char *file, *infill, *seed, *steps, *priority, *model, *solver, *precision;
    int64_t length, gap, ranks, timeout, most_changes, pace_ms;
    double temperature, deadline;
    bool length_given, temperature_given, deadline_given, pace_given, json, json_frames, no_view, revise,
        plain_text;
    struct connection_choice cluster;
};

/* The request, with the memory that its message points into. */
struct generate_request {
    Millrace__V1__GenerateRequest message;
    Millrace__V1__Infill infill_message;
    Millrace__V1__AutoSteps auto_steps;
    Millrace__V1__Segment *segments;
    Millrace__V1__Segment **segment_pointers;
    struct infill infill;
    char *text;
};

static void release_request(struct generate_request *request)
{
    free(request->segments);
    free(request->segment_pointers);
    infill_release(&request->infill);
    free(request->text);
}

static void set_choices(const struct generate_settings *settings, Millrace__V1__GenerateRequest *message)
{
    if (settings->length_given) {
        message->length_choice_case = MILLRACE__V1__GENERATE_REQUEST__LENGTH_CHOICE_LENGTH;
        message->length = (uint32_t)settings->length;
    }
    if (settings->temperature_given) {
        message->temperature_choice_case = MILLRACE__V1__GENERATE_REQUEST__TEMPERATURE_CHOICE_TEMPERATURE;
        message->temperature = (float)settings->temperature;
    }
    message->revise = settings->revise;
    message->plain_text = settings->plain_text;
    message->most_changes = (uint32_t)settings->most_changes;
}

static enum status set_infill(const struct generate_settings *settings, struct generate_request *request,
                              struct error *error)
{
    enum status status = infill_parse(settings->infill, (uint32_t)settings->gap, &request->infill, error);
    if (status != STATUS_OK)
        return status;
    size_t n = request->infill.n_parts;
    request->segments = calloc(n, sizeof *request->segments);
    request->segment_pointers = calloc(n, sizeof(Millrace__V1__Segment *));
    if (!request->segments || !request->segment_pointers)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a text with gaps");
    for (size_t i = 0; i < n; i++) {
        const struct infill_part *part = &request->infill.parts[i];
        Millrace__V1__Segment *segment = request->segment_pointers[i] = &request->segments[i];
        millrace__v1__segment__init(segment);
        segment->kind_case = part->text ? MILLRACE__V1__SEGMENT__KIND_TEXT : MILLRACE__V1__SEGMENT__KIND_GAP;
        if (part->text)
            segment->text = part->text;
        else
            segment->gap = part->gap;
    }
    millrace__v1__infill__init(&request->infill_message);
    request->infill_message.n_segments = n;
    request->infill_message.segments = request->segment_pointers;
    request->message.input_case = MILLRACE__V1__GENERATE_REQUEST__INPUT_INFILL;
    request->message.infill = &request->infill_message;
    return STATUS_OK;
}

static enum status set_prompt(const struct generate_settings *settings, const char *argument,
                              struct generate_request *request, struct error *error)
{
    size_t size;
    enum status status = input_read(argument, settings->file, &request->text, &size, error);
    request->message.input_case = MILLRACE__V1__GENERATE_REQUEST__INPUT_PROMPT;
    request->message.prompt = request->text;
    return status;
}

static enum status build_request(const struct generate_settings *settings, const char *argument,
                                 struct generate_request *request, struct error *error)
{
    *request = (struct generate_request){0};
    millrace__v1__generate_request__init(&request->message);
    if (settings->infill && (argument || settings->file))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "--infill is the whole text; it takes no prompt beside it");
    if (settings->file && argument)
        return error_set(error, STATUS_INVALID_ARGUMENT, "--file %s and the prompt '%.60s': only one of them",
                         settings->file, argument);
    if (settings->json && settings->json_frames)
        return error_set(error, STATUS_INVALID_ARGUMENT, "--json or --json-frames, not both");
    if (settings->model)
        request->message.model = (char *)(uintptr_t)settings->model;
    set_choices(settings, &request->message);
    enum status status = choice_read_seed(settings->seed, &request->message, error);
    if (status == STATUS_OK)
        status = choice_read_steps(settings->steps, &request->message, &request->auto_steps, error);
    if (status == STATUS_OK)
        status = choice_read_priority(settings->priority, &request->message, error);
    if (status == STATUS_OK)
        status = choice_read_solver(settings->solver, &request->message, error);
    if (status == STATUS_OK)
        status = settings->infill ? set_infill(settings, request, error)
                                  : set_prompt(settings, argument, request, error);
    return status;
}

static enum status show_events(struct rpc_stream *stream, struct output *output, struct error *error)
{
    ProtobufCMessage *message;
    enum status status;
    while ((status = ask_read(stream, &message, error)) == STATUS_OK && message) {
        status = output_event(output, (Millrace__V1__GenerateEvent *)message, error);
        protobuf_c_message_free_unpacked(message, NULL);
        if (status != STATUS_OK)
            break;
    }
    if (status == STATUS_OK)
        status = rpc_stream_status(stream, error);
    if (status == STATUS_OK && !output->is_finished)
        status = error_set(error, STATUS_DATA_LOSS, "the answer ended before the text was finished");
    return status;
}

/* How long the request may take. */
static double seconds_of(const struct generate_settings *settings)
{
    return settings->deadline_given ? settings->deadline : (double)settings->timeout;
}

/* Where no solver is typed the model's own is used, and the cluster knows it. */
static enum status choose_solver(const struct generate_settings *settings, struct rpc_channel *channel,
                                 Millrace__V1__GenerateRequest *message, struct error *error)
{
    Millrace__V1__Model *model = NULL;
    if (settings->solver)
        return STATUS_OK;
    double seconds = fmin(MODEL_TIMEOUT_S, seconds_of(settings));
    enum status status = ask_model(channel, settings->model, seconds, &model, error);
    if (status == STATUS_OK)
        message->solver = model->default_solver;
    millrace__v1__model__free_unpacked(model, NULL);
    return status;
}

static enum status run_request(const struct generate_settings *settings,
                               const struct generate_request *request, struct connection *connection,
                               struct output *output, struct error *error)
{
    struct rpc_stream *stream = NULL;
    enum status status =
        rpc_stream_open(connection->channel, generate_path, &request->message.base,
                        &millrace__v1__generate_event__descriptor, seconds_of(settings), &stream, error);
    if (status == STATUS_OK)
        status = show_events(stream, output, error);
    rpc_stream_close(stream);
    return status;
}

/* A terminal that can move its cursor, and nobody who asked for something else. */
static enum output_kind output_kind_of(const struct generate_settings *settings)
{
    const char *terminal = getenv("TERM");
    if (settings->json_frames)
        return OUTPUT_FRAMES;
    if (settings->json)
        return OUTPUT_JSON;
    bool can_draw = isatty(STDOUT_FILENO) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
    return can_draw && !settings->no_view ? OUTPUT_VIEW : OUTPUT_TEXT;
}

static bool wants_colour(void)
{
    const char *refused = getenv("NO_COLOR"); /* no-color.org: set and not empty */
    return !refused || !*refused;
}

static enum status generate(const struct generate_settings *settings, struct generate_request *request,
                            struct error *error)
{
    enum output_kind kind = output_kind_of(settings);
    bool with_summary = (kind == OUTPUT_VIEW || kind == OUTPUT_TEXT) && isatty(STDERR_FILENO);
    struct connection connection;
    interrupt_block();
    if (settings->precision) /* the cluster inherits it */
        setenv("MILLRACE_PRECISION", settings->precision, 1);
    enum status status = connection_open_choice(&connection, &settings->cluster, settings->ranks, error);
    if (status != STATUS_OK)
        return status;
    struct output output;
    output_init(&output, kind, wants_colour(), settings->pace_given ? settings->pace_ms : -1, stdout,
                with_summary ? stderr : NULL);
    status = choose_solver(settings, connection.channel, &request->message, error);
    if (status == STATUS_OK)
        status = run_request(settings, request, &connection, &output, error);
    output_release(&output);
    if (status != STATUS_OK && status != STATUS_CANCELLED && status != STATUS_INVALID_ARGUMENT)
        private_cluster_show_log(&connection.cluster);
    connection_close(&connection);
    return status;
}

static const char program[] = "millrace generate";
static const char summary[] = "Writes a text. All its tokens are there from the start and are refined "
                              "together in a few steps; on a terminal you "
                              "see it happen, through a pipe only the finished text comes out. The prompt is "
                              "the argument, or --file, or standard "
                              "input; without any, the text is written from nothing.\n\n"
                              "Without --endpoint, a cluster at 127.0.0.1:7077 is used; where none answers, "
                              "one is started for this command and "
                              "ended after it.";

static const char examples[] =
    "millrace generate \"Once upon a time\"\n"
    "millrace generate --steps 16 --length 200 --seed 7 < beginning.txt\n"
    "millrace generate --infill \"The ___ sat on the ___4___ and purred.\" --length 64\n"
    "millrace generate --steps auto --deadline 2 \"As soon as\"\n"
    "millrace generate --json \"It was\" | jq -r .text\n"
    "millrace generate --endpoint 10.0.0.1:7077 \"Far away\"";

/* Fills the settings and the prompt (NULL: none on the command line). Returns -1 to go on, else the exit
 * code. */
static int parse_settings(int argc, char **argv, struct generate_settings *s, const char **prompt)
{
    const struct option_row rows[] = {
        {"length", 'l', OPTION_INTEGER, "N", NULL, NULL, 1, 1 << 20,
         "Tokens in all, the prompt's included. Without it: the length that the model was trained with.",
         &s->length, &s->length_given},
        {"steps", 's', OPTION_TEXT, "N", NULL, NULL, 0, 0,
         "Refinement steps: fewer are faster, more are better. auto: as many as --deadline leaves time for "
         "(auto:4: "
         "at least 4, auto:4-32: and at most 32). Without it: the model's default.",
         &s->steps, NULL},
        {"deadline", 0, OPTION_REAL, "SECONDS", NULL, NULL, 0.001, 86400,
         "The text must be finished in so long; a cluster that cannot do that says so at once.", &s->deadline,
         &s->deadline_given},
        {"priority", 0, OPTION_TEXT, "CLASS", NULL, "normal", 0, 0,
         "high, normal or low: who goes first where not all can run.", &s->priority, NULL},
        {"seed", 0, OPTION_TEXT, "N", NULL, NULL, 0, 0,
         "The same model, request and seed give the same text. Without it: a new one each time.", &s->seed,
         NULL},
        {"temperature", 't', OPTION_REAL, "T", NULL, NULL, 0.01, 100,
         "Below 1: more predictable; above 1: more varied. Without it: 1.", &s->temperature,
         &s->temperature_given},
        {"infill", 0, OPTION_TEXT, "TEXT", NULL, NULL, 0, 0,
         "Fill the gaps of TEXT: ___ (exactly three underscores) is a gap, ___12___ one of 12 tokens.",
         &s->infill, NULL},
        {"gap", 0, OPTION_INTEGER, "N", NULL, NULL, 1, GAP_TOKENS_MAX,
         "Tokens of a gap without a size. Without it: the gaps share what --length leaves.", &s->gap, NULL},
        {"file", 'f', OPTION_TEXT, "FILE", NULL, NULL, 0, 0,
         "Read the prompt from FILE, or from standard input (-). A final line break and a byte order mark, "
         "here and there, are "
         "left out.",
         &s->file, NULL},
        {"solver", 0, OPTION_TEXT, "NAME", NULL, NULL, 0, 0, SOLVER_HELP, &s->solver, NULL},
        {"plain-text", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
         "Take special tokens that the text spells out (<|endoftext|>) as ordinary text, as for text that is "
         "not trusted.",
         &s->plain_text, NULL},
        {"revise", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
         "With a mask model: let words that are written change again.", &s->revise, NULL},
        {"most-changes", 0, OPTION_INTEGER, "N", NULL, "0", 0, 1 << 20,
         "The most positions that a step but the last may change, the surest first; 0: no limit.",
         &s->most_changes, NULL},
        {"json", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Print one JSON object about the finished text.",
         &s->json, NULL},
        {"json-frames", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
         "Print one JSON object a line for every event.", &s->json_frames, NULL},
        {"no-view", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Do not draw the text while it is refined.",
         &s->no_view, NULL},
        {"pace", 0, OPTION_INTEGER, "MS", NULL, NULL, 0, 60000,
         "On a terminal: how long each frame stays to be seen at least. Without it: 150, but not over 3 s in "
         "all.",
         &s->pace_ms, &s->pace_given},
        {"model", 'm', OPTION_TEXT, "NAME", NULL, NULL, 0, 0,
         "Refuse to be served by another model than NAME.", &s->model, NULL},
        CONNECTION_CHOICE_ROWS(
            s->cluster, "The coordinator of a running cluster.",
            "Start a cluster for this command with the model in DIR, even where one is running or "
            "MILLRACE_ENDPOINT names one. MILLRACE_MODEL names the model only for when none is."),
        {"precision", 0, OPTION_TEXT, "NAME", "MILLRACE_PRECISION", NULL, 0, 0,
         "Of the cluster that this command starts: f32, bf16, int8 (CPU), fp8 (GPU) or auto.", &s->precision,
         NULL},
        {"ranks", 0, OPTION_INTEGER, "N", NULL, NULL, 1, 64,
         "Ranks of a cluster that is started for this command. Without it: one for each core, at most 2.",
         &s->ranks, NULL},
        {"timeout", 0, OPTION_INTEGER, "SECONDS", NULL, "600", 1, 86400, "Give up after so long.",
         &s->timeout, NULL},
        {NULL},
    };
    const struct option_table table = {.program = program,
                                       .summary = summary,
                                       .operands = "[PROMPT]",
                                       .examples = examples,
                                       .rows = rows,
                                       .max_operands = 1};
    char **operands;
    int n_operands, code = command_options(&table, argc, argv, &operands, &n_operands);
    if (code >= 0)
        return code;
    *prompt = n_operands ? operands[0] : NULL;
    struct error error;
    if (connection_choice_check(&s->cluster, &error) != STATUS_OK)
        return command_refuse(program, &error);
    return -1;
}

int generate_main(int argc, char **argv)
{
    struct generate_settings settings;
    struct generate_request request;
    struct error error;
    const char *prompt;
    int code = parse_settings(argc, argv, &settings, &prompt);
    if (code >= 0)
        return code;
    if (build_request(&settings, prompt, &request, &error) != STATUS_OK)
        code = command_refuse(program, &error);
    else if (generate(&settings, &request, &error) != STATUS_OK)
        code = command_fail(program, &error);
    else
        code = EXIT_CODE_OK;
    release_request(&request);
    return code;
}
