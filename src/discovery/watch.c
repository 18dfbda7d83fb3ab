#include "discovery/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "discovery/resolver.h"

#define RETRY_CAP_MS 1000
#define HOME_MS 30000      /* the first server is preferred: try it again after this long */
#define TARGETS_MAX 64     /* targets without an address that one round asks for */
#define ADDRS_PER_TARGET 8
#define COST_ROUNDS 8      /* the quickest of so many rounds is what a round costs the agent */
#define BURST_PER_S 20
#define FRUITLESS_MAX 3    /* bursts that found nothing before the next ones are single rounds */
#define ADVANCE_S 30       /* so much of the budget may be spent on bursts in advance */

/* The rounds of a burst, from the wake-up on. */
static const int64_t burst_ms[] = { 0, 5, 20, 80 };

struct asker;

/* One SRV question of a round. */
struct question {
	struct asker *ak;
	struct round_answer *answer;
	struct lookup *lk;
};

/* A target whose address the answers did not hold; asked for as A and AAAA. */
struct target {
	struct asker *ak;
	char name[DNS_NAME_TEXT];
	struct lookup *lk[2];
	struct topo_addr addr[2][ADDRS_PER_TARGET];
	size_t n[2];
};

/* A row that waits for its target's address. */
struct orphan {
	struct round_answer *answer;
	size_t target;
	struct round_row row;
};

/* What follows a wake-up. */
struct burst {
	struct loop_timer timer; /* its next round */
	bool on;
	bool rebase;       /* a round was under way at the wake-up: its answer is the one to differ from */
	size_t step;
	int64_t began_ms;
	uint64_t base;     /* hash of the answer to differ from */
	unsigned fruitless;
	int64_t recent_ms[BURST_PER_S]; /* a ring: when rounds began */
	uint64_t n_rounds;
};

struct asker {
	struct watch *w;
	const struct conf_service *conf;
	unsigned index;
	const char *name;
	char *canary_name;
	char **tag_names;
	struct loop_timer timer;
	size_t server;
	int64_t left_home_ms;
	unsigned failures;
	bool again; /* asked to ask while asking */
	int64_t recent_us[COST_ROUNDS]; /* a ring */
	unsigned n_recent;
	int64_t delay_ms;
	int64_t took_us;
	size_t size_bytes, n_srv;
	uint64_t rounds[4];
	int64_t last_ms;
	uint64_t hash; /* of the last answer that proved anything */
	uint64_t wakes;
	struct burst burst;
	/* the round under way */
	bool asking;
	bool of_burst;
	int64_t started_us, started_ms;
	int64_t answered_us; /* when its last answer came: time-outs are no work of the agent's */
	size_t outstanding;
	struct round round;
	struct question *questions; /* list, canary, tags */
	struct target *targets;
	size_t n_targets;
	struct orphan *orphans;
	size_t n_orphans, cap_orphans;
};

struct watch {
	struct loop *loop;
	const struct conf *conf;
	watch_cb *cb;
	void *arg;
	struct resolver **servers;
	size_t n_servers;
	struct asker *askers;
	size_t n;
	double owed_us; /* what bursts cost the agent and the budget has not paid yet */
	int64_t owed_ms; /* when that was so */
};

/* ---- names ---- */

/* The label "service" or "query" that Consul's names hang on; NULL when there is none. */
static const char *
find_kind(const char *name)
{
	const char *p = strstr(name, ".service.");

	return p != NULL ? p : strstr(name, ".query.");
}

char *
watch_canary_name(const char *name, const char *domain)
{
	const char *kind = find_kind(name), *rest = kind;

	if (kind != NULL)
		rest = strchr(kind + 1, '.') + 1;
	/* `rest` is "dc1.consul" or "consul" */
	if (kind == NULL || strlen(rest) <= strlen(domain))
		return xasprintf("consul.service.%s", domain);
	return xasprintf("consul.service.%s", rest);
}

