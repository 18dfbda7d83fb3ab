/*
 * httpd: c4d's HTTP server; the only user of libevent's HTTP server. Every limit is on: 8 KB of headers, the route's own for
 * the body, HTTPD_CONNECTIONS_MAX connections (further ones wait in the listener's queue), 5 s of idle time, 10 s from the
 * first byte of a request to its last, and 5 s (10 s while the peer goes on sending) to read the answer. A request that is
 * answered later has its own deadline. A stream, an answer without an end, has none, but its peer must read.
 *
 * Routes are a table: method and decoded path, exactly; a path that ends in "/{id}" takes one segment there, which is not
 * empty, and what stands before it may then be asked for with a slash behind it ("/1.0/ipbxs/" is "/1.0/ipbxs"). An exact route
 * goes before one with {id}. An unknown path is 404, a known one with another method 405 with Allow, an absolute URL 400. HEAD
 * is answered like GET, without a body. A longer body than the route takes is 413, which its sender can read when he has sent
 * it all. What a web page of another server asks for (Origin) is 403, unless it only reads. Errors are JSON {"detail":TEXT}. No
 * answer holds more than what was asked for: no Server header, no version.
 *
 * Handlers run from the loop and answer with one of the httpd_reply functions, now or later, exactly once: also after the
 * deadline (the peer has had its 504 then) and after httpd_free(), since that is what ends the request's memory.
 */
#ifndef HTTP_HTTPD_H
#define HTTP_HTTPD_H

#include <jansson.h>

#include "base/loop.h"
#include "base/text.h"
#include "config/conf.h"
#include "topology/addr.h"

#define HTTPD_CONNECTIONS_MAX 256
#define HTTPD_DEADLINE_MS 10000 /* of a request that is answered later: 504 then */

struct httpd;
struct httpd_req;

enum httpd_method { HTTPD_GET, HTTPD_POST, HTTPD_PUT, HTTPD_DELETE };
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
	size_t listeners;           /* that stand */
	uint16_t port;              /* of the first of them */
	const char *why;            /* "": all listeners stand; else which does not, and why */
};

struct httpd_limits {
	size_t connections;
	int64_t idle_ms;     /* without a byte, in or out */
	int64_t request_ms;  /* of a request, from its first byte to its last; of an answer likewise */
	int64_t deadline_ms; /* of a request that is answered later */
	int64_t sweep_ms;    /* the limits are looked at so often */
};
extern const struct httpd_limits httpd_limits_default;

/*
 * Listens on conf's http.listen, {ip:IFACE} filled in (and again when the interface changes); an address that this machine
 * does not have (yet) is tried again every second, and said. Ends with HTTPD_END: a route without a path. conf is not kept.
 */
#define HTTPD_END { .path = NULL }
MUST_USE int httpd_new(struct httpd **out, struct loop *, const struct conf *, const struct httpd_route *, void *arg);
/* Of a reload: listeners that stay keep their connections, and those that go let theirs end. */
void httpd_set_conf(struct httpd *, const struct conf *);
void httpd_set_limits(struct httpd *, const struct httpd_limits *); /* of connections made from now on; for tests */
/* NULL is fine; what was not answered gets 503. Not from within a handler. */
void httpd_free(struct httpd *);
void httpd_view(const struct httpd *, struct httpd_view *);
/*
 * The port of http.listen that others reach us by, for eid checks: that of the first address that is not a loopback one, else of
 * the first; 0: none.
 */
uint16_t httpd_port(const struct conf *);

/*
 * Of a request; all lent, until it is answered. The header's are lent until the handler returns, and NULL once the deadline
 * has come; the others stay.
 */
const char *httpd_path(const struct httpd_req *);
const char *httpd_id(const struct httpd_req *);                     /* what stood for {id}, decoded; NULL: the route has none */
const char *httpd_query(const struct httpd_req *, const char *key); /* decoded; NULL: not there, or twice */
const char *httpd_header(const struct httpd_req *, const char *name); /* the first of that name; NULL */
const char *httpd_body(const struct httpd_req *, size_t *len);      /* a NUL stands behind it */
const char *httpd_peer(const struct httpd_req *);                   /* "127.0.0.1:41234" */
const struct topo_addr *httpd_peer_addr(const struct httpd_req *);  /* family 0: not known */

/* A header of the answer that is still to come; of the deadline's 504 it is none. A value with a line break is left out. */
void httpd_reply_header(struct httpd_req *, const char *name, const char *value);
void httpd_reply(struct httpd_req *, int status, const char *type, const char *body, size_t len);
void httpd_reply_text(struct httpd_req *, int status, const char *fmt, ...) PRINTF(3, 4);
void httpd_reply_json(struct httpd_req *, int status, json_t *takes);
void httpd_reply_buf(struct httpd_req *, int status, struct buf *json); /* empties it; its memory stays, to be used again */
void httpd_reply_error(struct httpd_req *, int status, const char *fmt, ...) PRINTF(3, 4);

/*
 * An answer without an end: 200, and what is sent from now on, each piece in one go. It counts as a connection like any other;
 * idle time and total time are not limited. It ends when its peer goes; when he does not read: 5 s without a byte, or more than
 * HTTPD_STREAM_WAITING_MAX waiting for him when the next piece comes; by httpd_stream_end(); and by httpd_free(). A
 * reload does not end it.
 *
 * NULL: there is nobody to stream to (HEAD, whose answer is sent; or the peer is gone). Either way the request is over.
 * `gone` runs from the loop, once, after which the stream is not there any more; never after httpd_stream_end() or httpd_free(),
 * which free it at once.
 */
#define HTTPD_STREAM_WAITING_MAX (256u << 10)
struct httpd_stream;
typedef void httpd_gone_cb(void *arg);
struct httpd_stream *httpd_stream_new(struct httpd_req *, const char *type, httpd_gone_cb *gone, void *arg);
void httpd_stream_send(struct httpd_stream *, const char *data, size_t len);
void httpd_stream_end(struct httpd_stream *);

#endif
