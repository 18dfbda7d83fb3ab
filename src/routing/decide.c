#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "deciding.h"

#define EXPLAINED_MAX 20 /* DIDs that were not taken */

/* ---- explanations ---- */

void
deciding_say(const struct rt_env *env, int level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	env->trace(env->trace_arg, level, text);
}

const char *
deciding_name(const struct rt_row *row, char out[192])
{
	static const struct {
		const char *what, *then;
		int column;
	} names[RT_TABLES] = {
		[RT_IPBXS] = { "IPBX", "", IPBX_FQDN },
		[RT_TRUNKS] = { "trunk", "", TRUNK_NAME },
		[RT_RULES] = { "rule", "prefix ", RULE_PREFIX },
		[RT_DIDS] = { "DID", "", DID_REGEX },
		[RT_PROFILES] = { "profile", "", PROFILE_NAME },
	};
	const char *text = row->v[names[row->table].column].s;

	snprintf(out, 192, "%s %" PRId64 " %s%.120s", names[row->table].what, row->v[0].i, names[row->table].then,
	    is_given(text) ? text : "\"\"");
	return out;
}

/* ---- steps 2 and 3: numbers ---- */

static const struct rt_row *
callers_profile(const struct deciding *c)
{
	const struct rt_auth *auth = &c->out->auth;
	int64_t id = RT_NULL;

	if (auth->ipbx != NULL)
		id = auth->ipbx->v[IPBX_PROFILE].i;
	else if (auth->trunk != NULL)
		id = auth->trunk->v[TRUNK_PROFILE].i;
	return id != RT_NULL ? rt_data_find(c->d, RT_PROFILES, id) : NULL;
}

/* Letters and digits: what is a number's. */
static size_t
number_length(const char *user, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++)
		n += isalnum((unsigned char)user[i]) != 0;
	return n;
}

static struct rt_slice
normalize(const struct deciding *c, const struct rt_row *profile, const char *what, struct rt_slice user, char *space)
{
	struct rt_slice number = { space, 0 };
	char plain[RT_USER_MAX];
	size_t len;

	if (user.len > sizeof plain)
		return number;
	len = rt_uri_unescape(user, plain);
	number.len = rt_index_normalize(c->d->index, profile, RT_NORM_IN, plain, len, space);
	if (number.len == 0 && number_length(plain, len) > RT_NUMBER_MAX)
		memcpy(space, plain, number.len = len);
	SAY(c->env, 1, "%s %.*s -> %.*s%s", what, (int)user.len, user.s, (int)number.len, number.s, number.len == 0 ? "(nothing)" : "");
	return number;
}

static void
normalize_numbers(struct deciding *c)
{
	const struct rt_row *profile = callers_profile(c);
	char name[192];

	SAY(c->env, 0, "2 numbers: %s", profile != NULL ? deciding_name(profile, name) : "no profile of the caller: only letters and digits are kept");
	if (c->from_split)
		c->from_number = normalize(c, profile, "From", c->from.user, c->from_space);
	else
		SAY(c->env, 1, "From %s has no user: it stays as it is", c->rq->from_uri);
	c->to_number = normalize(c, profile, "To", c->to.user, c->to_space);
}

static const char *
compose_display(struct rt_decision *out, const char *name)
{
	struct pen p;

	pen_begin(&p, out->scratch, sizeof out->scratch, &out->used);
	pen_display(&p, name != NULL ? name : "", false);
	return pen_end(&p);
}

/* False: nothing can be made of it. What a request parsed by rt_request_parse() holds is well-formed. */
static bool
read_uris(struct deciding *c)
{
	const char *wrong;

	if ((wrong = rt_uri_wrong(c->rq->from_uri, RT_URI_FROM)) != NULL) {
		SAY(c->env, 0, "2 From: %s", wrong);
		return false;
	}
	if ((wrong = rt_uri_wrong(c->rq->to_uri, RT_URI_TO)) != NULL) {
		SAY(c->env, 0, "2 To: %s", wrong);
		return false;
	}
	c->from_split = rt_uri_split(c->rq->from_uri, &c->from);
	if (!rt_uri_split(c->rq->to_uri, &c->to)) {
		SAY(c->env, 0, "2 To: %s is not sip:user@host: it matches nothing", c->rq->to_uri);
		return false;
	}
	c->from_display = compose_display(c->out, c->rq->from_name);
	c->to_display = compose_display(c->out, c->rq->to_name);
	return c->from_display != NULL && c->to_display != NULL;
}

