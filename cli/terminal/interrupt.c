#include "cli/terminal/interrupt.h"

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

bool interrupt_taken(void)
{
    return interrupt_wait(0);
}

bool interrupt_wait(double seconds)
{
    sigset_t set = interrupting_signals();
    const struct timespec patience = {.tv_sec = (time_t)seconds,
                                      .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    return sigtimedwait(&set, NULL, &patience) > 0;
}
