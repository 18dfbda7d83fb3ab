/*
 * feed: the history comes from the disk, by the worker. It is waited for PATIENCE_MS; when it does not come by then (a disk that
 * hangs, say, which is when somebody looks), the page shows what was known.
 */
#include "http/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/app.h"
#include "http/page.h"
#include "origin.h"

#define HISTORY 20
#define SOON_MS 100     /* after a change: what follows from it comes in the same event */
#define PATIENCE_MS 300
#define BEAT_MS 15000
#define COST_PARTS 20   /* one part of so many of the time, at most, goes into making events; */
#define GAP_MAX_MS 5000 /* but they are no further apart */

struct watcher { /* in its place as long as its stream is there */
	struct feed *feed;
	struct httpd_stream *stream; /* NULL: the place is free */
	bool fresh;                  /* it has had nothing yet */
};

struct waiting { /* for the page */
	struct waiting *next;
	struct httpd_req *req;
};

/* A question for the history; it may come back when the feed is gone. */
struct asking {
	struct feed *feed;
};

struct feed {
	struct loop *loop;
	const struct app *app;
	struct watcher watchers[FEED_STREAMS_MAX];
	size_t n;
	struct waiting *waiting;
	struct asking *asking;
	json_t *history;
	bool history_old;
	struct loop_timer next, beat;
	int64_t beat_ms;
	struct buf sent; /* the last main part; as long as somebody watches */
	int64_t sent_ms; /* to all; 0: not yet */
	int64_t took_ms; /* to make it */
	char *policy;
	char machine[256];
};

/* ---- what goes out ---- */

static void
add_headers(const struct feed *f, struct httpd_req *r)
{
	static const char *const headers[][2] = {
		{ "Cache-Control", "no-store" }, { "X-Content-Type-Options", "nosniff" }, { "X-Frame-Options", "DENY" },
		{ "Referrer-Policy", "no-referrer" }, { "Cross-Origin-Resource-Policy", "same-origin" },
	};
	size_t i;

	for (i = 0; i < NELEM(headers); i++)
		httpd_reply_header(r, headers[i][0], headers[i][1]);
	httpd_reply_header(r, "Content-Security-Policy", f->policy);
}

/* Those who wait for the page. */
static void
answer_pages(struct feed *f, const json_t *rows)
{
	struct waiting *w;
	struct buf page = { 0 };

	if (f->waiting == NULL)
		return;
	page_whole(&page, rows, loop_wall_ms(f->loop), f->machine);
	while ((w = f->waiting) != NULL) {
		f->waiting = w->next;
		httpd_reply(w->req, 200, "text/html; charset=utf-8", page.s, page.len);
		free(w);
	}
	buf_free(&page);
}

/* As an event: each of its lines begins with its kind. */
static void
event_text(const struct feed *f, const struct buf *part, struct buf *out)
{
	const char *p = part->s, *end = part->s + part->len;
	size_t n;

	buf_printf(out, "retry: 2000\nid: %lld\n", (long long)loop_wall_ms(f->loop));
	for (; p < end; p += n + 1) {
		n = strcspn(p, "\n");
		buf_puts(out, "data: ");
		buf_add(out, p, n);
		buf_puts(out, "\n");
	}
	buf_puts(out, "\n");
}

/* How far apart events are at least. */
static int64_t
gap_ms(const struct feed *f)
{
	int64_t ms = f->took_ms * COST_PARTS;

	return ms < FEED_GAP_MS ? FEED_GAP_MS : ms < GAP_MAX_MS ? ms : GAP_MAX_MS;
}

