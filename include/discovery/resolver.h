/*
 * resolver: questions to ONE Consul DNS endpoint over TCP, by c-ares; the only file that knows ares.h.
 * One channel per server, never a list: a list mixes servers within a round (PITFALLS A17). After a
 * time-out the channel is rebuilt (A16) and the epoch grows.
 * The callback runs from the loop, never inside resolver_ask() or resolver_cancel(), exactly once
 * unless cancelled. `msg` is lent for the call and is NULL unless err is 0.
 * err: 0 (any response code, parsed), -ETIMEDOUT, -ECONNREFUSED (refused, reset, no route), -EBADMSG
 * (malformed, or not the answer to the question), -ENOMEM, -EIO (anything else).
 */
#ifndef DISCOVERY_RESOLVER_H
#define DISCOVERY_RESOLVER_H

#include "base/loop.h"
#include "discovery/dnsmsg.h"

struct resolver;
struct lookup;
typedef void resolver_cb(void *arg, int err, unsigned epoch, const struct dns_msg *msg);

/* server: "127.0.0.1:8600", "[::1]:8600". -EINVAL when it is not that. */
MUST_USE int resolver_new(struct resolver **out, struct loop *, const char *server, int64_t timeout_ms);
void resolver_free(struct resolver *); /* NULL and half-built are fine; drops lookups silently */
/* Never fails: what goes wrong at once is reported through the callback like anything else. */
struct lookup *resolver_ask(struct resolver *, const char *name, uint16_t type, resolver_cb *, void *arg);
void resolver_cancel(struct lookup *); /* the callback will not run after this */
const char *resolver_server(const struct resolver *);
unsigned resolver_epoch(const struct resolver *);

#endif
