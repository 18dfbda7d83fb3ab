/* c4ctl routing load, routing check, show routing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "control/control.h"
#include "render_int.h"

static json_t *
show_counts(const struct rt_data *data)
{
	json_t *o = json_object();
	size_t i;

	for (i = 0; i < RT_TABLES; i++)
		jsonx_set_int(o, rt_schemas[i].name, data != NULL ? (int64_t)data->t[i].n : 0);
	return o;
}

/* ---- routing check: by c4ctl itself ---- */

struct checked {
	json_t *errors;
	size_t n;
};

static void
on_error(void *arg, const char *path, const char *text)
{
	struct checked *c = arg;
	json_t *o = json_object();

	jsonx_set_text(o, "path", path);
	jsonx_set_text(o, "text", text);
	json_array_append_new(c->errors, o);
	c->n++;
}

static void
free_rows(struct rt_row **rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		rt_row_unref(rows[i]);
	free(rows);
}

int
routing_check(int argc, char **argv, const char *text, size_t len, json_t **out, char *error, size_t size)
{
	struct checked c = { .errors = json_array() };
	struct rt_data *data = NULL;
	struct rt_row **cdrs = NULL;
	size_t n_cdrs = 0;
	json_t *o = json_object();

	if (rt_document_parse(&data, text, len, &cdrs, &n_cdrs, on_error, &c) == 0) {
		json_object_set_new(o, "rows", show_counts(data));
		jsonx_set_int(json_object_get(o, "rows"), "cdrs", (int64_t)n_cdrs);
	} else {
		snprintf(error, size, "%s: %zu %s; nothing would be loaded", argv[0], c.n, c.n == 1 ? "error" : "errors");
	}
	json_object_set_new(o, "errors", c.errors);
	*out = o;
	free_rows(cdrs, n_cdrs);
	rt_data_unref(data);
	return c.n > 0 ? EXIT_CONFIG : EXIT_DONE;
}

/* ---- routing load ---- */

static void
on_loaded(void *arg, int err, const json_t *messages)
{
	struct control_req *r = arg;
	const struct app *a = control_app(r);
	struct routing_view v;
	json_t *o = json_object();

	routing_view(a->routing, &v);
	json_object_set_new(o, "errors", messages != NULL ? json_deep_copy(messages) : json_array());
	if (err == 0) {
		jsonx_set_int(o, "version", (int64_t)v.version);
		json_object_set_new(o, "rows", show_counts(routing_data(a->routing)));
	}
	control_data(r, o);
	if (err == 0)
		control_end(r, EXIT_DONE, NULL);
	else if (err == -EINVAL)
		control_end(r, EXIT_CONFIG, "the document is not right; nothing was changed");
	else if (err == -EPERM)
		control_end(r, EXIT_REFUSED, "%s rules here: change it there, or take %s out of the configuration",
		    a->conf->routing_file != NULL ? a->conf->routing_file : "Consul's KV",
		    a->conf->routing_file != NULL ? "routing.file" : "routing.kv");
	else if (err == -ECANCELED)
		control_end(r, EXIT_UNREACHABLE, "c4d is stopping; nothing was changed");
	else
		control_end(r, EXIT_NO, "it could not be stored: %s; nothing was changed. Is there room below %s?", strerror(-err), a->conf->state);
}

void
ctl_routing_load(struct control_req *r)
{
	const struct app *a = control_app(r);
	char who[64], *text;
	size_t len;

	text = control_payload(r, &len);
	if (text == NULL) {
		control_end(r, EXIT_USAGE, "no document came with the request");
		return;
	}
	snprintf(who, sizeof who, "c4ctl, %s", control_peer(r));
	routing_load(a->routing, text, len, who, on_loaded, r);
}

/* ---- show routing ---- */

