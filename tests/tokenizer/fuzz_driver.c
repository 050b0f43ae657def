/* A bounded mutation run over the harness: 20,000 inputs from one seed, no libFuzzer needed. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tokenizer/small_vocabulary.h"

bool fuzz_tokenizer(const uint8_t *data, size_t size);

enum { ROUNDS = 20000, ROOM = 64 };

static uint64_t state = 20261121;

static uint32_t draw(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

/* Overwrites, deletes, doubles or inserts at a random place; returns the new size. */
static size_t mutate(uint8_t *data, size_t size)
{
    static const char *const words[] = {"\"",   "{",       "}",   "[", "]",      ",",   "0",   "-1",
                                        "null", "\\u0000", "1e9", " ", "\"he\"", "257", "true"};
    size_t at = draw((uint32_t)size), length = 1 + draw(8);
    if (length > size - at)
        length = size - at;
    switch (draw(4)) {
    case 0:
        data[at] = (uint8_t)draw(256);
        return size;
    case 1:
        memmove(data + at, data + at + length, size - at - length);
        return size - length;
    case 2:
        memmove(data + at + length, data + at, size - at);
        return size + length;
    }
    const char *word = words[draw(sizeof words / sizeof *words)];
    memmove(data + at + strlen(word), data + at, size - at);
    memcpy(data + at, word, strlen(word));
    return size + strlen(word);
}

int main(void)
{
    json_t *root = small_vocabulary();
    char *json = json_dumps(root, 0);
    size_t whole = strlen(json);
    json_decref(root);
    int n_accepted = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t *data = malloc(whole + ROOM);
        memcpy(data, json, whole);
        size_t size = whole;
        for (uint32_t n = 1 + draw(4); n > 0; n--)
            size = mutate(data, size);
        data = realloc(data, size);
        n_accepted += fuzz_tokenizer(data, size);
        free(data);
    }
    free(json);
    printf("%d mutations, %d accepted\n", ROUNDS, n_accepted);
    return n_accepted > 0 && n_accepted < ROUNDS ? EXIT_SUCCESS
                                                 : EXIT_FAILURE; /* neither path was left out */
}
