/*
 * table_plan: what a Kamailio's tables (rtpengine's nodes, domains, trusted addresses, registrations) should hold, what they hold,
 * and the steps between the two. Pure. One row type serves all kinds; a row is known by (set, item, mask, port).
 */
#ifndef RECONCILE_TABLE_PLAN_H
#define RECONCILE_TABLE_PLAN_H

#include "config/conf.h"
#include "base/text.h"
#include "topology/topo.h"

struct rt_data;

/* Whose row it is, of those that the file shall hold. */
enum table_owner {
	ROW_WANTED, /* the topology and the configuration want it */
	ROW_LEFT,   /* nobody does (any more), in a set that is c4d's: it stays for a while */
	ROW_THEIRS, /* somebody else's, in a set that is not c4d's alone: it is none of our business */
};

struct table_row {
	int set;       /* rtpengine's set, permissions' group; domain, uacreg: 0 */
	char *item;    /* the node's url, the domain, the IP, l_uuid */
	struct topo_addr addr; /* of item; family 0: it has none */
	int mask;      /* permissions: bits; 0: a name */
	int port;      /* permissions: 0 any */
	int weight;    /* rtpengine */
	char *tag;     /* permissions; NULL none; uacreg: all other cells (table_uacreg_cell()) */
	bool secret;   /* tag must not be shown */
	bool disabled; /* rtpengine: written as disabled=1; read back: for good, not for a while */
	bool asleep;   /* rtpengine, read back only: Kamailio itself has disabled it for a while */
	bool dead;     /* rtpengine, desired only: disabled; calls that it had may be up, so it shall sleep */
	bool in_block; /* permissions, of the file: within c4d's block */
	unsigned live_flags; /* uacreg, read back only: Kamailio's UAC_REG_... */
	int64_t live_s;      /* likewise: the registration goes on for so long; 0: not known */
	enum table_owner owner; /* of desired rows */
	bool leaves;            /* ROW_LEFT: it waits for the end of its sessions only, */
	bool over;              /* and that has come */
	int64_t until_ms;       /* wall clock, of rtpengine's rows: its sessions may take so long; 0: no limit known */
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

struct table_scopes {
	struct table_scope *v;
	size_t n;
};

enum table_op { TABLE_ADD, TABLE_REMOVE, TABLE_CHANGE, TABLE_DISABLE, TABLE_ENABLE, TABLE_WAKE, TABLE_SLEEP };

struct table_step {
	enum table_op op;
	struct table_row *row; /* of the desired rows; of REMOVE, of the actual ones: lent */
	char *text;            /* for people: the row's item */
	char *detail;          /* NULL */
	bool waits;            /* it can't be taken now */
};

struct table_plan {
	struct table_step *v;
	size_t n, cap;
};

struct table_row *table_rows_add(struct table_rows *, int set, const char *item); /* the rest is zero */
struct table_row *table_rows_add_copy(struct table_rows *, const struct table_row *);
void table_rows_copy(struct table_rows *to, const struct table_rows *from); /* clears `to` first */
void table_rows_remove(struct table_rows *, size_t i);
void table_rows_clear(struct table_rows *);
void table_rows_sort(struct table_rows *); /* by set, IPs by number before text, item, mask, port */
int table_row_cmp(const void *, const void *); /* that order, for qsort() and bsearch(); 0: the same row */
struct table_row *table_find(const struct table_rows *sorted, const struct table_row *key);
bool table_row_same(const struct table_row *, const struct table_row *); /* and in what a file says of it */
/* The rows of the scopes are the same in both (sorted; twins count). */
bool table_rows_same(const struct table_rows *, const struct table_rows *, const struct table_scopes *);
/* The file says what is desired, and each row once (somebody else's may stand there twice). */
bool table_file_is_right(const struct table_rows *filed, const struct table_rows *desired, const struct table_scopes *);
uint64_t table_rows_hash(const struct table_rows *); /* of what a file says; never 0 */

/*
 * Desired rows, sorted and without twins, and the scopes. A set whose service never had an instance is in neither; domains
 * and groups hold what is known of them, `known` false. Instances that are out are rows too: `disabled` for rtpengine,
 * like the others elsewhere (a call of theirs still goes on).
 */
typedef void table_desire_fn(const struct conf_kamailio *, const struct topo *, struct table_rows *out, struct table_scopes *);
table_desire_fn table_desire_rtpengine, table_desire_domain, table_desire_permissions, table_desire_uacreg;
/* Further domains, of Consul's KV. `known` false: nobody has said yet which they are. */
void table_desire_names(const struct strlist *, bool known, struct table_rows *out, struct table_scopes *);
/*
 * The carrier trunks of the routing data that register. Those that can't as they are are named in `trouble`; what the file has of them stays,
 * as if it were somebody else's.
 */
void table_desire_trunks(const struct conf_kamailio *, const struct rt_data *, const struct table_rows *filed, struct table_rows *out,
    struct buf *trouble);
/* A cell of a row of uacreg (enum uacreg_col), but no password; NULL: null. The caller frees. */
char *table_uacreg_cell(const struct table_row *, int col);
char *table_uacreg_changes(const struct table_row *from, const struct table_row *to); /* in words, without passwords */
/*
 * Of a read-back, what says nothing about how the rows were given to Kamailio is made as in `carried`, which it was given last: a contact
 * that is the module's own, and a time that the registrar wanted longer.
 */
void table_uacreg_settle(const struct table_rows *carried, struct table_rows *got);
/* The i'th service that a set is made of; NULL: no more. */
typedef const char *table_service_fn(const struct conf_kamailio *, int set, size_t i);
table_service_fn table_service_rtpengine, table_service_domain, table_service_permissions;
const struct table_scope *table_scope_find(const struct table_scopes *, int set);
const struct conf_rtpengine *table_rtpengine_find(const struct conf_kamailio *, int set);

/*
 * Steps from actual to desired within the scopes (both sorted). What is ROW_LEFT is only taken in and out, what is
 * ROW_THEIRS not even that: whether Kamailio has them is not ours to say. WAKE: Kamailio has put to sleep what shall
 * be in use. SLEEP: Kamailio shall find out by itself that a node is dead; for a call whose node sleeps it does not wait
 * (rtpengine_allow_op 2), for one whose node is disabled for good or has no row it does (rtpengine_tout_ms x rtpengine_retr,
 * in a worker). In and out is by url alone, so it is CHANGE, by a reload, when another set has the same node in another
 * state. Who comes in goes before who goes out, so that no set is empty in between.
 */
void table_make_plan(const struct table_rows *desired, const struct table_rows *actual, const struct table_scopes *,
    struct table_plan *out);
void table_plan_clear(struct table_plan *);
const char *table_op_name(enum table_op);
bool table_op_is_structural(enum table_op); /* takes a reload */
/*
 * Kamailio uses nobody of the set whom it shall use: they are all still to come with a reload. Who is there and shall go out
 * must go on until then.
 */
bool table_set_would_be_empty(const struct table_rows *desired, const struct table_rows *actual, int set);

/* "udp:10.0.0.1:22222", "udp6:[::1]:22222": the node's address. -EINVAL: c4d can't ask it. */
MUST_USE int table_url_addr(const char *url, struct topo_addr *out);

#endif
