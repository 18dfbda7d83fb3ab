/*
 * What a `register` section must be as a whole. Consul would refuse most of it too, but by one message at a time, at run
 * time, and some of it (a URL of a tcp check, a time-out above the interval) it would take and mean something else.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/conf_load_int.h"
#include "config/conf_values.h"

#define SECOND_MS 1000 /* Consul's least interval, */
#define MINUTE_MS 60000 /* and its least deregister_critical_after */

enum type { T_HTTP, T_HTTPS, T_TCP, T_TTL, T_EID, T_SIP, T_BINRPC, T_NG, T_EXEC, N_TYPES };

static const struct {
	const char *name;
	enum conf_check_type kind;
} types[N_TYPES] = {
	[T_HTTP] = { "http", CHECK_HTTP },
	[T_HTTPS] = { "https", CHECK_HTTP },
	[T_TCP] = { "tcp", CHECK_TCP },
	[T_TTL] = { "ttl", CHECK_TTL },
	[T_EID] = { "eid", CHECK_EID },
	[T_SIP] = { "sip", CHECK_SIP },
	[T_BINRPC] = { "binrpc", CHECK_BINRPC },
	[T_NG] = { "ng", CHECK_NG },
	[T_EXEC] = { "exec", CHECK_EXEC },
};

#define OF(t) (1u << T_##t)
#define HTTPS_TOO (OF(HTTP) | OF(HTTPS))
#define OURS (OF(SIP) | OF(BINRPC) | OF(NG) | OF(EXEC))
#define CONSULS (HTTPS_TOO | OF(TCP) | OF(EID))

/* Which key is of use to which types, and which of them need it; what stands here not, is to all. */
static const struct {
	const char *key;
	unsigned used, needed;
	const char *like;
} uses[] = {
	{ "url", HTTPS_TOO | OF(EID), HTTPS_TOO, "http://{address}:9601/status" },
	{ "method", HTTPS_TOO, 0, NULL },
	{ "headers", HTTPS_TOO, 0, NULL },
	{ "tls_skip_verify", OF(HTTPS), 0, NULL },
	{ "uri", OF(SIP), 0, NULL },
	{ "to", OF(TCP) | OF(BINRPC) | OF(NG), OF(BINRPC), "unix:/run/kamailio/kamailio_ctl, or the name of a section of kamailio" },
	{ "command", OF(EXEC), OF(EXEC), "[/usr/lib/c4d/check-disk, /var]" },
	{ "interval", CONSULS | OURS, 0, NULL },
	{ "timeout", CONSULS | OURS, 0, NULL },
	{ "ttl", OF(TTL), OF(TTL), "30s" },
	{ "failures", OURS, 0, NULL },
	{ "status", CONSULS | OF(TTL), 0, NULL },
};

/* A registration while it is checked. */
struct reg {
	struct loader *l;
	const struct sect *s;
	struct conf_register *r;
};

static bool
is_bad(const struct sect *s, const char *key)
{
	return conf_mark_of(s, key)->bad;
}

static void
set_default(char **field, const char *value)
{
	if (*field == NULL)
		*field = xstrdup(value);
}

/* ---- what is filled in ---- */

/*
 * {address} and {port} can be filled in only where the section has them; where c4d itself asks, the address must not need
 * looking up. `what`: the key, for people.
 */
static bool
check_filled_in(const struct reg *g, const char *what, const char *text, bool by_us, size_t file, int line)
{
	const struct conf_register *r = g->r;
	struct topo_addr addr;
	const char *why = NULL;
	char q[100];

	if (conf_has_place(text, "{address}") && r->address == NULL && !is_bad(g->s, "address"))
		why = "{address} is not known: that of the Consul agent is used, which c4d does not know; set address";
	else if (conf_has_place(text, "{port}") && r->port == 0 && !is_bad(g->s, "port"))
		why = "{port} is not known; set port";
	else if (by_us && conf_has_place(text, "{address}") && r->address != NULL && !conf_is_iface_place(r->address) &&
	    topo_addr_parse_ip(r->address, &addr) != 0)
		why = "c4d asks there itself and looks no names up: write an address in digits, here or as the section's address";
	if (why != NULL)
		conf_error(&g->l->errs, file, line, "%s '%s': %s", what, conf_quote(text, q), why);
	return why == NULL;
}

static void
check_key_filled_in(const struct reg *g, const struct sect *s, const char *key, const char *text, bool by_us)
{
	const struct mark *m = conf_place_of(s, key);
	char *path;

	if (text == NULL || is_bad(s, key))
		return;
	path = conf_join(s->path, key);
	(void)check_filled_in(g, path, text, by_us, m->file, m->line);
	free(path);
}

