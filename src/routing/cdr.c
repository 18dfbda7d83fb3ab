/*
 * cdr: a queue of batches. One is with the worker; what comes meanwhile goes into the next. An import is a batch of its own.
 */
#include "routing/cdr.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cdr_int.h"

#define WAITING_MAX 10000
#define TRIM_BASE 100      /* old ones that go with a batch, besides two for each new one */
#define TRIM_IDLE 1000     /* that go when nothing comes */
#define TRIM_MS 60000
#define TRIM_AGAIN_MS 100  /* there are more */
#define KNOW_AGAIN_MS 5000 /* what the store holds could not be learned */
#define CURSOR_MS 50       /* receipts are gathered so long */
#define SCAN_MAX 1000      /* rows that one job of the worker reads */

struct item {
	struct rt_row *row;
	struct rt_row *stored; /* with its id */
	cdr_cb *cb;
	void *arg;
};

/* Owns itself while the worker has it. */
struct batch {
	struct batch *next;
	struct cdrs *c; /* NULL: gone */
	struct item *v;
	size_t n, cap;
	int64_t *ids; /* of an import */
	void (*imported)(void *arg, int err, uint64_t id);
	void *arg;
};

struct list {
	struct list *next;
	struct cdrs *c;
	struct cdr_query q;
	char *tenant, *call;
	size_t skip;
	int64_t at; /* the last that was seen; 0: none yet */
	struct rt_row **rows;
	size_t n, cap;
	cdr_list_cb *cb; /* NULL: nobody waits any more */
	void *arg;
};

struct cdrs {
	struct loop *loop;
	struct worker *worker;
	struct store *store;
	int64_t keep_ms;
	uint64_t max;
	char *url; /* NULL: nothing is forwarded */
	struct forward *forward;
	struct batch *queue; /* not yet with the worker */
	struct batch *flight;
	struct list *lists;
	size_t waiting;
	struct loop_later later;
	struct loop_timer trim_timer, cursor_timer, settle_timer;
	struct loop_later settled;
	loop_cb *on_settled; /* NULL: no stop is near */
	void *settled_arg;
	int64_t receipts; /* up to here; 0: none new */
	bool known;       /* `have` was read */
	bool failing, has_lost;
	uint64_t failed;  /* since it fails */
	struct store_cdr_view have;
	struct cdr_view view;
};

static void start(struct cdrs *c);

/* ---- batches ---- */

static size_t
trim_max(const struct batch *b)
{
	return b->n == 0 ? TRIM_IDLE : TRIM_BASE + 2 * b->n;
}

static struct batch *
batch_new(struct cdrs *c)
{
	struct batch *b = xcalloc(1, sizeof *b), **tail;

	b->c = c;
	for (tail = &c->queue; *tail != NULL; tail = &(*tail)->next)
		continue;
	*tail = b;
	return b;
}

static void
batch_free(struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++) {
		rt_row_unref(b->v[i].row);
		rt_row_unref(b->v[i].stored);
	}
	free(b->v);
	free(b->ids);
	free(b);
}

/* On the worker's thread. */
static void
make_row(void *arg, size_t i, int64_t id, struct buf *row)
{
	struct batch *b = arg;
	struct item *it = &b->v[i];

	rt_row_unref(it->stored);
	it->stored = rt_row_with_id(it->row, id);
	rt_row_encode(it->stored, NULL, row);
}

static void
note_commit(struct cdrs *c, const struct batch *b, int err)
{
	if (err == 0 && c->failing) {
		log_notice("cdr", "stores again; %" PRIu64 " CDRs were refused meanwhile", c->failed);
		c->failing = false;
		c->failed = 0;
	} else if (err != 0 && err != -EEXIST && !c->failing) {
		c->failing = true;
		log_error("cdr", "cannot store CDRs: %s; they are refused until it can%s", strerror(-err),
		    err == -ENOSPC ? " (make room on the disk, raise store_size, or lower routing.cdr.max or routing.cdr.keep)" : "");
	}
	if (err == 0) {
		c->view.stored += b->n;
	} else {
		c->view.refused += b->n;
		c->failed += b->n;
	}
}

