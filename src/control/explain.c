/* c4ctl route explain: a decision, step by step, by the same code that answers Kamailio. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "control/control.h"
#include "routing/request.h"
#include "render_int.h"

static void
on_line(void *arg, int level, const char *text)
{
	json_t *o = json_object();

	jsonx_set_int(o, "level", level);
	jsonx_set_text(o, "text", text);
	json_array_append_new(arg, o);
}

static json_t *
route_json(const struct rt_route *route)
{
	json_t *o = json_object();

	jsonx_set_text(o, "dst_uri", route->dst_uri);
	jsonx_set_text(o, "from", route->from_uri);
	jsonx_set_text(o, "to", route->to_uri);
	jsonx_set_text(o, "auth_username", route->auth_username);
	jsonx_set_text(o, "realm", route->realm);
	jsonx_set_int(o, "ipbx_id", route->ipbx != NULL ? rt_row_id(route->ipbx) : 0);
	jsonx_set_int(o, "carrier_trunk_id", route->trunk != NULL ? rt_row_id(route->trunk) : 0);
	jsonx_set_int(o, "routing_rule_id", route->rule != NULL ? rt_row_id(route->rule) : 0);
	jsonx_set_bool(o, "dead", route->dead);
	return o;
}

static const struct {
	const char *option, *key;
} words[] = {
	{ "--from", "from_uri" }, { "--to", "to_uri" }, { "--source", "source_ip" }, { "--domain", "domain" },
	{ "--username", "username" }, { "--name", "from_name" },
};

/* How many arguments the option at i takes up, with its value; 0: it is none of ours, or its value is missing. */
static size_t
option_size(const struct control_req *r, size_t i)
{
	const char *word = control_arg(r, i);
	size_t k, len;

	if (strcmp(word, "--auth") == 0)
		return 1;
	for (k = 0; k < NELEM(words); k++) {
		len = strlen(words[k].option);
		if (strncmp(word, words[k].option, len) == 0 && word[len] == '=')
			return 1;
		if (strcmp(word, words[k].option) == 0)
			return i + 1 < control_n_args(r) ? 2 : 0;
	}
	return 0;
}

/* A word that would be passed over would make it the explanation of another call. NULL: none. */
static const char *
strange_word(const struct control_req *r)
{
	size_t i, size;

	for (i = 0; i < control_n_args(r); i += size)
		if ((size = option_size(r, i)) == 0)
			return control_arg(r, i);
	return NULL;
}

/* The words of the command as the body that Kamailio would send, so that they meet the same rules. */
static char *
body_of(const struct control_req *r)
{
	json_t *o = json_object();
	char *text;
	size_t i;

	json_object_set_new(o, "from_name", json_string(""));
	for (i = 0; i < NELEM(words); i++) {
		const char *v = control_option(r, 0, words[i].option);

		if (v != NULL)
			json_object_set_new(o, words[i].key, json_string(v));
	}
	json_object_set_new(o, "auth", json_boolean(control_flag(r, 0, "--auth") || control_option(r, 0, "--username") != NULL));
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

static json_t *
decision_json(const struct rt_decision *d, json_t *takes)
{
	json_t *o = json_object(), *routes = json_array();
	size_t i;

	json_object_set_new(o, "steps", takes);
	jsonx_set_bool(o, "success", d->n > 0);
	jsonx_set_text(o, "routing", d->parallel ? "parallel" : "serial");
	for (i = 0; i < d->n; i++)
		json_array_append_new(routes, route_json(&d->routes[i]));
	json_object_set_new(o, "routes", routes);
	return o;
}

void
ctl_route_explain(struct control_req *r)
{
	const struct app *a = control_app(r);
	const struct rt_data *data = routing_data(a->routing);
	struct rt_decision *d;
	struct rt_detail detail;
	struct rt_request ask;
	struct rt_env env;
	json_t *steps, *keep;
	char *body, *why;
	bool found;

	if (strange_word(r) != NULL) {
		control_end(r, EXIT_USAGE, "\"%s\" is no option of route explain, or has no value; there are --from URI --to URI --source IP "
		    "--name NAME --domain NAME --username NAME --auth", strange_word(r));
		return;
	}
	if (control_option(r, 0, "--from") == NULL || control_option(r, 0, "--to") == NULL) {
		control_end(r, EXIT_USAGE, "usage: c4ctl route explain --from URI --to URI [--source IP] [--name NAME] [--auth] [--username NAME] [--domain NAME]");
		return;
	}
	if (data == NULL) {
		control_end(r, EXIT_NO, "there is no routing data (c4ctl show routing)");
		return;
	}
	body = body_of(r);
	if (rt_request_parse(&ask, RT_ASK_ROUTING, body, strlen(body), &keep, &detail) != 0) {
		why = json_dumps(detail.detail, JSON_COMPACT | JSON_ENCODE_ANY);
		control_end(r, EXIT_USAGE, "Kamailio would get HTTP %d: %s", detail.status, why);
		json_decref(detail.detail);
		free(why);
		free(body);
		return;
	}
	steps = json_array();
	kamapi_env(a, &env);
	env.trace = on_line;
	env.trace_arg = steps;
	d = xcalloc(1, sizeof *d);
	rt_decide(data, &ask, &env, d);
	found = d->n > 0;
	control_data(r, decision_json(d, steps));
	free(d);
	json_decref(keep);
	free(body);
	control_end(r, found ? EXIT_DONE : EXIT_NO, found ? NULL : "no route: Kamailio answers 404");
}

void
render_explain(const json_t *data, int64_t now_ms)
{
	const json_t *v;
	size_t i;

	json_array_foreach(json_object_get(data, "steps"), i, v) {
		const char *text = render_text(v, "text");
		size_t own = strspn(text, " ");

		render_wrapped(text + own, own + (json_integer_value(json_object_get(v, "level")) > 0 ? 4 : 0), false);
	}
	json_array_foreach(json_object_get(data, "routes"), i, v) {
		fprintf(render_out(), "%s %zu: %s%s\n",
		    strcmp(render_text(data, "routing"), "parallel") == 0 ? "at once" : "route", i + 1,
		    render_text(v, "dst_uri"), json_is_true(json_object_get(v, "dead")) ? "  (known not to answer: tried last)" : "");
		fprintf(render_out(), "    From: %s\n    To:   %s\n", render_text(v, "from"), render_text(v, "to"));
		if (jsonx_get_text(v, "auth_username") != NULL)
			fprintf(render_out(), "    as %s at %s\n", jsonx_get_text(v, "auth_username"), render_text(v, "realm"));
	}
}
