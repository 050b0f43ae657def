#ifndef MILLRACE_CLI_TERMINAL_INTERRUPT_H
#define MILLRACE_CLI_TERMINAL_INTERRUPT_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Ctrl-C, SIGTERM and SIGHUP as something to look at between two waits, so that a command can put the
 * terminal right and end its cluster before it goes. Without a handler and without a global: the signals are
 * blocked and asked for.
 */

/* Blocks them for this thread and those that it starts; call before any other thread runs. */
void interrupt_block(void);

/* Takes one that has come. */
bool interrupt_taken(void);

/* Waits for one, so long at the most; whether it came. */
bool interrupt_wait(double seconds);

#endif
