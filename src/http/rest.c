/*
 * rest: one handler per method; which resource it is, its path says. A request is a `struct call` until it is answered: it is
 * let in (access.c), looked at with what is served then, and a change goes through routing_change(). A PUT changes some columns
 * of a row, so it begins with what the change before it made of that row: it waits for that.
 */
#include "http/rest.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/app.h"
#include "http/access.h"
#include "rest_reply.h"
#include "routing/request.h"
#include "scope.h"

#define BODY_MAX 65536
#define CDR_PART 1000     /* CDRs that are read at once, of a principal of several tenants */
#define CDR_PATIENCE_MS 8000 /* within httpd's deadline */

enum op { OP_LIST, OP_GET, OP_ADD, OP_PUT, OP_DELETE };

struct call { /* in the list of all until it is answered */
	struct call *next;
	struct app *app;
	struct httpd_req *r;
	enum op op;
	enum rt_table table;
	int64_t id;        /* of the row; of tenants: */
	char uuid[40];
	bool from_page;    /* a web page in a browser asks */
	struct principal who;
	bool changing, waiting;
	size_t offset, limit;
	/* of CDRs, for a principal of several tenants */
	uint64_t after;
	int64_t began_ms;
	struct buf items;  /* of a list */
	size_t n_items;
};

static struct call *calls;

/* ---- answers ---- */

static void
call_free(struct call *c)
{
	struct call **at = &calls;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	principal_clear(&c->who);
	buf_free(&c->items);
	free(c);
}

static void
reply_row(struct call *c, const struct rt_row *row)
{
	httpd_reply_json(c->r, 200, rt_row_json(row, 0));
	call_free(c);
}

/* As text, at once: a thousand rows as trees would keep the loop for long. */
static void
add_item(struct call *c, const struct rt_row *row)
{
	buf_puts(&c->items, c->n_items++ > 0 ? "," : "{\"items\":[");
	rt_row_write(row, 0, &c->items);
}

static void
reply_items(struct call *c)
{
	buf_puts(&c->items, c->n_items > 0 ? "]}" : "{\"items\":[]}");
	httpd_reply_buf(c->r, 200, &c->items);
	call_free(c);
}

static void
reply_not_found(struct call *c)
{
	rest_reply_not_found(c->r, c->table);
	call_free(c);
}

static void
reply_wrong(struct call *c, json_t *wrong)
{
	rest_reply_wrong(c->r, wrong);
	call_free(c);
}

static void
reply_later(struct call *c, const char *detail)
{
	rest_reply_later(c->r, detail);
	call_free(c);
}

static void
reply_forbidden(struct call *c, const char *column)
{
	if (column != NULL)
		httpd_reply_error(c->r, 403, "%s names what belongs to none of the token's tenants", column);
	else
		httpd_reply_error(c->r, 403, "this %s is not, or not only, of the token's tenants", rt_schemas[c->table].title);
	call_free(c);
}

/* ---- what was asked ---- */

static char
dash(char c)
{
	return c == '_' ? '-' : c;
}

/* As its path says it; '_' and '-' are the same there. -1: none. */
static int
table_of(const char *path)
{
	size_t i, len;
	int t;

	path += strlen("/1.0/");
	len = strcspn(path, "/");
	for (t = 0; t < RT_ALL; t++) {
		const char *name = rt_schemas[t].path;

		for (i = 0; i < len && dash(name[i]) == dash(path[i]); i++)
			;
		if (i == len && name[i] == '\0')
			return t;
	}
	return -1;
}

/* false, and *wrong has one more: it must be a number within min..max. */
static bool
read_number(struct call *c, const char *key, int64_t min, int64_t max, size_t *out, json_t *wrong)
{
	const char *text = httpd_query(c->r, key);
	char why[96];
	int64_t v;

	if (text == NULL)
		return true;
	if (text_parse_int(text, min, max, &v) == 0) {
		*out = (size_t)v;
		return true;
	}
	snprintf(why, sizeof why, "must be a number within %lld and %lld", (long long)min, (long long)max);
	rest_wrong_add(wrong, "query", key, "value_error", why);
	return false;
}

/* Answered if false. */
static bool
read_page(struct call *c)
{
	json_t *wrong = rest_wrong_new();
	bool fine;

	c->limit = REST_LIMIT;
	fine = read_number(c, "offset", 0, REST_OFFSET_MAX, &c->offset, wrong);
	fine &= read_number(c, "limit", 1, REST_LIMIT_MAX, &c->limit, wrong);
	if (fine) {
		json_decref(wrong);
		return true;
	}
	reply_wrong(c, wrong);
	return false;
}

