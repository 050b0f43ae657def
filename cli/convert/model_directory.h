#ifndef MILLRACE_CLI_CONVERT_MODEL_DIRECTORY_H
#define MILLRACE_CLI_CONVERT_MODEL_DIRECTORY_H

#include "common/status.h"

/* Makes the directory if it is not there (its parent must be). ALREADY_EXISTS when it has a model in it: a
 * model that may be in use is never written over. */
enum status model_directory_make(const char *directory, struct error *error);

#endif
