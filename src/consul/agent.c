#include "consul/agent.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "consul/http.h"

#define TTL_MIN_MS 10000
#define EID_PATH "/consul_check"
#define MAINTENANCE "_service_maintenance:"

/* ---- statuses ---- */

static const char *const status_names[] = {
	[AGENT_PASSING] = "passing",
	[AGENT_WARNING] = "warning",
	[AGENT_CRITICAL] = "critical",
	[AGENT_NO_STATUS] = "",
};

const char *
agent_status_name(enum agent_status status)
{
	return status_names[status];
}

enum agent_status
agent_status_parse(const char *text)
{
	enum agent_status s;

	for (s = AGENT_PASSING; s < AGENT_NO_STATUS && text != NULL; s++)
		if (strcmp(text, status_names[s]) == 0)
			return s;
	return AGENT_NO_STATUS;
}

/* ---- texts ---- */

/* Bytes of the UTF-8 character at p, which ends with a NUL at the latest; 0: it is none. */
static size_t
utf8_length(const uint8_t *p)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 }; /* what could be said shorter is none */
	size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0, i;
	uint32_t code = p[0] & (0xffu >> (n + 1));

	if (n < 2)
		return n;
	for (i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	return code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : n;
}

/* jansson takes UTF-8 only, and what it does not take would be missing without a word. The caller frees. */
static char *
clean(const char *s)
{
	struct buf b = { 0 };
	size_t n;

	for (; *s != '\0'; s += n ? n : 1) {
		n = utf8_length((const uint8_t *)s);
		if (n > 0)
			buf_add(&b, s, n);
		else
			buf_puts(&b, "\xef\xbf\xbd");
	}
	return buf_take(&b);
}

static json_t *
text(const char *s)
{
	json_t *j = json_string(s);
	char *cleaned;

	if (j != NULL)
		return j;
	cleaned = clean(s);
	j = json_string(cleaned);
	free(cleaned);
	return j;
}

static void
set_text(json_t *obj, const char *key, const char *s)
{
	char *cleaned = clean(key);

	json_object_set_new(obj, cleaned, text(s));
	free(cleaned);
}

/* "10s", "1500ms": as Go reads it, which knows no days. */
static void
set_duration(json_t *obj, const char *key, int64_t ms)
{
	bool whole = ms % 1000 == 0;

	json_object_set_new(obj, key, json_sprintf("%" PRId64 "%s", whole ? ms / 1000 : ms, whole ? "s" : "ms"));
}

/* ---- places ---- */

enum place { PLACE_ADDRESS, PLACE_PORT, PLACE_ID, PLACE_NAME, PLACE_EID, PLACE_HOSTNAME, PLACE_NONE };

static const char *const place_names[] = { "{address}", "{port}", "{id}", "{name}", "{eid}", "{hostname}" };

struct expansion {
	const struct conf_register *reg;
	const struct agent_places *places;
	bool of_id;    /* the id can't hold itself */
	bool brackets; /* around an IPv6 address */
};

static char *expand(const char *, const struct expansion *);

/* What it stands for, NULL when that is not known. The caller frees. */
static char *
place_value(enum place place, const struct expansion *x)
{
	struct expansion id = { x->reg, x->places, true, true };
	const char *s = "";

	switch (place) {
	case PLACE_ADDRESS:
		s = x->places->address;
		if (x->brackets && strchr(s, ':') != NULL)
			return xasprintf("[%s]", s);
		break;
	case PLACE_PORT:
		return x->reg->port ? xasprintf("%" PRId64, x->reg->port) : NULL;
	case PLACE_ID:
		return x->of_id ? NULL : expand(x->reg->id, &id);
	case PLACE_NAME:
		s = x->reg->name;
		break;
	case PLACE_EID:
		s = x->places->eid;
		break;
	case PLACE_HOSTNAME:
		s = x->places->hostname;
		break;
	case PLACE_NONE:
		break;
	}
	return s[0] ? xstrdup(s) : NULL;
}

static enum place
place_at(const char *s)
{
	enum place p;

	for (p = PLACE_ADDRESS; p < PLACE_NONE; p++)
		if (strncmp(s, place_names[p], strlen(place_names[p])) == 0)
			break;
	return p;
}

