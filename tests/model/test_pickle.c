#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cli/convert/pickle.h"
#include "tests/model/convert_suites.h"
#include "tests/model/support.h"
#include "tests/model/zips.h"

/* Text as BINUNICODE writes it, for up to 255 bytes. */
#define TEXT(length, text) "X" length "\0\0\0" text
#define STORAGE_TYPE "ctorch\nFloatStorage\n"
#define STORAGE(key_text, n) "(" TEXT("\7", "storage") STORAGE_TYPE key_text TEXT("\3", "cpu") n "tQ"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"

#define PROGRAM(text) text, sizeof(text) - 1

/* Parses a copy of exactly as many bytes, so that reading on is seen. */
static enum status parse(const void *bytes, size_t n, char **copy, struct pickle **pickle,
                         struct error *error)
{
    *copy = malloc(n + (n == 0));
    memcpy(*copy, bytes, n);
    enum status status = pickle_parse(*copy, n, pickle, error);
    if (status) {
        free(*copy);
        *copy = NULL;
    }
    return status;
}

static const struct {
    const char *bytes;
    size_t n;
    const char *words;
} refused[] = {
    {PROGRAM("\x80\2(cos\nsystem\no."), "opcode 0x6F"},
    {PROGRAM("\x80\2(S'ls'\nios\nsystem\n."), "opcode 0x53"},
    {PROGRAM("\x80\2}ios\nsystem\n."), "opcode 0x69"},
    {PROGRAM("\x80\2(o."), "opcode 0x6F"},
    {PROGRAM("\x80\2\x82\1."), "opcode 0x82"},
    {PROGRAM("\x80\2Pos\n."), "opcode 0x50"},
    {PROGRAM("\x80\2ccollections\nOrderedDict\n)\x92."), "the stack is empty"},
    {PROGRAM("\x80\2N)}\x92."), "a call must be of a symbol"},
    {PROGRAM("\x80\2cos\nsystem\n]R."), "a call must be of a symbol with a tuple"},
    {PROGRAM("\x80\2}(N\x90."), "items for a set, but there is none"},
    {PROGRAM("\x80\2\x8b\xff\xff\xff\xff."), "4294967295 bytes should follow"},
    {PROGRAM("\x80\1}."), "protocol 1"},
    {PROGRAM("\x80\6}."), "protocol 6"},
    {PROGRAM(""), "are left"},
    {PROGRAM("\x80\2."), "must leave one value, not 0"},
    {PROGRAM("\x80\2}}."), "must leave one value, not 2"},
    {PROGRAM("\x80\2(}."), "must leave one value"},
    {PROGRAM("\x80\2}.}"), "1 bytes behind the end"},
    {PROGRAM("\x80\2}"), "1 bytes should follow, only 0 are left"},
    {PROGRAM("\x80\2X\xff\xff\xff\xff"), "4294967295 bytes should follow"},
    {PROGRAM("\x80\2X\xff\xff\xff\x7f."), "2147483647 bytes should follow"},
    {PROGRAM("\x80\4\x95\xff\xff\xff\xff\xff\xff\xff\xff}."), "a frame of 18446744073709551615"},
    {PROGRAM("\x80\2\x8a\xff."), "255 bytes should follow"},
    {PROGRAM("\x80\2h\0."), "memo entry 0; there are 0"},
    {PROGRAM("\x80\2}q\0h\1."), "memo entry 1; there are 1"},
    {PROGRAM("\x80\2}q\1."), "memo entry 1, but only 0"},
    {PROGRAM("\x80\2}r\xff\xff\xff\xff."), "memo entry 4294967295"},
    {PROGRAM("\x80\2j\xff\xff\xff\xff."), "memo entry 4294967295"},
    {PROGRAM("\x80\2q\0."), "the stack is empty"},
    {PROGRAM("\x80\2\x94."), "the stack is empty"},
    {PROGRAM("\x80\2t."), "no mark on the stack"},
    {PROGRAM("\x80\2u."), "no mark on the stack"},
    {PROGRAM("\x80\2}(u(."), "must leave one value"},
    {PROGRAM("\x80\2(u."), "the stack is empty"},
    {PROGRAM("\x80\2}(Nu."), "a key without a value"},
    {PROGRAM("\x80\2](NNu."), "items for a dict"},
    {PROGRAM("\x80\2}(NNe."), "items for a list"},
    {PROGRAM("\x80\2N(NNu."), "items for a dict"},
    {PROGRAM("\x80\2}Ns."), "the stack is empty"},
    {PROGRAM("\x80\2}(Ns."), "the stack is empty"}, /* not below a mark */
    {PROGRAM("\x80\2Na."), "the stack is empty"},
    {PROGRAM("\x80\2N\x86."), "a tuple of 2"},
    {PROGRAM("\x80\2NN(\x86."), "a tuple of 2"},
    {PROGRAM("\x80\2NNR."), "a call must be of a symbol"},
    {PROGRAM("\x80\2)R."), "the stack is empty"},
    {PROGRAM("\x80\2ccollections\nOrderedDict\n](NNtR."), "a call must be of a symbol"},
    {PROGRAM("\x80\2" STORAGE_TYPE ")R."), "a storage type cannot be called"},
    {PROGRAM("\x80\2ccollections\nOrderedDict\n}b."), "attributes are only known of a dict"},
    {PROGRAM("\x80\2}Nb."), "attributes are only known of a dict"},
    {PROGRAM("\x80\2NQ."), "a persistent id must be a tuple"},
    {PROGRAM("\x80\2)Q."), "a persistent id must be ("},
    {PROGRAM("\x80\2(" TEXT("\7", "storage") "N" TEXT("\1", "0") "NK\1tQ."), "one of torch's storage types"},
    {PROGRAM("\x80\2" STORAGE(TEXT("\13", "../../etc/p"), "K\1") "."), "a storage's key must be"},
    {PROGRAM("\x80\2" STORAGE(TEXT("\12", "/etc/passw"), "K\1") "."), "a storage's key must be"},
    {PROGRAM("\x80\2" STORAGE("X\0\0\0\0", "K\1") "."), "a storage's key must be"},
    {PROGRAM("\x80\2" STORAGE("X\1\0\0\0\0", "K\1") "."), "a storage's key must be"},
    {PROGRAM("\x80\2" STORAGE("K\1", "K\1") "."), "a storage's key must be"},
    {PROGRAM("\x80\2" STORAGE(TEXT("\1", "0"), "J\xff\xff\xff\xff") "."), "number of elements"},
    {PROGRAM("\x80\2" STORAGE(TEXT("\1", "0"), "N") "."), "number of elements"},
    {PROGRAM("\x80\2" REBUILD ")R."), "_rebuild_tensor_v2 needs"},
    {PROGRAM("\x80\2" REBUILD "(NK\0))tR."), "first argument must be a storage"},
    {PROGRAM("\x80\2" REBUILD "(" STORAGE(TEXT("\1", "0"), "K\1") "J\xff\xff\xff\xff))tR."),
     "a tensor's offset"},
    {PROGRAM("\x80\2" REBUILD "(" STORAGE(TEXT("\1", "0"), "K\1") "K\0K\1\x85)tR."), "shape and strides"},
    {PROGRAM("\x80\2" REBUILD "(" STORAGE(TEXT("\1", "0"), "K\1") "K\0J\xff\xff\xff\xff\x85K\1\x85tR."),
     "shape and strides"},
    {PROGRAM("\x80\2" REBUILD "(" STORAGE(TEXT("\1", "0"), "K\1") "K\0]K\1\x85tR."), "shape and strides"},
    {PROGRAM("\x80\2ctorch._utils\n_rebuild_parameter\nN\x85R."), "_rebuild_parameter needs a tensor"},
    {PROGRAM("\x80\2NN\x93."), "a global must be named by two texts"},
    {PROGRAM("\x80\2ctorch"), "a line without an end"},
};

