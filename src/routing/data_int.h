/*
 * data_int: what data.c, check.c and document.c know of each other.
 */
#ifndef ROUTING_DATA_INT_H
#define ROUTING_DATA_INT_H

#include "routing/data.h"

/* Who is told, and how a row is called. */
struct data_report {
	rt_path_cb *path_of; /* NULL: "dids[id 3]" */
	rt_report_cb *cb;    /* NULL: nobody */
	void *arg;
};

/*
 * rt_data_new(), when rows of some tables could not be read: `broken` has their bits. All the rest is checked and reported; references
 * to those tables are not. Always -EINVAL then. A NULL among the rows is none.
 */
MUST_USE int data_build(struct rt_data **out, struct rt_row **rows, size_t n, unsigned broken, const struct data_report *);

struct rt_list data_list_new(size_t n); /* room for so many */
void data_default_path(void *arg, const struct rt_row *, char *out, size_t size);

/* Everything about the rows of sorted lists; false: something is wrong, and was reported. */
bool check_data(const struct rt_data *, unsigned broken, const struct data_report *);
/* All patterns, and what replaces them; the index reports patterns too. */
bool check_patterns(const struct rt_data *, const struct data_report *);
bool check_replacements(const struct rt_data *, const struct data_report *);
/* Of one row; `column` tells which. */
bool check_row_patterns(const struct rt_row *, int *column, struct buf *why);
/* The first column that refers to nothing; -1: none. */
int check_row_refs(const struct rt_data *, const struct rt_row *, struct buf *why);
bool check_same_unique(const struct rt_row *, const struct rt_row *);
/* A row that refers to this one; NULL: none. */
const struct rt_row *check_user_of(const struct rt_data *, const struct rt_row *, int *column);

#endif