static char *
expand(const char *s, const struct expansion *x)
{
	struct buf b = { 0 };
	enum place place;
	char *value;

	while (*s != '\0') {
		place = *s == '{' ? place_at(s) : PLACE_NONE;
		if (place == PLACE_NONE) {
			buf_add(&b, s++, 1);
			continue;
		}
		value = place_value(place, x);
		if (value == NULL) {
			buf_free(&b);
			return NULL;
		}
		buf_puts(&b, value);
		free(value);
		s += strlen(place_names[place]);
	}
	return buf_take(&b);
}

char *
agent_expand(const char *s, const struct conf_register *reg, const struct agent_places *places)
{
	struct expansion x = { reg, places, false, strcmp(s, place_names[PLACE_ADDRESS]) != 0 };

	return expand(s, &x);
}

/* ---- checks ---- */

bool
agent_check_is_ours(const struct conf_check *c)
{
	return c->kind >= CHECK_SIP;
}

int64_t
agent_ttl_ms(const struct conf_check *c)
{
	int64_t ms = 3 * c->interval_ms + c->timeout_ms;

	return ms > TTL_MIN_MS ? ms : TTL_MIN_MS;
}

char *
agent_check_id(const char *registration_id, const struct conf_check *c)
{
	return xasprintf("%s:%s", registration_id, c->name);
}

/* A registration in the making. */
struct making {
	const struct conf_register *reg;
	const struct agent_places *places;
	char *id;
};

/* obj[key] is the template with its places filled in; false: that can't be. */
static bool
set_expanded(json_t *obj, const char *key, const char *template, const struct making *m)
{
	char *s = agent_expand(template, m->reg, m->places);

	if (s == NULL)
		return false;
	set_text(obj, key, s);
	free(s);
	return true;
}

static void
set_rhythm(json_t *check, const struct conf_check *c)
{
	set_duration(check, "Interval", c->interval_ms);
	set_duration(check, "Timeout", c->timeout_ms);
}

static json_t *
new_headers(const struct conf_pairs *pairs)
{
	json_t *headers = json_object(), *values;
	char *key;
	size_t i;

	for (i = 0; i < pairs->n; i++) {
		values = json_array();
		json_array_append_new(values, text(pairs->values[i]));
		key = clean(pairs->keys[i]);
		json_object_set_new(headers, key, values);
		free(key);
	}
	return headers;
}

static bool
fill_http(json_t *check, const struct conf_check *c, const struct making *m)
{
	if (!set_expanded(check, "HTTP", c->url, m))
		return false;
	set_text(check, "Method", c->method);
	if (c->headers.n > 0)
		json_object_set_new(check, "Header", new_headers(&c->headers));
	if (c->tls_skip_verify)
		jsonx_set_bool(check, "TLSSkipVerify", true);
	set_rhythm(check, c);
	return true;
}

static bool
fill_tcp(json_t *check, const struct conf_check *c, const struct making *m)
{
	if (!set_expanded(check, "TCP", c->to, m))
		return false;
	set_rhythm(check, c);
	return true;
}

static bool
fill_ttl(json_t *check, const struct conf_check *c, const struct making *m)
{
	set_duration(check, "TTL", agent_check_is_ours(c) ? agent_ttl_ms(c) : c->ttl_ms);
	return true;
}

/* "http://HOST:PORT" gets the path, a URL with a path of its own keeps it; the question is added. */
static char *
eid_url(const struct conf_check *c, const struct making *m)
{
	char *base = c->url ? xstrdup(c->url) : xasprintf("http://{address}:%u", m->places->http_port), *s = NULL;
	const char *host, *rest;
	struct buf b = { 0 };

	if (m->places->eid[0] && (c->url != NULL || m->places->http_port))
		s = agent_expand(base, m->reg, m->places);
	free(base);
	if (s == NULL)
		return NULL;
	host = strstr(s, "://");
	host = host ? host + 3 : s;
	rest = host + strcspn(host, "/?");
	buf_add(&b, s, (size_t)(rest - s));
	if (rest[0] != '/' || rest[1] == '\0')
		buf_puts(&b, EID_PATH);
	if (strcmp(rest, "/") != 0)
		buf_puts(&b, rest);
	buf_puts(&b, strchr(rest, '?') ? "&expected_eid=" : "?expected_eid=");
	http_add_escaped(&b, m->places->eid);
	free(s);
	return buf_take(&b);
}

