/*
 * The status page's main part: headline, problems, facts, drawing, tables. What is in a row of a table is in the order in which
 * it is asked for at night: what, how it is, how much of it, since when, why.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "control/render_int.h"
#include "html.h"
#include "page_int.h"

#define INSTANCES_OPEN 12 /* more of a service are folded */
#define NODES_MAX 60
#define DETAIL_MAX 300    /* characters of an error */
#define LONG 30           /* a text of more has room in a narrow window, too */

/* ---- how things look ---- */

static const char *const looks[] = { "none", "ok", "warn", "bad" }; /* ascending */

static const struct {
	const char *state, *look;
} states[] = {
	{ "up", "ok" }, { "converged", "ok" }, { "registered", "ok" }, { "passing", "ok" }, { "listed", "ok" }, { "alive", "ok" },
	{ "active", "ok" }, { "reachable", "ok" }, { "complete", "ok" }, { "fresh", "ok" }, { "index", "ok" },
	{ "held", "warn" }, { "frozen", "warn" }, { "disabled", "warn" }, { "suppressed", "warn" }, { "draining", "warn" },
	{ "pending", "warn" }, { "window", "warn" }, { "warning", "warn" }, { "maintenance", "warn" }, { "waiting", "warn" },
	{ "leaving", "warn" }, { "hidden", "warn" }, { "asleep", "warn" }, { "partial", "warn" }, { "absence", "warn" },
	{ "nothing", "warn" }, { "never seen", "warn" }, { "stale", "warn" }, { "lost", "warn" }, { "off", "warn" }, { "missing", "warn" },
	{ "failed", "bad" }, { "unreachable", "bad" }, { "critical", "bad" }, { "dead", "bad" }, { "empty", "bad" },
};

const char *
page_look(const char *state)
{
	size_t i;

	for (i = 0; i < NELEM(states); i++)
		if (strcmp(states[i].state, state) == 0)
			return states[i].look;
	return "none";
}

static size_t
rank(const char *look)
{
	size_t i;

	for (i = NELEM(looks) - 1; i > 0 && strcmp(looks[i], look) != 0; i--)
		;
	return i;
}

const char *
page_worse(const char *look, const char *other)
{
	return rank(other) > rank(look) ? other : look;
}

static bool
is_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* Of a service: how many of its instances are in which state. */
static const char *const counted[] = { "up", "held", "disabled", "suppressed", "draining" };

const char *
page_service_state(const json_t *s)
{
	if (!is_true(s, "known"))
		return "never seen";
	if (is_true(s, "frozen"))
		return "frozen";
	if (render_num(s, "held") > 0)
		return "held";
	if (render_num(s, "up") == 0)
		return "empty";
	if (render_num(s, "suppressed") > 0)
		return "suppressed";
	return is_true(s, "stale") ? "stale" : "up";
}

size_t
page_total(const json_t *s)
{
	size_t i, n = 0;

	for (i = 0; i < NELEM(counted); i++)
		n += (size_t)render_num(s, counted[i]);
	return n;
}

void
page_counts(struct buf *b, const json_t *s)
{
	const char *before = "";
	size_t i;

	for (i = 0; i < NELEM(counted); i++) {
		long long n = render_num(s, counted[i]);

		if (n == 0)
			continue;
		html_add(b, "%s%lld %s", before, n, counted[i]);
		before = ", ";
	}
	if (*before == '\0')
		buf_puts(b, "no instances");
}

void
page_address(const json_t *i, char *out, size_t size)
{
	const char *ip = render_text(i, "address");
	bool v6 = strchr(ip, ':') != NULL;

	if (render_num(i, "port") == 0) /* adopted, and no address is known */
		snprintf(out, size, "%.*s", (int)size - 1, *ip ? ip : render_text(i, "line"));
	else
		snprintf(out, size, "%s%.60s%s:%" PRId64, v6 ? "[" : "", ip, v6 ? "]" : "", render_num(i, "port"));
}

/* ---- pieces ---- */