char *
watch_tag_name(const char *name, const char *tag, const char *domain)
{
	const char *at = strstr(name, ".service."), *label;

	if (at == NULL)
		return NULL;
	/* The service's own label stands before ".service"; what stands before that is a tag already. */
	for (label = at; label > name && label[-1] != '.'; label--)
		;
	if (name[0] == '_') /* _router._udp.service...: the service is the first label */
		return xasprintf("_%.*s._%s%s", (int)(strcspn(name + 1, ".")), name + 1, tag, at);
	return xasprintf("_%.*s._%s%s", (int)(at - label), label, tag, at);
}

/* ---- pace ---- */

/*
 * What holds a round up (our own pause, a question that times out, the first connection) is no work of the
 * agent's, and would keep us from asking for minutes: only what every recent round took counts.
 */
static int64_t
cost_us(const struct asker *ak)
{
	int64_t least = ak->recent_us[0];
	size_t i;

	if (ak->n_recent < COST_ROUNDS)
		return 0;
	for (i = 1; i < COST_ROUNDS; i++)
		if (ak->recent_us[i] < least)
			least = ak->recent_us[i];
	return least;
}

/* Percent of a core that the agent would spend on this name at its configured interval. */
static double
share(const struct asker *ak)
{
	return (double)cost_us(ak) * 100 / (double)(ak->conf->interval_ms * 1000);
}

/*
 * What each name may cost: names that cost little take what they need, and the others share the rest evenly, so
 * that a slow one (a far datacenter) does not slow down those that cost nothing.
 */
static double
fair_share(const struct watch *w)
{
	/* intervals leave half of it to bursts that have to be paid */
	double budget = (double)w->conf->budget / (w->owed_us > 0 ? 2 : 1), cap = budget / (double)w->n, used;
	size_t i, over, was = w->n + 1;

	/* each turn gives what is left over to fewer names, until none drops out any more */
	for (;; was = over) {
		for (i = over = 0, used = 0; i < w->n; i++) {
			if (share(&w->askers[i]) > cap)
				over++;
			else
				used += share(&w->askers[i]);
		}
		if (over == 0 || over == was)
			return cap;
		cap = (budget - used) / (double)over;
	}
}

static double
stretch_of(const struct asker *ak, double cap)
{
	return share(ak) > cap ? share(ak) / cap : 1;
}

double
watch_stretch(const struct watch *w)
{
	double cap = w->n > 0 ? fair_share(w) : 1, most = 1;
	size_t i;

	for (i = 0; i < w->n; i++)
		if (stretch_of(&w->askers[i], cap) > most)
			most = stretch_of(&w->askers[i], cap);
	return most;
}

/* What intervals leave of the budget pays what bursts have cost. */
static void
pay(struct watch *w)
{
	int64_t now = loop_now_ms(w->loop);
	double cap, left = (double)w->conf->budget;
	size_t i;

	if (w->owed_us > 0) {
		cap = fair_share(w);
		for (i = 0; i < w->n; i++)
			left -= share(&w->askers[i]) < cap ? share(&w->askers[i]) : cap;
		w->owed_us -= left / 100 * 1000 * (double)(now - w->owed_ms);
		if (w->owed_us < 0)
			w->owed_us = 0;
	}
	w->owed_ms = now;
}

static bool
can_pay(struct watch *w)
{
	pay(w);
	return w->owed_us <= (double)w->conf->budget / 100 * ADVANCE_S * 1000000;
}

static void
schedule(struct asker *ak)
{
	struct watch *w = ak->w;
	int64_t interval = (int64_t)((double)ak->conf->interval_ms * stretch_of(ak, fair_share(w)));
	int64_t elapsed = loop_now_ms(w->loop) - ak->started_ms;
	int64_t delay, cap = interval > RETRY_CAP_MS ? interval : RETRY_CAP_MS;
	size_t cycles;

	ak->delay_ms = interval;
	if (ak->failures > 0) {
		cycles = ak->failures / w->n_servers;
		if (ak->failures % w->n_servers != 0)
			delay = 0; /* another server has not been asked yet */
		else
			delay = cycles > 10 ? cap : interval << (cycles - 1);
		if (delay > cap)
			delay = cap;
	} else {
		delay = loop_jitter(w->loop, interval, 10) - elapsed;
	}
	if (ak->again)
		delay = 0;
	ak->again = false;
	loop_timer_start(&ak->timer, delay);
}

