/* A bounded run over mutations of a template with what published ones use, the same each time. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/fuzz_run.h"

int fuzz_template(const uint8_t *data, size_t size);

static const char seed[] =
    "{%- set ns = namespace(n=0) %}{% macro t(r, c='x') %}<{{ r|upper }}>{{ c[1:][::-1] }}{% endmacro %}"
    "{% for m in messages if m.role != 'a' %}{% set ns.n = ns.n + 1 %}{{ t(m['role'], m.content | trim) ~ "
    "loop.index0 }}"
    "{% if m.content is string and not m.x and 'a' in m.content %}{{ m.content.split('e')[-1] | replace('a', "
    "'b') }}"
    "{% elif loop.last %}{% break %}{% else %}{{ {'k': [1, 2.5, none]} | tojson(indent=2) }}{% endif %}{% "
    "endfor %}"
    "{{- range(3) | list | length if add_generation_prompt else raise_exception('no') -}} {# c #}";

START_TEST(templates)
{
    fuzz_run(fuzz_template, seed, strlen(seed));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fuzz_template");
    TCase *tests = tcase_create("fuzz");
    tcase_add_test(tests, templates);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
