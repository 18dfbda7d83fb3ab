#include "rtpengine/nodes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "rtpengine/ng.h"

#define JITTER_PERCENT 10
#define MISSED_MAX 2
#define WHY_BYTES 256

/* Owned by nodes' list. */
struct node {
	struct node_view view;
	struct nodes *nodes;
	struct ng *ping;
	struct ng *list; /* of its own, so that a count never delays a ping */
	struct loop_timer timer; /* the next ping; not armed while one is under way */
	int64_t ping_us; /* when it was asked */
	int64_t list_ms; /* when it was asked */
	int64_t changed_ms; /* monotonic, of the state */
	bool spread;   /* the first interval was drawn, so that nodes set together are not pinged together */
	bool awaited;  /* by a refresh */
	bool count;
	bool told_list; /* logged once that it can't be counted */
	char why[WHY_BYTES];
};

struct nodes {
	struct loop *loop;
	int64_t interval_ms;
	int64_t timeout_ms;
	nodes_cb *changed;
	void *arg;
	struct loop_later later;
	struct node **list; /* by address */
	size_t n;
	size_t n_awaited;
};

const char *
node_state_name(enum node_state state)
{
	static const char *const names[] = {
		[NODE_UNKNOWN] = "unknown",
		[NODE_ALIVE] = "alive",
		[NODE_DEAD] = "dead",
	};

	return names[state];
}

/* ---- telling ---- */

static void
on_later(void *arg)
{
	struct nodes *nodes = arg;

	nodes->changed(nodes->arg);
}

static void
tell(struct nodes *nodes)
{
	loop_later(nodes->loop, &nodes->later, on_later, nodes);
}

static void
await_no_more(struct node *n)
{
	if (!n->awaited)
		return;
	n->awaited = false;
	if (--n->nodes->n_awaited == 0)
		tell(n->nodes);
}

static void
log_state(const struct node *n, enum node_state was)
{
	char addr[TOPO_ADDR_TEXT], away[32];

	topo_addr_format(&n->view.addr, addr);
	text_format_duration(loop_now_ms(n->nodes->loop) - n->changed_ms, away, sizeof away);
	if (n->view.state == NODE_DEAD)
		log_notice("rtp", "%s: %s; %s", addr, was == NODE_ALIVE ? "dead" : "not reachable",
		    n->view.why);
	else if (was == NODE_DEAD)
		log_notice("rtp", "%s: alive after %s", addr, away);
	else
		log_notice("rtp", "%s: alive, rtt_us=%lld", addr, (long long)n->view.rtt_us);
}

/* A dead node's sessions are nobody's; those of one that comes back are other ones. */
static void
forget_sessions(struct node *n)
{
	n->view.sessions = -1;
	n->view.sessions_ms = 0;
}

static void
set_state(struct node *n, enum node_state state)
{
	enum node_state was = n->view.state;

	if (state == was)
		return;
	n->view.state = state;
	if (state == NODE_DEAD)
		forget_sessions(n);
	log_state(n, was);
	n->view.since_ms = loop_wall_ms(n->nodes->loop);
	n->changed_ms = loop_now_ms(n->nodes->loop);
	tell(n->nodes);
}

/* ---- sessions ---- */

static void
on_list(void *arg, int err, const struct bencode_value *answer, const char *why)
{
	struct node *n = arg;
	int64_t was = n->view.sessions, sessions = err == 0 ? bencode_length(answer, "calls") : -1;
	char addr[TOPO_ADDR_TEXT];

	if (err == 0 && sessions < 0) {
		err = -EPROTO;
		why = "no list of calls in its answer";
	}
	if (err == -EPROTO && !n->told_list) {
		n->told_list = true;
		topo_addr_format(&n->view.addr, addr);
		log_warnx("rtp", "%s: sessions cannot be counted: %s", addr, why);
	}
	/* Of an answer that did not come, sessions_ms tells: the next pong asks again. */
	if (err != 0 || !n->count)
		return;
	n->view.sessions = sessions;
	n->view.sessions_ms = n->list_ms;
	if ((was == 0) != (sessions == 0))
		tell(n->nodes);
}

