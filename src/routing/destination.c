#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "deciding.h"
#include "routing/password.h"

#define SERVICE "service:"

/* What the calls of a route look like: the same for all instances of a service. */
struct target {
	const struct rt_row *ipbx, *trunk, *rule;
	const struct rt_row *profile;
	const char *host; /* or "service:NAME" */
	int64_t port;
	bool keeps_ports; /* of From and To */
	const char *username, *password, *realm;
};

/* ---- headers ---- */

/* By the destination's profile. What is too long for that stays. */
static struct rt_slice
number_out(const struct deciding *c, const struct rt_row *profile, struct rt_slice number, char *space)
{
	if (profile == NULL || number.len > RT_NUMBER_MAX)
		return number;
	return (struct rt_slice){ space, rt_index_normalize(c->d->index, profile, RT_NORM_OUT, number.s, number.len, space) };
}

static const char *
compose_uri(struct pen *p, const struct rt_uri *u, struct rt_slice number, bool keeps_port)
{
	pen_uri(p, u->scheme, number, u->host, keeps_port ? u->port : (struct rt_slice){ "", 0 });
	return pen_end(p);
}

static const char *
compose_extra(struct pen *p, const struct deciding *c, struct rt_slice number)
{
	pen_puts(p, "P-Asserted-Identity: ");
	if (is_given(c->rq->from_name)) {
		pen_display(p, c->rq->from_name, true);
		pen_add(p, " ", 1);
	}
	pen_add(p, "<", 1);
	if (c->from_split) {
		pen_uri(p, c->from.scheme, number, c->from.host, (struct rt_slice){ "", 0 });
	} else {
		if (strchr(c->rq->from_uri, ':') == NULL)
			pen_puts(p, "sip:");
		pen_puts(p, c->rq->from_uri);
	}
	pen_add(p, ">\r\n", 3);
	return pen_end(p);
}

static void
begin(struct pen *p, struct rt_decision *out)
{
	pen_begin(p, out->scratch, sizeof out->scratch, &out->used);
}

/* False: no room. */
static bool
compose_headers(struct deciding *c, const struct target *t, struct rt_route *r)
{
	char space[RT_NUMBER_MAX + 2];
	struct rt_slice from, to;
	struct pen p;

	to = number_out(c, t->profile, c->to_number, space);
	begin(&p, c->out);
	r->to_uri = compose_uri(&p, &c->to, to, t->keeps_ports);
	from = number_out(c, t->profile, c->from_number, space);
	r->from_uri = c->rq->from_uri;
	if (c->from_split) {
		begin(&p, c->out);
		r->from_uri = compose_uri(&p, &c->from, from, t->keeps_ports);
	}
	begin(&p, c->out);
	r->extra = compose_extra(&p, c, from);
	r->from_display = c->from_display;
	r->to_display = c->to_display;
	return r->to_uri != NULL && r->from_uri != NULL && r->extra != NULL;
}

/* ---- credentials ---- */

static void
set_credentials(const struct deciding *c, const struct target *t, struct rt_route *r)
{
	if (!is_given(t->username) || !is_given(t->password) || !is_given(t->realm))
		return;
	if (password_is_hash(t->password)) {
		SAY(c->env, 1, "  without credentials: its password is stored as a hash, which answers no challenge; store it as plain text");
		return;
	}
	r->auth_username = t->username;
	r->auth_password = t->password;
	r->realm = t->realm;
}

/* ---- the list ---- */

static bool
is_same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* The same place for another account is another destination. */
static bool
is_listed(const struct rt_decision *out, const struct rt_route *r)
{
	size_t i;

	for (i = 0; i < out->n; i++)
		if (strcasecmp(out->routes[i].dst_uri, r->dst_uri) == 0 && is_same(out->routes[i].auth_username, r->auth_username) &&
		    is_same(out->routes[i].realm, r->realm))
			return true;
	return false;
}

static bool
is_bare_ipv6(const char *host)
{
	return host[0] != '[' && strchr(host, ':') != NULL;
}

static bool
is_place(const char *host, int64_t port)
{
	size_t len = strlen(host);

	return port >= 1 && port <= 65535 && (is_bare_ipv6(host) ? rt_uri_is_ipv6(host, len) : rt_uri_is_host(host, len));
}

static const char *
compose_dst(struct rt_decision *out, const char *host, int64_t port)
{
	bool bare = is_bare_ipv6(host);
	char number[8];
	struct pen p;
	size_t at = sizeof number;

	do
		number[--at] = (char)('0' + port % 10);
	while ((port /= 10) != 0);
	begin(&p, out);
	pen_puts(&p, bare ? "sip:[" : "sip:");
	pen_puts(&p, host);
	pen_puts(&p, bare ? "]:" : ":");
	pen_add(&p, number + at, sizeof number - at);
	return pen_end(&p);
}

