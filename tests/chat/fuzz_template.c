/* One fuzz input: bytes that are read as a chat template. What is accepted must be bounded: it renders or is
 * refused. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/chat/chat_template.h"

int fuzz_template(const uint8_t *data, size_t size);

/* 1: the input was accepted; 0: refused. */
int fuzz_template(const uint8_t *data, size_t size)
{
    static const struct chat_message messages[] = {{"system", "s", 1}, {"user", "\xC3\xA9 <|im_end|>", 13}};
    const struct chat_options options = {.add_generation_prompt = true};
    struct chat_template *template = NULL;
    struct chat_text text = {0};
    struct error error;
    if (chat_template_parse((const char *)data, size, NULL, "fuzz", &template, &error) != STATUS_OK)
        return 0;
    if (chat_template_render(template, messages, 2, &options, &text, &error) == STATUS_OK &&
        (text.bytes[text.size_bytes] != '\0' || !text.users))
        abort();
    chat_text_release(&text);
    chat_template_free(template);
    return 1;
}
