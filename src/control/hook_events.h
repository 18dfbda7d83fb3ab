/*
 * hook_events: what is to be told, of what is. Pure: clocks are arguments.
 *
 * Every thing (a service, a target, a registration) has one state, and the one that was told last. A thing that is new, and as it
 * should be, is not told of; one that is not, is; of a target only after HOOK_FIRST_MS, since c4d starts before Kamailio.
 * Of each thing at most one event is told per `interval_ms`. What changes meanwhile becomes one event of the state that it has then,
 * with how often it changed: also when it has come back to what was told. Of all things at most `per_minute` events are told
 * in a minute, the oldest change first. HOOK_WAITING_MAX may wait: what changes when so many do is taken as told, and counted.
 *
 * What could not be told waits again, before all others, and is what it is by then. Nothing is told in the pause after a failure:
 * `interval_ms`, twice as long after each next failure, HOOK_PAUSE_MAX_MS at most. What has failed for HOOK_TRY_MS is given up, and counted.
 */
#ifndef CONTROL_HOOK_EVENTS_H
#define CONTROL_HOOK_EVENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

#define HOOK_FIRST_MS 15000
#define HOOK_WAITING_MAX 100
#define HOOK_TEXT_MAX 500 /* of a detail, a hint */
#define HOOK_PAUSE_MIN_MS 250
#define HOOK_PAUSE_MAX_MS 300000
#define HOOK_TRY_MS 900000

enum hook_kind { HOOK_SERVICE, HOOK_TARGET, HOOK_REGISTRATION, HOOK_APPROVAL };

enum hook_state {
	HOOK_GOOD,
	HOOK_BETWEEN,    /* on its way: what it was before stands */
	HOOK_SUPPRESSED, /* of services: the worst of these that is so */
	HOOK_HELD,
	HOOK_EMPTY,
	HOOK_FAILED,     /* of targets */
	HOOK_MISSING,    /* of registrations */
	HOOK_APPROVED,   /* of approvals */
};

struct hook_fact { /* lent */
	enum hook_kind kind;
	const char *name;
	enum hook_state state;
	const char *detail, *hint; /* hint "": nothing to do */
	uint64_t generation;
};

struct hook_limits {
	int64_t interval_ms;
	int64_t per_minute;
};

struct hook_event { /* lent, until the next call */
	const char *event; /* "service-held" */
	enum hook_kind kind;
	const char *name;
	const char *detail, *hint;
	int64_t wall_ms;   /* since when it is so */
	uint64_t generation;
	uint64_t count;    /* changes since the event before of the same thing; 1: this one */
	uint64_t dropped;  /* events that were never told, since the last one that was */
};

struct hook_events;
struct hook_events *hook_events_new(const struct hook_limits *); /* lent for as long */
void hook_events_free(struct hook_events *);

/* A look at all that is: begin, each thing once, end. What was not seen is forgotten. */
void hook_events_begin(struct hook_events *);
void hook_events_see(struct hook_events *, const struct hook_fact *, int64_t now_ms, int64_t wall_ms);
void hook_events_end(struct hook_events *);
/* Not of a look: it has happened. */
void hook_events_happened(struct hook_events *, const struct hook_fact *, int64_t now_ms, int64_t wall_ms);

/* False: there is none that may be told now. What it gives counts as told, until one of these is said of it. */
bool hook_events_next(struct hook_events *, int64_t now_ms, struct hook_event *out);
void hook_events_told(struct hook_events *);
bool hook_events_failed(struct hook_events *, unsigned before, int64_t now_ms); /* before: failures since it worked; false: given up */
void hook_events_end_pause(struct hook_events *); /* who is told may be another, or mended */
int64_t hook_events_due_ms(const struct hook_events *, int64_t now_ms); /* until the next one may be told; -1: none waits */
uint64_t hook_events_waiting(const struct hook_events *);
uint64_t hook_events_dropped(const struct hook_events *); /* ever */

/* The line that the command reads, with its newline. The caller frees. */
char *hook_event_line(const struct hook_event *, const char *host);

#endif
