#include "tests/support/mutate.h"

#include <string.h>

uint64_t sequence_next(struct sequence *sequence)
{
    sequence->state ^= sequence->state >> 12;
    sequence->state ^= sequence->state << 25;
    sequence->state ^= sequence->state >> 27;
    return sequence->state * 0x2545F4914F6CDD1Du;
}

size_t sequence_below(struct sequence *sequence, size_t n)
{
    return (size_t)(sequence_next(sequence) >> 16) % n;
}

/* Writes n bytes over those at a random place. */
static void overwrite(struct sequence *sequence, uint8_t *bytes, size_t size_bytes, const void *from,
                      size_t n)
{
    if (n > size_bytes)
        return;
    memcpy(bytes + sequence_below(sequence, size_bytes - n + 1), from, n);
}

static void put_number(struct sequence *sequence, uint8_t *bytes, size_t size_bytes)
{
    static const uint64_t numbers[] = {0,          1,          0x7F,       0x80,      0xFF,       0xFFFF,
                                       0x7FFFFFFF, 0x80000000, UINT32_MAX, INT64_MAX, UINT64_MAX, 1000000};
    const uint64_t number = numbers[sequence_below(sequence, sizeof numbers / sizeof *numbers)];
    overwrite(sequence, bytes, size_bytes, &number, (size_t)1 << sequence_below(sequence, 4));
}

static void put_token(struct sequence *sequence, uint8_t *bytes, size_t size_bytes)
{
    static const char *const tokens[] = {"[",        "]",        "{",
                                         "}",        "\"",       ",",
                                         "-1",       "0",        "9223372036854775807",
                                         "1e999",    "null",     "[]",
                                         "{}",       "\"F64\"",  "\"U8\"",
                                         "\"mask\"", "\\u0000",  "(",
                                         ".",        "q",        "h",
                                         "R",        "t",        "u",
                                         "Q",        "b",        "\x85",
                                         "\x86",     "\x8a\x08", "cos\nsystem\n"};
    const char *token = tokens[sequence_below(sequence, sizeof tokens / sizeof *tokens)];
    overwrite(sequence, bytes, size_bytes, token, strlen(token));
}

static void take_out(struct sequence *sequence, uint8_t *bytes, size_t *size_bytes)
{
    const size_t first = sequence_below(sequence, *size_bytes);
    size_t n = 1 + sequence_below(sequence, 64);
    if (n > *size_bytes - first)
        n = *size_bytes - first;
    memmove(bytes + first, bytes + first + n, *size_bytes - first - n);
    *size_bytes -= n;
}

/* Inserts a copy of a run somewhere else. */
static void copy_run(struct sequence *sequence, uint8_t *bytes, size_t *size_bytes, size_t room)
{
    uint8_t run[256];
    const size_t from = sequence_below(sequence, *size_bytes), to = sequence_below(sequence, *size_bytes + 1);
    size_t n = 1 + sequence_below(sequence, sizeof run);
    if (n > *size_bytes - from)
        n = *size_bytes - from;
    if (n > room - *size_bytes)
        return;
    memcpy(run, bytes + from, n);
    memmove(bytes + to + n, bytes + to, *size_bytes - to);
    memcpy(bytes + to, run, n);
    *size_bytes += n;
}

void mutate(struct sequence *sequence, uint8_t *bytes, size_t *size_bytes, size_t room)
{
    for (size_t left = 1 + sequence_below(sequence, 4); left > 0 && *size_bytes > 0; left--) {
        switch (sequence_below(sequence, 8)) {
        case 0:
        case 1:
            bytes[sequence_below(sequence, *size_bytes)] ^= (uint8_t)(1 << sequence_below(sequence, 8));
            break;
        case 2:
            bytes[sequence_below(sequence, *size_bytes)] = (uint8_t)sequence_next(sequence);
            break;
        case 3:
            put_number(sequence, bytes, *size_bytes);
            break;
        case 4:
        case 5:
            put_token(sequence, bytes, *size_bytes);
            break;
        case 6:
            take_out(sequence, bytes, size_bytes);
            break;
        default:
            copy_run(sequence, bytes, size_bytes, room);
        }
    }
}
