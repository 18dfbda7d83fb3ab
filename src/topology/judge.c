#include "topology/judge.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "topology/peaks.h"
#include "topology/round.h"

#define GAP_CAP_INTERVALS 3

struct name_state {
	enum evidence last;
	const char *why;
	unsigned absent_rounds;
	int64_t absent_ms;
	int64_t last_ms;
	int64_t proof_ms;
	bool proves;      /* its last round may count against instances */
	unsigned refused; /* rows of its last list that were not accepted; of the first of them: */
	const char *refused_why;
	struct topo_addr refused_addr;
};

struct member {
	struct topo_instance pub; /* generation and tags text are made at snapshot time */
	uint32_t listed_by;       /* names that list it */
	uint32_t assumed_by;      /* names that may have listed it before our start; silent so far */
	uint32_t judged_by;       /* names that listed it in this run and so judge it; none: all do */
	uint32_t tags[JUDGE_NAMES_MAX]; /* by name: a bit per judge_conf.tags */
	bool missing;
	bool approved;            /* the operator agreed to this loss */
	int64_t standing_ms;      /* evidence time in the present loss state */
	int64_t confirmed_ms;     /* clock of the last round that confirmed the loss */
};

struct judge {
	const struct judge_conf *conf;
	bool known;
	bool frozen;
	bool changed; /* anything visible, by the present step */
	struct name_state names[JUDGE_NAMES_MAX];
	struct member **m; /* sorted by topo_instance_cmp */
	size_t n;
	size_t cap;
	int64_t time_ms;  /* evidence time: a pause must not make the shrink guard forget */
	int64_t time_at;  /* clock when it was last advanced */
	struct peaks peaks; /* by time_ms */
};

/* ---- members ---- */

static size_t
find_slot(const struct judge *j, const struct topo_instance *key, bool *found)
{
	size_t lo = 0, hi = j->n;

	*found = false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = topo_instance_cmp(&j->m[mid]->pub, key);

		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct member *
find_member(const struct judge *j, const struct topo_addr *addr)
{
	struct topo_instance key = { .addr = *addr };
	bool found;
	size_t at;

	if (addr->family == 0)
		return NULL;
	at = find_slot(j, &key, &found);
	return found ? j->m[at] : NULL;
}

static struct member *
insert_member(struct judge *j, const struct topo_instance *pub)
{
	struct member *m;
	bool found;
	size_t at = find_slot(j, pub, &found);

	if (found)
		return NULL;
	j->m = xgrow(j->m, j->n, &j->cap, sizeof *j->m);
	memmove(&j->m[at + 1], &j->m[at], (j->n - at) * sizeof *j->m);
	m = j->m[at] = xcalloc(1, sizeof *m);
	topo_instance_copy(&m->pub, pub);
	j->n++;
	j->changed = true;
	return m;
}

/* Restored or adopted, and no evidence of this run yet: it stays as it was found. */
static bool
is_unconfirmed(const struct member *m)
{
	return m->listed_by == 0 && m->assumed_by != 0;
}

static void
free_member(struct member *m)
{
	topo_instance_clear(&m->pub);
	free(m);
}

static uint32_t
all_names(const struct judge *j)
{
	return (uint32_t)((1ull << j->conf->n_names) - 1);
}

static uint32_t
tags_of(const struct judge *j, const struct member *m)
{
	uint32_t tags = 0;
	size_t i;

	for (i = 0; i < j->conf->n_names; i++)
		tags |= m->tags[i];
	return tags;
}

static void
set_state(struct judge *j, struct member *m, enum topo_state state, enum topo_guard guard,
    int64_t wall_ms)
{
	if (m->pub.state == state && m->pub.guard == guard)
		return;
	j->changed = true;
	/* held for another reason, or out: its time stands anew */
	m->standing_ms = 0;
	if (m->pub.state != state)
		m->pub.since_ms = wall_ms;
	m->pub.state = state;
	m->pub.guard = guard;
}

/* ---- the shrink guard's memory ---- */

static unsigned
count_active(const struct judge *j)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < j->n; i++)
		n += topo_is_active(j->m[i]->pub.state);
	return n;
}

static unsigned
peak_base(const struct judge *j)
{
	return peaks_max(&j->peaks, j->time_ms - j->conf->shrink_window_ms);
}

static unsigned
allowed_loss(const struct judge *j, unsigned base)
{
	unsigned n = (unsigned)((uint64_t)base * j->conf->max_shrink / 100);

	return n > 0 ? n : 1;
}

/* ---- guards: which losses take effect ---- */

/*
 * A step that is greater than what is allowed is held as a whole: it looks like Consul's trouble (a
 * list that is still filling after its servers lost their data). Smaller steps add up, one instance
 * at a time, until no more is allowed. What is held stays so until its own time has come, even when
 * there is room again.
 */
