/* status, dtype, philox and the proposals. */
#include <math.h>
#include <string.h>

#include "common/dtype.h"
#include "common/nearest.h"
#include "common/philox.h"
#include "common/status.h"
#include "tests/common/suites.h"

START_TEST(error_text_is_kept_and_prefixed)
{
    struct error error;
    ck_assert_int_eq(error_set(&error, STATUS_NOT_FOUND, "no tensor '%s'", "wte"), STATUS_NOT_FOUND);
    ck_assert_int_eq(error_prefix(&error, "%s", "a.safetensors"), STATUS_NOT_FOUND);
    ck_assert_str_eq(error.text, "a.safetensors: no tensor 'wte'");
    ck_assert_int_eq(error_set(NULL, STATUS_INTERNAL, "nobody listens"), STATUS_INTERNAL);
}
END_TEST

/* A text of 510 letters and then one character of `size` bytes does not fit in 511 bytes unless size is 1. */
START_TEST(long_error_text_ends_with_a_whole_character)
{
    static const char *const characters[] = {"x", "é", "€", "🙂"};
    char letters[ERROR_TEXT_MAX];
    memset(letters, 'a', sizeof letters);
    letters[510] = '\0';
    for (int i = 0; i < 4; i++) {
        struct error error;
        error_set(&error, STATUS_INTERNAL, "%s%sbbbb", letters, characters[i]);
        ck_assert_uint_eq(strlen(error.text), i == 0 ? 511 : 510);
        ck_assert_int_eq(error.text[strlen(error.text) - 1], i == 0 ? 'x' : 'a');
    }
}
END_TEST

/* "éé..." cut at an odd byte, and text that just fits. */
START_TEST(error_text_at_the_limit)
{
    struct error error;
    char text[ERROR_TEXT_MAX + 1] = "";
    for (int i = 0; i < 255; i++)
        memcpy(text + 2 * i, "é", 3);
    error_set(&error, STATUS_INTERNAL, "%s", text);
    ck_assert_str_eq(error.text, text); /* 510 bytes */
    memcpy(text + 510, "é", 3);
    error_set(&error, STATUS_INTERNAL, "%s", text);
    ck_assert_uint_eq(strlen(error.text), 510);
}
END_TEST

START_TEST(status_names)
{
    ck_assert_str_eq(status_name(STATUS_OK), "OK");
    ck_assert_str_eq(status_name(STATUS_UNAUTHENTICATED), "UNAUTHENTICATED");
    ck_assert_str_eq(status_name((enum status)17), "UNKNOWN");
    ck_assert_str_eq(status_name((enum status) - 1), "UNKNOWN");
}
END_TEST

START_TEST(dtype_sizes_and_names)
{
    ck_assert_uint_eq(dtype_bytes(DTYPE_BF16), 2);
    ck_assert_uint_eq(dtype_bytes(DTYPE_F64), 8);
    ck_assert_str_eq(dtype_name(DTYPE_F16), "F16");
    ck_assert_str_eq(dtype_name(DTYPE_BOOL), "BOOL");
}
END_TEST

START_TEST(float_and_bfloat_convert_exactly)
{
    unsigned char unaligned[1 + 2 * sizeof(float)];
    const float from[2] = {1.5f, -0x1.fffffep127f};
    float to[2];
    memcpy(unaligned + 1, from, sizeof from);
    dtype_to_float(DTYPE_F32, unaligned + 1, 2, to);
    ck_assert_mem_eq(to, from, sizeof from);
    const uint16_t brain[] = {0x3F80, 0xC049, 0x7F80, 0x0001};
    float wide[4];
    memcpy(unaligned + 1, brain, sizeof brain);
    dtype_to_float(DTYPE_BF16, unaligned + 1, 4, wide);
    ck_assert(wide[0] == 1.0f && wide[1] == -3.140625f && isinf(wide[2]) && wide[3] == 0x1p-133f);
}
END_TEST