/* ---- the checks ---- */

static void
say_types(unsigned set, struct buf *out)
{
	size_t i, left = 0;

	for (i = 0; i < N_TYPES; i++)
		left += (set >> i) & 1;
	for (i = 0; i < N_TYPES; i++)
		if ((set >> i) & 1)
			buf_printf(out, "%s%s", types[i].name, --left > 1 ? ", " : left == 1 ? " and " : "");
}

/* N_TYPES: none that is known; said. */
static enum type
check_type(const struct reg *g, const struct sect *s, struct conf_check *c)
{
	size_t i;

	for (i = 0; c->type != NULL && i < N_TYPES; i++)
		if (strcmp(types[i].name, c->type) == 0) {
			c->kind = types[i].kind;
			return (enum type)i;
		}
	if (!is_bad(s, "type") && !s->at.bad) {
		struct buf text = { 0 };

		say_types((1u << N_TYPES) - 1, &text);
		conf_error(&g->l->errs, s->at.file, s->at.line, "%s: needs a type; there are %s", s->path, text.s);
		buf_free(&text);
	}
	return N_TYPES;
}

static void
check_uses(const struct reg *g, const struct sect *s, enum type type)
{
	size_t i;

	for (i = 0; i < NELEM(uses); i++) {
		const struct mark *m = conf_mark_of(s, uses[i].key);
		struct buf of = { 0 };

		if (m->line != 0 && !m->bad && !((uses[i].used >> type) & 1)) {
			say_types(uses[i].used, &of);
			conf_error(&g->l->errs, m->file, m->line, "%s.%s: a check of type %s has no use for it, only %s; remove it",
			    s->path, uses[i].key, types[type].name, of.s);
		} else if (m->line == 0 && ((uses[i].needed >> type) & 1)) {
			conf_error(&g->l->errs, s->at.file, s->at.line, "%s: a check of type %s needs %s, such as %s", s->path,
			    types[type].name, uses[i].key, uses[i].like);
		}
		buf_free(&of);
	}
}

static void
check_times(const struct reg *g, const struct sect *s, struct conf_check *c, enum type type)
{
	const struct mark *m = conf_place_of(s, "interval"), *limit = conf_mark_of(s, "timeout");
	char interval[40], timeout[40];

	text_format_duration(c->interval_ms, interval, sizeof interval);
	text_format_duration(c->timeout_ms, timeout, sizeof timeout);
	if (type != T_TTL && !is_bad(s, "interval") && !limit->bad && c->timeout_ms > c->interval_ms) {
		if (limit->line != 0)
			conf_error(&g->l->errs, limit->file, limit->line,
			    "%s.timeout '%s': is above the interval, %s; lower the one or raise the other", s->path, timeout, interval);
		else
			c->timeout_ms = c->interval_ms;
	}
	if (((CONSULS >> type) & 1) && !is_bad(s, "interval") && c->interval_ms < SECOND_MS)
		conf_warning(&g->l->errs, m->file, m->line, "%s.interval '%s': Consul makes this check, and takes less than 1s as 1s",
		    s->path, interval);
	m = conf_mark_of(s, "deregister_critical_after");
	if (!m->bad && c->deregister_after_ms > 0 && c->deregister_after_ms < MINUTE_MS)
		conf_warning(&g->l->errs, m->file, m->line,
		    "%s.deregister_critical_after: Consul takes less than 1m as 1m, and looks every 30 s only", s->path);
}

static void
say_wrong(const struct reg *g, const struct sect *s, const char *key, const char *value, const char *why)
{
	const struct mark *m = conf_place_of(s, key);
	char q[100];

	conf_error(&g->l->errs, m->file, m->line, "%s.%s '%s': %s", s->path, key, conf_quote(value, q), why);
}

static void
check_url_scheme(const struct reg *g, const struct sect *s, const struct conf_check *c, enum type type)
{
	bool tls;

	if (c->url == NULL || is_bad(s, "url") || type == T_EID)
		return;
	tls = strncmp(c->url, "https:", 6) == 0;
	if (tls && type == T_HTTP)
		say_wrong(g, s, "url", c->url, "begins with https://; set type to https");
	else if (!tls && type == T_HTTPS)
		say_wrong(g, s, "url", c->url, "must begin with https://, or set type to http");
}

