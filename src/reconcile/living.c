#include "reconcile/living.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "reconcile/dispatcher.h"

/* What the sources say of one address; merged. */
struct word {
	struct topo_addr addr;
	bool dead, alive;
};

struct living {
	struct loop *loop;
	const struct platform *platform;
	struct kamhost *const *hosts;
	size_t n_hosts;
	struct word *words; /* sorted by address, each once */
	size_t n, cap;
	bool stale;
	uint64_t generation;
	int64_t computed_ms;
	uint64_t seed;
};

struct living *
living_new(struct loop *loop, const struct platform *platform)
{
	struct living *l = xcalloc(1, sizeof *l);

	l->loop = loop;
	l->platform = platform;
	l->stale = true;
	if (getrandom(&l->seed, sizeof l->seed, GRND_NONBLOCK) != (ssize_t)sizeof l->seed)
		l->seed = (uint64_t)loop_now_us(loop);
	l->seed |= 1;
	return l;
}

void
living_free(struct living *l)
{
	if (l == NULL)
		return;
	free(l->words);
	free(l);
}

void
living_set_hosts(struct living *l, struct kamhost *const *hosts, size_t n)
{
	l->hosts = hosts;
	l->n_hosts = n;
	l->stale = true;
}

void
living_stale(struct living *l)
{
	if (l != NULL)
		l->stale = true;
}

/* xorshift64*: chance that shares calls out, no secret. */
uint64_t
living_random(struct living *l)
{
	l->seed ^= l->seed >> 12;
	l->seed ^= l->seed << 25;
	l->seed ^= l->seed >> 27;
	return l->seed * UINT64_C(2685821657736338717);
}

static void
say(struct living *l, const struct topo_addr *addr, bool alive)
{
	l->words = xgrow(l->words, l->n, &l->cap, sizeof *l->words);
	l->words[l->n++] = (struct word){ *addr, !alive, alive };
}

static int
word_cmp(const void *a, const void *b)
{
	return topo_addr_cmp(&((const struct word *)a)->addr, &((const struct word *)b)->addr);
}

/* One word per address: dead when somebody says so and nobody the contrary. */
static void
merge(struct living *l)
{
	size_t i, n = 0;

	if (l->n > 1)
		qsort(l->words, l->n, sizeof *l->words, word_cmp);
	for (i = 0; i < l->n; i++) {
		if (n > 0 && word_cmp(&l->words[n - 1], &l->words[i]) == 0) {
			l->words[n - 1].dead |= l->words[i].dead;
			l->words[n - 1].alive |= l->words[i].alive;
		} else {
			l->words[n++] = l->words[i];
		}
	}
	l->n = n;
}

static void
ask_topology(struct living *l)
{
	const struct topo *topo = platform_now(l->platform);
	size_t i, k;

	for (i = 0; i < topo->n; i++)
		for (k = 0; k < topo->services[i].n; k++)
			say(l, &topo->services[i].inst[k].addr, topo_is_active(topo->services[i].inst[k].state));
	merge(l);
}

/* Kamailio's own probes know more than the topology: what they see inactive is dead, whatever Consul says. */
static void
ask_kamailios(struct living *l)
{
	struct living k = { 0 };
	struct topo_addr addr;
	size_t i, e, j = 0, known = l->n;

	for (i = 0; i < l->n_hosts; i++) {
		const struct dispatcher *d = kamhost_dispatcher(l->hosts[i]);
		const struct ds_entries *have = d != NULL && kamhost_is_up(l->hosts[i]) ? dispatcher_actual(d) : NULL;

		for (e = 0; have != NULL && e < have->n; e++)
			if (!(have->v[e].flags & DS_DISABLED) && dslist_uri_addr(have->v[e].uri, &addr) == 0)
				say(&k, &addr, !(have->v[e].flags & DS_INACTIVE));
	}
	merge(&k);
	for (i = 0; i < k.n; i++) {
		while (j < known && topo_addr_cmp(&l->words[j].addr, &k.words[i].addr) < 0)
			j++;
		if (!k.words[i].dead || k.words[i].alive)
			continue;
		if (j < known && topo_addr_cmp(&l->words[j].addr, &k.words[i].addr) == 0) {
			l->words[j].alive = false;
			l->words[j].dead = true;
		} else {
			say(l, &k.words[i].addr, false);
		}
	}
	free(k.words);
	merge(l);
}

