/*
 * living: what c4d knows about where calls may go, for the routing API: the instances of a service that take calls, and addresses that are
 * known not to. Known not to: an instance of some service that none of its services has in use (down, drained, suppressed), and a
 * destination that a Kamailio's dispatcher sees inactive while none sees it active. What nobody watches is not known to be dead.
 * Computed when somebody asks after something changed, at most every LIVING_MS, but at once for a new generation.
 */
#ifndef RECONCILE_LIVING_H
#define RECONCILE_LIVING_H

#include "reconcile/kamhost.h"
#include "reconcile/platform.h"
#include "routing/decide.h"

#define LIVING_MS 200

struct living;

struct living *living_new(struct loop *, const struct platform *);
void living_free(struct living *); /* NULL is fine */
/* The Kamailios of the configuration; lent until the next call. */
void living_set_hosts(struct living *, struct kamhost *const *, size_t n);
void living_stale(struct living *); /* something may have changed; NULL is fine */

/*
 * In the order in which they are to be tried: lowest SRV priority first, among equals drawn by weight (RFC 2782). Those that Kamailio sees
 * inactive come only when there are no others. 0: none, or no such service.
 */
size_t living_expand(struct living *, const char *service, struct rt_place *out, size_t max);
bool living_dead(struct living *, const char *host, uint16_t port); /* host: an IP, IPv6 with or without brackets; a name is never */
uint64_t living_random(struct living *);

#endif
