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
enum { N_ALGORITHMS = 6, GOOD = 4, ROWS = 70, N_OUT = 48, N_IN = 40 };

struct product {
    struct device *device;
    float *x, *w, *bias;
    void *x_there, *bias_there, *y_there;
    struct weight *weight;
};

static void product_init(struct product *product, enum precision precision, int n_out)
{
    const struct device_options options = {
        .precision = precision, .max_rows = ROWS, .max_positions = 8, .max_columns = 64};
    struct error error = {0};
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
        check_operation(&product, operation(&product, true, ACTIVATION_NONE, type, N_OUT), N_OUT, 1);
        check_operation(&product, operation(&product, true, ACTIVATION_GELU_TANH, type, N_OUT), N_OUT, 1);
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

static Suite *library_suite(void)
{
    Suite *suite = suite_create("library");
    TCase *tests = tcase_create("library");
    tcase_add_loop_test(tests, test_the_good_algorithm_runs, 0, 2);
    tcase_add_loop_test(tests, test_what_lies_wrong_is_our_own, 0, 2);
    tcase_add_loop_test(tests, test_own_by_wish, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    struct error error = {0};
    void *library = NULL;
    if (backend_find("cuda", &any_backend, &error) == STATUS_OK)
        library = dlopen(getenv("MILLRACE_CUDA_MODULE"), RTLD_NOW | RTLD_NOLOAD);
    if (library != NULL)
        *(void **)&products = dlsym(library, "emulation_cublaslt_products");
    if (products == NULL) {
        fprintf(stderr, "MILLRACE_CUDA_MODULE is not the emulated module with a library: %s\n", error.text);
        return EXIT_FAILURE;
    }
    SRunner *runner = srunner_create(library_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
