#include "kernels/precision.h"

#include <string.h>

static const char *const texts[] = {[PRECISION_AUTO] = "auto",
                                    [PRECISION_F32] = "f32",
                                    [PRECISION_BF16] = "bf16",
                                    [PRECISION_FP8] = "fp8",
                                    [PRECISION_INT8] = "int8"};
enum { N_PRECISIONS = sizeof texts / sizeof *texts };

const char *precision_text(enum precision precision)
{
    return texts[precision];
}

enum status precision_parse(const char *text, enum precision *precision, struct error *error)
{
    for (int i = 0; i < N_PRECISIONS; i++) {
        if (strcmp(text, texts[i]) == 0) {
            *precision = (enum precision)i;
            return STATUS_OK;
        }
    }
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "--precision: \"%.32s\" is none of auto, f32, bf16, int8, fp8", text);
}

enum precision precision_on(const struct backend *backend, enum precision precision)
{
    if (precision != PRECISION_AUTO)
        return precision;
    return backend->on_host ? PRECISION_F32 : PRECISION_BF16;
}
