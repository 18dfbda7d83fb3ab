/*
 * link: the connection to a server: TCP, unix socket or TLS, until there is a bufferevent that carries HTTP.
 * link_open() ends with the callback, from the loop and never inside it, exactly once unless closed before; it has no deadline
 * of its own. With TLS the configured files are read anew, by the worker, for each connection.
 */
#ifndef CONSUL_LINK_H
#define CONSUL_LINK_H

#include "base/worker.h"
#include "consul/tls.h"
#include "url.h"

struct bufferevent;
struct link;

/* err: 0, -ECONNREFUSED (no connection), -EPROTO (TLS) or -ENOMEM; then `why` is for people. */
typedef void link_cb(void *arg, int err, const char *why);

/* Copies what it needs. `what`: for messages, "a Consul agent". */
struct link *link_new(struct loop *, struct worker *, const struct url *, const struct tls_conf *, const char *what, link_cb *,
    void *arg);
void link_free(struct link *); /* NULL is fine; also from the callback */
void link_open(struct link *);  /* of a closed one */
void link_close(struct link *); /* open or opening or closed; the callback will not run */
/* NULL: not open. Its callbacks are for whoever opened it to set. */
struct bufferevent *link_bufferevent(const struct link *);
/* It met BEV_EVENT_ERROR: what TLS says of that; "": nothing. Once. */
void link_error(struct link *, char *why, size_t size);

#endif
