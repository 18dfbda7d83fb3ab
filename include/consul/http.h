/*
 * http: requests to Consul's HTTP port, by TCP, TLS or unix socket. One `struct http` is one kept connection with one
 * request at a time; who wants several answers at once makes several.
 *
 * The callback runs from the loop, never inside http_ask() or http_cancel(), exactly once unless cancelled or freed.
 * From within it the next request may be asked, and the http freed. What the answer points to is lent for the call.
 * A request ends within its `timeout_ms`, whatever the peer does, counted from http_ask() to the last byte of the
 * answer; and fails when the answer is longer than `max_body`. Nothing is retried: that is the caller's to decide.
 * A request that failed may have reached Consul all the same, so repeat only what may be done twice (Consul's
 * register, deregister, check and maintenance calls all may).
 *
 * The ACL token goes with each request as X-Consul-Token. The worker looks at its file for each request and reads it when its
 * inode, size or times have changed, and once more after a 401 or 403; when it then holds another token, the request is
 * repeated with that. A token is in no log and in no `why`, also when the peer repeats it.
 *
 * https: a certificate that does not fit is -EPROTO, and `why` says what is wrong with it. The configured files are
 * read for each new connection, so that renewed certificates need no restart.
 */
#ifndef CONSUL_HTTP_H
#define CONSUL_HTTP_H

#include "base/text.h"
#include "base/worker.h"
#include "config/conf.h"
#include "consul/tls.h"

struct http;

enum http_method { HTTP_GET, HTTP_PUT, HTTP_POST };

struct http_request { /* lent for the length of http_ask() */
	enum http_method method;
	const char *path; /* "/v1/agent/self?stale": what needs it is escaped already (http_add_escaped) */
	const char *header; /* one line more of the head, as "X-Auth-Token: abc"; NULL: none */
	const void *body; /* of a PUT; of a POST, then JSON; NULL: none */
	size_t body_len;
	int64_t timeout_ms;
	size_t max_body;
};

struct http_answer {
	int err;     /* 0: there is an answer, good or bad; else see below */
	int status;  /* 200, 403, ...; 0 when err */
	const char *body; /* ends with a NUL; may hold others */
	size_t body_len;
	char why[256]; /* for people, when err or status is not 2xx: "cannot connect to ...", "HTTP 403: Permission denied" */
};
/*
 * err: -ECONNREFUSED (no connection), -ECONNRESET (it ended before the answer did), -ETIMEDOUT, -EMSGSIZE (longer than
 * max_body, or its header than 16 KB), -EBADMSG (no HTTP), -EPROTO (TLS, and its files), -ENOMEM, or what reading the token's
 * file met (-EINVAL: it holds no word).
 */
typedef void http_cb(void *arg, const struct http_answer *);

/* Of another server than Consul's agent, all lent. */
struct http_peer {
	const char *url;           /* as http_url_check() takes it, and a path may follow: "http://127.0.0.1:8088/ari" */
	const char *what;          /* for messages: "a Consul agent", "Asterisk's ARI" */
	const char *token_file;    /* NULL: none */
	const char *user;          /* NULL: none; else basic authentication instead of a token */
	const char *password_file; /* of it; one word, read as a token's file is */
	struct tls_conf tls;       /* of https:// */
};

/* The agent of consul.* in the configuration; copies what it needs. -EINVAL: its URL. Connects with the first request. */
MUST_USE int http_new(struct http **out, struct loop *, struct worker *, const struct conf *);
MUST_USE int http_new_peer(struct http **out, struct loop *, struct worker *, const struct http_peer *); /* copies it */
void http_free(struct http *); /* NULL is fine; a request under way ends without a word */
/* -EBUSY: one is under way. All else that goes wrong, at once or later, is reported through the callback. */
MUST_USE int http_ask(struct http *, const struct http_request *, http_cb *, void *arg);
void http_cancel(struct http *); /* the callback will not run after this; the connection is given up */
bool http_busy(const struct http *);
/* Of an answer in its callback, by any case of its name; NULL when there is none. */
const char *http_header(const struct http *, const char *name);

/*
 * 0, or -EINVAL with the reason in `why`. "http://IP:PORT", "https://IP:PORT", "unix:/PATH": no host names, which would have to
 * be looked up (consul.server_name says what a certificate holds). A path after it is allowed for http_new_peer() only.
 */
MUST_USE int http_url_check(const char *url, char *why, size_t size);
/* `text` with everything but letters, digits and "-._~" as %XX. */
void http_add_escaped(struct buf *, const char *text);

#endif
