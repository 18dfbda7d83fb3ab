/*
 * target_row: what is shown of one row of a target: its state, since when, why; and its log line when that changes.
 */
#ifndef RECONCILE_TARGET_ROW_H
#define RECONCILE_TARGET_ROW_H

#include "reconcile/repair.h"
#include "reconcile/target.h"

struct target_row {
	char name[TARGET_NAME_MAX];
	enum target_state state;
	int64_t since_ms;
	char error[512];
	uint64_t applied;   /* generation last read back as in force; 0 after a reconnect */
	uint64_t recorded;  /* the newest whose times the history has: the first proof counts */
	size_t pending;
	int64_t backoff_ms; /* monotonic; 0 none */
	struct repairs repairs;
	struct histogram propagation; /* from seen to verified */
};

/* Otherwise zero-initialised. */
void target_row_init(struct target_row *, const struct target_deps *);
/* Its back-off, what was read back of it, and how often it was put right. */
void target_row_forget(struct target_row *);
/* `error` may be the row's own. One log line per change of state or of error; none with deps->dry. */
void target_row_show(struct target_row *, const struct target_deps *, enum target_state, const char *error);
/* It was read back as right. */
void target_row_verified(struct target_row *, const struct target_deps *, uint64_t generation, uint64_t start_generation,
    int64_t applied_wall_ms);
void target_row_view(const struct target_row *, const struct target_deps *, const char *kind, int64_t window_ms,
    struct target_view *out);

#endif
