#include "common/model/config.h"
#include "common/foreign_file.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/config_extras.h"
#include "common/model/file.h"
#include "common/model/network.h"
#include "common/model/published.h"

static const char format_name[] = "millrace-1";
static const char *const source_names[] = {[SOURCE_UNIFORM] = "uniform", [SOURCE_MASK] = "mask"};

/* The whole numbers, with their limits: far above any model that exists, low enough that no product of shapes
 * overflows 63 bits. */
static const struct integer_key {
    const char *key;
    size_t offset; /* of the int in struct model_config */
    int least, most;
} integer_keys[] = {
    {"vocabulary", offsetof(struct model_config, vocabulary), 2, 1 << 20},
    {"hidden", offsetof(struct model_config, hidden), 2, 16384},
    {"heads", offsetof(struct model_config, n_heads), 1, 1024},
    {"blocks", offsetof(struct model_config, n_blocks), 1, 1024},
    {"condition", offsetof(struct model_config, condition), 1, 16384},
    {"trained_length", offsetof(struct model_config, trained_length), 1, 65536},
    {"max_length", offsetof(struct model_config, max_length), 1, 65536},
    {"default_steps", offsetof(struct model_config, default_steps), 1, 65536},
    {"max_steps", offsetof(struct model_config, max_steps), 1, 65536},
};
enum { N_INTEGER_KEYS = sizeof integer_keys / sizeof *integer_keys };
static const double most_exponent = 64;

const char *source_name(enum source source)
{
    return source_names[source];
}

static int *integer_field(struct model_config *config, const struct integer_key *key)
{
    return (int *)((char *)config + key->offset);
}

static enum status check_integer(const struct integer_key *key, int64_t value, struct error *error)
{
    if (value >= key->least && value <= key->most)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT, "\"%s\" is %lld; it must be %d to %d", key->key,
                     (long long)value, key->least, key->most);
}

static enum status check_name(const char *name, struct error *error)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = strlen(name);
    if (length > 0 && length < MODEL_NAME_MAX && name[0] != '.' && strspn(name, allowed) == length)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "\"name\" must be 1 to %d of A-Z a-z 0-9 . _ -, not beginning with a dot",
                     MODEL_NAME_MAX - 1);
}

static enum status check_heads(const struct model_config *config, struct error *error)
{
    if (config->hidden % config->n_heads)
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"hidden\" is %d, not a multiple of \"heads\" (%d)",
                         config->hidden, config->n_heads);
    if (config->hidden / config->n_heads % 2)
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "\"hidden\" / \"heads\" is %d; the head size must be even (rotary embedding pairs its halves)",
            config->hidden / config->n_heads);
    return STATUS_OK;
}

/* The source and the solver must be ones that the network has; no solver means its own. */
static enum status check_network(struct model_config *config, struct error *error)
{
    char solvers[160];
    const struct network *network = network_of(config->architecture);
    const bool is_mask = config->source == SOURCE_MASK;
    if (network->sources != SOURCES_BOTH && is_mask != (network->sources == SOURCES_MASK))
        return error_set(
            error, STATUS_INVALID_ARGUMENT, "\"source\" is \"%s\"; texts of a %s model start from %s",
            source_name(config->source), network->name, is_mask ? "uniform noise" : "the mask token");
    if (config->default_solver == SOLVER_CUMULATIVE && !network_has_solver(network, SOLVER_CUMULATIVE))
        config->default_solver = network->default_solver;
    if (!network_has_solver(network, config->default_solver))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "\"default_solver\" is \"%s\"; a %s model can use %s",
                         solver_name(config->default_solver), network->name,
                         network_solvers(network, solvers, sizeof solvers));
    return config_extras_check(config, error);
}