static void
choose_server(struct asker *ak, bool failed)
{
	struct watch *w = ak->w;
	int64_t now = loop_now_ms(w->loop);

	if (failed) {
		if (ak->server == 0)
			ak->left_home_ms = now;
		ak->server = (ak->server + 1) % w->n_servers;
	} else if (ak->server != 0 && now - ak->left_home_ms >= HOME_MS) {
		ak->left_home_ms = now;
		ak->server = 0;
	}
}

/* ---- a round ---- */

static void
clear_answer(struct round_answer *a)
{
	free(a->rows);
	memset(a, 0, sizeof *a);
}

static void
clear_round(struct asker *ak)
{
	size_t i;

	clear_answer(&ak->round.list);
	clear_answer(&ak->round.canary);
	for (i = 0; i < ak->conf->tags.n; i++)
		clear_answer(&ak->round.tags[i]);
	free(ak->targets);
	free(ak->orphans);
	ak->targets = NULL;
	ak->orphans = NULL;
	ak->n_targets = ak->n_orphans = ak->cap_orphans = 0;
}

/* ---- bursts ---- */

/* FNV-1a; rows come in any order, so what they give is summed up. */
static uint64_t
hash_bytes(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len-- > 0)
		h = (h ^ *p++) * 1099511628211ull;
	return h;
}

static uint64_t
hash_answer(const struct round_answer *a, uint64_t seed)
{
	uint64_t sum = seed * 31 + (uint64_t)a->kind + 1;
	size_t i;

	for (i = 0; i < a->n; i++) {
		const struct round_row *r = &a->rows[i];
		uint64_t h = 14695981039346656037ull ^ seed;

		h = hash_bytes(h, r->addr.ip, sizeof r->addr.ip);
		h = hash_bytes(h, &r->addr.port, sizeof r->addr.port);
		h = hash_bytes(h, &r->weight, sizeof r->weight);
		sum += hash_bytes(h, &r->priority, sizeof r->priority);
	}
	return sum;
}

static uint64_t
hash_round(const struct asker *ak)
{
	uint64_t sum = hash_answer(&ak->round.list, 0);
	size_t i;

	for (i = 0; i < ak->conf->tags.n; i++)
		sum += hash_answer(&ak->round.tags[i], i + 1);
	return sum;
}

static void start_round(void *arg);

static void
burst_next(struct asker *ak)
{
	struct burst *b = &ak->burst;
	int64_t now = loop_now_ms(ak->w->loop), due = b->began_ms + burst_ms[b->step];
	int64_t oldest = b->recent_ms[b->n_rounds % BURST_PER_S]; /* overwritten by the next round */

	if (b->n_rounds >= BURST_PER_S && due < oldest + 1000)
		due = oldest + 1000;
	loop_timer_start(&b->timer, due > now ? due - now : 0);
}

static void
burst_begin(struct asker *ak)
{
	struct burst *b = &ak->burst;

	b->on = true;
	b->step = 0;
	b->began_ms = loop_now_ms(ak->w->loop);
	b->rebase = ak->asking;
	b->base = ak->hash;
	if (!ak->asking)
		burst_next(ak);
}

static void
burst_end(struct asker *ak)
{
	ak->burst.on = false;
	loop_timer_stop(&ak->burst.timer);
}

