/*
 * table_int: what the parts of the table target share: table.c walks through its passes, table_want.c says what is to be there,
 * table_act.c brings it about, table_show.c shows it.
 */
#ifndef RECONCILE_TABLE_INT_H
#define RECONCILE_TABLE_INT_H

#include "reconcile/repair.h"
#include "reconcile/table.h"
#include "reconcile/table_kind.h"
#include "reconcile/tablefile.h"
#include "reconcile/target_row.h"

/* What is one row among the targets: a set, a group, or all of a table. */
struct part {
	struct target_row row;
	int set;
	bool mute;         /* rtpengine: no node of it answers */
	char silence[320]; /* that in words; "" while the first pings are under way */
	char refused[320]; /* Kamailio does not do what c4d asks of it ... */
	int64_t refused_ms; /* ... monotonic, said until then; 0: it does */
	char war[512];     /* somebody else changes it again and again: left to them until row.backoff_ms ... */
	uint64_t war_hash; /* ... as long as this is desired */
};

/* What is remembered of a row, as long as it is wanted or the file holds it. */
struct memo {
	struct table_row row; /* first: it is the key */
	bool wanted;        /* c4d wanted it at some time of this run */
	bool shut;          /* adopted; it is out because it does not answer */
	int64_t until_ms;   /* wall clock; so long its sessions may take, by the operator's word; 0: no word */
	int64_t held_ms;    /* adopted; for so long it stayed while its services' names proved something */
	int64_t proven_ms;  /* monotonic, when that was last so; 0: it was not */
	int64_t leaving_ms; /* monotonic, since when it leaves; 0: it does not yet */
	int64_t quiet_ms;   /* monotonic, since when Kamailio gives it no new calls; 0: not yet */
	bool over;          /* it has left: no session, or no time, any more */
	unsigned refusals;  /* in a row: times that Kamailio would not use it */
	int64_t pause_ms;   /* monotonic; it is not asked to before */
	int64_t asleep_ms;  /* monotonic, since when Kamailio is seen to have it asleep; 0: it has not */
	bool lulled;        /* it sleeps because c4d said so */
	bool awake;         /* it is dead for c4d, yet Kamailio got an answer when it was to find that out */
};

/* Of a row that leaves, or moves elsewhere: see table_leave.c. */
struct leaver {
	char *item;
	int64_t since_ms; /* monotonic */
	bool asked;       /* Kamailio was told to end what lasts elsewhere, */
	bool refused;     /* and does not */
	bool said;        /* that it takes too long */
	bool back;        /* Kamailio was told to take it again */
};

struct table {
	struct target target;
	struct target_deps deps;
	struct kamhost *host;
	const struct conf_kamailio *conf;
	const struct table_kind *kind;
	char *path;
	struct tablefile *file;
	struct nodes *nodes; /* NULL: not probed, or plan */
	struct loop_timer timer;
	struct loop_later begin;
	struct part *parts;
	size_t n_parts;

	/* what is known */
	bool loaded;              /* the file has been read once */
	bool was_read;            /* Kamailio has been read on this connection */
	bool was_ever_read;
	int64_t read_ms;          /* monotonic; when it was last */
	struct table_rows actual; /* the last read-back */
	struct table_rows first;  /* of the first read-back of this run, what may still have to be taken over */
	struct table_rows filed;  /* what the file holds, all sets */
	struct table_rows carried; /* of a kind with settle(): what Kamailio was last given */
	struct memo *memos;       /* sorted by row */
	size_t n_memos;
	char trouble[512];        /* what is wanted and can't be; "" */
	char file_error[512];
	bool file_locked_out;     /* another c4d manages it */
	bool file_right;          /* it held what was desired when it was last looked at */
	size_t file_bad;
	int64_t file_checked_ms;

	/* the pass under way */
	bool running, dirty;
	int64_t again_ms;         /* monotonic; when the next pass has something to do; 0: nobody said */
	struct topo *topo;
	const struct rt_data *data; /* what `desired` was made of: compared only, it may be gone */
	struct table_rows desired;
	struct table_rows unproven; /* wanted, but rtpengine's nodes that never answered yet: no row for them */
	struct table_scopes scopes;
	struct table_plan plan;   /* its rows are those of desired and actual */
	size_t structural;        /* steps that a reload would take now */
	struct table_rows got;
	size_t reading;           /* which of the kind's reads */
	size_t next;
	unsigned verifies, rereads;
	bool acted;               /* something went out since the last read-back */
	int64_t applied_wall_ms;
	uint64_t passes;

