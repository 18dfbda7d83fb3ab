/* Who takes calls, and which losses take effect. */
#include <stdlib.h>
#include <string.h>

#include "topology/judge_int.h"

unsigned
guards_base(const struct judge *j)
{
	return peaks_max(&j->peaks, j->time_ms - j->conf->shrink_window_ms);
}

unsigned
guards_allowed(const struct judge *j, unsigned base)
{
	unsigned n = (unsigned)((uint64_t)base * j->conf->max_shrink / 100);

	return n > 0 ? n : 1;
}

/* ---- claims: who is listed and is to take no calls ---- */

static void
update_damping(struct judge *j, struct member *m, int64_t now_ms)
{
	const struct judge_conf *c = j->conf;
	int64_t penalty = flap_penalty(&m->flap, c, now_ms);

	if (c->flap_suppress == 0 || penalty < c->flap_reuse * 1000)
		m->damped = false;
	else if (m->listed_by != 0 && penalty >= c->flap_suppress * 1000)
		m->damped = true;
}

static uint32_t
drain_bit(const struct judge_conf *c)
{
	size_t i;

	for (i = 0; c->drain_tag != NULL && i < c->n_tags; i++)
		if (strcmp(c->tags[i], c->drain_tag) == 0)
			return 1u << i;
	return 0;
}

struct spare {
	struct member *m;
	int64_t penalty;
};

/* Whom the floor takes first: damped before tagged, who is in already, the smaller penalty. */
static int
spare_cmp(const void *a, const void *b)
{
	const struct spare *x = a, *y = b;
	bool in_x = topo_is_active(x->m->pub.state), in_y = topo_is_active(y->m->pub.state);

	if (x->m->claim != y->m->claim)
		return x->m->claim < y->m->claim ? -1 : 1;
	if (in_x != in_y)
		return in_x ? -1 : 1;
	if (x->penalty != y->penalty)
		return x->penalty < y->penalty ? -1 : 1;
	return topo_instance_cmp(&x->m->pub, &y->m->pub);
}

/* Neither damping nor a tag goes below the floor: as many as it needs are spared. */
static void
make_claims(struct judge *j, int64_t now_ms)
{
	struct spare *v = xcalloc(j->n, sizeof *v);
	uint32_t tag = drain_bit(j->conf);
	unsigned firm = 0;
	size_t i, n = 0;

	for (i = 0; i < j->n; i++) {
		struct member *m = j->m[i];

		update_damping(j, m, now_ms);
		m->spared = false;
		m->claim = m->drained ? CLAIM_DRAINED : m->listed_by == 0 ? CLAIM_NONE :
		    m->damped ? CLAIM_DAMPED : member_tags(j, m) & tag ? CLAIM_TAGGED : CLAIM_NONE;
		if (m->claim == CLAIM_NONE)
			firm += m->listed_by != 0 || (member_is_there(m) && topo_is_active(m->pub.state));
		else if (m->claim != CLAIM_DRAINED)
			v[n++] = (struct spare){ m, flap_penalty(&m->flap, j->conf, now_ms) };
	}
	if (n > 0 && firm < j->conf->min_instances) {
		qsort(v, n, sizeof *v, spare_cmp);
		for (i = 0; i < n && firm + i < j->conf->min_instances; i++)
			v[i].m->spared = true;
	}
	free(v);
}

void
guards_drain(struct judge *j, struct member *m, enum topo_guard guard, int64_t wall_ms)
{
	if (topo_is_active(m->pub.state))
		peaks_lower(&j->peaks, 1);
	member_set_state(j, m, TOPO_DRAINING, guard, wall_ms);
}

/* What damping takes out of those that take calls is a loss, and so left to guards_let_go(). */
static bool
is_to_be_damped(const struct member *m)
{
	return m->claim == CLAIM_DAMPED && !m->spared;
}

void
guards_take_in(struct judge *j, int64_t now_ms, int64_t wall_ms)
{
	size_t i;

	make_claims(j, now_ms);
	for (i = 0; i < j->n; i++) {
		struct member *m = j->m[i];

		if (m->listed_by == 0)
			continue;
		if (m->claim == CLAIM_DRAINED) {
			guards_drain(j, m, GUARD_OPERATOR, wall_ms);
		} else if (j->frozen) {
			/* Only a loss that was held may be undone: both are in. */
			if (m->pub.state == TOPO_HELD)
				member_set_state(j, m, TOPO_UP, GUARD_NONE, wall_ms);
		} else if (m->claim == CLAIM_TAGGED && !m->spared) {
			guards_drain(j, m, GUARD_TAG, wall_ms);
		} else if (is_to_be_damped(m) && !topo_is_active(m->pub.state)) {
			member_set_state(j, m, TOPO_SUPPRESSED, GUARD_FLAP, wall_ms);
		} else {
			member_set_state(j, m, TOPO_UP, GUARD_NONE, wall_ms);
		}
	}
	if (!j->frozen)
		peaks_note(&j->peaks, judge_count_active(j), j->time_ms);
}

/* ---- losses ---- */

struct losses {
	struct member **v; /* missing */
	size_t n;
	struct member **damped;
	size_t n_damped;
	unsigned active; /* before any of them has gone */
};