static void
shrink(struct judge *j, struct member **loss, size_t n, unsigned active, int64_t wall_ms)
{
	unsigned base = peak_base(j), allowed;
	size_t i, fresh = 0;

	if (base < active)
		base = active;
	allowed = allowed_loss(j, base);
	for (i = 0; i < n; i++)
		fresh += loss[i]->pub.guard != GUARD_SHRINK && loss[i]->pub.guard != GUARD_EMPTY;
	for (i = 0; i < n; i++) {
		enum topo_guard guard = loss[i]->pub.guard;
		bool goes;

		if (guard == GUARD_SHRINK)
			goes = loss[i]->standing_ms >= j->conf->shrink_hold_ms;
		else if (guard == GUARD_EMPTY)
			goes = false;
		else
			goes = fresh <= allowed && base - (active - 1) <= allowed;
		if (goes) {
			set_state(j, loss[i], TOPO_DISABLED, GUARD_NONE, wall_ms);
			active--;
		} else {
			set_state(j, loss[i], TOPO_HELD, GUARD_SHRINK, wall_ms);
		}
	}
}

/* What is listed is in. Any good answer may do this, also one that proves no loss. */
static void
take_in(struct judge *j, int64_t wall_ms)
{
	size_t i;

	for (i = 0; i < j->n; i++) {
		struct member *m = j->m[i];

		/* Frozen, only a loss that was held may be undone: both are in. */
		if (m->listed_by != 0 && (!j->frozen || m->pub.state == TOPO_HELD))
			set_state(j, m, TOPO_UP, GUARD_NONE, wall_ms);
	}
	if (!j->frozen)
		peaks_note(&j->peaks, count_active(j), j->time_ms);
}

/* Only what has been out, by evidence, for remove_hold leaves altogether. */
static void
remove_old(struct judge *j)
{
	size_t i, keep = 0;

	for (i = 0; i < j->n; i++) {
		struct member *m = j->m[i];

		if (m->missing && m->pub.state == TOPO_DISABLED &&
		    m->standing_ms >= j->conf->remove_hold_ms)
			free_member(m);
		else
			j->m[keep++] = m;
	}
	j->changed |= j->n != keep;
	j->n = keep;
}

/*
 * Every loss that evidence has shown passes here; nothing else takes an instance out. Runs after a
 * round that proved something, or an operator's word.
 */
static void
let_go(struct judge *j, int64_t wall_ms)
{
	struct member **loss = xcalloc(j->n, sizeof *loss);
	unsigned listed = 0;
	size_t i, n = 0;

	/* Flap damping belongs here: what it suppresses is not counted as listed. */
	for (i = 0; i < j->n; i++) {
		struct member *m = j->m[i];

		if (!topo_is_active(m->pub.state))
			continue;
		if (!m->missing)
			listed++;
		else if (j->frozen)
			set_state(j, m, TOPO_HELD, GUARD_FROZEN, wall_ms);
		else if (m->approved)
			set_state(j, m, TOPO_DISABLED, GUARD_NONE, wall_ms);
		else
			loss[n++] = m;
	}
	if (j->frozen)
		goto out;
	if (listed >= j->conf->min_instances)
		shrink(j, loss, n, listed + (unsigned)n, wall_ms);
	else
		/* An empty list is an outage: keep all; Kamailio's probes sort them out. */
		for (i = 0; i < n; i++)
			set_state(j, loss[i], TOPO_HELD, GUARD_EMPTY, wall_ms);
	remove_old(j);
	peaks_note(&j->peaks, count_active(j), j->time_ms);
	peaks_prune(&j->peaks, j->time_ms - j->conf->shrink_window_ms);
out:
	free(loss);
}

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
	struct member *m = find_member(j, &row->addr);
	struct topo_instance fresh = { .addr = row->addr, .state = TOPO_UP, .since_ms = wall_ms };
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
		m = insert_member(j, &fresh);
	anybody = is_unconfirmed(m);
	m->missing = m->approved = false;
	m->listed_by |= bit;
	m->judged_by |= bit;
	m->assumed_by &= ~bit;
	if (j->frozen)
		return;
	/* Restored tags were anybody's, and a loss kept its last ones: now its names speak. */
	was = tags_of(j, m);
	for (k = 0; k < j->conf->n_names; k++)
		if (anybody ? k != name : !((m->listed_by | m->assumed_by) & (1u << k)))
			m->tags[k] = 0;
	j->changed |= m->pub.source != SOURCE_DNS || tags_of(j, m) != was;
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

/*
 * Sum up the evidence time of the losses. `gap_ms` is what this round adds, already capped. While
 * one of the names that listed an instance says nothing, its time stands still.
 */