/* The row's key; answered if false. A number that no row can have is not found. */
static bool
read_key(struct call *c)
{
	const char *id = httpd_id(c->r);
	json_t *wrong;
	size_t i;
	int err;

	if (c->table == RT_TENANTS) {
		for (i = 0; id[i] != '\0' && i + 1 < sizeof c->uuid; i++) /* as rows have it */
			c->uuid[i] = (char)tolower((unsigned char)id[i]);
		return true;
	}
	err = text_parse_int(id, 1, INT64_MAX - 1, &c->id);
	if (err == 0)
		return true;
	if (err == -ERANGE) {
		reply_not_found(c);
		return false;
	}
	wrong = rest_wrong_new();
	rest_wrong_add(wrong, "path", "id", "type_error.integer", "value is not a valid integer");
	reply_wrong(c, wrong);
	return false;
}

static json_t *
read_body(struct call *c)
{
	json_error_t error;
	size_t len;
	const char *body = httpd_body(c->r, &len);
	json_t *o = json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);

	if (json_is_object(o))
		return o;
	/* jansson's text repeats a part of the body, which may be a password. */
	if (o != NULL)
		httpd_reply_error(c->r, 400, "the body must be a JSON object");
	else
		httpd_reply_error(c->r, 400, "the body is no JSON object in UTF-8 (line %d, column %d)", error.line, error.column);
	json_decref(o);
	call_free(c);
	return NULL;
}

struct reports {
	const struct rt_schema *schema;
	const json_t *body;
	json_t *wrong;
};

static void
on_report(void *arg, const char *path, const char *text)
{
	struct reports *w = arg;
	int column = rt_column_find(w->schema, path);
	bool missing = column >= 0 && (w->schema->cols[column].flags & RT_REQUIRED) && json_object_get(w->body, path) == NULL;

	if (missing)
		rest_wrong_add(w->wrong, "body", path, "value_error.missing", "field required");
	else
		rest_wrong_add(w->wrong, "body", path, "value_error", text);
}

/* base: NULL: a new row. Answered if NULL. */
static struct rt_row *
read_row(struct call *c, const struct rt_row *base)
{
	struct reports w = { .schema = &rt_schemas[c->table], .wrong = rest_wrong_new() };
	json_t *body = read_body(c);
	struct rt_row *row = NULL;
	int err;

	if (body == NULL) {
		json_decref(w.wrong);
		return NULL;
	}
	w.body = body;
	if (base == NULL && c->table != RT_TENANTS)
		json_object_del(body, rt_schemas[c->table].cols[0].name);
	/* The HA1 of the password before is not that of another. */
	if (c->table == RT_IPBXS && json_object_get(body, "password") != NULL && json_object_get(body, "password_ha1") == NULL)
		json_object_set_new(body, "password_ha1", json_null());
	err = rt_row_parse(&row, c->table, body, base, RT_ROW_NO_ID, "", on_report, &w);
	json_decref(body);
	if (err != 0) {
		reply_wrong(c, w.wrong);
		return NULL;
	}
	json_decref(w.wrong);
	return row;
}

/* ---- changes ---- */

static void put_row(struct call *c);

static bool
is_same_row(const struct call *a, const struct call *b)
{
	if (a->app != b->app || a->table != b->table)
		return false;
	return a->table == RT_TENANTS ? strcmp(a->uuid, b->uuid) == 0 : a->id == b->id;
}

/* One of those who wait to change the same row; the others wait on. */
static void
wake_next(const struct call *done, bool stopping)
{
	struct call *c, *first = NULL;

	for (c = calls; c != NULL; c = c->next) /* the newest are in front */
		if (c->waiting && is_same_row(c, done))
			first = c;
	if (first == NULL)
		return;
	first->waiting = false;
	if (!stopping) {
		put_row(first);
		return;
	}
	reply_later(first, "c4d is stopping");
	wake_next(done, stopping);
}

/* Whose data it is to change. */
static void
reply_elsewhere(struct call *c)
{
	const struct conf *conf = c->app->conf;

	if (conf->routing_file != NULL)
		httpd_reply_error(c->r, 409, "the routing data is that of the file %s (routing.file): change it there",
		    conf->routing_file);
	else
		httpd_reply_error(c->r, 409, "the routing data is that of Consul's key %s (routing.kv): change it there",
		    conf->routing_kv != NULL ? conf->routing_kv : "");
}

