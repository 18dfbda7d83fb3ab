/* plan_register: the part of `c4d plan` about what this machine registers. */
#ifndef PLAN_REGISTER_H
#define PLAN_REGISTER_H

#include <jansson.h>

#include "registrar/dry.h"

/* Asks Consul's agent at once. Errors are those of dry_new(). */
MUST_USE int plan_register_new(struct dry **out, struct loop *, struct worker *, const struct conf *);
/* Adds its rows, and to *changes how many of them change something. False: the agent can't be asked (said on stderr). */
bool plan_register_report(const struct dry *, const struct conf *, json_t *rows, size_t *changes);

#endif
