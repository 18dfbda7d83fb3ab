/*
 * store: all of LMDB. What is written goes to the worker; the loop never waits for it. A failing
 * commit loses nothing: what was to be written is kept (newest value per key) and tried again every
 * STORE_RETRY_MS and with everything that follows.
 *
 * Records: one version byte, then explicit widths, big endian. What an earlier c4d wrote is read, also where tables are missing. A file whose
 * format is greater than STORE_FORMAT, or that has instances or services of a later version, is set aside; other records that
 * can't be read are skipped, and stay. STORE_FORMAT is raised with every change that the c4d before it can't read.
 * Tables:
 *   meta       "format" u32 (missing: 0, which is as 1) · "machine" text · "generation" u64 · "service:NAME" · "adopted:TARGET"
 *              "drain:" NAME 0 family ip port -> since, until, who: the operator's drains, until they are undone
 *   instances  NAME 0 family ip port -> state, guard, source, weight, priority, since, generation, tags, origin,
 *              penalty, goings, gone, end of its drain
 *   history    generation(u64) 0 -> seen, committed, JSON text; generation 1 TARGET -> applied, verified
 *   registrations  id -> since, maintenance, since when, reason, who, checks that are off
 *   routing    rows of the routing data, opaque here (routing/row.h); all of them change in one transaction
 *   cdr        id(u64) -> stored(u64), a row, opaque here (routing/cdr.h); meta "cdr:last": the highest id ever, "cdr:forwarded": the
 *              id up to which all were forwarded
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <jansson.h>

#include "base/loop.h"
#include "base/text.h"
#include "base/worker.h"
#include "topology/topo.h"

#define STORE_RETRY_MS 5000
#define STORE_FORMAT 1u

struct store;

struct store_conf {
	const char *dir;
	const char *machine_id; /* "" unknown */
	int64_t size_bytes;
	int64_t keep_ms;
	int64_t keep_max;
};

struct store_view {
	bool failing;
	const char *why;       /* "" when all is well */
	uint64_t commits;
	uint64_t failures;
	int64_t used_bytes;
	int64_t size_bytes;
	const char *set_aside; /* the file that was set aside at the start; NULL: none */
	const char *set_aside_why;
	size_t pending;        /* records not yet committed */
};

/* What one service was, besides its instances. */
struct store_service {
	bool known;
	bool frozen;
	unsigned peak;
};

/* The operator's drain of one address of one service. */
struct store_drain {
	int64_t since_ms;
	int64_t until_ms; /* so long its calls may take; 0: no limit */
	char *who;
};

/* What c4d has registered at the agent, and what its operator has said about it. Keyed by the registration's id. */
struct store_registration {
	int64_t since_ms;         /* wall clock; registered first */
	bool maintenance;
	int64_t maintenance_ms;   /* since when; wall clock */
	char *reason, *who;       /* of the maintenance; NULL: none */
	char *off;                /* names of checks that are switched off, separated by spaces; NULL: none */
};

/* How an instance stood at a generation of the past. */
struct store_past_instance {
	char *service;
	bool was_there;
	struct topo_instance inst; /* as far as the history tells; its address, and state, always */
	bool has_weight, has_priority, has_tags;
};

struct store_past {
	int err;         /* -ENOENT: the history does not reach so far back; -EIO: it can't be read */
	uint64_t newest; /* the newest generation that it holds: where the walk began; 0 none */
	uint64_t oldest; /* and the oldest from which on it holds all of them */
	struct store_past_instance *v; /* those that changed since: how each was then */
	size_t n;
};

/*
 * Opens or makes DIR/topology.mdb under the lock DIR/c4d.lock. -EWOULDBLOCK: another c4d has it
 * (*holder is its pid); anything else is no failure: a store that can't be opened or written is
 * returned all the same, says why in its view, and tries again. A corrupt file, one from another machine, or one
 * that a newer c4d wrote, is renamed and a new one begun.
 */
MUST_USE int store_open(struct store **out, struct loop *, struct worker *, const struct store_conf *, pid_t *holder);
/* Gives what is pending to the worker; call before worker_free(), and store_free() after it. */
void store_flush(struct store *);
void store_free(struct store *); /* NULL is fine */

/* Before the loop runs: the last generation. `inst` is lent. Records that can't be read are skipped and counted. */
typedef void store_instance_cb(void *arg, const char *service, const struct topo_instance *inst);
size_t store_load(struct store *, store_instance_cb *, void *arg);
uint64_t store_generation(struct store *);
bool store_service(struct store *, const char *name, struct store_service *out);
bool store_adopted(struct store *, const char *target);
typedef void store_drain_cb(void *arg, const char *service, const struct topo_addr *, const struct store_drain *);
size_t store_load_drains(struct store *, store_drain_cb *, void *arg);
typedef void store_registration_cb(void *arg, const char *id, const struct store_registration *);
size_t store_load_registrations(struct store *, store_registration_cb *, void *arg);