/* binary16's definition: (-1)^s 2^(e-15) (1 + f/1024), subnormals f 2^-24. All 65,536 values. */
START_TEST(every_half_converts_exactly)
{
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        uint16_t half = (uint16_t)bits;
        float value;
        dtype_to_float(DTYPE_F16, &half, 1, &value);
        int exponent = bits >> 10 & 31, fraction = bits & 1023;
        double sign = bits >> 15 ? -1.0 : 1.0;
        double wanted = exponent ? ldexp(1.0 + fraction / 1024.0, exponent - 15) : ldexp(fraction, -24);
        if (exponent == 31)
            ck_assert(fraction ? isnan(value) : isinf(value));
        else
            ck_assert_msg((double)value == sign * wanted, "half %04x gave %a", bits, (double)value);
        ck_assert_int_eq(signbit(value) != 0, bits >> 15);
    }
}
END_TEST

/* Random123's known answers for philox4x32-10: counter, key, result. */
static const uint32_t known_answers[][10] = {
    {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
    {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
    {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb,
     0x5001e420, 0x24126ea1},
};

START_TEST(philox_known_answers)
{
    uint32_t out[4];
    philox_block(known_answers[_i], known_answers[_i] + 4, out);
    ck_assert_mem_eq(out, known_answers[_i] + 6, sizeof out);
}
END_TEST

START_TEST(philox_uniforms_fill_the_unit_interval)
{
    double sum = 0, least = 1, most = 0;
    enum { N = 20000 };
    for (uint32_t i = 0; i < N; i++) {
        double u = philox_uniform(7, 3, i, PHILOX_DRAW);
        ck_assert(u >= 0 && u < 1);
        sum += u;
        least = fmin(least, u), most = fmax(most, u);
    }
    ck_assert_double_eq_tol(sum / N, 0.5, 4 / sqrt(12.0 * N));
    ck_assert(least < 1e-3 && most > 1 - 1e-3);
    ck_assert(philox_uniform(7, 3, 5, PHILOX_DRAW) != philox_uniform(7, 3, 5, PHILOX_JUMP));
    ck_assert(philox_uniform(7, 3, 5, PHILOX_DRAW) != philox_uniform(7ull | 1ull << 32, 3, 5, PHILOX_DRAW));
    ck_assert(philox_uniform(7, 3, 5, PHILOX_DRAW) == philox_uniform(7, 3, 5, PHILOX_DRAW));
}
END_TEST

START_TEST(distances_and_proposals)
{
    ck_assert_int_eq(edit_distance("", ""), 0);
    ck_assert_int_eq(edit_distance("abc", ""), 3);
    ck_assert_int_eq(edit_distance("kitten", "sitting"), 3);
    ck_assert_int_eq(edit_distance("stpes", "steps"), 1);
    const char *best = nearer_name("generte", NULL, "serve");
    best = nearer_name("generte", best, "generate");
    best = nearer_name("generte", best, "convert");
    ck_assert_str_eq(best, "generate");
    ck_assert_ptr_null(nearer_name("xyzzy", NULL, "generate"));
}
END_TEST

Suite *basics_suite(void)
{
    Suite *suite = suite_create("basics");
    TCase *cases = tcase_create("basics");
    tcase_add_test(cases, error_text_is_kept_and_prefixed);
    tcase_add_test(cases, long_error_text_ends_with_a_whole_character);
    tcase_add_test(cases, error_text_at_the_limit);
    tcase_add_test(cases, status_names);
    tcase_add_test(cases, dtype_sizes_and_names);
    tcase_add_test(cases, float_and_bfloat_convert_exactly);
    tcase_add_test(cases, every_half_converts_exactly);
    tcase_add_loop_test(cases, philox_known_answers, 0, 3);
    tcase_add_test(cases, philox_uniforms_fill_the_unit_interval);
    tcase_add_test(cases, distances_and_proposals);
    suite_add_tcase(suite, cases);
    return suite;
}
