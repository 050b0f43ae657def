#include "common/rpc/reflection.h"

#include <stdlib.h>
#include <string.h>

#include "proto/descriptor_index.pb-c.h"
#include "proto/reflection.pb-c.h"

/* Immutable once created. */
struct reflection {
    const char *const *services;
    Millrace__Descriptor__FileSet *set; /* the raw bytes of each file */
    Millrace__Descriptor__File **files; /* [set->n_file], what they define */
};

static void free_message(void *message)
{
    protobuf_c_message_free_unpacked(message, NULL);
}

void reflection_free(struct reflection *reflection)
{
    if (!reflection)
        return;
    for (size_t i = 0; reflection->files && i < reflection->set->n_file; i++)
        free_message(reflection->files[i]);
    free(reflection->files);
    free_message(reflection->set);
    free(reflection);
}

static enum status read_files(struct reflection *reflection, struct error *error)
{
    Millrace__Descriptor__FileSet *set = reflection->set;
    reflection->files = calloc(set->n_file + 1, sizeof *reflection->files);
    if (!reflection->files)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu descriptors", set->n_file);
    for (size_t i = 0; i < set->n_file; i++) {
        reflection->files[i] = millrace__descriptor__file__unpack(NULL, set->file[i].len, set->file[i].data);
        if (!reflection->files[i])
            return error_set(error, STATUS_INTERNAL, "descriptor %zu of %zu cannot be read", i, set->n_file);
    }
    return STATUS_OK;
}

enum status reflection_create(const void *descriptors, size_t size_bytes, const char *const *services,
                              struct reflection **created, struct error *error)
{
    struct reflection *reflection = calloc(1, sizeof *reflection);
    if (!reflection)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for descriptors");
    reflection->services = services;
    reflection->set = millrace__descriptor__file_set__unpack(NULL, size_bytes, descriptors);
    enum status status = reflection->set
                             ? read_files(reflection, error)
                             : error_set(error, STATUS_INTERNAL, "the set of descriptors cannot be read");
    if (status != STATUS_OK) {
        reflection_free(reflection);
        return status;
    }
    *created = reflection;
    return STATUS_OK;
}

/* ---- looking up; an index into the set, or -1 ---- */

static int find_file(const struct reflection *reflection, const char *name)
{
    for (size_t i = 0; i < reflection->set->n_file; i++) {
        if (!strcmp(reflection->files[i]->name, name))
            return (int)i;
    }
    return -1;
}

/* Is `symbol` PACKAGE.NAME itself or something inside it? */
static bool defines(const char *package, Millrace__Descriptor__Named *const *named, size_t n,
                    const char *symbol)
{
    size_t package_size = strlen(package);
    if (strncmp(symbol, package, package_size) || symbol[package_size] != '.')
        return false;
    const char *rest = symbol + package_size + 1;
    for (size_t i = 0; i < n; i++) {
        size_t size = strlen(named[i]->name);
        if (!strncmp(rest, named[i]->name, size) && (rest[size] == '\0' || rest[size] == '.'))
            return true;
    }
    return false;
}

static int find_symbol(const struct reflection *reflection, const char *symbol)
{
    for (size_t i = 0; i < reflection->set->n_file; i++) {
        const Millrace__Descriptor__File *file = reflection->files[i];
        if (defines(file->package, file->service, file->n_service, symbol) ||
            defines(file->package, file->message_type, file->n_message_type, symbol) ||
            defines(file->package, file->enum_type, file->n_enum_type, symbol))
            return (int)i;
    }
    return -1;
}

/* Marks a file and all that it imports. The set is small and imports have no circles. */
static void mark_with_imports(const struct reflection *reflection, int index, bool *wanted)
{
    if (index < 0 || wanted[index])
        return;
    wanted[index] = true;
    const Millrace__Descriptor__File *file = reflection->files[index];
    for (size_t i = 0; i < file->n_dependency; i++)
        mark_with_imports(reflection, find_file(reflection, file->dependency[i]), wanted);
}

/* ---- answers ---- */

static void answer(struct rpc_call *call, Grpc__Reflection__V1alpha__ServerReflectionRequest *request,
                   Grpc__Reflection__V1alpha__ServerReflectionResponse *response)
{
    response->valid_host = request->host;
    response->original_request = request;
    rpc_send(call, &response->base);
}

static void answer_error(struct rpc_call *call, Grpc__Reflection__V1alpha__ServerReflectionRequest *request,
                         enum status status, const char *text)
{
    Grpc__Reflection__V1alpha__ErrorResponse error = GRPC__REFLECTION__V1ALPHA__ERROR_RESPONSE__INIT;
    error.error_code = status;
    error.error_message = (char *)text;
    Grpc__Reflection__V1alpha__ServerReflectionResponse response =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__INIT;
    response.message_response_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    response.error_response = &error;
    answer(call, request, &response);
}

