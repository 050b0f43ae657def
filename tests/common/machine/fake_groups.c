#include "tests/common/machine/fake_groups.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/temporary.h"

static char mount[TEMPORARY_ROOM], list_path[TEMPORARY_ROOM + 8];

void fake_groups_make(void)
{
    struct error error;
    ck_assert_int_eq(temporary_directory(mount, "cgroup", &error), STATUS_OK);
    snprintf(list_path, sizeof list_path, "%s/groups", mount);
}

void fake_groups_remove(void)
{
    char command[TEMPORARY_ROOM + 32];
    snprintf(command, sizeof command, "rm -r '%s'", mount);
    ck_assert_int_eq(system(command), 0);
}

void fake_groups_add(const char *directory)
{
    char path[TEMPORARY_ROOM + 64];
    snprintf(path, sizeof path, "%s/%s", mount, directory);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

void fake_groups_write(const char *file, const char *text)
{
    char path[TEMPORARY_ROOM + 64];
    snprintf(path, sizeof path, "%s/%s", mount, file);
    write_file(path, text);
}

struct control_groups fake_groups_process(const char *list)
{
    write_file(list_path, list);
    return (struct control_groups){.list = list_path, .mount = mount};
}