static void
show_api(const struct app *a, json_t *o)
{
	struct kamapi_view k;
	json_t *api = json_object();

	kamapi_view(a->kamapi, &k);
	jsonx_set_int(api, "decisions", (int64_t)k.decisions);
	jsonx_set_int(api, "routed", (int64_t)k.routed);
	jsonx_set_int(api, "unrouted", (int64_t)k.unrouted);
	jsonx_set_int(api, "auths", (int64_t)k.auths);
	jsonx_set_int(api, "authenticated", (int64_t)k.authenticated);
	jsonx_set_int(api, "cdrs", (int64_t)k.cdrs);
	jsonx_set_int(api, "refused", (int64_t)k.refused);
	json_object_set_new(o, "requests", api);
}

static void
show_cdrs(const struct app *a, json_t *o)
{
	struct cdr_view v;
	json_t *c = json_object();

	cdrs_view(routing_cdrs(a->routing), &v);
	jsonx_set_int(c, "count", (int64_t)v.count);
	jsonx_set_int(c, "oldest", (int64_t)v.oldest);
	jsonx_set_int(c, "newest", (int64_t)v.newest);
	jsonx_set_int(c, "stored", (int64_t)v.stored);
	jsonx_set_int(c, "refused", (int64_t)v.refused);
	jsonx_set_int(c, "lost", (int64_t)v.lost);
	jsonx_set_bool(c, "failing", v.failing);
	jsonx_set_bool(c, "forwarding", v.forwarding);
	jsonx_set_int(c, "forwarded", (int64_t)v.forwarded);
	jsonx_set_int(c, "behind", (int64_t)v.behind);
	jsonx_set_time(c, "behind_since", v.behind_ms);
	jsonx_set_text(c, "why", v.why);
	json_object_set_new(o, "cdr", c);
}

static json_t *
show_routing(const struct app *a)
{
	const struct rt_data *data = routing_data(a->routing);
	struct routing_view v;
	json_t *o = json_object();

	routing_view(a->routing, &v);
	jsonx_set_text(o, "source", v.source);
	jsonx_set_text(o, "from", a->conf->routing_file != NULL ? a->conf->routing_file : a->conf->routing_kv != NULL ?
	    a->conf->routing_kv : a->conf->routing_api ? "c4ctl routing load, REST" : "c4ctl routing load");
	jsonx_set_int(o, "version", (int64_t)v.version);
	jsonx_set_time(o, "loaded", v.loaded_ms);
	jsonx_set_bool(o, "loading", v.loading);
	jsonx_set_bool(o, "stored", v.stored);
	jsonx_set_bool(o, "served", data != NULL);
	json_object_set_new(o, "rows", show_counts(data));
	jsonx_set_text(o, "why", v.why);
	jsonx_set_time(o, "since", v.why_ms * (v.why[0] != '\0'));
	jsonx_set_int(o, "n_errors", (int64_t)v.errors);
	json_object_set_new(o, "errors", v.messages != NULL ? json_deep_copy(v.messages) : json_array());
	show_api(a, o);
	show_cdrs(a, o);
	return o;
}

void
ctl_show_routing(struct control_req *r)
{
	control_data(r, show_routing(control_app(r)));
	control_end(r, EXIT_DONE, NULL);
}

void
show_routing_status(const struct app *a, json_t *problems)
{
	struct routing_view v;
	struct cdr_view c;

	routing_view(a->routing, &v);
	cdrs_view(routing_cdrs(a->routing), &c);
	if (v.why[0] != '\0')
		show_problem(problems, "c4ctl show routing lists what is wrong; mend it there", "routing data: %s; the last good data is served",
		    v.why);
	if (routing_data(a->routing) != NULL && !v.stored)
		show_problem(problems, "make room below `state`: a file is stored again by itself within a minute",
		    "routing data: what is served is not stored");
	if (c.failing)
		show_problem(problems, "make room on the disk, raise store_size, or lower routing.cdr.max or routing.cdr.keep",
		    "CDRs: they can't be stored, and are refused (503); so far %llu", (unsigned long long)c.refused);
	if (c.lost > 0)
		show_problem(problems, "mend the receiver, or raise routing.cdr.max",
		    "CDRs: %llu were deleted before they were forwarded: there are more than routing.cdr.max", (unsigned long long)c.lost);
	if (c.why[0] != '\0')
		show_problem(problems, "mend the receiver; they wait, and none is lost until there are more than routing.cdr.max", "CDRs: forwarding stands, %llu wait: %s", (unsigned long long)c.behind, c.why);
}

