/*
 * table_int: what the two halves of the table target share: table.c acts, table_show.c shows.
 */
#ifndef RECONCILE_TABLE_INT_H
#define RECONCILE_TABLE_INT_H

#include "reconcile/repair.h"
#include "reconcile/table.h"
#include "reconcile/tablefile.h"
#include "reconcile/target_row.h"

/* A row of the file that nobody wants: how long it has stayed, and how it leaves. */
struct leftover {
	int set, mask, port;
	char *item;
	bool met;           /* by the present pass */
	int64_t held_ms;    /* for so long it stayed while its services' names proved something */
	int64_t proven_ms;  /* monotonic, when that was last so; 0: it was not */
	int64_t leaving_ms; /* monotonic, since when it leaves; 0: it does not yet */
	int64_t quiet_ms;   /* monotonic, since when Kamailio gives it no new calls; 0: not yet */
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
	struct target_row *rows;
	int *sets; /* by row */
	size_t n_rows;

	/* what is known */
	bool loaded;              /* the file has been read once */
	bool was_read;            /* Kamailio has been read on this connection */
	struct table_rows actual; /* the last read-back */
	struct table_rows filed;  /* what the file holds, all sets */
	struct table_rows mine;   /* what c4d wanted there at any time of this run */
	struct leftover *leftovers;
	size_t n_leftovers, cap_leftovers;
	char file_error[512];
	bool file_locked_out;     /* another c4d manages it */
	uint64_t filed_hash;      /* of what it was last told to hold; 0 unknown */
	int64_t file_checked_ms;
	bool mute;                /* no node of a set answers */
	char mute_error[512];

	/* the pass under way */
	bool running, dirty;
	struct topo *topo;
	struct table_rows desired;
	struct table_scopes scopes;
	struct table_plan plan;
	struct table_rows got;
	size_t reading; /* which of the kind's reads */
	size_t next;
	unsigned verifies;
	bool asked;     /* the nodes were asked for this reload */
	bool acted;     /* something went out since the last read-back */
	int64_t applied_wall_ms;
	uint64_t passes;

	/* reloads */
	int64_t window_ms;     /* monotonic; when the next one may go */
	bool refused;          /* the last try was */
	bool early;            /* Kamailio's module is not ready yet */
	bool after_reload;
	uint64_t reload_hash;  /* what the last accepted one carried */
	uint64_t applied_hash; /* what was last read back as right; 0 nothing */
	int64_t stuck_until_ms;
	int64_t wake_backoff_ms;
	struct repairs wakes;
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

void table_read_next(struct table *);
void table_check_stuck(struct table *);

/* table_show.c */
uint64_t table_hash(const struct table_rows *); /* never 0 */
void table_show_rows(struct table *);           /* at the end of a pass */
size_t table_rows_count(const struct target *);
void table_view(const struct target *, size_t i, struct target_view *);
bool table_holds(const struct target *, size_t i, const char *service);
void table_diff(const struct target *, bool file, target_step_cb *, void *arg);
uint64_t table_passes(const struct target *);
bool table_was_read(const struct target *);
void table_counts(const struct target *, struct target_counts *add);

#endif
