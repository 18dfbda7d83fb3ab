#include "topology/peaks.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool
counts(const struct peak *p, int64_t since_ms)
{
	return p->end_ms < 0 || p->end_ms > since_ms;
}

void
peaks_note(struct peaks *p, unsigned count, int64_t time_ms)
{
	struct peak *last = p->v != NULL && p->n > 0 ? &p->v[p->n - 1] : NULL;

	if (last != NULL && last->count == count && last->end_ms < 0)
		return;
	if (last != NULL && last->end_ms < 0)
		last->end_ms = time_ms;
	while (p->v != NULL && p->n > 0 && p->v[p->n - 1].count <= count)
		p->n--;
	p->v = xgrow(p->v, p->n, &p->cap, sizeof *p->v);
	p->v[p->n].count = count;
	p->v[p->n++].end_ms = -1;
}

unsigned
peaks_max(const struct peaks *p, int64_t since_ms)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (counts(&p->v[i], since_ms))
			return p->v[i].count;
	return 0;
}

void
peaks_lower(struct peaks *p, unsigned n)
{
	size_t i, keep = 0;

	for (i = 0; i < p->n; i++) {
		struct peak k = p->v[i];

		k.count = k.count > n ? k.count - n : 0;
		if (keep > 0 && p->v[keep - 1].count == k.count) /* they meet at zero */
			p->v[keep - 1].end_ms = k.end_ms;
		else
			p->v[keep++] = k;
	}
	p->n = keep;
}

void
peaks_prune(struct peaks *p, int64_t since_ms)
{
	size_t i = 0;

	while (i < p->n && !counts(&p->v[i], since_ms))
		i++;
	if (i == 0)
		return;
	memmove(p->v, p->v + i, (p->n - i) * sizeof *p->v);
	p->n -= i;
}

void
peaks_clear(struct peaks *p)
{
	free(p->v);
	memset(p, 0, sizeof *p);
}