static void
refresh(struct living *l)
{
	uint64_t generation = platform_generation(l->platform);
	int64_t now = loop_now_ms(l->loop);

	if (generation == l->generation && l->computed_ms != 0 && (!l->stale || now - l->computed_ms < LIVING_MS))
		return;
	l->n = 0;
	ask_topology(l);
	ask_kamailios(l);
	l->generation = generation;
	l->computed_ms = now;
	l->stale = false;
}

static bool
is_dead(const struct living *l, const struct topo_addr *addr)
{
	const struct word key = { .addr = *addr }, *w;

	w = l->n > 0 ? bsearch(&key, l->words, l->n, sizeof *l->words, word_cmp) : NULL;
	return w != NULL && w->dead && !w->alive;
}

bool
living_dead(struct living *l, const char *host, uint16_t port)
{
	struct topo_addr addr;
	char ip[TOPO_ADDR_TEXT];
	size_t len = strlen(host);

	if (len < 2 || len >= sizeof ip)
		return false;
	if (host[0] == '[') {
		memcpy(ip, host + 1, len - 2);
		ip[len - 2] = '\0';
		host = ip;
	}
	if (topo_addr_parse_ip(host, &addr) != 0)
		return false;
	addr.port = port != 0 ? port : 5060;
	refresh(l);
	return is_dead(l, &addr);
}

/* RFC 2782: of those of the lowest priority one by one, each with a chance of its weight; weight 0 has a small one. */
static size_t
draw(struct living *l, const struct topo_instance **v, size_t n)
{
	uint64_t sum = 0, at;
	uint16_t lowest = UINT16_MAX;
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i]->priority < lowest)
			lowest = v[i]->priority;
	for (i = 0; i < n; i++)
		if (v[i]->priority == lowest)
			sum += (uint64_t)v[i]->weight * 100 + 1;
	if (sum == 0)
		return 0;
	at = living_random(l) % sum;
	for (i = 0; i < n; i++) {
		uint64_t own = (uint64_t)v[i]->weight * 100 + 1;

		if (v[i]->priority != lowest)
			continue;
		if (at < own)
			return i;
		at -= own;
	}
	return 0;
}

static void
place(const struct topo_instance *inst, struct rt_place *out)
{
	char ip[TOPO_ADDR_TEXT];

	topo_addr_format_ip(&inst->addr, ip);
	if (inst->addr.family == 6)
		snprintf(out->host, sizeof out->host, "[%.*s]", (int)sizeof out->host - 3, ip);
	else
		snprintf(out->host, sizeof out->host, "%.*s", (int)sizeof out->host - 1, ip);
	out->port = inst->addr.port;
}

size_t
living_expand(struct living *l, const char *service, struct rt_place *out, size_t max)
{
	const struct topo_service *s = topo_find(platform_now(l->platform), service);
	const struct topo_instance **v;
	size_t i, n = 0, filled = 0, pass;

	if (s == NULL || s->n == 0)
		return 0;
	refresh(l);
	v = xcalloc(s->n, sizeof *v);
	for (pass = 0; pass < 2 && n == 0; pass++)
		for (i = 0; i < s->n; i++)
			if (topo_is_active(s->inst[i].state) && (pass == 1 || !is_dead(l, &s->inst[i].addr)))
				v[n++] = &s->inst[i];
	while (n > 0 && filled < max) {
		i = draw(l, v, n);
		place(v[i], &out[filled++]);
		v[i] = v[--n];
	}
	free(v);
	return filled;
}
