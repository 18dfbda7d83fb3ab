/*
 * presence: the agent's word is not the platform's. An agent whose VM was made anew under an old node name says yes to
 * everything and can't tell the servers (facts that `status` then names); so each registration is looked up where others find
 * it, in the catalog and in DNS. Nothing is done about what is found but to say it.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "registrar_int.h"

#define EVERY_MS 30000
#define SUSPECT_MS 10000    /* when it is missing */
#define ALARM_MS 120000     /* two of the agent's own repairs (anti-entropy) */
#define SHARED_MS 5000      /* one answer of DNS serves all of a service for so long */
#define CATALOG_MAX (256u << 10)
#define COMPLETE_SRV 900    /* from here on an answer may be a part */
#define COMPLETE_BYTES 64000

/* ---- verdict ---- */

static bool
is_expected(const struct registration *reg)
{
	return registration_tells(reg) && reg->has && reg->maint == REG_MAINT_NONE &&
	    (reg->worst == AGENT_PASSING || reg->worst == AGENT_WARNING);
}

static void
alarm_text(struct presence *p)
{
	const struct registration *reg = p->reg;
	bool catalog = p->catalog_known && !p->in_catalog;

	snprintf(p->why, sizeof p->why,
	    "the agent has %s and %s does not. Was this VM made anew under its old node name? The agent's log then says \"Node name "
	    "... is reserved\": remove the old node from the catalog, or give this one another name",
	    reg->id, catalog ? "the catalog" : "DNS");
}

static void
judge(struct presence *p)
{
	struct registration *reg = p->reg;
	int64_t now = loop_now_ms(reg->r->loop);
	bool missing = reg->conf->verify_dns && is_expected(reg) &&
	    (p->dns == PRESENCE_MISSING || (p->catalog_known && !p->in_catalog));
	bool doubt = is_expected(reg) && p->dns == PRESENCE_UNKNOWN && !p->catalog_known;

	if (missing && p->missing_ms == 0)
		p->missing_ms = now;
	if (!missing && !doubt)
		p->missing_ms = 0;
	if (missing && !p->alarm && now - p->missing_ms >= ALARM_MS) {
		p->alarm = true;
		alarm_text(p);
		log_warnx("registrar", "%s: for %d s now %s", reg->name, ALARM_MS / 1000, p->why);
	} else if (p->alarm && p->missing_ms == 0) {
		p->alarm = false;
		log_notice("registrar", "%s: %s is found again where it should be", reg->name, reg->id);
	}
	loop_timer_start(&p->timer, loop_jitter(reg->r->loop, missing ? SUSPECT_MS : EVERY_MS, 10));
}

/* ---- DNS ---- */

static int
cmp_addr(const void *a, const void *b)
{
	return topo_addr_cmp(a, b);
}

static void
clear_group(struct dns_group *g)
{
	while (g->n_targets > 0)
		free(g->targets[--g->n_targets]);
	free(g->targets);
	g->targets = NULL;
	free(g->addrs);
	g->addrs = NULL;
	g->n_addrs = 0;
}

static void
read_answer(struct dns_group *g, const struct dns_msg *m)
{
	struct topo_addr found[8];
	size_t i, k, n;

	g->addrs = xcalloc(m->n_srv * NELEM(found) + 1, sizeof *g->addrs);
	g->targets = xcalloc(m->n_srv + 1, sizeof *g->targets);
	for (i = 0; i < m->n_srv; i++) {
		n = dnsmsg_addresses(m, m->srv[i].target, found, NELEM(found));
		for (k = 0; k < n; k++) {
			found[k].port = m->srv[i].port;
			g->addrs[g->n_addrs++] = found[k];
		}
		g->targets[g->n_targets++] = xasprintf("%s:%u", m->srv[i].target, (unsigned)m->srv[i].port);
	}
	qsort(g->addrs, g->n_addrs, sizeof *g->addrs, cmp_addr);
	g->addrs = xrealloc(g->addrs, g->n_addrs + 1, sizeof *g->addrs);
}

