#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/any.h"
#include "tests/kernels/support.h"
#include "tests/reference/reference.h"

/*
 * Products by the vendor's library, as kernels/cuda/library_lt.c calls it and library_choose.c chooses, with
 * the stand-in of tests/emulation/cublasLt.h: its fifth proposal is the first good one. Whether the real
 * library keeps its word only a GPU can say.
 */
const struct backend *any_backend;
static uint64_t (*products)(int algorithm);
static void (*refuse)(uint64_t fp8_below, uint64_t when_it_runs);
enum { N_ALGORITHMS = 8, GOOD = 4, OTHER_BITS = 6, FOR_A_FEW = 7, ROWS = 70, N_OUT = 48, N_IN = 40 };

static char said[2048];

static void keep_line(void *context, const char *line)
{
    (void)context;
    strncat(said, line, sizeof said - strlen(said) - 2);
    strcat(said, "\n");
}

struct product {
    struct device *device;
    float *x, *w, *bias;
    void *x_there, *bias_there, *y_there;
    struct weight *weight;
};

static void product_init(struct product *product, enum precision precision, int n_out)
{
    const struct device_options options = {
        .precision = precision, .max_rows = ROWS, .max_positions = 8, .max_columns = 64, .told = keep_line};
    struct error error = {0};
    said[0] = '\0';
    ck_assert_msg(any_backend->open(&product->device, &options, &error) == STATUS_OK, "%s", error.text);
    product->x = random_floats(ROWS * N_IN, 1, 1), product->w = random_floats(n_out * N_IN, 2, 1);
    product->bias = random_floats(n_out, 3, 1);
    any_round(product->x, ROWS * N_IN, DTYPE_BF16);
    any_round(product->bias, n_out, DTYPE_BF16);
    const struct matrix_view view = {product->w, DTYPE_F32, n_out, N_IN, N_IN};
    ck_assert_msg(any_backend->weight_create(product->device, WEIGHT_PRODUCT, &view, 1, NULL, 1,
                                             &product->weight, &error) == STATUS_OK,
                  "%s", error.text);
    product->x_there = any_put_floats(product->device, product->x, ROWS * N_IN, DTYPE_BF16);
    product->bias_there = any_put(product->device, product->bias, n_out * sizeof(float));
    product->y_there = any_backend->allocate(product->device, ROWS * n_out * sizeof(float));
    if (precision == PRECISION_FP8)
        any_round_e4m3(product->x, ROWS, N_IN), any_round_e4m3(product->w, n_out, N_IN);
    else
        any_round(product->w, n_out * N_IN, DTYPE_BF16);
}

static void product_release(struct product *product)
{
    any_backend->weight_free(product->device, product->weight);
    any_backend->release(product->device, product->x_there);
    any_backend->release(product->device, product->bias_there);
    any_backend->release(product->device, product->y_there);
    any_close(product->device);
    free(product->x), free(product->w), free(product->bias);
}

static struct matmul operation(const struct product *product, bool with_bias, enum activation activation,
                               enum dtype y_type, int n_out)
{
    return (struct matmul){.x = product->x_there,
                           .x_type = DTYPE_BF16,
                           .ld_x = N_IN,
                           .rows = ROWS,
                           .weight = product->weight,
                           .bias = with_bias ? product->bias_there : NULL,
                           .activation = activation,
                           .y = product->y_there,
                           .y_type = y_type,
                           .ld_y = n_out};
}

/* The operation is right, and only the good algorithm ran: `times` times. */
static void check_operation(const struct product *product, struct matmul op, int n_out, uint64_t times)
{
    uint64_t before[N_ALGORITHMS];
    float *y = cleared(ROWS * n_out, sizeof *y);
    double *expected = cleared(ROWS * n_out, sizeof *expected);
    for (int i = 0; i < N_ALGORITHMS; i++)
        before[i] = products(i);
    any_backend->matmul(product->device, &op);
    any_get_floats(product->device, product->y_there, ROWS * n_out, op.y_type, y);
    for (int i = 0; i < N_ALGORITHMS; i++)
        ck_assert_uint_eq(products(i) - before[i], i == GOOD ? times : 0);
    reference_matmul(product->x, N_IN, ROWS, product->w, n_out, N_IN, op.bias != NULL ? product->bias : NULL,
                     op.activation, expected);
    check_close(y, expected, ROWS * n_out, 1e-5 + any_rounding(op.y_type), "library");
    free(y), free(expected);
}

