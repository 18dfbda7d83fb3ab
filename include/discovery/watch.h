/*
 * watch: asks Consul's DNS about every SRV name of every service, round by round. A round is the
 * name's list, one question per tag and the canary of the same datacenter, all asked together of one
 * server on one channel; targets without an address in the answer are asked for at its end. Which
 * server is asked changes between rounds only.
 *
 * Pace: `interval` +-10 % is the floor. Intervals are stretched so that the time the agent spends on all our questions
 * stays under `budget` percent of a core; names that cost little are not slowed down by those that cost much. After a
 * round that proved nothing the next server is asked at once; when each had its turn the delay doubles up to
 * max(interval, 1 s).
 *
 * A wake-up is a burst: rounds at once and 5, 20 and 80 ms later, until one differs from the round that was asked for
 * before the wake-up (DNS may ask another server than the one that woke us). Another wake-up begins the burst anew. At
 * most 20 such rounds a second per name; three bursts in a row that found nothing make the next ones a single round. A
 * round that proves nothing ends the burst: what then follows is as above. These rounds wait for no stretch, but the
 * budget pays for them: in advance up to 30 s of it, half of which the intervals then leave; what cannot be paid is
 * left to the clock.
 *
 * The callback runs from the loop; the round is lent.
 */
#ifndef DISCOVERY_WATCH_H
#define DISCOVERY_WATCH_H

#include "base/loop.h"
#include "config/conf.h"
#include "topology/judge.h"

struct watch;

typedef void watch_cb(void *arg, const char *service, const struct round *, const char *server);

struct watch_view {
	const char *service;
	const char *name;
	unsigned index;        /* of the name within its service */
	const char *canary;
	const char *server;    /* that the next round asks */
	bool asking;
	int64_t next_ms;       /* until the next round; -1 while asking */
	int64_t interval_ms;   /* in force, stretched */
	int64_t took_us;       /* the last round */
	size_t size_bytes;     /* of its list */
	size_t n_srv;
	uint64_t rounds[4];    /* by enum evidence */
	unsigned failures;     /* rounds in a row that proved nothing */
	int64_t last_ms;       /* monotonic end of the last round; 0 none */
	uint64_t wakes;        /* watch_wake() so far */
	uint64_t wake_rounds;  /* rounds of bursts */
};

/* -EINVAL: a server of conf->dns can't be used (logged). conf must live as long as the watch. */
MUST_USE int watch_new(struct watch **out, struct loop *, const struct conf *, watch_cb *, void *arg);
void watch_start(struct watch *);
void watch_free(struct watch *); /* NULL is fine */
/* Ask now, for one service or (NULL) all. */
void watch_ask_now(struct watch *, const char *service);
/* The answer to this name of this service may have changed just now: begins a burst. */
void watch_wake(struct watch *, const char *service, const char *name);
size_t watch_count(const struct watch *);
void watch_view(const struct watch *, size_t i, struct watch_view *);
/* How many names had a round since the start: for `c4d plan`. */
size_t watch_answered(const struct watch *);
double watch_stretch(const struct watch *); /* of the most stretched name; 1: none */

/* "_router._primary.service.dc1.consul" of "router.service.dc1.consul"; NULL: can't be asked. Free it. */
char *watch_tag_name(const char *name, const char *tag, const char *domain);
/* "consul.service.dc1.consul" of "router.service.dc1.consul". Free it. */
char *watch_canary_name(const char *name, const char *domain);

#endif
