#ifndef MILLRACE_CLI_CONVERT_PICKLE_OPERATIONS_H
#define MILLRACE_CLI_CONVERT_PICKLE_OPERATIONS_H

#include "cli/convert/pickle_machine.h"

/* Runs the operation `opcode`. */
enum status machine_operate(struct machine *machine, unsigned char opcode);

#endif
