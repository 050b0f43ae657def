#include "common/chat/machine.h"

#include <stdarg.h>
#include <stdio.h>

void bounded_fail(struct machine *machine, const char *format, ...)
{
    char reason[400];
    va_list arguments;
    if (machine->status != STATUS_OK)
        return;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    machine->status =
        error_set(machine->error, STATUS_INVALID_ARGUMENT, "line %d: %s", machine->line, reason);
}

void *bounded_take(struct machine *machine, size_t n)
{
    if (machine->status != STATUS_OK)
        return NULL;
    if (n > MACHINE_MEMORY_MAX - machine->memory) {
        bounded_fail(machine, "the template takes more than %d MiB", MACHINE_MEMORY_MAX >> 20);
        return NULL;
    }
    machine->memory += n + 16;
    if (machine->memory > MACHINE_MEMORY_MAX)
        machine->memory = MACHINE_MEMORY_MAX;
    void *taken = byte_store_take(&machine->store, n + 1);
    if (!taken)
        machine->status = error_set(machine->error, STATUS_RESOURCE_EXHAUSTED, "no memory for a template");
    return taken;
}

bool bounded_step(struct machine *machine, size_t n)
{
    machine->steps = n > MACHINE_STEPS_MAX ? MACHINE_STEPS_MAX + 1 : machine->steps + n;
    if (machine->steps > MACHINE_STEPS_MAX)
        bounded_fail(machine, "the template takes more than %d steps", MACHINE_STEPS_MAX);
    return machine->status == STATUS_OK;
}

bool bounded_failed(const struct machine *machine)
{
    return machine->status != STATUS_OK;
}

void bounded_release(struct machine *machine)
{
    byte_store_release(&machine->store);
}
