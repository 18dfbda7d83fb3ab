/*
 * target: anything in a Kamailio that must equal the snapshot, as the rest of c4d sees it: one interface, whatever is
 * behind it (dispatcher sets, the tables of rtpengine, domain, permissions and uacreg). A target object is one loop with single
 * flight and may show several rows ("sbc/1" and "sbc/2" are one reload). Its kamhost owns it.
 *
 * What kinds there are is known to kamhost.c alone. Callbacks run from the loop.
 */
#ifndef RECONCILE_TARGET_H
#define RECONCILE_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/loop.h"
#include "base/worker.h"
#include "config/conf.h"
#include "reconcile/platform.h"
#include "store/store.h"

enum target_state { TARGET_CONVERGED, TARGET_PENDING, TARGET_WINDOW, TARGET_UNREACHABLE, TARGET_FAILED };

#define TARGET_NAME_MAX 80

struct target_view {
	char name[TARGET_NAME_MAX]; /* "sbc/1", "sbc/rtpengine/0", "sbc/domain", "sbc/permissions", "sbc/uacreg" */
	const char *kind;           /* "dispatcher", "rtpengine", "domain", "permissions", "uacreg" */
	enum target_state state;
	uint64_t desired_generation;
	uint64_t applied_generation; /* the newest that was read back as in force */
	size_t pending;             /* steps that are missing */
	const char *last_error;     /* "" */
	int64_t since_ms;           /* wall clock, of the state */
	int64_t window_ms;          /* until Kamailio takes the next reload; 0: open */
	const struct histogram *propagation; /* of its generations since c4d runs: seen -> verified; lent */
};

/* One step between desired and actual; texts are lent for the call. */
struct target_step {
	const char *target; /* "sbc/1" */
	const char *where;  /* "kamailio" or "file" */
	const char *op;     /* "add", "remove", "change", "disable", "enable", ... */
	const char *item;   /* the destination's URI, the node's url, the domain, the address */
	const char *detail; /* for people; NULL */
};
typedef void target_step_cb(void *arg, const struct target_step *);

struct target_counts {
	uint64_t reloads, set_states, file_writes, faults, window_waits, repairs;
	uint64_t adds, removes; /* strategy: incremental */
};

struct routing;
struct target;
struct kamhost;

struct target_ops {
	/* The same section of a newer configuration, in which this target's own keys are the same. */
	void (*set_conf)(struct target *);
	void (*kick)(struct target *);   /* a new snapshot, or anything else that may matter: converge */
	void (*resync)(struct target *); /* forget back-offs and what was read; read back and push again */
	void (*up)(struct target *, bool restarted); /* a new connection: read everything again; restarted: another process */
	void (*down)(struct target *);   /* also when the reason changes (kamhost_down_why()) */
	void (*free)(struct target *);   /* a job that is with the worker ends without it; Kamailio stays as it is */
	size_t (*rows)(const struct target *);
	void (*view)(const struct target *, size_t i, struct target_view *);
	bool (*holds)(const struct target *, size_t i, const char *service); /* row i is made of this service's instances */
	/* Present difference: desired against what was read back (file: and against the file). */
	void (*diff)(const struct target *, bool file, target_step_cb *, void *arg);
	/* Passes that ended since the start: a waiter sees that one began and ended after it asked. */
	uint64_t (*passes)(const struct target *);
	bool (*was_read)(const struct target *); /* Kamailio's part is known */
	void (*counts)(const struct target *, struct target_counts *add); /* adds its own */
};

/* First member of every target. */
struct target {
	const struct target_ops *ops;
};

/* A target's state changed, or a pass ended: for waiters. */
typedef void target_event_cb(void *arg);

struct target_deps {
	struct loop *loop;
	struct worker *worker;
	struct platform *platform;
	struct store *store; /* NULL: plan */
	struct routing *routing; /* NULL: plan, which asks nobody for it */
	bool dry;            /* plan: read and compare, change nothing, take no lock */
	target_event_cb *event;
	void *arg;
};

const char *target_state_name(enum target_state);
void target_counts_add(struct target_counts *to, const struct target_counts *);

#endif
