#include "topology/judge.h"

#include <stdlib.h>
#include <string.h>

#include "topology/judge_int.h"
#include "topology/round.h"

#define GAP_CAP_INTERVALS 3

/* ---- a round ---- */

static bool
acceptable(const struct judge *j, const struct topo_addr *a, const char **why)
{
	size_t i;

	*why = topo_addr_implausible(a);
	if (*why != NULL)
		return false;
	for (i = 0; i < j->conf->n_own; i++)
		if (topo_addr_cmp(&j->conf->own[i], a) == 0) {
			*why = "Kamailio's own listen address";
			return false;
		}
	if (j->conf->n_networks == 0)
		return true;
	for (i = 0; i < j->conf->n_networks; i++)
		if (topo_prefix_has(&j->conf->networks[i], a))
			return true;
	*why = "outside the configured networks";
	return false;
}

static void
refuse(struct name_state *ns, const struct topo_addr *a, const char *why)
{
	if (ns->refused++ == 0) {
		ns->refused_why = why;
		ns->refused_addr = *a;
	}
}

static int
row_cmp(const void *a, const void *b)
{
	const struct round_row *x = a, *y = b;
	int c = topo_addr_cmp(&x->addr, &y->addr);

	if (c != 0)
		return c;
	/* The same address twice with other numbers (two nodes): the smaller priority, the larger weight. */
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return x->weight == y->weight ? 0 : x->weight > y->weight ? -1 : 1;
}

/* Rows in order, each address once. The order also makes what max_instances refuses repeatable. */
static struct round_row *
sorted_rows(const struct round_answer *a, size_t *n_out)
{
	struct round_row *rows = xcalloc(a->n, sizeof *rows);
	size_t i, n = 0;

	if (a->n)
		memcpy(rows, a->rows, a->n * sizeof *rows);
	qsort(rows, a->n, sizeof *rows, row_cmp);
	for (i = 0; i < a->n; i++)
		if (n == 0 || topo_addr_cmp(&rows[n - 1].addr, &rows[i].addr) != 0)
			rows[n++] = rows[i];
	*n_out = n;
	return rows;
}

static bool
rows_have(const struct round_row *rows, size_t n, const struct topo_addr *a)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = topo_addr_cmp(&rows[mid].addr, a);

		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* What is out and waits for its removal takes no place: a roll-out may replace everything. */
static bool
takes_place(const struct member *m)
{
	return !m->missing || topo_is_active(m->pub.state);
}

static size_t
count_places(const struct judge *j)
{
	size_t i, n = 0;

	for (i = 0; i < j->n; i++)
		n += takes_place(j->m[i]);
	return n;
}

/* `*places` is how many instances count against max_instances. */
static void
list_one(struct judge *j, unsigned name, const struct round_row *row, size_t *places,
    int64_t wall_ms)
{
	struct member *m = member_find(j, &row->addr);
	/* in by guards_take_in(), if nothing speaks against it */
	struct topo_instance fresh = { .addr = row->addr, .state = TOPO_DISABLED, .since_ms = wall_ms };
	uint32_t bit = 1u << name, was;
	size_t max = j->conf->max_instances, k;
	bool anybody;

	if (m == NULL && j->frozen) {
		refuse(&j->names[name], &row->addr, "the service is held (c4ctl release)");
		return;
	}
	/* The second bound is for memory: a list that is new in every round leaves its past. */
	if ((m == NULL || !takes_place(m)) && (*places >= max || (m == NULL && j->n >= 2 * max))) {
		refuse(&j->names[name], &row->addr, "more than max_instances");
		return;
	}
	*places += m == NULL || !takes_place(m);
	if (m == NULL)
		m = member_insert(j, &fresh);
	anybody = member_is_unconfirmed(m);
	m->missing = m->approved = false;
	m->came = true;
	m->listed_by |= bit;
	m->judged_by |= bit;
	m->assumed_by &= ~bit;
	if (j->frozen)
		return;
	/* Restored tags were anybody's, and a loss kept its last ones: now its names speak. */
	was = member_tags(j, m);
	for (k = 0; k < j->conf->n_names; k++)
		if (anybody ? k != name : !((m->listed_by | m->assumed_by) & (1u << k)))
			m->tags[k] = 0;
	j->changed |= m->pub.source != SOURCE_DNS || member_tags(j, m) != was;
	m->pub.source = SOURCE_DNS;
	free(m->pub.origin);
	m->pub.origin = NULL;
	/* When several names list it, the first of them speaks for weight and priority. */
	if ((m->listed_by & (bit - 1)) == 0) {
		j->changed |= m->pub.weight != row->weight || m->pub.priority != row->priority;
		m->pub.weight = row->weight;
		m->pub.priority = row->priority;
	}
	j->known = true;
}