static void
account(struct judge *j, unsigned name, int64_t gap_ms, int64_t now_ms)
{
	uint32_t silent = 0;
	size_t i;

	for (i = 0; i < j->conf->n_names; i++)
		if (!j->names[i].proves)
			silent |= 1u << i;
	for (i = 0; i < j->n; i++) {
		struct member *m = j->m[i];
		uint32_t judges = m->judged_by ? m->judged_by : all_names(j);

		if ((m->listed_by | m->assumed_by) != 0)
			continue;
		if (!m->missing) {
			m->missing = true;
			m->standing_ms = 0;
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
		ns->absent_rounds = 0;
		ns->absent_ms = 0;
		take_list(j, r, wall_ms);
	}
	if (ns->last != EVIDENCE_PARTIAL)
		ns->proof_ms = now_ms;
	take_in(j, wall_ms);
	if (ns->proves) {
		account(j, r->name, proved ? gap : 0, now_ms);
		let_go(j, wall_ms);
	}
	return j->changed;
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
		for (i = 0; i < j->n; i++)
			if (j->m[i]->missing && j->m[i]->pub.state == TOPO_HELD && !j->frozen)
				any = j->m[i]->approved = true;
		break;
	}
	if (!any)
		return false;
	take_in(j, wall_ms);
	let_go(j, wall_ms);
	if (word == JUDGE_APPROVE) { /* what comes is measured against what was agreed to */
		peaks_clear(&j->peaks);
		peaks_note(&j->peaks, count_active(j), j->time_ms);
	}
	return true;
}

/* ---- life ---- */

struct judge *
judge_new(const struct judge_conf *conf)
{
	struct judge *j = xcalloc(1, sizeof *j);
	size_t i;

	j->conf = conf;
	for (i = 0; i < JUDGE_NAMES_MAX; i++)
		j->names[i].why = "not asked yet";
	return j;
}

void
judge_free(struct judge *j)
{
	size_t i;

	if (j == NULL)
		return;
	for (i = 0; i < j->n; i++)
		free_member(j->m[i]);
	free(j->m);
	peaks_clear(&j->peaks);
	free(j);
}

static char *
tags_text(const struct judge *j, const struct member *m)
{
	uint32_t tags = tags_of(j, m);
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < j->conf->n_tags; i++)
		if (tags & (1u << i))
			buf_printf(&b, "%s%s", b.len ? "," : "", j->conf->tags[i]);
	return b.len ? buf_take(&b) : NULL;
}

static uint32_t
tags_mask(const struct judge_conf *conf, const struct topo_instance *i)
{
	uint32_t mask = 0;
	size_t t;

	for (t = 0; t < conf->n_tags; t++)
		if (topo_has_tag(i, conf->tags[t]))
			mask |= 1u << t;
	return mask;
}

static uint32_t
tags_remap(const struct judge_conf *to, const struct judge_conf *from, uint32_t was)
{
	uint32_t mask = 0;
	size_t i, k;

	for (i = 0; i < to->n_tags; i++)
		for (k = 0; k < from->n_tags; k++)
			if ((was & (1u << k)) && strcmp(to->tags[i], from->tags[k]) == 0)
				mask |= 1u << i;
	return mask;
}

static uint32_t
names_remap(const struct judge_conf *to, const int *old_of_new, uint32_t was)
{
	uint32_t mask = 0;
	size_t k;

	for (k = 0; k < to->n_names; k++)
		if (old_of_new[k] >= 0 && (was & (1u << old_of_new[k])))
			mask |= 1u << k;
	return mask;
}

static void
member_remap(const struct judge *j, struct member *m, const struct judge_conf *to,
    const int *old_of_new)
{
	uint32_t tags[JUDGE_NAMES_MAX] = { 0 }, all = tags_remap(to, j->conf, tags_of(j, m));
	bool orphan;
	size_t k;

	m->listed_by = names_remap(to, old_of_new, m->listed_by);
	m->assumed_by = names_remap(to, old_of_new, m->assumed_by);
	m->judged_by = names_remap(to, old_of_new, m->judged_by);
	orphan = !m->missing && (m->listed_by | m->assumed_by) == 0;
	if (orphan) { /* its name is gone: all that remain must say so */
		m->assumed_by = (uint32_t)((1ull << to->n_names) - 1);
		m->judged_by = 0;
	}
	for (k = 0; k < to->n_names; k++) {
		if (orphan)
			tags[k] = all;
		else if (old_of_new[k] >= 0)
			tags[k] = tags_remap(to, j->conf, m->tags[old_of_new[k]]);
	}
	memcpy(m->tags, tags, sizeof m->tags);
}

