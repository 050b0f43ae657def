#include "worker/verify/report.h"

#include <jansson.h>
#include <math.h>

/* Prints the line and frees it. JSON has no NaN and no infinity: those numbers become null. */
static void print(struct report *report, json_t *line)
{
    if (report->out) {
        json_dumpf(line, report->out, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
        putc('\n', report->out);
        fflush(report->out);
    }
    json_decref(line);
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

void report_finding(struct report *report, const struct finding *finding)
{
    bool ok = finding->at_least ? finding->value >= finding->limit : finding->value <= finding->limit;
    report->n_checks++;
    report->n_failed += !ok;
    print(report, json_pack("{s:s, s:s, s:i, s:s, s:o, s:o, s:b, s:b, s:s*}", "file", finding->file, "check",
                            finding->what, "count", finding->count, "unit", finding->unit, "value",
                            number(finding->value), "limit", number(finding->limit), "at_least",
                            finding->at_least, "ok", ok, "note", finding->note));
}

void report_refusal(struct report *report, const char *file, const char *reason)
{
    report->n_checks++;
    report->n_failed++;
    print(report, json_pack("{s:s, s:b, s:s}", "file", file, "ok", false, "note", reason));
}

void report_left(struct report *report, const char *file)
{
    print(report, json_pack("{s:s, s:b}", "file", file, "left", true));
}

void report_summary(struct report *report, int n_ranks)
{
    print(report, json_pack("{s:i, s:i, s:i, s:i}", "ranks", n_ranks, "files", report->n_files, "checks",
                            report->n_checks, "failed", report->n_failed));
}
