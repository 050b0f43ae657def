#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>

static sigset_t interrupting_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    return set;
}

void interrupt_block(void)
{
    sigset_t set = interrupting_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void interrupt_unblock(void)
{
    sigset_t set = interrupting_signals();
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

bool interrupt_taken(void)
{
    sigset_t set = interrupting_signals();
    return sigtimedwait(&set, NULL, &(struct timespec){0}) > 0;
}
