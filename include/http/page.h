/*
 * page: the status page, `GET /`: one HTML document without anything from elsewhere, compiled in (src/http/page.html). Its
 * main part is made here, from rows; the page's script takes a new one from the event stream (http/feed.h) and changes
 * what differs.
 */
#ifndef HTTP_PAGE_H
#define HTTP_PAGE_H

#include <jansson.h>

#include "base/text.h"

struct app;

/*
 * What is shown: {status, topology, targets, nodes, registrations, routing, history}, as c4ctl shows them, but of the instances of a
 * service at most PAGE_INSTANCES_MAX, those that are not up before others. `history` is lent; NULL: it could not be read yet.
 */
#define PAGE_INSTANCES_MAX 40
#define PAGE_CHANGES_MAX 3 /* of a generation */
json_t *page_rows(const struct app *, const json_t *history);
/* Of the history as the store gives it: what is not shown goes; the first changes of many, and how many there were. */
void page_trim(json_t *history);
/*
 * The main part. Pure; everything in `rows` is text, whatever it holds. `now_ms` (wall clock): times are told as ages. 0: as they
 * are, so that the same rows give the same text; the page's script makes ages of them.
 */
void page_main(struct buf *, const json_t *rows, int64_t now_ms);
/* The whole page, of this machine. */
void page_whole(struct buf *, const json_t *rows, int64_t now_ms, const char *machine);
/* Its Content-Security-Policy: by hash, its own style and script, and nothing else. The caller frees. */
char *page_policy(void);

#endif