void
judge_set_conf(struct judge *j, const struct judge_conf *conf, const int *old_of_new)
{
	struct name_state names[JUDGE_NAMES_MAX];
	size_t i, k;

	for (k = 0; k < JUDGE_NAMES_MAX; k++) {
		memset(&names[k], 0, sizeof names[k]);
		names[k].why = "not asked yet";
		if (k < conf->n_names && old_of_new[k] >= 0)
			names[k] = j->names[old_of_new[k]];
	}
	for (i = 0; i < j->n; i++)
		member_remap(j, j->m[i], conf, old_of_new);
	memcpy(j->names, names, sizeof names);
	j->conf = conf;
}

static bool
has_line(const char *lines, const char *line)
{
	size_t len = strlen(line);

	for (; *lines; lines += *lines == '\n') {
		size_t n = strcspn(lines, "\n");

		if (n == len && memcmp(lines, line, n) == 0)
			return true;
		lines += n;
	}
	return false;
}

bool
judge_restore(struct judge *j, const struct topo_instance *i, int64_t now_ms)
{
	char *both;
	struct member *m = insert_member(j, i);
	size_t k;

	if (m == NULL) { /* several sets may hold it; what DNS has listed needs no line any more */
		m = find_member(j, &i->addr);
		if (m == NULL || m->pub.origin == NULL || i->origin == NULL ||
		    has_line(m->pub.origin, i->origin))
			return false;
		both = xasprintf("%s\n%s", m->pub.origin, i->origin);
		free(m->pub.origin);
		m->pub.origin = both;
		return j->changed = true;
	}
	j->known = true;
	m->pub.generation = 0;
	if (m->pub.state != TOPO_UP && m->pub.state != TOPO_DISABLED && m->pub.state != TOPO_HELD)
		m->pub.state = TOPO_DISABLED;
	if (m->pub.state != TOPO_HELD)
		m->pub.guard = GUARD_NONE;
	/* Its loss is not proven anew by our own start: it stays as it is until each name has spoken. */
	m->assumed_by = all_names(j);
	for (k = 0; k < j->conf->n_names; k++)
		m->tags[k] = tags_mask(j->conf, i);
	peaks_note(&j->peaks, count_active(j), j->time_ms);
	return true;
}

void
judge_restore_service(struct judge *j, bool known, bool frozen, unsigned peak, int64_t now_ms)
{
	j->known |= known;
	j->frozen = frozen;
	if (peak > count_active(j)) {
		peaks_clear(&j->peaks);
		peaks_note(&j->peaks, peak, j->time_ms);
		peaks_note(&j->peaks, count_active(j), j->time_ms);
	}
}

/* ---- views ---- */

size_t
judge_count(const struct judge *j)
{
	return j->n;
}

void
judge_snapshot(const struct judge *j, struct topo_service *s)
{
	size_t i;

	s->known = j->known;
	s->frozen = j->frozen;
	s->n = j->n;
	s->inst = xcalloc(j->n, sizeof *s->inst);
	for (i = 0; i < j->n; i++) {
		topo_instance_copy(&s->inst[i], &j->m[i]->pub);
		free(s->inst[i].tags);
		s->inst[i].tags = tags_text(j, j->m[i]);
	}
}

void
judge_view(const struct judge *j, int64_t now_ms, struct judge_view *v)
{
	size_t i;

	memset(v, 0, sizeof *v);
	v->known = j->known;
	v->frozen = j->frozen;
	v->active = count_active(j);
	v->base = peak_base(j);
	if (v->base < v->active)
		v->base = v->active;
	v->allowed = allowed_loss(j, v->base);
	for (i = 0; i < j->conf->n_names; i++) {
		const struct name_state *ns = &j->names[i];

		if (v->refused == 0) {
			v->refused_why = ns->refused_why;
			v->refused_addr = ns->refused_addr;
		}
		v->refused += ns->refused;
	}
}

void
judge_name_view(const struct judge *j, unsigned name, struct judge_name_view *v)
{
	const struct name_state *ns = &j->names[name];
	size_t i;

	v->last = ns->last;
	v->why = ns->why;
	v->absent_rounds = ns->absent_rounds;
	v->absent_ms = ns->absent_ms;
	v->last_ms = ns->last_ms;
	v->proof_ms = ns->proof_ms;
	v->listed = 0;
	for (i = 0; i < j->n; i++)
		v->listed += j->m[i]->listed_by >> name & 1;
}

unsigned
judge_listed_by(const struct judge *j, const struct topo_addr *addr, int64_t *missing_ms)
{
	const struct member *m = find_member(j, addr);

	if (m == NULL)
		return 0;
	*missing_ms = m->missing ? m->standing_ms : 0;
	return m->listed_by;
}
