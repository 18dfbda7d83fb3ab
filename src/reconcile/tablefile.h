/*
 * tablefile: one table on disk, with its rows in the `version` table and its companions. Every call is a job of the
 * worker; the result comes back from the loop and is lent for the call. One job at a time.
 */
#ifndef RECONCILE_TABLEFILE_H
#define RECONCILE_TABLEFILE_H

#include "base/worker.h"
#include "reconcile/table_kind.h"

struct tablefile;

struct tablefile_result {
	int err;         /* 0, -EWOULDBLOCK (locked by another c4d), or what reading or writing met */
	char error[512]; /* for people; "" */
	bool read;       /* `rows` says what the file holds (a missing one holds nothing) */
	bool moved;      /* it did not hold `base`: nothing was written */
	bool written;
	struct table_rows rows; /* what the file holds now, all of it, sorted */
	size_t bad;      /* rows that Kamailio refuses, and the table with them */
};

typedef void tablefile_cb(void *arg, const struct tablefile_result *);

struct tablefile *tablefile_new(struct worker *, const struct table_kind *, const char *path, tablefile_cb *, void *arg);
void tablefile_free(struct tablefile *); /* NULL is fine; a job under way ends without its callback */
/* Of the table, as the running Kamailio wants it; 0: not known, so the one that the file has stays if it may be wanted. */
void tablefile_set_version(struct tablefile *, int version);
/* Read; `lock`: take the lock first, and make what is missing (Kamailio does not start without it). */
void tablefile_load(struct tablefile *, bool lock);
/*
 * Make the scopes hold `rows`, provided that they hold `base` still, from which `rows` was made (all copied): what somebody
 * wrote since is not lost. Writes nothing without the lock, nor when they do already, unless `again`.
 */
void tablefile_store(struct tablefile *, const struct table_scopes *, const struct table_rows *base,
    const struct table_rows *rows, bool again);

#endif
