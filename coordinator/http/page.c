/* The page: what a browser sees at "/". It has no secret in it, so it asks for no token; the page itself
 * does. */
#include "coordinator/http/page.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/http/problem.h"
#include "coordinator/http/routes.h"

static const struct {
    const char *path, *content_type;
    const unsigned char *bytes;
    const size_t *size;
} files[] = {
    {"/", "text/html; charset=utf-8", page_index_html, &page_index_html_size},
    {"/page.css", "text/css; charset=utf-8", page_page_css, &page_page_css_size},
    {"/page.js", "text/javascript; charset=utf-8", page_page_js, &page_page_js_size},
};

void page_handle(struct exchange *exchange, struct coordinator *coordinator)
{
    int i = 0;
    (void)coordinator;
    while (strcmp(files[i].path, exchange->path) != 0) /* routes.c has the same */
        i++;
    char *copy = malloc(*files[i].size);
    if (copy)
        memcpy(copy, files[i].bytes, *files[i].size);
    exchange_answer(exchange, copy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, files[i].content_type, copy,
                    copy ? *files[i].size : 0);
}