struct page { /* of one rendering */
	struct buf *out;
	const json_t *rows;
	int64_t now_ms;
};

static void
state_cell(struct buf *b, const char *state)
{
	html_add(b, "<td><span class=\"s %s\">%s</span>", page_look(state), state);
}

static void
text_cell(struct buf *b, const char *text)
{
	buf_puts(b, strlen(text) > LONG ? "<td class=w>" : "<td>");
	html_add_short(b, *text ? text : "\xe2\x80\x93", DETAIL_MAX);
}

static void
number_cell(struct buf *b, int64_t n)
{
	html_add(b, n == 0 ? "<td class=\"n z\">%lld" : "<td class=n>%lld", (long long)n);
}

static void
age(const struct page *p, const char *iso)
{
	char text[32];

	if (*iso == '\0') {
		buf_puts(p->out, "never");
		return;
	}
	if (p->now_ms != 0)
		render_age(iso, p->now_ms, text, sizeof text);
	else
		snprintf(text, sizeof text, "%.10s %.8s", iso, strlen(iso) > 11 ? iso + 11 : "");
	html_add(p->out, "<time datetime=\"%s\">%s</time>", iso, text);
}

static void
age_cell(const struct page *p, const json_t *o, const char *key)
{
	buf_puts(p->out, "<td class=n>");
	age(p, render_text(o, key));
}

/* A table's beginning: `columns` are split at '|'; those that begin with '#' are numbers. */
static void
table_begin(struct buf *b, const char *caption, const char *columns)
{
	char name[40];
	size_t n;

	html_add(b, "<div class=t role=region aria-label=\"%s\" tabindex=0><table><caption>%s</caption><thead><tr>", caption, caption);
	for (; *columns; columns += n + (columns[n] == '|')) {
		bool number = *columns == '#';

		n = strcspn(columns, "|");
		snprintf(name, sizeof name, "%.*s", (int)(n - number), columns + number);
		html_add(b, number ? "<th scope=col class=n>%s" : "<th scope=col>%s", name);
	}
	buf_puts(b, "</thead><tbody>\n");
}

static void
table_end(struct buf *b, bool empty, size_t columns, const char *nothing)
{
	if (empty)
		html_add(b, "<tr><td colspan=%zu class=q>%s\n", columns, nothing);
	buf_puts(b, "</tbody></table></div>\n");
}

/* ---- headline, problems ---- */

static const char *
health(const json_t *status)
{
	const json_t *v;
	const char *look = "ok";
	size_t i;

	json_array_foreach(json_object_get(status, "problems"), i, v)
		look = page_worse(look, strcmp(render_text(v, "severity"), "failure") == 0 ? "bad" : "warn");
	return look;
}

static void
headline_text(struct buf *b, size_t problems)
{
	if (problems == 0)
		buf_puts(b, "All is well");
	else
		html_add(b, problems == 1 ? "%zu problem" : "%zu problems", problems);
}

static void
headline(const struct page *p)
{
	const json_t *status = json_object_get(p->rows, "status");
	size_t n = json_array_size(json_object_get(status, "problems"));

	html_add(p->out, "<div id=head class=\"%s\" aria-live=polite><h1>", health(status));
	headline_text(p->out, n);
	buf_puts(p->out, "</h1><p id=lost hidden></p></div>\n");
}

static void
troubles(struct buf *b, const json_t *list, bool reminders)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v) {
		bool bad = strcmp(render_text(v, "severity"), "failure") == 0;

		html_add(b, "<li><span class=\"s %s\">%s</span> <b>%s</b>", reminders ? "none" : bad ? "bad" : "warn",
		    reminders ? "reminder" : bad ? "failure" : "warning", render_text(v, "problem"));
		if (*render_text(v, "hint"))
			html_add(b, "<br><span class=h>\xe2\x86\x92 %s</span>", render_text(v, "hint"));
		buf_puts(b, "\n");
	}
}

