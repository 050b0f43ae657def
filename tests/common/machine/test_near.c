/* Which processors are near a device, on a machine of two sockets with a GPU at each, in hwloc's XML. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/machine/near.h"
#include "tests/common/machine/suites.h"

static char path[] = "/tmp/millrace-near-XXXXXX";
static int next_index;

static void write_object(FILE *xml, const char *type, int os_index, unsigned cpus, unsigned nodes)
{
    fprintf(xml,
            "<object type=\"%s\" os_index=\"%d\" cpuset=\"0x%x\" complete_cpuset=\"0x%x\" nodeset=\"0x%x\" "
            "complete_nodeset=\"0x%x\" gp_index=\"%d\">",
            type, os_index, cpus, cpus, nodes, nodes, ++next_index);
}

/* A node's own memory, four processors, and a bus with a GPU. */
static void write_socket(FILE *xml, int socket)
{
    unsigned cpus = 0xFu << 4 * socket, node = 1u << socket;
    write_object(xml, "Package", socket, cpus, node);
    write_object(xml, "NUMANode", socket, cpus, node);
    fputs("</object>", xml);
    for (int i = 4 * socket; i < 4 * socket + 4; i++) {
        write_object(xml, "Core", i, 1u << i, node);
        write_object(xml, "PU", i, 1u << i, node);
        fputs("</object></object>", xml);
    }
    fprintf(xml,
            "<object type=\"Bridge\" gp_index=\"%d\" bridge_type=\"0-1\" depth=\"0\" "
            "bridge_pci=\"0000:[%d0-%df]\">",
            ++next_index, socket + 1, socket + 1);
    fprintf(xml,
            "<object type=\"PCIDev\" gp_index=\"%d\" os_index=\"%d\" pci_busid=\"0000:%db:00.0\" "
            "pci_type=\"0302 [10de:2335] [10de:18be] a1\" pci_link_speed=\"0.000000\"/></object></object>",
            ++next_index, ((socket + 1) << 4 | 0xb) << 12, socket + 1);
}

static void write_machine(void)
{
    int file = mkstemp(path);
    FILE *xml = fdopen(file, "w");
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n"
          "<topology version=\"2.0\"><object type=\"Machine\" os_index=\"0\" cpuset=\"0xff\" "
          "complete_cpuset=\"0xff\" allowed_cpuset=\"0xff\" nodeset=\"0x3\" complete_nodeset=\"0x3\" "
          "allowed_nodeset=\"0x3\" gp_index=\"99\">",
          xml);
    write_socket(xml, 0);
    write_socket(xml, 1);
    fputs("</object></topology>\n", xml);
    fclose(xml);
}

static void remove_machine(void)
{
    unlink(path);
}

static const struct {
    const char *bus, *allowed, *list;
    int node, n_processors;
} places[] = {
    {"0000:1b:00.0", NULL, "0-3", 0, 4},  {"0000:2b:00.0", NULL, "4-7", 1, 4},
    {"0000:2B:00.0", "2-5", "4-5", 1, 2}, /* bound by a launcher, half of it far away */
    {"0000:2b:00.0", "0-3", "", 1, 0},    /* all of it far away: it stays there */
    {"0000:77:00.0", NULL, "", -1, 0},
};

START_TEST(a_device_has_processors_near_it)
{
    struct nearness nearness;
    const struct near_source source = {.xml = path, .allowed = places[_i].allowed};
    near_read(&source, places[_i].bus, &nearness);
    ck_assert_int_eq(nearness.node, places[_i].node);
    ck_assert_int_eq(nearness.n_processors, places[_i].n_processors);
    ck_assert_str_eq(nearness.list, places[_i].list);
}
END_TEST

START_TEST(a_machine_that_cannot_be_read_is_unknown)
{
    struct nearness nearness;
    const struct near_source source = {.xml = "/nowhere/machine.xml"};
    near_read(&source, "0000:1b:00.0", &nearness);
    ck_assert_int_eq(nearness.node, -1);
    ck_assert_int_eq(nearness.n_processors, 0);
    ck_assert(near_stay(&nearness)); /* nothing to do */
}
END_TEST

START_TEST(the_process_stays_where_it_is_told)
{
    cpu_set_t before, after;
    struct nearness nearness = {.node = 0, .n_processors = 1};
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    int processor = 0;
    while (!CPU_ISSET(processor, &before))
        processor++;
    snprintf(nearness.list, sizeof nearness.list, "%d", processor);
    ck_assert(near_stay(&nearness));
    ck_assert_int_eq(sched_getaffinity(0, sizeof after, &after), 0);
    ck_assert_int_eq(CPU_COUNT(&after), 1);
    ck_assert(CPU_ISSET(processor, &after));
    ck_assert_int_eq(sched_setaffinity(0, sizeof before, &before), 0);
}
END_TEST

Suite *near_suite(void)
{
    Suite *suite = suite_create("near");
    TCase *tests = tcase_create("near");
    tcase_add_unchecked_fixture(tests, write_machine, remove_machine);
    tcase_add_loop_test(tests, a_device_has_processors_near_it, 0, sizeof places / sizeof places[0]);
    tcase_add_test(tests, a_machine_that_cannot_be_read_is_unknown);
    tcase_add_test(tests, the_process_stays_where_it_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
