#include "routing/routing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "consul/kv.h"
#include "routing_int.h"

#define FILE_POLL_MS 1000
#define STORE_AGAIN_MS 30000 /* what could not be stored */

struct routing {
	struct loop *loop;
	struct worker *worker;
	struct store *store;
	struct cdrs *cdrs;
	unsigned refs; /* ours, and one per task: what is with the worker outlives routing_free() */
	bool gone;
	loop_cb *changed;
	void *arg;

	char *file, *kv_prefix; /* NULL: not from there */
	struct kv *kv;
	struct loop_timer poll;
	struct file_stamp stamp; /* of the file that was read last, right or wrong */
	bool polling;            /* a look at the file is queued */
	int64_t unstored_ms;     /* monotonic: what is served could not be stored then */

	struct rt_data *data;
	uint64_t version;
	int64_t loaded_ms;
	char *source;
	bool ready, stored;

	char *why; /* NULL: nothing is wrong */
	int64_t why_ms;
	struct message_list messages;

	struct task *queue, **queue_end;
	struct task *now;
	struct edit *edits, **edits_end; /* that wait for the task under way to end */
	struct loop_later later;
};

/* ---- memory ---- */

static void
routing_unref(struct routing *r)
{
	if (--r->refs > 0)
		return;
	rt_data_unref(r->data);
	messages_clear(&r->messages);
	free(r->why);
	free(r->source);
	free(r->file);
	free(r->kv_prefix);
	free(r);
}

/* Thousands of rows are let go where nobody waits for it. */
struct drop {
	struct worker_job job;
	struct rt_data *data;
	struct task *task;
};

static void
drop_run(struct worker_job *wj)
{
	struct drop *d = CONTAINER_OF(wj, struct drop, job);

	bool large = d->task != NULL && d->task->replace; /* all of the data that was served before goes with its last user */

	rt_data_unref(d->data);
	if (d->task != NULL)
		task_free(d->task);
	if (large)
		mem_trim();
}

static void
drop_done(struct worker_job *wj)
{
	free(CONTAINER_OF(wj, struct drop, job));
}

static void
drop(struct routing *r, struct rt_data *data, struct task *task)
{
	struct drop *d = xcalloc(1, sizeof *d);

	d->job.run = drop_run;
	d->job.done = drop_done;
	d->data = data;
	d->task = task;
	worker_submit(r->worker, WORKER_NORMAL, &d->job);
}

/* ---- on the loop ---- */

static void start_next(void *);

static void
schedule(struct routing *r)
{
	if (!r->gone && r->now == NULL)
		loop_later(r->loop, &r->later, start_next, r);
}

static struct task *
task_new(struct routing *r, enum kind kind, const char *who)
{
	struct task *t = xcalloc(1, sizeof *t);

	t->job.run = task_run;
	t->r = r;
	r->refs++;
	t->kind = kind;
	t->who = xstrdup(who);
	return t;
}

static void
enqueue(struct routing *r, struct task *t)
{
	*r->queue_end = t;
	r->queue_end = &t->next;
	schedule(r);
}

static void
set_wrong(struct routing *r, const char *who, struct message_list *takes)
{
	const json_t *first = json_array_get(takes->v, 0);
	const char *path = jsonx_get_text(first, "path"), *text = jsonx_get_text(first, "text");
	char *why;

	if (takes->count == 0) {
		if (r->why != NULL)
			log_notice("routing", "%s: right again", who);
		free(r->why);
		r->why = NULL;
		messages_clear(&r->messages);
		return;
	}
	why = xasprintf("%s: %s%s%s%s", who, path != NULL ? path : "", path != NULL && *path ? ": " : "", text != NULL ? text : "",
	    takes->count > 1 ? " (and more)" : "");
	if (r->why == NULL || strcmp(r->why, why) != 0)
		log_error("routing", "%s; errors=%zu; what is served stays as it is. c4ctl show routing lists them", why, takes->count);
	if (r->why == NULL)
		r->why_ms = loop_wall_ms(r->loop);
	free(r->why);
	r->why = why;
	messages_clear(&r->messages);
	r->messages = *takes;
	*takes = (struct message_list){ 0 };
}

static void
answer_edits(struct task *t, int err)
{
	struct edit *e;

	for (e = t->edits; e != NULL; e = e->next) {
		int own = e->err != 0 ? e->err : err;

		e->cb(e->arg, own, own == 0 ? e->row : NULL, own == -EINVAL ? &e->refusal : NULL);
	}
}

