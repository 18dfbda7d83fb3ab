/*
 * scope: what a principal may see and change of the routing data. A row belongs to a tenant; one that belongs to none (a rule
 * for all) is everyone's to read, and only an unlimited principal's to change. So is what is not his alone: a rule with others'
 * trunks, a group that gives such a rule to him. Pure.
 */
#ifndef HTTP_SCOPE_H
#define HTTP_SCOPE_H

#include "http/access.h"
#include "routing/data.h"

enum scope { SCOPE_NONE, SCOPE_READ, SCOPE_WRITE };

/* data: NULL: there is none yet. */
enum scope scope_of(const struct principal *, const struct rt_data *, const struct rt_row *);
/* The row's first column that names what is not his to change; -1: none. What is not there at all is not judged. */
int scope_foreign(const struct principal *, const struct rt_data *, const struct rt_row *);

/* A copy for later. */
void principal_copy(struct principal *out, const struct principal *);
void principal_clear(struct principal *);

#endif