static bool
fill_eid(json_t *check, const struct conf_check *c, const struct making *m)
{
	char *url = eid_url(c, m);

	if (url == NULL)
		return false;
	set_text(check, "HTTP", url);
	free(url);
	set_text(check, "Method", "GET");
	if (c->tls_skip_verify)
		jsonx_set_bool(check, "TLSSkipVerify", true);
	set_rhythm(check, c);
	return true;
}

static bool (*const fill[])(json_t *, const struct conf_check *, const struct making *) = {
	[CHECK_HTTP] = fill_http,
	[CHECK_TCP] = fill_tcp,
	[CHECK_TTL] = fill_ttl,
	[CHECK_EID] = fill_eid,
	[CHECK_SIP] = fill_ttl,
	[CHECK_BINRPC] = fill_ttl,
	[CHECK_NG] = fill_ttl,
	[CHECK_EXEC] = fill_ttl,
};

/* Without a status Consul begins with critical; so does a check of ours that has no result yet. */
static const char *
first_status(const struct conf_check *c, const struct agent_check_state *state)
{
	if (!agent_check_is_ours(c))
		return c->status ? c->status : "critical";
	return agent_status_name(state->status == AGENT_NO_STATUS ? AGENT_CRITICAL : state->status);
}

static json_t *
new_check(const struct conf_check *c, const struct agent_check_state *state, const struct making *m)
{
	json_t *check = json_object();
	char *id = agent_check_id(m->id, c);

	set_text(check, "CheckID", id);
	free(id);
	set_text(check, "Name", c->name);
	if (!fill[c->kind](check, c, m)) {
		json_decref(check);
		return NULL;
	}
	set_text(check, "Status", first_status(c, state));
	if (c->deregister_after_ms > 0)
		set_duration(check, "DeregisterCriticalServiceAfter", c->deregister_after_ms);
	return check;
}

/* ---- the registration ---- */

static bool
add_checks(json_t *body, const struct making *m, const struct agent_check_state *states)
{
	json_t *checks = json_array(), *check;
	size_t i;

	json_object_set_new(body, "Checks", checks); /* given away, and still there */
	for (i = 0; i < m->reg->n_checks; i++) {
		if (states[i].off)
			continue;
		check = new_check(m->reg->checks[i], &states[i], m);
		if (check == NULL)
			return false;
		json_array_append_new(checks, check);
	}
	return true;
}

static bool
add_tagged(json_t *body, const struct making *m)
{
	json_t *all = json_object(), *one;
	char *key;
	size_t i;

	json_object_set_new(body, "TaggedAddresses", all);
	for (i = 0; i < m->reg->n_tagged; i++) {
		const struct conf_tagged_address *t = m->reg->tagged[i];
		const char *address = m->places->tagged ? m->places->tagged[i] : t->address;

		one = json_object();
		key = clean(t->name);
		json_object_set_new(all, key, one);
		free(key);
		/* what is left of "{ip:eth1}" and the like is not known here */
		if (address[0] == '\0' || strncmp(address, "{ip", 3) == 0 || !set_expanded(one, "address", address, m))
			return false;
		jsonx_set_int(one, "port", t->port ? t->port : m->reg->port);
	}
	return true;
}

static bool
add_meta(json_t *body, const struct making *m)
{
	const struct conf_register *reg = m->reg;
	json_t *meta = json_object();
	size_t i;

	json_object_set_new(body, "Meta", meta);
	for (i = 0; i < reg->meta.n; i++)
		if (!set_expanded(meta, reg->meta.keys[i], reg->meta.values[i], m))
			return false;
	for (i = 0; i < reg->dispatcher.n; i++)
		set_text(meta, reg->dispatcher.keys[i], reg->dispatcher.values[i]);
	if (m->places->eid[0])
		set_text(meta, "eid", m->places->eid);
	if (m->places->machine[0])
		set_text(meta, "c4d-machine", m->places->machine);
	return true;
}

static void
add_tags(json_t *body, const struct strlist *tags)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < tags->n; i++)
		json_array_append_new(array, text(tags->v[i]));
	json_object_set_new(body, "Tags", array);
}

static void
add_weights(json_t *body, const struct conf_register *reg)
{
	json_t *weights = json_object();

	jsonx_set_int(weights, "Passing", reg->weight);
	jsonx_set_int(weights, "Warning", reg->weight_warning);
	json_object_set_new(body, "Weights", weights);
}