static const enum precision precisions[] = {PRECISION_BF16, PRECISION_FP8};

START_TEST(test_the_good_algorithm_runs)
{
    struct product product;
    product_init(&product, precisions[_i], N_OUT);
    for (int y_type = DTYPE_F32; y_type <= DTYPE_BF16; y_type++) {
        enum dtype type = (enum dtype)y_type;
        check_operation(&product, operation(&product, false, ACTIVATION_NONE, type, N_OUT), N_OUT, 1);
        uint64_t with_bias = type == DTYPE_BF16; /* a bias of float32 results is added elsewhere */
        check_operation(&product, operation(&product, true, ACTIVATION_NONE, type, N_OUT), N_OUT, with_bias);
        check_operation(&product, operation(&product, true, ACTIVATION_GELU_TANH, type, N_OUT), N_OUT,
                        with_bias);
        check_operation(&product, operation(&product, true, ACTIVATION_SILU, type, N_OUT), N_OUT, 0);
        check_operation(&product, operation(&product, false, ACTIVATION_GELU_TANH, type, N_OUT), N_OUT, 0);
    }
    ck_assert_uint_eq(products(0), 0); /* what splits the sum is not even tried */
    ck_assert_uint_gt(products(1), 0);
    ck_assert_uint_gt(products(2), 0);
    ck_assert_uint_eq(products(3), 0); /* nor what refuses a number of rows */
    product_release(&product);
}
END_TEST

/* The first `rows` rows of a product with these rows, as bf16. */
static void multiply_rows(const struct product *product, int rows, uint16_t *y)
{
    struct matmul op = operation(product, true, ACTIVATION_NONE, DTYPE_BF16, N_OUT);
    op.rows = rows;
    any_backend->matmul(product->device, &op);
    any_get(product->device, product->y_there, (size_t)rows * N_OUT * sizeof *y, y);
}

/* Few rows have an algorithm of their own: the first of theirs that gives the bits of many rows. */
START_TEST(test_classes_of_rows_have_their_algorithms)
{
    enum { FEW = 30 };
    static uint16_t many[ROWS * N_OUT], few[FEW * N_OUT];
    struct product product;
    product_init(&product, precisions[_i], N_OUT);
    multiply_rows(&product, ROWS, many);
    uint64_t before = products(FOR_A_FEW), good = products(GOOD), wrong = products(OTHER_BITS);
    ck_assert_uint_gt(wrong, 0); /* was tried */
    multiply_rows(&product, FEW, few);
    ck_assert_uint_eq(products(FOR_A_FEW), before + 1);
    ck_assert_uint_eq(products(GOOD), good);
    ck_assert_uint_eq(products(OTHER_BITS), wrong);
    check_same_bits(many, few, sizeof few, "rows among few");
    ck_assert_msg(strstr(said, "products of [48, 40] ") != NULL &&
                      strstr(said, "; bf16 + bias, gelu: cuBLASLt") && strstr(said, " #3,5,5,5,5 of 6"),
                  "%s", said);
    product_release(&product);
}
END_TEST

/* cuBLASLt wants many rows for some products of e4m3: fewer are padded, and their bits are the same. */
START_TEST(test_few_rows_of_fp8_are_padded)
{
    static uint16_t many[ROWS * N_OUT], few[7 * N_OUT];
    struct product product;
    refuse(60, 0);
    product_init(&product, PRECISION_FP8, N_OUT);
    multiply_rows(&product, ROWS, many);
    uint64_t before = products(GOOD);
    multiply_rows(&product, 7, few);
    ck_assert_uint_eq(products(GOOD), before + 1);
    check_same_bits(many, few, sizeof few, "padded rows");
    ck_assert_msg(strstr(said, "from 65 rows on, padded below") != NULL, "%s", said);
    product_release(&product);
    refuse(0, 0);
}
END_TEST

/* A refusal that asking did not show is no failure: our own product runs, and it is said once. */
START_TEST(test_a_late_refusal_runs_our_own)
{
    static uint16_t y[ROWS * N_OUT];
    struct product product;
    product_init(&product, precisions[_i], N_OUT);
    refuse(0, 50);
    uint64_t before = products(GOOD) + products(FOR_A_FEW);
    for (int i = 0; i < 2; i++)
        multiply_rows(&product, 50, y);
    ck_assert_uint_eq(products(GOOD) + products(FOR_A_FEW), before);
    const char *first = strstr(said, "cuBLASLt refuses a product of [50, 40] and [48, 40]");
    ck_assert_msg(first != NULL && strstr(first + 1, "cuBLASLt refuses") == NULL, "%s", said);
    product_release(&product);
    refuse(0, 0);
}
END_TEST

