/* What the keys of routing must be together. */
#include <stdlib.h>
#include <string.h>

#include "config/conf_load_int.h"

bool
conf_is_on_loopback(const struct conf *conf)
{
	struct topo_addr addr;
	size_t i;

	for (i = 0; i < conf->listen.n; i++)
		if (topo_addr_parse(conf->listen.v[i], &addr) != 0 || !topo_addr_is_loopback(&addr))
			return false;
	return true;
}

/* Two keys of which one at most may be set. */
static void
check_either(struct loader *l, const char *a, const char *va, const char *b, const char *vb)
{
	const struct mark *mb = conf_mark_of(l->root, b);

	if (va != NULL && vb != NULL && !mb->bad && !conf_mark_of(l->root, a)->bad)
		conf_error(&l->errs, mb->file, mb->line, "%s: %s is set too; keep one of them", b, a);
}

static void
check_api(struct loader *l)
{
	static const char *const keys[] = { "routing.token_file", "routing.auth_url" };
	const struct conf *conf = l->conf;
	const struct mark *m = conf_mark_of(l->root, "routing.api");
	size_t i;

	if (m->bad)
		return;
	for (i = 0; i < NELEM(keys) && !conf->routing_api; i++) {
		const struct mark *k = conf_mark_of(l->root, keys[i]);

		if (k->line != 0 && !k->bad)
			conf_warning(&l->errs, k->file, k->line, "%s: has no effect without routing.api: true", keys[i]);
	}
	if (conf->routing_api && conf->routing_token_file == NULL && conf->routing_auth_url == NULL && !conf_is_on_loopback(conf))
		conf_warning(&l->errs, m->file, m->line,
		    "routing.api: http.listen is not only on loopback, so all REST requests will be refused; set routing.token_file or "
		    "routing.auth_url");
}

void
conf_check_routing(struct loader *l)
{
	struct conf *conf = l->conf;
	const struct strlist *clients = &conf->routing_clients;
	size_t i;

	check_either(l, "routing.file", conf->routing_file, "routing.kv", conf->routing_kv);
	check_either(l, "routing.token_file", conf->routing_token_file, "routing.auth_url", conf->routing_auth_url);
	check_api(l);
	conf->routing_prefixes = xcalloc(clients->n, sizeof *conf->routing_prefixes);
	for (i = 0; i < clients->n; i++)
		if (topo_prefix_parse(clients->v[i], &conf->routing_prefixes[i]) != 0)
			abort(); /* the table's check took it */
}
