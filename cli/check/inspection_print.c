#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check/inspection.h"
#include "common/model/layout.h"
#include "common/utf8.h"
#include "common/model/network.h"

static const char *const sharding_names[] = {[SHARDED_NOT] = "every rank",
                                             [SHARDED_OUTPUT] = "by row",
                                             [SHARDED_THRICE] = "by row",
                                             [SHARDED_INPUT] = "by column",
                                             [SHARDED_VOCABULARY] = "by vocabulary"};

/* "12.0 MB", into text[32]. */
static const char *bytes_text(uint64_t bytes, char text[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    int unit = 0;
    while (value >= 999.5 && unit < 4) {
        value /= 1000;
        unit++;
    }
    snprintf(text, 32, unit == 0 || value >= 99.5 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

/* "2,987,776", into text[32]. */
static const char *grouped_text(uint64_t number, char text[32])
{
    char digits[24];
    const int n = snprintf(digits, sizeof digits, "%" PRIu64, number);
    char *to = text;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

/* The number formats of the tensors: "F32", or "BF16 and F32". */
static const char *formats_text(const struct tensors *tensors, char text[32])
{
    bool used[DTYPE_BOOL + 1] = {false};
    for (int i = 0; i < tensors_count(tensors); i++)
        used[tensors_at(tensors, i)->dtype] = true;
    size_t n = 0;
    text[0] = '\0';
    for (int dtype = DTYPE_BOOL; dtype >= 0; dtype--)
        if (used[dtype] && n < 32)
            n += (size_t)snprintf(text + n, 32 - n, "%s%s", n ? " and " : "", dtype_name((enum dtype)dtype));
    return text;
}

static void print_source(const struct model_config *config, FILE *out)
{
    fprintf(out, "  source        %s", source_name(config->source));
    if (config->source == SOURCE_MASK)
        fprintf(out, " (token %d)", config->mask_token);
    if (network_of(config->architecture)->noise != NOISE_POLYNOMIAL)
        fprintf(out, ", %s noise\n", noise_name(network_of(config->architecture)->noise));
    else if (config->scheduler_exponent == 1)
        fprintf(out, ", κ(t) = t\n");
    else
        fprintf(out, ", κ(t) = t^%g\n", config->scheduler_exponent);
}

static void print_config(const struct model_config *config, FILE *out)
{
    char solvers[160];
    const struct network *network = network_of(config->architecture);
    fprintf(out, "  architecture  %s: %s\n", network->name, network->summary);
    print_source(config, out);
    fprintf(out, "  shape         vocabulary %d, width %d, %d heads of %d, %d blocks, condition %d\n",
            config->vocabulary, config->hidden, config->n_heads, config->head_size, config->n_blocks,
            config->condition);
    fprintf(out, "  length        at most %d tokens, trained on %d\n", config->max_length,
            config->trained_length);
    fprintf(out, "  steps         %d unless asked otherwise, at most %d\n", config->default_steps,
            config->max_steps);
    fprintf(out, "  solver        %s unless asked otherwise; can use %s\n",
            solver_name(config->default_solver), network_solvers(network, solvers, sizeof solvers));
}

static void print_tokenizer(const struct inspection *inspection, FILE *out)
{
    if (inspection->n_tokens < 0)
        fprintf(out,
                "  tokenizer     none: only `millrace bench` and `millrace inspect` accept this directory\n");
    else
        fprintf(out, "  tokenizer     %d tokens\n", inspection->n_tokens);
}

static void print_ranks(const struct inspection *inspection, FILE *out)
{
    char largest[32], smallest[32], replicated[32];
    if (inspection->n_ranks == 1)
        return;
    bytes_text(inspection->smallest_rank_bytes, smallest);
    bytes_text(inspection->largest_rank_bytes, largest);
    const bool equal = strcmp(smallest, largest) == 0;
    fprintf(out, "  %2d ranks      %s%s%s of weights each, of which %s are the same on every rank\n",
            inspection->n_ranks, equal ? "" : smallest, equal ? "" : " to ", largest,
            bytes_text(inspection->replicated_bytes, replicated));
}

/* What others wrote into the model's directory, without what could command a terminal. */
static void print_plain(const char *text, FILE *out)
{
    char *plain = strdup(text);
    if (!plain)
        return;
    utf8_make_printable(plain);
    fputs(plain, out);
    free(plain);
}

/* The origin's members, one a line. */
static void print_origin(const char *origin_json, FILE *out)
{
    json_t *origin = json_loads(origin_json ? origin_json : "{}", JSON_DECODE_ANY, NULL), *value;
    const char *key, *label = "origin";
    json_object_foreach(origin, key, value)
    {
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        fprintf(out, "  %-12s  ", label);
        print_plain(key, out);
        fputs(": ", out);
        print_plain(text ? text : json_string_value(value), out);
        fputc('\n', out);
        free(text);
        label = "";
    }
    json_decref(origin);
}

static void print_tensors(const struct inspection *inspection, FILE *out)
{
    char shape[64], bytes[32];
    fprintf(out, "\n  %-40s %-5s %-14s %9s  %s\n", "tensor", "dtype", "shape", "size", "held");
    for (int i = 0; i < model_layout_count(&inspection->config); i++) {
        struct model_tensor wanted;
        model_layout_at(&inspection->config, i, &wanted);
        const struct tensor *found = tensors_find(inspection->tensors, wanted.name);
        if (found)
            fprintf(out, "  %-40s %-5s %-14s %9s  %s\n", found->name, dtype_name(found->dtype),
                    shape_text(found->shape, found->n_dimensions, shape, sizeof shape),
                    bytes_text(found->size_bytes, bytes), sharding_names[wanted.sharding]);
    }
}

void inspection_print(const struct inspection *inspection, bool with_tensors, FILE *out)
{
    char parameters[32], bytes[32], formats[32];
    const int n_files = tensors_file_count(inspection->tensors);
    print_plain(inspection->config.name, out);
    fprintf(out, " (%s)\n", inspection->directory);
    print_config(&inspection->config, out);
    fprintf(out, "  parameters    %s\n",
            grouped_text(model_config_parameters(&inspection->config), parameters));
    fprintf(out, "  weights       %s, %s, %d file%s\n",
            bytes_text(tensors_file_bytes(inspection->tensors), bytes),
            formats_text(inspection->tensors, formats), n_files, n_files == 1 ? "" : "s");
    print_ranks(inspection, out);
    print_tokenizer(inspection, out);
    fprintf(out, "  fingerprint   %s\n", inspection->fingerprint);
    print_origin(inspection->origin, out);
    if (with_tensors)
        print_tensors(inspection, out);
}

static json_t *tensors_json(const struct inspection *inspection)
{
    json_t *list = json_array();
    for (int i = 0; i < model_layout_count(&inspection->config); i++) {
        struct model_tensor wanted;
        model_layout_at(&inspection->config, i, &wanted);
        const struct tensor *found = tensors_find(inspection->tensors, wanted.name);
        if (!found)
            continue;
        json_t *shape = json_array();
        for (int j = 0; j < found->n_dimensions; j++)
            json_array_append_new(shape, json_integer(found->shape[j]));
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:I, s:s}", "name", found->name, "dtype",
                                              dtype_name(found->dtype), "shape", shape, "bytes",
                                              (json_int_t)found->size_bytes, "held",
                                              sharding_names[wanted.sharding]));
    }
    return list;
}

static json_t *inspection_json(const struct inspection *inspection)
{
    const struct model_config *config = &inspection->config;
    return json_pack("{s:s, s:s, s:s, s:s, s:f, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, "
                     "s:I, s:I, s:i, s:s, s:{s:i, s:I, s:I, s:I}}",
                     "directory", inspection->directory, "name", config->name,                      //
                     "architecture", architecture_name(config->architecture),                       //
                     "source", source_name(config->source), "exponent", config->scheduler_exponent, //
                     "vocabulary", config->vocabulary, "hidden", config->hidden,                    //
                     "heads", config->n_heads, "head_size", config->head_size,                      //
                     "blocks", config->n_blocks, "condition", config->condition,                    //
                     "trained_length", config->trained_length, "max_length", config->max_length,    //
                     "default_steps", config->default_steps, "max_steps", config->max_steps,        //
                     "default_solver", solver_name(config->default_solver),                         //
                     "parameters", (json_int_t)model_config_parameters(config),                     //
                     "file_bytes", (json_int_t)tensors_file_bytes(inspection->tensors),             //
                     "files", tensors_file_count(inspection->tensors),                              //
                     "fingerprint", inspection->fingerprint,                                        //
                     "tensor_parallel", "ranks", inspection->n_ranks,                               //
                     "largest_rank_bytes", (json_int_t)inspection->largest_rank_bytes,              //
                     "smallest_rank_bytes", (json_int_t)inspection->smallest_rank_bytes,            //
                     "replicated_bytes", (json_int_t)inspection->replicated_bytes);
}

enum status inspection_print_json(const struct inspection *inspection, bool with_tensors, FILE *out,
                                  struct error *error)
{
    json_t *object = inspection_json(inspection);
    if (!object)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    json_object_set_new(object, "tokens",
                        inspection->n_tokens < 0 ? json_null() : json_integer(inspection->n_tokens));
    json_object_set_new(object, "origin",
                        inspection->origin ? json_loads(inspection->origin, JSON_DECODE_ANY, NULL)
                                           : json_null());
    if (with_tensors)
        json_object_set_new(object, "tensors", tensors_json(inspection));
    json_dumpf(object, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(object);
    return STATUS_OK;
}
