/*
 * Forwarding: a window of CDRs in the order of their ids. Each is sent by the next connection that is free, and again until it has its
 * receipt; what has one leaves the window at its front, and that is how far the cursor goes.
 * When the receiver can't be reached, all wait; when it refuses one, that one waits.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cdr_int.h"
#include "consul/http.h"

#define CONNECTIONS 8
#define WINDOW 256
#define BACKOFF_MS 250
#define BACKOFF_MAX_MS 30000
#define TIMEOUT_MS 10000
#define ANSWER_MAX 65536

enum entry_state { TO_SEND, SENT, DONE };

struct entry {
	struct rt_row *row;
	enum entry_state state;
	unsigned fails;
	int64_t due_ms; /* not before */
	char *why;
};

struct sender {
	struct forward *f;
	struct http *http;
	int64_t id; /* of the CDR that is under way; 0: none */
};

struct forward {
	struct cdrs *cdrs;
	struct loop *loop;
	struct sender senders[CONNECTIONS];
	char *path;
	struct entry window[WINDOW];
	size_t n;
	int64_t seen;   /* the window was filled up to here; -1: the cursor is not known yet */
	int64_t newest; /* in the store */
	bool reading, dead;
	struct loop_timer timer;
	unsigned fails; /* to reach it, in a row */
	int64_t pause_until_ms;
	int64_t failing_since_ms; /* said so; 0: all is well */
	char why[400];
};

static void pump(struct forward *f);

static int64_t
backoff_ms(struct forward *f, unsigned fails)
{
	int64_t ms = fails > 7 ? BACKOFF_MAX_MS : (int64_t)BACKOFF_MS << (fails - 1);

	return loop_jitter(f->loop, ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS, 10);
}

static struct entry *
find(struct forward *f, int64_t id)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (rt_row_id(f->window[i].row) == id)
			return &f->window[i];
	return NULL;
}

static void
entry_clear(struct entry *e)
{
	rt_row_unref(e->row);
	free(e->why);
	memset(e, 0, sizeof *e);
}

/* ---- how it goes ---- */

/* The first that was refused, unless nobody can be reached at all. */
static void
explain(struct forward *f, const char *unreachable)
{
	size_t i;

	f->why[0] = '\0';
	if (f->fails > 0) {
		snprintf(f->why, sizeof f->why, "%s", unreachable);
		return;
	}
	for (i = 0; i < f->n; i++)
		if (f->window[i].why != NULL) {
			snprintf(f->why, sizeof f->why, "CDR %" PRId64 " is not taken: %s", rt_row_id(f->window[i].row), f->window[i].why);
			return;
		}
}

/* One line when it stands still, not at the first miss, and one when it goes on. */
static void
say(struct forward *f, unsigned fails)
{
	if (f->why[0] != '\0' && f->failing_since_ms == 0 && fails > 1) {
		f->failing_since_ms = loop_now_ms(f->loop);
		log_warnx("cdr", "forwarding does not go on: %s (tried again until it does; CDRs are kept)", f->why);
	} else if (f->why[0] == '\0' && f->failing_since_ms != 0) {
		log_notice("cdr", "forwarding goes on after %" PRId64 " s", (loop_now_ms(f->loop) - f->failing_since_ms) / 1000);
		f->failing_since_ms = 0;
	}
}

static void
advance(struct forward *f)
{
	size_t k = 0;
	int64_t id = 0;

	while (k < f->n && f->window[k].state == DONE) {
		id = rt_row_id(f->window[k].row);
		entry_clear(&f->window[k++]);
	}
	if (k == 0)
		return;
	f->n -= k;
	memmove(f->window, f->window + k, f->n * sizeof f->window[0]);
	memset(f->window + f->n, 0, k * sizeof f->window[0]);
	cdrs_forwarded(f->cdrs, id, k);
}

/* ---- sending ---- */

/* Of a CDR what its answer means; how often it, or all, failed in a row now. */
static unsigned
take_answer(struct forward *f, struct entry *e, const struct http_answer *a)
{
	free(e->why);
	e->why = NULL;
	if (a->err == 0 && a->status >= 200 && a->status <= 299) {
		e->state = DONE;
		advance(f);
		return 0;
	}
	e->state = TO_SEND;
	if (a->err == 0) {
		e->why = xstrdup(a->why);
		e->due_ms = loop_now_ms(f->loop) + backoff_ms(f, ++e->fails);
		return e->fails;
	}
	if (loop_now_ms(f->loop) < f->pause_until_ms) /* not the first of those that were under way together */
		return 0;
	f->pause_until_ms = loop_now_ms(f->loop) + backoff_ms(f, ++f->fails);
	return f->fails;
}

static void
on_answer(void *arg, const struct http_answer *a)
{
	struct sender *s = arg;
	struct forward *f = s->f;
	struct entry *e = find(f, s->id);
	unsigned fails;

	s->id = 0;
	if (a->err == 0) {
		f->fails = 0;
		f->pause_until_ms = 0;
	}
	fails = e != NULL ? take_answer(f, e, a) : 0;
	explain(f, a->why);
	say(f, fails);
	pump(f);
}

