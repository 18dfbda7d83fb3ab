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
