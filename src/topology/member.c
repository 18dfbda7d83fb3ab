/* The judge's table of instances, and what it remembers of those that are not in it. */
#include <stdlib.h>
#include <string.h>

#include "topology/judge_int.h"

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

struct member *
member_find_key(const struct judge *j, const struct topo_instance *key)
{
	bool found;
	size_t at = find_slot(j, key, &found);

	return found ? j->m[at] : NULL;
}

struct member *
member_find(const struct judge *j, const struct topo_addr *addr)
{
	struct topo_instance key = { .addr = *addr };

	return addr->family == 0 ? NULL : member_find_key(j, &key);
}

struct drain *
judge_find_drain(const struct judge *j, const struct topo_addr *addr)
{
	size_t i;

	for (i = 0; i < j->n_drains; i++)
		if (topo_addr_cmp(&j->drains[i].addr, addr) == 0)
			return &j->drains[i];
	return NULL;
}

const struct past *
judge_find_past(const struct judge *j, const struct topo_addr *addr)
{
	size_t i;

	for (i = 0; i < j->n_past; i++)
		if (topo_addr_cmp(&j->past[i].addr, addr) == 0)
			return &j->past[i];
	return NULL;
}

/* It is back: what was remembered is its own again. */
static void
recall(struct judge *j, struct member *m)
{
	const struct past *p = judge_find_past(j, &m->pub.addr);

	if (p == NULL)
		return;
	m->flap = p->flap;
	m->gone_ms = p->gone_ms;
	m->removed_ms = p->removed_ms;
	j->past[p - j->past] = j->past[--j->n_past];
}

struct member *
member_insert(struct judge *j, const struct topo_instance *pub)
{
	const struct drain *d;
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
	d = judge_find_drain(j, &pub->addr);
	m->drained = d != NULL;
	m->drain_until_ms = d != NULL ? d->until_ms : 0;
	recall(j, m);
	return m;
}

void
member_free(struct member *m)
{
	topo_instance_clear(&m->pub);
	free(m);
}

static bool
is_past(const struct judge *j, const struct past *p, int64_t now_ms)
{
	return flap_penalty(&p->flap, j->conf, now_ms) < FLAP_FORGET * 1000 && now_ms - p->removed_ms >= FLAP_REMOVE_GAP_MS;
}

/* Makes room for one more: what is over goes, else the smallest penalty. */
static void
forget(struct judge *j, int64_t now_ms)
{
	size_t i, n = 0, least = 0;

	for (i = 0; i < j->n_past; i++)
		if (!is_past(j, &j->past[i], now_ms))
			j->past[n++] = j->past[i];
	j->n_past = n;
	if (n == 0 || n < j->conf->max_instances)
		return;
	for (i = 1; i < n; i++)
		if (flap_penalty(&j->past[i].flap, j->conf, now_ms) < flap_penalty(&j->past[least].flap, j->conf, now_ms))
			least = i;
	j->past[least] = j->past[--j->n_past];
}

void
member_remove(struct judge *j, struct member *m, int64_t now_ms)
{
	if (j->conf->flap_suppress > 0 && m->flap.goings > 0 && m->pub.addr.family != 0) {
		forget(j, now_ms);
		j->past = xgrow(j->past, j->n_past, &j->cap_past, sizeof *j->past);
		j->past[j->n_past++] = (struct past){ m->pub.addr, m->flap, m->gone_ms, now_ms };
	}
	member_free(m);
}

void
member_set_state(struct judge *j, struct member *m, enum topo_state state, enum topo_guard guard, int64_t wall_ms)
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

uint32_t
member_tags(const struct judge *j, const struct member *m)
{
	uint32_t tags = 0;
	size_t i;

	for (i = 0; i < j->conf->n_names; i++)
		tags |= m->tags[i];
	return tags;
}

bool
member_is_unconfirmed(const struct member *m)
{
	return m->listed_by == 0 && m->assumed_by != 0;
}

bool
member_is_there(const struct member *m)
{
	return (m->listed_by | m->assumed_by) != 0;
}

uint32_t
judge_all_names(const struct judge *j)
{
	return (uint32_t)((1ull << j->conf->n_names) - 1);
}

unsigned
judge_count_active(const struct judge *j)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < j->n; i++)
		n += topo_is_active(j->m[i]->pub.state);
	return n;
}