/* HOST:PORT; of what c4d asks itself the host needs no looking up. */
static void
check_host_to(const struct reg *g, const struct sect *s, const char *value, const char *place, bool by_us)
{
	struct buf why = { 0 };
	struct conf_host host;
	const char *end = conf_parse_host(place, "", &host, &why);

	if (end != NULL && host.port == 0 && !host.port_place)
		buf_puts(&why, "needs a port, as in {address}:{port}");
	else if (end != NULL && by_us && host.kind != HOST_IP && host.kind != HOST_ADDRESS)
		buf_puts(&why, "c4d asks there itself and looks no names up: write {address}, or an address in digits");
	if (why.len > 0)
		say_wrong(g, s, "to", value, why.s);
	buf_free(&why);
}

/* Of the section's name, its address takes the place. */
static void
check_binrpc_to(const struct reg *g, const struct sect *s, struct conf_check *c)
{
	const struct conf_kamailio *kam;
	struct buf why = { 0 };
	struct hint h = { .wanted = c->to };
	size_t i;

	if (strncmp(c->to, "tcp:", 4) == 0) {
		check_host_to(g, s, c->to, c->to + 4, true);
		return;
	}
	if (strncmp(c->to, "unix:", 5) == 0) {
		if (!conf_check_socket(c->to + 5, &why))
			say_wrong(g, s, "to", c->to, why.s);
		buf_free(&why);
		return;
	}
	kam = conf_find_kamailio(g->l->conf, c->to);
	if (kam != NULL) {
		free(c->to);
		c->to = xstrdup(kam->binrpc);
		return;
	}
	for (i = 0; i < g->l->conf->n_kamailios; i++)
		conf_hint_offer(&h, g->l->conf->kamailios[i]->name, strlen(g->l->conf->kamailios[i]->name));
	buf_puts(&why, "must be unix:/PATH, tcp:IP:PORT, or the name of a section of kamailio");
	if (h.best[0])
		conf_hint_add(&h, &why);
	say_wrong(g, s, "to", c->to, why.s);
	buf_free(&why);
}

static void
check_to(const struct reg *g, const struct sect *s, struct conf_check *c, enum type type)
{
	if (is_bad(s, "to") || c->to == NULL)
		return;
	if (type == T_BINRPC)
		check_binrpc_to(g, s, c);
	else if (type == T_TCP || type == T_NG)
		check_host_to(g, s, c->to, c->to, type == T_NG);
}

static void
check_command(const struct reg *g, const struct sect *s, const struct conf_check *c)
{
	const struct mark *m = conf_mark_of(s, "command");
	char *path = conf_join(s->path, "command"), q[100];
	size_t i;

	for (i = 0; i < c->command.n && !m->bad; i++) {
		const char *v = c->command.v[i];

		if (i == 0 && v[0] != '/')
			conf_error(&g->l->errs, m->file, m->elements[0],
			    "%s '%s': the program must be an absolute path, beginning with /; it is run without a shell", path,
			    conf_quote(v, q));
		else if (!check_filled_in(g, path, v, false, m->file, m->elements[i]))
			break;
	}
	free(path);
}

/* Does one that asks at `address`, with the port of http.listen, come to `listen`? */
enum reach { REACHES, MAY_REACH, REACHES_NOT };

static enum reach
reach(const char *listen, const char *address)
{
	static const uint8_t any[16];
	struct topo_addr at, to;
	bool digits = topo_addr_parse_ip(address, &to) == 0;

	if (topo_addr_parse(listen, &at) != 0) /* {ip:eth0}:9600 */
		return strncmp(listen, address, strlen(address)) == 0 ? REACHES : MAY_REACH;
	if (memcmp(at.ip, any, sizeof any) == 0) {
		int family = digits ? to.family : strncmp(address, "{ip6:", 5) == 0 ? 6 : strncmp(address, "{ip:", 4) == 0 ? 4 : 0;

		return family == 0 || family == at.family ? REACHES : at.family == 6 ? MAY_REACH : REACHES_NOT;
	}
	if (digits && topo_addr_same_ip(&at, &to))
		return REACHES;
	return digits && topo_addr_is_loopback(&at) != topo_addr_is_loopback(&to) ? REACHES_NOT : MAY_REACH;
}

