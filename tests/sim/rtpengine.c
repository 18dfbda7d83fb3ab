/* rtpengine: ng.h, with rtpengines at the other end: alive with so many sessions, silent, or refusing. */
#include "rtpengine/ng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum fate { ALIVE, SILENT, REFUSED };

struct engine { /* whoever was never named is alive and idle */
	struct engine *next;
	struct topo_addr addr;
	enum fate fate;
	int64_t latency_us;
	int64_t since_us; /* of its fate */
	unsigned sessions;
};

struct ng {
	struct loop *loop;
	struct engine *peer;
	int64_t timeout_us;
	bool busy, late; /* late: the timer is the end of the time-out */
	char *command;
	struct loop_timer timer;
	ng_cb *cb;
	void *arg;
};

static struct engine *engines;

static struct engine *
engine_at(const struct topo_addr *addr)
{
	struct engine *e;

	for (e = engines; e != NULL; e = e->next)
		if (topo_addr_cmp(&e->addr, addr) == 0)
			return e;
	e = xcalloc(1, sizeof *e);
	e->addr = *addr;
	e->latency_us = 1000;
	e->next = engines;
	engines = e;
	return e;
}

void
rtpengine_reset(void)
{
	struct engine *e;

	while ((e = engines) != NULL) {
		engines = e->next;
		free(e);
	}
}

/* alive | silent | refused | slow TIME | sessions N */
const char *
rtpengine_fate(char *const *words, size_t n)
{
	struct topo_addr addr;
	struct engine *e;
	int64_t ms;
	bool was;

	if (n < 2 || topo_addr_parse(words[0], &addr) != 0)
		return "node ADDRESS:PORT alive, silent, refused, slow TIME or sessions N";
	e = engine_at(&addr);
	was = e->fate == ALIVE;
	if (strcmp(words[1], "sessions") == 0 && n == 3)
		e->sessions = (unsigned)atoi(words[2]);
	else if (strcmp(words[1], "slow") == 0 && n == 3 && text_parse_duration(words[2], &ms) == 0)
		e->latency_us = ms * 1000;
	else if (strcmp(words[1], "alive") == 0)
		e->fate = ALIVE;
	else if (strcmp(words[1], "silent") == 0)
		e->fate = SILENT;
	else if (strcmp(words[1], "refused") == 0)
		e->fate = REFUSED;
	else
		return "node ADDRESS:PORT alive, silent, refused, slow TIME or sessions N";
	if ((e->fate == ALIVE) != was)
		e->since_us = clock_now_us();
	return NULL;
}

bool
rtpengine_answers(const struct topo_addr *addr)
{
	return engine_at(addr)->fate == ALIVE;
}

int64_t
rtpengine_since_us(const struct topo_addr *addr)
{
	return clock_now_us() - engine_at(addr)->since_us;
}

/* ---- rtpengine/ng.h ---- */

static void
finish(struct ng *ng, int err, const char *why)
{
	unsigned n = ng->peer->sessions < 12 ? ng->peer->sessions : 12;
	struct bencode_value calls = { .type = BENCODE_LIST, .key = "calls", .key_len = 5, .count = n };
	struct bencode_value result = { .type = BENCODE_STR, .key = "result", .key_len = 6, .next = &calls };
	const struct bencode_value root = { .type = BENCODE_DICT, .count = 2, .child = &result };

	result.str = strcmp(ng->command, "list") == 0 ? "ok" : "pong";
	result.len = strlen(result.str);
	ng->busy = false;
	ng->cb(ng->arg, err, err == 0 ? &root : NULL, why);
}

static void
on_timer(void *arg)
{
	struct ng *ng = arg;

	if (ng->late) {
		finish(ng, -ETIMEDOUT, "no answer");
	} else if (ng->peer->fate == REFUSED) {
		finish(ng, -ECONNREFUSED, "refused: nobody listens there");
	} else if (ng->peer->fate == ALIVE) {
		finish(ng, 0, "");
	} else {
		ng->late = true;
		clock_start_us(&ng->timer, ng->timeout_us - ng->peer->latency_us);
	}
}

int
ng_new(struct ng **out, struct loop *loop, const struct topo_addr *addr, int64_t timeout_ms)
{
	struct ng *ng;

	if (addr->family == 0 || addr->port == 0)
		return -EINVAL;
	ng = xcalloc(1, sizeof *ng);
	ng->loop = loop;
	ng->peer = engine_at(addr);
	ng->timeout_us = timeout_ms * 1000;
	loop_timer_init(&ng->timer, loop, on_timer, ng);
	*out = ng;
	return 0;
}

void
ng_free(struct ng *ng)
{
	if (ng == NULL)
		return;
	loop_timer_fini(&ng->timer);
	free(ng->command);
	ng->command = NULL;
	loop_free_later(ng->loop, ng);
}

int
ng_ask(struct ng *ng, const char *command, const struct ng_key *keys, size_t n, ng_cb *cb, void *arg)
{
	if (ng->busy)
		return -EBUSY;
	ng->busy = true;
	ng->late = ng->peer->latency_us >= ng->timeout_us;
	free(ng->command);
	ng->command = xstrdup(command);
	ng->cb = cb;
	ng->arg = arg;
	clock_start_us(&ng->timer, ng->late ? ng->timeout_us : ng->peer->latency_us);
	return 0;
}

bool
ng_is_busy(const struct ng *ng)
{
	return ng->busy;
}
