/*
 * peaks: sliding maximum of a count: the shrink guard's memory. Strictly decreasing samples, each with
 * the time at which its count ceased. Zero-initialise. Pure.
 */
#ifndef TOPOLOGY_PEAKS_H
#define TOPOLOGY_PEAKS_H

#include <stddef.h>
#include <stdint.h>

struct peak {
	unsigned count;
	int64_t end_ms; /* -1: it lasts */
};

struct peaks {
	struct peak *v;
	size_t n, cap;
};

void peaks_note(struct peaks *, unsigned count, int64_t time_ms); /* from now on it is `count` */
unsigned peaks_max(const struct peaks *, int64_t since_ms);       /* largest in force after since_ms; 0 none */
void peaks_lower(struct peaks *, unsigned n);                     /* so many fewer were to be expected all along */
void peaks_prune(struct peaks *, int64_t since_ms);
void peaks_clear(struct peaks *);

#endif
