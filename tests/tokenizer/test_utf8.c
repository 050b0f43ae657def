#include <string.h>

#include "common/tokenizer/byte_level.h"
#include "common/utf8.h"
#include "tests/tokenizer/suites.h"

START_TEST(every_character_survives)
{
    for (uint32_t character = 0; character <= 0x10FFFF; character++) {
        char bytes[4];
        uint32_t back = 0;
        int size = utf8_write(character, bytes), wanted = character < 0x80      ? 1
                                                          : character < 0x800   ? 2
                                                          : character < 0x10000 ? 3
                                                                                : 4;
        ck_assert_int_eq(size, wanted);
        int surrogate = character >= 0xD800 && character <= 0xDFFF;
        ck_assert_int_eq(utf8_read(bytes, 4, &back), surrogate ? 0 : size);
        ck_assert(surrogate || back == character);
        ck_assert_int_eq(utf8_read(bytes, (size_t)size - 1, &back), 0);
    }
}
END_TEST

static const struct {
    const char *text;
    size_t valid;
} damaged[] = {
    {"ab\x80", 2},           {"\xC0\x80", 0},     {"\xC1\xBF", 0},         {"a\xE0\x80\x80", 1},
    {"\xE2\x82", 0},         {"\xED\xA0\x80", 0}, {"\xF0\x80\x80\x80", 0}, {"\xF4\x90\x80\x80", 0},
    {"\xF5\x80\x80\x80", 0}, {"\xFF", 0},         {"\xC3\xA9\xC3", 2},     {"\xE2\x82(", 0},
};

START_TEST(damage_is_found_where_it_is)
{
    ck_assert_uint_eq(utf8_valid_size(damaged[_i].text, strlen(damaged[_i].text)), damaged[_i].valid);
}
END_TEST

static const struct {
    const char *text;
    size_t size_bytes, whole;
} cuts[] = {
    {"", 0, 0},
    {"ab", 2, 2},
    {"a\xC3\xA9", 3, 3},
    {"a\xC3\xA9", 2, 1},
    {"\xC3", 1, 0},
    {"\xE2\x82\xAC", 3, 3},
    {"\xE2\x82\xAC", 2, 0},
    {"\xE2\x82\xAC", 1, 0},
    {"x\xF0\x9F\x98\x80", 4, 1},
    {"x\xF0\x9F\x98\x80", 5, 5},
    {"\x80\x80\x80\x80\x80", 5, 5},
};

START_TEST(an_end_cuts_no_character)
{
    ck_assert_uint_eq(utf8_whole_size(cuts[_i].text, cuts[_i].size_bytes), cuts[_i].whole);
}
END_TEST

START_TEST(copies_are_valid_and_fit)
{
    static const char text[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z"; /* 1, 2, 3, 4 and 1 bytes */
    static const size_t fits[] = {0, 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t size = 1; size < sizeof fits / sizeof *fits; size++) {
        char to[16];
        memset(to, '#', sizeof to);
        utf8_copy(to, size, text);
        ck_assert_uint_eq(strlen(to), fits[size]);
        ck_assert_mem_eq(to, text, fits[size]);
        ck_assert_int_eq(to[size], '#');
    }
    char to[16];
    utf8_copy(to, sizeof to,
              "a\xFF"
              "b\xC3(\xE2\x82");
    ck_assert_str_eq(to, "a?b?(\x3F?");
}
END_TEST

/* The alphabet is a bijection, and the printable bytes of Latin-1 stand for themselves. */
START_TEST(byte_alphabet)
{
    int seen[256] = {0};
    for (uint32_t character = 0; character < 0x10000; character++) {
        int byte = byte_level_byte(character);
        if (byte >= 0)
            seen[byte]++;
    }
    for (int byte = 0; byte < 256; byte++)
        ck_assert_int_eq(seen[byte], 1);
    ck_assert_int_eq(byte_level_byte(0x120), ' ');
    ck_assert_int_eq(byte_level_byte(0x10A), '\n');
    ck_assert_int_eq(byte_level_byte('~'), '~');
    ck_assert_int_eq(byte_level_byte(' '), -1);
    ck_assert_int_eq(byte_level_byte(0x143), 0xAD);
    ck_assert_int_eq(byte_level_byte(0x144), -1);
}
END_TEST

Suite *utf8_suite(void)
{
    Suite *suite = suite_create("utf8");
    TCase *cases = tcase_create("utf8");
    tcase_set_timeout(cases, 0);
    tcase_add_test(cases, every_character_survives);
    tcase_add_loop_test(cases, damage_is_found_where_it_is, 0, sizeof damaged / sizeof *damaged);
    tcase_add_loop_test(cases, an_end_cuts_no_character, 0, sizeof cuts / sizeof *cuts);
    tcase_add_test(cases, copies_are_valid_and_fit);
    tcase_add_test(cases, byte_alphabet);
    suite_add_tcase(suite, cases);
    return suite;
}