static void
note_have(struct cdrs *c, const struct store_cdr_view *have)
{
	c->known = true;
	c->have = *have;
	c->view.lost += have->lost;
	if (have->lost > 0 && !c->has_lost)
		log_warnx("cdr", "CDRs that were not yet forwarded are deleted: there are more than routing.cdr.max (%" PRIu64 "); why they are not "
		    "forwarded says c4ctl status", c->max);
	c->has_lost = have->lost > 0 || (c->has_lost && have->behind > 0);
	if (c->receipts <= have->forwarded)
		c->receipts = 0;
	forward_wake(c->forward, have->forwarded, have->newest);
}

static void
check_settled(struct cdrs *c)
{
	const struct batch *b;

	if (c->on_settled == NULL || c->settled.queued || (c->flight != NULL && c->flight->n > 0))
		return;
	for (b = c->queue; b != NULL; b = b->next)
		if (b->n > 0)
			return;
	loop_timer_stop(&c->settle_timer);
	loop_later(c->loop, &c->settled, c->on_settled, c->settled_arg);
}

static void
on_put(void *arg, int err, const struct store_cdr_view *have)
{
	struct batch *b = arg;
	struct cdrs *c = b->c;
	size_t i;

	if (c == NULL) {
		batch_free(b);
		return;
	}
	c->flight = NULL;
	note_commit(c, b, err);
	if (err == 0)
		note_have(c, have);
	if (err == 0 && have->trimmed >= trim_max(b))
		loop_timer_start(&c->trim_timer, TRIM_AGAIN_MS);
	else if (!loop_timer_armed(&c->trim_timer))
		loop_timer_start(&c->trim_timer, err != 0 && !c->known ? KNOW_AGAIN_MS : TRIM_MS);
	start(c); /* the next is on its way while these are answered */
	for (i = 0; i < b->n; i++)
		if (b->v[i].cb != NULL)
			b->v[i].cb(b->v[i].arg, err, err == 0 ? b->v[i].stored : NULL);
	if (b->imported != NULL)
		b->imported(b->arg, err, err == -EEXIST ? (uint64_t)have->clash : 0);
	batch_free(b);
	check_settled(c);
}

static void
submit(struct cdrs *c, struct batch *b)
{
	struct store_cdr_put put = {
		.n = b->n, .ids = b->ids, .make = make_row, .forwarded = c->receipts, .protect = c->url != NULL, .keep_ms = c->keep_ms,
		.max = c->max, .trim_max = trim_max(b), .done = on_put, .arg = b,
	};

	b->next = NULL;
	store_put_cdrs(c->store, &put);
}

/* The next batch, unless one is under way. */
static void
start(struct cdrs *c)
{
	if (c->flight != NULL || c->queue == NULL)
		return;
	c->flight = c->queue;
	c->queue = c->queue->next;
	if (c->flight->imported == NULL)
		c->waiting -= c->flight->n;
	submit(c, c->flight);
}

static void
on_later(void *arg)
{
	start(arg);
}

/* An empty batch trims, tells what there is, and keeps receipts; any other does so too. */
static void
put_soon(struct cdrs *c)
{
	if (c->queue == NULL)
		(void)batch_new(c);
	start(c);
}

static void
on_trim(void *arg)
{
	put_soon(arg);
}

static void
on_cursor(void *arg)
{
	struct cdrs *c = arg;

	if (c->receipts > 0)
		put_soon(c);
}

void
cdrs_forwarded(struct cdrs *c, int64_t id, size_t n)
{
	c->view.forwarded += n;
	c->receipts = id;
	if (!loop_timer_armed(&c->cursor_timer))
		loop_timer_start(&c->cursor_timer, CURSOR_MS);
}

int
cdrs_add(struct cdrs *c, struct rt_row *row, cdr_cb *cb, void *arg)
{
	struct batch *b = c->queue;

	if (c->on_settled != NULL) {
		c->view.refused++;
		return -ECANCELED;
	}
	if (c->waiting >= WAITING_MAX) {
		c->view.refused++;
		return -EBUSY;
	}
	while (b != NULL && b->next != NULL)
		b = b->next;
	if (b == NULL || b->imported != NULL)
		b = batch_new(c);
	b->v = xgrow(b->v, b->n, &b->cap, sizeof *b->v);
	b->v[b->n++] = (struct item){ .row = rt_row_ref(row), .cb = cb, .arg = arg };
	c->waiting++;
	if (c->flight == NULL && !c->later.queued)
		loop_later(c->loop, &c->later, on_later, c);
	return 0;
}