static void
on_burst(void *arg)
{
	struct asker *ak = arg;
	struct burst *b = &ak->burst;

	if (ak->asking) /* its end comes back to the burst */
		return;
	if (!can_pay(ak->w)) {
		log_debug("dns", "%s: the budget cannot pay for another round now", ak->name);
		burst_end(ak);
		return;
	}
	b->recent_ms[b->n_rounds++ % BURST_PER_S] = loop_now_ms(ak->w->loop);
	b->step++;
	start_round(ak);
	ak->of_burst = true;
}

/* A round has ended; `hash` is that of its answer. */
static void
burst_judge(struct asker *ak, bool failed, uint64_t hash)
{
	struct burst *b = &ak->burst;
	size_t steps = b->fruitless < FRUITLESS_MAX ? NELEM(burst_ms) : 1;

	if (b->rebase) {
		b->rebase = false;
		if (!failed && hash != b->base)
			b->fruitless = 0;
		b->base = failed ? b->base : hash;
		burst_next(ak);
	} else if (failed) {
		burst_end(ak);
	} else if (hash != b->base) {
		b->fruitless = 0;
		burst_end(ak);
	} else if (b->step >= steps) {
		b->fruitless++;
		burst_end(ak);
	} else {
		burst_next(ak);
	}
}

void
watch_wake(struct watch *w, const char *service, const char *name)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		struct asker *ak = &w->askers[i];

		if (strcmp(ak->conf->name, service) != 0 || strcmp(ak->name, name) != 0)
			continue;
		ak->wakes++;
		burst_begin(ak);
	}
}

/* ---- the end of a round ---- */

static void
finish_round(struct asker *ak)
{
	struct watch *w = ak->w;
	const char *why, *server = resolver_server(w->servers[ak->server]);
	enum evidence ev = judge_classify(&ak->round, ak->conf->tags.n, &why);
	/* A list without a canary is good for adding, but this server is in trouble: ask another. */
	bool failed = ev == EVIDENCE_NOTHING || ak->round.canary.kind > ANSWER_NXDOMAIN;
	uint64_t hash = ev == EVIDENCE_NOTHING ? ak->hash : hash_round(ak);

	ak->asking = false;
	ak->took_us = loop_now_us(w->loop) - ak->started_us;
	ak->last_ms = loop_now_ms(w->loop);
	ak->size_bytes = ak->round.list.size_bytes;
	ak->n_srv = ak->round.list.n_srv;
	ak->rounds[ev]++;
	pay(w);
	if (ak->of_burst)
		w->owed_us += (double)(cost_us(ak) ? cost_us(ak) : ak->answered_us - ak->started_us);
	ak->of_burst = false;
	if (ev != EVIDENCE_NOTHING)
		ak->recent_us[ak->n_recent++ % COST_ROUNDS] = ak->answered_us - ak->started_us;
	log_debug("dns", "%s: %s via %s: %s (%s) took=%lldus", ak->conf->name, ak->name, server, evidence_name(ev), why,
	    (long long)ak->took_us);
	ak->failures = failed ? ak->failures + 1 : 0;
	w->cb(w->arg, ak->conf->name, &ak->round, server);
	clear_round(ak);
	ak->hash = hash;
	if (ak->burst.on)
		burst_judge(ak, failed, hash);
	choose_server(ak, failed);
	schedule(ak);
}

static void
add_row(struct round_answer *a, const struct round_row *row)
{
	size_t cap = a->n; /* grown by doubling: the capacity is the next power of two */

	if ((cap & (cap - 1)) == 0)
		a->rows = xrealloc(a->rows, cap ? cap * 2 : 1, sizeof *a->rows);
	a->rows[a->n++] = *row;
}

/* The addresses came: rows get theirs, or stay unresolved (which takes away the list's power to remove). */
static void
settle_orphans(struct asker *ak)
{
	size_t i, k;

	for (i = 0; i < ak->n_orphans; i++) {
		struct orphan *o = &ak->orphans[i];
		const struct target *t = &ak->targets[o->target];
		int which = t->n[0] > 0 ? 0 : 1;

		if (t->n[which] == 0)
			o->answer->n_unresolved++;
		for (k = 0; k < t->n[which]; k++) {
			struct round_row row = o->row;
			uint16_t port = row.addr.port;

			row.addr = t->addr[which][k];
			row.addr.port = port;
			add_row(o->answer, &row);
		}
	}
	finish_round(ak);
}

