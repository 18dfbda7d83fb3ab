/*
 * reg_diff: the body of a registration, and what the agent has under its id: what would a PUT change? Pure.
 * The agent shows neither how a check is made nor how often; those are told anew each time, and are no difference here.
 */
#ifndef REGISTRAR_REG_DIFF_H
#define REGISTRAR_REG_DIFF_H

#include <jansson.h>

/* One line of ASCII, `port 5060 becomes 5070; tags [] become ["a"]`; NULL: nothing that shows. The caller frees. */
char *reg_diff(const json_t *body, const json_t *service);

#endif