START_TEST(refuses)
{
    struct pickle *pickle = NULL;
    struct error error;
    char *copy;
    assert_refused(parse(refused[_i].bytes, refused[_i].n, &copy, &pickle, &error), STATUS_INVALID_ARGUMENT,
                   &error, refused[_i].words);
    ck_assert_msg(strncmp(error.text, "pickle, byte ", 13) == 0, "\"%s\" names no byte", error.text);
    ck_assert_ptr_null(pickle);
}
END_TEST

START_TEST(builds_every_kind_of_value)
{
    static const char body[] =
        "\x80\4}\x94(\x8c\4none"
        "N\x8c\4true\x88\x8c\5"
        "false\x89"
        "\x8c\3intJ\xfe\xff\xff\xff\x8c\4int1K\xff\x8c\4int2M\1\2\x8c\4long\x8a\2\0\xff"
        "\x8c\5long0\x8a\0\x8c\4realG?\xf8\0\0\0\0\0\0\x8c\4list](NNe\x8c\3one]Na"
        "\x8c\5tupleNNN\x87\x8c\4"
        "dict}\x8c\1kK\7s\x8c\4selfh\0u.";
    struct pickle *pickle;
    struct error error;
    enum status status = pickle_parse(body, sizeof body - 1, &pickle, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status ? error.text : "");
    const struct pickle_value *root = pickle_root(pickle);
    ck_assert_int_eq(root->kind, PICKLE_DICT);
    ck_assert_int_eq(pickle_get(root, "none")->kind, PICKLE_NONE);
    ck_assert_int_eq(pickle_get(root, "true")->integer, 1);
    ck_assert_int_eq(pickle_get(root, "false")->kind, PICKLE_BOOL);
    ck_assert_int_eq(pickle_get(root, "int")->integer, -2);
    ck_assert_int_eq(pickle_get(root, "int1")->integer, 255);
    ck_assert_int_eq(pickle_get(root, "int2")->integer, 513);
    ck_assert_int_eq(pickle_get(root, "long")->integer, -256);
    ck_assert_int_eq(pickle_get(root, "long0")->integer, 0);
    ck_assert_double_eq(pickle_get(root, "real")->real, 1.5);
    ck_assert_uint_eq(pickle_get(root, "list")->items.n, 2);
    ck_assert_uint_eq(pickle_get(root, "one")->items.n, 1);
    ck_assert_uint_eq(pickle_get(root, "tuple")->items.n, 3);
    ck_assert_int_eq(pickle_get(pickle_get(root, "dict"), "k")->integer, 7);
    ck_assert_ptr_eq(pickle_get(root, "self"), root); /* a cycle is no trouble */
    ck_assert_ptr_null(pickle_get(root, "missing"));
    ck_assert_ptr_null(pickle_get(pickle_get(root, "int"), "k"));
    pickle_free(pickle);
}
END_TEST

