#include <stdio.h>
#include <string.h>

#include "cli/generate/infill.h"
#include "tests/cli/suites.h"

/* Parts as "text|[gap]|...": what is easy to compare. */
static const char *parse(const char *text, uint32_t default_gap)
{
    static char out[512];
    struct infill infill;
    struct error error;
    size_t size = 0;
    if (infill_parse(text, default_gap, &infill, &error) != STATUS_OK)
        return strcpy(out, error.text);
    for (size_t i = 0; i < infill.n_parts; i++) {
        const struct infill_part *part = &infill.parts[i];
        size += (size_t)(part->text ? sprintf(out + size, "%s|", part->text)
                                    : sprintf(out + size, "[%u]|", part->gap));
    }
    infill_release(&infill);
    return out;
}

static const struct {
    const char *text;
    uint32_t default_gap;
    const char *parts;
} rows[] = {
    {"The ___ sat.", 0, "The |[0]| sat.|"},
    {"The ___ sat.", 5, "The |[5]| sat.|"},
    {"___", 0, "[0]|"},
    {"___ and ___", 0, "[0]| and |[0]|"},
    {"a ___12___ b ___", 3, "a |[12]| b |[3]|"},
    {"___1______", 0, "[0]|1______|"}, /* six underscores are no mark */
    {"___ 12 ___", 0, "[0]| 12 |[0]|"},
    {"___12", 0, "[0]|12|"},
    {"__ init __ and ____ but ___", 0, "__ init __ and ____ but |[0]|"},
    {"é___é", 0, "é|[0]|é|"},
    {"___65536___", 0, "[65536]|"},
    {"___65537___", 0, "the gap ___65537___ must have 1 to 65536 tokens"},
    {"x ___0___", 0, "the gap ___0___ must have 1 to 65536 tokens"},
    {"___99999999999999999999___", 0, "the gap ___99999999999999999999___ must have 1 to 65536 tokens"},
    {"", 0, "the text has no gap: write ___ (three underscores) where words are wanted"},
    {"no __ gap", 0, "the text has no gap: write ___ (three underscores) where words are wanted"},
};

START_TEST(parts)
{
    ck_assert_str_eq(parse(rows[_i].text, rows[_i].default_gap), rows[_i].parts);
}
END_TEST

Suite *infill_suite(void)
{
    Suite *suite = suite_create("infill");
    TCase *cases = tcase_create("infill");
    tcase_add_loop_test(cases, parts, 0, sizeof rows / sizeof *rows);
    suite_add_tcase(suite, cases);
    return suite;
}
