#ifndef MILLRACE_CLI_CONVERT_MODEL_DIRECTORY_H
#define MILLRACE_CLI_CONVERT_MODEL_DIRECTORY_H

#include "common/file_lock.h"
#include "common/status.h"

/* Makes the directory if it is not there (its parent must be) and locks it for this writer; the caller
 * releases the lock. ALREADY_EXISTS when it has a model in it, because we never write over a model that may
 * be in use, and when another command is writing there. */
enum status model_directory_make(const char *directory, struct file_lock *lock, struct error *error);

#endif
