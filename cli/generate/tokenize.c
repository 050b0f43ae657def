/* `millrace tokenize`: text to ids and pieces, asked of a cluster or done here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/cluster/ask.h"
#include "cli/cluster/connection.h"
#include "cli/generate/input.h"
#include "cli/terminal/json_output.h"
#include "cli/places.h"
#include "cli/terminal/view.h"
#include "common/model/config.h"
#include "common/tokenizer/tokenizer.h"

enum { TIMEOUT_S = 30, VOCABULARY_MAX = 1 << 20 };

struct tokenize_settings {
    const char *file;
    bool ids_only, json, plain_text;
    struct connection_choice cluster;
};

static enum status print_json(const Millrace__V1__TokenizeResponse *tokens, struct error *error)
{
    json_t *ids = json_array();
    for (size_t i = 0; ids && i < tokens->n_ids; i++)
        json_array_append_new(ids, json_integer(tokens->ids[i]));
    json_t *object = json_pack("{s:o}", "ids", ids);
    json_add_pieces(object, tokens->pieces, tokens->n_pieces);
    return json_print(object, 2, stdout, error);
}

/* A piece in quotes, with its line feeds as \n, so that every token has one line. */
static void print_piece(const ProtobufCBinaryData *piece)
{
    const char *bytes = (const char *)piece->data;
    putchar('"');
    for (size_t at = 0; at < piece->len;) {
        size_t run = at;
        while (run < piece->len && bytes[run] != '\n')
            run++;
        view_print_plain(bytes + at, run - at, stdout);
        if (run < piece->len)
            fputs("\\n", stdout);
        at = run + 1;
    }
    puts("\"");
}

static enum status print_tokens(const struct tokenize_settings *settings,
                                const Millrace__V1__TokenizeResponse *tokens, struct error *error)
{
    if (tokens->n_pieces != tokens->n_ids)
        return error_set(error, STATUS_DATA_LOSS, "the answer has %zu ids and %zu pieces", tokens->n_ids,
                         tokens->n_pieces);
    if (settings->json)
        return print_json(tokens, error);
    for (size_t i = 0; i < tokens->n_ids; i++) {
        if (settings->ids_only) {
            printf("%s%u", i ? " " : "", tokens->ids[i]);
        } else {
            printf("%7u  ", tokens->ids[i]);
            print_piece(&tokens->pieces[i]);
        }
    }
    if (settings->ids_only)
        putchar('\n');
    return fflush(stdout) == 0 ? STATUS_OK
                               : error_set(error, STATUS_UNKNOWN, "standard output cannot be written");
}

static enum status ask_cluster(const struct tokenize_settings *settings, char *text, struct error *error)
{
    struct connection connection;
    ProtobufCMessage *answer = NULL;
    Millrace__V1__TokenizeRequest request = MILLRACE__V1__TOKENIZE_REQUEST__INIT;
    request.text = text;
    request.plain_text = settings->plain_text;
    enum status status =
        connection_open(&connection, settings->cluster.endpoint, &settings->cluster.security, error);
    if (status != STATUS_OK)
        return status;
    status = ask(connection.channel, "/millrace.v1.Millrace/Tokenize", &request.base,
                 &millrace__v1__tokenize_response__descriptor, TIMEOUT_S, &answer, error);
    if (status == STATUS_OK)
        status = print_tokens(settings, (const Millrace__V1__TokenizeResponse *)answer, error);
    if (answer)
        protobuf_c_message_free_unpacked(answer, NULL);
    connection_close(&connection);
    return status;
}