static const char no_memory[] = "no memory for the answer";

static void answer_files(struct rpc_call *call, Grpc__Reflection__V1alpha__ServerReflectionRequest *request,
                         ProtobufCBinaryData *files, size_t n_files)
{
    Grpc__Reflection__V1alpha__FileDescriptorResponse found =
        GRPC__REFLECTION__V1ALPHA__FILE_DESCRIPTOR_RESPONSE__INIT;
    found.n_file_descriptor_proto = n_files;
    found.file_descriptor_proto = files;
    Grpc__Reflection__V1alpha__ServerReflectionResponse response =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__INIT;
    response.message_response_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    response.file_descriptor_response = &found;
    answer(call, request, &response);
}

static void answer_file(const struct reflection *reflection, struct rpc_call *call,
                        Grpc__Reflection__V1alpha__ServerReflectionRequest *request, int index)
{
    if (index < 0) {
        answer_error(call, request, STATUS_NOT_FOUND, "the server has no file or symbol of that name");
        return;
    }
    size_t n_files = reflection->set->n_file, n_wanted = 0;
    bool *wanted = calloc(n_files, sizeof *wanted);
    ProtobufCBinaryData *files = calloc(n_files, sizeof *files);
    if (wanted && files) {
        mark_with_imports(reflection, index, wanted);
        for (size_t i = 0; i < n_files; i++) {
            if (wanted[i])
                files[n_wanted++] = reflection->set->file[i];
        }
        answer_files(call, request, files, n_wanted);
    } else {
        answer_error(call, request, STATUS_RESOURCE_EXHAUSTED, no_memory);
    }
    free(files);
    free(wanted);
}

static void answer_list(struct rpc_call *call, Grpc__Reflection__V1alpha__ServerReflectionRequest *request,
                        Grpc__Reflection__V1alpha__ServiceResponse **services, size_t n)
{
    Grpc__Reflection__V1alpha__ListServiceResponse list =
        GRPC__REFLECTION__V1ALPHA__LIST_SERVICE_RESPONSE__INIT;
    list.n_service = n;
    list.service = services;
    Grpc__Reflection__V1alpha__ServerReflectionResponse response =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__INIT;
    response.message_response_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    response.list_services_response = &list;
    answer(call, request, &response);
}

static void answer_services(const struct reflection *reflection, struct rpc_call *call,
                            Grpc__Reflection__V1alpha__ServerReflectionRequest *request)
{
    size_t n = 0;
    while (reflection->services[n])
        n++;
    Grpc__Reflection__V1alpha__ServiceResponse *services = calloc(n + 1, sizeof *services);
    Grpc__Reflection__V1alpha__ServiceResponse **pointers = calloc(n + 1, sizeof(void *));
    for (size_t i = 0; services && pointers && i < n; i++) {
        grpc__reflection__v1alpha__service_response__init(&services[i]);
        services[i].name = (char *)reflection->services[i];
        pointers[i] = &services[i];
    }
    if (services && pointers)
        answer_list(call, request, pointers, n);
    else
        answer_error(call, request, STATUS_RESOURCE_EXHAUSTED, no_memory);
    free(pointers);
    free(services);
}

/* ---- the call ---- */

static void on_call(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)call, (void)request, (void)context; /* the questions come as messages */
}

static void on_message(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    const struct reflection *reflection = context;
    Grpc__Reflection__V1alpha__ServerReflectionRequest *request =
        (Grpc__Reflection__V1alpha__ServerReflectionRequest *)message;
    if (!message) {
        rpc_finish(call, STATUS_OK, NULL);
        return;
    }
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        answer_services(reflection, call, request);
        break;
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        answer_file(reflection, call, request, find_file(reflection, request->file_by_filename));
        break;
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        answer_file(reflection, call, request, find_symbol(reflection, request->file_containing_symbol));
        break;
    default:
        answer_error(call, request, STATUS_NOT_FOUND, "proto3 messages have no extensions");
    }
}

struct rpc_service reflection_service(struct reflection *reflection)
{
    static const struct rpc_method methods[] = {
        {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", RPC_BIDI,
         &grpc__reflection__v1alpha__server_reflection_request__descriptor, on_call, on_message, NULL,
         RPC_SCOPES_ALL},
        {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", RPC_BIDI,
         &grpc__reflection__v1alpha__server_reflection_request__descriptor, on_call, on_message, NULL,
         RPC_SCOPES_ALL},
        {0},
    };
    return (struct rpc_service){"grpc.reflection.v1alpha.ServerReflection", methods, reflection};
}
