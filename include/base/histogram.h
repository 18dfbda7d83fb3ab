/*
 * histogram: how long things took, by classes: for metrics. Pure. Embedded; the bounds are constant and outlive it.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_MAX 16

struct histogram {
	const int64_t *bounds_us;            /* upper ones, ascending: a class holds what takes as long or less */
	size_t n;
	uint64_t classes[HISTOGRAM_MAX + 1]; /* each counts its own only; the last: what takes longer than all bounds */
	uint64_t count;
	int64_t sum_us;
};

void histogram_init(struct histogram *, const int64_t *bounds_us, size_t n); /* n: HISTOGRAM_MAX at most */
void histogram_add(struct histogram *, int64_t took_us);                      /* less than 0 is 0: the clock was set */

#endif