static void
send_one(struct sender *s, struct entry *e)
{
	json_t *o = rt_row_json(e->row, 0);
	char *text = json_dumps(o, JSON_COMPACT);
	struct http_request r = { .method = HTTP_POST, .path = s->f->path, .body = text, .body_len = text ? strlen(text) : 0,
		.timeout_ms = TIMEOUT_MS, .max_body = ANSWER_MAX };

	json_decref(o);
	s->id = rt_row_id(e->row);
	e->state = SENT;
	if (http_ask(s->http, &r, on_answer, s) != 0) { /* never: it is idle */
		s->id = 0;
		e->state = TO_SEND;
	}
	free(text);
}

/* The next that may be sent; else *due is when one may be. */
static struct entry *
next_entry(struct forward *f, int64_t now, int64_t *due)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		struct entry *e = &f->window[i];

		if (e->state == TO_SEND && e->due_ms <= now)
			return e;
		if (e->state == TO_SEND && e->due_ms < *due)
			*due = e->due_ms;
	}
	return NULL;
}

static void
send_all(struct forward *f)
{
	int64_t now = loop_now_ms(f->loop), due = INT64_MAX;
	struct entry *e;
	size_t i, under_way = 0;

	if (now < f->pause_until_ms) {
		loop_timer_start(&f->timer, f->pause_until_ms - now);
		return;
	}
	for (i = 0; i < CONNECTIONS; i++)
		under_way += f->senders[i].id != 0;
	for (i = 0; i < CONNECTIONS && (f->fails == 0 || under_way == 0); i++) { /* one tries whether it is back */
		if (f->senders[i].id != 0)
			continue;
		e = next_entry(f, now, &due);
		if (e == NULL)
			break;
		send_one(&f->senders[i], e);
		under_way++;
	}
	if (due != INT64_MAX && due > now)
		loop_timer_start(&f->timer, due - now);
}

static void
on_timer(void *arg)
{
	pump(arg);
}

/* ---- filling the window ---- */

static void
on_rows(void *arg, int err, struct rt_row **rows, size_t n)
{
	struct forward *f = arg;
	size_t i;

	f->reading = false;
	if (f->dead) {
		free(f);
		return;
	}
	for (i = 0; i < n; i++) {
		f->window[f->n++] = (struct entry){ .row = rt_row_ref(rows[i]) };
		f->seen = rt_row_id(rows[i]);
	}
	if (err == 0 && n == 0)
		f->newest = f->seen; /* nothing more, whatever was said */
	if (err == 0)
		pump(f);
	else if (err != -ECANCELED)
		loop_timer_start(&f->timer, BACKOFF_MAX_MS);
}

static void
pump(struct forward *f)
{
	struct cdr_query q = { .after = (uint64_t)f->seen, .limit = WINDOW - f->n };

	send_all(f);
	if (f->seen >= 0 && f->newest > f->seen && f->n <= WINDOW / 2 && !f->reading) {
		f->reading = true;
		cdrs_list(f->cdrs, &q, on_rows, f);
	}
}

void
forward_wake(struct forward *f, int64_t from, int64_t newest)
{
	if (f == NULL)
		return;
	if (f->seen < 0)
		f->seen = from;
	f->newest = newest;
	pump(f);
}

/* ---- life ---- */

/* "http://IP:PORT" and "/PATH". */
static char *
split_url(const char *url, const char **path)
{
	const char *at = strstr(url, "://"), *slash = at ? strchr(at + 3, '/') : NULL;

	*path = slash ? slash : "/";
	return slash ? xstrndup(url, (size_t)(slash - url)) : xstrdup(url);
}

int
forward_new(struct forward **out, struct cdrs *c, struct loop *loop, struct worker *worker, const char *url)
{
	struct forward *f = xcalloc(1, sizeof *f);
	const char *path;
	char *peer_url = split_url(url, &path);
	struct http_peer peer = { .url = peer_url, .what = "the receiver of CDRs", .tls = { .verify = true } };
	int err = 0;
	size_t i;

	f->cdrs = c;
	f->loop = loop;
	f->seen = -1;
	f->path = xstrdup(path);
	loop_timer_init(&f->timer, loop, on_timer, f);
	for (i = 0; err == 0 && i < CONNECTIONS; i++) {
		f->senders[i].f = f;
		err = http_new_peer(&f->senders[i].http, loop, worker, &peer);
	}
	free(peer_url);
	if (err != 0)
		forward_free(f);
	else
		*out = f;
	return err;
}

void
forward_free(struct forward *f)
{
	size_t i;

	if (f == NULL)
		return;
	for (i = 0; i < CONNECTIONS; i++)
		http_free(f->senders[i].http);
	loop_timer_fini(&f->timer);
	for (i = 0; i < f->n; i++)
		entry_clear(&f->window[i]);
	free(f->path);
	f->dead = true;
	if (!f->reading)
		loop_free_later(f->loop, f);
}

void
forward_view(const struct forward *f, struct cdr_view *v)
{
	if (f != NULL)
		v->why = f->why;
}
