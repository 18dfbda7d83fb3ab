/* The judge's life: made, restored, given another configuration; and what it shows. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "topology/judge_int.h"

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
		member_free(j->m[i]);
	free(j->m);
	free(j->drains);
	free(j->past);
	peaks_clear(&j->peaks);
	free(j);
}

static char *
tags_text(const struct judge *j, const struct member *m)
{
	uint32_t tags = member_tags(j, m);
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
	uint32_t tags[JUDGE_NAMES_MAX] = { 0 }, all = tags_remap(to, j->conf, member_tags(j, m));
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

/* The penalty as it stands now: the clock may have begun anew with the machine. */
static void
restore_flap(struct judge *j, struct member *m, const struct topo_instance *i, int64_t now_ms, int64_t wall_ms)
{
	m->flap.penalty = (int64_t)i->penalty * 1000;
	m->flap.goings = i->goings;
	m->flap.at_ms = now_ms - (wall_ms > i->gone_ms ? wall_ms - i->gone_ms : 0);
	m->gone_ms = i->gone_ms;
	if (i->state == TOPO_SUPPRESSED && i->penalty == 0) /* a record without it */
		m->flap = (struct flap){ j->conf->flap_suppress * 1000, now_ms, 1 };
	m->damped = i->state == TOPO_SUPPRESSED;
	m->came = i->source == SOURCE_STORE && i->state != TOPO_DISABLED && i->state != TOPO_HELD;
}

/* A state has its guards; a drain that nobody remembers is over, yet nothing has listed it. */
static void
restore_guard(struct member *m)
{
	switch (m->pub.state) {
	case TOPO_HELD:
		break;
	case TOPO_SUPPRESSED:
		m->pub.guard = GUARD_FLAP;
		break;
	case TOPO_DRAINING:
		if (m->drained || m->pub.guard == GUARD_TAG)
			break;
		m->pub.state = TOPO_DISABLED;
		/* fallthrough */
	default:
		m->pub.guard = GUARD_NONE;
	}
}

