#include "kernels/workspace.h"

#include "kernels/cpu/device.h"
#include "kernels/cuda_module.h"

struct workspace workspace_of_cpu(const struct device_options *options)
{
    return (struct workspace){cpu_scratch_bytes(options), false};
}

struct workspace workspace_of_gpu(const struct device_options *options)
{
    enum { USUAL = 64 << 20 };
    const struct cuda_module *module;
    struct error ignored;
    if (cuda_module_find(&module, &ignored) == STATUS_OK)
        return (struct workspace){module->workspace_bytes(options), false};
    return (struct workspace){USUAL, true};
}
