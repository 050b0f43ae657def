#ifndef MILLRACE_CLI_TERMINAL_INTERRUPT_H
#define MILLRACE_CLI_TERMINAL_INTERRUPT_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * A command looks for Ctrl-C, SIGTERM and SIGHUP between two waits, so that it can restore the terminal and
 * end its cluster before it goes. There is no handler and no global variable: the signals are blocked, and
 * the command asks for them.
 */

/* Blocks them for this thread and those that it starts; call before any other thread runs. */
void interrupt_block(void);

/* Takes a signal that has come. False: none has. */
bool interrupt_taken(void);

/* Waits at most so long for a signal and takes it. False: none came. */
bool interrupt_wait(double seconds);

#endif