static void
problems(const struct page *p)
{
	const json_t *status = json_object_get(p->rows, "status"), *list = json_object_get(status, "problems"),
		     *reminders = json_object_get(status, "reminders");

	if (json_array_size(list) + json_array_size(reminders) == 0)
		return;
	buf_puts(p->out, "<section id=problems><h2>What is wrong, and what to do</h2><ul>\n");
	troubles(p->out, list, false);
	troubles(p->out, reminders, true);
	buf_puts(p->out, "</ul></section>\n");
}

/* ---- facts ---- */

static void
fact(struct buf *b, const char *name)
{
	html_add(b, "<div><dt>%s<dd>", name);
}

/* "<b>3</b> of 4": how many are as they should be. */
static void
share(struct buf *b, int64_t good, int64_t all)
{
	html_add(b, good == all ? "<b>%lld</b> of %lld" : "<b class=warn>%lld</b> of %lld", (long long)good, (long long)all);
}

static int64_t
sum(const json_t *counts, const char *but)
{
	const json_t *v;
	const char *key;
	int64_t n = 0;

	json_object_foreach((json_t *)(uintptr_t)counts, key, v)
		if (strcmp(key, but) != 0)
			n += json_integer_value(v);
	return n;
}

static size_t
kamailios_up(const json_t *rows)
{
	const json_t *v;
	size_t i, n = 0;

	json_array_foreach(rows, i, v)
		n += is_true(v, "up");
	return n;
}

static void
routing_fact(const struct page *p)
{
	const json_t *r = json_object_get(p->rows, "routing");

	fact(p->out, "Routing decisions");
	if (!is_true(r, "served")) {
		buf_puts(p->out, "<b>\xe2\x80\x93</b><br><small>no routing data</small></div>");
		return;
	}
	html_add(p->out, "<b>%lld</b>", (long long)render_num(r, "decisions"));
	if (render_num(r, "decisions") > 0)
		html_add(p->out, " %lld \xc2\xb5s each", (long long)render_num(r, "mean_us"));
	html_add(p->out, "<br><small>%lld without a route, %lld auth, %lld CDR, %lld refused; data %lld from %s, ",
	    (long long)render_num(r, "unrouted"), (long long)render_num(r, "auths"), (long long)render_num(r, "cdrs"),
	    (long long)render_num(r, "refused"), (long long)render_num(r, "version"), render_text(r, "source"));
	age(p, render_text(r, "loaded"));
	buf_puts(p->out, " old</small></div>");
}

static void
facts(const struct page *p)
{
	const json_t *status = json_object_get(p->rows, "status"), *services = json_object_get(status, "services"),
		     *targets = json_object_get(status, "targets"), *registrations = json_object_get(status, "registrations"),
		     *kamailios = json_object_get(status, "kamailio"), *store = json_object_get(status, "store");
	struct buf *b = p->out;

	buf_puts(b, "<dl>");
	fact(b, "Generation");
	html_add(b, "<b>%lld</b><br><small>for ", (long long)render_num(status, "generation"));
	age(p, render_text(status, "changed"));
	buf_puts(b, "</small></div>");
	fact(b, "Instances up");
	share(b, render_num(services, "up"), sum(services, "count"));
	html_add(b, "<br><small>in %lld services</small></div>", (long long)render_num(services, "count"));
	fact(b, "Targets converged");
	share(b, render_num(targets, "converged"), sum(targets, ""));
	html_add(b, "<br><small>%zu of %zu Kamailios reachable</small></div>", kamailios_up(kamailios), json_array_size(kamailios));
	fact(b, "Registered");
	share(b, render_num(registrations, "registered"), render_num(registrations, "count"));
	html_add(b, "<br><small>%lld in maintenance</small></div>", (long long)render_num(registrations, "maintenance"));
	routing_fact(p);
	fact(b, "Store");
	buf_puts(b, strcmp(render_text(store, "state"), "ok") == 0 ? "<b>" : "<b class=warn>");
	html_add(b, "%s</b><br><small>%lld commits, %lld waiting</small></div>", render_text(store, "state"),
	    (long long)render_num(store, "commits"), (long long)render_num(store, "pending"));
	fact(b, "c4d runs for");
	buf_puts(b, "<b>");
	age(p, render_text(status, "started"));
	html_add(b, "</b><br><small>version %s, pid %lld</small></div></dl>\n", render_text(status, "version"), (long long)render_num(status, "pid"));
}

