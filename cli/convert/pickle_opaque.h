#ifndef MILLRACE_CLI_CONVERT_PICKLE_OPAQUE_H
#define MILLRACE_CLI_CONVERT_PICKLE_OPAQUE_H

#include "cli/convert/pickle_machine.h"

/*
 * A value that is not understood is kept as an opaque value: beside its network a checkpoint holds the best
 * loss, arguments or a device, and these do not matter. Nothing is done with such a value. Code that needs a
 * tensor in its place refuses it by its name.
 */

/* Pushes an opaque value that was to be made by module.name. */
enum status opaque_push_name(struct machine *machine, struct pickle_text module, struct pickle_text name);

/* Operations whose results are opaque. */
enum status opaque_long4(struct machine *machine);
enum status opaque_binbytes(struct machine *machine);
enum status opaque_short_binbytes(struct machine *machine);
enum status opaque_binbytes8(struct machine *machine);
enum status opaque_empty_set(struct machine *machine);
enum status opaque_additems(struct machine *machine);
enum status opaque_frozenset(struct machine *machine);
enum status opaque_newobj_ex(struct machine *machine);

/* Reads the next n bytes as a whole number that does not fit 64 bits. */
enum status opaque_number(struct machine *machine, uint64_t n);

#endif