char *
agent_register_body(const struct conf_register *reg, const struct agent_places *places, const struct agent_check_state *states)
{
	struct making m = { reg, places, agent_expand(reg->id, reg, places) };
	json_t *body;
	char *s = NULL;

	if (m.id == NULL)
		return NULL;
	body = json_object();
	set_text(body, "ID", m.id);
	set_text(body, "Name", reg->service);
	add_tags(body, &reg->tags);
	if (places->address[0])
		set_text(body, "Address", places->address);
	jsonx_set_int(body, "Port", reg->port);
	add_weights(body, reg);
	jsonx_set_bool(body, "EnableTagOverride", reg->enable_tag_override);
	if (add_tagged(body, &m) && add_meta(body, &m) && add_checks(body, &m, states))
		s = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	free(m.id);
	return s;
}

char *
agent_update_body(enum agent_status status, const char *output)
{
	json_t *body = json_object();
	char *s;

	set_text(body, "Status", agent_status_name(status == AGENT_NO_STATUS ? AGENT_CRITICAL : status));
	set_text(body, "Output", output ? output : "");
	s = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	return s;
}

/* ---- what the agent says ---- */

struct scan {
	const char *p;
	size_t left;
};

static void
scan_skip(struct scan *s, size_t n)
{
	s->p += n;
	s->left -= n;
}