/* ---- services and instances ---- */

static void
services(const struct page *p)
{
	const json_t *list = json_object_get(json_object_get(p->rows, "topology"), "services"), *s;
	struct buf *b = p->out;
	size_t i, k;

	buf_puts(b, "<section id=services>");
	table_begin(b, "Services", "Service|State|#Up|#Held|#Disabled|#Suppressed|#Draining|Evidence|#Proof|Wake|Note");
	json_array_foreach(list, i, s) {
		html_add(b, "<tr><th scope=row>%s", render_text(s, "service"));
		state_cell(b, page_service_state(s));
		for (k = 0; k < NELEM(counted); k++)
			number_cell(b, render_num(s, counted[k]));
		state_cell(b, render_text(s, "evidence"));
		if (is_true(s, "fresh"))
			buf_puts(b, "<td class=n>fresh");
		else
			age_cell(p, s, "proof");
		state_cell(b, render_text(s, "wake"));
		text_cell(b, render_text(s, "note"));
		buf_puts(b, "\n");
	}
	table_end(b, i == 0, 11, "No service is configured: add one under services in the configuration.");
	buf_puts(b, "</section>\n");
}

static void
instance(const struct page *p, const json_t *v)
{
	const char *guard = render_text(v, "guard");
	const json_t *tags = json_object_get(v, "tags"), *t;
	struct buf *b = p->out;
	char text[96];
	size_t i;

	page_address(v, text, sizeof text);
	html_add(b, "<tr><th scope=row class=m>%s", text);
	html_add(b, "<td><span class=\"s %s\">%s%s%s</span>", page_look(render_text(v, "state")), render_text(v, "state"), *guard ? ": " : "",
	    guard);
	age_cell(p, v, "since");
	number_cell(b, render_num(v, "weight"));
	number_cell(b, render_num(v, "priority"));
	buf_puts(b, "<td>");
	json_array_foreach(tags, i, t)
		html_add(b, "%s%s", i > 0 ? ", " : "", json_string_value(t));
	if (i == 0)
		buf_puts(b, "\xe2\x80\x93");
	html_add(b, "<td class=n>%lld<td>%s\n", (long long)render_num(v, "generation"), render_text(v, "source"));
}

/* Those that are not up first: of many, they are the ones that are looked for. */
static size_t
some_instances(const struct page *p, const json_t *list, bool up, size_t room)
{
	const json_t *v;
	size_t i, n = 0;

	json_array_foreach(list, i, v)
		if ((strcmp(render_text(v, "state"), "up") == 0) == up && n < room) {
			instance(p, v);
			n++;
		}
	return n;
}

static void
instances_of(const struct page *p, size_t index, const json_t *s)
{
	const json_t *list = json_object_get(s, "instances");
	size_t all = page_total(s), n;
	struct buf *b = p->out;
	char *caption = xasprintf("Instances of %s", render_text(s, "service"));

	html_add(b, "<details id=i%zu", index);
	html_add(b, all <= INSTANCES_OPEN ? " open><summary>%s: " : "><summary>%s: ", render_text(s, "service"));
	page_counts(b, s);
	buf_puts(b, "</summary>\n");
	table_begin(b, caption, "Address|State|#Since|#Weight|#Priority|Tags|#Generation|Source");
	n = some_instances(p, list, false, PAGE_INSTANCES_MAX);
	n += some_instances(p, list, true, PAGE_INSTANCES_MAX - n);
	table_end(b, all == 0, 8, "None.");
	if (all > n)
		html_add(b, "<p class=q>and %zu more: <code>c4ctl show instances %s</code></p>\n", all - n, render_text(s, "service"));
	buf_puts(b, "</details>\n");
	free(caption);
}