void
cdrs_import(struct cdrs *c, struct rt_row **takes, size_t n, void (*done)(void *arg, int err, uint64_t id), void *arg)
{
	struct batch *b = batch_new(c);
	size_t i;

	b->imported = done;
	b->arg = arg;
	b->n = n;
	b->v = xcalloc(n + 1, sizeof *b->v);
	b->ids = xcalloc(n + 1, sizeof *b->ids);
	for (i = 0; i < n; i++) {
		b->v[i].row = takes[i];
		b->ids[i] = rt_row_id(takes[i]) == RT_NULL ? 0 : rt_row_id(takes[i]);
	}
	free(takes);
	if (c->flight == NULL && !c->later.queued)
		loop_later(c->loop, &c->later, on_later, c);
}

static void
on_settle_timeout(void *arg)
{
	struct cdrs *c = arg;

	log_warnx("cdr", "%zu CDRs still wait for the disk at the stop: who sent them is told to send them again, though they may be stored yet",
	    c->waiting + (c->flight != NULL ? c->flight->n : 0));
	if (!c->settled.queued)
		loop_later(c->loop, &c->settled, c->on_settled, c->settled_arg);
}

void
cdrs_settle(struct cdrs *c, int64_t timeout_ms, loop_cb *done, void *arg)
{
	bool again = c->on_settled != NULL;

	c->on_settled = done;
	c->settled_arg = arg;
	loop_timer_start(&c->settle_timer, again ? 0 : timeout_ms);
	check_settled(c);
}

/* ---- lists ---- */

static bool
fits(const struct list *l, const struct rt_row *row)
{
	const char *tenant = row->v[CDR_TENANT].s, *call = row->v[CDR_CALL_ID].s;

	return (l->tenant == NULL || (tenant != NULL && strcasecmp(tenant, l->tenant) == 0)) &&
	    (l->call == NULL || (call != NULL && strcmp(call, l->call) == 0));
}

/* On the worker's thread. What can't be read is left out. */
static bool
on_row(void *arg, int64_t id, int64_t stored_ms, const void *val, size_t vlen)
{
	struct list *l = arg;
	struct buf key = { 0 };
	struct rt_row *row = NULL;
	int err;

	rt_row_encode_key(RT_CDRS, id, NULL, &key);
	err = rt_row_decode(&row, key.s, key.len, val, vlen);
	buf_free(&key);
	if (err != 0)
		return true;
	if (!fits(l, row) || (l->skip > 0 && l->skip--)) {
		rt_row_unref(row);
		return true;
	}
	l->rows = xgrow(l->rows, l->n, &l->cap, sizeof(struct rt_row *));
	l->rows[l->n++] = row;
	return l->n < l->q.limit;
}

static void
list_free(struct list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		rt_row_unref(l->rows[i]);
	free(l->rows);
	free(l->tenant);
	free(l->call);
	free(l);
}

static void on_part(void *arg, int err, int64_t last, bool end);

static void
read_part(struct list *l)
{
	struct store_cdr_get get = {
		.after = (int64_t)l->q.after, .backwards = l->q.newest, .limit = SCAN_MAX, .row = on_row, .done = on_part, .arg = l,
	};

	if (l->at != 0 && l->q.newest)
		get.before = l->at;
	else if (l->at != 0)
		get.after = l->at;
	store_get_cdrs(l->c->store, &get);
}

static void
on_part(void *arg, int err, int64_t last, bool end)
{
	struct list *l = arg, **at;

	if (l->cb == NULL) {
		list_free(l);
		return;
	}
	l->at = last;
	if (err == 0 && !end && l->n < l->q.limit) {
		read_part(l);
		return;
	}
	for (at = &l->c->lists; *at != l; at = &(*at)->next)
		continue;
	*at = l->next;
	l->cb(l->arg, err, l->rows, err == 0 ? l->n : 0);
	list_free(l);
}

