#include "base/histogram.h"

#include <string.h>

void
histogram_init(struct histogram *h, const int64_t *bounds_us, size_t n)
{
	memset(h, 0, sizeof *h);
	h->bounds_us = bounds_us;
	h->n = n < HISTOGRAM_MAX ? n : HISTOGRAM_MAX;
}

void
histogram_add(struct histogram *h, int64_t took_us)
{
	size_t i;

	if (took_us < 0)
		took_us = 0;
	for (i = 0; i < h->n && took_us > h->bounds_us[i]; i++)
		;
	h->classes[i]++;
	h->count++;
	h->sum_us += took_us;
}