static void
instances(const struct page *p)
{
	const json_t *list = json_object_get(json_object_get(p->rows, "topology"), "services"), *s;
	size_t i;

	buf_puts(p->out, "<section id=instances><h2>Instances</h2>\n");
	json_array_foreach(list, i, s)
		instances_of(p, i, s);
	if (i == 0)
		buf_puts(p->out, "<p class=q>None.</p>\n");
	buf_puts(p->out, "</section>\n");
}

/* ---- targets, Kamailios, nodes ---- */

static void
target_row(const struct page *p, const json_t *t)
{
	int64_t desired = render_num(t, "desired_generation"), applied = render_num(t, "applied_generation"), window = render_num(t, "window_ms");
	struct buf *b = p->out;

	html_add(b, "<tr><th scope=row>%s<td>%s", render_text(t, "target"), render_text(t, "kind"));
	state_cell(b, render_text(t, "state"));
	age_cell(p, t, "since");
	number_cell(b, desired);
	number_cell(b, applied);
	number_cell(b, desired - applied);
	number_cell(b, render_num(t, "pending"));
	if (window > 0)
		html_add(b, "<td class=n>%llds", (long long)((window + 999) / 1000));
	else
		buf_puts(b, "<td class=n>open");
	text_cell(b, render_text(t, "last_error"));
	buf_puts(b, "\n");
}

static void
targets(const struct page *p)
{
	const json_t *t;
	size_t i;

	buf_puts(p->out, "<section id=targets>");
	table_begin(p->out, "Targets", "Target|Kind|State|#Since|#Desired|#Applied|#Lag|#Pending|#Window|Last error");
	json_array_foreach(json_object_get(p->rows, "targets"), i, t)
		target_row(p, t);
	table_end(p->out, i == 0, 10, "None: no Kamailio is configured here.");
	buf_puts(p->out, "</section>\n");
}

static void
kamailios(const struct page *p)
{
	static const char *const counts[] = { "reloads", "set_states", "adds", "removes", "file_writes", "window_waits", "repairs", "faults" };
	const json_t *list = json_object_get(json_object_get(p->rows, "status"), "kamailio"), *v;
	struct buf *b = p->out;
	size_t i, k;

	if (json_array_size(list) == 0)
		return;
	buf_puts(b, "<section id=kamailios>");
	table_begin(b, "Kamailios", "Kamailio|State|Version, or why|Up since|#Reloads|#set_state|#add|#remove|#File writes|#Window waits|"
	    "#Repairs|#Faults");
	json_array_foreach(list, i, v) {
		html_add(b, "<tr><th scope=row>%s", render_text(v, "name"));
		state_cell(b, is_true(v, "up") ? "reachable" : "unreachable");
		text_cell(b, render_text(v, is_true(v, "up") ? "version" : "why"));
		html_add(b, "<td class=nb>%s", is_true(v, "up") ? render_text(v, "up_since") : "");
		for (k = 0; k < NELEM(counts); k++)
			number_cell(b, render_num(v, counts[k]));
		buf_puts(b, "\n");
	}
	table_end(b, false, 0, "");
	buf_puts(b, "</section>\n");
}

/* How long a ping took is no news twice a second. */
static void
nodes(const struct page *p)
{
	const json_t *list = json_object_get(p->rows, "nodes"), *v;
	struct buf *b = p->out;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	buf_puts(b, "<section id=nodes>");
	table_begin(b, "rtpengine nodes", "Node|Target|NG ping|Wanted|In Kamailio|#Weight|#Sessions|Why");
	json_array_foreach(list, i, v) {
		if (i == NODES_MAX)
			break;
		html_add(b, "<tr><th scope=row class=m>%s<td>%s", render_text(v, "url"), render_text(v, "target"));
		state_cell(b, *render_text(v, "ping") ? render_text(v, "ping") : "unknown");
		state_cell(b, *render_text(v, "desired") ? render_text(v, "desired") : "gone");
		state_cell(b, *render_text(v, "actual") ? render_text(v, "actual") : "absent");
		number_cell(b, render_num(v, "weight"));
		if (json_is_integer(json_object_get(v, "sessions")))
			number_cell(b, render_num(v, "sessions"));
		else
			buf_puts(b, "<td class=n>\xe2\x80\x93");
		text_cell(b, render_text(v, "why"));
		buf_puts(b, "\n");
	}
	table_end(b, false, 0, "");
	if (i < json_array_size(list))
		html_add(b, "<p class=q>and %zu more: <code>c4ctl show rtpengine</code></p>\n", json_array_size(list) - i);
	buf_puts(b, "</section>\n");
}

