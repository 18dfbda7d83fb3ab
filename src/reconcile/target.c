#include "reconcile/target.h"

const char *
target_state_name(enum target_state s)
{
	static const char *const names[] = {
		[TARGET_CONVERGED] = "converged", [TARGET_PENDING] = "pending", [TARGET_WINDOW] = "window",
		[TARGET_UNREACHABLE] = "unreachable", [TARGET_FAILED] = "failed",
	};
	return names[s];
}

void
target_counts_add(struct target_counts *to, const struct target_counts *n)
{
	to->reloads += n->reloads;
	to->set_states += n->set_states;
	to->file_writes += n->file_writes;
	to->faults += n->faults;
	to->window_waits += n->window_waits;
	to->repairs += n->repairs;
	to->adds += n->adds;
	to->removes += n->removes;
}
