/*
 * html: pages piece by piece, so that nothing gets in unescaped: what html_add()'s format says is markup, and what its
 * arguments say is text. Pure.
 */
#ifndef HTTP_HTML_H
#define HTTP_HTML_H

#include "base/text.h"

/* Of printf: %s, %d, %zu, %lld, %% and nothing else. Texts are good in an element and in an attribute's double quotes. */
void html_add(struct buf *, const char *fmt, ...) PRINTF(2, 3);
/* At most `max` characters of it; an ellipsis says that there was more. */
void html_add_short(struct buf *, const char *text, size_t max);

#endif
