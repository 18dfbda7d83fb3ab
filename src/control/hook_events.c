#include "hook_events.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/text.h"

#define MINUTE_MS 60000
#define NEVER INT64_MIN

struct thing {
	enum hook_kind kind;
	char *name;
	enum hook_state state;
	char *detail, *hint;
	int64_t wall_ms; /* of the state */
	uint64_t generation;
	bool seen;       /* in the present look */
	bool known;      /* it had a state */
	int64_t first_ms; /* not known: it is bad since then */
	bool waiting;
	uint64_t order;  /* of beginning to wait */
	uint64_t count;  /* changes that were not told */
	int64_t told_ms; /* NEVER */
	int64_t failing_ms; /* when it was first tried in vain; NEVER */
};

struct hook_events {
	const struct hook_limits *limits;
	struct thing **v;
	size_t n, cap;
	size_t next; /* where the next fact's thing is, if they come in the same order */
	uint64_t order, waiting, dropped, dropped_told;
	int64_t credit; /* in ms of a minute: an event costs a minute / per_minute */
	int64_t credit_ms; /* as of then */
	int64_t pause_ms; /* until then nothing is told */
	struct { /* what was given last; thing NULL: it is forgotten, or its end was said */
		struct thing *thing;
		char *name, *detail, *hint;
		uint64_t order, count, dropped_told;
		int64_t told_ms; /* the one before */
	} last;
};

struct hook_events *
hook_events_new(const struct hook_limits *limits)
{
	struct hook_events *e = xcalloc(1, sizeof *e);

	e->limits = limits;
	e->credit = MINUTE_MS;
	e->pause_ms = NEVER;
	return e;
}

static void
thing_free(struct thing *t)
{
	free(t->name);
	free(t->detail);
	free(t->hint);
	free(t);
}

static void
drop_last(struct hook_events *e)
{
	free(e->last.name);
	free(e->last.detail);
	free(e->last.hint);
	memset(&e->last, 0, sizeof e->last);
}

void
hook_events_free(struct hook_events *e)
{
	size_t i;

	if (e == NULL)
		return;
	for (i = 0; i < e->n; i++)
		thing_free(e->v[i]);
	free(e->v);
	drop_last(e);
	free(e);
}

/* ---- what is ---- */

static struct thing *
find(struct hook_events *e, const struct hook_fact *f)
{
	struct thing *t;
	size_t i, at;

	for (i = 0; i < e->n; i++) {
		at = (e->next + i) % e->n;
		t = e->v[at];
		if (t->kind == f->kind && strcmp(t->name, f->name) == 0) {
			e->next = at + 1;
			return t;
		}
	}
	t = xcalloc(1, sizeof *t);
	t->kind = f->kind;
	t->name = xstrdup(f->name);
	t->told_ms = t->failing_ms = NEVER;
	e->v = xgrow(e->v, e->n, &e->cap, sizeof(struct thing *));
	e->v[e->n++] = t;
	return t;
}

/* Printable ASCII: it becomes a variable of a shell. */
static char *
clean(const char *text)
{
	char *copy = xstrndup(text, HOOK_TEXT_MAX);

	text_mask(copy, strlen(copy), "");
	return copy;
}

static void
take_texts(struct thing *t, const struct hook_fact *f)
{
	free(t->detail);
	free(t->hint);
	t->detail = clean(f->detail);
	t->hint = clean(f->hint);
	t->generation = f->generation;
}

static void
changed(struct hook_events *e, struct thing *t, const struct hook_fact *f, int64_t wall_ms)
{
	t->state = f->state;
	t->wall_ms = wall_ms;
	t->count++;
	if (!t->waiting && e->waiting >= HOOK_WAITING_MAX) {
		e->dropped++;
		t->count = 0;
		return;
	}
	if (!t->waiting) {
		t->order = e->order++;
		t->waiting = true;
		e->waiting++;
	}
}

/* Its first state: false while that is open. */
static bool
is_known(struct thing *t, const struct hook_fact *f, int64_t now_ms)
{
	if (t->known)
		return true;
	if (f->kind == HOOK_TARGET && f->state != HOOK_GOOD) {
		if (t->first_ms == 0)
			t->first_ms = now_ms;
		if (now_ms - t->first_ms < HOOK_FIRST_MS)
			return false;
	}
	t->state = HOOK_GOOD;
	return t->known = true;
}

