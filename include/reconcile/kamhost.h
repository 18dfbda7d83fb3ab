/*
 * kamhost: one configured Kamailio: its one connection, and the targets that share it. One RPC is in flight, ever
 * (kam queues), so targets need no order among each other; another Kamailio's trouble is not this one's.
 */
#ifndef RECONCILE_KAMHOST_H
#define RECONCILE_KAMHOST_H

#include "kamailio/kam.h"
#include "reconcile/target.h"

struct dispatcher;
struct table;
struct domains;
struct kv;

/* -EINVAL (logged): its binrpc address can't be used. */
MUST_USE int kamhost_new(struct kamhost **out, const struct target_deps *, const struct conf_kamailio *);
void kamhost_start(struct kamhost *);
void kamhost_free(struct kamhost *); /* NULL is fine; Kamailio's lists and tables stay as they are */
/* The same section of a newer configuration (conf_kamailio_same() said so). */
void kamhost_set_conf(struct kamhost *, const struct conf_kamailio *);
void kamhost_kick(struct kamhost *);

const struct conf_kamailio *kamhost_conf(const struct kamhost *);
struct kam *kamhost_kam(const struct kamhost *);
bool kamhost_is_up(const struct kamhost *);
bool kamhost_was_heard(const struct kamhost *);      /* a first attempt to connect has ended, either way */
const char *kamhost_down_why(const struct kamhost *); /* "" when up */
const struct kam_ident *kamhost_ident(const struct kamhost *);
uint64_t kamhost_connections(const struct kamhost *);

size_t kamhost_targets(const struct kamhost *);
struct target *kamhost_target(const struct kamhost *, size_t i);
/* All rows of all targets, one by one. Zero-initialise; true while there is one, in `target`, `row` and `view`. */
struct target_walk {
	struct target *target;
	size_t row;
	struct target_view view;
	size_t host, index, next; /* where it goes on */
};
bool kamhost_walk(struct kamhost *const *hosts, size_t n, struct target_walk *);
/* NULL: it has none. */
struct dispatcher *kamhost_dispatcher(const struct kamhost *);
struct table *kamhost_rtpengine(const struct kamhost *);
struct table *kamhost_domain(const struct kamhost *);
struct table *kamhost_permissions(const struct kamhost *);
struct table *kamhost_uacreg(const struct kamhost *);
const struct domains *kamhost_domains(const struct kamhost *); /* of domain.kv */
const struct kv *kamhost_kv(const struct kamhost *); /* what they come from */

#endif