enum status model_config_complete(struct model_config *config, struct error *error)
{
    enum status status = check_name(config->name, error);
    for (int i = 0; i < N_INTEGER_KEYS && !status; i++)
        status = check_integer(&integer_keys[i], *integer_field(config, &integer_keys[i]), error);
    if (!status)
        status = check_heads(config, error);
    if (status)
        return status;
    status = check_network(config, error);
    if (status)
        return status;
    if (!(config->scheduler_exponent > 0 && config->scheduler_exponent <= most_exponent))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "\"scheduler\": \"exponent\" is %g; it must be above 0, at most %g",
                         config->scheduler_exponent, most_exponent);
    if (config->default_steps > config->max_steps)
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"default_steps\" is %d, above \"max_steps\" (%d)",
                         config->default_steps, config->max_steps);
    config->n_ids = config->vocabulary + (config->source == SOURCE_MASK);
    config->mask_token = config->source == SOURCE_MASK ? config->vocabulary : -1;
    config->head_size = config->hidden / config->n_heads;
    return STATUS_OK;
}

/* The value of `key`, which must be there and of this type ("a string"). */
static enum status get(json_t *object, const char *key, bool right_type(const json_t *), const char *type,
                       json_t **value, struct error *error)
{
    json_t *found = json_object_get(object, key);
    if (!found)
        return error_set(error, STATUS_INVALID_ARGUMENT, "key \"%s\" is missing; it must be %s", key, type);
    if (!right_type(found))
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"%s\" must be %s", key, type);
    *value = found;
    return STATUS_OK;
}

static bool is_string(const json_t *value)
{
    return json_is_string(value);
}
static bool is_integer(const json_t *value)
{
    return json_is_integer(value);
}
static bool is_number(const json_t *value)
{
    return json_is_number(value);
}
static bool is_object(const json_t *value)
{
    return json_is_object(value);
}

static enum status read_integers(json_t *object, struct model_config *config, struct error *error)
{
    for (int i = 0; i < N_INTEGER_KEYS; i++) {
        const struct integer_key *key = &integer_keys[i];
        json_t *value = NULL;
        enum status status = get(object, key->key, is_integer, "a whole number", &value, error);
        if (!status)
            status = check_integer(key, json_integer_value(value), error);
        if (status)
            return status;
        *integer_field(config, key) = (int)json_integer_value(value);
    }
    return STATUS_OK;
}

/* Index of the string at `key` among `n` choices. */
static enum status read_choice(json_t *object, const char *key, const char *const *names, int n, int *choice,
                               struct error *error)
{
    char all[256];
    json_t *value = NULL;
    enum status status = get(object, key, is_string, "a string", &value, error);
    if (status)
        return status;
    for (*choice = 0; *choice < n; ++*choice)
        if (strcmp(json_string_value(value), names[*choice]) == 0)
            return STATUS_OK;
    size_t used = 0;
    for (int i = 0; i < n && used < sizeof all; i++)
        used += (size_t)snprintf(all + used, sizeof all - used, "%s\"%s\"",
                                 i == 0      ? ""
                                 : i + 1 < n ? ", "
                                             : " or ",
                                 names[i]);
    return error_set(error, STATUS_INVALID_ARGUMENT, "\"%s\" is \"%.64s\"; it must be %s", key,
                     json_string_value(value), all);
}

static enum status read_architecture(json_t *object, int *architecture, struct error *error)
{
    const char *names[ARCHITECTURE_COUNT];
    for (int i = 0; i < ARCHITECTURE_COUNT; i++)
        names[i] = architecture_name((enum architecture)i);
    return read_choice(object, "architecture", names, ARCHITECTURE_COUNT, architecture, error);
}

static enum status read_name(json_t *object, struct model_config *config, struct error *error)
{
    json_t *value = NULL;
    enum status status = get(object, "name", is_string, "a string", &value, error);
    if (!status)
        status = check_name(json_string_value(value), error);
    if (!status)
        memcpy(config->name, json_string_value(value), json_string_length(value) + 1);
    return status;
}

