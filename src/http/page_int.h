/*
 * page_int: what the status page's files share. page_rows.c gathers, page_main.c makes the tables and page_graph.c the drawing;
 * page_file.c has the file that they are set into.
 */
#ifndef HTTP_PAGE_INT_H
#define HTTP_PAGE_INT_H

#include "http/page.h"

/* How a state looks: a word for the stylesheet (ok, warn, bad, none), which puts a sign before it, too. */
const char *page_look(const char *state);
const char *page_worse(const char *look, const char *other); /* of two */
/* "up", "held", "frozen", "empty", ...: the worst that is so. */
const char *page_service_state(const json_t *service);
size_t page_total(const json_t *service); /* its instances, also those that are not among the rows */
/* "18 up, 2 held": the states that there are; "no instances" */
void page_counts(struct buf *, const json_t *service);
/* "10.0.0.1:5060", "[fd00::1]:5060" */
void page_address(const json_t *instance, char *out, size_t size);

void page_graph(struct buf *, const json_t *rows);

/* ---- page_file.c ---- */

extern const char page_file[]; /* page.html; a NUL stands behind it */

#endif