static void
on_changed(void *arg, int err, const struct rt_row *row, const struct rt_refusal *refusal)
{
	struct call *c = arg;
	struct call done = { .app = c->app, .table = c->table, .id = c->id };
	char why[160];

	memcpy(done.uuid, c->uuid, sizeof done.uuid);
	if (err == 0) {
		httpd_reply_json(c->r, 200, rt_row_json(row, 0));
	} else if (err == -EPERM) {
		reply_elsewhere(c);
	} else if (err == -EINVAL && refusal != NULL && refusal->what != RT_FINE) {
		rest_reply_refusal(c->r, c->table, refusal, loop_wall_ms(c->app->loop));
	} else if (err == -ECANCELED) {
		rest_reply_later(c->r, "c4d is stopping");
	} else {
		snprintf(why, sizeof why, "the change could not be stored, so it was not made: %s; c4d's log says more",
		    strerror(-err));
		rest_reply_later(c->r, why);
	}
	call_free(c);
	wake_next(&done, err == -ECANCELED);
}

static void
change(struct call *c, const struct rt_change *change)
{
	c->changing = true;
	routing_change(c->app->routing, change, on_changed, c);
}

/* The row as it is to be: may he write that? Answered if false. */
static bool
may_put(struct call *c, const struct rt_data *data, const struct rt_row *row)
{
	int column = scope_foreign(&c->who, data, row);

	if (column < 0 && scope_of(&c->who, data, row) == SCOPE_WRITE)
		return true;
	reply_forbidden(c, column >= 0 ? rt_schemas[c->table].cols[column].name : NULL);
	return false;
}

static void
on_cdr_added(void *arg, int err, const struct rt_row *row)
{
	struct call *c = arg;
	char why[160];

	if (err == 0) {
		reply_row(c, row);
		return;
	}
	snprintf(why, sizeof why, "the CDR could not be stored: %s", strerror(-err));
	reply_later(c, why);
}

static void
add_cdr(struct call *c, const struct rt_data *data, struct rt_row *row)
{
	json_t *wrong;
	int err;

	if (data == NULL || rt_data_find_tenant(data, row->v[CDR_TENANT].s) == NULL) {
		wrong = rest_wrong_new();
		rest_wrong_add(wrong, "body", "tenant_uuid", "value_error", "there is no such tenant");
		reply_wrong(c, wrong);
		return;
	}
	err = cdrs_add(routing_cdrs(c->app->routing), row, on_cdr_added, c);
	if (err != 0)
		on_cdr_added(c, err, NULL);
}

static void
add_row(struct call *c)
{
	const struct rt_data *data = routing_data(c->app->routing);
	struct rt_change put = { .table = c->table, .id = RT_NULL, .create = true };
	struct rt_row *row;

	if (c->table == RT_TENANTS && c->who.limited) {
		httpd_reply_error(c->r, 403, "tenants are not made by those whose token is limited to some");
		call_free(c);
		return;
	}
	row = read_row(c, NULL);
	if (row == NULL)
		return;
	if (may_put(c, data, row)) {
		put.put = row;
		if (c->table == RT_CDRS)
			add_cdr(c, data, row);
		else
			change(c, &put);
	}
	rt_row_unref(row);
}

static const struct rt_row *
find_row(const struct call *c)
{
	const struct rt_data *data = routing_data(c->app->routing);
	const struct rt_row *row;

	if (data == NULL)
		return NULL;
	row = c->table == RT_TENANTS ? rt_data_find_tenant(data, c->uuid) : rt_data_find(data, c->table, c->id);
	return row != NULL && scope_of(&c->who, data, row) != SCOPE_NONE ? row : NULL;
}

/* The row that is to be changed; answered if NULL. */
static const struct rt_row *
find_to_change(struct call *c)
{
	const struct rt_row *row = find_row(c);

	if (row == NULL) {
		reply_not_found(c);
		return NULL;
	}
	if (scope_of(&c->who, routing_data(c->app->routing), row) == SCOPE_WRITE)
		return row;
	reply_forbidden(c, NULL);
	return NULL;
}

