/*
 * reply: what answers are made of.
 */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include <stddef.h>

#define REPLY_JSON "application/json"

/* {"detail":TEXT}. NULL and 0 when memory is out; the caller frees. */
char *reply_error_text(const char *text, size_t *len);

#endif