static void
ask_list(struct node *n)
{
	static const struct ng_key limit[] = { { "limit", NODES_SESSIONS_MAX } };

	if (n->count && ng_ask(n->list, "list", limit, NELEM(limit), on_list, n) == 0)
		n->list_ms = loop_now_ms(n->nodes->loop);
}

/* ---- pings ---- */

static void
ping_later(struct node *n)
{
	int64_t interval = n->nodes->interval_ms;

	loop_timer_start(&n->timer, n->spread ? loop_jitter(n->nodes->loop, interval, JITTER_PERCENT) :
					loop_jitter(n->nodes->loop, interval / 2, 100));
	n->spread = true;
}

static void
take_pong(struct node *n)
{
	n->view.answer_ms = loop_now_ms(n->nodes->loop);
	n->view.rtt_us = loop_now_us(n->nodes->loop) - n->ping_us;
	n->view.missed = 0;
	n->why[0] = '\0';
	set_state(n, NODE_ALIVE);
	ask_list(n);
}

static void
take_miss(struct node *n, int err, const char *why)
{
	n->view.missed++;
	snprintf(n->why, sizeof n->why, "%s", why);
	if (n->view.missed >= MISSED_MAX || (err == -ECONNREFUSED && n->view.state != NODE_ALIVE))
		set_state(n, NODE_DEAD);
}

static void
on_ping(void *arg, int err, const struct bencode_value *answer, const char *why)
{
	struct node *n = arg;
	const char *result = err == 0 ? bencode_text(answer, "result") : NULL;

	if (err == -ENOBUFS)
		snprintf(n->why, sizeof n->why, "c4d cannot ask: %s", why);
	else if (result != NULL && strcmp(result, "pong") == 0)
		take_pong(n);
	else
		take_miss(n, err, err == 0 ? "its answer to ping is no pong (is that rtpengine?)" : why);
	ping_later(n);
	await_no_more(n);
}

static void
on_timer(void *arg)
{
	struct node *n = arg;

	n->ping_us = loop_now_us(n->nodes->loop);
	(void)!ng_ask(n->ping, "ping", NULL, 0, on_ping, n);
}

/* One that is under way is as good. */
static void
ping_now(struct node *n)
{
	if (!ng_is_busy(n->ping))
		loop_timer_start(&n->timer, 0);
}

/* ---- which nodes ---- */

static void
node_free(struct node *n)
{
	await_no_more(n);
	loop_timer_fini(&n->timer);
	ng_free(n->ping);
	ng_free(n->list);
	free(n);
}

/* NULL: cannot be asked. */
static struct node *
node_new(struct nodes *nodes, const struct topo_addr *addr)
{
	struct node *n = xcalloc(1, sizeof *n);

	n->nodes = nodes;
	n->view.addr = *addr;
	n->view.why = n->why;
	n->view.since_ms = loop_wall_ms(nodes->loop);
	n->changed_ms = loop_now_ms(nodes->loop);
	forget_sessions(n);
	if (ng_new(&n->ping, nodes->loop, addr, nodes->timeout_ms) != 0 ||
	    ng_new(&n->list, nodes->loop, addr, nodes->timeout_ms) != 0) {
		node_free(n);
		return NULL;
	}
	loop_timer_init(&n->timer, nodes->loop, on_timer, n);
	ping_now(n);
	return n;
}

static int
by_addr(const void *a, const void *b)
{
	return topo_addr_cmp(a, b);
}

