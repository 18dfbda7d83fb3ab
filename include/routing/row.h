/*
 * row: one row of one table: immutable, reference-counted (atomically: the worker makes rows, the loop reads them). One block of
 * memory with its texts. Pure.
 */
#ifndef ROUTING_ROW_H
#define ROUTING_ROW_H

#include <jansson.h>
#include <stdatomic.h>

#include "routing/schema.h"

#define RT_NULL INT64_MIN /* of numbers and booleans; of texts NULL */
#define RT_TEXT_MAX 1024  /* bytes of any text */

union rt_value {
	int64_t i;     /* RT_INT; RT_BOOL: 0, 1 */
	const char *s; /* all others */
};

struct rt_row {
	atomic_uint refs;
	uint8_t table;
	union rt_value v[]; /* its schema's n_cols */
};

/* One thing that is wrong: where ("dids[3].did_regex"), and what in words that say what to do. */
typedef void rt_report_cb(void *arg, const char *path, const char *text);

/*
 * Of a JSON object, by its schema: unknown keys, wrong types, limits, missing values, texts with control characters and
 * what the columns' own checks find are all reported, below `path`; -EINVAL then. `base`, if not NULL: columns that the object lacks
 * are taken from it (a partial PUT; it may repeat its own key, but name no other). Derived columns are computed. With RT_ROW_NO_ID, a missing id becomes
 * RT_NULL (a POST; a tenant's uuid is needed always). Taken as confd takes them: numbers as text ("5060"), booleans as 0, 1 or text, times as seconds since 1970. An
 * empty text is null where null is allowed and nothing else the default; null is the default. `report` may be NULL.
 */
enum { RT_ROW_NO_ID = 1 };
MUST_USE int rt_row_parse(struct rt_row **out, enum rt_table, const json_t *obj, const struct rt_row *base, unsigned flags,
    const char *path, rt_report_cb *, void *arg);
/* The same row with another id. */
struct rt_row *rt_row_with_id(const struct rt_row *, int64_t id);
struct rt_row *rt_row_ref(struct rt_row *);
void rt_row_unref(struct rt_row *); /* NULL is fine */

/* All columns, nulls too. RT_ROW_SECRETS: those as well, else they are left out. */
enum { RT_ROW_SECRETS = 1 };
json_t *rt_row_json(const struct rt_row *, unsigned flags);
void rt_row_write(const struct rt_row *, unsigned flags, struct buf *out); /* the same as text, much faster */

/* By table, then key. */
int rt_row_cmp(const struct rt_row *, const struct rt_row *);
int64_t rt_row_id(const struct rt_row *); /* not of tenants */

/*
 * The store's record: the key is a table byte and a big-endian id, or a uuid's text; the value a version byte, the number of columns, then
 * each. A later version may know more columns: those that a record lacks get their defaults, those that we don't know are passed over. Derived
 * columns are computed anew. -EBADMSG: none of ours.
 */
void rt_row_encode(const struct rt_row *, struct buf *key, struct buf *val);
void rt_row_encode_key(enum rt_table, int64_t id, const char *uuid, struct buf *key);
MUST_USE int rt_row_decode(struct rt_row **out, const void *key, size_t klen, const void *val, size_t vlen);

#endif