static void
apply_tag(struct judge *j, unsigned name, unsigned tag, const struct round *r)
{
	const struct round_answer *a = &r->tags[tag];
	struct round_row *rows;
	size_t i, n;
	/* As with instances: an answer in doubt may add a tag, never take one. */
	bool partial = a->server != r->list.server || a->truncated || a->n_unresolved > 0 ||
	    round_is_near_limit(a);

	if (j->frozen || !round_is_answer(a))
		return;
	rows = sorted_rows(a, &n);
	for (i = 0; i < j->n; i++) {
		struct member *m = j->m[i];
		uint32_t was = m->tags[name];

		if (!(m->listed_by & (1u << name)))
			continue;
		if (rows_have(rows, n, &m->pub.addr))
			m->tags[name] |= 1u << tag;
		else if (!partial)
			m->tags[name] &= ~(1u << tag);
		j->changed |= m->tags[name] != was;
	}
	free(rows);
}

static void
unlist(struct judge *j, unsigned name, const struct round_row *rows, size_t n)
{
	uint32_t bit = 1u << name;
	size_t i;

	for (i = 0; i < j->n; i++) {
		struct member *m = j->m[i];

		if (!((m->listed_by | m->assumed_by) & bit) || rows_have(rows, n, &m->pub.addr))
			continue;
		m->listed_by &= ~bit;
		m->assumed_by &= ~bit;
		/* The last name's tags stay with it: it may have to take calls for a while yet. */
		if ((m->listed_by | m->assumed_by) != 0) {
			j->changed |= m->tags[name] != 0;
			m->tags[name] = 0;
		}
	}
}

/* At most `cap_ms`; several names confirm the same loss, and their time counts once. */
static int64_t
time_passed(int64_t since_ms, int64_t now_ms, int64_t cap_ms)
{
	int64_t ms = now_ms > since_ms ? now_ms - since_ms : 0;

	return ms < cap_ms ? ms : cap_ms;
}

static void
note_going(struct judge *j, struct member *m, int64_t now_ms, int64_t wall_ms)
{
	if (!m->came)
		return;
	m->came = false;
	m->gone_ms = wall_ms;
	m->just_went = true;
	m->flap_before = m->flap;
	if (j->conf->flap_suppress > 0)
		flap_going(&m->flap, j->conf, now_ms);
}

/*
 * Sum up the evidence time of the losses. `gap_ms` is what this round adds, already capped. While
 * one of the names that listed an instance says nothing, its time stands still.
 */
static void
account(struct judge *j, unsigned name, int64_t gap_ms, int64_t now_ms, int64_t wall_ms)
{
	uint32_t silent = 0;
	size_t i;

	for (i = 0; i < j->conf->n_names; i++)
		if (!j->names[i].proves)
			silent |= 1u << i;
	for (i = 0; i < j->n; i++) {
		struct member *m = j->m[i];
		uint32_t judges = m->judged_by ? m->judged_by : judge_all_names(j);

		if ((m->listed_by | m->assumed_by) != 0)
			continue;
		if (!m->missing) {
			m->missing = true;
			m->standing_ms = 0;
			note_going(j, m, now_ms, wall_ms);
		} else if ((judges & silent) || !(judges & (1u << name))) {
			continue;
		} else {
			m->standing_ms += time_passed(m->confirmed_ms, now_ms, gap_ms);
		}
		m->confirmed_ms = now_ms;
	}
	/* the same for the service as a whole */
	j->time_ms += time_passed(j->time_at, now_ms, gap_ms);
	j->time_at = now_ms;
}

static void
take_list(struct judge *j, const struct round *r, int64_t wall_ms)
{
	struct name_state *ns = &j->names[r->name];
	unsigned was_refused = ns->refused;
	size_t places = count_places(j);
	struct round_row *rows;
	size_t i, n, kept = 0;
	const char *why;
	unsigned t;

	ns->refused = 0;
	rows = sorted_rows(&r->list, &n);
	for (i = 0; i < n; i++) {
		if (!acceptable(j, &rows[i].addr, &why)) {
			refuse(ns, &rows[i].addr, why);
			continue;
		}
		rows[kept++] = rows[i];
		list_one(j, r->name, &rows[i], &places, wall_ms);
	}
	if (ns->last == EVIDENCE_COMPLETE)
		unlist(j, r->name, rows, kept);
	for (t = 0; t < j->conf->n_tags; t++)
		apply_tag(j, r->name, t, r);
	j->changed |= ns->refused != was_refused;
	free(rows);
}

bool
judge_round(struct judge *j, const struct round *r, int64_t now_ms, int64_t wall_ms)
{
	struct name_state *ns = &j->names[r->name];
	const enum evidence was = ns->last;
	const bool proved = ns->proves;
	int64_t gap = time_passed(ns->last_ms, now_ms, GAP_CAP_INTERVALS * j->conf->interval_ms);

	ns->last = judge_classify(r, j->conf->n_tags, &ns->why);
	ns->last_ms = now_ms;
	ns->proves = ns->last == EVIDENCE_COMPLETE;
	if (ns->last == EVIDENCE_NOTHING)
		return false;
	j->changed = false;
	if (ns->last == EVIDENCE_ABSENCE) {
		ns->absent_rounds++;
		/* "nothing" in between pauses: only the gap between two proofs of absence counts */
		if (was == EVIDENCE_ABSENCE)
			ns->absent_ms += gap;
		/* Until it has held it is no proof against any instance: fresh servers say so too. */
		ns->proves = ns->absent_rounds >= j->conf->empty_rounds &&
		    ns->absent_ms >= j->conf->empty_hold_ms;
		if (ns->proves) {
			j->changed |= ns->refused != 0;
			ns->refused = 0;
			unlist(j, r->name, NULL, 0);
		}
	} else {
		/* Servers that lost their data say that nobody is there, and then list whom they have heard of so far. */
		if (ns->absent_rounds > 0 && judge_count_active(j) > 0)
			j->filling_ms = j->time_ms + j->conf->shrink_hold_ms;
		ns->absent_rounds = 0;
		ns->absent_ms = 0;
		take_list(j, r, wall_ms);
	}
	if (ns->last != EVIDENCE_PARTIAL)
		ns->proof_ms = now_ms;
	guards_take_in(j, now_ms, wall_ms);
	if (ns->proves) {
		account(j, r->name, proved ? gap : 0, now_ms, wall_ms);
		guards_let_go(j, now_ms, wall_ms);
	}
	return j->changed;
}

