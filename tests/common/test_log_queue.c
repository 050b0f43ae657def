/* Whoever logs never waits for whoever reads. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log_queue.h"
#include "tests/common/suites.h"

enum { N_LINES = 4000, LINE_SIZE = 64, N_ROUNDS = 20 };

/* One that is full after a few lines. */
static void open_pipe(int ends[2])
{
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
}

static void make_line(char *line, int number)
{
    memset(line, '.', LINE_SIZE - 1);
    snprintf(line, LINE_SIZE, "%d", number);
    line[strlen(line)] = '.';
    line[LINE_SIZE - 1] = '\n';
}

static bool is_writable(int descriptor)
{
    struct pollfd end = {.fd = descriptor, .events = POLLOUT};
    return poll(&end, 1, 0) > 0;
}

/* Returns how many were taken. */
static int put_lines(struct log_queue *queue, int round)
{
    char line[LINE_SIZE];
    int n_taken = 0;
    for (int i = 0; i < N_LINES; i++) {
        make_line(line, round * N_LINES + i);
        n_taken += log_queue_put(queue, line, sizeof line);
    }
    return n_taken;
}

struct reader {
    int descriptor, n_lines;
    bool in_order;
};

static void *read_lines(void *argument)
{
    struct reader *reader = argument;
    char line[LINE_SIZE];
    FILE *file = fdopen(reader->descriptor, "r");
    int last = -1, number;
    reader->in_order = true;
    while (fread(line, LINE_SIZE, 1, file) == 1) {
        reader->in_order &= sscanf(line, "%d", &number) == 1 && number > last && line[LINE_SIZE - 1] == '\n';
        last = number;
        reader->n_lines++;
    }
    fclose(file);
    return NULL;
}

/* Nothing is read until all is put: were a put to wait for the reader, this would never end. */
static void check_slow_reader(int flags)
{
    int ends[2];
    pthread_t thread;
    open_pipe(ends);
    ck_assert_int_eq(fcntl(ends[1], F_SETFL, flags), 0);
    struct log_queue *queue = log_queue_open(ends[1]);
    int n_taken = put_lines(queue, 0);
    while (is_writable(ends[1]))
        sched_yield();
    for (int i = 1; i < N_ROUNDS; i++) /* time for a wrong writer to lose what it cannot write */
        n_taken += put_lines(queue, i);
    ck_assert_int_ge(n_taken, LOG_QUEUE_LINES);
    ck_assert_int_lt(n_taken, N_ROUNDS * N_LINES);
    ck_assert_uint_eq(log_queue_take_dropped(queue), 0); /* it is told when there is room to tell it */
    struct reader reader = {.descriptor = ends[0]};
    ck_assert_int_eq(pthread_create(&thread, NULL, read_lines, &reader), 0);
    uint64_t n_dropped = 0;
    while (!n_dropped && !sched_yield())
        n_dropped = log_queue_take_dropped(queue);
    ck_assert_uint_eq(n_dropped, (uint64_t)(N_ROUNDS * N_LINES - n_taken));
    ck_assert_uint_eq(log_queue_take_dropped(queue), 0);
    ck_assert(log_queue_close(queue, 60));
    close(ends[1]);
    pthread_join(thread, NULL);
    ck_assert_int_eq(reader.n_lines, n_taken);
    ck_assert(reader.in_order);
}

START_TEST(a_reader_that_is_slow_holds_nobody_up)
{
    check_slow_reader(0);
}
END_TEST

START_TEST(a_descriptor_that_does_not_block_loses_nothing)
{
    check_slow_reader(O_NONBLOCK);
}
END_TEST

START_TEST(a_reader_that_stands_still_does_not_hold_up_the_end)
{
    static struct log_queue *left_behind; /* so that it counts as no leak */
    int ends[2];
    open_pipe(ends);
    left_behind = log_queue_open(ends[1]);
    put_lines(left_behind, 0);
    ck_assert(!log_queue_close(left_behind, 0.01));
    close(ends[0]); /* its thread ends */
}
END_TEST

Suite *log_queue_suite(void)
{
    Suite *suite = suite_create("log_queue");
    TCase *tests = tcase_create("log_queue");
    tcase_add_test(tests, a_reader_that_is_slow_holds_nobody_up);
    tcase_add_test(tests, a_descriptor_that_does_not_block_loses_nothing);
    tcase_add_test(tests, a_reader_that_stands_still_does_not_hold_up_the_end);
    suite_add_tcase(suite, tests);
    return suite;
}