/* Shapes and addresses that the library was not asked about run our own product. */
START_TEST(test_what_lies_wrong_is_our_own)
{
    enum { ODD = 50 };
    struct product product;
    product_init(&product, precisions[_i], ODD);
    check_operation(&product, operation(&product, true, ACTIVATION_NONE, DTYPE_F32, ODD), ODD, 0);
    product_release(&product);
    product_init(&product, precisions[_i], N_OUT);
    struct matmul op = operation(&product, false, ACTIVATION_NONE, DTYPE_F32, N_OUT);
    uint64_t before = products(GOOD);
    op.y = (float *)op.y + 1, op.rows = ROWS - 1;
    any_backend->matmul(product.device, &op);
    ck_assert_int_eq(any_backend->synchronize(product.device, NULL), STATUS_OK);
    ck_assert_uint_eq(products(GOOD), before);
    product_release(&product);
}
END_TEST

START_TEST(test_own_by_wish)
{
    struct product product;
    setenv("MILLRACE_CUDA_MATMUL", "own", 1);
    product_init(&product, precisions[_i], N_OUT);
    check_operation(&product, operation(&product, true, ACTIVATION_NONE, DTYPE_F32, N_OUT), N_OUT, 0);
    product_release(&product);
    const struct device_options options = {
        .precision = precisions[_i], .max_rows = 1, .max_positions = 1, .max_columns = 1};
    struct error error;
    setenv("MILLRACE_CUDA_MATMUL", "blas", 1);
    ck_assert_int_eq(any_backend->open(&product.device, &options, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(error.text, "MILLRACE_CUDA_MATMUL=blas is unknown; use own or cublaslt, or unset it");
    unsetenv("MILLRACE_CUDA_MATMUL");
}
END_TEST

/* One that does not know a scale a row is not called; where it was asked for by name, that is said. */
START_TEST(test_an_old_library_is_not_used)
{
    struct product product;
    struct error error;
    setenv("MILLRACE_EMULATED_CUBLASLT", "120300", 1);
    product_init(&product, PRECISION_BF16, N_OUT);
    check_operation(&product, operation(&product, false, ACTIVATION_NONE, DTYPE_BF16, N_OUT), N_OUT, 0);
    ck_assert_ptr_nonnull(strstr(said, "cuBLASLt 12.3.0 is older than 12.9: products are our own"));
    product_release(&product);
    const struct device_options options = {
        .precision = PRECISION_BF16, .max_rows = 1, .max_positions = 1, .max_columns = 1};
    setenv("MILLRACE_CUDA_MATMUL", "cublaslt", 1);
    ck_assert_int_eq(any_backend->open(&product.device, &options, &error), STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(error.text, "is older than 12.9"));
    unsetenv("MILLRACE_CUDA_MATMUL");
    unsetenv("MILLRACE_EMULATED_CUBLASLT");
}
END_TEST

static Suite *library_suite(void)
{
    Suite *suite = suite_create("library");
    TCase *tests = tcase_create("library");
    tcase_add_loop_test(tests, test_the_good_algorithm_runs, 0, 2);
    tcase_add_loop_test(tests, test_classes_of_rows_have_their_algorithms, 0, 2);
    tcase_add_test(tests, test_few_rows_of_fp8_are_padded);
    tcase_add_loop_test(tests, test_a_late_refusal_runs_our_own, 0, 2);
    tcase_add_loop_test(tests, test_what_lies_wrong_is_our_own, 0, 2);
    tcase_add_loop_test(tests, test_own_by_wish, 0, 2);
    tcase_add_test(tests, test_an_old_library_is_not_used);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    struct error error = {0};
    void *library = NULL;
    if (backend_find("cuda", &any_backend, &error) == STATUS_OK)
        library = dlopen(getenv("MILLRACE_CUDA_MODULE"), RTLD_NOW | RTLD_NOLOAD);
    if (library != NULL) {
        *(void **)&products = dlsym(library, "emulation_cublaslt_products");
        *(void **)&refuse = dlsym(library, "emulation_cublaslt_refuse");
    }
    if (products == NULL || refuse == NULL) {
        fprintf(stderr, "MILLRACE_CUDA_MODULE is not the emulated module with a library: %s\n", error.text);
        return EXIT_FAILURE;
    }
    SRunner *runner = srunner_create(library_suite());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