/* ---- steps 4 to 6: whose number or domain is it? ---- */

static bool
is_theirs(const struct deciding *c, const char *tenant)
{
	const struct rt_auth *auth = &c->out->auth;

	return !auth->success || (tenant != NULL && strcmp(tenant, auth->tenant_uuid) == 0);
}

static const struct rt_row *
find_domain(const struct deciding *c)
{
	struct rt_rows rows = rt_index_ipbxs_by_domain(c->d->index, c->to.host.s, c->to.host.len);
	char name[192];
	size_t i;

	SAY(c->env, 0, "4 domain %.*s", (int)c->to.host.len, c->to.host.s);
	for (i = 0; i < rows.n; i++) {
		if (is_theirs(c, rows.v[i]->v[IPBX_TENANT].s)) {
			SAY(c->env, 1, "-> %s:%" PRId64, deciding_name(rows.v[i], name), rows.v[i]->v[IPBX_PORT].i);
			return rows.v[i];
		}
		SAY(c->env, 1, "%s: not of tenant %s", deciding_name(rows.v[i], name), c->out->auth.tenant_uuid);
	}
	SAY(c->env, 1, "no IPBX");
	return NULL;
}

/* As with domains it is the IPBX that has to be theirs. */
static bool
is_their_did(const struct deciding *c, const struct rt_row *did)
{
	const struct rt_row *ipbx = c->out->auth.success ? rt_data_find(c->d, RT_IPBXS, did->v[DID_IPBX].i) : NULL;

	return ipbx == NULL || is_theirs(c, ipbx->v[IPBX_TENANT].s);
}

static bool
take_did(void *arg, const struct rt_row *did)
{
	const struct deciding *c = arg;
	char name[192];

	if (!is_their_did(c, did)) {
		SAY(c->env, 1, "%s: its IPBX is not of tenant %s", deciding_name(did, name), c->out->auth.tenant_uuid);
		return false;
	}
	return true;
}

/* ---- why not other DIDs: all are looked at, for who explains, not for calls ---- */

struct wanted {
	const struct rt_row *did;
	bool matches;
};

static bool
take_wanted(void *arg, const struct rt_row *did)
{
	struct wanted *w = arg;

	return w->matches = did == w->did;
}

static const char *
why_not_did(const struct deciding *c, const struct rt_row *did)
{
	struct wanted w = { did, false };

	if (did->v[DID_IPBX].i == RT_NULL)
		return "it has no IPBX";
	rt_index_did(c->d->index, c->to_number.s, c->to_number.len, take_wanted, &w);
	if (!w.matches)
		return "it does not match";
	return is_their_did(c, did) ? "another one is before it" : NULL; /* that was said */
}

static void
say_other_dids(const struct deciding *c, const struct rt_row *chosen)
{
	const struct rt_list *dids = &c->d->t[RT_DIDS];
	size_t i, said = 0;
	char name[192];

	for (i = 0; i < dids->n && said < EXPLAINED_MAX; i++) {
		const struct rt_row *did = dids->v[i];
		const char *prefix = did->v[DID_PREFIX].s != NULL ? did->v[DID_PREFIX].s : "", *why;
		size_t len = strlen(prefix);

		if (did == chosen || len > c->to_number.len || memcmp(prefix, c->to_number.s, len) != 0)
			continue;
		why = why_not_did(c, did);
		if (why == NULL)
			continue;
		SAY(c->env, 1, "%s: %s", deciding_name(did, name), why);
		said++;
	}
}