/* The end of a task: whoever waits for it is told, and the next one begins. */
static void
finish(struct task *t, int err)
{
	struct routing *r = t->r;

	if (t->kind == K_FILE || t->kind == K_KV) {
		if (r->gone || t->same_file)
			;
		else if (t->err != 0)
			set_wrong(r, t->who, &t->messages);
		else
			set_wrong(r, t->who, &(struct message_list){ 0 });
	}
	r->now = NULL;
	if (t->cb != NULL)
		t->cb(t->arg, r->gone ? -ECANCELED : err, t->messages.v);
	answer_edits(t, r->gone ? -ECANCELED : err == -EINVAL ? -EIO : err); /* each was right by itself */
	if (r->gone) {
		task_free(t);
	} else {
		if (t->kind == K_FILE) {
			r->polling = false;
			loop_timer_start(&r->poll, FILE_POLL_MS);
		}
		schedule(r);
		drop(r, NULL, t);
	}
	routing_unref(r);
}

static void
swap(struct routing *r, struct task *t)
{
	struct rt_data *old = r->data;

	r->data = t->fresh;
	t->fresh = NULL;
	r->version = t->version;
	r->loaded_ms = t->now_ms;
	free(r->source);
	r->source = xstrdup(t->who);
	if (t->kind != K_CHANGES)
		log_notice("routing", "%s is served: version=%llu dids=%zu trunks=%zu ipbxs=%zu rules=%zu", r->source,
		    (unsigned long long)r->version, r->data->t[RT_DIDS].n, r->data->t[RT_TRUNKS].n, r->data->t[RT_IPBXS].n,
		    r->data->t[RT_RULES].n);
	if (old != NULL)
		drop(r, old, NULL);
	r->changed(r->arg);
}

/* What rules elsewhere (a file, KV) is served even when it can't be stored; what is only here is not. */
static void
on_stored(void *arg, int err)
{
	struct task *t = arg;
	struct routing *r = t->r;
	bool elsewhere = t->kind == K_FILE || t->kind == K_KV;

	if (err != 0)
		r->unstored_ms = loop_now_ms(r->loop);
	if (err != 0 && t->again) { /* it is served, and why it is not stored has been said */
		finish(t, 0);
		return;
	}
	if (!r->gone && err != 0)
		log_error("routing", "%s: cannot be stored: %s%s", t->who, strerror(-err),
		    elsewhere ? "; it is served all the same" : "; nothing was changed");
	if (!r->gone && (err == 0 || elsewhere)) {
		r->stored = err == 0;
		swap(r, t);
		err = 0;
	}
	finish(t, err);
}

static void
put(struct task *t)
{
	store_put_routing(t->r->store, &t->batch, t->replace, on_stored, t);
}

static void
on_imported(void *arg, int err, uint64_t id)
{
	struct task *t = arg;
	char text[200];

	if (err == 0 && !t->r->gone) {
		put(t);
		return;
	}
	if (err == -EEXIST)
		snprintf(text, sizeof text, "id %llu is there already, with other content; CDRs are never overwritten",
		    (unsigned long long)id);
	else
		snprintf(text, sizeof text, "cannot be stored: %s", strerror(-err));
	task_message(&t->messages, "cdrs", text);
	t->err = err == -EEXIST ? -EINVAL : err;
	finish(t, t->err);
}

static void
task_done(struct worker_job *wj)
{
	struct task *t = CONTAINER_OF(wj, struct task, job);
	struct routing *r = t->r;

	if (t->kind == K_FILE && !r->gone)
		r->stamp = t->stamp;
	if (r->gone || t->fresh == NULL) {
		finish(t, t->err);
	} else if (t->n_cdrs > 0) {
		struct rt_row **rows = t->cdrs;

		t->cdrs = NULL;
		cdrs_import(r->cdrs, rows, t->n_cdrs, on_imported, t);
		t->n_cdrs = 0;
	} else {
		put(t);
	}
}