static bool
is_listed(const struct presence *p, const struct dns_group *g)
{
	char *target;
	bool found = false;
	size_t i;

	if (p->addr.family != 0)
		return g->n_addrs > 0 && bsearch(&p->addr, g->addrs, g->n_addrs, sizeof *g->addrs, cmp_addr) != NULL;
	target = xasprintf("%s:%u", p->target, (unsigned)p->addr.port);
	for (i = 0; i < g->n_targets && !found; i++)
		found = strcasecmp(target, g->targets[i]) == 0;
	free(target);
	return found;
}

static void
judge_dns(struct presence *p, const struct dns_group *g)
{
	p->waits_for_dns = false;
	p->dns = PRESENCE_UNKNOWN;
	if (g == NULL || !g->valid || (p->addr.family == 0 && p->target[0] == '\0'))
		; /* nothing to compare, or nothing to compare with */
	else if (is_listed(p, g))
		p->dns = PRESENCE_LISTED;
	else if (!is_expected(p->reg))
		p->dns = PRESENCE_HIDDEN;
	else if (!g->partial)
		p->dns = PRESENCE_MISSING;
	judge(p);
}

static void
on_dns(void *arg, int err, unsigned epoch, const struct dns_msg *m)
{
	struct dns_group *g = arg;
	struct registrar *r = g->r;
	size_t i;

	g->lk = NULL;
	g->answered_ms = loop_now_ms(r->loop);
	clear_group(g);
	g->valid = err == 0 && (m->rcode == DNS_NOERROR || m->rcode == DNS_NXDOMAIN) && !dnsmsg_self_target(m);
	g->partial = g->valid && (m->truncated || m->n_srv >= COMPLETE_SRV || m->size_bytes >= COMPLETE_BYTES);
	if (g->valid)
		read_answer(g, m);
	for (i = 0; i < r->n; i++)
		if (r->regs[i]->presence.waits_for_dns && strcmp(r->regs[i]->conf->service, g->service) == 0)
			judge_dns(&r->regs[i]->presence, g);
}