/* What is not understood becomes a value that only has a name; nothing is executed, and the rest is read. */
static const struct {
    const char *bytes;
    size_t n;
    const char *name;
} opaque[] = {
    {PROGRAM("\x80\2cos\nsystem\n" TEXT("\2", "ls") "\x85R."), "os.system"},
    {PROGRAM("\x80\2cposix\nsystem\n."), "posix.system"},
    {PROGRAM("\x80\4\x8c\x08"
             "builtins\x8c\4eval\x93)R."),
     "builtins.eval"},
    {PROGRAM("\x80\2c\x1b[31m\nx\n."), "?[31m.x"},
    {PROGRAM("\x80\2cargparse\nNamespace\n)\x81}" TEXT("\2", "lr") "K\1sb."), "argparse.Namespace"},
    {PROGRAM("\x80\2cnumpy\nfloat64\nN\x85R(K\1K\2e."), "numpy.float64"},
    {PROGRAM("\x80\4cpathlib\nPath\n)}\x92."), "pathlib.Path"},
    {PROGRAM("\x80\2\x8a\x09\1\2\3\4\5\6\7\x08\x09."), "a whole number beyond 64 bits"},
    {PROGRAM("\x80\2\x8b\x09\0\0\0\1\2\3\4\5\6\7\x08\x09."), "a whole number beyond 64 bits"},
    {PROGRAM("\x80\4"
             "C\2ab."),
     "bytes"},
    {PROGRAM("\x80\4\x8f(K\1\x90."), "a set"},
    {PROGRAM("\x80\4(K\1\x91."), "a set"},
    {PROGRAM("\x80\2ccollections\nOrderedDict\nN\x85R."), "collections.OrderedDict with arguments"},
    {PROGRAM("\x80\2(" TEXT("\7", "storage") "ctorch\nShortStorage\n" TEXT("\1", "0") "NK\1tQ."),
     "torch.ShortStorage"},
    {PROGRAM("\x80\2" REBUILD
             "(" STORAGE(TEXT("\1", "0"), "K\1") "K\0))\x89N}" TEXT("\4", "conj") "\x88stR."),
     "torch._utils._rebuild_tensor_v2 with arguments of a later version of torch"},
    {PROGRAM("\x80\2" REBUILD "(" STORAGE(TEXT("\1", "0"), "K\1") "K\0))\x89NNNtR."),
     "torch._utils._rebuild_tensor_v2 with arguments of a later version of torch"},
};

