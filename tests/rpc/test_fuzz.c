/* A bounded run of the fuzz targets over mutated seeds, the same each time. */
#include <check.h>
#include <stdlib.h>

#include "proto/millrace.pb-c.h"
#include "proto/replica.pb-c.h"
#include "tests/rpc/fuzz.h"
#include "tests/support/fuzz_run.h"

/* `type` as in fuzz_messages.c. */
static void run_message(uint8_t type, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *seed = malloc(size + 1);
    seed[0] = type;
    protobuf_c_message_pack(message, seed + 1);
    fuzz_run(fuzz_messages, seed, size + 1);
    free(seed);
}

START_TEST(generate_requests)
{
    Millrace__V1__Segment text = MILLRACE__V1__SEGMENT__INIT, gap = MILLRACE__V1__SEGMENT__INIT;
    Millrace__V1__Segment *segments[] = {&text, &gap};
    Millrace__V1__Infill infill = MILLRACE__V1__INFILL__INIT;
    Millrace__V1__GenerateRequest request = MILLRACE__V1__GENERATE_REQUEST__INIT;
    text.kind_case = MILLRACE__V1__SEGMENT__KIND_TEXT;
    text.text = (char *)"h\xc3\xa9llo";
    gap.kind_case = MILLRACE__V1__SEGMENT__KIND_GAP;
    gap.gap = 300;
    infill.segments = segments;
    infill.n_segments = 2;
    request.model = (char *)"books";
    request.input_case = MILLRACE__V1__GENERATE_REQUEST__INPUT_INFILL;
    request.infill = &infill;
    run_message(0, &request.base);
}
END_TEST

START_TEST(reports_of_a_replica)
{
    uint32_t positions[] = {0, 5, 1000}, ids[] = {7, 70000, 1};
    float until[] = {0.5f, 2};
    Millrace__Replica__V1__Report report = MILLRACE__REPLICA__V1__REPORT__INIT;
    Millrace__Replica__V1__FromReplica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    report.sequence = 1;
    report.positions = positions;
    report.ids = ids;
    report.n_positions = report.n_ids = 3;
    report.until_jump = until;
    report.n_until_jump = 2;
    message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_REPORT;
    message.report = &report;
    run_message(5, &message.base);
}
END_TEST

START_TEST(clients)
{
    static const char seed[] =
        "{\"clients\": [{\"name\": \"anna\", \"token_sha256\": "
        "\"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\", \"scopes\": [\"generate\", "
        "\"admin\"], \"max_requests\": 8, \"max_tokens\": null}, {\"name\": \"r-1\", \"certificate\": "
        "\"replica.cluster\", \"scopes\": [\"replica\"]}]}";
    fuzz_run(fuzz_access, seed, sizeof seed - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fuzz_rpc");
    TCase *tests = tcase_create("fuzz");
    tcase_add_test(tests, generate_requests);
    tcase_add_test(tests, reports_of_a_replica);
    tcase_add_test(tests, clients);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