static void
on_address(struct asker *ak, struct target *t, int which, int err, unsigned epoch, const struct dns_msg *msg)
{
	size_t i;

	t->lk[which] = NULL;
	if (err == 0)
		ak->answered_us = loop_now_us(ak->w->loop);
	for (i = 0; err == 0 && msg->rcode == DNS_NOERROR && i < msg->n_addr; i++)
		/* a CNAME may stand between: every address of the answer is the target's */
		if (t->n[which] < ADDRS_PER_TARGET && msg->addr[i].addr.family == (which == 0 ? 4 : 6))
			t->addr[which][t->n[which]++] = msg->addr[i].addr;
	if (--ak->outstanding == 0)
		settle_orphans(ak);
}

static void
on_a(void *arg, int err, unsigned epoch, const struct dns_msg *msg)
{
	struct target *t = arg;

	on_address(t->ak, t, 0, err, epoch, msg);
}

static void
on_aaaa(void *arg, int err, unsigned epoch, const struct dns_msg *msg)
{
	struct target *t = arg;

	on_address(t->ak, t, 1, err, epoch, msg);
}

static void
ask_addresses(struct asker *ak)
{
	struct resolver *rs = ak->w->servers[ak->server];
	size_t i;

	if (ak->n_targets == 0) {
		finish_round(ak);
		return;
	}
	ak->outstanding = 2 * ak->n_targets;
	for (i = 0; i < ak->n_targets; i++) {
		ak->targets[i].lk[0] = resolver_ask(rs, ak->targets[i].name, DNS_TYPE_A, on_a, &ak->targets[i]);
		ak->targets[i].lk[1] = resolver_ask(rs, ak->targets[i].name, DNS_TYPE_AAAA, on_aaaa, &ak->targets[i]);
	}
}

static bool
find_target(struct asker *ak, const char *name, size_t *at)
{
	for (*at = 0; *at < ak->n_targets; (*at)++)
		if (strcmp(ak->targets[*at].name, name) == 0)
			return true;
	if (ak->n_targets == TARGETS_MAX)
		return false;
	if (ak->targets == NULL)
		ak->targets = xcalloc(TARGETS_MAX, sizeof *ak->targets);
	ak->targets[*at].ak = ak;
	snprintf(ak->targets[*at].name, sizeof ak->targets[*at].name, "%s", name);
	ak->n_targets++;
	return true;
}

static void
take_srv(struct asker *ak, struct round_answer *a, const struct dns_msg *msg)
{
	struct topo_addr addr[ADDRS_PER_TARGET];
	size_t i, k, n, at;

	for (i = 0; i < msg->n_srv; i++) {
		const struct dns_srv *srv = &msg->srv[i];
		struct round_row row = { .weight = srv->weight, .priority = srv->priority };

		n = dnsmsg_addresses(msg, srv->target, addr, ADDRS_PER_TARGET);
		for (k = 0; k < n; k++) {
			row.addr = addr[k];
			row.addr.port = srv->port;
			add_row(a, &row);
		}
		if (n > 0)
			continue;
		if (!find_target(ak, srv->target, &at)) {
			a->n_unresolved++;
			continue;
		}
		row.addr.port = srv->port;
		ak->orphans = xgrow(ak->orphans, ak->n_orphans, &ak->cap_orphans, sizeof *ak->orphans);
		ak->orphans[ak->n_orphans++] = (struct orphan){ a, at, row };
	}
}