/* ---- registrations ---- */

static void
checks_cell(struct buf *b, const json_t *checks)
{
	const json_t *c;
	size_t i;

	buf_puts(b, "<td>");
	json_array_foreach(checks, i, c) {
		const char *status = *render_text(c, "status") ? render_text(c, "status") : "unknown";

		html_add(b, "%s<span class=nb>%s <span class=\"s %s\">%s</span></span>", i > 0 ? " " : "", render_text(c, "check"), page_look(status),
		    status);
	}
	if (i == 0)
		buf_puts(b, "\xe2\x80\x93");
}

static void
registrations(const struct page *p)
{
	const json_t *v;
	struct buf *b = p->out;
	char address[96];
	size_t i;

	buf_puts(b, "<section id=registrations>");
	table_begin(b, "Registrations of this machine", "Registration|State|#Since|Service|Address|At the agent|In the catalog|In DNS|Checks|Why");
	json_array_foreach(json_object_get(p->rows, "registrations"), i, v) {
		html_add(b, "<tr><th scope=row>%s", render_text(v, "registration"));
		state_cell(b, render_text(v, "state"));
		age_cell(p, v, "since");
		text_cell(b, render_text(v, "service"));
		page_address(v, address, sizeof address);
		html_add(b, "<td class=m>%s", address);
		state_cell(b, *render_text(v, "agent") ? render_text(v, "agent") : "missing");
		state_cell(b, render_text(v, "catalog"));
		state_cell(b, strcmp(render_text(v, "dns"), "off") == 0 ? "not asked" : render_text(v, "dns"));
		checks_cell(b, json_object_get(v, "checks"));
		text_cell(b, *render_text(v, "why") ? render_text(v, "why") : render_text(v, "note"));
		buf_puts(b, "\n");
	}
	table_end(b, i == 0, 10, "None: this machine registers nothing at Consul by c4d.");
	buf_puts(b, "</section>\n");
}

/* ---- history ---- */

static void
change(struct buf *b, const json_t *c)
{
	const char *from = render_text(c, "from"), *to = render_text(c, "to"), *guard = render_text(c, "guard");
	char text[96];

	page_address(c, text, sizeof text);
	html_add(b, "%s <span class=m>%s</span> ", render_text(c, "service"), text);
	if (strcmp(from, to) == 0)
		html_add(b, "<span class=\"s none\">changed</span>");
	else
		html_add(b, "%s \xe2\x86\x92 <span class=\"s %s\">%s%s%s</span>", *from ? from : "new", *to ? page_look(to) : "none", *to ? to : "removed",
		    *guard ? ": " : "", guard);
}

/* The slowest of its targets; -1: none has been verified. */
static int64_t
verified_ms(const json_t *targets, size_t *n)
{
	const json_t *t;
	int64_t worst = -1, took;
	size_t i;

	*n = 0;
	json_array_foreach(targets, i, t) {
		if (!json_is_integer(json_object_get(t, "applied_to_verified_ms")))
			continue;
		took = render_num(t, "seen_to_applied_ms") + render_num(t, "applied_to_verified_ms");
		worst = took > worst ? took : worst;
		(*n)++;
	}
	return worst;
}

