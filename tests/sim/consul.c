/* consul: discovery/resolver.h, answering what the scenario says. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "discovery/resolver.h"
#include "sim.h"

#define LATENCY_US 200

enum fate { FATE_ANSWER, FATE_TIMEOUT, FATE_UNREACHABLE, FATE_MALFORMED };

struct row {
	struct topo_addr addr;
	uint16_t weight, priority;
	char *target; /* NULL: Consul's hex name, with its address in the additional section */
};

/* What one name brings, at one server or (server NULL) at all of them. */
struct zone {
	struct zone *next;
	char *name, *server;
	enum fate fate;
	uint8_t rcode;
	bool truncated, self;
	size_t size_bytes;
	size_t extra; /* so many SRV more, each at an address of its own: 100.64.0.0/16 */
	struct row *rows;
	size_t n, cap;
};

struct server {
	struct server *next;
	char *name;
	enum fate fate;
	uint8_t rcode; /* NOERROR: as the zones say */
	int64_t latency_us;
};

struct host {
	struct host *next;
	char *name;
	struct topo_addr addr[8];
	size_t n;
};

struct lookup { /* owned by its resolver */
	struct lookup *next;
	struct resolver *rs;
	struct loop_timer timer;
	char *name;
	uint16_t type;
	enum fate fate;
	unsigned epoch;
	bool calling;
	resolver_cb *cb;
	void *arg;
};

struct resolver {
	struct loop *loop;
	char *server;
	int64_t timeout_ms;
	unsigned epoch;
	struct lookup *lookups;
};

static struct zone *zones;
static struct server *servers;
static struct host *hosts;
static uint64_t questions;

/* ---- what the scenario says ---- */

static void
zone_clear(struct zone *z)
{
	size_t i;

	for (i = 0; i < z->n; i++)
		free(z->rows[i].target);
	free(z->rows);
	z->rows = NULL;
	z->n = z->cap = z->extra = 0;
	z->size_bytes = 0;
	z->fate = FATE_ANSWER;
	z->rcode = DNS_NOERROR;
	z->truncated = z->self = false;
}

void
dns_reset(void)
{
	struct server *s;
	struct zone *z;
	struct host *h;

	while ((z = zones) != NULL) {
		zones = z->next;
		zone_clear(z);
		free(z->name);
		free(z->server);
		free(z);
	}
	while ((s = servers) != NULL) {
		servers = s->next;
		free(s->name);
		free(s);
	}
	while ((h = hosts) != NULL) {
		hosts = h->next;
		free(h->name);
		free(h);
	}
	questions = 0;
}

uint64_t
dns_questions(void)
{
	return questions;
}

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static struct zone *
zone_at(const char *name, const char *server)
{
	struct zone *z;

	for (z = zones; z != NULL; z = z->next)
		if (strcmp(z->name, name) == 0 && same(z->server, server))
			return z;
	z = xcalloc(1, sizeof *z);
	z->name = xstrdup(name);
	z->server = xstrdup(server);
	z->next = zones;
	zones = z;
	return z;
}

static struct server *
server_at(const char *name)
{
	struct server *s;

	for (s = servers; s != NULL; s = s->next)
		if (strcmp(s->name, name) == 0)
			return s;
	s = xcalloc(1, sizeof *s);
	s->name = xstrdup(name);
	s->latency_us = LATENCY_US;
	s->next = servers;
	servers = s;
	return s;
}

/* A word for what an answer is; false when it is none. */
static bool
parse_fate(const char *word, enum fate *fate, uint8_t *rcode)
{
	static const struct {
		const char *word;
		enum fate fate;
		uint8_t rcode;
	} words[] = {
		{ "nodata", FATE_ANSWER, DNS_NOERROR }, { "nxdomain", FATE_ANSWER, DNS_NXDOMAIN },
		{ "servfail", FATE_ANSWER, DNS_SERVFAIL }, { "refused", FATE_ANSWER, DNS_REFUSED },
		{ "notimp", FATE_ANSWER, DNS_NOTIMP }, { "timeout", FATE_TIMEOUT, 0 },
		{ "unreachable", FATE_UNREACHABLE, 0 }, { "malformed", FATE_MALFORMED, 0 },
	};
	size_t i;

	for (i = 0; i < NELEM(words); i++)
		if (strcmp(word, words[i].word) == 0) {
			*fate = words[i].fate;
			*rcode = words[i].rcode;
			return true;
		}
	return false;
}

static bool
parse_row(const char *word, struct row *r)
{
	char *text = xstrdup(word), *save, *part = strtok_r(text, ";", &save);
	bool ok = part != NULL && topo_addr_parse(part, &r->addr) == 0;

	r->weight = r->priority = 1;
	while (ok && (part = strtok_r(NULL, ";", &save)) != NULL) {
		if (strncmp(part, "w=", 2) == 0)
			r->weight = (uint16_t)atoi(part + 2);
		else if (strncmp(part, "p=", 2) == 0)
			r->priority = (uint16_t)atoi(part + 2);
		else if (strncmp(part, "target=", 7) == 0 && r->target == NULL)
			r->target = xstrdup(part + 7);
		else
			ok = false;
	}
	free(text);
	if (!ok)
		free(r->target);
	return ok;
}