static const struct rt_row *
find_did(struct deciding *c)
{
	const struct rt_row *did = NULL, *ipbx;
	char name[192], to[192];

	SAY(c->env, 0, "5 DIDs of %.*s%s", (int)c->to_number.len, c->to_number.s, c->to_number.len == 0 ? "(nothing)" : "");
	if (c->to_number.len <= RT_NUMBER_MAX)
		did = rt_index_did(c->d->index, c->to_number.s, c->to_number.len, take_did, c);
	if (c->env->trace != NULL)
		say_other_dids(c, did);
	ipbx = did != NULL ? rt_data_find(c->d, RT_IPBXS, did->v[DID_IPBX].i) : NULL;
	if (ipbx == NULL) {
		SAY(c->env, 1, "none");
		return NULL;
	}
	SAY(c->env, 1, "%s -> %s:%" PRId64, deciding_name(did, name), deciding_name(ipbx, to), ipbx->v[IPBX_PORT].i);
	return ipbx;
}

static void
inbound(struct deciding *c)
{
	const struct rt_row *ipbx = find_domain(c);
	char name[192];

	if (ipbx == NULL)
		ipbx = find_did(c);
	else
		SAY(c->env, 0, "5 DIDs: not looked at, the domain decides");
	SAY(c->env, 0, "6 inbound: %s", ipbx != NULL ? deciding_name(ipbx, name) : "no");
	if (ipbx == NULL)
		return;
	deciding_add_ipbx(c, ipbx, NULL);
	if (c->out->n > 0)
		c->out->account = ipbx->v[IPBX_TENANT].s;
}

/* ---- the whole ---- */

/* Behind all others, in their order. */
static void
put_dead_last(struct rt_decision *out)
{
	struct rt_route dead[RT_ROUTES_MAX];
	size_t i, n = 0, alive = 0;

	for (i = 0; i < out->n; i++) {
		if (out->routes[i].dead)
			dead[n++] = out->routes[i];
		else if (alive++ != i)
			out->routes[alive - 1] = out->routes[i];
	}
	if (n > 0 && n < out->n)
		memcpy(out->routes + alive, dead, n * sizeof *dead);
}

/* Of the first trunk that has them, else the first IPBX. */
static void
set_credentials(struct rt_decision *out)
{
	const struct rt_route *best = NULL;
	size_t i;

	for (i = 0; i < out->n && (best == NULL || best->trunk == NULL); i++)
		if (out->routes[i].auth_username != NULL && (best == NULL || out->routes[i].trunk != NULL))
			best = &out->routes[i];
	if (best == NULL)
		return;
	out->auth_username = best->auth_username;
	out->auth_password = best->auth_password;
	out->realm = best->realm;
}

/* What is in it, its readers have. */
static void
say_answer(const struct deciding *c)
{
	const struct rt_decision *out = c->out;

	if (out->n == 0)
		SAY(c->env, 0, "8 answer: not found");
	else
		SAY(c->env, 0, "8 answer: %zu %s, %s", out->n, out->n == 1 ? "route" : "routes", out->parallel ? "parallel" : "serial");
}

void
rt_decide(const struct rt_data *d, const struct rt_request *rq, const struct rt_env *env, struct rt_decision *out)
{
	struct deciding c;

	c.d = d;
	c.rq = rq;
	c.env = env;
	c.out = out;
	c.from_number = (struct rt_slice){ "", 0 };
	out->auth = (struct rt_auth){ 0 };
	out->parallel = false;
	out->n = 0;
	out->used = 0;
	out->auth_username = out->auth_password = out->realm = out->account = NULL;
	if (rq->auth)
		deciding_authenticate(d, rq, env, &out->auth);
	else
		SAY(env, 0, "1 who: the request does not ask");
	if (read_uris(&c)) {
		normalize_numbers(&c);
		inbound(&c);
		deciding_outbound(&c, &out->parallel);
		put_dead_last(out);
		set_credentials(out);
	}
	if (env->trace != NULL)
		say_answer(&c);
}
