/*
 * target: how anything that must equal the snapshot is shown. What kinds of target there are is
 * known to daemon.c alone; views are made by the targets themselves.
 */
#ifndef RECONCILE_TARGET_H
#define RECONCILE_TARGET_H

#include <stddef.h>
#include <stdint.h>

enum target_state { TARGET_CONVERGED, TARGET_PENDING, TARGET_WINDOW, TARGET_UNREACHABLE, TARGET_FAILED };

#define TARGET_NAME_MAX 80

struct target_view {
	char name[TARGET_NAME_MAX]; /* "sbc/1" */
	const char *kind;           /* "dispatcher" */
	enum target_state state;
	uint64_t desired_generation;
	uint64_t applied_generation; /* the newest that was read back as in force */
	size_t pending;             /* steps that are missing */
	const char *last_error;     /* "" */
	int64_t since_ms;           /* wall clock, of the state */
	int64_t window_ms;          /* until Kamailio takes the next reload; 0: open */
};

const char *target_state_name(enum target_state);

#endif
