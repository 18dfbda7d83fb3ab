/*
 * routing: the routing data that is served. It comes from routing.file (looked at every second), from routing.kv, or from
 * routing_load() and routing_change(); it is read, checked and compiled by the worker, committed to the store, then swapped at
 * once: a decision sees all of the old or all of the new. The store's is served at a start, whatever else is down. What is wrong changes nothing: the last
 * good data stays. A file or a prefix that holds no row at all never replaces data that has some.
 */
#ifndef ROUTING_ROUTING_H
#define ROUTING_ROUTING_H

#include "base/worker.h"
#include "config/conf.h"
#include "routing/cdr.h"
#include "routing/data.h"
#include "store/store.h"

struct routing;

struct routing_view {
	const char *source;    /* "/etc/c4d/routing.json", "kv c4/routing", "uid 0", "api", "store"; "": no data yet */
	int64_t loaded_ms;     /* wall clock; 0: never */
	uint64_t version;      /* counts up with each swap; survives restarts */
	bool loading;          /* something is with the worker */
	bool stored;           /* what is served is committed */
	const char *why;       /* what is wrong with the source; "": nothing */
	int64_t why_ms;        /* wall clock, since when */
	size_t errors;         /* so many things are wrong with its document */
	const json_t *messages; /* the first 100 of them, {path,text}; NULL: none; lent */
	const struct kv *kv;   /* NULL: not from there */
};

/* `changed` runs from the loop, after a swap. -EINVAL: consul.http can't be used. */
MUST_USE int routing_new(struct routing **out, struct loop *, struct worker *, struct store *, const struct conf *, loop_cb *changed, void *arg);
MUST_USE int routing_set_conf(struct routing *, const struct conf *);
void routing_free(struct routing *); /* NULL is fine; requests under way end with -ECANCELED */

const struct rt_data *routing_data(const struct routing *); /* NULL: none yet; valid until the loop's next turn unless referenced */
bool routing_ready(const struct routing *);                 /* the store has been read */
void routing_view(const struct routing *, struct routing_view *);
struct cdrs *routing_cdrs(const struct routing *);

/*
 * The callback runs from the loop, when the new data is served: 0; -EINVAL: `messages`, an array of {path,text}; -EPERM: routing.file or
 * routing.kv rules; -EIO and the like: it could not be stored: nothing was changed. messages (an array) is lent.
 */
typedef void routing_done_cb(void *arg, int err, const json_t *messages);
void routing_load(struct routing *, char *takes, size_t len, const char *who, routing_done_cb *, void *arg);

/* One row, as REST changes them. *row as rt_data_change() gives it, lent. Several that come together share one compilation and one commit. */
typedef void routing_change_cb(void *arg, int err, const struct rt_row *row, const struct rt_refusal *);
/* Copies; puts are referenced. err as above; -EINVAL: the refusal. */
void routing_change(struct routing *, const struct rt_change *, routing_change_cb *, void *arg);

#endif