/* To those who have had nothing yet at once, to the others when the gap is over. False: it is not, and there is news for them. */
static bool
send_events(struct feed *f, const json_t *rows)
{
	int64_t now = loop_now_ms(f->loop);
	bool due = f->sent_ms == 0 || now - f->sent_ms >= gap_ms(f), differs;
	struct buf part = { 0 }, event = { 0 };
	size_t i;

	page_main(&part, rows, 0);
	differs = f->sent.len != part.len || memcmp(f->sent.s, part.s, part.len) != 0;
	for (i = 0; i < FEED_STREAMS_MAX; i++) {
		struct watcher *w = &f->watchers[i];

		if (w->stream == NULL || !(w->fresh || (differs && due)))
			continue;
		if (event.len == 0)
			event_text(f, &part, &event);
		w->fresh = false;
		httpd_stream_send(w->stream, event.s, event.len);
	}
	buf_free(&event);
	if (!differs || !due) {
		buf_free(&part);
		return !differs;
	}
	buf_free(&f->sent);
	f->sent = part;
	f->sent_ms = now;
	return true;
}

static void show_soon(struct feed *, int64_t in_ms);

static void
forget(struct feed *f)
{
	buf_free(&f->sent);
	memset(&f->sent, 0, sizeof f->sent);
	f->sent_ms = 0;
	json_decref(f->history);
	f->history = NULL;
	f->history_old = true;
}

/* What is known now, to all who want to know it. */
static void
show(struct feed *f)
{
	int64_t begin_us = loop_now_us(f->loop);
	bool sent = true;
	json_t *rows = page_rows(f->app, f->history);

	answer_pages(f, rows);
	if (f->n > 0)
		sent = send_events(f, rows);
	json_decref(rows);
	f->took_ms = (loop_now_us(f->loop) - begin_us) / 1000;
	if (f->n == 0) {
		loop_timer_stop(&f->next);
		forget(f);
		return;
	}
	loop_timer_start(&f->next, gap_ms(f) > FEED_POLL_MS ? gap_ms(f) : FEED_POLL_MS);
	if (!sent || (f->history_old && f->asking == NULL)) /* a change came too soon, or while it was read */
		show_soon(f, SOON_MS);
}

/* ---- when ---- */

static void
on_history(void *arg, json_t *takes)
{
	struct asking *asking = arg;
	struct feed *f = asking->feed;

	free(asking);
	if (f == NULL) {
		json_decref(takes);
		return;
	}
	f->asking = NULL;
	json_decref(f->history);
	f->history = takes;
	page_trim(takes);
	if (f->n > 0 || f->waiting != NULL)
		show(f);
	else
		forget(f);
}

/* It is time: with the newest history, if it comes soon. */
static void
on_next(void *arg)
{
	struct feed *f = arg;

	if (!f->history_old || f->asking != NULL) {
		show(f);
		return;
	}
	f->history_old = false;
	f->asking = xcalloc(1, sizeof *f->asking);
	f->asking->feed = f;
	loop_timer_start(&f->next, PATIENCE_MS);
	store_history(f->app->store, NULL, NULL, HISTORY, on_history, f->asking);
}

/* Not before the gap after the last event is over. */
static void
show_soon(struct feed *f, int64_t in_ms)
{
	int64_t now = loop_now_ms(f->loop);

	if (f->sent_ms != 0 && f->sent_ms + gap_ms(f) > now + in_ms)
		in_ms = f->sent_ms + gap_ms(f) - now;
	if (!loop_timer_armed(&f->next) || f->next.due_ms > now + in_ms)
		loop_timer_start(&f->next, in_ms);
}

/* Somebody is new. */
static void
at_once(struct feed *f)
{
	int64_t in_ms = f->asking != NULL ? PATIENCE_MS : 0;

	if (!loop_timer_armed(&f->next) || f->next.due_ms > loop_now_ms(f->loop) + in_ms)
		loop_timer_start(&f->next, in_ms);
}

void
feed_changed(struct feed *f)
{
	if (f == NULL || f->n == 0)
		return;
	f->history_old = true;
	if (f->asking == NULL)
		show_soon(f, SOON_MS);
}

static void
on_beat(void *arg)
{
	struct feed *f = arg;
	char text[80];
	size_t i;

	snprintf(text, sizeof text, "event: beat\nid: %lld\ndata:\n\n", (long long)loop_wall_ms(f->loop));
	for (i = 0; i < FEED_STREAMS_MAX; i++)
		if (f->watchers[i].stream != NULL)
			httpd_stream_send(f->watchers[i].stream, text, strlen(text));
	loop_timer_start(&f->beat, f->beat_ms);
}

