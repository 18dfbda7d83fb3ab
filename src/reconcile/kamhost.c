#include "reconcile/kamhost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "reconcile/dispatcher.h"
#include "reconcile/domains.h"
#include "reconcile/table.h"
#include "reconcile/table_kind.h"

#define TARGETS_MAX 5 /* one of each kind */

struct kamhost {
	struct target_deps deps;
	const struct conf_kamailio *conf;
	struct kam *kam;
	struct target *targets[TARGETS_MAX];
	size_t n;
	struct dispatcher *dispatcher; /* among the targets, or NULL */
	struct table *rtpengine, *domain, *permissions, *uacreg;
	struct domains *domains; /* NULL: no domain.kv */
	char down_why[256];
	bool heard;
	uint64_t connections;
};

static void
on_up(void *arg, const struct kam_ident *id, bool restarted)
{
	struct kamhost *h = arg;
	size_t i;

	h->heard = true;
	h->down_why[0] = '\0';
	h->connections++;
	for (i = 0; i < h->n; i++)
		h->targets[i]->ops->up(h->targets[i], restarted);
}

static void
on_down(void *arg, int err, const char *why)
{
	struct kamhost *h = arg;
	size_t i;

	h->heard = true;
	snprintf(h->down_why, sizeof h->down_why, "%s", why);
	for (i = 0; i < h->n; i++)
		h->targets[i]->ops->down(h->targets[i]);
}

static const struct kam_events kam_handlers = { on_up, on_down };

static void
add(struct kamhost *h, struct target *t)
{
	h->targets[h->n++] = t;
}

static struct table *
add_table(struct kamhost *h, const struct table_kind *kind)
{
	struct table *t = table_new(&h->deps, h, kind);

	add(h, table_target(t));
	return t;
}

static void
on_domains(void *arg)
{
	struct kamhost *h = arg;
	struct target *t = table_target(h->domain);

	t->ops->kick(t);
}

/* As long as the slowest of its services, an empty prefix is not believed. */
static int64_t
domains_hold_ms(const struct kamhost *h)
{
	const struct conf_service *s;
	int64_t hold_ms = h->conf->domain_services.n > 0 ? 0 : KV_HOLD_MS;
	size_t i;

	for (i = 0; i < h->conf->domain_services.n; i++) {
		s = platform_conf(h->deps.platform, h->conf->domain_services.v[i]);
		if (s == NULL)
			return KV_HOLD_MS;
		if (s->empty_hold_ms > hold_ms)
			hold_ms = s->empty_hold_ms;
	}
	return hold_ms;
}

static void
add_domains(struct kamhost *h)
{
	const struct conf_kamailio *c = h->conf;

	if (c->domain_services.n + c->domain_names.n == 0 && c->domain_kv == NULL && !c->domain_routing)
		return;
	h->domain = add_table(h, &table_kind_domain);
	if (c->domain_kv != NULL && domains_new(&h->domains, h->deps.loop, h->deps.worker, platform_root_conf(h->deps.platform),
	    c->name, c->domain_kv, domains_hold_ms(h), on_domains, h) != 0)
		log_error("kam", "%s: cannot use consul.http: domain.kv is not read, and no domain is removed", c->name);
}

int
kamhost_new(struct kamhost **out, const struct target_deps *deps, const struct conf_kamailio *conf)
{
	struct kamhost *h = xcalloc(1, sizeof *h);
	int err;

	h->deps = *deps;
	h->conf = conf;
	snprintf(h->down_why, sizeof h->down_why, "not connected yet");
	err = kam_new(&h->kam, deps->loop, conf->name, conf->binrpc, conf->timeout_ms, &kam_handlers, h);
	if (err != 0) {
		log_error("kam", "%s: cannot use binrpc %s: %s", conf->name, conf->binrpc, strerror(-err));
		free(h);
		return err;
	}
	if (conf->n_sets > 0) {
		h->dispatcher = dispatcher_new(deps, h);
		add(h, dispatcher_target(h->dispatcher));
	}
	if (conf->n_rtpengines > 0)
		h->rtpengine = add_table(h, &table_kind_rtpengine);
	add_domains(h);
	if (conf->n_permissions > 0)
		h->permissions = add_table(h, &table_kind_permissions);
	if (conf->uacreg)
		h->uacreg = add_table(h, &table_kind_uacreg);
	*out = h;
	return 0;
}

void
kamhost_start(struct kamhost *h)
{
	kam_start(h->kam);
	kamhost_kick(h);
}

void
kamhost_free(struct kamhost *h)
{
	size_t i;

	if (h == NULL)
		return;
	domains_free(h->domains);
	for (i = 0; i < h->n; i++)
		h->targets[i]->ops->free(h->targets[i]);
	kam_free(h->kam);
	free(h);
}

void
kamhost_set_conf(struct kamhost *h, const struct conf_kamailio *conf)
{
	size_t i;

	h->conf = conf;
	if (h->domains != NULL)
		domains_set_conf(h->domains, platform_root_conf(h->deps.platform), domains_hold_ms(h));
	for (i = 0; i < h->n; i++)
		h->targets[i]->ops->set_conf(h->targets[i]);
}

void
kamhost_kick(struct kamhost *h)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		h->targets[i]->ops->kick(h->targets[i]);
}

const struct conf_kamailio *
kamhost_conf(const struct kamhost *h)
{
	return h->conf;
}

struct kam *
kamhost_kam(const struct kamhost *h)
{
	return h->kam;
}

bool
kamhost_is_up(const struct kamhost *h)
{
	return kam_is_up(h->kam);
}

bool
kamhost_was_heard(const struct kamhost *h)
{
	return h->heard;
}

const char *
kamhost_down_why(const struct kamhost *h)
{
	return h->down_why;
}

const struct kam_ident *
kamhost_ident(const struct kamhost *h)
{
	return kam_ident(h->kam);
}

uint64_t
kamhost_connections(const struct kamhost *h)
{
	return h->connections;
}

size_t
kamhost_targets(const struct kamhost *h)
{
	return h->n;
}

struct target *
kamhost_target(const struct kamhost *h, size_t i)
{
	return h->targets[i];
}

bool
kamhost_walk(struct kamhost *const *hosts, size_t n, struct target_walk *w)
{
	for (; w->host < n; w->host++, w->index = 0)
		for (; w->index < hosts[w->host]->n; w->index++, w->next = 0) {
			w->target = hosts[w->host]->targets[w->index];
			if (w->next >= w->target->ops->rows(w->target))
				continue;
			w->row = w->next++;
			w->target->ops->view(w->target, w->row, &w->view);
			return true;
		}
	return false;
}

struct dispatcher *
kamhost_dispatcher(const struct kamhost *h)
{
	return h->dispatcher;
}

struct table *
kamhost_rtpengine(const struct kamhost *h)
{
	return h->rtpengine;
}

struct table *
kamhost_domain(const struct kamhost *h)
{
	return h->domain;
}

struct table *
kamhost_permissions(const struct kamhost *h)
{
	return h->permissions;
}

struct table *
kamhost_uacreg(const struct kamhost *h)
{
	return h->uacreg;
}

const struct domains *
kamhost_domains(const struct kamhost *h)
{
	return h->domains;
}

const struct kv *
kamhost_kv(const struct kamhost *h)
{
	return h->domains != NULL ? domains_kv(h->domains) : NULL;
}
