#ifndef MILLRACE_TESTS_MODEL_SUPPORT_H
#define MILLRACE_TESTS_MODEL_SUPPORT_H

#include <stddef.h>

#include "common/model/config.h"
#include "common/model/tensors.h"
#include "common/status.h"

/* Files for tests. Everything asserts: a helper that fails fails the test. */
enum { PATH_ROOM = 512 };

/* MILLRACE_SHARED/golden/public/NAME. */
const char *golden_path(const char *name, char path[PATH_ROOM]);

/* A new empty directory; removed with all that is in it. */
void directory_make(char path[PATH_ROOM]);
void directory_remove(const char *path);

const char *path_in(const char *directory, const char *name, char path[PATH_ROOM]);
void file_write(const char *path, const void *bytes, size_t size_bytes);
void text_write(const char *directory, const char *name, const char *text);
char *file_load(const char *path, size_t *size_bytes);
int file_exists(const char *directory, const char *name);

/* Asserts the status and that the sentence has the words in it. */
void assert_refused(enum status is, enum status wanted, const struct error *error, const char *words);

/* The config of the golden model of that name: "teacher", "student", "masked_student", "nano". */
struct model_config golden_config(const char *name);

/* A safetensors file in memory: 8 bytes of length, the JSON, n_data bytes of data 0, 1, 2, ...; malloc'ed. */
unsigned char *safetensors_make(const char *json, size_t n_data, size_t *size_bytes);

/* Asserts that both have the same tensors: names, dtypes, shapes, bytes. */
void assert_same_tensors(const struct tensors *left, const struct tensors *right);

#endif