void
hook_events_begin(struct hook_events *e)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		e->v[i]->seen = e->v[i]->kind == HOOK_APPROVAL;
	e->next = 0;
}

void
hook_events_see(struct hook_events *e, const struct hook_fact *f, int64_t now_ms, int64_t wall_ms)
{
	struct thing *t = find(e, f);

	t->seen = true;
	if (f->state == HOOK_BETWEEN || !is_known(t, f, now_ms))
		return;
	if (t->state != f->state)
		changed(e, t, f, wall_ms);
	if (t->waiting) /* as it is by now */
		take_texts(t, f);
}

void
hook_events_happened(struct hook_events *e, const struct hook_fact *f, int64_t now_ms, int64_t wall_ms)
{
	struct thing *t = find(e, f);

	t->seen = t->known = true;
	changed(e, t, f, wall_ms);
	if (t->waiting)
		take_texts(t, f);
}

static void
forget(struct hook_events *e, size_t i)
{
	e->waiting -= e->v[i]->waiting;
	if (e->last.thing == e->v[i])
		e->last.thing = NULL;
	thing_free(e->v[i]);
	e->v[i] = NULL;
}

void
hook_events_end(struct hook_events *e)
{
	size_t i, n = 0;

	for (i = 0; i < e->n; i++) {
		if (!e->v[i]->seen)
			forget(e, i);
		else
			e->v[n++] = e->v[i];
	}
	e->n = n;
}

/* ---- what is told ---- */

static int64_t
cost(const struct hook_events *e)
{
	return MINUTE_MS / e->limits->per_minute;
}

static int64_t
credit_at(const struct hook_events *e, int64_t now_ms)
{
	int64_t credit = e->credit + (now_ms - e->credit_ms);

	return credit < MINUTE_MS ? credit : MINUTE_MS;
}

static int64_t
due_in(const struct hook_events *e, const struct thing *t, int64_t now_ms)
{
	int64_t due_ms = t->told_ms == NEVER ? now_ms : t->told_ms + e->limits->interval_ms;

	return due_ms > now_ms ? due_ms - now_ms : 0;
}

int64_t
hook_events_due_ms(const struct hook_events *e, int64_t now_ms)
{
	int64_t soonest = -1, lacking = cost(e) - credit_at(e, now_ms), due;
	size_t i;

	for (i = 0; i < e->n; i++) {
		if (!e->v[i]->waiting)
			continue;
		due = due_in(e, e->v[i], now_ms);
		if (soonest < 0 || due < soonest)
			soonest = due;
	}
	if (soonest < 0)
		return -1;
	if (e->pause_ms != NEVER && soonest < e->pause_ms - now_ms)
		soonest = e->pause_ms - now_ms;
	return soonest < lacking ? lacking : soonest;
}

static const char *
event_name(const struct thing *t)
{
	static const char *const bad[] = {
		[HOOK_SUPPRESSED] = "service-suppressed",
		[HOOK_HELD] = "service-held",
		[HOOK_EMPTY] = "service-empty",
		[HOOK_FAILED] = "target-failed",
		[HOOK_MISSING] = "registration-missing",
		[HOOK_APPROVED] = "service-approved",
	};
	static const char *const good[] = {
		[HOOK_SERVICE] = "service-back",
		[HOOK_TARGET] = "target-recovered",
		[HOOK_REGISTRATION] = "registration-found",
	};

	return t->state == HOOK_GOOD ? good[t->kind] : bad[t->state];
}

