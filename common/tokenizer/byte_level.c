#include "common/tokenizer/byte_level.h"

#include "common/utf8.h"

static bool stands_for_itself(uint32_t byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

int byte_level_byte(uint32_t character)
{
    if (character < 0x100)
        return stands_for_itself(character) ? (int)character : -1;
    uint32_t index = character - 0x100; /* among the others: 0x00-0x20, 0x7F-0xA0, 0xAD */
    if (index <= 0x20)
        return (int)index;
    index -= 0x21;
    if (index <= 0xA0 - 0x7F)
        return (int)(index + 0x7F);
    return index == 0xA0 - 0x7F + 1 ? 0xAD : -1;
}

uint32_t byte_level_character(unsigned char byte)
{
    if (stands_for_itself(byte))
        return byte;
    return 0x100 + (byte <= 0x20 ? byte : byte <= 0xA0 ? byte - 0x7Fu + 0x21 : 0xA0u - 0x7F + 0x22);
}

bool byte_level_decode(const char *word, size_t size_bytes, char *out, size_t *out_bytes)
{
    size_t n = 0;
    for (size_t at = 0; at < size_bytes;) {
        uint32_t character;
        int size = utf8_read(word + at, size_bytes - at, &character);
        int byte = size ? byte_level_byte(character) : -1;
        if (byte < 0)
            return false;
        out[n++] = (char)byte;
        at += (size_t)size;
    }
    *out_bytes = n;
    return true;
}
