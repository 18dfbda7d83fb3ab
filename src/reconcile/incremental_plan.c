#include "reconcile/incremental_plan.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRIORITY_MAJOR 5
#define PRIORITY_MINOR 6

/* Per set: how many destinations shall take calls, and do. */
struct tally {
	int set;
	size_t wanted;
	size_t alive;
};

struct tallies {
	struct tally *v;
	size_t n, cap;
};

static bool
is_alive(const struct ds_entry *have)
{
	return have != NULL && !(have->flags & (DS_DISABLED | DS_INACTIVE));
}

/* Desired entries are sorted: a set's stand together. */
static struct tallies
count(const struct ds_entries *desired, const struct dsp_index *have)
{
	struct tallies all = { 0 };
	size_t i;

	for (i = 0; i < desired->n; i++) {
		const struct ds_entry *d = &desired->v[i];

		if (all.n == 0 || all.v[all.n - 1].set != d->set) {
			all.v = xgrow(all.v, all.n, &all.cap, sizeof *all.v);
			all.v[all.n++] = (struct tally){ .set = d->set };
		}
		if (d->flags & DS_DISABLED)
			continue;
		all.v[all.n - 1].wanted++;
		all.v[all.n - 1].alive += is_alive(dsp_index_find(have, d->set, d->uri));
	}
	return all;
}

static struct tally
tally_of(const struct tallies *all, int set)
{
	size_t i;

	for (i = 0; i < all->n; i++)
		if (all->v[i].set == set)
			return all->v[i];
	return (struct tally){ .set = set };
}

bool
incremental_has_priority(const char *version)
{
	const char *p = version;
	unsigned major, minor;

	/* "kamailio 5.6.3 (x86_64/linux)" */
	while (*p != '\0' && !(isdigit((unsigned char)*p) && (p == version || p[-1] == ' ')))
		p++;
	if (sscanf(p, "%3u.%3u", &major, &minor) != 2)
		return true;
	return major > PRIORITY_MAJOR || (major == PRIORITY_MAJOR && minor >= PRIORITY_MINOR);
}

bool
incremental_is_add(const struct dsp_step *s)
{
	return s->op == DSP_ADD;
}

/* Would nobody be left to take the set's calls? */
static bool
is_last(const struct dsp_step *s, const struct ds_entry *want, const struct ds_entry *have, const struct tally *t)
{
	size_t others = t->alive;

	if (incremental_is_add(s) || t->wanted == 0 || !is_alive(have))
		return false;
	if (want != NULL && !(want->flags & DS_DISABLED))
		others--; /* itself */
	return others == 0;
}

/* Somebody who will take calls is on the way: adds go before removes. */
static bool
is_add_to_come(const struct dsp_plan *p, int set)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->v[i].op == DSP_ADD && p->v[i].set == set && p->v[i].active && p->v[i].blocked == NULL)
			return true;
	return false;
}

static void
block_priorities(struct dsp_plan *p, const struct dsp_index *want, const char *version)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		struct dsp_step *s = &p->v[i];
		/* also the remove that such an add would follow */
		const struct ds_entry *w = s->op != DSP_REMOVE ? dsp_index_find(want, s->set, s->uri) : NULL;

		if (dsp_is_structural(s) && s->blocked == NULL && w != NULL && w->priority != 0)
			s->blocked = xasprintf("dispatcher.add of %s takes no priority, and %s has %d: set strategy: reload, or no priority",
			    version, s->uri, w->priority);
	}
}

void
incremental_block(struct dsp_plan *p, const struct ds_entries *desired, const struct ds_entries *actual, const char *version)
{
	struct dsp_index want = dsp_index_make(desired), have = dsp_index_make(actual);
	struct tallies all = count(desired, &have);
	size_t i;

	if (!incremental_has_priority(version))
		block_priorities(p, &want, version);
	for (i = 0; i < p->n; i++) {
		struct dsp_step *s = &p->v[i];
		struct tally t = tally_of(&all, s->set);

		if (dsp_is_structural(s) && s->blocked == NULL &&
		    is_last(s, dsp_index_find(&want, s->set, s->uri), dsp_index_find(&have, s->set, s->uri), &t) &&
		    !is_add_to_come(p, s->set))
			s->blocked = xasprintf("%s %s: it would have to be removed, and nothing else of set %d is alive to take its calls "
			    "meanwhile; it waits for another one, or for a dispatcher.reload by hand (which sets all call loads to 0)",
			    dsp_op_name(s->op), s->uri, s->set);
	}
	free(all.v);
	dsp_index_free(&want);
	dsp_index_free(&have);
}

/* Less is sooner. */
static unsigned
rank(const struct dsp_step *s, const struct ds_entry *have)
{
	switch (s->op) {
	case DSP_ADD:
		return s->active ? 1 : 4;
	case DSP_REMOVE:
	case DSP_TWICE:
		return have != NULL && !(have->flags & DS_DISABLED) ? 2 : 3;
	default:
		return 5;
	}
}

const struct dsp_step *
incremental_next(const struct dsp_plan *p, const struct ds_entries *desired, const struct ds_entries *actual)
{
	struct dsp_index have = dsp_index_make(actual);
	struct tallies all = count(desired, &have);
	const struct dsp_step *best = NULL;
	unsigned best_rank = 0;
	size_t i, best_alive = 0;

	for (i = 0; i < p->n; i++) {
		const struct dsp_step *s = &p->v[i];
		size_t alive = tally_of(&all, s->set).alive;
		unsigned r;

		if (!dsp_is_structural(s) || s->blocked != NULL)
			continue;
		r = rank(s, dsp_index_find(&have, s->set, s->uri));
		if (best != NULL && (r > best_rank || (r == best_rank && alive >= best_alive)))
			continue;
		best = s;
		best_rank = r;
		best_alive = alive;
	}
	free(all.v);
	dsp_index_free(&have);
	return best;
}

/* Another step of this destination does what this one asks for: remove takes all of its twins. */
static bool
is_done_by_another(const struct dsp_plan *p, size_t at)
{
	size_t i;

	for (i = 0; i < p->n && p->v[at].op == DSP_TWICE; i++)
		if (dsp_is_structural(&p->v[i]) && (i < at || (i > at && p->v[i].op != DSP_TWICE)) &&
		    p->v[i].set == p->v[at].set && strcmp(p->v[i].uri, p->v[at].uri) == 0)
			return true;
	return false;
}

size_t
incremental_windows(const struct dsp_plan *p)
{
	size_t i, n = 0;

	for (i = 0; i < p->n; i++) {
		const struct dsp_step *s = &p->v[i];

		if (dsp_is_structural(s) && s->blocked == NULL && !is_done_by_another(p, i))
			n += s->op == DSP_CHANGE || s->op == DSP_TWICE ? 2 : 1;
	}
	return n;
}
