/*
 * One fuzz input: bytes that are read as the body of POST /v1/completions. What is accepted must hold
 * together: as many choices as it says, and options of which each makes a request or is refused with a
 * sentence that names a field of the body. Runs under libFuzzer (tests/support/fuzz_entry.c) and in the
 * bounded run of test_completions_fuzz.c.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/http/completions_body.h"
#include "coordinator/request/request.h"
#include "tests/coordinator/request/fixture.h"

int fuzz_completions(const uint8_t *data, size_t size);

static const struct served_model *demonstration_model(void)
{
    static struct served_model model;
    static bool is_open;
    if (!is_open)
        open_demonstration_model(&model);
    is_open = true;
    return &model;
}

static void check_choice(const struct completions_body *body, size_t index)
{
    struct completions_choice_options made;
    struct request *request = NULL;
    struct error error = {STATUS_OK, ""};
    completions_body_options(body, index, &made);
    if (made.options.seed != body->seed + index || !made.options.n_segments)
        abort();
    enum status status = request_create(&made.options, demonstration_model(), &request, &error);
    if (status != STATUS_OK)
        completions_body_rename(body, &error);
    if (status != STATUS_OK && (!*error.text || !strncmp(error.text, "infill", 6)))
        abort();
    request_free(request);
}

int fuzz_completions(const uint8_t *data, size_t size)
{
    struct completions_body body;
    struct error error = {STATUS_OK, ""};
    if (completions_body_read((const char *)data, size, &body, &error) != STATUS_OK) {
        if (error.status == STATUS_OK || !*error.text)
            abort();
        return 0;
    }
    size_t n = completions_body_n_choices(&body);
    if (n < 1 || n > COMPLETIONS_MOST_CHOICES || body.n_stops > COMPLETIONS_MOST_STOPS)
        abort();
    check_choice(&body, 0);
    check_choice(&body, n - 1);
    completions_body_release(&body);
    return 1;
}
