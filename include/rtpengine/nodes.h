/*
 * nodes: the rtpengine nodes that c4d watches. Each is pinged every interval_ms +-10 %, counted from
 * the end of the ping before; a ping is a question of ng.h, repeated within timeout_ms.
 * Alive at the first pong. Dead after 2 pings in a row that were not answered, or at the first that
 * is refused when it was not alive: so a restart of rtpengine within one interval goes unseen. An answer
 * that is no pong counts as none. A ping for which c4d itself lacks the means counts as nothing.
 * One log line per change of state, none per ping.
 * `changed` runs from the loop, never inside a function of this header, once for all that happened
 * in a turn: when a state changes, when a session count changes to or from zero, and when all pings
 * of a refresh have ended. It may call everything here.
 */
#ifndef RTPENGINE_NODES_H
#define RTPENGINE_NODES_H

#include "base/loop.h"
#include "topology/addr.h"

struct nodes;

enum node_state { NODE_UNKNOWN, NODE_ALIVE, NODE_DEAD };

/*
 * `list` answers with call IDs, as many as its limit says: this many stay within one unfragmented
 * datagram unless they are longer than 100 bytes each. There is no total in it, so a count of this
 * number means "so many or more".
 */
#define NODES_SESSIONS_MAX 12

struct node_view {
	struct topo_addr addr;
	enum node_state state;
	int64_t answer_ms;   /* monotonic, of the last pong; 0 never */
	int64_t rtt_us;      /* of the last pong, from the first sending of its ping; 0 never */
	unsigned missed;     /* pings in a row that were not answered */
	int64_t sessions;    /* 0..NODES_SESSIONS_MAX (see there); -1 unknown, not counted or dead */
	int64_t sessions_ms; /* monotonic, when asked for: rtpengine counted no earlier; 0 never */
	int64_t since_ms;    /* wall clock, of the state */
	const char *why;     /* for people: of the last ping when it was not answered; else empty */
};

typedef void nodes_cb(void *arg);

MUST_USE int nodes_new(struct nodes **out, struct loop *, int64_t interval_ms, int64_t timeout_ms,
    nodes_cb *changed, void *arg);
void nodes_free(struct nodes *); /* NULL is fine */

/*
 * The nodes to ping from now on, new ones at once; those that stay keep all they have. Repeated
 * addresses count once; those without IP address or port are left out.
 */
void nodes_set(struct nodes *, const struct topo_addr *, size_t n);
/*
 * While on, each pong is followed by "list" (and a ping goes at once): all that rtpengine holds, also
 * what was only offered, and what ended less than its delete-delay (30 s unless configured) ago.
 * No-op for an address that is not watched.
 */
void nodes_count_sessions(struct nodes *, const struct topo_addr *, bool on);
/*
 * Pings now each node that nodes_is_fresh() would deny. A dead one is pinged too but not waited for:
 * it is not to be used, and if it answers that is a change of state. When there is nothing to wait
 * for, nodes_is_settled() says so at once and no callback comes for it.
 */
void nodes_refresh(struct nodes *, int64_t max_age_ms);
bool nodes_is_settled(const struct nodes *); /* no ping asked by a refresh is under way */
/* Alive, its last ping answered, and that at most so long ago. */
bool nodes_is_fresh(const struct nodes *, const struct topo_addr *, int64_t max_age_ms);

/* The views are valid until the next nodes_set() or nodes_free(), and change from the loop. */
/* NULL: not watched. */
const struct node_view *nodes_find(const struct nodes *, const struct topo_addr *);
size_t nodes_count(const struct nodes *);
const struct node_view *nodes_at(const struct nodes *, size_t i); /* by address */
const char *node_state_name(enum node_state); /* "unknown" "alive" "dead" */

#endif