void
cdrs_list(struct cdrs *c, const struct cdr_query *q, cdr_list_cb *cb, void *arg)
{
	struct list *l = xcalloc(1, sizeof *l);

	l->c = c;
	l->q = *q;
	l->q.after = q->after > INT64_MAX ? INT64_MAX : q->after;
	l->skip = q->skip;
	l->tenant = xstrdup(q->tenant_uuid);
	l->call = xstrdup(q->call_id);
	l->cb = cb;
	l->arg = arg;
	l->next = c->lists;
	c->lists = l;
	read_part(l);
}

static void
cancel_lists(struct cdrs *c)
{
	struct list *l;
	cdr_list_cb *cb;

	while ((l = c->lists) != NULL) {
		c->lists = l->next;
		cb = l->cb;
		l->cb = NULL; /* the worker has it */
		cb(l->arg, -ECANCELED, NULL, 0);
	}
}

/* ---- life ---- */

static void
set_forward(struct cdrs *c, const char *url)
{
	int err = 0;

	if (c->url == url || (c->url != NULL && url != NULL && strcmp(c->url, url) == 0))
		return;
	forward_free(c->forward);
	c->forward = NULL;
	free(c->url);
	c->url = xstrdup(url);
	if (url != NULL)
		err = forward_new(&c->forward, c, c->loop, c->worker, url);
	if (err != 0)
		log_error("cdr", "routing.cdr.forward can't be used (%s): CDRs are kept, and not forwarded", strerror(-err));
	if (c->known)
		forward_wake(c->forward, c->have.forwarded, c->have.newest);
}

void
cdrs_set_conf(struct cdrs *c, const struct conf *conf)
{
	c->keep_ms = conf->cdr_keep_ms;
	c->max = (uint64_t)conf->cdr_max;
	set_forward(c, conf->cdr_forward);
	loop_timer_start(&c->trim_timer, 0);
}

int
cdrs_new(struct cdrs **out, struct loop *loop, struct worker *worker, struct store *store, const struct conf *conf)
{
	struct cdrs *c = xcalloc(1, sizeof *c);

	c->loop = loop;
	c->worker = worker;
	c->store = store;
	loop_timer_init(&c->trim_timer, loop, on_trim, c);
	loop_timer_init(&c->cursor_timer, loop, on_cursor, c);
	loop_timer_init(&c->settle_timer, loop, on_settle_timeout, c);
	cdrs_set_conf(c, conf);
	*out = c;
	return 0;
}

/* It is committed all the same, but nobody is told of that any more. */
static void
let_go(struct batch *b)
{
	size_t i;

	b->c = NULL;
	for (i = 0; i < b->n; i++)
		if (b->v[i].cb != NULL)
			b->v[i].cb(b->v[i].arg, -ECANCELED, NULL);
	if (b->imported != NULL)
		b->imported(b->arg, -ECANCELED, 0);
}

void
cdrs_free(struct cdrs *c)
{
	struct batch *b;

	if (c == NULL)
		return;
	loop_later_cancel(c->loop, &c->later);
	loop_later_cancel(c->loop, &c->settled);
	loop_timer_fini(&c->settle_timer);
	loop_timer_fini(&c->trim_timer);
	loop_timer_fini(&c->cursor_timer);
	forward_free(c->forward);
	cancel_lists(c);
	if (c->flight != NULL)
		let_go(c->flight);
	if (c->receipts > 0 && c->queue == NULL)
		(void)batch_new(c);
	while ((b = c->queue) != NULL) {
		c->queue = b->next;
		let_go(b);
		submit(c, b);
	}
	free(c->url);
	free(c);
}

void
cdrs_view(const struct cdrs *c, struct cdr_view *v)
{
	*v = c->view;
	v->newest = (uint64_t)c->have.newest;
	v->oldest = (uint64_t)c->have.oldest;
	v->count = (size_t)c->have.count;
	v->waiting = c->waiting;
	v->failing = c->failing;
	v->forwarding = c->url != NULL;
	v->behind = c->url != NULL ? c->have.behind : 0;
	v->behind_ms = c->url != NULL ? c->have.behind_ms : 0;
	v->why = c->url != NULL && c->forward == NULL ? "routing.cdr.forward can't be used" : "";
	forward_view(c->forward, v);
}
