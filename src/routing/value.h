/*
 * value: one column's value, from JSON and to it. Pure.
 */
#ifndef ROUTING_VALUE_H
#define ROUTING_VALUE_H

#include "routing/row.h"

/* For texts that are not as the JSON has them; enough for any row. */
struct value_scratch {
	char s[RT_TEXT_MAX + 512];
	size_t used;
};

/*
 * Whole numbers may come as text ("5060"), booleans as 0, 1 or text; an empty text is null where null is allowed and no default stands for
 * it. null is the default. Texts are lent: the JSON's, the schema's or the scratch's. -EINVAL: `why` says what to do.
 */
MUST_USE int value_read(const struct rt_column *, const json_t *, union rt_value *out, struct value_scratch *, struct buf *why);
MUST_USE int value_default(const struct rt_column *, union rt_value *out, struct buf *why); /* why: NULL is fine */
/* Columns that are computed from others; and a rule's prefix becomes what numbers are compared with. */
void value_derive(enum rt_table, union rt_value *row, struct value_scratch *);
json_t *value_json(const struct rt_column *, union rt_value);
void value_write(const struct rt_column *, union rt_value, struct buf *json); /* the same as text */
bool value_is_null(const struct rt_column *, union rt_value);
static inline bool
value_is_number(const struct rt_column *c)
{
	return c->type == RT_INT || c->type == RT_BOOL;
}

/* The next id of "3,1,2"; false: no more. */
bool value_next_id(const char **p, int64_t *id);
/* A text from outside for a message: quoted, cut, without what a terminal would obey. */
void value_show(struct buf *, const char *text);

#endif
