#include "tests/coordinator/request/fixture.h"

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

void open_demonstration_model(struct served_model *model)
{
    char directory[PATH_MAX];
    struct error error = {0};
    snprintf(directory, sizeof directory, "%s/models/books-mini", getenv("MILLRACE_SOURCE"));
    ck_assert_msg(served_model_open(directory, model, &error) == STATUS_OK, "%s", error.text);
}
