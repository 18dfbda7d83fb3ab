/*
 * dispatcher_int: what the two halves of the dispatcher target share: dispatcher.c acts, dispatcher_show.c shows.
 */
#ifndef RECONCILE_DISPATCHER_INT_H
#define RECONCILE_DISPATCHER_INT_H

#include "reconcile/dispatcher.h"
#include "reconcile/listfile.h"
#include "reconcile/repair.h"

struct set {
	const struct conf_set *conf;
	char name[TARGET_NAME_MAX];
	enum target_state state;
	int64_t since_ms;
	char error[512];
	uint64_t applied;   /* generation last read back as in force; 0 after a reconnect */
	uint64_t recorded;  /* the newest whose times the history has: the first proof counts */
	size_t pending;
	bool adopted_file;  /* what the file held has been taken over */
	bool adopted;       /* and what Kamailio held */
	int64_t backoff_ms; /* monotonic; 0 none */
	struct repairs repairs;
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
	struct ds_entries actual; /* the last read-back */
	struct ds_entries states; /* Kamailio's states as last seen there, or at the start in the file */
	struct ds_entries filed;  /* what the file holds, all sets */
	struct ds_entries foreign;
	char file_error[512];
	bool file_locked_out;     /* another c4d manages it */
	size_t file_bad;          /* lines that Kamailio stumbles over */
	uint64_t file_hash;       /* of the block that is in the file; 0 unknown */
	int64_t file_checked_ms;
	bool sockets_known;

	/* the pass under way */
	bool running, dirty;
	struct topo *topo;
	struct ds_entries desired;
	struct ds_set_ref *refs;
	size_t n_refs;
	struct dsp_plan plan;
	size_t next;
	unsigned verifies;
	bool file_busy, rpc_busy;
	bool rereading, reread;   /* the file, before somebody's destinations are taken for ours */
	bool acted;               /* a set_state or a reload went out since the last read-back */
	int64_t applied_wall_ms;
	uint64_t passes;

	/* reloads */
	int64_t window_ms;        /* monotonic; when the next one may go */
	int64_t delta_ms;         /* configured or learned */
	int64_t accepted_ms;      /* the last one that Kamailio took; 0 none on this connection */
	bool waited;              /* since then one stood waiting for the window to open */
	bool refused;             /* at least one was refused */
	bool longer;              /* the first of them had waited: Kamailio's window is longer than ours */
	uint64_t reload_generation;
	bool after_reload;        /* the next read-back is compared with `before` */
	struct ds_entries before;
	int64_t stuck_until_ms;
	char reload_error[512];
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