/* Consul asks c4d's HTTP server at the registration's address. */
static void
check_eid(const struct reg *g, const struct sect *s, const struct conf_check *c)
{
	const struct strlist *listen = &g->l->conf->listen;
	const struct conf_register *r = g->r;
	enum reach best = REACHES_NOT;
	size_t i;

	if (c->url != NULL || is_bad(s, "url") || is_bad(g->l->root, "http.listen") || is_bad(g->s, "address"))
		return;
	if (listen->n == 0) {
		conf_error(&g->l->errs, s->at.file, s->at.line,
		    "%s: a check of type eid asks c4d's HTTP server, and http.listen is empty; add an address there, or set url", s->path);
		return;
	}
	if (r->address == NULL) {
		conf_error(&g->l->errs, s->at.file, s->at.line,
		    "%s: a check of type eid asks at the section's address, which is that of the Consul agent, which c4d does not "
		    "know; set address, or url here", s->path);
		return;
	}
	for (i = 0; i < listen->n; i++) {
		enum reach one = reach(listen->v[i], r->address);

		best = one < best ? one : best;
	}
	if (best == REACHES_NOT)
		conf_error(&g->l->errs, s->at.file, s->at.line,
		    "%s: Consul will ask c4d's HTTP server at %s, where it does not listen; add %s:PORT to http.listen", s->path,
		    r->address, r->address);
	else if (best == MAY_REACH)
		conf_warning(&g->l->errs, s->at.file, s->at.line,
		    "%s: Consul will ask c4d's HTTP server at %s; whether it listens there cannot be known; add %s:PORT to http.listen",
		    s->path, r->address, r->address);
}

static void
check_check(const struct reg *g, const struct sect *s)
{
	struct conf_check *c = s->obj;
	enum type type = check_type(g, s, c);
	bool by_us = type < N_TYPES && ((OURS >> type) & 1);

	if (type == N_TYPES)
		return;
	check_uses(g, s, type);
	check_times(g, s, c, type);
	if (((HTTPS_TOO >> type) & 1))
		set_default(&c->method, "GET");
	if (((CONSULS | OF(TTL)) >> type) & 1)
		set_default(&c->status, "critical");
	if (type == T_SIP && !is_bad(s, "uri"))
		set_default(&c->uri, "sip:{address}:{port}");
	if ((type == T_TCP || type == T_NG) && !is_bad(s, "to"))
		set_default(&c->to, "{address}:{port}");
	check_url_scheme(g, s, c, type);
	check_to(g, s, c, type);
	check_key_filled_in(g, s, "url", c->url, false);
	check_key_filled_in(g, s, "uri", c->uri, by_us);
	check_key_filled_in(g, s, "to", c->to, by_us);
	check_command(g, s, c);
	if (type == T_EID)
		check_eid(g, s, c);
}

/* ---- the registration itself ---- */

/* Equal texts are equal ids. {hostname} is this machine's, which is where the configuration will be used. */
static char *
expand_id(const struct conf_register *r)
{
	char host[256] = "";
	struct buf out = { 0 };
	const char *p = r->id;

	(void)!gethostname(host, sizeof host - 1);
	while (*p) {
		if (strncmp(p, "{hostname}", 10) == 0)
			buf_puts(&out, host);
		else if (strncmp(p, "{name}", 6) == 0)
			buf_puts(&out, r->name);
		else if (strncmp(p, "{port}", 6) == 0)
			buf_printf(&out, "%d", (int)r->port);
		else if (strncmp(p, "{eid}", 5) == 0)
			buf_printf(&out, "{%s}", r->eid);
		else {
			buf_add(&out, p++, 1);
			continue;
		}
		p = strchr(p, '}') + 1;
	}
	return buf_take(&out);
}

static void
check_id(const struct reg *g, size_t before)
{
	const struct mark *m = conf_place_of(g->s, "id");
	char *id, q[100];
	size_t i;

	if (is_bad(g->s, "id") || is_bad(g->s, "eid"))
		return;
	check_key_filled_in(g, g->s, "id", g->r->id, false);
	id = expand_id(g->r);
	for (i = 0; i < before; i++) {
		const struct sect *other = g->l->root->kids[i];
		char *theirs;

		if (other->scope != SC_REGISTER || is_bad(other, "id") || is_bad(other, "eid"))
			continue;
		theirs = expand_id(other->obj);
		if (strcmp(id, theirs) == 0) {
			const struct mark *first = conf_place_of(other, "id");

			conf_error(&g->l->errs, m->file, m->line,
			    "%s.id '%s': is that of %s as well (%s:%d); each registration needs its own", g->s->path,
			    conf_quote(g->r->id, q), other->path, g->l->errs.files[first->file], first->line);
		}
		free(theirs);
	}
	free(id);
}

static void
check_service_name(const struct reg *g)
{
	const struct mark *m = conf_place_of(g->s, "name");
	struct buf why = { 0 };

	if (is_bad(g->s, "name"))
		return;
	set_default(&g->r->service, g->r->name);
	if (!conf_check_service_name(g->r->service, &why))
		conf_error(&g->l->errs, m->file, m->line, "%s.name '%s': %s", g->s->path, g->r->service, why.s);
	else if (strchr(g->r->service, '_') != NULL)
		conf_warning(&g->l->errs, m->file, m->line,
		    "%s.name '%s': Consul warns of '_' in a service's name, for it has a meaning of its own in DNS; use '-'",
		    g->s->path, g->r->service);
	buf_free(&why);
}

