/*
 * One socket is the judge's input and output. One thread serves it with poll: it sends texts as fast as the
 * judge reads them and takes answers as they come, so the two sides cannot block each other.
 */
#include "cli/eval/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/json_output.h"
#include "common/process.h"

enum {
    LOOK_EVERY_MS = 100,
    END_GRACE_MS = 2000,
    LINE_BYTES_MAX = 1 << 20,
    QUOTED_BYTES = 80,
    NAME_MAX_BYTES = 200
};

struct judge {
    struct process process;
    int line; /* our end of the socket */
    double timeout_s;
    char *name;
    char *received; /* [LINE_BYTES_MAX] */
    size_t n_received;
    size_t n_texts; /* texts asked about so far, which is the id of the next */
};

/* The shell makes the inherited descriptor the judge's standard input. Then the judge takes the shell's
 * place, so that a signal reaches it and its end is our child's end. */
static const char wrapper[] = "exec <&\"$1\" && eval \"exec $2\"";

static enum status start(const char *command, struct judge *judge, struct error *error)
{
    int ends[2];
    char number[16];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no socket for the judge: %s", strerror(errno));
    snprintf(number, sizeof number, "%d", ends[1]);
    const char *const argv[] = {"sh", "-c", wrapper, "judge", number, command, NULL};
    const struct process_options options = {
        .arguments = (char *const *)(uintptr_t)argv, .output = ends[1], .errors = -1, .kept = ends[1]};
    enum status status = process_start(&options, &judge->process, error);
    close(ends[1]);
    judge->line = ends[0];
    fcntl(judge->line, F_SETFL, O_NONBLOCK);
    return status;
}

/* Quotes what the judge has said, for an error message. */
static const char *quoted(const char *line, char text[QUOTED_BYTES + 4])
{
    size_t size = strlen(line);
    snprintf(text, QUOTED_BYTES + 4, "%.*s%s", QUOTED_BYTES, line, size > QUOTED_BYTES ? "..." : "");
    return text;
}

static enum status complain(const char *line, const char *why, struct error *error)
{
    char text[QUOTED_BYTES + 4];
    return error_set(error, STATUS_DATA_LOSS, "the judge said '%s': %s (docs/eval.md has the protocol)",
                     quoted(line, text), why);
}

static enum status has_ended(struct judge *judge, struct error *error)
{
    int code = 0;
    if (!process_wait(&judge->process, END_GRACE_MS, &code))
        return error_set(error, STATUS_FAILED_PRECONDITION, "the judge closed its output and runs on");
    return error_set(error, STATUS_FAILED_PRECONDITION,
                     "the judge ended too early (exit code %d); what it said is above", code);
}

/* Reads the bytes that have come. */
static enum status receive(struct judge *judge, struct error *error)
{
    if (judge->n_received == LINE_BYTES_MAX - 1)
        return error_set(error, STATUS_DATA_LOSS, "the judge wrote a line of more than %d bytes",
                         LINE_BYTES_MAX);
    ssize_t n =
        recv(judge->line, judge->received + judge->n_received, LINE_BYTES_MAX - 1 - judge->n_received, 0);
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return has_ended(judge, error);
    if (n > 0)
        judge->n_received += (size_t)n;
    return STATUS_OK;
}

/* Takes the first whole line as a malloc'ed string; NULL where there is none yet. */
static char *take_line(struct judge *judge)
{
    char *end = memchr(judge->received, '\n', judge->n_received);
    if (!end)
        return NULL;
    size_t size = (size_t)(end - judge->received);
    char *line = strndup(judge->received, size);
    judge->n_received -= size + 1;
    memmove(judge->received, end + 1, judge->n_received);
    return line;
}

/* Waits until there is something to read or, with `with_output`, room to write. `since` is when the judge
 * last said something. */
static enum status wait_for(const struct judge *judge, bool with_output, double since, short *events,
                            struct error *error)
{
    struct pollfd line = {.fd = judge->line, .events = (short)(POLLIN | (with_output ? POLLOUT : 0))};
    while (poll(&line, 1, LOOK_EVERY_MS) <= 0) {
        if (interrupt_taken())
            return error_set(error, STATUS_CANCELLED, "interrupted");
        if (clock_seconds() - since > judge->timeout_s)
            return error_set(error, STATUS_FAILED_PRECONDITION,
                             "the judge has said nothing for %g s (--judge-timeout)", judge->timeout_s);
    }
    if (interrupt_taken())
        return error_set(error, STATUS_CANCELLED, "interrupted");
    *events = line.revents;
    return STATUS_OK;
}

static enum status read_hello(struct judge *judge, const char *line, struct error *error)
{
    json_t *hello = json_loads(line, 0, NULL);
    const char *name = json_string_value(json_object_get(hello, "judge"));
    enum status status = STATUS_OK;
    if (!name || !*name || strlen(name) > NAME_MAX_BYTES)
        status = complain(line, "its first line must be {\"judge\": \"NAME AND VERSION\"}", error);
    else if (!(judge->name = strdup(name)))
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the judge's name");
    json_decref(hello);
    return status;
}

static enum status greet(struct judge *judge, struct error *error)
{
    double since = clock_seconds();
    char *line;
    while (!(line = take_line(judge))) {
        short events;
        enum status status = wait_for(judge, false, since, &events, error);
        if (status == STATUS_OK)
            status = receive(judge, error);
        if (status != STATUS_OK)
            return status;
    }
    enum status status = read_hello(judge, line, error);
    free(line);
    return status;
}