/* Refuses a key that is not in the list, which ends with NULL, and is none of the network's own. */
static enum status check_keys(json_t *object, const char *const *known, const enum architecture *network,
                              const char *of, struct error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        const char *const *same = known;
        while (*same && strcmp(*same, key) != 0)
            same++;
        if (!*same && !(network && config_extra_is_known(*network, key)))
            return error_set(
                error, STATUS_INVALID_ARGUMENT,
                "key \"%.64s\" of %s is unknown; remove it or correct its spelling (notes go into "
                "\"origin\")",
                key, of);
    }
    return STATUS_OK;
}

/* Another type has other keys, so it is named before they are. */
static enum status check_noise(json_t *scheduler, const struct model_config *config, enum noise noise,
                               struct error *error)
{
    json_t *type = json_object_get(scheduler, "type");
    if (!is_string(type) || strcmp(json_string_value(type), noise_name(noise)) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "\"scheduler\": \"type\" is \"%.64s\"; only \"%s\" is known of a %s model",
                     json_string_value(type), noise_name(noise), architecture_name(config->architecture));
}

/* A polynomial has an exponent; the others have nothing to choose. */
static enum status read_scheduler(json_t *object, struct model_config *config, struct error *error)
{
    static const char *const polynomial[] = {"type", "exponent", NULL}, *const others[] = {"type", NULL};
    const enum noise noise = network_of(config->architecture)->noise;
    const char *const *known = noise == NOISE_POLYNOMIAL ? polynomial : others;
    json_t *scheduler = NULL, *type = NULL, *exponent = NULL;
    enum status status = get(object, "scheduler", is_object, "an object", &scheduler, error);
    if (!status)
        status = check_noise(scheduler, config, noise, error);
    if (!status)
        status = check_keys(scheduler, known, NULL, "\"scheduler\"", error);
    if (!status)
        status = get(scheduler, "type", is_string, "a string", &type, error);
    if (!status && noise == NOISE_POLYNOMIAL)
        status = get(scheduler, "exponent", is_number, "a number", &exponent, error);
    if (status)
        return status;
    config->scheduler_exponent = exponent ? json_number_value(exponent) : 1;
    return STATUS_OK;
}

static enum status read_solver(json_t *object, struct model_config *config, struct error *error)
{
    char solvers[160];
    json_t *value = NULL;
    config->default_solver = network_of(config->architecture)->default_solver;
    if (!json_object_get(object, "default_solver"))
        return STATUS_OK;
    enum status status = get(object, "default_solver", is_string, "a string", &value, error);
    if (status || solver_find(json_string_value(value), &config->default_solver))
        return status;
    return error_set(error, STATUS_INVALID_ARGUMENT, "\"default_solver\" is \"%.64s\"; it must be %s",
                     json_string_value(value),
                     network_solvers(network_of(config->architecture), solvers, sizeof solvers));
}

static enum status read_format(json_t *object, struct error *error)
{
    json_t *value = NULL;
    enum status status = get(object, "format", is_string, "a string", &value, error);
    if (!status && strcmp(json_string_value(value), format_name) != 0)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "\"format\" is \"%.64s\"; this version reads \"%s\". Convert the model again",
                         json_string_value(value), format_name);
    return status;
}

static enum status read_config(json_t *object, struct model_config *config, struct error *error)
{
    static const char *const known[] = {
        "format",         "name",       "architecture",  "vocabulary", "hidden",
        "heads",          "blocks",     "condition",     "source",     "scheduler",
        "trained_length", "max_length", "default_steps", "max_steps",  "default_solver",
        "origin",         NULL};
    int architecture = 0, source = 0;
    memset(config, 0, sizeof *config);
    enum status status = read_format(object, error); /* first: a later format may have other keys */
    if (!status)
        status = read_architecture(object, &architecture, error);
    config->architecture = (enum architecture)architecture;
    if (!status)
        status = check_keys(object, known, &config->architecture, "the config", error);
    if (!status)
        status = read_name(object, config, error);
    if (!status)
        status = read_choice(object, "source", source_names, 2, &source, error);
    if (!status)
        status = read_integers(object, config, error);
    if (!status)
        status = read_scheduler(object, config, error);
    if (!status)
        status = read_solver(object, config, error);
    if (!status)
        status = config_extras_read(object, config, error);
    config->source = (enum source)source;
    return status;
}

