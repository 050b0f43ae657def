#ifndef MILLRACE_COMMON_MEMORY_RETURN_H
#define MILLRACE_COMMON_MEMORY_RETURN_H

/*
 * Memory that was freed goes back to the system. By itself malloc keeps most of it: what is free below a
 * block that is in use stays, in several arenas. So a program that was flooded
 * once would keep its largest size.
 */

/* At the start, before any thread: few arenas. */
void memory_return_prepare(void);
/* Gives back what is free when that is much (MEMORY_RETURN_BYTES), at most every few seconds. Call it now and
 * then, from one thread. */
void memory_return(void);

enum { MEMORY_RETURN_BYTES = 32 << 20 };

#endif
