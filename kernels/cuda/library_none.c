#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/library.h"

/* A build without the vendor's library: every product is our own. */

void library_open(struct device *device)
{
    const char *wanted = getenv("MILLRACE_CUDA_MATMUL");
    if (wanted != NULL && strcmp(wanted, "own") != 0)
        failure_keep(&device->failure, STATUS_UNAVAILABLE,
                     "MILLRACE_CUDA_MATMUL=%.32s: this build has only \"own\"; unset it", wanted);
}

void library_close(struct device *device)
{
    (void)device;
}

struct library_choice *library_choose(struct device *device, const struct weight *weight)
{
    (void)device, (void)weight;
    return NULL;
}

void library_choice_free(struct library_choice *choice)
{
    (void)choice;
}

int library_padded_rows(const struct matmul *op)
{
    return op->rows;
}

bool library_run(struct device *device, const struct library_product *product)
{
    (void)device, (void)product;
    return false;
}
