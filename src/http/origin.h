/*
 * origin: whether a web page may have made a request. Pure.
 */
#ifndef HTTP_ORIGIN_H
#define HTTP_ORIGIN_H

#include <stdbool.h>

/*
 * Browsers name the page that a request comes from; others don't. A page may change something only if it
 * is from this very server: its origin is `host` (the Host header), and that is an IP address, localhost or `machine`, since any
 * other name could be one that the page's owner has pointed at us.
 */
bool origin_is_fine(const char *origin, const char *host, const char *machine);

#endif
