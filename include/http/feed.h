/*
 * feed: the status page as it is now, and as it changes:
 *
 *   GET /            the page (http/page.h)
 *   GET /v1/events   text/event-stream: its main part at once, and again whenever it differs
 *
 * An event has the main part as data and the time at which it was made (milliseconds) as id; "beat" comes every 15 s, so that the page
 * notices a connection that is none any more. Events are at least FEED_GAP_MS apart, further when making one takes long. It
 * is made once for all who watch, after feed_changed() and every FEED_POLL_MS for what nobody tells of; when nobody watches it is
 * not made at all. FEED_STREAMS_MAX may watch; others get 503.
 */
#ifndef HTTP_FEED_H
#define HTTP_FEED_H

#include "http/httpd.h"

#define FEED_STREAMS_MAX 8
#define FEED_GAP_MS 1000
#define FEED_POLL_MS 2000

struct feed;
struct app;

void feed_new(struct feed **out, struct loop *, const struct app *);
void feed_free(struct feed *);    /* NULL is fine; before the httpd and all that is shown */
void feed_changed(struct feed *); /* NULL is fine */
size_t feed_streams(const struct feed *);
void feed_set_beat(struct feed *, int64_t ms); /* for tests, before somebody watches */

/* arg: a struct app */
httpd_handler feed_get_page, feed_get_events;

#endif