static enum answer_kind
kind_of(int err, const struct dns_msg *msg)
{
	if (err != 0)
		return err == -ETIMEDOUT ? ANSWER_TIMEOUT : err == -EBADMSG || err == -ENOMEM ? ANSWER_MALFORMED :
		    ANSWER_UNREACHABLE;
	switch (msg->rcode) {
	case DNS_NOERROR:
		if (msg->n_srv == 0)
			return ANSWER_NODATA;
		return dnsmsg_self_target(msg) ? ANSWER_SELF_TARGET : ANSWER_LIST;
	case DNS_NXDOMAIN:
		return ANSWER_NXDOMAIN;
	case DNS_SERVFAIL:
		return ANSWER_SERVFAIL;
	case DNS_REFUSED:
		return ANSWER_REFUSED;
	default:
		return ANSWER_OTHER;
	}
}

static void
on_answer(void *arg, int err, unsigned epoch, const struct dns_msg *msg)
{
	struct question *q = arg;
	struct asker *ak = q->ak;
	struct round_answer *a = q->answer;

	q->lk = NULL;
	a->kind = kind_of(err, msg);
	/* A channel that was rebuilt in between may have reached another process: not the same server. */
	a->server = (int)(epoch * 64 + ak->server);
	if (msg != NULL) {
		ak->answered_us = loop_now_us(ak->w->loop);
		a->truncated = msg->truncated;
		a->size_bytes = msg->size_bytes;
		a->n_srv = msg->n_srv;
	}
	if (a->kind == ANSWER_LIST && a != &ak->round.canary)
		take_srv(ak, a, msg);
	if (--ak->outstanding == 0)
		ask_addresses(ak);
}

static void
start_round(void *arg)
{
	struct asker *ak = arg;
	struct resolver *rs = ak->w->servers[ak->server];
	size_t i, n = 0;

	if (ak->asking)
		return;
	ak->asking = true;
	ak->again = false;
	ak->started_us = loop_now_us(ak->w->loop);
	ak->started_ms = loop_now_ms(ak->w->loop);
	ak->round.name = ak->index;
	ak->questions[n++].answer = &ak->round.list;
	ak->questions[n++].answer = &ak->round.canary;
	for (i = 0; i < ak->conf->tags.n; i++)
		ak->questions[n++].answer = &ak->round.tags[i];
	ak->outstanding = 2;
	for (i = 0; i < ak->conf->tags.n; i++)
		ak->outstanding += ak->tag_names[i] != NULL;
	ak->questions[0].lk = resolver_ask(rs, ak->name, DNS_TYPE_SRV, on_answer, &ak->questions[0]);
	ak->questions[1].lk = resolver_ask(rs, ak->canary_name, DNS_TYPE_SRV, on_answer, &ak->questions[1]);
	for (i = 0; i < ak->conf->tags.n; i++)
		if (ak->tag_names[i] != NULL)
			ak->questions[2 + i].lk = resolver_ask(rs, ak->tag_names[i], DNS_TYPE_SRV, on_answer,
			    &ak->questions[2 + i]);
}

/* ---- life ---- */

static void
asker_init(struct asker *ak, struct watch *w, const struct conf_service *c, unsigned index)
{
	size_t i;

	ak->w = w;
	ak->conf = c;
	ak->index = index;
	ak->name = c->names.v[index];
	ak->canary_name = watch_canary_name(ak->name, w->conf->domain);
	ak->tag_names = xcalloc(c->tags.n, sizeof *ak->tag_names);
	for (i = 0; i < c->tags.n; i++)
		ak->tag_names[i] = watch_tag_name(ak->name, c->tags.v[i], w->conf->domain);
	ak->round.tags = xcalloc(c->tags.n, sizeof *ak->round.tags);
	ak->questions = xcalloc(2 + c->tags.n, sizeof *ak->questions);
	for (i = 0; i < 2 + c->tags.n; i++)
		ak->questions[i].ak = ak;
	ak->delay_ms = c->interval_ms;
	loop_timer_init(&ak->timer, w->loop, start_round, ak);
	loop_timer_init(&ak->burst.timer, w->loop, on_burst, ak);
}