/* A loss that looks like Consul's trouble is no going of the instance's own: no penalty for it. */
static void
hold_loss(struct judge *j, struct member *m, enum topo_guard guard, int64_t wall_ms)
{
	if (m->just_went)
		m->flap = m->flap_before;
	member_set_state(j, m, TOPO_HELD, guard, wall_ms);
}

/*
 * A step that is greater than what is allowed is held as a whole: it looks like Consul's trouble (a
 * list that is still filling after its servers lost their data), and so is any step for shrink_hold
 * after answers that knew nobody. Smaller steps add up, one instance
 * at a time, until no more is allowed. What is held stays so until its own time has come, even when
 * there is room again. Damping has what room is left; who finds none stays in.
 */
static void
shrink(struct judge *j, const struct losses *l, int64_t wall_ms)
{
	unsigned base = guards_base(j), active = l->active, allowed;
	bool filling = j->time_ms < j->filling_ms;
	size_t i, fresh = 0;

	if (base < active)
		base = active;
	allowed = guards_allowed(j, base);
	for (i = 0; i < l->n; i++)
		fresh += l->v[i]->pub.guard != GUARD_SHRINK && l->v[i]->pub.guard != GUARD_EMPTY;
	for (i = 0; i < l->n; i++) {
		enum topo_guard guard = l->v[i]->pub.guard;
		bool goes;

		if (guard == GUARD_SHRINK)
			goes = l->v[i]->standing_ms >= j->conf->shrink_hold_ms;
		else if (guard == GUARD_EMPTY)
			goes = false;
		else
			goes = !filling && fresh <= allowed && base - (active - 1) <= allowed;
		if (goes) {
			member_set_state(j, l->v[i], TOPO_DISABLED, GUARD_NONE, wall_ms);
			active--;
		} else {
			hold_loss(j, l->v[i], GUARD_SHRINK, wall_ms);
		}
	}
	for (i = 0; i < l->n_damped && base - (active - 1) <= allowed; i++, active--)
		member_set_state(j, l->damped[i], TOPO_SUPPRESSED, GUARD_FLAP, wall_ms);
}

/* It comes and goes: removing it and taking it in again would be a reload each time. */
static bool
is_restless(const struct judge *j, const struct member *m, int64_t now_ms)
{
	if (j->conf->flap_suppress == 0)
		return false;
	if (m->removed_ms != 0 && now_ms - m->removed_ms < FLAP_REMOVE_GAP_MS)
		return true;
	/* A single going is how everybody leaves. */
	return (m->damped || m->flap.goings > 1) &&
	    flap_penalty(&m->flap, j->conf, now_ms) >= j->conf->flap_reuse * 1000;
}

/* Only what has been out, by evidence, for remove_hold leaves altogether. */
static void
remove_old(struct judge *j, int64_t now_ms)
{
	size_t i, keep = 0;

	for (i = 0; i < j->n; i++) {
		struct member *m = j->m[i];

		bool due = m->missing && m->pub.state == TOPO_DISABLED && m->standing_ms >= j->conf->remove_hold_ms;

		if (due && !is_restless(j, m, now_ms)) {
			member_remove(j, m, now_ms);
			continue;
		}
		if (due && m->pub.guard != GUARD_FLAP) { /* who asks why it is still there shall see it */
			m->pub.guard = GUARD_FLAP;
			j->changed = true;
		}
		j->m[keep++] = m;
	}
	j->changed |= j->n != keep;
	j->n = keep;
}

/* Returns how many stay by right: the floor's measure. */
static unsigned
find_losses(struct judge *j, struct losses *l, int64_t wall_ms)
{
	unsigned listed = 0;
	size_t i;

	for (i = 0; i < j->n; i++) {
		struct member *m = j->m[i];

		if (!topo_is_active(m->pub.state)) {
			if (m->missing && !j->frozen) /* also what was suppressed or drained */
				member_set_state(j, m, TOPO_DISABLED, GUARD_NONE, wall_ms);
		} else if (!m->missing) {
			if (is_to_be_damped(m))
				l->damped[l->n_damped++] = m;
			else
				listed++;
		} else if (j->frozen) {
			member_set_state(j, m, TOPO_HELD, GUARD_FROZEN, wall_ms);
		} else if (m->approved) {
			m->approved = false; /* this loss, not the next */
			member_set_state(j, m, TOPO_DISABLED, GUARD_NONE, wall_ms);
		} else {
			l->v[l->n++] = m;
		}
	}
	l->active = listed + (unsigned)(l->n_damped + l->n);
	return listed;
}

void
guards_let_go(struct judge *j, int64_t now_ms, int64_t wall_ms)
{
	struct losses l = { .v = xcalloc(j->n, sizeof *l.v), .damped = xcalloc(j->n, sizeof *l.damped) };
	unsigned listed = find_losses(j, &l, wall_ms);
	size_t i;

	if (j->frozen)
		goto out;
	if (listed >= j->conf->min_instances)
		shrink(j, &l, wall_ms);
	else
		/* An empty list is an outage: keep all; Kamailio's probes sort them out. */
		for (i = 0; i < l.n; i++)
			hold_loss(j, l.v[i], GUARD_EMPTY, wall_ms);
	remove_old(j, now_ms);
	peaks_note(&j->peaks, judge_count_active(j), j->time_ms);
	peaks_prune(&j->peaks, j->time_ms - j->conf->shrink_window_ms);
out:
	for (i = 0; i < j->n; i++)
		j->m[i]->just_went = false;
	free(l.v);
	free(l.damped);
}
