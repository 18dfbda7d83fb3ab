/*
 * kamailio: the endpoints that Kamailio asks, as wazo-router-confd has them:
 *   POST /1.0/kamailio/routing, /kamailio/rtjson (and /1.0/kamailio/rtjson), /1.0/kamailio/auth, /1.0/kamailio/cdr
 * and counts of what they answered. Only clients in routing.clients are answered; others get 403.
 */
#ifndef HTTP_KAMAILIO_H
#define HTTP_KAMAILIO_H

#include "base/histogram.h"
#include "http/httpd.h"
#include "routing/password.h"

struct kamapi;
struct app;

struct kamapi_view {
	uint64_t decisions, routed, unrouted; /* of /routing: answered, with a route, without */
	uint64_t auths, authenticated;        /* of /auth */
	uint64_t cdrs;                        /* of /cdr, stored */
	uint64_t refused;                     /* 4xx, 5xx of all of them */
	struct histogram took;                /* of decisions: from the whole request to the answer */
};

MUST_USE int kamapi_new(struct kamapi **out, struct loop *, struct worker *);
void kamapi_free(struct kamapi *); /* NULL is fine; before the httpd: what waits for a password is answered 503 */
void kamapi_view(const struct kamapi *, struct kamapi_view *);

/* How the routing API looks at the world now: for decisions elsewhere (route explain). */
struct rt_env;
void kamapi_env(const struct app *, struct rt_env *);

/* True: answered already, since this client is none of routing.clients, or there is no routing data. */
bool kamapi_refuses(const struct app *, struct httpd_req *);

httpd_handler kamapi_post_routing, kamapi_post_auth, kamapi_post_cdr;

#endif