const char *
dns_answer(const char *name, char *const *words, size_t n)
{
	const char *server = NULL;
	struct zone *z;
	size_t i = 0;

	if (n >= 2 && strcmp(words[0], "on") == 0) {
		server = words[1];
		i = 2;
	}
	if (i == n)
		return "an answer needs rows, or a word for what it is";
	z = zone_at(name, server);
	zone_clear(z);
	for (; i < n; i++) {
		struct row row = { .target = NULL };

		if (parse_fate(words[i], &z->fate, &z->rcode))
			continue;
		if (strcmp(words[i], "tc") == 0)
			z->truncated = true;
		else if (strcmp(words[i], "self") == 0)
			z->self = true;
		else if (strncmp(words[i], "size=", 5) == 0)
			z->size_bytes = (size_t)atoi(words[i] + 5);
		else if (strncmp(words[i], "more=", 5) == 0)
			z->extra = (size_t)atoi(words[i] + 5);
		else if (!parse_row(words[i], &row))
			return "no row ADDRESS:PORT[;w=N][;p=N][;target=NAME], nor a word for an answer";
		else {
			z->rows = xgrow(z->rows, z->n, &z->cap, sizeof *z->rows);
			z->rows[z->n++] = row;
		}
	}
	return NULL;
}

const char *
dns_server(const char *name, char *const *words, size_t n)
{
	struct server *s = server_at(name);
	int64_t ms;

	if (n == 1 && strcmp(words[0], "ok") == 0) {
		s->fate = FATE_ANSWER;
		s->rcode = DNS_NOERROR;
		s->latency_us = LATENCY_US;
	} else if (n == 2 && strcmp(words[0], "slow") == 0 && text_parse_duration(words[1], &ms) == 0) {
		s->latency_us = ms * 1000;
	} else if (n != 1 || !parse_fate(words[0], &s->fate, &s->rcode)) {
		return "a server is ok, slow TIME, or fails by a word for an answer";
	}
	return NULL;
}

const char *
dns_host(const char *name, char *const *words, size_t n)
{
	struct host *h;
	size_t i;

	for (h = hosts; h != NULL && strcmp(h->name, name) != 0; h = h->next)
		;
	if (h == NULL) {
		h = xcalloc(1, sizeof *h);
		h->name = xstrdup(name);
		h->next = hosts;
		hosts = h;
	}
	h->n = 0;
	for (i = 0; i < n && i < NELEM(h->addr); i++)
		if (topo_addr_parse_ip(words[i], &h->addr[h->n++]) != 0)
			return "no IP address";
	return NULL;
}

/* ---- answers ---- */

static const struct zone *
zone_find(const char *name, const char *server)
{
	const struct zone *z, *any = NULL;

	for (z = zones; z != NULL; z = z->next) {
		if (strcmp(z->name, name) != 0)
			continue;
		if (z->server == NULL)
			any = z;
		else if (strcmp(z->server, server) == 0)
			return z;
	}
	return any;
}

static void
add_srv(struct dns_msg *m, const struct row *r, const char *target, const struct topo_addr *addr)
{
	struct dns_srv *srv;

	if ((m->n_srv & (m->n_srv - 1)) == 0) /* by doubling */
		m->srv = xrealloc(m->srv, m->n_srv ? m->n_srv * 2 : 1, sizeof *m->srv);
	srv = &m->srv[m->n_srv++];
	srv->priority = r->priority;
	srv->weight = r->weight;
	srv->port = r->addr.port;
	snprintf(srv->target, sizeof srv->target, "%s", target);
	if (addr == NULL)
		return;
	if ((m->n_addr & (m->n_addr - 1)) == 0)
		m->addr = xrealloc(m->addr, m->n_addr ? m->n_addr * 2 : 1, sizeof *m->addr);
	memset(&m->addr[m->n_addr], 0, sizeof *m->addr);
	snprintf(m->addr[m->n_addr].owner, sizeof m->addr->owner, "%s", target);
	m->addr[m->n_addr].addr = *addr;
	m->addr[m->n_addr++].addr.port = 0;
}

static void
add_row(struct dns_msg *m, const struct zone *z, const struct row *r)
{
	char hex[DNS_NAME_TEXT], *p = hex;
	int i, n = r->addr.family == 6 ? 16 : 4;

	if (z->self || r->target != NULL) {
		add_srv(m, r, z->self ? m->qname : r->target, NULL);
		return;
	}
	for (i = 0; i < n; i++)
		p += sprintf(p, "%02x", r->addr.ip[i]);
	strcpy(p, ".addr.dc1.consul");
	add_srv(m, r, hex, &r->addr);
}

