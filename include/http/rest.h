/*
 * rest: the routing data by HTTP, as wazo-router-confd has it: for each table POST and GET /1.0/PATH, GET, PUT and DELETE
 * /1.0/PATH/{key}; CDRs are added and read only. Off unless routing.api. Handlers get a struct app as arg.
 */
#ifndef HTTP_REST_H
#define HTTP_REST_H

#include "http/httpd.h"

#define REST_LIMIT 100       /* rows of a list, unless it says otherwise, */
#define REST_LIMIT_MAX 1000
#define REST_OFFSET_MAX (INT64_C(1) << 40)

extern const struct httpd_route rest_routes[]; /* ends with a route without a path; Kamailio's routes go before them */

#endif
