/* wake: consul/http.h, answering the blocking queries of consul/wake.h with the indexes that the scenario sets. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "consul/http.h"
#include "consul/wake.h"
#include "sim.h"

#define LATENCY_US 300
#define WAIT_US (60 * SIM_SECOND)
#define FILTER "Service.ID%20%3D%3D%20%22-%22"

enum fate { FATE_ANSWER, FATE_REFUSE, FATE_HANG, FATE_STATUS, FATE_NO_INDEX, FATE_EARLY, FATE_NO_LEADER };

/* The index of "service" or "service@dc". */
struct index {
	struct index *next;
	char *name;
	uint64_t at;
};

struct http { /* owned by c4d's wake */
	struct http *next;
	struct loop *loop;
	struct loop_timer timer; /* the answer, or the deadline */
	bool busy;
	bool waits;     /* for its index to move */
	char name[160]; /* "service@dc" of the query */
	uint64_t asked;
	bool led;       /* there was a leader when it was asked: what the answer says, as Consul's does */
	http_cb *cb;
	void *arg;
	char header[32];
};

static struct index *indexes;
static struct http *all;
static enum fate fate;
static int status;
static uint64_t queries;

void
http_reset(void)
{
	struct index *i;

	while ((i = indexes) != NULL) {
		indexes = i->next;
		free(i->name);
		free(i);
	}
	fate = FATE_ANSWER;
	queries = 0;
}

uint64_t
http_queries(void)
{
	return queries;
}

static struct index *
index_of(const char *name)
{
	struct index *i;

	for (i = indexes; i != NULL; i = i->next)
		if (strcmp(i->name, name) == 0)
			return i;
	i = xcalloc(1, sizeof *i);
	i->name = xstrdup(name);
	i->at = 1;
	i->next = indexes;
	indexes = i;
	return i;
}

void
http_index(const char *name, uint64_t at)
{
	struct http *h;

	trace("consul: index of %s is %" PRIu64, name, at);
	index_of(name)->at = at;
	for (h = all; h != NULL; h = h->next)
		if (h->busy && h->waits && strcmp(h->name, name) == 0) {
			h->waits = false;
			clock_start_us(&h->timer, LATENCY_US);
		}
}

const char *
http_fate(char *const *words, size_t n)
{
	static const struct {
		const char *word;
		enum fate fate;
	} fates[] = {
		{ "ok", FATE_ANSWER }, { "refuse", FATE_REFUSE }, { "hang", FATE_HANG }, { "status", FATE_STATUS },
		{ "no-index", FATE_NO_INDEX }, { "early", FATE_EARLY }, { "no-leader", FATE_NO_LEADER },
	};
	struct http *h;
	size_t i;

	for (i = 0; i < NELEM(fates); i++) {
		if (n == 0 || strcmp(words[0], fates[i].word) != 0 || (n == 2) != (fates[i].fate == FATE_STATUS))
			continue;
		fate = fates[i].fate;
		status = n == 2 ? atoi(words[1]) : 200;
		/* who waits meets it now: an agent that ends closes its connections */
		for (h = all; h != NULL && (fate == FATE_REFUSE || fate == FATE_STATUS); h = h->next)
			if (h->busy && h->waits) {
				h->waits = false;
				clock_start_us(&h->timer, LATENCY_US);
			}
		return NULL;
	}
	return "http ok, refuse, hang, status N, no-index, early or no-leader";
}

/* ---- consul/http.h ---- */

static void
answer(struct http *h, struct http_answer *a)
{
	static const char body[] = "[]";

	snprintf(h->header, sizeof h->header, "%" PRIu64, index_of(h->name)->at);
	a->status = 200;
	a->body = body;
	a->body_len = 2;
	if (fate == FATE_STATUS) {
		a->status = status;
		snprintf(a->why, sizeof a->why, "HTTP %d: the scenario says so", status);
	} else if (fate == FATE_REFUSE) {
		a->err = -ECONNREFUSED;
		snprintf(a->why, sizeof a->why, "cannot connect");
	}
}