static void
generation(const struct page *p, const json_t *g)
{
	const json_t *changes = json_object_get(g, "changes"), *c;
	struct buf *b = p->out;
	const char *seen = render_text(g, "seen");
	size_t i, n;
	int64_t took = verified_ms(json_object_get(g, "targets"), &n);
	char clock[16];

	snprintf(clock, sizeof clock, "%.12s", strlen(seen) > 11 ? seen + 11 : "");

	html_add(b, "<tr><th scope=row class=n>%lld<td class=m>%s", (long long)render_num(g, "generation"), clock);
	age_cell(p, g, "seen");
	buf_puts(b, "<td>");
	json_array_foreach(changes, i, c) {
		buf_puts(b, "<div>");
		change(b, c);
		buf_puts(b, "</div>");
	}
	if (render_num(g, "n_changes") > (int64_t)i)
		html_add(b, "<div>and %lld more</div>", (long long)render_num(g, "n_changes") - (long long)i);
	html_add(b, "<small>%s</small>", render_text(g, "cause"));
	if (took >= 0)
		html_add(b, "<td class=n>%lld ms<td class=n>%zu\n", (long long)took, n);
	else
		buf_puts(b, "<td class=n>\xe2\x80\x93<td class=\"n z\">0\n");
}

static void
history(const struct page *p)
{
	const json_t *list = json_object_get(p->rows, "history"), *g;
	size_t i;

	buf_puts(p->out, "<section id=changes>");
	table_begin(p->out, "Last changes", "#Generation|At (UTC)|#Ago|What|#Seen to verified|#Targets");
	json_array_foreach(list, i, g)
		generation(p, g);
	table_end(p->out, i == 0, 6, list == NULL ? "They are being read: see c4ctl history." : "None yet.");
	buf_puts(p->out, "</section>\n");
}

/* ---- the page ---- */

void
page_main(struct buf *b, const json_t *rows, int64_t now_ms)
{
	const struct page p = { b, rows, now_ms };

	headline(&p);
	problems(&p);
	facts(&p);
	page_graph(b, rows);
	services(&p);
	targets(&p);
	kamailios(&p);
	nodes(&p);
	registrations(&p);
	history(&p);
	instances(&p);
}

/* ---- the file around it ---- */

static void
put_now(struct buf *b, const struct page *p, const char *machine)
{
	html_add(b, "%lld", (long long)p->now_ms);
}

static void
put_title(struct buf *b, const struct page *p, const char *machine)
{
	size_t n = json_array_size(json_object_get(json_object_get(p->rows, "status"), "problems"));

	headline_text(b, n);
}

static void
put_machine(struct buf *b, const struct page *p, const char *machine)
{
	html_add(b, "%s", machine);
}

static void
put_time(struct buf *b, const struct page *p, const char *machine)
{
	char text[32];

	text_format_time(p->now_ms, text);
	html_add(b, "%s", text);
}

static void
put_main(struct buf *b, const struct page *p, const char *machine)
{
	page_main(b, p->rows, p->now_ms);
}

/* What stands in the file for what. */
static const struct {
	const char *mark;
	void (*put)(struct buf *, const struct page *, const char *machine);
} marks[] = {
	{ "@NOW@", put_now }, { "@TITLE@", put_title }, { "@HOST@", put_machine }, { "@AT@", put_time }, { "@MAIN@", put_main },
};

void
page_whole(struct buf *b, const json_t *rows, int64_t now_ms, const char *machine)
{
	const struct page p = { b, rows, now_ms };
	const char *at = page_file, *mark;
	size_t i;

	while ((mark = strchr(at, '@')) != NULL) {
		buf_add(b, at, (size_t)(mark - at));
		for (i = 0; i < NELEM(marks) && strncmp(mark, marks[i].mark, strlen(marks[i].mark)) != 0; i++)
			;
		at = mark;
		if (i < NELEM(marks)) {
			marks[i].put(b, &p, machine);
			at += strlen(marks[i].mark);
		} else { /* one of the stylesheet's */
			buf_add(b, at++, 1);
		}
	}
	buf_puts(b, at);
}
