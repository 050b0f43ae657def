/* For comparing with Jinja: each line of the input is {"template": T, "messages": [{role, content}],
 * "generate": bool, "variables": {...}}; each line of the output is {"text": T} or {"error": sentence}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/chat/chat_template.h"

static json_t *render(json_t *line)
{
    struct error error;
    struct chat_template *template = NULL;
    struct chat_message messages[16];
    struct chat_text text = {0};
    json_t *list = json_object_get(line, "messages"), *message, *answer,
           *source = json_object_get(line, "template");
    const struct chat_options options = {json_is_true(json_object_get(line, "generate")),
                                         json_object_get(line, "variables")};
    size_t index, n = json_array_size(list) < 16 ? json_array_size(list) : 16;
    json_array_foreach(list, index, message)
    {
        json_t *content = json_object_get(message, "content");
        if (index < n)
            messages[index] = (struct chat_message){json_string_value(json_object_get(message, "role")),
                                                    json_string_value(content), json_string_length(content)};
    }
    if (chat_template_parse(json_string_value(source), json_string_length(source), NULL, "t", &template,
                            &error) == STATUS_OK &&
        chat_template_render(template, messages, n, &options, &text, &error) == STATUS_OK)
        answer = json_pack("{s:s%}", "text", text.bytes, text.size_bytes);
    else
        answer = json_pack("{s:s}", "error", error.text);
    chat_text_release(&text);
    chat_template_free(template);
    return answer;
}

int main(void)
{
    json_t *line;
    while ((line = json_loadf(stdin, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL)) != NULL) {
        json_t *answer = render(line);
        json_dumpf(answer, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(answer);
        json_decref(line);
    }
    return EXIT_SUCCESS;
}