static void
check_dispatcher(const struct reg *g)
{
	const struct mark *m = conf_mark_of(g->s, "dispatcher"), *mm = conf_mark_of(g->s, "meta");
	const struct conf_pairs *p = &g->r->dispatcher, *meta = &g->r->meta;
	char q[100];
	size_t i, j;

	for (i = 0; i < p->n && !m->bad; i++) {
		const struct conf_dispatcher_key *k = conf_dispatcher_key(p->keys[i]);
		int64_t n;

		if (p->values[i][0] == '\0')
			conf_error(&g->l->errs, m->file, m->elements[i], "%s.dispatcher.%s '': must not be empty", g->s->path, p->keys[i]);
		else if (k->min >= 0 && text_parse_int(p->values[i], k->min, k->max, &n) != 0 &&
		    (k->word == NULL || strcmp(k->word, p->values[i]) != 0))
			conf_error(&g->l->errs, m->file, m->elements[i], "%s.dispatcher.%s '%s': must be a whole number, %d to %d%s%s",
			    g->s->path, p->keys[i], conf_quote(p->values[i], q), (int)k->min, (int)k->max, k->word ? ", or " : "",
			    k->word ? k->word : "");
		for (j = 0; j < meta->n && !mm->bad; j++)
			if (strcmp(meta->keys[j], p->keys[i]) == 0)
				conf_error(&g->l->errs, mm->file, mm->elements[j],
				    "%s.meta.%s: c4d sets this key itself, from dispatcher (%s:%d); remove one of them", g->s->path,
				    p->keys[i], g->l->errs.files[m->file], m->elements[i]);
	}
}

static void
check_meta(const struct reg *g)
{
	const struct mark *m = conf_mark_of(g->s, "meta");
	size_t i;

	for (i = 0; i < g->r->meta.n && !m->bad; i++) {
		char *path = xasprintf("%s.meta.%s", g->s->path, g->r->meta.keys[i]);

		(void)check_filled_in(g, path, g->r->meta.values[i], false, m->file, m->elements[i]);
		free(path);
	}
}

static void
check_stop(const struct reg *g)
{
	static const char *const words[] = {
		[ON_STOP_DEREGISTER] = "deregister", [ON_STOP_MAINTENANCE] = "maintenance", [ON_STOP_KEEP] = "keep",
	};
	const struct mark *m = conf_mark_of(g->s, "drain");
	struct conf_register *r = g->r;
	size_t i;

	for (i = 0; i < NELEM(words); i++)
		if (strcmp(words[i], r->on_stop) == 0)
			r->at_stop = (enum conf_on_stop)i;
	if (r->at_stop != ON_STOP_DEREGISTER && r->drain_ms > 0 && !m->bad && !is_bad(g->s, "on_stop"))
		conf_warning(&g->l->errs, m->file, m->line,
		    "%s.drain: has no effect with on_stop: %s, which does not deregister; remove one of them", g->s->path, r->on_stop);
}

static void
check_eid_source(const struct reg *g)
{
	const struct mark *m = conf_place_of(g->s, "eid");

	if (!m->bad && strcmp(g->r->eid, "asterisk") == 0 && g->l->conf->ari_url == NULL && !is_bad(g->l->root, "ari.url"))
		conf_error(&g->l->errs, m->file, m->line,
		    "%s.eid 'asterisk': needs ari.url, where Asterisk is asked; set it, such as to http://127.0.0.1:8088/ari", g->s->path);
}

static void
check_tagged(const struct reg *g, const struct sect *s)
{
	const struct conf_tagged_address *t = s->obj;

	if (t->address == NULL && !is_bad(s, "address") && !s->at.bad)
		conf_error(&g->l->errs, s->at.file, s->at.line, "%s: needs an address", s->path);
}

void
conf_check_register(struct loader *l, const struct sect *s, size_t before)
{
	const struct reg g = { l, s, s->obj };
	size_t i;

	check_service_name(&g);
	check_id(&g, before);
	check_meta(&g);
	check_dispatcher(&g);
	check_stop(&g);
	check_eid_source(&g);
	for (i = 0; i < s->n_kids; i++)
		if (s->kids[i]->scope == SC_CHECK)
			check_check(&g, s->kids[i]);
		else
			check_tagged(&g, s->kids[i]);
}
