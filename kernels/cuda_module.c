#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cuda_module.h"

static const char library_name[] = "libmillrace_cuda.so";

/* Whether DIRECTORY_OF_THE_PROGRAM/WHERE/libmillrace_cuda.so is there; its path. */
static bool beside_program(const char *where, char path[PATH_MAX])
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0)
        return false;
    program[n] = '\0';
    char *slash = strrchr(program, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    int length = snprintf(path, PATH_MAX, "%s%s/%s", program, where, library_name);
    return length < PATH_MAX && access(path, F_OK) == 0;
}

static enum status find_library_file(char path[PATH_MAX], struct error *error)
{
    const char *named = getenv("MILLRACE_CUDA_MODULE");
    if (named != NULL && named[0] != '\0') {
        if ((size_t)snprintf(path, PATH_MAX, "%s", named) >= PATH_MAX || access(path, F_OK) != 0)
            return error_set(error, STATUS_UNAVAILABLE,
                             "MILLRACE_CUDA_MODULE names %.200s, which is not there; unset it or name "
                             "the library of a build with CUDA",
                             named);
        return STATUS_OK;
    }
    if (beside_program("", path) || beside_program("/../lib", path) ||
        beside_program("/../lib/millrace", path))
        return STATUS_OK;
    return error_set(error, STATUS_NOT_FOUND,
                     "backend \"cuda\" is not part of this build (no %s beside the program or in ../lib); "
                     "build where nvcc "
                     "is, or use \"cpu\"",
                     library_name);
}

enum status cuda_module_find(const struct cuda_module **module, struct error *error)
{
    char path[PATH_MAX];
    enum status status = find_library_file(path, error);
    if (status != STATUS_OK)
        return status;
    /* never unloaded: CUDA leaves threads and handlers of its own behind */
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL)
        return error_set(error, STATUS_UNAVAILABLE, "backend \"cuda\": %.400s", dlerror());
    const struct cuda_module *found = dlsym(library, "millrace_cuda_module");
    if (found != NULL && found->version == CUDA_MODULE_VERSION) {
        *module = found;
        return STATUS_OK;
    }
    dlclose(library);
    return error_set(
        error, STATUS_UNAVAILABLE,
        "backend \"cuda\": %.300s belongs to another version of Millrace; install both from one build", path);
}
