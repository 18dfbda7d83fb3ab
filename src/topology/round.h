/*
 * round: what both halves of the judge ask of an answer. Pure.
 */
#ifndef TOPOLOGY_ROUND_H
#define TOPOLOGY_ROUND_H

#include "topology/judge.h"

/* It said something about the name, rather than about its own trouble. */
bool round_is_answer(const struct round_answer *);
/* So large that Consul may have cut it without saying so. */
bool round_is_near_limit(const struct round_answer *);

#endif
