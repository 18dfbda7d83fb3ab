#include "reconcile/target_row.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* A change by set_state takes tens of milliseconds; a reload waits for a window of 5 or 10 s; what takes minutes was in trouble. */
static const int64_t propagation_us[] = { 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
	20000000, 60000000, 300000000 };

void
target_row_init(struct target_row *r, const struct target_deps *deps)
{
	histogram_init(&r->propagation, propagation_us, NELEM(propagation_us));
	r->state = TARGET_PENDING;
	r->since_ms = loop_wall_ms(deps->loop);
}

void
target_row_forget(struct target_row *r)
{
	r->backoff_ms = 0;
	r->applied = 0;
	repair_forget(&r->repairs);
}

void
target_row_show(struct target_row *r, const struct target_deps *deps, enum target_state state, const char *error)
{
	bool changed = r->state != state;
	bool news = strcmp(r->error, error) != 0 && error[0];

	if (changed) {
		r->state = state;
		r->since_ms = loop_wall_ms(deps->loop);
	}
	if (error != r->error)
		snprintf(r->error, sizeof r->error, "%s", error);
	if (deps->dry || !(changed || news))
		return;
	if (state == TARGET_FAILED)
		log_error("target", "%s failed: %s", r->name, error);
	else if (state == TARGET_UNREACHABLE)
		log_warnx("target", "%s unreachable: %s", r->name, error);
	else if (changed && state == TARGET_CONVERGED)
		log_notice("target", "%s converged generation=%" PRIu64, r->name, r->applied);
	else if (changed)
		log_info("target", "%s %s%s%s", r->name, target_state_name(state), error[0] ? ": " : "", error);
}

void
target_row_verified(struct target_row *r, const struct target_deps *deps, uint64_t generation, uint64_t start_generation,
    int64_t applied_wall_ms)
{
	int64_t now = loop_wall_ms(deps->loop), seen = platform_seen_at(deps->platform, generation);

	if (generation > r->recorded && deps->store != NULL && generation > start_generation) {
		if (seen != 0)
			histogram_add(&r->propagation, (now - seen) * 1000);
		store_put_times(deps->store, generation, r->name, applied_wall_ms ? applied_wall_ms : now, now);
		r->recorded = generation;
	}
	r->applied = generation;
}

void
target_row_view(const struct target_row *r, const struct target_deps *deps, const char *kind, int64_t window_ms,
    struct target_view *v)
{
	int64_t left = window_ms - loop_now_ms(deps->loop);

	memset(v, 0, sizeof *v);
	snprintf(v->name, sizeof v->name, "%s", r->name);
	v->kind = kind;
	v->state = r->state;
	v->desired_generation = platform_generation(deps->platform);
	v->applied_generation = r->applied;
	/* between the change and the pass that brings it about */
	if (v->state == TARGET_CONVERGED && v->applied_generation != v->desired_generation)
		v->state = TARGET_PENDING;
	v->pending = r->pending;
	v->last_error = r->error;
	v->since_ms = r->since_ms;
	v->window_ms = left > 0 ? left : 0;
	v->propagation = &r->propagation;
}