static void
put_row(struct call *c)
{
	struct rt_change put = { .table = c->table, .id = c->id, .uuid = c->uuid };
	const struct rt_row *base;
	const struct call *other;

	for (other = calls; other != NULL; other = other->next)
		if (other->changing && is_same_row(other, c)) {
			c->waiting = true;
			return;
		}
	base = find_to_change(c);
	put.put = base != NULL ? read_row(c, base) : NULL;
	if (put.put == NULL) /* and answered */
		return;
	if (may_put(c, routing_data(c->app->routing), put.put))
		change(c, &put);
	rt_row_unref(put.put);
}

static void
delete_row(struct call *c)
{
	struct rt_change gone = { .table = c->table, .id = c->id, .uuid = c->uuid };

	if (find_to_change(c) != NULL)
		change(c, &gone);
}

/* ---- questions ---- */

static void
list_rows(struct call *c)
{
	const struct rt_data *data = routing_data(c->app->routing);
	const struct rt_list *list = data != NULL ? &data->t[c->table] : NULL;
	size_t i = 0, skip = c->offset;

	if (list != NULL && !c->who.limited) {
		i = skip < list->n ? skip : list->n;
		skip = 0;
	}
	for (; list != NULL && i < list->n && c->n_items < c->limit; i++) {
		if (scope_of(&c->who, data, list->v[i]) == SCOPE_NONE)
			continue;
		if (skip > 0)
			skip--;
		else
			add_item(c, list->v[i]);
	}
	reply_items(c);
}

static void
get_row(struct call *c)
{
	const struct rt_row *row = find_row(c);

	if (row != NULL)
		reply_row(c, row);
	else
		reply_not_found(c);
}

static void
cdr_failed(struct call *c, int err)
{
	char why[160];

	snprintf(why, sizeof why, "the CDRs could not be read: %s", strerror(-err));
	reply_later(c, why);
}

static void
on_cdr(void *arg, int err, struct rt_row **rows, size_t n)
{
	struct call *c = arg;

	if (err != 0)
		cdr_failed(c, err);
	else if (n == 0 || rt_row_id(rows[0]) != c->id || scope_of(&c->who, NULL, rows[0]) == SCOPE_NONE)
		reply_not_found(c);
	else
		reply_row(c, rows[0]);
}

static void
get_cdr(struct call *c)
{
	struct cdr_query q = { .after = (uint64_t)c->id - 1, .limit = 1 };

	cdrs_list(routing_cdrs(c->app->routing), &q, on_cdr, c);
}

static void
on_cdrs(void *arg, int err, struct rt_row **rows, size_t n)
{
	struct call *c = arg;
	size_t i;

	if (err != 0) {
		cdr_failed(c, err);
		return;
	}
	for (i = 0; i < n; i++)
		add_item(c, rows[i]);
	reply_items(c);
}

static void next_cdrs(struct call *c);

/* Of several tenants: a part of all, of which some are his. */
static void
on_cdr_part(void *arg, int err, struct rt_row **rows, size_t n)
{
	struct call *c = arg;
	size_t i;

	if (err != 0) {
		cdr_failed(c, err);
		return;
	}
	for (i = 0; i < n && c->n_items < c->limit; i++) {
		c->after = (uint64_t)rt_row_id(rows[i]);
		if (scope_of(&c->who, NULL, rows[i]) == SCOPE_NONE)
			continue;
		if (c->offset > 0)
			c->offset--;
		else
			add_item(c, rows[i]);
	}
	if (n < CDR_PART || c->n_items == c->limit)
		reply_items(c);
	else if (loop_now_ms(c->app->loop) - c->began_ms > CDR_PATIENCE_MS)
		reply_later(c, "too many CDRs are of other tenants: name one of yours by the header Wazo-Tenant");
	else
		next_cdrs(c);
}

static void
next_cdrs(struct call *c)
{
	struct cdr_query q = { .after = c->after, .limit = CDR_PART };

	cdrs_list(routing_cdrs(c->app->routing), &q, on_cdr_part, c);
}

static void
list_cdrs(struct call *c)
{
	struct cdr_query q = { .limit = c->limit, .skip = c->offset };

	if (c->who.limited && c->who.n == 0) {
		reply_items(c);
	} else if (c->who.limited && c->who.n > 1) {
		c->began_ms = loop_now_ms(c->app->loop);
		next_cdrs(c);
	} else {
		q.tenant_uuid = c->who.limited ? c->who.tenants[0] : NULL;
		cdrs_list(routing_cdrs(c->app->routing), &q, on_cdrs, c);
	}
}