bool
hook_events_next(struct hook_events *e, int64_t now_ms, struct hook_event *out)
{
	struct thing *t = NULL;
	size_t i;

	if (credit_at(e, now_ms) < cost(e) || now_ms < e->pause_ms)
		return false;
	for (i = 0; i < e->n; i++)
		if (e->v[i]->waiting && due_in(e, e->v[i], now_ms) == 0 && (t == NULL || e->v[i]->order < t->order))
			t = e->v[i];
	if (t == NULL)
		return false;
	drop_last(e);
	e->last.thing = t;
	e->last.name = xstrdup(t->name);
	e->last.detail = t->detail;
	e->last.hint = t->hint;
	e->last.order = t->order;
	e->last.count = t->count;
	e->last.dropped_told = e->dropped_told;
	e->last.told_ms = t->told_ms;
	t->detail = t->hint = NULL;
	*out = (struct hook_event){
		.event = event_name(t),
		.kind = t->kind,
		.name = e->last.name,
		.detail = e->last.detail,
		.hint = e->last.hint,
		.wall_ms = t->wall_ms,
		.generation = t->generation,
		.count = t->count,
		.dropped = e->dropped - e->dropped_told,
	};
	t->told_ms = now_ms;
	t->count = 0;
	t->waiting = false;
	e->waiting--;
	e->dropped_told = e->dropped;
	e->credit = credit_at(e, now_ms) - cost(e);
	e->credit_ms = now_ms;
	return true;
}

void
hook_events_told(struct hook_events *e)
{
	if (e->last.thing != NULL)
		e->last.thing->failing_ms = NEVER;
	e->last.thing = NULL;
	hook_events_end_pause(e);
}

/* The last one given is the next one. */
static void
put_back(struct hook_events *e)
{
	struct thing *t = e->last.thing;

	if (!t->waiting) {
		t->waiting = true;
		e->waiting++;
		t->detail = e->last.detail;
		t->hint = e->last.hint;
		e->last.detail = e->last.hint = NULL;
	}
	t->order = e->last.order;
	t->count += e->last.count;
	t->told_ms = e->last.told_ms;
}

bool
hook_events_failed(struct hook_events *e, unsigned before, int64_t now_ms)
{
	int64_t pause_ms = e->limits->interval_ms > HOOK_PAUSE_MIN_MS ? e->limits->interval_ms : HOOK_PAUSE_MIN_MS;
	struct thing *t = e->last.thing;
	unsigned i;

	for (i = 0; i < before && pause_ms < HOOK_PAUSE_MAX_MS; i++)
		pause_ms *= 2;
	e->pause_ms = now_ms + (pause_ms < HOOK_PAUSE_MAX_MS ? pause_ms : HOOK_PAUSE_MAX_MS);
	if (t == NULL)
		return true;
	e->dropped_told = e->last.dropped_told;
	if (t->failing_ms == NEVER)
		t->failing_ms = now_ms;
	if (now_ms - t->failing_ms >= HOOK_TRY_MS) {
		t->failing_ms = NEVER;
		e->dropped++;
		e->last.thing = NULL;
		return false;
	}
	put_back(e);
	e->last.thing = NULL;
	return true;
}

void
hook_events_end_pause(struct hook_events *e)
{
	e->pause_ms = NEVER;
}

uint64_t
hook_events_waiting(const struct hook_events *e)
{
	return e->waiting;
}

uint64_t
hook_events_dropped(const struct hook_events *e)
{
	return e->dropped;
}

char *
hook_event_line(const struct hook_event *ev, const char *host)
{
	json_t *o = json_object();
	char *text, *line;

	jsonx_set_time(o, "time", ev->wall_ms);
	jsonx_set_text(o, "host", host);
	jsonx_set_text(o, "event", ev->event);
	jsonx_set_text(o, "service", ev->kind == HOOK_SERVICE || ev->kind == HOOK_APPROVAL ? ev->name : NULL);
	jsonx_set_text(o, "target", ev->kind == HOOK_TARGET ? ev->name : NULL);
	jsonx_set_text(o, "registration", ev->kind == HOOK_REGISTRATION ? ev->name : NULL);
	jsonx_set_text(o, "detail", ev->detail);
	jsonx_set_text(o, "hint", ev->hint[0] != '\0' ? ev->hint : NULL);
	jsonx_set_int(o, "generation", (int64_t)ev->generation);
	jsonx_set_int(o, "count", (int64_t)ev->count);
	jsonx_set_int(o, "dropped", (int64_t)ev->dropped);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	line = xasprintf("%s\n", text);
	free(text);
	return line;
}
