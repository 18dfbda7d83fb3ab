/*
 * openapi: what c4d's HTTP server answers, as an OpenAPI 3 document, made from the schema of the routing data. Pure.
 */
#ifndef HTTP_OPENAPI_H
#define HTTP_OPENAPI_H

#include <jansson.h>
#include <stdbool.h>

json_t *openapi_document(bool rest); /* rest: with the REST interface, not only Kamailio's and the daemon's own pages */

#endif