bool
judge_restore(struct judge *j, const struct topo_instance *i, int64_t now_ms, int64_t wall_ms)
{
	char *both;
	struct member *m = member_insert(j, i);
	size_t k;

	if (m == NULL) { /* several sets may hold it; what DNS has listed needs no line any more */
		m = member_find(j, &i->addr);
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
	restore_guard(m);
	restore_flap(j, m, i, now_ms, wall_ms);
	/* Its loss is not proven anew by our own start: it stays as it is until each name has spoken. */
	m->assumed_by = judge_all_names(j);
	for (k = 0; k < j->conf->n_names; k++)
		m->tags[k] = tags_mask(j->conf, i);
	if (m->drained && m->pub.state != TOPO_DISABLED)
		guards_drain(j, m, GUARD_OPERATOR, wall_ms);
	peaks_note(&j->peaks, judge_count_active(j), j->time_ms);
	return true;
}

static bool
is_among(const struct topo_instance *inst, size_t n, const struct topo_instance *i)
{
	size_t k;

	for (k = 0; k < n; k++)
		if (topo_instance_cmp(&inst[k], i) == 0)
			return true;
	return false;
}

static void
roll_back(struct judge *j, const struct topo_instance *i, int64_t wall_ms)
{
	struct member *m = member_find_key(j, i);
	struct topo_instance fresh = *i;
	size_t k;

	if (m == NULL) { /* DNS does not know it: what it says of it shows when it is released */
		fresh.state = TOPO_DISABLED;
		fresh.guard = GUARD_NONE;
		fresh.source = SOURCE_STORE;
		fresh.since_ms = wall_ms;
		m = member_insert(j, &fresh);
		m->assumed_by = judge_all_names(j);
	}
	m->pub.weight = i->weight;
	m->pub.priority = i->priority;
	for (k = 0; k < j->conf->n_names; k++)
		m->tags[k] = tags_mask(j->conf, i);
	if (m->drained)
		member_set_state(j, m, TOPO_DRAINING, GUARD_OPERATOR, wall_ms);
	else if (!topo_is_active(i->state))
		member_set_state(j, m, TOPO_DISABLED, GUARD_NONE, wall_ms);
	else if (m->missing)
		member_set_state(j, m, TOPO_HELD, GUARD_FROZEN, wall_ms);
	else
		member_set_state(j, m, TOPO_UP, GUARD_NONE, wall_ms);
}

void
judge_rollback(struct judge *j, const struct topo_instance *inst, size_t n, int64_t now_ms, int64_t wall_ms)
{
	size_t i, keep = 0;

	for (i = 0; i < j->n; i++)
		if (is_among(inst, n, &j->m[i]->pub))
			j->m[keep++] = j->m[i];
		else
			member_remove(j, j->m[i], now_ms);
	j->n = keep;
	for (i = 0; i < n; i++)
		roll_back(j, &inst[i], wall_ms);
	j->known = j->frozen = true;
	peaks_clear(&j->peaks); /* what comes is measured against what was asked for */
	peaks_note(&j->peaks, judge_count_active(j), j->time_ms);
}

void
judge_restore_service(struct judge *j, bool known, bool frozen, unsigned peak, int64_t now_ms)
{
	j->known |= known;
	j->frozen = frozen;
	if (peak > judge_count_active(j)) {
		peaks_clear(&j->peaks);
		peaks_note(&j->peaks, peak, j->time_ms);
		peaks_note(&j->peaks, judge_count_active(j), j->time_ms);
	}
}

/* ---- views ---- */

size_t
judge_count(const struct judge *j)
{
	return j->n;
}

static void
add_flap(struct topo_instance *i, const struct member *m)
{
	i->penalty = (uint32_t)((m->flap.penalty + 500) / 1000);
	i->goings = m->flap.goings < UINT16_MAX ? (uint16_t)m->flap.goings : UINT16_MAX;
	i->gone_ms = m->gone_ms;
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
		add_flap(&s->inst[i], j->m[i]);
		s->inst[i].drain_until_ms = s->inst[i].state == TOPO_DRAINING ? j->m[i]->drain_until_ms : 0;
	}
}

void
judge_view(const struct judge *j, int64_t now_ms, struct judge_view *v)
{
	size_t i;

	memset(v, 0, sizeof *v);
	v->known = j->known;
	v->frozen = j->frozen;
	v->active = judge_count_active(j);
	v->base = guards_base(j);
	if (v->base < v->active)
		v->base = v->active;
	v->allowed = guards_allowed(j, v->base);
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
	const struct member *m = member_find(j, addr);

	if (m == NULL)
		return 0;
	*missing_ms = m->missing ? m->standing_ms : 0;
	return m->listed_by;
}

bool
judge_flap_view(const struct judge *j, const struct topo_addr *addr, int64_t now_ms, struct judge_flap_view *v)
{
	const struct member *m = member_find(j, addr);
	const struct past *p = judge_find_past(j, addr);
	const struct flap *f = m ? &m->flap : p ? &p->flap : NULL;

	memset(v, 0, sizeof *v);
	v->suppress = (unsigned)j->conf->flap_suppress;
	v->reuse = (unsigned)j->conf->flap_reuse;
	v->damped = m != NULL && m->damped;
	if (f == NULL || v->suppress == 0 || (flap_penalty(f, j->conf, now_ms) < FLAP_FORGET * 1000 && !v->damped))
		return false;
	v->penalty = (unsigned)((flap_penalty(f, j->conf, now_ms) + 500) / 1000);
	v->goings = f->goings;
	v->reuse_in_ms = flap_reuse_in(f, j->conf, now_ms);
	if (v->damped && !m->missing && topo_is_active(m->pub.state))
		v->kept_in = j->frozen ? "the service is frozen" :
		    m->spared ? "fewer than min_instances would be left" : "too many have left already (max_shrink)";
	return true;
}