static bool
is_dead(const struct deciding *c, const char *host, int64_t port)
{
	return c->env->dead != NULL && c->env->dead(c->env->arg, host, (uint16_t)port);
}

/* `like`: all but the place. False: the list is full, or the space. */
static bool
add_place(struct deciding *c, const struct rt_route *like, const char *host, int64_t port)
{
	struct rt_decision *out = c->out;
	struct rt_route *r = &out->routes[out->n];
	size_t used = out->used;

	if (!is_place(host, port)) {
		SAY(c->env, 1, "  left out: \"%.100s\" and port %lld are no place in a SIP URI", host, (long long)port);
		return true;
	}
	if (out->n == RT_ROUTES_MAX) {
		SAY(c->env, 1, "  %s:%lld left out: an answer has %d routes at most", host, (long long)port, RT_ROUTES_MAX);
		return false;
	}
	*r = *like;
	r->dst_uri = compose_dst(out, host, port);
	if (r->dst_uri == NULL) {
		SAY(c->env, 1, "  %s:%lld left out: the answer would be too long", host, (long long)port);
		return false;
	}
	if (is_listed(out, r)) {
		SAY(c->env, 1, "  %s is in the list already", r->dst_uri);
		out->used = used;
		return true;
	}
	r->dead = is_dead(c, host, port);
	out->n++;
	return true;
}

static void
add_instances(struct deciding *c, const struct rt_route *like, const char *service)
{
	struct rt_place places[RT_ROUTES_MAX];
	size_t n, i;

	n = c->env->expand != NULL ? c->env->expand(c->env->arg, service, places, RT_ROUTES_MAX) : 0;
	if (n == 0)
		SAY(c->env, 1, "  left out: service %s has no living instance", service);
	for (i = 0; i < n && i < RT_ROUTES_MAX; i++)
		if (!add_place(c, like, places[i].host, places[i].port))
			return;
}

static void
add(struct deciding *c, const struct target *t)
{
	struct rt_route like = { .ipbx = t->ipbx, .trunk = t->trunk, .rule = t->rule };
	size_t used = c->out->used, n = c->out->n;

	if (!is_given(t->host))
		return;
	if (!compose_headers(c, t, &like)) {
		SAY(c->env, 1, "  left out: the answer would be too long");
		c->out->used = used;
		return;
	}
	set_credentials(c, t, &like);
	if (strncmp(t->host, SERVICE, strlen(SERVICE)) == 0)
		add_instances(c, &like, t->host + strlen(SERVICE));
	else
		add_place(c, &like, t->host, t->port);
	if (c->out->n == n)
		c->out->used = used;
}

static const struct rt_row *
profile_of(const struct deciding *c, int64_t id)
{
	return id != RT_NULL ? rt_data_find(c->d, RT_PROFILES, id) : NULL;
}

void
deciding_add_ipbx(struct deciding *c, const struct rt_row *ipbx, const struct rt_row *rule)
{
	add(c, &(struct target){
		.ipbx = ipbx,
		.rule = rule,
		.profile = profile_of(c, ipbx->v[IPBX_PROFILE].i),
		.host = ipbx->v[IPBX_FQDN].s,
		.port = ipbx->v[IPBX_PORT].i,
		.username = ipbx->v[IPBX_USERNAME].s,
		.password = ipbx->v[IPBX_PASSWORD].s,
		.realm = ipbx->v[IPBX_REALM].s,
	});
}

void
deciding_add_trunk(struct deciding *c, const struct rt_row *trunk, const struct rt_row *rule)
{
	add(c, &(struct target){
		.trunk = trunk,
		.rule = rule,
		.profile = profile_of(c, trunk->v[TRUNK_PROFILE].i),
		.host = trunk->v[TRUNK_PROXY].s,
		.port = trunk->v[TRUNK_PROXY_PORT].i,
		.keeps_ports = true,
		.username = trunk->v[TRUNK_USERNAME].s,
		.password = trunk->v[TRUNK_PASSWORD].s,
		.realm = trunk->v[TRUNK_REALM].s,
	});
}

void
deciding_add_destination(struct deciding *c, const struct rt_row *rule)
{
	add(c, &(struct target){ .rule = rule, .host = rule->v[RULE_DESTINATION].s, .port = 5060 });
}
