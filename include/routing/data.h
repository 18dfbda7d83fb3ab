/*
 * data: all of the routing data, whole and checked: immutable, reference-counted (atomically). What is in one is right: keys are
 * unique, references lead somewhere, regular expressions compile. A change makes another one that shares the rows. Made by the worker.
 * Pure.
 */
#ifndef ROUTING_DATA_H
#define ROUTING_DATA_H

#include "routing/row.h"

#define RT_DOCUMENT_MAX (256u << 20) /* bytes */
#define RT_DEPTH_MAX 16

struct rt_index;

struct rt_list {
	struct rt_row **v; /* sorted by key */
	size_t n;
};

struct rt_data {
	atomic_uint refs;
	struct rt_list t[RT_TABLES];
	struct rt_index *index; /* compiled (index.h): always there */
};

struct rt_data *rt_data_ref(struct rt_data *);
void rt_data_unref(struct rt_data *); /* NULL is fine; from any thread; freeing a large one takes a while: give it to the worker */

/*
 * Checks and compiles. The rows are given away, also on error; their array is the caller's. -EINVAL: all that is wrong was reported (paths by `path_of`, NULL:
 * "dids[id 3]"); -ENOMEM.
 */
typedef void rt_path_cb(void *arg, const struct rt_row *, char *out, size_t size);
MUST_USE int rt_data_new(struct rt_data **out, struct rt_row **rows, size_t n, rt_path_cb *path_of, rt_report_cb *, void *arg);
size_t rt_data_count(const struct rt_data *); /* rows */

const struct rt_row *rt_data_find(const struct rt_data *, enum rt_table, int64_t id); /* NULL: none; not for tenants */
const struct rt_row *rt_data_find_tenant(const struct rt_data *, const char *uuid);   /* any case */
/* Of a row: its own tenant, or of rules, groups and normalization rules that of what they belong to; NULL: none. */
const char *rt_data_tenant_of(const struct rt_data *, const struct rt_row *);

/* The same data with one row put (NULL: none) or deleted. */
struct rt_change {
	enum rt_table table;
	struct rt_row *put;  /* lent; an id of RT_NULL becomes the highest + 1; NULL: delete the row with ... */
	int64_t id;          /* ... this key, */
	const char *uuid;    /* or of tenants, this */
	bool create;         /* it must not exist yet; else it must */
};
enum rt_conflict { RT_FINE, RT_NOT_FOUND, RT_TAKEN /* a key or unique columns */, RT_DANGLING /* a reference to nothing */, RT_IN_USE, RT_WRONG };
struct rt_refusal {
	enum rt_conflict what;
	int column;      /* of the change's table; -1: none */
	char text[256];
};
/* *row: what was put (one reference; with its id), or what was deleted. -EINVAL: `refusal`. */
MUST_USE int rt_data_change(struct rt_data **out, const struct rt_data *, const struct rt_change *, struct rt_row **row,
    struct rt_refusal *refusal);

/*
 * The same in two steps, for several changes at once: each without compiling (its ->index is NULL: good for rt_data_find() and further changes
 * only), then the last of them, before it is served. Patterns are checked by the first step.
 */
MUST_USE int rt_data_edit(struct rt_data **out, const struct rt_data *, const struct rt_change *, struct rt_row **row,
    struct rt_refusal *refusal);
MUST_USE int rt_data_compile(struct rt_data *, rt_report_cb *, void *arg); /* nothing to do when it is */

/*
 * The document (README): one JSON object of arrays. Everything that is wrong is reported with its JSON path ("dids[3].ipbx_id"; of bad
 * syntax, line and column). cdrs, if the document has any, come in *cdrs (rows of RT_CDRS, caller frees; NULL: they are refused).
 */
MUST_USE int rt_document_parse(struct rt_data **out, const char *text, size_t len, struct rt_row ***cdrs, size_t *n_cdrs,
    rt_report_cb *, void *arg);
/* Likewise, of one key per object: "dids/7" -> {...}; paths in reports are those keys. */
struct rt_pair {
	const char *key;
	const char *value;
	size_t len;
};
MUST_USE int rt_document_parse_pairs(struct rt_data **out, const struct rt_pair *, size_t n, rt_report_cb *, void *arg);
json_t *rt_document_json(const struct rt_data *); /* with secrets: what a document may be loaded from again */

#endif
