#include "cli/generate/output.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/terminal/json_output.h"
#include "common/clock.h"

/* Asked for every frame: a terminal changes its size. */
static struct view_size terminal_size(FILE *terminal)
{
    struct winsize size;
    if (ioctl(fileno(terminal), TIOCGWINSZ, &size) != 0)
        return (struct view_size){80, 24};
    return (struct view_size){size.ws_col, size.ws_row};
}

static bool has_view(const struct output *output)
{
    return output->kind == OUTPUT_VIEW;
}

void output_init(struct output *output, enum output_kind kind, bool with_colour, int64_t pace_ms, FILE *out,
                 FILE *remarks)
{
    *output = (struct output){
        .kind = kind, .pace_ms = pace_ms, .out = out, .remarks = remarks, .started = clock_seconds()};
    view_init(&output->view, with_colour);
}

void output_release(struct output *output)
{
    if (has_view(output) && !output->is_finished && output->accepted) {
        view_erase(&output->view, terminal_size(output->out), output->out);
        fflush(output->out);
    }
    if (output->accepted)
        protobuf_c_message_free_unpacked(&output->accepted->base, NULL);
    canvas_release(&output->canvas);
    view_release(&output->view);
    *output = (struct output){0};
}

static enum status flush(struct output *output, struct error *error)
{
    if (fflush(output->out) == 0 && !ferror(output->out))
        return STATUS_OK;
    return error_set(error, STATUS_UNKNOWN, "standard output cannot be written");
}

/* {"event": NAME, ...} on one line. */
static enum status print_event(struct output *output, const char *name, json_t *body, struct error *error)
{
    json_t *line = json_pack("{s:s}", "event", name);
    if (line && body)
        json_object_update(line, body);
    json_decref(body);
    return json_print(line, 0, output->out, error);
}

/* A canvas that knows which positions are the caller's own. */
static enum status open_canvas(struct canvas *canvas, const Millrace__V1__Accepted *accepted,
                               struct error *error)
{
    enum status status = canvas_init(canvas, accepted->length, 0, accepted->steps, error);
    for (size_t i = 0; status == STATUS_OK && i < accepted->editable.len && i < canvas->n_cells; i++)
        canvas->cells[i].is_pinned = !accepted->editable.data[i];
    return status;
}

static enum status take_accepted(struct output *output, Millrace__V1__GenerateEvent *event,
                                 struct error *error)
{
    if (output->accepted)
        return error_set(error, STATUS_DATA_LOSS, "the server has accepted the request twice");
    output->accepted = event->accepted;
    event->accepted = NULL;
    event->kind_case = MILLRACE__V1__GENERATE_EVENT__KIND__NOT_SET;
    output->started = clock_seconds();
    if (output->kind == OUTPUT_FRAMES)
        return print_event(output, "accepted", json_of_accepted(output->accepted), error);
    return has_view(output) ? open_canvas(&output->canvas, output->accepted, error) : STATUS_OK;
}

static enum status fill_canvas(struct canvas *canvas, const Millrace__V1__Frame *frame, struct error *error)
{
    if (frame->n_ids != frame->n_positions || frame->n_pieces != frame->n_positions)
        return error_set(error, STATUS_DATA_LOSS, "a frame has %zu positions, %zu ids and %zu pieces",
                         frame->n_positions, frame->n_ids, frame->n_pieces);
    enum status status = STATUS_OK;
    canvas_begin_step(canvas, frame->step);
    for (size_t i = 0; status == STATUS_OK && i < frame->n_positions; i++)
        status = canvas_set(canvas, frame->positions[i], frame->ids[i], frame->pieces[i].data,
                            frame->pieces[i].len, error);
    return status;
}

/* Tokens that would be done by now if every step did an equal share of them. */
static double tokens_per_second(const struct output *output, const Millrace__V1__Frame *frame)
{
    const Millrace__V1__Accepted *accepted = output->accepted;
    double seconds = frame->elapsed_ms / 1000;
    double share = accepted->steps ? (double)frame->step / accepted->steps : 0;
    return seconds > 0 && accepted->length > accepted->pinned
               ? share * (accepted->length - accepted->pinned) / seconds
               : 0;
}

/*
 * A small model refines faster than anybody can look: a frame stays for the pace that was asked for, or 150
 * ms, but the pauses of a text are not over 3 s together.
 */
