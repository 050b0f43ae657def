/*
 *   serving   → finishing   [first signal]                       new requests are refused
 *   finishing → leaving     [no request left; drain time over; second signal]   ours are told to drain
 *   leaving   → terminating [they have not ended]                SIGTERM
 *   terminating → killing   [they have not ended]                SIGKILL
 *   leaving, terminating, killing → gone [no replica of ours lives]
 *
 * Every signal after the first hurries to the next phase. Replicas that somebody else started keep their
 * connection until the server closes; main.c hangs up on them then.
 */
#include "coordinator/supervision/lifecycle.h"
#include "common/clock.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/log.h"

enum phase { SERVING, FINISHING, LEAVING, TERMINATING, KILLING, GONE };

#define LEAVING_SECONDS 5.0
#define DEAF_SECONDS 1.5 /* the server comes round twice a second, unless all its threads are held */

void lifecycle_wake(void *wake)
{
    uint64_t one = 1;
    ssize_t written = write(*(int *)wake, &one, sizeof one);
    (void)written; /* full means that it is awake */
}

/* ---- phases ---- */

static void enter_finishing(struct lifecycle *lifecycle)
{
    log_info("shutting down: no new requests; those accepted have %.0f s", lifecycle->drain_seconds);
    scheduler_refuse_new(lifecycle->scheduler);
    health_set(lifecycle->health, false);
    lifecycle->phase = FINISHING;
    lifecycle->deadline = clock_seconds() + lifecycle->drain_seconds;
}

static void enter_leaving(struct lifecycle *lifecycle)
{
    scheduler_end_all(lifecycle->scheduler, "the coordinator is shutting down");
    if (lifecycle->spawn)
        spawn_stop_restarting(lifecycle->spawn);
    scheduler_drain_supervised(lifecycle->scheduler);
    lifecycle->phase = LEAVING;
    lifecycle->deadline = clock_seconds() + LEAVING_SECONDS;
}

static void enter_terminating(struct lifecycle *lifecycle)
{
    log_warning("replicas still run: terminating them");
    spawn_signal(lifecycle->spawn, SIGTERM);
    lifecycle->phase = TERMINATING;
    lifecycle->deadline = clock_seconds() + lifecycle->grace_seconds + 1;
}

static void enter_killing(struct lifecycle *lifecycle)
{
    log_warning("replicas still run: killing them");
    spawn_signal(lifecycle->spawn, SIGKILL);
    lifecycle->phase = KILLING;
    lifecycle->deadline = INFINITY;
}

static void next_phase(struct lifecycle *lifecycle)
{
    static void (*const enter[])(struct lifecycle *) = {
        [SERVING] = enter_finishing,
        [FINISHING] = enter_leaving,
        [LEAVING] = enter_terminating,
        [TERMINATING] = enter_killing,
    };
    if (lifecycle->phase < KILLING)
        enter[lifecycle->phase](lifecycle);
}

static bool phase_is_over(struct lifecycle *lifecycle)
{
    if (lifecycle->phase == FINISHING && scheduler_is_idle(lifecycle->scheduler))
        return true;
    return lifecycle->phase != SERVING && clock_seconds() >= lifecycle->deadline;
}

static bool nobody_lives(const struct lifecycle *lifecycle)
{
    return !lifecycle->spawn || !spawn_n_living(lifecycle->spawn);
}

/* Goes through the phases as far as that needs no waiting. */
static void advance(struct lifecycle *lifecycle)
{
    int before;
    do {
        before = lifecycle->phase;
        if (lifecycle->phase >= LEAVING && nobody_lives(lifecycle))
            lifecycle->phase = GONE;
        else if (phase_is_over(lifecycle))
            next_phase(lifecycle);
    } while (lifecycle->phase != before);
}

/* ---- events ---- */

/* Health follows the replicas while we serve. */
static void look_at_replicas(struct lifecycle *lifecycle)
{
    char reason[512], unready[512];
    enum outlook outlook = scheduler_outlook(lifecycle->scheduler, reason, sizeof reason);
    if (lifecycle->phase != SERVING)
        return;
    health_set(lifecycle->health, rpc_server_listens(lifecycle->server) &&
                                      scheduler_is_ready(lifecycle->scheduler, unready, sizeof unready));
    if (outlook == OUTLOOK_READY)
        readiness_tell(&lifecycle->readiness, lifecycle->address);
    if (outlook != OUTLOOK_HOPELESS || !readiness_awaited(&lifecycle->readiness))
        return;
    log_error("cannot start: %s", reason);
    lifecycle->failed = true;
    next_phase(lifecycle);
}

/* A server whose threads are all held by a flood hears no replica either. */
static void look_at_silence(const struct lifecycle *lifecycle)
{
    if (clock_seconds() - rpc_server_turned_at(lifecycle->server) > DEAF_SECONDS)
        scheduler_excuse_silence(lifecycle->scheduler);
    else
        scheduler_check_silence(lifecycle->scheduler);
}

static void read_signals(struct lifecycle *lifecycle)
{
    struct signalfd_siginfo info;
    while (read(lifecycle->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGCHLD) /* which spawn_step looks after */
            next_phase(lifecycle);
    }
}

static void wait_for_events(struct lifecycle *lifecycle, double seconds)
{
    uint64_t count;
    struct pollfd files[] = {{.fd = lifecycle->signals, .events = POLLIN},
                             {.fd = lifecycle->wake, .events = POLLIN}};
    if (isfinite(lifecycle->deadline) && lifecycle->phase != SERVING)
        seconds = fmin(seconds, fmax(lifecycle->deadline - clock_seconds(), 0));
    poll(files, 2, (int)ceil(seconds * 1000));
    ssize_t drained = read(lifecycle->wake, &count, sizeof count);
    (void)drained; /* nothing there is as good */
    read_signals(lifecycle);
}

int lifecycle_run(struct lifecycle *lifecycle)
{
    lifecycle->phase = SERVING;
    lifecycle->failed = false;
    while (lifecycle->phase != GONE) {
        double seconds = lifecycle->spawn ? spawn_step(lifecycle->spawn) : 1;
        look_at_silence(lifecycle);
        look_at_replicas(lifecycle);
        advance(lifecycle);
        if (lifecycle->turned)
            lifecycle->turned(lifecycle->context);
        if (lifecycle->phase != GONE)
            wait_for_events(lifecycle, seconds);
    }
    return lifecycle->failed ? 1 : 0;
}