/* A new generation: the difference to the one before, and why ("cause"). */
void store_put_generation(struct store *, const struct topo *before, const struct topo *after, int64_t seen_ms,
    const char *cause);
void store_put_service(struct store *, const char *name, const struct store_service *);
void store_put_adopted(struct store *, const char *target);
void store_put_drain(struct store *, const char *service, const struct topo_addr *, const struct store_drain *); /* NULL: over */
/* NULL: gone. An id of more than 511 bytes can't be remembered (logged). */
void store_put_registration(struct store *, const char *id, const struct store_registration *);
void store_put_times(struct store *, uint64_t generation, const char *target, int64_t applied_ms, int64_t verified_ms);

/*
 * The newest `limit` generations, newest first, as a JSON array of {generation,seen,committed,seen_to_committed_ms,cause,changes,
 * targets}, targets of {target,applied,verified,seen_to_applied_ms,applied_to_verified_ms}; service and address narrow it ("" or NULL: all). Read by the worker; the callback runs from the loop and takes the array.
 */
typedef void store_history_cb(void *arg, json_t *history);
void store_history(struct store *, const char *service, const char *address, size_t limit, store_history_cb *, void *arg);

/*
 * How the instances that changed since `generation` stood at it: the history is walked back, by the worker. The
 * callback runs from the loop; the result is lent.
 */
typedef void store_past_cb(void *arg, const struct store_past *);
void store_past(struct store *, uint64_t generation, store_past_cb *, void *arg);

/*
 * Opaque rows, for tables that are not judged here. Written by the worker in one transaction, not gathered with others; the callback
 * runs from the loop: 0, or -errno and nothing was written (nothing is retried).
 */
struct store_batch { /* zero-initialise */
	struct buf bytes;
	size_t n;
};
void store_batch_put(struct store_batch *, const void *key, size_t klen, const void *val, size_t vlen);
void store_batch_del(struct store_batch *, const void *key, size_t klen);
void store_batch_free(struct store_batch *);
typedef void store_done_cb(void *arg, int err);
/* Takes the batch's bytes. `replace`: what the table held goes first. */
void store_put_routing(struct store *, struct store_batch *takes, bool replace, store_done_cb *, void *arg);
/* Every row of the table, in order of keys; `row` runs on the worker's thread, done from the loop after the last. */
typedef void store_row_cb(void *arg, const void *key, size_t klen, const void *val, size_t vlen);
void store_read_routing(struct store *, store_row_cb *row, store_done_cb *done, void *arg);

/*
 * CDRs, in the order of their ids. One put is one transaction, in which old ones go too: those stored longer than keep_ms ago, and the
 * oldest above `max`, at most trim_max of both. What is not yet forwarded goes by `max` alone (`lost`). They take at most 3/4 of store_size: above,
 * a put fails with -ENOSPC, so that there is always room for the topology. A failed put changed nothing and is not retried. n may be 0.
 */
struct store_cdr_view;
struct store_cdr_put {
	size_t n;
	const int64_t *ids; /* lent till done; NULL, and 0 in it: the highest ever + 1. One that is there: -EEXIST unless its row is the same */
	/* The i-th's row; on the worker's thread, again if the transaction is. */
	void (*make)(void *arg, size_t i, int64_t id, struct buf *row);
	int64_t forwarded;  /* up to here; 0: as it was */
	bool protect;       /* what is not forwarded */
	int64_t keep_ms;
	uint64_t max;
	size_t trim_max;
	void (*done)(void *arg, int err, const struct store_cdr_view *); /* from the loop; the view is lent; on error zero but `clash` */
	void *arg;
};
struct store_cdr_view {
	int64_t oldest, newest; /* ids; 0: none */
	int64_t last;           /* the highest ever */
	uint64_t count;
	int64_t forwarded;
	uint64_t behind;        /* not forwarded, about */
	int64_t behind_ms;      /* wall clock: the oldest of them was stored; 0: none */
	size_t trimmed, lost;   /* by this put */
	int64_t clash;          /* -EEXIST: of this id */
};
void store_put_cdrs(struct store *, const struct store_cdr_put *);

/*
 * Rows with ids above `after` and below `before` (0: any), upwards or backwards; at most `limit`, and at most as many as `row`, on the
 * worker's thread, takes (false: this one was the last). `last`: the id of the last that it saw; end: there are no more.
 */
struct store_cdr_get {
	int64_t after, before;
	bool backwards;
	size_t limit;
	bool (*row)(void *arg, int64_t id, int64_t stored_ms, const void *val, size_t vlen);
	void (*done)(void *arg, int err, int64_t last, bool end); /* from the loop */
	void *arg;
};
void store_get_cdrs(struct store *, const struct store_cdr_get *);

void store_view(const struct store *, struct store_view *);
/* One change as the history and `watch` show it. */
json_t *store_change_json(const struct topo_change *);

/* For tests: the next n commits fail with this error. */
void store_fail_next(struct store *, int err, unsigned n);

#endif