/* ---- who ---- */

static void
on_gone(void *arg)
{
	struct watcher *w = arg;
	struct feed *f = w->feed;

	w->stream = NULL;
	if (--f->n > 0)
		return;
	loop_timer_stop(&f->beat);
	if (f->waiting == NULL) {
		loop_timer_stop(&f->next);
		forget(f);
	}
}

/* A page of another server that makes its reader's browser look at ours: it would not see anything, but take a place. */
static bool
is_from_elsewhere(const struct feed *f, struct httpd_req *r)
{
	const char *origin = httpd_header(r, "Origin"), *site = httpd_header(r, "Sec-Fetch-Site");

	return (origin != NULL && !origin_is_fine(origin, httpd_header(r, "Host"), f->machine)) ||
	    (site != NULL && strcmp(site, "cross-site") == 0);
}

void
feed_get_events(struct httpd_req *r, void *arg)
{
	struct feed *f = ((const struct app *)arg)->feed;
	struct watcher *w = f->watchers;

	if (is_from_elsewhere(f, r)) {
		httpd_reply_error(r, 403, "a page of another server may not ask for this (Origin)");
		return;
	}
	while (w < f->watchers + FEED_STREAMS_MAX && w->stream != NULL)
		w++;
	if (w == f->watchers + FEED_STREAMS_MAX) {
		httpd_reply_header(r, "Retry-After", "10");
		httpd_reply_error(r, 503, "%d watch already; GET / shows the page as it is now", FEED_STREAMS_MAX);
		return;
	}
	add_headers(f, r);
	w->stream = httpd_stream_new(r, "text/event-stream", on_gone, w);
	if (w->stream == NULL)
		return;
	w->fresh = true;
	if (f->n++ == 0)
		loop_timer_start(&f->beat, f->beat_ms);
	at_once(f);
}

void
feed_get_page(struct httpd_req *r, void *arg)
{
	struct feed *f = ((const struct app *)arg)->feed;
	struct waiting *w = xcalloc(1, sizeof *w);

	add_headers(f, r);
	w->req = r;
	w->next = f->waiting;
	f->waiting = w;
	at_once(f);
}

/* ---- life ---- */

size_t
feed_streams(const struct feed *f)
{
	return f->n;
}

void
feed_set_beat(struct feed *f, int64_t ms)
{
	f->beat_ms = ms;
}

void
feed_new(struct feed **out, struct loop *loop, const struct app *app)
{
	struct feed *f = xcalloc(1, sizeof *f);
	size_t i;

	f->loop = loop;
	f->app = app;
	f->policy = page_policy();
	f->history_old = true;
	f->beat_ms = BEAT_MS;
	for (i = 0; i < FEED_STREAMS_MAX; i++)
		f->watchers[i].feed = f;
	if (gethostname(f->machine, sizeof f->machine - 1) != 0)
		f->machine[0] = '\0';
	loop_timer_init(&f->next, loop, on_next, f);
	loop_timer_init(&f->beat, loop, on_beat, f);
	*out = f;
}

void
feed_free(struct feed *f)
{
	struct waiting *w;
	size_t i;

	if (f == NULL)
		return;
	while ((w = f->waiting) != NULL) {
		f->waiting = w->next;
		httpd_reply_error(w->req, 503, "c4d is stopping");
		free(w);
	}
	for (i = 0; i < FEED_STREAMS_MAX; i++)
		if (f->watchers[i].stream != NULL)
			httpd_stream_end(f->watchers[i].stream);
	if (f->asking != NULL)
		f->asking->feed = NULL;
	loop_timer_fini(&f->next);
	loop_timer_fini(&f->beat);
	buf_free(&f->sent);
	json_decref(f->history);
	free(f->policy);
	free(f);
}