/* ---- the operator ---- */

/* What a guard holds is to go; what damping keeps out is to come in. */
static bool
approve(struct judge *j)
{
	bool any = false;
	size_t i;

	for (i = 0; i < j->n && !j->frozen; i++) {
		struct member *m = j->m[i];

		if (m->missing && m->pub.state == TOPO_HELD) {
			any = m->approved = true;
		} else if (m->listed_by != 0 && m->damped) {
			memset(&m->flap, 0, sizeof m->flap);
			any = true;
		}
	}
	return any;
}

bool
judge_word(struct judge *j, enum judge_word word, int64_t now_ms, int64_t wall_ms)
{
	bool any = false;
	size_t i;

	switch (word) {
	case JUDGE_HOLD:
		any = !j->frozen;
		j->frozen = true;
		break;
	case JUDGE_RELEASE:
		any = j->frozen;
		j->frozen = false;
		break;
	case JUDGE_APPROVE:
		any = approve(j);
		break;
	}
	if (!any)
		return false;
	/* What changes by the word stands from now on, not from the last round. */
	for (i = 0; i < j->n; i++)
		if (j->m[i]->missing)
			j->m[i]->confirmed_ms = now_ms;
	guards_take_in(j, now_ms, wall_ms);
	guards_let_go(j, now_ms, wall_ms);
	if (word == JUDGE_APPROVE) { /* what comes is measured against what was agreed to */
		peaks_clear(&j->peaks);
		peaks_note(&j->peaks, judge_count_active(j), j->time_ms);
	}
	return true;
}

unsigned
judge_left_without(const struct judge *j, const struct topo_addr *addr)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < j->n; i++) {
		const struct member *m = j->m[i];

		if (topo_addr_cmp(&m->pub.addr, addr) == 0 || m->pub.guard == GUARD_SHRINK)
			continue; /* what the shrink guard holds is on its way out */
		n += topo_is_active(m->pub.state) || (m->pub.state == TOPO_SUPPRESSED && m->listed_by != 0 && !j->frozen);
	}
	return n;
}

bool
judge_drain(struct judge *j, const struct topo_addr *addr, int64_t until_ms, int64_t now_ms, int64_t wall_ms)
{
	struct drain *d = judge_find_drain(j, addr);
	struct member *m = member_find(j, addr);

	if (d == NULL) {
		j->drains = xgrow(j->drains, j->n_drains, &j->cap_drains, sizeof *j->drains);
		d = &j->drains[j->n_drains++];
		d->addr = *addr;
	}
	d->until_ms = until_ms;
	j->changed = false;
	if (m == NULL)
		return false;
	j->changed = m->drain_until_ms != until_ms;
	m->drained = true;
	m->drain_until_ms = until_ms;
	if (m->missing && !j->frozen) {
		if (topo_is_active(m->pub.state)) /* a guard held what this lets go */
			guards_drain(j, m, GUARD_OPERATOR, wall_ms);
		member_set_state(j, m, TOPO_DISABLED, GUARD_NONE, wall_ms);
	} else if (m->pub.state != TOPO_DISABLED || m->listed_by != 0) {
		guards_drain(j, m, GUARD_OPERATOR, wall_ms);
	}
	guards_take_in(j, now_ms, wall_ms); /* damping may have to let one in for it */
	return j->changed;
}

bool
judge_undrain(struct judge *j, const struct topo_addr *addr, int64_t now_ms, int64_t wall_ms)
{
	struct drain *d = judge_find_drain(j, addr);
	struct member *m = member_find(j, addr);

	if (d == NULL)
		return false;
	*d = j->drains[--j->n_drains];
	if (m == NULL)
		return false;
	j->changed = false;
	m->drained = false;
	m->drain_until_ms = 0;
	if (m->pub.state == TOPO_DRAINING) {
		j->changed = true;
		if (m->missing)
			member_set_state(j, m, TOPO_DISABLED, GUARD_NONE, wall_ms);
		else if (j->frozen || member_is_unconfirmed(m))
			member_set_state(j, m, TOPO_UP, GUARD_NONE, wall_ms);
	}
	guards_take_in(j, now_ms, wall_ms);
	return j->changed;
}
