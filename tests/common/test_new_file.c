/* A file that cannot be synced, as on a network file system that fails: nothing is left of it, no descriptor
 * either. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/new_file.h"

static bool fsync_fails;
int __real_fsync(int descriptor);
int __wrap_fsync(int descriptor);
int __wrap_fsync(int descriptor)
{
    if (!fsync_fails)
        return __real_fsync(descriptor);
    errno = EIO;
    return -1;
}

/* The number that the next file gets is the lowest that is free. */
static int next_descriptor(void)
{
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(next);
    return next;
}

START_TEST(a_failed_sync_leaves_nothing)
{
    char directory[] = "/tmp/millrace-new-file-XXXXXX", path[64];
    struct new_file *file;
    struct error error;
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/file", directory);
    int before = next_descriptor();
    for (int i = 0; i < 2; i++) {
        fsync_fails = i == 0;
        ck_assert_int_eq(new_file_create(path, &file, &error), STATUS_OK);
        ck_assert_int_eq(new_file_write(file, "text", 4, &error), STATUS_OK);
        enum status status = new_file_commit(file, &error);
        ck_assert_int_eq(status, fsync_fails ? STATUS_DATA_LOSS : STATUS_OK);
        ck_assert_int_eq(next_descriptor(), before);
        ck_assert(access(path, F_OK) == 0 || fsync_fails);
        if (fsync_fails)
            ck_assert_msg(strstr(error.text, strerror(EIO)), "%s", error.text);
    }
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(directory), 0); /* nothing else was in it */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("new_file");
    TCase *tests = tcase_create("new_file");
    tcase_add_test(tests, a_failed_sync_leaves_nothing);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