/* The local tokenizer's answer in the shape of the cluster's, so that both are printed by the same code. */
static enum status print_local(const struct tokenize_settings *settings, const struct tokenizer *tokenizer,
                               const int32_t *ids, size_t n_ids, struct error *error)
{
    Millrace__V1__TokenizeResponse tokens = MILLRACE__V1__TOKENIZE_RESPONSE__INIT;
    uint32_t *plain_ids = calloc(n_ids + 1, sizeof *plain_ids);
    ProtobufCBinaryData *pieces = calloc(n_ids + 1, sizeof *pieces);
    enum status status = STATUS_OK;
    if (!plain_ids || !pieces)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu tokens", n_ids);
    for (size_t i = 0; status == STATUS_OK && i < n_ids; i++) {
        struct token_piece piece = tokenizer_piece(tokenizer, ids[i]);
        plain_ids[i] = (uint32_t)ids[i];
        pieces[i] = (ProtobufCBinaryData){piece.size_bytes, (uint8_t *)(uintptr_t)piece.bytes};
    }
    tokens.ids = plain_ids;
    tokens.pieces = pieces;
    tokens.n_ids = tokens.n_pieces = n_ids;
    if (status == STATUS_OK)
        status = print_tokens(settings, &tokens, error);
    free(plain_ids);
    free(pieces);
    return status;
}

static enum status tokenize_here(const struct tokenize_settings *settings, const char *text,
                                 size_t size_bytes, struct error *error)
{
    char model[PATH_MAX];
    struct model_config config;
    struct tokenizer *tokenizer = NULL;
    int32_t *ids = NULL;
    size_t n_ids = 0;
    enum status status = place_of_model(settings->cluster.model_directory, model, error);
    if (status == STATUS_OK) /* a network that is not known here may have a tokenizer that is */
        status = tokenizer_open(
            model, model_config_read(model, &config, NULL) == STATUS_OK ? config.vocabulary : VOCABULARY_MAX,
            &tokenizer, error);
    if (status == STATUS_OK)
        status = (settings->plain_text ? tokenizer_encode_ordinary
                                       : tokenizer_encode)(tokenizer, text, size_bytes, &ids, &n_ids, error);
    if (status == STATUS_OK)
        status = print_local(settings, tokenizer, ids, n_ids, error);
    free(ids);
    tokenizer_free(tokenizer);
    return status;
}

static enum status tokenize(const struct tokenize_settings *settings, char *text, size_t size_bytes,
                            struct error *error)
{
    return connection_choice_runs(&settings->cluster) ? ask_cluster(settings, text, error)
                                                      : tokenize_here(settings, text, size_bytes, error);
}

int tokenize_main(int argc, char **argv)
{
    struct tokenize_settings s;
    const struct option_row rows[] = {
        {"file", 'f', OPTION_TEXT, "FILE", NULL, NULL, 0, 0,
         "Read the text from FILE, or from standard input (-). A final line break and a byte order mark, "
         "here and there, are "
         "left out.",
         &s.file, NULL},
        {"plain-text", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
         "Take special tokens that the text spells out (<|endoftext|>) as ordinary text.", &s.plain_text,
         NULL},
        {"ids", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Print only the ids, on one line.", &s.ids_only,
         NULL},
        {"json", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
         "Print one JSON object: ids and pieces, and in hexadecimal the bytes of pieces that are no whole "
         "characters.",
         &s.json, NULL},
        CONNECTION_CHOICE_ROWS(
            s.cluster, "Ask the coordinator of a running cluster.",
            "Use the tokenizer.json in DIR, without a cluster, even where MILLRACE_ENDPOINT names one."),
        {NULL},
    };
    const struct option_table table = {
        .program = "millrace tokenize",
        .summary = "Shows the tokens that a text becomes. The text is the argument, or --file, or standard "
                   "input. A running "
                   "cluster is asked; where there is none, the tokenizer of MILLRACE_MODEL or of the "
                   "demonstration model "
                   "is used.",
        .operands = "[TEXT]",
        .examples = "millrace tokenize \"Once upon a time\"\nmillrace tokenize --ids --model-dir models/mine "
                    "< book.txt",
        .rows = rows,
        .max_operands = 1,
    };
    char **operands, *text = NULL;
    int n_operands;
    size_t size;
    struct error error;
    int code = command_options(&table, argc, argv, &operands, &n_operands);
    if (code >= 0)
        return code;
    if (connection_choice_check(&s.cluster, &error) != STATUS_OK ||
        input_read(n_operands ? operands[0] : NULL, s.file, &text, &size, &error) != STATUS_OK)
        return command_refuse(table.program, &error);
    code = tokenize(&s, text, size, &error) == STATUS_OK ? EXIT_CODE_OK : command_fail(table.program, &error);
    free(text);
    return code;
}
