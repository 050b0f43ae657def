#include "coordinator/request/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pinned ids, or a gap: `ids` is NULL. */
struct piece {
    int32_t *ids;
    size_t n; /* of a gap: 0 is an equal share of what is left */
};

struct layout {
    struct piece *pieces;
    size_t n_pieces;
};

static void layout_release(struct layout *layout)
{
    for (size_t i = 0; i < layout->n_pieces; i++)
        free(layout->pieces[i].ids);
    free(layout->pieces);
}

/* A word's token begins with the space before it, so a space at the end of pinned text would become a token
 * of its own, which no word fits behind. It is left to the gap, to write with its first word. */
static char *without_last_spaces(const char *text)
{
    size_t size = strlen(text);
    while (size > 0 && text[size - 1] == ' ')
        size--;
    return strndup(text, size);
}

static enum status pin_text(const struct served_model *model, const char *field, const char *text, bool plain,
                            bool before_gap, struct piece *piece, struct error *error)
{
    char *cut = before_gap ? without_last_spaces(text) : NULL;
    if (before_gap && !cut)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request");
    enum status status =
        served_model_encode(model, field, cut ? cut : text, plain, &piece->ids, &piece->n, error);
    free(cut);
    if (status == STATUS_OK && piece->n > (size_t)model->config.max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: %zu tokens; the model allows %d positions in all", field, piece->n,
                         model->config.max_length);
    return status;
}

static enum status layout_prompt(const struct generate_options *options, const struct served_model *model,
                                 struct layout *layout, struct error *error)
{
    layout->n_pieces = 2;
    layout->pieces = calloc(2, sizeof *layout->pieces); /* the prompt, and the gap behind it */
    if (!layout->pieces)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request");
    return pin_text(model, "prompt", options->prompt ? options->prompt : "", options->plain_text, true,
                    &layout->pieces[0], error);
}

static enum status pin_ids(const struct served_model *model, const char *field,
                           const struct generate_segment *segment, struct piece *piece, struct error *error)
{
    const struct model_config *config = &model->config;
    if (segment->n_ids > (size_t)config->max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: %zu tokens; the model allows %d positions in all", field, segment->n_ids,
                         config->max_length);
    piece->ids = calloc(segment->n_ids + 1, sizeof *piece->ids);
    if (!piece->ids)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request");
    piece->n = segment->n_ids;
    for (size_t i = 0; i < segment->n_ids; i++) {
        if (segment->ids[i] >= (uint32_t)config->vocabulary)
            return error_set(error, STATUS_INVALID_ARGUMENT, "%s: id %u is not below the vocabulary's %d",
                             field, segment->ids[i], config->vocabulary);
        piece->ids[i] = (int32_t)segment->ids[i];
    }
    return STATUS_OK;
}

static bool is_gap(const struct generate_segment *segment)
{
    return !segment->text && !segment->ids;
}

static enum status layout_segment(const struct generate_segment *segment, size_t index, bool plain,
                                  bool before_gap, const struct served_model *model, struct piece *piece,
                                  struct error *error)
{
    char field[48];
    snprintf(field, sizeof field, "infill.segments[%zu]", index);
    if (segment->text)
        return pin_text(model, field, segment->text, plain, before_gap, piece, error);
    if (segment->ids)
        return pin_ids(model, field, segment, piece, error);
    if (segment->gap > (uint32_t)model->config.max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: a gap of %u; the model allows %d positions in all", field, segment->gap,
                         model->config.max_length);
    piece->n = segment->gap;
    return STATUS_OK;
}

