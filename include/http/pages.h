/*
 * pages: what c4d's HTTP server shows of the daemon itself. Handlers get a struct app as arg.
 *
 *   GET /, GET /v1/events                  http/feed.h
 *   GET /status                            204 while the daemon runs
 *   GET /health                            {status: "ok"|"degraded"|"failing", generation, problems: [TEXT]}; 503 when failing
 *   GET /metrics                           http/metrics.h
 *   GET /v1/topology                       what `c4ctl -f json show topology` says
 *   GET /res_discovery_consul/check_eid    ?expected_eid=: 200 when a registration of this c4d has this endpoint id, 404 when
 *   GET /consul_check                      none has, 400 without the parameter; for Consul's check of the type `eid`
 *
 *   GET /1.0/kamailio/dbtext/uacreg, POST /1.0/kamailio/...   http/kamailio.h, http/uacreg.h
 *   /1.0/RESOURCE                          http/rest.h
 *   GET /api/v1/openapi.json               http/openapi.h
 *
 * failing: nothing of what it is there for is done: there are targets or registrations, and all of them are failed or
 * unreachable. degraded: there are problems (`c4ctl status` says what to do about each).
 */
#ifndef HTTP_PAGES_H
#define HTTP_PAGES_H

#include "http/httpd.h"

const struct httpd_route *pages_routes(void); /* all there are: Kamailio's and the REST interface's too; ends with HTTPD_END */

#endif
