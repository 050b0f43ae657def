#ifndef MILLRACE_COMMON_FOREIGN_FILE_H
#define MILLRACE_COMMON_FOREIGN_FILE_H

#include <stddef.h>

enum { FOREIGN_FILE_BYTES = 512 }; /* of the beginning; more is not looked at */

/*
 * What a file that cannot be read is instead, told from its first bytes: a download often brings something
 * else under the right name. A sentence without a subject, which says what to do ("is a Git LFS pointer,
 * ..."), or NULL. Asked after reading has failed, so that what a reader does read is never in question.
 */
const char *foreign_file(const void *bytes, size_t size_bytes);

#endif