static void
asker_fini(struct asker *ak)
{
	size_t i;

	loop_timer_fini(&ak->timer);
	loop_timer_fini(&ak->burst.timer);
	for (i = 0; i < 2 + ak->conf->tags.n; i++)
		if (ak->questions[i].lk != NULL)
			resolver_cancel(ak->questions[i].lk);
	for (i = 0; i < ak->n_targets; i++) {
		if (ak->targets[i].lk[0] != NULL)
			resolver_cancel(ak->targets[i].lk[0]);
		if (ak->targets[i].lk[1] != NULL)
			resolver_cancel(ak->targets[i].lk[1]);
	}
	clear_round(ak);
	for (i = 0; i < ak->conf->tags.n; i++)
		free(ak->tag_names[i]);
	free(ak->tag_names);
	free(ak->round.tags);
	free(ak->questions);
	free(ak->canary_name);
}

int
watch_new(struct watch **out, struct loop *loop, const struct conf *conf, watch_cb *cb, void *arg)
{
	struct watch *w = xcalloc(1, sizeof *w);
	size_t i, total = 0;
	unsigned k;
	int err;

	w->loop = loop;
	w->conf = conf;
	w->cb = cb;
	w->arg = arg;
	w->servers = xcalloc(conf->dns.n, sizeof *w->servers);
	for (i = 0; i < conf->dns.n; i++) {
		err = resolver_new(&w->servers[i], loop, conf->dns.v[i], conf->dns_timeout_ms);
		if (err != 0) {
			log_error("dns", "consul.dns: cannot use %s: %s", conf->dns.v[i], strerror(-err));
			watch_free(w);
			return err;
		}
		w->n_servers++;
	}
	for (i = 0; i < conf->n_services; i++)
		total += conf->services[i]->names.n;
	w->askers = xcalloc(total, sizeof *w->askers);
	for (i = 0; i < conf->n_services; i++)
		for (k = 0; k < conf->services[i]->names.n; k++)
			asker_init(&w->askers[w->n++], w, conf->services[i], k);
	*out = w;
	return 0;
}

void
watch_start(struct watch *w)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		loop_timer_start(&w->askers[i].timer, 0);
}

void
watch_free(struct watch *w)
{
	size_t i;

	if (w == NULL)
		return;
	for (i = 0; i < w->n; i++)
		asker_fini(&w->askers[i]);
	for (i = 0; i < w->n_servers; i++)
		resolver_free(w->servers[i]);
	free(w->askers);
	free(w->servers);
	free(w);
}

void
watch_ask_now(struct watch *w, const char *service)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		struct asker *ak = &w->askers[i];

		if (service != NULL && strcmp(ak->conf->name, service) != 0)
			continue;
		if (ak->asking)
			ak->again = true;
		else
			loop_timer_start(&ak->timer, 0);
	}
}

size_t
watch_count(const struct watch *w)
{
	return w->n;
}

size_t
watch_answered(const struct watch *w)
{
	size_t i, n = 0;

	for (i = 0; i < w->n; i++)
		n += w->askers[i].last_ms != 0;
	return n;
}

void
watch_view(const struct watch *w, size_t i, struct watch_view *v)
{
	const struct asker *ak = &w->askers[i];

	memset(v, 0, sizeof *v);
	v->service = ak->conf->name;
	v->name = ak->name;
	v->index = ak->index;
	v->canary = ak->canary_name;
	v->server = resolver_server(w->servers[ak->server]);
	v->asking = ak->asking;
	v->next_ms = loop_timer_armed(&ak->timer) ? ak->timer.due_ms - loop_now_ms(w->loop) : -1;
	v->interval_ms = ak->delay_ms;
	v->took_us = ak->took_us;
	v->size_bytes = ak->size_bytes;
	v->n_srv = ak->n_srv;
	memcpy(v->rounds, ak->rounds, sizeof v->rounds);
	v->failures = ak->failures;
	v->last_ms = ak->last_ms;
	v->wakes = ak->wakes;
	v->wake_rounds = ak->burst.n_rounds;
}