static struct node *
find(const struct nodes *nodes, const struct topo_addr *addr)
{
	size_t low = 0, high = nodes->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = topo_addr_cmp(addr, &nodes->list[mid]->view.addr);

		if (c == 0)
			return nodes->list[mid];
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/* Both lists are in order: what was is taken over, left behind or preceded by a new one. */
void
nodes_set(struct nodes *nodes, const struct topo_addr *addrs, size_t n)
{
	struct topo_addr *want = xcalloc(n + 1, sizeof *want);
	struct node **list = xcalloc(n + 1, sizeof *list);
	struct node **was = nodes->list;
	size_t i, k = 0, n_list = 0; /* k: of what was */

	if (n > 0)
		memcpy(want, addrs, n * sizeof *want);
	qsort(want, n, sizeof *want, by_addr);
	for (i = 0; i < n; i++) {
		if (i > 0 && topo_addr_cmp(&want[i], &want[i - 1]) == 0)
			continue;
		while (k < nodes->n && topo_addr_cmp(&was[k]->view.addr, &want[i]) < 0)
			node_free(was[k++]);
		if (k < nodes->n && topo_addr_cmp(&was[k]->view.addr, &want[i]) == 0)
			list[n_list] = was[k++];
		else
			list[n_list] = node_new(nodes, &want[i]);
		n_list += list[n_list] != NULL;
	}
	while (k < nodes->n)
		node_free(was[k++]);
	free(want);
	free(nodes->list);
	nodes->list = list;
	nodes->n = n_list;
}

void
nodes_count_sessions(struct nodes *nodes, const struct topo_addr *addr, bool on)
{
	struct node *n = find(nodes, addr);

	if (n == NULL || n->count == on)
		return;
	n->count = on;
	n->told_list = false;
	forget_sessions(n);
	if (on)
		ping_now(n);
}

/* ---- fresh answers ---- */

static bool
is_fresh(const struct node *n, int64_t max_age_ms)
{
	return n->view.state == NODE_ALIVE && n->view.missed == 0 &&
	       loop_now_ms(n->nodes->loop) - n->view.answer_ms <= max_age_ms;
}

void
nodes_refresh(struct nodes *nodes, int64_t max_age_ms)
{
	size_t i;

	for (i = 0; i < nodes->n; i++) {
		struct node *n = nodes->list[i];

		if (is_fresh(n, max_age_ms))
			continue;
		ping_now(n);
		if (n->view.state != NODE_DEAD && !n->awaited) {
			n->awaited = true;
			nodes->n_awaited++;
		}
	}
}

bool
nodes_is_settled(const struct nodes *nodes)
{
	return nodes->n_awaited == 0;
}

bool
nodes_is_fresh(const struct nodes *nodes, const struct topo_addr *addr, int64_t max_age_ms)
{
	const struct node *n = find(nodes, addr);

	return n != NULL && is_fresh(n, max_age_ms);
}

/* ---- views, life ---- */

const struct node_view *
nodes_find(const struct nodes *nodes, const struct topo_addr *addr)
{
	const struct node *n = find(nodes, addr);

	return n ? &n->view : NULL;
}

size_t
nodes_count(const struct nodes *nodes)
{
	return nodes->n;
}

const struct node_view *
nodes_at(const struct nodes *nodes, size_t i)
{
	return &nodes->list[i]->view;
}

int
nodes_new(struct nodes **out, struct loop *loop, int64_t interval_ms, int64_t timeout_ms,
    nodes_cb *changed, void *arg)
{
	struct nodes *nodes;

	if (interval_ms <= 0 || timeout_ms <= 0)
		return -EINVAL;
	nodes = xcalloc(1, sizeof *nodes);
	nodes->loop = loop;
	nodes->interval_ms = interval_ms;
	nodes->timeout_ms = timeout_ms;
	nodes->changed = changed;
	nodes->arg = arg;
	*out = nodes;
	return 0;
}

void
nodes_free(struct nodes *nodes)
{
	size_t i;

	if (nodes == NULL)
		return;
	for (i = 0; i < nodes->n; i++)
		node_free(nodes->list[i]);
	free(nodes->list);
	loop_later_cancel(nodes->loop, &nodes->later);
	free(nodes);
}