static void
start_next(void *arg)
{
	struct routing *r = arg;
	struct task *t = r->queue;

	if (r->now != NULL || !r->ready)
		return;
	if (t == NULL && r->edits != NULL) {
		t = task_new(r, K_CHANGES, "api");
		t->edits = r->edits;
		r->edits = NULL;
		r->edits_end = &r->edits;
	} else if (t != NULL) {
		r->queue = t->next;
		if (r->queue == NULL)
			r->queue_end = &r->queue;
	}
	if (t == NULL)
		return;
	t->next = NULL;
	t->base = r->data != NULL ? rt_data_ref(r->data) : NULL;
	t->version = r->version + 1;
	t->now_ms = loop_wall_ms(r->loop);
	if (t->kind == K_FILE)
		t->stamp = r->stamp;
	if (t->kind == K_CHANGES && t->base == NULL && rt_data_new(&t->base, NULL, 0, NULL, task_message, &t->messages) != 0)
		t->base = NULL;
	t->job.done = task_done;
	r->now = t;
	worker_submit(r->worker, WORKER_NORMAL, &t->job);
}

/* ---- the store's, at a start ---- */

static void
loaded(struct worker_job *wj)
{
	struct task *t = CONTAINER_OF(wj, struct task, job);
	struct routing *r = t->r;
	const json_t *first = json_array_get(t->messages.v, 0);

	if (!r->gone) {
		if (t->bad_rows > 0)
			log_error("routing", "%zu rows of the store can't be read and are left out", t->bad_rows);
		if (t->err != 0)
			log_error("routing", "what the store holds can't be served: %s: %s; errors=%zu; load the document again",
			    jsonx_get_text(first, "path"), jsonx_get_text(first, "text"), t->messages.count);
		r->version = t->stored_version;
		if (t->fresh != NULL && t->stored_version > 0) {
			r->data = t->fresh;
			t->fresh = NULL;
			r->loaded_ms = t->loaded_ms;
			r->source = xstrdup(t->source);
			r->stored = true;
			log_notice("routing", "served as stored: version=%llu source=%s rows=%zu", (unsigned long long)r->version,
			    r->source, rt_data_count(r->data));
			r->changed(r->arg);
		}
		r->ready = true;
	}
	finish(t, t->err);
}

static void
on_read(void *arg, int err)
{
	struct task *t = arg;

	if (err != 0 && !t->r->gone)
		log_error("routing", "the store can't be read: %s; load the routing data again", strerror(-err));
	t->job.done = loaded;
	worker_submit(t->r->worker, WORKER_NORMAL, &t->job);
}

/* ---- sources ---- */

static void
poll_file(void *arg)
{
	struct routing *r = arg;
	struct task *t;

	if (r->file == NULL || r->polling)
		return;
	r->polling = true;
	t = task_new(r, K_FILE, r->file);
	t->path = xstrdup(r->file);
	t->again = r->data != NULL && !r->stored && loop_now_ms(r->loop) - r->unstored_ms >= STORE_AGAIN_MS;
	if (t->again)
		r->unstored_ms = loop_now_ms(r->loop);
	enqueue(r, t);
}

