/*
 * wake: `wake: index`. One blocking query at Consul's HTTP port per Consul service and datacenter, with a filter that
 * matches nothing: no data comes by it, only the news that the service's index moved. So it says "ask DNS now" and
 * nothing else; whatever it says or fails to say can cost speed and questions, never a destination.
 *
 * Queries follow each other at once (after a wake-up 5 ms later: DNS comes first), 20 of them, and 2 a second for as
 * long as that goes on: a service without any instance is woken by every change of any service. What fails is tried
 * again after 250 ms, doubling to 15 s. While Consul's servers have no leader no index moves, though DNS answers as if all
 * were well: that counts as a failure, and is known a minute after it began at the latest.
 * With `wake: dns` the object exists and does nothing.
 */
#ifndef CONSUL_WAKE_H
#define CONSUL_WAKE_H

#include "base/worker.h"
#include "config/conf.h"

#define WAKE_QUERIES_MAX 64 /* each has a connection, and Consul allows a client 200 */

struct wake;

/* What DNS answers to this name of this service may have changed. From the loop; must not free the wake. */
typedef void wake_cb(void *arg, const char *service, const char *name);

enum wake_state { WAKE_OFF, WAKE_WAITING, WAKE_LOST };
struct wake_view {
	enum wake_state state;
	const char *why;  /* NULL, or why it is lost, or off though `wake: index` is configured */
	uint64_t queries; /* asked so far */
	uint64_t woken;   /* of these, so many answered that the index moved */
};

/* conf must live as long as the wake. -EINVAL: consul.http can't be used (logged). */
MUST_USE int wake_new(struct wake **out, struct loop *, struct worker *, const struct conf *, wake_cb *, void *arg);
void wake_start(struct wake *);
void wake_free(struct wake *); /* NULL is fine */
/* Of a configured name; a name that is not known is off, and so are all of no wake (NULL). */
void wake_view(const struct wake *, const char *name, struct wake_view *);

/* Of each service whose datacenter has no leader: `i` from 0, false when there is none left. What is out is lent. */
struct wake_no_leader {
	const char *dc;   /* "": that of the agent */
	int64_t since_ms; /* wall clock; since then c4d knows it */
};
bool wake_no_leader(const struct wake *, size_t i, struct wake_no_leader *out);
const char *wake_state_name(enum wake_state);

/*
 * "router" and "dc1" of "router.service.dc1.consul", "primary.router.service.dc1.consul" and
 * "_router._tag.service.dc1.consul"; dc is "" where the name has none. False: not the name of a service (a prepared
 * query, say), so that there is no index to wait for.
 */
bool wake_split_name(const char *name, const char *domain, char service[64], char dc[64]);

#endif