static enum status layout_infill(const struct generate_options *options, const struct served_model *model,
                                 struct layout *layout, struct error *error)
{
    size_t most = 2 * (size_t)model->config.max_length + 1, n_gaps = 0;
    if (options->n_segments > most)
        return error_set(error, STATUS_INVALID_ARGUMENT, "infill.segments: %zu; at most %zu make sense",
                         options->n_segments, most);
    layout->pieces = calloc(options->n_segments + 1, sizeof *layout->pieces);
    if (!layout->pieces)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request");
    layout->n_pieces = options->n_segments;
    for (size_t i = 0; i < options->n_segments; i++) {
        bool before_gap = i + 1 < options->n_segments && is_gap(&options->segments[i + 1]);
        enum status status = layout_segment(&options->segments[i], i, options->plain_text, before_gap, model,
                                            &layout->pieces[i], error);
        if (status != STATUS_OK)
            return status;
        n_gaps += !layout->pieces[i].ids;
    }
    if (!n_gaps)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "infill: none of its %zu segments is a gap: nothing would be left to write",
                         options->n_segments);
    return STATUS_OK;
}

/* The sum of the pieces without the open gaps, and the number of open gaps. */
static size_t layout_sum(const struct layout *layout, size_t *n_open)
{
    size_t sum = 0;
    *n_open = 0;
    for (size_t i = 0; i < layout->n_pieces; i++) {
        sum += layout->pieces[i].n;
        *n_open += !layout->pieces[i].ids && !layout->pieces[i].n;
    }
    return sum;
}

/* The length where the client leaves it open: the trained one; where what is given does not fit into that,
 * what is given and the trained length together. */
static size_t default_length(size_t sum, size_t n_open, const struct model_config *config)
{
    size_t length = (size_t)config->trained_length;
    if (!n_open)
        return sum;
    if (sum + n_open > length)
        length += sum;
    return length < (size_t)config->max_length ? length : (size_t)config->max_length;
}

/* Finds the length, and checks that the pieces fit into it and leave something to write. */
static enum status settle_length(const struct generate_options *options, const struct model_config *config,
                                 const struct layout *layout, size_t *settled, struct error *error)
{
    const char *field = options->input == INPUT_INFILL ? "infill" : "prompt";
    size_t n_open, sum = layout_sum(layout, &n_open);
    size_t length = options->length_is_set ? options->length : default_length(sum, n_open, config);
    if (length > (size_t)config->max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: its parts add up to %zu; the model allows %d",
                         field, sum, config->max_length);
    if (!n_open && sum != length)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: its parts add up to %zu, but length is %zu",
                         field, sum, length);
    if (sum < length && sum + n_open > length)
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "%s: %zu gaps want a position each, and %zu positions are given; that does not fit into a "
            "length of %zu (at most %d)",
            field, n_open, sum, length, config->max_length);
    if (sum + n_open > length)
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "%s: %zu positions are given, which leaves nothing to write in a length of %zu (at most %d)",
            field, sum, length, config->max_length);
    *settled = length;
    return STATUS_OK;
}

/* Gives the open gaps their shares of the length. */
static void share_out(struct layout *layout, size_t length)
{
    size_t n_open, left = length - layout_sum(layout, &n_open), nth = 0;
    for (size_t i = 0; i < layout->n_pieces && n_open; i++) {
        struct piece *piece = &layout->pieces[i];
        if (!piece->ids && !piece->n) {
            piece->n = left / n_open + (nth < left % n_open);
            nth++;
        }
    }
}

static void place(const struct layout *layout, struct draft *draft)
{
    size_t position = 0;
    for (size_t i = 0; i < layout->n_pieces; i++) {
        const struct piece *piece = &layout->pieces[i];
        if (piece->ids)
            memcpy(draft->ids + position, piece->ids, piece->n * sizeof *piece->ids);
        else
            memset(draft->editable + position, 1, piece->n);
        position += piece->n;
    }
}

enum status layout_draft(const struct generate_options *options, const struct served_model *model,
                         struct draft *draft, struct error *error)
{
    struct layout layout = {0};
    size_t length = 0;
    enum status status = options->input == INPUT_INFILL ? layout_infill(options, model, &layout, error)
                                                        : layout_prompt(options, model, &layout, error);
    if (status == STATUS_OK)
        status = settle_length(options, &model->config, &layout, &length, error);
    if (status == STATUS_OK)
        status = draft_create(draft, length, error);
    if (status == STATUS_OK) {
        share_out(&layout, length);
        place(&layout, draft);
    }
    layout_release(&layout);
    return status;
}
