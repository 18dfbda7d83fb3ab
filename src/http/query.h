/*
 * query: paths and query strings, decoded. Pure.
 */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>

/* With %XX decoded ('%' without two hex digits stays), and '+' as a space when `plus`. NULL: it holds a zero byte. The caller frees. */
char *query_decode(const char *raw, size_t len, bool plus);
/* The value of `key` in "a=1&b=2", decoded; NULL: it is not there, there more than once, or holds a zero byte. query may be NULL. */
char *query_value(const char *query, const char *key);

#endif