void model_name_of(const char *directory, const char *otherwise, char name[MODEL_NAME_MAX])
{
    char *whole = realpath(directory, NULL);
    const char *from = whole ? whole : directory, *slash = strrchr(from, '/');
    snprintf(name, MODEL_NAME_MAX, "%s", slash ? slash + 1 : from);
    if (check_name(name, NULL) != STATUS_OK)
        snprintf(name, MODEL_NAME_MAX, "%s", otherwise);
    free(whole);
}

/* `directory` names a published model, whose config has no name; NULL: it is called after its architecture.
 */
static enum status parse(const char *json, size_t size_bytes, const char *where, const char *directory,
                         struct model_config *config, struct error *error)
{
    if (size_bytes > MODEL_CONFIG_BYTES_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: %zu bytes; a config has at most %d", where,
                         size_bytes, MODEL_CONFIG_BYTES_MAX);
    json_error_t why;
    json_t *object = json_loadb(json, size_bytes, JSON_REJECT_DUPLICATES, &why);
    const char *instead = object ? NULL : foreign_file(json, size_bytes);
    if (instead)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s %s", where, instead);
    if (!object)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: line %d, column %d: %s", where, why.line,
                         why.column, why.text);
    struct model_config read;
    enum status status = STATUS_OK;
    if (!json_is_object(object))
        status = error_set(error, STATUS_INVALID_ARGUMENT, "must be a JSON object");
    const bool published = !status && published_is(object);
    if (!status)
        status = published ? published_read(object, &read, error) : read_config(object, &read, error);
    if (!status)
        status = model_config_complete(&read, error);
    if (!status && published && directory)
        model_name_of(directory, architecture_name(read.architecture), read.name);
    json_decref(object);
    if (status) {
        error_prefix(error, "%s", where);
        return status;
    }
    *config = read;
    return STATUS_OK;
}

enum status model_config_parse(const char *json, size_t size_bytes, const char *where,
                               struct model_config *config, struct error *error)
{
    return parse(json, size_bytes, where, NULL, config, error);
}

/* Reads DIRECTORY/config.json into memory; *path is its name. Both malloc'ed. */
static enum status load(const char *directory, char **path, char **json, size_t *size_bytes,
                        struct error *error)
{
    enum status status = model_directory_check(directory, error);
    if (status)
        return status;
    *path = model_path(directory, "config.json");
    if (!*path)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory", directory);
    status = file_read(*path, FILE_REGULAR, MODEL_CONFIG_BYTES_MAX, json, size_bytes, error);
    if (status) {
        free(*path);
        *path = NULL;
    }
    return status;
}

enum status model_config_read(const char *directory, struct model_config *config, struct error *error)
{
    char *path, *json;
    size_t size_bytes;
    enum status status = load(directory, &path, &json, &size_bytes, error);
    if (status)
        return status;
    status = parse(json, size_bytes, path, directory, config, error);
    free(json);
    free(path);
    return status;
}

char *model_config_origin(const char *directory)
{
    char *path, *json;
    size_t size_bytes;
    if (load(directory, &path, &json, &size_bytes, NULL))
        return NULL;
    json_t *object = json_loadb(json, size_bytes, JSON_REJECT_DUPLICATES, NULL);
    json_t *origin = json_object_get(object, "origin");
    char *text = origin ? json_dumps(origin, JSON_INDENT(2) | JSON_ENCODE_ANY) : NULL;
    json_decref(object);
    free(json);
    free(path);
    return text;
}