static void let_it_be_seen(struct output *output)
{
    enum { USUAL_MS = 150, MOST_IN_ALL_MS = 3000 };
    double pace = (double)output->pace_ms;
    if (pace < 0)
        pace = fmin(USUAL_MS, MOST_IN_ALL_MS / fmax(1, output->accepted->steps));
    double left = output->drawn_at + pace / 1000 - clock_seconds();
    if (output->drawn_at > 0 && left > 0) {
        struct timespec pause = {(time_t)left, (long)(1e9 * (left - floor(left)))};
        nanosleep(&pause, NULL);
    }
    output->drawn_at = clock_seconds();
}

static enum status take_frame(struct output *output, const Millrace__V1__Frame *frame, struct error *error)
{
    if (output->kind == OUTPUT_FRAMES)
        return print_event(output, "frame", json_of_frame(frame), error);
    if (!has_view(output))
        return STATUS_OK;
    enum status status = fill_canvas(&output->canvas, frame, error);
    if (status != STATUS_OK)
        return status;
    let_it_be_seen(output);
    struct view_progress progress = {tokens_per_second(output, frame)};
    if (view_draw(&output->view, &output->canvas, progress, terminal_size(output->out), output->out) !=
        STATUS_OK)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to draw %zu positions",
                         output->canvas.n_cells);
    return flush(output, error);
}

/* "120 tokens in 0.41 s (293 tokens/s), 8 steps; entropy 5.98 bits, mean log probability -4.21; again with
 * --seed 7" */
static void print_summary(const struct output *output, const Millrace__V1__Finished *finished)
{
    double total_s =
        finished->timings ? finished->timings->total_ms / 1000 : clock_seconds() - output->started;
    fprintf(output->remarks, "%" PRIu32 " tokens in %.2f s", finished->generated_tokens, total_s);
    if (total_s > 0)
        fprintf(output->remarks, " (%.0f tokens/s)", finished->generated_tokens / total_s);
    fprintf(output->remarks, ", %" PRIu32 " steps", output->accepted->steps);
    if (finished->forwards && finished->forwards != output->accepted->steps)
        fprintf(output->remarks, " of %" PRIu32 " passes", finished->forwards);
    fprintf(output->remarks, "; entropy %.2f bits", finished->entropy_bits);
    if (isfinite(finished->mean_log_probability))
        fprintf(output->remarks, ", mean log probability %.2f", finished->mean_log_probability);
    fprintf(output->remarks, "; again with --seed %" PRIu64 "\n", finished->seed);
}

static void print_text(struct output *output, const char *text)
{
    if (has_view(output)) {
        view_erase(&output->view, terminal_size(output->out), output->out);
    }
    if (isatty(
            fileno(output->out))) { /* the text may hold what commands a terminal; a file gets it as it is */
        view_print_plain(text, strlen(text), output->out);
    } else {
        fputs(text, output->out);
    }
    fputc('\n', output->out);
}

static json_t *json_of_result(const struct output *output, const Millrace__V1__Finished *finished)
{
    json_t *result = json_of_finished(finished), *accepted = json_of_accepted(output->accepted);
    if (result && accepted)
        json_object_update_missing(result, accepted);
    json_decref(accepted);
    return result;
}

static enum status take_finished(struct output *output, const Millrace__V1__Finished *finished,
                                 struct error *error)
{
    output->is_finished = true;
    if (has_view(output))
        let_it_be_seen(output);
    if (output->kind == OUTPUT_FRAMES)
        return print_event(output, "finished", json_of_finished(finished), error);
    if (output->kind == OUTPUT_JSON)
        return json_print(json_of_result(output, finished), 0, output->out, error);
    print_text(output, finished->text);
    enum status status = flush(output, error);
    if (status == STATUS_OK && output->remarks)
        print_summary(output, finished);
    return status;
}

enum status output_event(struct output *output, Millrace__V1__GenerateEvent *event, struct error *error)
{
    if (event->kind_case != MILLRACE__V1__GENERATE_EVENT__KIND_ACCEPTED && !output->accepted)
        return error_set(error, STATUS_DATA_LOSS,
                         "the server's first answer is not that the request is accepted");
    switch (event->kind_case) {
    case MILLRACE__V1__GENERATE_EVENT__KIND_ACCEPTED:
        return take_accepted(output, event, error);
    case MILLRACE__V1__GENERATE_EVENT__KIND_FRAME:
        return take_frame(output, event->frame, error);
    case MILLRACE__V1__GENERATE_EVENT__KIND_FINISHED:
        return take_finished(output, event->finished, error);
    default:
        return STATUS_OK; /* an event of a later version */
    }
}
