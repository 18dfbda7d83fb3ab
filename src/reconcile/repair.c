#include "reconcile/repair.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* What is known of this key; one that was long ago gives its place. */
static struct repair *
find(struct repairs *all, char *takes_key, int64_t now_ms)
{
	struct repair *r, *free_one = NULL;
	size_t i;

	for (i = 0; i < all->n; i++) {
		r = &all->v[i];
		if (strcmp(r->key, takes_key) == 0) {
			free(takes_key);
			return r;
		}
		if (r->n == 0 || now_ms - r->at_ms[r->n - 1] > REPAIR_SPAN_MS)
			free_one = r;
	}
	if (free_one == NULL) {
		all->v = xgrow(all->v, all->n, &all->cap, sizeof *all->v);
		free_one = &all->v[all->n++];
	} else {
		free(free_one->key);
	}
	memset(free_one, 0, sizeof *free_one);
	free_one->key = takes_key;
	return free_one;
}

bool
repair_note(struct repairs *all, char *takes_key, int64_t now_ms)
{
	struct repair *r = find(all, takes_key, now_ms);

	if (r->n == REPAIR_MAX) {
		memmove(r->at_ms, r->at_ms + 1, (REPAIR_MAX - 1) * sizeof r->at_ms[0]);
		r->n--;
	}
	r->at_ms[r->n++] = now_ms;
	if (r->n < REPAIR_MAX || now_ms - r->at_ms[0] > REPAIR_SPAN_MS)
		return false;
	r->n = 0;
	return true;
}

void
repair_forget(struct repairs *all)
{
	size_t i;

	for (i = 0; i < all->n; i++)
		free(all->v[i].key);
	free(all->v);
	memset(all, 0, sizeof *all);
}
