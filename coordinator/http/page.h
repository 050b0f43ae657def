#ifndef MILLRACE_COORDINATOR_HTTP_PAGE_H
#define MILLRACE_COORDINATOR_HTTP_PAGE_H

#include <stddef.h>

/* The files of page/, which the build turns into arrays: the program needs nothing beside itself to show
 * them. */
extern const unsigned char page_index_html[], page_page_css[], page_page_js[];
extern const size_t page_index_html_size, page_page_css_size, page_page_js_size;

#endif
