/*
 * httpd: c4d's HTTP server; the only user of libevent's HTTP server. Every limit is on: 8 KB of headers, the route's own for
 * the body, HTTPD_CONNECTIONS_MAX connections (further ones wait in the listener's queue), 5 s of idle time, 10 s from the first byte of a request
 * to its last. A request that is answered later has its own deadline.
 *
 * Routes are a table: method and decoded path, exactly. An unknown path is 404, a known one with another method 405 with
 * Allow, an absolute URL 400. Errors are JSON {"error":TEXT}. No answer holds more than what was asked for: no Server header, no
 * version. Handlers run from the loop and answer with httpd_reply(), now or later, exactly once.
 */
#ifndef HTTP_HTTPD_H
#define HTTP_HTTPD_H

#include <jansson.h>

#include "base/loop.h"
#include "config/conf.h"

#define HTTPD_CONNECTIONS_MAX 256
#define HTTPD_DEADLINE_MS 10000 /* of a request that is answered later: 504 then */

struct httpd;
struct httpd_req;

enum httpd_method { HTTPD_GET, HTTPD_POST };
typedef void httpd_handler(struct httpd_req *, void *arg);

struct httpd_route {
	enum httpd_method method;
	const char *path;
	size_t max_body;
	httpd_handler *handle;
};

struct httpd_view {
	uint64_t requests, refused; /* refused: by a limit, or no route */
	size_t connections;
	size_t listeners;
	const char *why;            /* "": all listeners stand; else which does not, and why */
};

/*
 * Listens on conf's http.listen, {ip:IFACE} filled in; an address that this machine does not have (yet) is tried again every
 * second, and said. Ends with HTTPD_END: a route without a path.
 */
MUST_USE int httpd_new(struct httpd **out, struct loop *, const struct conf *, const struct httpd_route *, void *arg);
/* Of a reload: listeners that stay keep their connections. */
void httpd_set_conf(struct httpd *, const struct conf *);
void httpd_free(struct httpd *); /* NULL is fine; what was not answered gets 503 */
void httpd_view(const struct httpd *, struct httpd_view *);
/* The port of http.listen that others reach us by, for eid checks; 0: none. */
uint16_t httpd_port(const struct conf *);

/* Of a request; all lent, until it is answered. */
const char *httpd_path(const struct httpd_req *);
const char *httpd_query(const struct httpd_req *, const char *key); /* decoded; NULL: not there, or twice */
const char *httpd_header(const struct httpd_req *, const char *name); /* NULL */
const char *httpd_body(const struct httpd_req *, size_t *len);
const char *httpd_peer(const struct httpd_req *);                   /* "127.0.0.1:41234" */

void httpd_reply(struct httpd_req *, int status, const char *type, const char *body, size_t len);
void httpd_reply_text(struct httpd_req *, int status, const char *fmt, ...) PRINTF(3, 4);
void httpd_reply_json(struct httpd_req *, int status, json_t *takes);
void httpd_reply_error(struct httpd_req *, int status, const char *fmt, ...) PRINTF(3, 4);

#endif
