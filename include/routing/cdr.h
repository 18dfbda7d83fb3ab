/*
 * cdr: call detail records: rows of RT_CDRS, kept by the store. A body is answered only when its record is committed; what arrives while a
 * commit is under way goes with the next, all of it in one.
 */
#ifndef ROUTING_CDR_H
#define ROUTING_CDR_H

#include "config/conf.h"
#include "routing/index.h"
#include "routing/request.h"
#include "store/store.h"

struct cdrs;

struct cdr_view {
	uint64_t stored, refused, forwarded; /* of this run */
	uint64_t lost;                       /* of this run: gone by routing.cdr.max before they were forwarded */
	uint64_t newest, oldest;             /* ids in the store; 0: none */
	size_t count, waiting;               /* in the store; for the commit */
	bool failing;                        /* the last commit failed */
	bool forwarding;
	uint64_t behind;                     /* not yet forwarded, about */
	int64_t behind_ms;                   /* wall clock: the oldest of them was stored; 0: none */
	const char *why;                     /* why forwarding does not go on; "": it does */
};

/*
 * Forwarding (routing.cdr.forward): every CDR is POSTed as the JSON object that /kamailio/cdr takes (all columns), in the order of the
 * ids, by up to 8 connections at once. 2xx is its receipt; all else is sent again after 250 ms, doubled up to 30 s. How far all
 * have their receipts is in the store: after a crash, or a change of the URL, it goes on there, so that none is lost and some may be sent twice
 * (the id tells). One that the receiver always refuses is named in `why`, and tried again until it is taken or too old.
 * Retention spares what is not forwarded, unless routing.cdr.max is reached. Imported ones with an id below what was forwarded are not sent.
 */
MUST_USE int cdrs_new(struct cdrs **out, struct loop *, struct worker *, struct store *, const struct conf *);
void cdrs_set_conf(struct cdrs *, const struct conf *);
void cdrs_free(struct cdrs *); /* NULL is fine; callbacks that are due run with -ECANCELED, though what waits is committed (store_flush) */
void cdrs_view(const struct cdrs *, struct cdr_view *);

/*
 * The body of POST /kamailio/cdr: tenant_uuid, or tenant_id (a number, or a uuid) where that is missing. -EINVAL: `detail`. -ENOENT: no such
 * tenant. Else *row (without an id) is to be added.
 */
MUST_USE int cdr_parse(struct rt_row **row, const struct rt_data *, const char *body, size_t len, struct rt_detail *);
/* The callback runs from the loop, with the row as it is stored; err: -ENOSPC ..., nothing was stored. -EBUSY: too many wait (10,000). Takes a reference. */
typedef void cdr_cb(void *arg, int err, const struct rt_row *);
/*
 * The stop: from now on none is taken (-ECANCELED: it is not stored). `done` runs from the loop, when those that were taken are committed and
 * their callbacks have run, or after timeout_ms. A second call does not wait.
 */
void cdrs_settle(struct cdrs *, int64_t timeout_ms, loop_cb *done, void *arg);
MUST_USE int cdrs_add(struct cdrs *, struct rt_row *, cdr_cb *, void *arg);
/* All or none, with the ids that they have (RT_NULL: new ones); one that is there with other content: -EEXIST, and its id. */
void cdrs_import(struct cdrs *, struct rt_row **takes, size_t n, void (*done)(void *arg, int err, uint64_t id), void *arg);

/*
 * Ids above `after`, in order (newest: backwards from the newest), at most `limit` (at least 1) after the first `skip` of those that fit; read by
 * the worker, a part at a time, so that commits are not kept waiting.
 */
struct cdr_query {
	uint64_t after;
	bool newest;
	size_t limit, skip;
	const char *tenant_uuid; /* NULL: any; copied */
	const char *call_id;     /* likewise */
};
typedef void cdr_list_cb(void *arg, int err, struct rt_row **rows, size_t n); /* lent */
void cdrs_list(struct cdrs *, const struct cdr_query *, cdr_list_cb *, void *arg);

/* One line of an export, with its end (CRLF). CSV: RFC 4180, a header by cdr_csv_header(). */
void cdr_csv_header(struct buf *);
void cdr_csv(const struct rt_row *, struct buf *);

#endif