static void
answer_srv(const struct zone *z, struct dns_msg *m)
{
	struct row more = { .weight = 1, .priority = 1, .addr = { .family = 4, .ip = { 100, 64 }, .port = 5060 } };
	size_t i;

	m->rcode = z->rcode;
	m->truncated = z->truncated;
	m->srv = xcalloc(z->n + z->extra, sizeof *m->srv);
	m->addr = xcalloc(z->n + z->extra, sizeof *m->addr);
	for (i = 0; z->rcode == DNS_NOERROR && i < z->n; i++)
		add_row(m, z, &z->rows[i]);
	for (i = 0; i < z->extra; i++) {
		more.addr.ip[2] = (uint8_t)(i >> 8);
		more.addr.ip[3] = (uint8_t)i;
		add_row(m, z, &more);
	}
	m->size_bytes = z->size_bytes ? z->size_bytes : 64 + 70 * m->n_srv;
}

static void
answer_host(const struct lookup *lk, struct dns_msg *m)
{
	const struct host *h;
	size_t i;

	m->rcode = DNS_NXDOMAIN;
	for (h = hosts; h != NULL; h = h->next) {
		if (strcmp(h->name, lk->name) != 0)
			continue;
		m->rcode = DNS_NOERROR;
		m->addr = xcalloc(h->n, sizeof *m->addr);
		for (i = 0; i < h->n; i++)
			if (h->addr[i].family == (lk->type == DNS_TYPE_A ? 4 : 6))
				m->addr[m->n_addr++].addr = h->addr[i];
	}
}

static void
make_answer(const struct lookup *lk, struct dns_msg *m)
{
	const struct server *s = server_at(lk->rs->server);
	const struct zone *z = zone_find(lk->name, lk->rs->server);

	m->qtype = lk->type;
	snprintf(m->qname, sizeof m->qname, "%s", lk->name);
	m->size_bytes = 64;
	if (s->rcode != DNS_NOERROR)
		m->rcode = s->rcode;
	else if (lk->type != DNS_TYPE_SRV)
		answer_host(lk, m);
	else if (z == NULL)
		m->rcode = DNS_NXDOMAIN;
	else
		answer_srv(z, m);
}

/* ---- discovery/resolver.h ---- */

static void
lookup_free(struct lookup *lk)
{
	struct lookup **p = &lk->rs->lookups;

	while (*p != lk)
		p = &(*p)->next;
	*p = lk->next;
	loop_timer_fini(&lk->timer);
	free(lk->name);
	free(lk);
}

/* The channel is rebuilt: what else is on it ends in the same way. */
static void
give_up(struct resolver *rs)
{
	struct lookup *lk;

	rs->epoch++;
	for (lk = rs->lookups; lk != NULL; lk = lk->next)
		if (!lk->calling) {
			lk->fate = FATE_TIMEOUT;
			clock_start_us(&lk->timer, 0);
		}
}

static void
on_lookup(void *arg)
{
	static const int errs[] = { 0, -ETIMEDOUT, -ECONNREFUSED, -EBADMSG };
	struct lookup *lk = arg;
	struct dns_msg msg = { 0 };
	int err = errs[lk->fate];

	lk->calling = true;
	if (err == 0)
		make_answer(lk, &msg);
	if (err == -ETIMEDOUT && lk->epoch == lk->rs->epoch)
		give_up(lk->rs);
	lk->cb(lk->arg, err, lk->epoch, err == 0 ? &msg : NULL);
	dnsmsg_clear(&msg);
	lookup_free(lk);
}

int
resolver_new(struct resolver **out, struct loop *l, const char *server, int64_t timeout_ms)
{
	struct resolver *rs = xcalloc(1, sizeof *rs);

	rs->loop = l;
	rs->server = xstrdup(server);
	rs->timeout_ms = timeout_ms;
	*out = rs;
	return 0;
}

void
resolver_free(struct resolver *rs)
{
	if (rs == NULL)
		return;
	while (rs->lookups != NULL)
		lookup_free(rs->lookups);
	free(rs->server);
	free(rs);
}

struct lookup *
resolver_ask(struct resolver *rs, const char *name, uint16_t type, resolver_cb *cb, void *arg)
{
	const struct server *s = server_at(rs->server);
	const struct zone *z = zone_find(name, rs->server);
	struct lookup *lk = xcalloc(1, sizeof *lk);

	questions++;
	lk->rs = rs;
	lk->name = xstrdup(name);
	lk->type = type;
	lk->cb = cb;
	lk->arg = arg;
	lk->epoch = rs->epoch;
	lk->fate = s->fate != FATE_ANSWER ? s->fate : z != NULL && type == DNS_TYPE_SRV ? z->fate : FATE_ANSWER;
	if (lk->fate == FATE_ANSWER && s->latency_us >= rs->timeout_ms * 1000)
		lk->fate = FATE_TIMEOUT;
	lk->next = rs->lookups;
	rs->lookups = lk;
	loop_timer_init(&lk->timer, rs->loop, on_lookup, lk);
	clock_start_us(&lk->timer, lk->fate == FATE_TIMEOUT ? rs->timeout_ms * 1000 : s->latency_us);
	return lk;
}

void
resolver_cancel(struct lookup *lk)
{
	if (!lk->calling)
		lookup_free(lk);
}

const char *
resolver_server(const struct resolver *rs)
{
	return rs->server;
}

unsigned
resolver_epoch(const struct resolver *rs)
{
	return rs->epoch;
}