/* ---- for people ---- */

static void
print_rows(const json_t *rows)
{
	const char *key;
	const json_t *v;

	json_object_foreach((json_t *)(uintptr_t)rows, key, v)
		fprintf(render_out(), "  %-24s %10" JSON_INTEGER_FORMAT "\n", key, json_integer_value(v));
}

static void
print_errors(const json_t *errors)
{
	const char *path, *text;
	const json_t *e;
	char *line;
	size_t i;

	json_array_foreach(errors, i, e) {
		path = render_text(e, "path");
		text = render_text(e, "text");
		line = xasprintf("%s%s%s", path, *path ? ": " : "", text);
		if (strlen(line) > RENDER_WIDTH && *path) {
			fprintf(render_out(), "%s:\n", path);
			render_wrapped(text, 4, false);
		} else {
			render_wrapped(line, 0, false);
		}
		free(line);
	}
}

void
render_routing_load(const json_t *data, int64_t now_ms)
{
	const json_t *rows = json_object_get(data, "rows");

	print_errors(json_object_get(data, "errors"));
	if (rows == NULL)
		return;
	if (json_object_get(data, "version") != NULL)
		fprintf(render_out(), "served: version %" JSON_INTEGER_FORMAT "\n", json_integer_value(json_object_get(data, "version")));
	else
		fprintf(render_out(), "all is right\n");
	print_rows(rows);
}

static json_int_t
num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

void
render_routing(const json_t *data, int64_t now_ms)
{
	const json_t *api = json_object_get(data, "requests"), *cdr = json_object_get(data, "cdr");
	const char *why = render_text(data, "why"), *cdr_why = render_text(cdr, "why");

	if (json_is_true(json_object_get(data, "served")))
		fprintf(render_out(), "version %" JSON_INTEGER_FORMAT " of %s, loaded %s%s\n", num(data, "version"),
		    render_text(data, "source"), render_text(data, "loaded"), json_is_true(json_object_get(data, "stored")) ? "" : ", NOT STORED");
	else
		fprintf(render_out(), "no routing data: it comes from %s\n", render_text(data, "from"));
	print_rows(json_object_get(data, "rows"));
	fprintf(render_out(), "decisions: %" JSON_INTEGER_FORMAT " with a route, %" JSON_INTEGER_FORMAT " without\n",
	    num(api, "routed"), num(api, "unrouted"));
	fprintf(render_out(), "requests besides: %" JSON_INTEGER_FORMAT " auth, %" JSON_INTEGER_FORMAT " cdr; %" JSON_INTEGER_FORMAT " refused\n",
	    num(api, "auths"), num(api, "cdrs"), num(api, "refused"));
	fprintf(render_out(), "CDRs: %" JSON_INTEGER_FORMAT " stored here (%" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT ")", num(cdr, "count"),
	    num(cdr, "oldest"), num(cdr, "newest"));
	if (json_is_true(json_object_get(cdr, "forwarding")))
		fprintf(render_out(), ", %" JSON_INTEGER_FORMAT " not yet forwarded", num(cdr, "behind"));
	fprintf(render_out(), "\n");
	if (*cdr_why)
		fprintf(render_out(), "forwarding: %s\n", cdr_why);
	if (*why) {
		fprintf(render_out(), "WRONG since %s:\n", render_text(data, "since"));
		render_wrapped(why, 4, false);
		print_errors(json_object_get(data, "errors"));
		fprintf(render_out(), "The last good data is served.\n");
	}
}