/* ---- every request ---- */

/* Is there something to answer from? Answered if false. Where only this interface makes the data, it begins with nothing. */
static bool
is_ready(struct call *c)
{
	const struct conf *conf = c->app->conf;

	if (routing_data(c->app->routing) != NULL)
		return true;
	if (routing_ready(c->app->routing) && conf->routing_file == NULL && conf->routing_kv == NULL)
		return true;
	reply_later(c, routing_ready(c->app->routing) ? "there is no routing data yet: c4ctl show routing says why" :
	    "the routing data is being loaded");
	return false;
}

static void
on_access(void *arg, int status, const char *detail, const struct principal *who)
{
	static void (*const ops[])(struct call *) = {
		[OP_LIST] = list_rows, [OP_GET] = get_row, [OP_ADD] = add_row, [OP_PUT] = put_row, [OP_DELETE] = delete_row,
	};
	struct call *c = arg;

	if (status == 503) {
		reply_later(c, detail);
		return;
	}
	if (status == 0 && who->anonymous && c->from_page) {
		status = 403;
		detail = "without a token, no web page may ask (the request has an Origin header): set routing.token_file";
	}
	if (status != 0) {
		httpd_reply_error(c->r, status, "%s", detail);
		call_free(c);
		return;
	}
	principal_copy(&c->who, who);
	if (c->op == OP_LIST ? !read_page(c) : c->op != OP_ADD && !read_key(c))
		return;
	if (!is_ready(c))
		return;
	if (c->table == RT_CDRS && c->op == OP_LIST)
		list_cdrs(c);
	else if (c->table == RT_CDRS && c->op == OP_GET)
		get_cdr(c);
	else
		ops[c->op](c);
}

static void
begin(struct httpd_req *r, void *arg, enum op op)
{
	struct app *a = arg;
	struct call *c;

	if (!a->conf->routing_api) {
		httpd_reply_error(r, 404, "the REST interface is off: routing.api: true in c4d's configuration turns it on");
		return;
	}
	c = xcalloc(1, sizeof *c);
	c->app = a;
	c->r = r;
	c->op = op;
	c->table = (enum rt_table)table_of(httpd_path(r)); /* each route's is one */
	c->from_page = httpd_header(r, "Origin") != NULL;
	c->next = calls;
	calls = c;
	access_check(a->access, httpd_header(r, "X-Auth-Token"), httpd_header(r, "Wazo-Tenant"), on_access, c);
}

static void
on_list(struct httpd_req *r, void *arg)
{
	begin(r, arg, OP_LIST);
}

static void
on_get(struct httpd_req *r, void *arg)
{
	begin(r, arg, OP_GET);
}

static void
on_add(struct httpd_req *r, void *arg)
{
	begin(r, arg, OP_ADD);
}

static void
on_put(struct httpd_req *r, void *arg)
{
	begin(r, arg, OP_PUT);
}

static void
on_delete(struct httpd_req *r, void *arg)
{
	begin(r, arg, OP_DELETE);
}

#define GET_AND_ADD(path)                                                                                                      \
	{ HTTPD_GET, "/1.0/" path, 0, on_list }, { HTTPD_POST, "/1.0/" path, BODY_MAX, on_add },                               \
	    { HTTPD_GET, "/1.0/" path "/{id}", 0, on_get }
#define RESOURCE(path)                                                                                                         \
	GET_AND_ADD(path), { HTTPD_PUT, "/1.0/" path "/{id}", BODY_MAX, on_put },                                              \
	    { HTTPD_DELETE, "/1.0/" path "/{id}", 0, on_delete }

/* The schema's paths, with either dash; tests/unit/test_rest.c compares them. */
const struct httpd_route rest_routes[] = {
	RESOURCE("tenants"),
	RESOURCE("domains"),
	RESOURCE("carriers"),
	RESOURCE("carrier_trunks"),
	RESOURCE("carrier-trunks"),
	RESOURCE("ipbxs"),
	RESOURCE("dids"),
	RESOURCE("normalization-profiles"),
	RESOURCE("normalization_profiles"),
	RESOURCE("normalization-rules"),
	RESOURCE("normalization_rules"),
	RESOURCE("routing-rules"),
	RESOURCE("routing_rules"),
	RESOURCE("routing-groups"),
	RESOURCE("routing_groups"),
	GET_AND_ADD("cdrs"),
	HTTPD_END,
};
