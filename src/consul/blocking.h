/*
 * blocking: the rules of following something at Consul by blocking queries: which index is to be waited for, when the next query
 * may go, and when after a failure. Queries follow each other at once, 20 of them, and 2 a second for as long as that goes on;
 * what fails is tried again after 250 ms, doubling to 15 s. Times are monotonic milliseconds. Pure.
 *
 *	blocking_ask() -> the answer: blocking_arrived() -> blocking_take(), and blocking_pace_ms() to the next query
 *	                                                 or blocking_fail() to the next query
 */
#ifndef CONSUL_BLOCKING_H
#define CONSUL_BLOCKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

#define BLOCKING_SETTLED_MS 1000 /* a query that waits for so long works */
#define BLOCKING_JITTER 20       /* of what blocking_fail() says, in percent */

struct blocking { /* zero-initialise; the owner may read all of it */
	uint64_t index;    /* the last one seen; 0: none, or it is not to be trusted */
	bool doubtful;     /* the next query asks where the index is, and does not wait */
	unsigned failures; /* in a row; 0: it works, or so it seems: whoever saw that sets it */
	/* the query under way, or the last one */
	int64_t wait_ms;   /* so long it waits for a change; 0: it does not */
	int64_t asked_ms, took_ms;
	int64_t no_leader_ms; /* wall clock, since when Consul is known to have no leader; 0: nothing says so */
	/* blocking.c's */
	int64_t paid_ms;   /* the time that the queries so far are worth at the pace of the long run */
};

/* A query goes out. What it is to wait for: `wait_ms`, or 0 while there is no index to wait at. */
int64_t blocking_ask(struct blocking *, int64_t now_ms, int64_t wait_ms);
/* Its answer is here, whatever it is. */
void blocking_arrived(struct blocking *, int64_t now_ms);
/* Did the query wait and come back, long before its time, with nothing new? Before blocking_take(). */
bool blocking_is_early(const struct blocking *, uint64_t index);
/* The answer is a good one: true, the index has moved. Backwards: the next query begins anew, and does not wait. */
bool blocking_take(struct blocking *, uint64_t index);
/*
 * What an answer with a status says of the leader, by its X-Consul-KnownLeader (or NULL) and its body (or NULL). A query that
 * waited says nothing: Consul fills in that header before it waits. An error says nothing either, unless it names the leader:
 * the agent sends "false" when it has just lost its server, and asks another one next time.
 */
void blocking_note_leader(struct blocking *, int64_t wall_ms, int status, const char *known_leader, const char *body);
/* After an answer: so long until the next query may go. */
int64_t blocking_pace_ms(const struct blocking *, int64_t now_ms);
/* It failed, once more: so long (and some jitter) until the next query. */
int64_t blocking_fail(struct blocking *);
/* Of X-Consul-Index; NULL, no number, and 0, which never blocks, are -EINVAL. */
MUST_USE int blocking_parse_index(const char *text, uint64_t *out);

#endif
