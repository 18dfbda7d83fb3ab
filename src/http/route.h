/*
 * route: which route a path and a method mean. Pure.
 */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "http/httpd.h"

/*
 * The route, and where in `path` its {id} stands (NULL: it has none); method -1 is none that routes have. NULL: no route;
 * then `methods` has the bits (1 << method) of those that the path has.
 */
const struct httpd_route *route_find(const struct httpd_route *, const char *path, int method, const char **id, unsigned *methods);
/* "GET, HEAD, POST": what a 405 says. 40 bytes hold them all. */
void route_allow(unsigned methods, char *out, size_t size);

#endif
