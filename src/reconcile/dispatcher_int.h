/*
 * dispatcher_int: what the parts of the dispatcher target share. dispatcher.c reads, plans and keeps the file;
 * dispatcher_change.c brings structural changes about; dispatcher_repair.c knows whose doing a difference is;
 * dispatcher_show.c shows.
 */
#ifndef RECONCILE_DISPATCHER_INT_H
#define RECONCILE_DISPATCHER_INT_H

#include "reconcile/dispatcher.h"
#include "reconcile/listfile.h"
#include "reconcile/target_row.h"

struct set {
	const struct conf_set *conf;
	struct target_row row;
	bool adopted_file;  /* what the file held has been taken over */
	bool adopted;       /* and what Kamailio held */
};

/* A destination that Kamailio would not have, or not let go: left alone until then. */
struct refusal {
	int set;
	char *uri;
	char *why; /* for people */
	int64_t until_ms;
};

struct dispatcher {
	struct target target;
	struct target_deps deps;
	struct kamhost *host;
	const struct conf_kamailio *conf;
	struct listfile *file;
	struct loop_timer timer;
	struct loop_later begin;
	struct set *sets;
	size_t n_sets;

	/* what is known */
	bool loaded;              /* the file has been read once */
	bool was_read;            /* Kamailio has been read on this connection */
	struct ds_entries actual; /* the last read-back, of this connection or one before */
	uint64_t actual_hash;     /* of the reply that it was read from; 0: never read */
	struct ds_entries lost;   /* what it listed before, and should list: as it was */
	struct ds_entries filed;  /* what the file holds, all sets */
	struct ds_entries foreign; /* of them others' lines in sets that are not exclusive */
	char file_error[512];
	bool file_locked_out;     /* another c4d manages it */
	size_t file_bad;          /* lines that Kamailio stumbles over */
	uint64_t file_hash;       /* of the block that is in the file; 0 unknown */
	bool file_stale;          /* what the block is made of has changed since */
	int64_t file_checked_ms;
	bool sockets_known;

	/* the pass under way */
	bool running, dirty;
	bool quick;               /* it acts on what the last read-back showed, and reads after that */
	struct topo *topo;
	const struct conf_kamailio *desired_conf; /* and topo: what `desired` was made of */
	struct ds_entries desired;
	struct ds_set_ref *refs;
	size_t n_refs;
	bool news;                /* what the plan is made of has changed since it was made */
	bool right;               /* it found nothing missing */
	struct dsp_plan plan;
	size_t next;
	unsigned verifies;
	bool file_busy, rpc_busy;
	bool list_came;           /* while the file was busy */
	bool rereading, reread;   /* the file, before somebody's destinations are taken for ours */
	bool acted;               /* a set_state or a structural change went out since the last read-back */
	int64_t applied_wall_ms;
	uint64_t passes;

	/* structural changes */
	int64_t window_ms;        /* monotonic; when the next one may go */
	int64_t delta_ms;         /* configured or learned */
	int64_t accepted_ms;      /* the last one that Kamailio took; 0 none on this connection */
	bool waited;              /* since then one stood waiting for the window to open */
	bool refused;             /* at least one was refused */
	bool longer;              /* the first of them had waited: Kamailio's window is longer than ours */
	uint64_t reload_generation;
	bool after_reload;        /* the next read-back is compared with the one `before` */
	struct ds_entries before;
	int64_t stuck_until_ms;
	char reload_error[512];
	struct dsp_step tried;    /* add or remove that Kamailio said Ok to, not read back yet; uri NULL: none */
	struct refusal *refusals;
	size_t n_refusals, cap_refusals;
	char list_error[256];
	uint64_t start_generation;
	struct target_counts counts;
};

static inline int64_t
now_ms(const struct dispatcher *d)
{
	return loop_now_ms(d->deps.loop);
}

static inline bool
is_up(const struct dispatcher *d)
{
	return kamhost_is_up(d->host);
}

extern const struct target_ops dispatcher_ops;

struct set *dispatcher_find_set(struct dispatcher *, int id);
/* What Kamailio's states are known from, for the flags column. */
struct dsp_known dispatcher_known(const struct dispatcher *);
void dispatcher_rpc_failed(struct dispatcher *, const char *what, int err, const struct binrpc_msg *, char *text, size_t size);
/* Where a pass goes on after a structural change. */
void dispatcher_pass_read(struct dispatcher *);
void dispatcher_pass_end(struct dispatcher *);

/* ---- dispatcher_change.c ---- */

/* By dispatcher.add and remove; else by reload. Where nothing is listed there are no loads to keep, and a reload is quicker. */
bool dispatcher_by_steps(const struct dispatcher *);
/* After each plan that was made of a read-back: did the last change do what it should? Which steps can't be done? */
void dispatcher_check_change(struct dispatcher *);
/* Begins the next structural change of the plan, which goes on by pass_read() or pass_end(). False: not now. */
bool dispatcher_change(struct dispatcher *);
void dispatcher_forget_refusals(struct dispatcher *);
/* A new connection: what was tried is unknown. restarted: another process, whose window is open. */
void dispatcher_forget_change(struct dispatcher *, bool restarted);
/* When all of it may be done: for people. */
void dispatcher_describe_wait(const struct dispatcher *, char *text, size_t size);

/* ---- dispatcher_repair.c ---- */

/*
 * Steps for a set that was read back as right in this very generation are repairs of somebody else's change.
 * Sets that are left alone lose their steps.
 */
void dispatcher_filter_plan(struct dispatcher *);

/* ---- dispatcher_show.c ---- */

/* At the end of a pass: each set's state, its log line when it changed, and the history's times. */
void dispatcher_show_sets(struct dispatcher *);

/* The views of dispatcher_ops. */
size_t dispatcher_rows(const struct target *);
void dispatcher_view(const struct target *, size_t i, struct target_view *);
bool dispatcher_holds(const struct target *, size_t i, const char *service);
void dispatcher_diff(const struct target *, bool file, target_step_cb *, void *arg);
uint64_t dispatcher_passes(const struct target *);
bool dispatcher_was_read(const struct target *);
void dispatcher_counts(const struct target *, struct target_counts *add);

static inline struct dispatcher *
of_target(struct target *t)
{
	return CONTAINER_OF(t, struct dispatcher, target);
}

static inline const struct dispatcher *
of_const_target(const struct target *t)
{
	return CONTAINER_OF(t, const struct dispatcher, target);
}

#endif