static void
scan_space(struct scan *s)
{
	while (s->left > 0 && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n'))
		scan_skip(s, 1);
}

static bool
scan_char(struct scan *s, char want)
{
	scan_space(s);
	if (s->left == 0 || *s->p != want)
		return false;
	scan_skip(s, 1);
	return true;
}

/*
 * One value at a time: a tree of the whole takes seven times the body's size. NULs are what an output of somebody's check may
 * hold (Consul passes them on), and would else make all of the answer unreadable.
 */
static json_t *
scan_value(struct scan *s)
{
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL;
	json_error_t err;
	json_t *j = json_loadb(s->p, s->left < AGENT_ENTRY_MAX ? s->left : AGENT_ENTRY_MAX, flags, &err);

	if (j != NULL)
		scan_skip(s, (size_t)err.position);
	return j;
}

/* A list of services or checks in the making. */
struct heard {
	void *v;
	size_t n, cap;
};
typedef bool take_cb(struct heard *, const json_t *); /* false: it is none */

static bool
scan_entry(struct scan *s, take_cb *take, struct heard *h)
{
	json_t *key = scan_value(s), *value = NULL;
	bool ok = json_is_string(key) && scan_char(s, ':');

	if (ok)
		value = scan_value(s);
	ok = json_is_object(value) && take(h, value);
	json_decref(key);
	json_decref(value);
	return ok;
}

/* The answer is one object, whose keys say nothing that is not in its values. */
static bool
scan_all(const char *body, size_t len, take_cb *take, struct heard *h)
{
	struct scan s = { body, len };
	bool ok;

	if (len > AGENT_BODY_MAX || !scan_char(&s, '{'))
		return false;
	ok = scan_char(&s, '}');
	if (!ok) {
		do
			ok = scan_entry(&s, take, h);
		while (ok && scan_char(&s, ','));
		ok = ok && scan_char(&s, '}');
	}
	scan_space(&s);
	return ok && s.left == 0;
}

/* The text at obj[key]; "" when there is none. false: something else is there. The caller frees. */
static bool
get_text(const json_t *obj, const char *key, char **out)
{
	const json_t *j = json_object_get(obj, key);
	size_t len = json_string_length(j), i;

	if (j != NULL && !json_is_string(j) && !json_is_null(j))
		return false;
	*out = xrealloc(NULL, len + 1, 1);
	if (len > 0)
		memcpy(*out, json_string_value(j), len);
	for (i = 0; i < len; i++)
		if ((*out)[i] == '\0')
			(*out)[i] = '?';
	(*out)[len] = '\0';
	return true;
}

static void
service_clear(struct agent_service *s)
{
	free(s->id);
	free(s->name);
	free(s->address);
	free(s->machine);
	free(s->eid);
}

static void
check_clear(struct agent_check *c)
{
	free(c->id);
	free(c->service_id);
	free(c->output);
	free(c->notes);
}

static bool
take_service(struct heard *h, const json_t *j)
{
	const json_t *port = json_object_get(j, "Port"), *meta = json_object_get(j, "Meta");
	struct agent_service s = { 0 };
	json_int_t n = json_integer_value(port);

	if (!get_text(j, "ID", &s.id) || s.id[0] == '\0' || !get_text(j, "Service", &s.name) ||
	    !get_text(j, "Address", &s.address) || !get_text(meta, "c4d-machine", &s.machine) ||
	    !get_text(meta, "eid", &s.eid) || (port != NULL && !json_is_integer(port))) {
		service_clear(&s);
		return false;
	}
	s.port = n > 0 && n <= UINT16_MAX ? (uint16_t)n : 0;
	h->v = xgrow(h->v, h->n, &h->cap, sizeof s);
	((struct agent_service *)h->v)[h->n++] = s;
	return true;
}

static bool
take_check(struct heard *h, const json_t *j)
{
	struct agent_check c = { 0 };
	char *status = NULL;
	bool ok = get_text(j, "CheckID", &c.id) && c.id[0] && get_text(j, "ServiceID", &c.service_id) &&
	    get_text(j, "Output", &c.output) && get_text(j, "Notes", &c.notes) && get_text(j, "Status", &status);

	if (!ok) {
		check_clear(&c);
		return false;
	}
	c.status = agent_status_parse(status);
	free(status);
	h->v = xgrow(h->v, h->n, &h->cap, sizeof c);
	((struct agent_check *)h->v)[h->n++] = c;
	return true;
}

static int
service_cmp(const void *a, const void *b)
{
	return strcmp(((const struct agent_service *)a)->id, ((const struct agent_service *)b)->id);
}

static int
check_cmp(const void *a, const void *b)
{
	const struct agent_check *x = a, *y = b;
	int c = strcmp(x->service_id, y->service_id);

	return c ? c : strcmp(x->id, y->id);
}

/* false: one is there twice. */
static bool
sort(struct heard *h, size_t size, int (*cmp)(const void *, const void *))
{
	const char *v = h->v;
	size_t i;

	if (h->n < 2)
		return true;
	qsort(h->v, h->n, size, cmp);
	for (i = 1; i < h->n; i++)
		if (cmp(v + (i - 1) * size, v + i * size) == 0)
			return false;
	return true;
}

static void
clear_services(struct agent_list *l)
{
	while (l->n_services > 0)
		service_clear(&l->services[--l->n_services]);
	free(l->services);
	l->services = NULL;
}

static void
clear_checks(struct agent_list *l)
{
	while (l->n_checks > 0)
		check_clear(&l->checks[--l->n_checks]);
	free(l->checks);
	l->checks = NULL;
}

int
agent_list_parse(struct agent_list *l, const char *services, size_t len, const char *checks, size_t checks_len)
{
	struct heard s = { 0 }, c = { 0 };
	struct agent_list got;
	bool ok;

	ok = (services == NULL || (scan_all(services, len, take_service, &s) && sort(&s, sizeof *got.services, service_cmp))) &&
	    (checks == NULL || (scan_all(checks, checks_len, take_check, &c) && sort(&c, sizeof *got.checks, check_cmp)));
	got = (struct agent_list){ s.v, s.n, c.v, c.n };
	if (!ok) {
		agent_list_clear(&got);
		return -EBADMSG;
	}
	if (services != NULL) {
		clear_services(l);
		l->services = got.services;
		l->n_services = got.n_services;
	}
	if (checks != NULL) {
		clear_checks(l);
		l->checks = got.checks;
		l->n_checks = got.n_checks;
	}
	return 0;
}

void
agent_list_clear(struct agent_list *l)
{
	clear_services(l);
	clear_checks(l);
}

const struct agent_service *
agent_find(const struct agent_list *l, const char *id)
{
	const struct agent_service key = { .id = (char *)(uintptr_t)id };

	return l->n_services ? bsearch(&key, l->services, l->n_services, sizeof key, service_cmp) : NULL;
}

const struct agent_check *
agent_find_check(const struct agent_list *l, const char *service_id, const char *check_id)
{
	const struct agent_check key = { .id = (char *)(uintptr_t)check_id, .service_id = (char *)(uintptr_t)service_id };

	return l->n_checks ? bsearch(&key, l->checks, l->n_checks, sizeof key, check_cmp) : NULL;
}

const struct agent_check *
agent_find_maintenance(const struct agent_list *l, const char *service_id)
{
	char *id = xasprintf(MAINTENANCE "%s", service_id);
	const struct agent_check *found = agent_find_check(l, service_id, id);

	free(id);
	return found;
}
