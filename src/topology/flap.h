/*
 * flap: the penalty of an instance that comes and goes, after RFC 2439: each going adds to it, and it halves with every
 * half-life of the clock. Zero-initialise. Pure.
 */
#ifndef TOPOLOGY_FLAP_H
#define TOPOLOGY_FLAP_H

#include "topology/judge.h"

#define FLAP_GOING 1000 /* what one going costs */
#define FLAP_FORGET 50  /* below it, it is as if it had never gone */
/* An address that was removed and came back is not removed again before: five removals and their returns an hour. */
#define FLAP_REMOVE_GAP_MS (12 * 60 * 1000)

struct flap {
	int64_t penalty; /* in thousandths, as it was at at_ms */
	int64_t at_ms;   /* of the last going */
	unsigned goings; /* since it was last forgotten */
};

void flap_going(struct flap *, const struct judge_conf *, int64_t now_ms);
int64_t flap_penalty(const struct flap *, const struct judge_conf *, int64_t now_ms); /* in thousandths */
/* Until it is below flap_reuse; 0: it is. */
int64_t flap_reuse_in(const struct flap *, const struct judge_conf *, int64_t now_ms);

#endif
