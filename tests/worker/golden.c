#include "tests/worker/golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/verify/golden_model.h"

const char *golden_directory(void)
{
    static char path[4096];
    const char *shared = getenv("MILLRACE_SHARED");
    snprintf(path, sizeof path, "%s/golden/public", shared ? shared : "");
    if (access(path, R_OK) != 0) {
        fprintf(stderr, "skipped: the golden vectors are not here (MILLRACE_SHARED=%s)\n",
                shared ? shared : "");
        _exit(77); /* CTest shows it as skipped, which is what it is */
    }
    return path;
}

void golden_model(struct model *model, const char *name, double exponent, struct collective *collective)
{
    char weights[128];
    struct error error;
    const char *backend = getenv("MILLRACE_TEST_BACKEND");
    struct golden golden = {.directory = golden_directory(),
                            .backend = backend ? backend : "cpu",
                            .precision = PRECISION_F32,
                            .gpu = -1,
                            .n_threads = 1,
                            .collective = collective};
    snprintf(weights, sizeof weights, "weights_%s.safetensors", name);
    enum status status = golden_open(&golden, &error);
    const char *entry = status == STATUS_OK ? golden_model_of(&golden, weights) : NULL;
    if (status == STATUS_OK && !entry)
        status = error_set(&error, STATUS_NOT_FOUND, "manifest.json has no model with it");
    if (status == STATUS_OK)
        status =
            golden_model_open(&golden, entry, weights, (struct golden_load){6, 16, exponent}, model, &error);
    if (status != STATUS_OK) {
        fprintf(stderr, "golden vectors: %s: %s\n", weights, error.text);
        abort();
    }
    golden_close(&golden);
}
