/*
 * table_plan: what a Kamailio's tables (rtpengine's nodes, domains, trusted addresses) should hold, what they hold,
 * and the steps between the two. Pure. One row type serves all kinds; a row is known by (set, item, mask, port).
 */
#ifndef RECONCILE_TABLE_PLAN_H
#define RECONCILE_TABLE_PLAN_H

#include "config/conf.h"
#include "topology/topo.h"

struct table_row {
	int set;       /* rtpengine's set, permissions' group; domain: 0 */
	char *item;    /* the node's url, the domain, the IP */
	int mask;      /* permissions: bits */
	int port;      /* permissions: 0 any */
	int weight;    /* rtpengine */
	char *tag;     /* permissions; NULL none */
	bool disabled; /* rtpengine: written as disabled=1; read back: for good, not for a while */
	bool asleep;   /* rtpengine, read back only: Kamailio itself has disabled it for a while */
};

struct table_rows {
	struct table_row *v;
	size_t n, cap;
};

/* What belongs to us of a table: a set, a group, or (0) all of it. */
struct table_scope {
	int set;
	bool known;     /* all its services had an instance: what nobody wants may leave */
	bool exclusive; /* what c4d did not write leaves too, after a while */
};

enum table_op { TABLE_ADD, TABLE_REMOVE, TABLE_CHANGE, TABLE_TWICE, TABLE_DISABLE, TABLE_ENABLE, TABLE_WAKE };

struct table_step {
	enum table_op op;
	int set;
	char *item;
	char *detail; /* NULL */
};

struct table_plan {
	struct table_step *v;
	size_t n, cap;
	size_t structural; /* steps that need a reload */
};

struct table_row *table_rows_add(struct table_rows *, int set, const char *item); /* the rest is zero */
void table_rows_copy(struct table_rows *to, const struct table_rows *from);       /* clears `to` first */
void table_rows_remove(struct table_rows *, size_t i);
void table_rows_clear(struct table_rows *);
void table_rows_sort(struct table_rows *); /* by set, IPs by number before text, item, mask, port */
struct table_row *table_find(const struct table_rows *, const struct table_row *key);
bool table_rows_equal(const struct table_rows *, const struct table_rows *); /* both sorted; `asleep` does not count */

/*
 * Desired rows, sorted and without twins, and the scopes. A set whose service never had an instance is in neither; domains
 * and groups hold what is known of them, `known` false. Instances that are out are rows too: `disabled` for rtpengine,
 * like the others elsewhere (a call of theirs still goes on).
 */
struct table_scopes {
	struct table_scope *v;
	size_t n;
};
typedef void table_desire_fn(const struct conf_kamailio *, const struct topo *, struct table_rows *out, struct table_scopes *);
table_desire_fn table_desire_rtpengine, table_desire_domain, table_desire_permissions;
/* The i'th service that a set is made of; NULL: no more. */
typedef const char *table_service_fn(const struct conf_kamailio *, int set, size_t i);
table_service_fn table_service_rtpengine, table_service_domain, table_service_permissions;
const struct table_scope *table_scope_find(const struct table_scopes *, int set);

/* Steps from actual to desired within the scopes. WAKE: Kamailio has put to sleep what shall be in use. */
void table_make_plan(const struct table_rows *desired, const struct table_rows *actual, const struct table_scopes *,
    struct table_plan *out);
void table_plan_clear(struct table_plan *);
const char *table_op_name(enum table_op);
bool table_op_is_structural(enum table_op);

/* "udp:10.0.0.1:22222", "udp6:[::1]:22222": the node's address. -EINVAL: c4d can't ask it. */
MUST_USE int table_url_addr(const char *url, struct topo_addr *out);

#endif