static void
on_timer(void *arg)
{
	struct http *h = arg;
	struct http_answer a = { 0 };

	answer(h, &a);
	if (fate == FATE_HANG) {
		a.err = -ETIMEDOUT;
		snprintf(a.why, sizeof a.why, "no whole answer");
	}
	h->busy = h->waits = false;
	h->cb(h->arg, &a);
}

int
http_new(struct http **out, struct loop *l, struct worker *worker, const struct conf *conf)
{
	struct http *h = xcalloc(1, sizeof *h);

	h->loop = l;
	loop_timer_init(&h->timer, l, on_timer, h);
	h->next = all;
	*out = all = h;
	return 0;
}

int
http_new_peer(struct http **out, struct loop *l, struct worker *worker, const struct http_peer *peer)
{
	sim_fail("no other server than Consul's is simulated: %s", peer->url);
	return -EINVAL;
}

void
http_free(struct http *h)
{
	struct http **p = &all;

	if (h == NULL)
		return;
	while (*p != h)
		p = &(*p)->next;
	*p = h->next;
	loop_timer_fini(&h->timer);
	free(h);
}

/* What stands behind KEY= in the query; false when it is not there. */
static bool
param(const char *path, const char *key, char *out, size_t size)
{
	const char *p = strchr(path, '?');
	size_t len = strlen(key);

	for (; p != NULL; p = strchr(p + 1, '&'))
		if (strncmp(p + 1, key, len) == 0 && p[1 + len] == '=') {
			snprintf(out, size, "%.*s", (int)strcspn(p + len + 2, "&"), p + len + 2);
			return true;
		}
	return false;
}

int
http_ask(struct http *h, const struct http_request *r, http_cb *cb, void *arg)
{
	static const char base[] = "/v1/health/service/";
	char text[80], dc[80], number[32] = "0";
	bool blocks;

	if (h->busy)
		return -EBUSY;
	queries++;
	if (strncmp(r->path, base, strlen(base)) != 0 || !param(r->path, "filter", text, sizeof text) ||
	    strcmp(text, FILTER) != 0 || strstr(r->path, "?stale&") == NULL)
		sim_fail("not a query that brings no data: %s", r->path);
	blocks = param(r->path, "index", number, sizeof number);
	h->asked = strtoull(number, NULL, 10);
	if (blocks != param(r->path, "wait", text, sizeof text) || (blocks && h->asked == 0))
		sim_fail("a blocking query needs an index and a wait: %s", r->path);
	snprintf(h->name, sizeof h->name, "%.*s", (int)strcspn(r->path + strlen(base), "?"), r->path + strlen(base));
	if (param(r->path, "dc", dc, sizeof dc))
		snprintf(h->name + strlen(h->name), sizeof h->name - strlen(h->name), "@%s", dc);
	h->busy = true;
	h->cb = cb;
	h->arg = arg;
	h->led = fate != FATE_NO_LEADER;
	h->waits = blocks && (fate == FATE_ANSWER || fate == FATE_NO_LEADER) && index_of(h->name)->at <= h->asked;
	clock_start_us(&h->timer, fate == FATE_HANG ? r->timeout_ms * 1000 : h->waits ? WAIT_US : LATENCY_US);
	return 0;
}

void
http_cancel(struct http *h)
{
	h->busy = false;
	loop_timer_stop(&h->timer);
}

bool
http_busy(const struct http *h)
{
	return h->busy;
}

const char *
http_header(const struct http *h, const char *name)
{
	if (strcasecmp(name, "X-Consul-KnownLeader") == 0)
		return h->led ? "true" : "false";
	return strcasecmp(name, "X-Consul-Index") == 0 && fate != FATE_NO_INDEX ? h->header : NULL;
}

int
http_url_check(const char *url, char *why, size_t size)
{
	return 0;
}

void
http_add_escaped(struct buf *b, const char *text)
{
	for (; *text; text++)
		if (strchr(" =\"", *text) != NULL)
			buf_printf(b, "%%%02X", (unsigned)*text);
		else
			buf_add(b, text, 1);
}
