/* Hints when to try again, in both forms, from honest servers and others. */
#include "common/rpc/metadata.h"

#include <grpc/grpc.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "proto/rpc_status.pb-c.h"
#include "tests/rpc/units.h"

static int read_hint(const struct metadata *metadata)
{
    const grpc_metadata_array trailers = {.count = metadata->n, .metadata = (grpc_metadata *)metadata->items};
    return metadata_retry_after_ms(&trailers);
}

START_TEST(what_is_written_is_read)
{
    static const int hints[] = {1, 999, 1000, 60500, INT_MAX};
    for (unsigned i = 0; i < sizeof hints / sizeof *hints; i++) {
        struct metadata metadata = {0};
        struct error error;
        error_set(&error, STATUS_RESOURCE_EXHAUSTED, "later");
        error.retry_after_ms = hints[i];
        metadata_add_retry(&metadata, &error);
        ck_assert_uint_eq(metadata.n, 2); /* in gRPC's own form, and in a simple one */
        ck_assert_int_eq(read_hint(&metadata), hints[i]);
        metadata_cut(&metadata, 1);
        ck_assert_int_eq(read_hint(&metadata), hints[i]);
        metadata_clear(&metadata);
    }
}
END_TEST

START_TEST(no_hint_is_none)
{
    struct metadata metadata = {0};
    struct error error;
    error_set(&error, STATUS_UNAVAILABLE, "gone");
    metadata_add_retry(&metadata, &error);
    ck_assert_uint_eq(metadata.n, 0);
    ck_assert_int_eq(read_hint(&metadata), 0);
}
END_TEST

/* What another server may send, and what it means. */
static const struct {
    int64_t seconds;
    int32_t nanos;
    int expected_ms;
} delays[] = {
    {1, 500000000, 1500},
    {0, 999999, 0},
    {-1, 0, 0},
    {1, -1, 0},
    {2147482, INT_MAX, INT_MAX}, /* 2147484147 */
    {2147483, 647999999, INT_MAX},
    {2147483, 999999999, INT_MAX},
    {2147482, 2000000000, INT_MAX}, /* 2147484000 */
    {INT64_MAX, 0, INT_MAX},
    {INT64_MIN, 0, 0},
};

static void add_delay(struct metadata *metadata, int64_t seconds, int32_t nanos)
{
    char type[] = "type.googleapis.com/google.rpc.RetryInfo";
    uint8_t retry_bytes[64], bytes[256];
    Millrace__Rpcstatus__Delay delay = MILLRACE__RPCSTATUS__DELAY__INIT;
    Millrace__Rpcstatus__RetryInfo retry = MILLRACE__RPCSTATUS__RETRY_INFO__INIT;
    Millrace__Rpcstatus__Detail detail = MILLRACE__RPCSTATUS__DETAIL__INIT, *details = &detail;
    Millrace__Rpcstatus__Status status = MILLRACE__RPCSTATUS__STATUS__INIT;
    delay.seconds = seconds;
    delay.nanos = nanos;
    retry.retry_delay = &delay;
    detail.type_url = type;
    detail.value = (ProtobufCBinaryData){protobuf_c_message_pack(&retry.base, retry_bytes), retry_bytes};
    status.n_details = 1;
    status.details = &details;
    ck_assert(metadata_add(metadata, "grpc-status-details-bin", bytes,
                           protobuf_c_message_pack(&status.base, bytes)));
}

START_TEST(delays_of_any_size_are_bounded)
{
    for (unsigned i = 0; i < sizeof delays / sizeof *delays; i++) {
        struct metadata metadata = {0};
        add_delay(&metadata, delays[i].seconds, delays[i].nanos);
        ck_assert_msg(read_hint(&metadata) == delays[i].expected_ms, "row %u: %d, not %d", i,
                      read_hint(&metadata), delays[i].expected_ms);
        metadata_clear(&metadata);
    }
}
END_TEST

START_TEST(what_is_no_hint_is_left_alone)
{
    static const char *const texts[] = {"", "soon", "-5", "0", "99999999999", "123456789012345678"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct metadata metadata = {0};
        ck_assert(metadata_add(&metadata, "retry-after-ms", texts[i], strlen(texts[i])));
        ck_assert(metadata_add(&metadata, "grpc-status-details-bin", "\x0a\xff\xff", 3)); /* no message */
        ck_assert_msg(read_hint(&metadata) == 0, "%s", texts[i]);
        metadata_clear(&metadata);
    }
}
END_TEST

START_TEST(only_what_http_allows_is_added_and_not_too_much)
{
    struct metadata metadata = {0};
    ck_assert(!metadata_add(&metadata, "Upper", "x", 1));
    ck_assert(!metadata_add(&metadata, "x", "\x01", 1));
    ck_assert(metadata_add(&metadata, "x-bin", "\x01", 1));
    for (int i = 1; i < METADATA_MAX; i++)
        ck_assert(metadata_add(&metadata, "x", "y", 1));
    ck_assert(!metadata_add(&metadata, "x", "y", 1));
    ck_assert_uint_eq(metadata.n, METADATA_MAX);
    metadata_clear(&metadata);
    ck_assert_uint_eq(metadata.n, 0);
}
END_TEST

Suite *metadata_suite(void)
{
    Suite *suite = suite_create("metadata");
    TCase *tests = tcase_create("metadata");
    tcase_add_test(tests, what_is_written_is_read);
    tcase_add_test(tests, no_hint_is_none);
    tcase_add_test(tests, delays_of_any_size_are_bounded);
    tcase_add_test(tests, what_is_no_hint_is_left_alone);
    tcase_add_test(tests, only_what_http_allows_is_added_and_not_too_much);
    suite_add_tcase(suite, tests);
    return suite;
}
