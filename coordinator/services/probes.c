#include "coordinator/services/probes.h"

#include <stdio.h>

#include "common/clock.h"
#include "coordinator/services/metrics_page.h"

enum { OK = 200, UNAVAILABLE = 503, DEAD_SECONDS = 30 };

void probes_beat(struct coordinator *coordinator)
{
    double now = clock_seconds();
    atomic_store(&coordinator->beat_at, now);
    metrics_tick(coordinator->metrics, now);
}

static unsigned write_metrics(void *context, struct exposition *page)
{
    metrics_page_write(context, page);
    return OK;
}

static unsigned write_health(void *context, struct exposition *page)
{
    struct coordinator *coordinator = context;
    double silence = clock_seconds() - atomic_load(&coordinator->beat_at);
    char sentence[96];
    snprintf(sentence, sizeof sentence, "the main loop has not turned for %.0f s\n", silence);
    exposition_text(page, silence < DEAD_SECONDS ? "ok\n" : sentence);
    return silence < DEAD_SECONDS ? OK : UNAVAILABLE;
}

static unsigned write_readiness(void *context, struct exposition *page)
{
    struct coordinator *coordinator = context;
    char reason[512];
    bool ready = scheduler_is_ready(coordinator->scheduler, reason, sizeof reason);
    if (ready && !rpc_server_listens(coordinator->server)) {
        snprintf(reason, sizeof reason, "nobody is let in: the process had no descriptor left");
        ready = false;
    }
    exposition_text(page, ready ? "ready" : reason);
    exposition_text(page, "\n");
    return ready ? OK : UNAVAILABLE;
}

const struct http_page probe_pages[] = {
    {"/metrics", EXPOSITION_CONTENT_TYPE, write_metrics},
    {"/healthz", "text/plain; charset=utf-8", write_health},
    {"/readyz", "text/plain; charset=utf-8", write_readiness},
    {0},
};