	/* reloads */
	int64_t window_ms;     /* monotonic; when the next one may go */
	int64_t asked_ms;      /* monotonic; when the nodes were last asked for one */
	int64_t refused_ms;    /* monotonic; since when every try was; 0: the last was not */
	bool early;            /* Kamailio's module is not ready yet */
	bool after_reload;
	uint64_t reload_hash;  /* what the last accepted one carried */
	uint64_t applied_hash; /* what was last read back as right; 0 nothing */
	uint64_t again_hash;   /* for this the file was written a second time */
	bool write_again;
	int64_t stuck_until_ms;
	struct repairs wakes;
	struct leaver *leavers;
	size_t n_leavers, cap_leavers;
	char *asked_item;      /* of the RPC under way */
	int64_t burst_ms;      /* monotonic; since then */
	size_t n_burst;        /* so many were told to leave */
	bool more;             /* and others still have to be */
	char reload_error[640];
	char read_error[320];
	uint64_t start_generation;
	struct target_counts counts;
};

static inline int64_t
now_ms(const struct table *t)
{
	return loop_now_ms(t->deps.loop);
}

static inline bool
is_up(const struct table *t)
{
	return kamhost_is_up(t->host);
}

static inline struct table *
table_of(struct target *t)
{
	return CONTAINER_OF(t, struct table, target);
}

extern const struct target_ops table_ops;

/* The next pass begins in `ms` at the latest. */
void table_again(struct table *, int64_t ms);
struct part *table_part(const struct table *, int set); /* NULL: that set is not ours */
/* How a pass goes on after an RPC. */
void table_pass_act(struct table *);
void table_pass_read(struct table *);
void table_pass_end(struct table *);

/* table_act.c */
void table_filter_plan(struct table *);       /* marks the steps that can't be taken now, counts those of a reload */
void table_check_stuck(struct table *);       /* did the last reload do anything? */
bool table_next_instant(struct table *);      /* true: an RPC went out, and its answer goes on with table_pass_act() */
bool table_may_reload(struct table *);        /* now; false: nodes are being asked, or table_again() was called */
void table_reload(struct table *);            /* goes on with table_pass_read() or table_pass_end() */
bool table_is_refused_for_long(const struct table *); /* longer than any window */

/* table_leave.c */
bool table_takes_leave(struct table *, const struct table_step *); /* of one that is removed: true: an RPC went out, as of the next two */
bool table_next_mover(struct table *);        /* of those that move, when the file is right */
bool table_next_comer(struct table *);        /* of those that had left, and are wanted; likewise */
bool table_waits_for_leavers(struct table *); /* no reload yet */
void table_note_leavers(struct table *);      /* after a plan was made */
void table_forget_leavers(struct table *);

/* table_want.c */

/*
 * Fills desired and scopes. `reload`: one is to go for the sake of other sets, so of a set that does not answer only what
 * Kamailio itself has in use, and c4d never heard, stays in.
 */
void table_want(struct table *, bool reload);
/* Of the routing data, where the table is made of it; NULL: none yet, or it is not. */
const struct rt_data *table_data(const struct table *);
int64_t table_delta_ms(const struct table *); /* between two reloads */
/* As `c4d plan` would see it: nobody is asked, nothing that is there leaves. */
void table_want_dry(const struct table *, struct table_rows *out, struct table_scopes *scopes);
struct memo *table_memo(const struct table *, const struct table_row *);
void table_forget(struct table *); /* all memos */
void table_note_sleep(struct table *); /* of the last read-back, into the memos */
/* NULL: not watched. */
const struct node_view *table_node(const struct table *, const struct table_row *);

/* table_show.c */
void table_show_parts(struct table *);           /* at the end of a pass */
size_t table_rows_count(const struct target *);
void table_view(const struct target *, size_t i, struct target_view *);
bool table_holds(const struct target *, size_t i, const char *service);
void table_diff(const struct target *, bool file, target_step_cb *, void *arg);
uint64_t table_passes(const struct target *);
bool table_was_read(const struct target *);
void table_counts(const struct target *, struct target_counts *add);

#endif