static bool
can_be_asked(const char *service)
{
	size_t len = strlen(service);

	return len > 0 && len <= 63 &&
	    strspn(service, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

static struct dns_group *
group_of(struct registrar *r, const char *service)
{
	struct dns_group *g;

	for (g = r->groups; g != NULL; g = g->next)
		if (strcmp(g->service, service) == 0)
			return g;
	g = xcalloc(1, sizeof *g);
	g->r = r;
	g->service = xstrdup(service);
	g->next = r->groups;
	r->groups = g;
	return g;
}

static void
ask_dns(struct presence *p)
{
	struct registration *reg = p->reg;
	struct registrar *r = reg->r;
	struct dns_group *g;
	char *name;

	if (r->resolver == NULL && (r->conf->dns.n == 0 ||
	    resolver_new(&r->resolver, r->loop, r->conf->dns.v[0], r->conf->dns_timeout_ms) != 0))
		r->resolver = NULL;
	if (!reg->conf->verify_dns || r->resolver == NULL || !can_be_asked(reg->conf->service)) {
		judge_dns(p, NULL);
		return;
	}
	g = group_of(r, reg->conf->service);
	if (g->lk == NULL && g->answered_ms > 0 && g->asked_ms >= p->fresh_ms &&
	    loop_now_ms(r->loop) - g->answered_ms < SHARED_MS) {
		judge_dns(p, g);
		return;
	}
	p->waits_for_dns = true;
	if (g->lk != NULL)
		return;
	name = xasprintf("%s.service.%s", reg->conf->service, r->conf->domain);
	g->asked_ms = loop_now_ms(r->loop);
	g->lk = resolver_ask(r->resolver, name, DNS_TYPE_SRV, on_dns, g);
	free(name);
}

void
presence_drop_groups(struct registrar *r)
{
	struct dns_group *g;

	while ((g = r->groups) != NULL) {
		r->groups = g->next;
		if (g->lk != NULL)
			resolver_cancel(g->lk);
		clear_group(g);
		free(g->service);
		free(g);
	}
}

/* ---- the catalog ---- */

static enum agent_status
worst_of(const json_t *checks)
{
	enum agent_status worst = AGENT_PASSING, one;
	const json_t *v;
	size_t i;

	json_array_foreach(checks, i, v) {
		one = agent_status_parse(jsonx_get_text(v, "Status"));
		if (one != AGENT_NO_STATUS && one > worst)
			worst = one;
	}
	return worst;
}

/* How DNS should list it. */
static void
take_address(struct presence *p, const char *node_address)
{
	const struct registration *reg = p->reg;
	const char *text = *reg->address ? reg->address : node_address;

	p->target[0] = '\0';
	memset(&p->addr, 0, sizeof p->addr);
	if (text != NULL && topo_addr_parse_ip(text, &p->addr) != 0) {
		memset(&p->addr, 0, sizeof p->addr);
		snprintf(p->target, sizeof p->target, "%.*s", (int)strcspn(text, " "), text);
		if (*p->target != '\0' && p->target[strlen(p->target) - 1] == '.')
			p->target[strlen(p->target) - 1] = '\0';
	}
	p->addr.port = (uint16_t)reg->conf->port;
}

static bool
read_catalog(struct presence *p, const struct http_answer *a)
{
	json_t *list = json_loadb(a->body, a->body_len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *entry = json_array_get(list, 0);
	bool ok = json_is_array(list);

	p->in_catalog = ok && json_is_object(entry);
	if (p->in_catalog) {
		p->catalog = worst_of(json_object_get(entry, "Checks"));
		take_address(p, jsonx_get_text(json_object_get(entry, "Node"), "Address"));
	}
	json_decref(list);
	return ok;
}

static bool
job_ask(void *arg, struct line_request *q)
{
	struct presence *p = arg;
	const struct registration *reg = p->reg;
	struct buf filter = { 0 };
	const char *c;

	if (reg->conf == NULL || !registration_tells(reg))
		return false;
	/* ids are of one node: another's of the same id is told apart by the machine */
	buf_puts(&filter, "Service.ID == \"");
	for (c = reg->id; *c != '\0'; c++)
		buf_printf(&filter, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
	buf_puts(&filter, "\"");
	if (*reg->r->machine != '\0')
		buf_printf(&filter, " and Service.Meta[\"c4d-machine\"] == \"%s\"", reg->r->machine);
	q->method = HTTP_GET;
	q->max_body = CATALOG_MAX;
	buf_puts(&q->path, "/v1/health/service/");
	http_add_escaped(&q->path, reg->conf->service);
	buf_puts(&q->path, "?stale&filter=");
	http_add_escaped(&q->path, filter.s);
	buf_free(&filter);
	return true;
}

static void
job_done(void *arg, const struct http_answer *a)
{
	struct presence *p = arg;

	p->catalog_known = a->err == 0 && a->status == 200 && read_catalog(p, a);
	if (!p->catalog_known || !p->in_catalog)
		take_address(p, NULL);
	ask_dns(p);
}

static void
on_timer(void *arg)
{
	struct presence *p = arg;
	struct registration *reg = p->reg;

	if (reg->r->far != NULL && registration_tells(reg))
		line_add(reg->r->far, &p->job);
	loop_timer_start(&p->timer, EVERY_MS); /* should nothing come of it */
}

/* ---- life ---- */

void
presence_init(struct presence *p, struct registration *reg)
{
	p->reg = reg;
	p->job.ask = job_ask;
	p->job.done = job_done;
	p->job.arg = p;
	p->catalog = AGENT_NO_STATUS;
	loop_timer_init(&p->timer, reg->r->loop, on_timer, p);
}

void
presence_fini(struct presence *p)
{
	if (p->reg->r->far != NULL)
		line_drop(p->reg->r->far, &p->job);
	loop_timer_fini(&p->timer);
	p->waits_for_dns = p->alarm = false;
}

void
presence_soon(struct presence *p, int64_t delay_ms)
{
	p->fresh_ms = loop_now_ms(p->reg->r->loop);
	loop_timer_start(&p->timer, delay_ms);
}

const char *
presence_catalog_text(const struct presence *p)
{
	if (!p->catalog_known)
		return "unknown";
	return p->in_catalog ? agent_status_name(p->catalog) : "missing";
}

const char *
presence_dns_text(const struct presence *p)
{
	static const char *const names[] = {
		[PRESENCE_UNKNOWN] = "unknown",
		[PRESENCE_LISTED] = "listed",
		[PRESENCE_MISSING] = "missing",
		[PRESENCE_HIDDEN] = "hidden",
	};

	if (p->reg->conf == NULL || !p->reg->conf->verify_dns)
		return "off";
	return names[p->dns];
}