START_TEST(keeps_what_it_does_not_understand)
{
    struct pickle *pickle = NULL;
    struct error error;
    char *copy, name[PICKLE_NAME_ROOM];
    enum status status = parse(opaque[_i].bytes, opaque[_i].n, &copy, &pickle, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status ? error.text : "");
    ck_assert_int_eq(pickle_root(pickle)->kind, PICKLE_OPAQUE);
    ck_assert_str_eq(pickle_opaque_name(pickle_root(pickle), name), opaque[_i].name);
    pickle_free(pickle);
    free(copy);
}
END_TEST

START_TEST(the_last_of_equal_keys_counts)
{
    static const char program[] = "\x80\2}(" TEXT("\1", "k") "K\1" TEXT("\1", "k") "K\2u.";
    struct pickle *pickle;
    ck_assert_int_eq(pickle_parse(program, sizeof program - 1, &pickle, NULL), STATUS_OK);
    ck_assert_int_eq(pickle_get(pickle_root(pickle), "k")->integer, 2);
    pickle_free(pickle);
}
END_TEST

/* `n` times `byte` between `begin` and `end`. */
static char *repeated(const char *begin, char byte, size_t n, const char *end, size_t *size)
{
    *size = strlen(begin) + n + strlen(end);
    char *bytes = malloc(*size + 1);
    memcpy(bytes, begin, strlen(begin));
    memset(bytes + strlen(begin), byte, n);
    memcpy(bytes + strlen(begin) + n, end, strlen(end) + 1);
    return bytes;
}

START_TEST(a_million_nested_lists_cost_no_stack)
{
    enum { DEPTH = 1000000 };
    const size_t n = 2 + DEPTH + (DEPTH - 1) + 1;
    char *bytes = malloc(n);
    memcpy(bytes, "\x80\2", 2);
    memset(bytes + 2, ']', DEPTH);
    memset(bytes + 2 + DEPTH, 'a', DEPTH - 1);
    bytes[n - 1] = '.';
    struct pickle *pickle;
    struct error error;
    enum status status = pickle_parse(bytes, n, &pickle, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status ? error.text : "");
    pickle_free(pickle);
    free(bytes);
}
END_TEST

static const struct {
    char byte;
    const char *words;
} floods[] = {
    {'\x85', "more than 48065728 bytes of values"},
    {'(', "more than 1000 open marks"},
    {'}', "must leave one value"},
    {')', "must leave one value"},
    {'N', "must leave one value"},
};

START_TEST(floods_end_in_a_sentence)
{
    size_t n;
    char *bytes = repeated("\x80\2N", floods[_i].byte, 1000000, ".", &n);
    struct pickle *pickle;
    struct error error;
    assert_refused(pickle_parse(bytes, n, &pickle, &error), STATUS_INVALID_ARGUMENT, &error,
                   floods[_i].words);
    free(bytes);
}
END_TEST

START_TEST(refuses_every_beginning_of_a_real_one)
{
    char path[PATH_ROOM], *copy;
    size_t size;
    struct pickle *pickle;
    struct error error;
    char *bytes = zip_load(golden_path("ckpt_nano_pretrain.pth", path), "data.pkl", &size);
    for (size_t n = 0; n < size; n++)
        ck_assert_int_eq(parse(bytes, n, &copy, &pickle, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(parse(bytes, size, &copy, &pickle, &error), STATUS_OK);
    pickle_free(pickle);
    free(copy);
    free(bytes);
}
END_TEST

Suite *pickle_suite(void)
{
    Suite *suite = suite_create("pickle");
    TCase *tests = tcase_create("pickle");
    tcase_add_loop_test(tests, refuses, 0, (int)(sizeof refused / sizeof *refused));
    tcase_add_loop_test(tests, keeps_what_it_does_not_understand, 0, (int)(sizeof opaque / sizeof *opaque));
    tcase_add_test(tests, builds_every_kind_of_value);
    tcase_add_test(tests, the_last_of_equal_keys_counts);
    tcase_add_test(tests, a_million_nested_lists_cost_no_stack);
    tcase_add_loop_test(tests, floods_end_in_a_sentence, 0, (int)(sizeof floods / sizeof *floods));
    tcase_add_test(tests, refuses_every_beginning_of_a_real_one);
    suite_add_tcase(suite, tests);
    return suite;
}