static void
on_pairs(void *arg, const struct kv_pair *pairs, size_t n)
{
	struct routing *r = arg;
	char *who = xasprintf("kv %s", r->kv_prefix);
	struct task *t = task_new(r, K_KV, who);
	size_t i;

	t->pairs = xcalloc(n, sizeof *t->pairs);
	for (i = 0; i < n; i++) {
		char *value = xcalloc(pairs[i].len + 1, 1);

		memcpy(value, pairs[i].value, pairs[i].len);
		t->pairs[i] = (struct rt_pair){ xstrdup(pairs[i].key), value, pairs[i].len };
	}
	t->n_pairs = n;
	free(who);
	enqueue(r, t);
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
take_sources(struct routing *r, const struct conf *conf)
{
	if (!same_text(r->file, conf->routing_file)) {
		free(r->file);
		r->file = xstrdup(conf->routing_file);
		r->stamp = (struct file_stamp){ 0 };
		set_wrong(r, r->file != NULL ? r->file : "routing", &(struct message_list){ 0 });
		poll_file(r);
	}
	free(r->kv_prefix);
	r->kv_prefix = xstrdup(conf->routing_kv);
}

int
routing_set_conf(struct routing *r, const struct conf *conf)
{
	struct kv *kv = NULL;

	if (conf->routing_kv != NULL && r->kv != NULL && same_text(r->kv_prefix, conf->routing_kv)) {
		if (kv_set_conf(r->kv, conf, KV_HOLD_FOREVER) != 0)
			return -EINVAL;
	} else {
		if (conf->routing_kv != NULL &&
		    kv_new(&kv, r->loop, r->worker, conf, conf->routing_kv, KV_HOLD_FOREVER, on_pairs, r) != 0)
			return -EINVAL;
		kv_free(r->kv);
		r->kv = kv;
	}
	take_sources(r, conf);
	cdrs_set_conf(r->cdrs, conf);
	return 0;
}

int
routing_new(struct routing **out, struct loop *loop, struct worker *worker, struct store *store, const struct conf *conf,
    loop_cb *changed, void *arg)
{
	struct routing *r = xcalloc(1, sizeof *r);
	struct task *t;
	int err;

	r->loop = loop;
	r->worker = worker;
	r->store = store;
	r->refs = 1;
	r->changed = changed;
	r->arg = arg;
	r->queue_end = &r->queue;
	r->edits_end = &r->edits;
	loop_timer_init(&r->poll, loop, poll_file, r);
	err = cdrs_new(&r->cdrs, loop, worker, store, conf);
	if (err == 0)
		err = routing_set_conf(r, conf);
	if (err != 0) {
		routing_free(r);
		return err;
	}
	t = task_new(r, K_STORE, "store");
	r->now = t;
	store_read_routing(store, task_take_row, on_read, t);
	*out = r;
	return 0;
}

static void
cancel_edits(struct routing *r)
{
	while (r->edits != NULL) {
		struct edit *e = r->edits;

		r->edits = e->next;
		e->cb(e->arg, -ECANCELED, NULL, NULL);
		edit_free(e);
	}
}

void
routing_free(struct routing *r)
{
	if (r == NULL)
		return;
	r->gone = true;
	loop_later_cancel(r->loop, &r->later);
	loop_timer_fini(&r->poll);
	kv_free(r->kv);
	cdrs_free(r->cdrs);
	r->cdrs = NULL;
	cancel_edits(r);
	while (r->queue != NULL) {
		struct task *t = r->queue;

		r->queue = t->next;
		if (t->cb != NULL)
			t->cb(t->arg, -ECANCELED, NULL);
		task_free(t);
		r->refs--;
	}
	routing_unref(r);
}

/* ---- what others ask ---- */

const struct rt_data *
routing_data(const struct routing *r)
{
	return r->data;
}

bool
routing_ready(const struct routing *r)
{
	return r->ready;
}

struct cdrs *
routing_cdrs(const struct routing *r)
{
	return r->cdrs;
}

void
routing_view(const struct routing *r, struct routing_view *v)
{
	*v = (struct routing_view){
		.source = r->source != NULL ? r->source : "",
		.loaded_ms = r->loaded_ms,
		.version = r->version,
		.loading = r->now != NULL && r->now->kind != K_FILE,
		.stored = r->stored,
		.why = r->why != NULL ? r->why : "",
		.why_ms = r->why_ms,
		.errors = r->messages.count,
		.messages = r->messages.v,
		.kv = r->kv,
	};
}

struct refusal {
	struct loop_later later;
	routing_done_cb *done;
	routing_change_cb *changed;
	void *arg;
};

static void
refused(void *arg)
{
	struct refusal *x = arg;

	if (x->done != NULL)
		x->done(x->arg, -EPERM, NULL);
	else
		x->changed(x->arg, -EPERM, NULL, NULL);
	free(x);
}

/* A file or a prefix rules: what is changed here would be undone by it. */
static bool
refuse(struct routing *r, routing_done_cb *done, routing_change_cb *change_done, void *arg)
{
	struct refusal *x;

	if (r->file == NULL && r->kv_prefix == NULL)
		return false;
	x = xcalloc(1, sizeof *x);
	x->done = done;
	x->changed = change_done;
	x->arg = arg;
	loop_later(r->loop, &x->later, refused, x);
	return true;
}

void
routing_load(struct routing *r, char *takes, size_t len, const char *who, routing_done_cb *cb, void *arg)
{
	struct task *t;

	if (refuse(r, cb, NULL, arg)) {
		free(takes);
		return;
	}
	t = task_new(r, K_TEXT, who);
	t->text = takes;
	t->len = len;
	t->cb = cb;
	t->arg = arg;
	enqueue(r, t);
}

void
routing_change(struct routing *r, const struct rt_change *change, routing_change_cb *cb, void *arg)
{
	struct edit *e;

	if (refuse(r, NULL, cb, arg))
		return;
	e = xcalloc(1, sizeof *e);
	e->change = *change;
	e->change.put = change->put != NULL ? rt_row_ref(change->put) : NULL;
	e->change.uuid = xstrdup(change->uuid);
	e->cb = cb;
	e->arg = arg;
	*r->edits_end = e;
	r->edits_end = &e->next;
	schedule(r);
}
