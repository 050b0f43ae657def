/* Whole files with a limit: regular ones, pipes, and what is neither. */
#include "common/file_read.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/common/suites.h"

static char path[64];

static void write_file(size_t size_bytes)
{
    snprintf(path, sizeof path, "/tmp/millrace-file-read-%d", (int)getpid());
    FILE *file = fopen(path, "we");
    for (size_t i = 0; i < size_bytes; i++)
        fputc('a' + (int)(i % 26), file);
    fclose(file);
}

static void assert_content(const char *bytes, size_t size_bytes, size_t expected)
{
    ck_assert_uint_eq(size_bytes, expected);
    for (size_t i = 0; i < expected; i++)
        ck_assert_int_eq(bytes[i], 'a' + (int)(i % 26));
    ck_assert_int_eq(bytes[expected], '\0');
}

START_TEST(files_up_to_the_limit_are_read_and_no_larger_ones)
{
    static const size_t sizes[] = {0, 1, 26, 65535, 65536, 65537, 200000};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *bytes = NULL;
        size_t size;
        struct error error;
        write_file(sizes[i]);
        for (int kind = FILE_REGULAR; kind <= FILE_ANY; kind++) {
            ck_assert_int_eq(file_read(path, kind, sizes[i], &bytes, &size, &error), STATUS_OK);
            assert_content(bytes, size, sizes[i]);
            free(bytes);
        }
        if (sizes[i] == 0)
            continue;
        ck_assert_int_eq(file_read(path, FILE_ANY, sizes[i] - 1, &bytes, &size, &error),
                         STATUS_INVALID_ARGUMENT);
        ck_assert_msg(strstr(error.text, path) == error.text && strstr(error.text, "too large"), "%s",
                      error.text);
    }
    unlink(path);
}
END_TEST

static void read_pipe(size_t size_bytes, size_t most, enum status expected)
{
    char *bytes = NULL, command[96];
    size_t size = 0;
    struct error error;
    snprintf(command, sizeof command, "head -c %zu /dev/zero | tr '\\0' a", size_bytes);
    FILE *pipe = popen(command, "re");
    enum status status = file_read_descriptor(fileno(pipe), "a pipe", most, &bytes, &size, &error);
    ck_assert_msg(status == expected, "%s", error.text);
    if (status == STATUS_OK) {
        ck_assert_uint_eq(size, size_bytes);
        ck_assert_uint_eq(strspn(bytes, "a"), size_bytes);
        free(bytes);
    }
    pclose(pipe);
}

START_TEST(a_pipe_is_read_to_its_end)
{
    read_pipe(0, 0, STATUS_OK);
    read_pipe(300000, 300000, STATUS_OK);
    read_pipe(300000, 299999, STATUS_INVALID_ARGUMENT);
    read_pipe(10, 9, STATUS_INVALID_ARGUMENT);
}
END_TEST

/* Files in /proc say that they have no bytes. */
START_TEST(a_file_without_a_size_is_read)
{
    char *bytes;
    size_t size;
    ck_assert_int_eq(file_read("/proc/self/status", FILE_REGULAR, 1 << 20, &bytes, &size, NULL), STATUS_OK);
    ck_assert_ptr_nonnull(strstr(bytes, "Pid:"));
    free(bytes);
}
END_TEST

static enum status refused(const char *name, enum file_kind kind, const char *why)
{
    char *bytes;
    size_t size;
    struct error error;
    enum status status = file_read(name, kind, 100, &bytes, &size, &error);
    ck_assert_msg(status != STATUS_OK && strstr(error.text, why) && strstr(error.text, name) == error.text,
                  "%s", status == STATUS_OK ? "read" : error.text);
    return status;
}

/* Opening a FIFO that nobody writes to would wait for ever. */
START_TEST(what_is_no_file_is_refused)
{
    char fifo[64];
    snprintf(fifo, sizeof fifo, "/tmp/millrace-fifo-%d", (int)getpid());
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    ck_assert_int_eq(refused(fifo, FILE_REGULAR, "not a regular file"), STATUS_INVALID_ARGUMENT);
    unlink(fifo);
    ck_assert_int_eq(refused("/tmp", FILE_REGULAR, "not a regular file"), STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(refused("/tmp", FILE_ANY, "a directory"), STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(refused("/nowhere/x", FILE_ANY, "No such file"), STATUS_NOT_FOUND);
    ck_assert_int_eq(refused("/dev/null/x", FILE_ANY, "Not a directory"), STATUS_NOT_FOUND);
}
END_TEST

Suite *file_read_suite(void)
{
    Suite *suite = suite_create("file_read");
    TCase *tests = tcase_create("file_read");
    tcase_add_test(tests, files_up_to_the_limit_are_read_and_no_larger_ones);
    tcase_add_test(tests, a_pipe_is_read_to_its_end);
    tcase_add_test(tests, a_file_without_a_size_is_read);
    tcase_add_test(tests, what_is_no_file_is_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
