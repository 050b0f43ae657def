#ifndef MILLRACE_TESTS_COMMON_MACHINE_FAKE_GROUPS_H
#define MILLRACE_TESTS_COMMON_MACHINE_FAKE_GROUPS_H

#include "common/machine/control_groups.h"

/* Control groups in a temporary directory, as the kernel shows them. */
void fake_groups_make(void);
void fake_groups_remove(void);
void fake_groups_add(const char *directory);                 /* below the mount */
void fake_groups_write(const char *file, const char *text);  /* below the mount */
struct control_groups fake_groups_process(const char *list); /* a process that is in those of `list` */

#endif