enum status judge_open(const char *command, double timeout_s, struct judge **judge, struct error *error)
{
    struct judge *new = calloc(1, sizeof *new);
    if (!new)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a judge");
    new->line = -1;
    new->timeout_s = timeout_s;
    new->received = calloc(1, LINE_BYTES_MAX);
    enum status status = new->received
                             ? start(command, new, error)
                             : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a judge's answers");
    if (status == STATUS_OK)
        status = greet(new, error);
    if (status != STATUS_OK) {
        judge_close(new);
        return status;
    }
    *judge = new;
    return STATUS_OK;
}

const char *judge_name(const struct judge *judge)
{
    return judge->name;
}

void judge_close(struct judge *judge)
{
    int code;
    if (!judge)
        return;
    if (judge->line >= 0)
        close(judge->line);
    if (judge->process.pid && !process_wait(&judge->process, judge->name ? END_GRACE_MS : 0, &code))
        process_stop(&judge->process, END_GRACE_MS);
    free(judge->name);
    free(judge->received);
    free(judge);
}

/* Texts on their way to the judge, and answers on their way back. */
struct exchange {
    struct judge *judge;
    struct sample *samples;
    size_t n, n_sent, n_answered;
    char *request; /* the line that is being sent; malloc'ed, NULL: none */
    size_t request_size, request_sent;
};

static enum status next_request(struct exchange *exchange, struct error *error)
{
    const char *text = exchange->samples[exchange->n_sent].text;
    json_t *message = json_pack("{s:I, s:o}", "id", (json_int_t)(exchange->judge->n_texts + exchange->n_sent),
                                "text", json_of_bytes(text, strlen(text)));
    char *line = json_dumps(message, JSON_COMPACT);
    json_decref(message);
    size_t size = line ? strlen(line) : 0;
    exchange->request = line ? realloc(line, size + 2) : NULL;
    if (!exchange->request) {
        free(line);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a text for the judge");
    }
    memcpy(exchange->request + size, "\n", 2);
    exchange->request_size = size + 1;
    exchange->request_sent = 0;
    return STATUS_OK;
}

/* Sends until the judge takes no more for now. When the judge is gone, the next read from it shows that. */
static enum status send_texts(struct exchange *exchange, struct error *error)
{
    while (exchange->n_sent < exchange->n) {
        enum status status = exchange->request ? STATUS_OK : next_request(exchange, error);
        if (status != STATUS_OK)
            return status;
        ssize_t n = send(exchange->judge->line, exchange->request + exchange->request_sent,
                         exchange->request_size - exchange->request_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return STATUS_OK;
        exchange->request_sent += (size_t)n;
        if (exchange->request_sent < exchange->request_size)
            return STATUS_OK;
        free(exchange->request);
        exchange->request = NULL;
        exchange->n_sent++;
    }
    return STATUS_OK;
}

static enum status read_answer(struct exchange *exchange, const char *line, const json_t *answer,
                               struct error *error)
{
    char why[96];
    const json_t *id = json_object_get(answer, "id"), *nll = json_object_get(answer, "nll"),
                 *tokens = json_object_get(answer, "tokens");
    const char *refusal = json_string_value(json_object_get(answer, "error"));
    size_t expected = exchange->judge->n_texts + exchange->n_answered;
    snprintf(why, sizeof why, "the answer to the text with \"id\": %zu was due", expected);
    if (exchange->n_answered == exchange->n_sent)
        return complain(line, "nothing was asked", error);
    if (!json_is_integer(id) || (size_t)json_integer_value(id) != expected)
        return complain(line, why, error);
    if (refusal)
        return error_set(error, STATUS_FAILED_PRECONDITION, "the judge %s cannot score text %zu: %.200s",
                         exchange->judge->name, exchange->n_answered, refusal);
    if (!json_is_number(nll) || !(json_number_value(nll) >= 0))
        return complain(line, "\"nll\" must be the sum of −ln p, a number that is not below 0", error);
    if (!json_is_integer(tokens) || json_integer_value(tokens) < 0)
        return complain(line, "\"tokens\" must be a whole number that is not below 0", error);
    exchange->samples[exchange->n_answered].nll = json_number_value(nll);
    exchange->samples[exchange->n_answered].n_judge_tokens = json_number_value(tokens);
    exchange->n_answered++;
    return STATUS_OK;
}

/* Takes every answer that has come. */
static enum status take_answers(struct exchange *exchange, struct error *error)
{
    enum status status = receive(exchange->judge, error);
    for (char *line; status == STATUS_OK && (line = take_line(exchange->judge)) != NULL; free(line)) {
        json_t *answer = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        status = json_is_object(answer) ? read_answer(exchange, line, answer, error)
                                        : complain(line, "that is no JSON object", error);
        json_decref(answer);
    }
    return status;
}

enum status judge_score(struct judge *judge, struct sample *samples, size_t n,
                        const struct progress *progress, struct error *error)
{
    struct exchange exchange = {.judge = judge, .samples = samples, .n = n};
    enum status status = STATUS_OK;
    double heard = clock_seconds();
    while (status == STATUS_OK && exchange.n_answered < n) {
        short events;
        status = wait_for(judge, exchange.n_sent < n, heard, &events, error);
        if (status == STATUS_OK && (events & POLLOUT))
            status = send_texts(&exchange, error);
        if (status == STATUS_OK && (events & (POLLIN | POLLHUP | POLLERR))) {
            status = take_answers(&exchange, error);
            heard = clock_seconds();
            if (progress)
                progress_show(progress, exchange.n_answered);
        }
    }
    free(exchange.request);
    judge->n_texts += n;
    return status;
}
