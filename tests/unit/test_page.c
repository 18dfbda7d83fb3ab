/*
 * page: the status page's main part from rows: every state, an empty platform, a huge one, names that want out of their place, and the
 * file that it is set into. What is made must be well-formed: it is parsed, tag by tag.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "base/jsonx.h"
#include "base/sha256.h"
#include "http/html.h"
#include "http/page.h"
#include "http/page_int.h"

#define NOW_MS 1700000000000 /* 2023-11-14T22:13:20Z */
#define HOSTILE "<img src=x onerror=\"alert(1)\">'&\x7f]]>--></td></table><script>alert(2)</script>"

/* ---- rows ---- */

static json_t *
instance(const char *address, int port, const char *state)
{
	return json_pack("{s:s,s:i,s:s,s:s,s:i,s:i,s:[s,s],s:i,s:s}", "address", address, "port", port, "state", state, "since",
	    "2023-11-14T22:10:00.000Z", "weight", 5, "priority", 1, "tags", "primary", "blue", "generation", 7, "source", "dns");
}

static void
count(json_t *service, const char *state, size_t n)
{
	json_object_set_new(service, state, json_integer((json_int_t)n));
}

/* One whose first `out` instances are not up. */
static json_t *
service(const char *name, size_t n, const char *out_state, size_t out)
{
	json_t *s = json_pack("{s:s,s:b,s:b,s:s,s:s,s:b,s:s,s:s,s:[],s:[]}", "service", name, "known", 1, "frozen", 0, "evidence", "complete",
	    "proof", "2023-11-14T22:13:19.000Z", "fresh", 1, "wake", "index", "note", "", "instances", "targets");
	char address[64];
	size_t i;

	count(s, "up", n - out);
	if (out > 0)
		count(s, out_state, out);
	for (i = 0; i < n; i++) {
		snprintf(address, sizeof address, "10.%zu.%zu.%zu", i >> 16, i >> 8 & 255, i & 255);
		json_array_append_new(json_object_get(s, "instances"), instance(address, 5060, i < out ? out_state : "up"));
	}
	return s;
}

static json_t *
target(const char *name, const char *kind, const char *state, int desired, int applied)
{
	return json_pack("{s:s,s:s,s:s,s:i,s:i,s:i,s:s,s:i,s:s}", "target", name, "kind", kind, "state", state, "desired_generation", desired,
	    "applied_generation", applied, "pending", desired - applied, "since", "2023-11-14T22:13:10.000Z", "window_ms",
	    strcmp(state, "window") == 0 ? 4200 : 0, "last_error", strcmp(state, "failed") == 0 ? "it broke" : "");
}

static json_t *
status(void)
{
	return json_pack("{s:i,s:s,s:s,s:s,s:i,s:[],s:[],s:{s:i,s:i},s:{s:i,s:i},s:{s:i},s:[],s:{s:s,s:i}}", "generation", 7, "changed",
	    "2023-11-14T22:13:00.000Z", "started", "2023-11-14T20:13:20.000Z", "version", "1.2.3", "pid", 42, "problems", "reminders", "services",
	    "count", 1, "up", 2, "targets", "converged", 1, "failed", 0, "registrations", "count", 0, "kamailio", "store", "state", "ok", "commits",
	    9);
}

static json_t *
rows_new(void)
{
	return json_pack("{s:o,s:{s:[],s:[]},s:[],s:[],s:[],s:{},s:[]}", "status", status(), "topology", "services", "kamailio", "targets",
	    "nodes", "registrations", "routing", "history");
}

static void
add_service(json_t *rows, json_t *s)
{
	json_array_append_new(json_object_get(json_object_get(rows, "topology"), "services"), s);
}

static void
add_kamailio(json_t *rows, const char *name, bool up)
{
	json_t *k = json_pack("{s:s,s:b,s:s,s:s,s:i}", "name", name, "up", up, "why", up ? "" : "it is down", "version", "kamailio 5.6.3", "reloads", 3);

	json_array_append(json_object_get(json_object_get(rows, "topology"), "kamailio"), k);
	json_array_append_new(json_object_get(json_object_get(rows, "status"), "kamailio"), k);
}

static void
add_target(json_t *rows, json_t *s, json_t *t)
{
	if (s != NULL)
		json_array_append(json_object_get(s, "targets"), t);
	json_array_append_new(json_object_get(rows, "targets"), t);
}

static void
add_problem(json_t *rows, const char *list, const char *severity, const char *text)
{
	json_array_append_new(json_object_get(json_object_get(rows, "status"), list),
	    json_pack("{s:s,s:s,s:s}", "severity", severity, "problem", text, "hint", "do this"));
}

/* ---- what is made ---- */

static const char *const voids[] = { "br", "meta", "link" };
/* HTML ends these by itself, at the next of their kind or with what they stand in. */
static const char *const optional[] = { "tr", "td", "th", "thead", "tbody", "dt", "dd", "li", "p" };

static bool
is_among(const char *name, const char *const *names, size_t n)
{
	while (n-- > 0)
		if (strcmp(names[n], name) == 0)
			return true;
	return false;
}

/* Every tag is one that the renderer writes, ends where it must, and has no script and no style in its attributes. */
static void
assert_well_formed(const char *html)
{
	char stack[32][16], name[16];
	size_t depth = 0, n;
	const char *p = html;

	while ((p = strpbrk(p, "<&")) != NULL) {
		bool end, self;
		const char *close;

		if (*p == '&') {
			n = strcspn(p, "; ");
			assert_int_equal(p[n], ';');
			assert_true(n > 2 && n < 7);
			p++;
			continue;
		}
		end = p[1] == '/';
		p += 1 + end;
		for (n = 0; isalnum((unsigned char)p[n]) && n < sizeof name - 1; n++)
			name[n] = p[n];
		name[n] = '\0';
		if (n == 0)
			fail_msg("no tag: %.60s", p - 1);
		close = strchr(p, '>');
		assert_non_null(close);
		self = close[-1] == '/' || is_among(name, voids, NELEM(voids));
		if (memchr(p, '<', (size_t)(close - p)) != NULL)
			fail_msg("a tag in a tag: %.80s", p - 1);
		if (strcasecmp(name, "script") == 0 || strcasecmp(name, "style") == 0 || strcasecmp(name, "img") == 0)
			fail_msg("that is none of ours: %.80s", p - 1);
		if (end) {
			while (depth > 0 && strcmp(stack[depth - 1], name) != 0 && is_among(stack[depth - 1], optional, NELEM(optional)))
				depth--;
			if (depth == 0 || strcmp(stack[depth - 1], name) != 0)
				fail_msg("%s ends %s: %.80s", name, depth > 0 ? stack[depth - 1] : "nothing", p - 2);
			depth--;
		} else if (!self) {
			assert_true(depth < NELEM(stack));
			strcpy(stack[depth++], name);
			while (depth > 20) /* siblings whose ends were left out */
				fail_msg("too deep: %.60s", p);
			if (depth > 1 && (strcmp(name, "tr") == 0 || strcmp(name, "td") == 0 || strcmp(name, "th") == 0 || strcmp(name, "li") == 0)) {
				size_t k = depth - 1;

				while (k > 0 && is_among(stack[k - 1], optional, NELEM(optional)) && strcmp(stack[k - 1], "tbody") != 0 &&
				    strcmp(stack[k - 1], "thead") != 0 && (strcmp(stack[k - 1], "tr") != 0 || strcmp(name, "tr") == 0))
					k--;
				strcpy(stack[k], name);
				depth = k + 1;
			}
		}
		p = close;
	}
	while (depth > 0 && is_among(stack[depth - 1], optional, NELEM(optional)))
		depth--;
	if (depth != 0)
		fail_msg("%s does not end", stack[depth - 1]);
}

static struct buf made;

/* Valid until the next one; takes the rows. */
static const char *
main_of(json_t *takes, int64_t now_ms)
{
	buf_free(&made);
	memset(&made, 0, sizeof made);
	assert_non_null(takes);
	page_main(&made, takes, now_ms);
	json_decref(takes);
	assert_int_equal(strlen(made.s), made.len);
	assert_well_formed(made.s);
	return made.s;
}

static int
free_made(void **state)
{
	buf_free(&made);
	memset(&made, 0, sizeof made);
	return 0;
}

#define HAS(html, part) \
	do { \
		if (strstr(html, part) == NULL) \
			fail_msg("%s is not in:\n%s", part, html); \
	} while (0)
#define HAS_NOT(html, part) \
	do { \
		if (strstr(html, part) != NULL) \
			fail_msg("%s is in:\n%s", part, html); \
	} while (0)

static size_t
times(const char *html, const char *part)
{
	size_t n = 0;

	for (; (html = strstr(html, part)) != NULL; html++)
		n++;
	return n;
}

/* ---- html ---- */

static void
markup_is_the_formats_alone(void **state)
{
	const char *volatile none = NULL;
	struct buf b = { 0 };

	html_add(&b, "<a b=\"%s\">%s 100%% %zu %lld %d</a>", "x\"y'z", "<&>\n\t\x7f", (size_t)7, -3LL, 4);
	assert_string_equal(b.s, "<a b=\"x&quot;y&#39;z\">&lt;&amp;&gt;??? 100% 7 -3 4</a>");
	buf_free(&b);
	memset(&b, 0, sizeof b);
	html_add(&b, "%s", none);
	html_add_short(&b, "caf\xc3\xa9s", 4);
	html_add(&b, "|");
	html_add_short(&b, "caf\xc3\xa9", 4);
	html_add(&b, "|");
	html_add_short(&b, "<<<", 2);
	assert_string_equal(b.s, "caf\xc3\xa9\xe2\x80\xa6|caf\xc3\xa9|&lt;&lt;\xe2\x80\xa6");
	buf_free(&b);
}

/* ---- headline ---- */

static void
headline(void **state)
{
	const char *html = main_of(rows_new(), NOW_MS);
	json_t *rows = rows_new();

	HAS(html, "<div id=head class=\"ok\" aria-live=polite><h1>All is well</h1><p id=lost hidden></p></div>");
	HAS_NOT(html, "id=problems");
	add_problem(rows, "problems", "warning", "router: one is held");
	html = main_of(json_deep_copy(rows), NOW_MS);
	HAS(html, "<div id=head class=\"warn\" aria-live=polite><h1>1 problem</h1>");
	HAS(html, "<li><span class=\"s warn\">warning</span> <b>router: one is held</b><br><span class=h>\xe2\x86\x92 do this</span>");
	add_problem(rows, "problems", "failure", "sbc/1 failed");
	add_problem(rows, "reminders", "warning", "somebody drained it");
	html = main_of(rows, NOW_MS);
	HAS(html, "<div id=head class=\"bad\" aria-live=polite><h1>2 problems</h1>");
	HAS(html, "<span class=\"s bad\">failure</span> <b>sbc/1 failed</b>");
	HAS(html, "<span class=\"s none\">reminder</span> <b>somebody drained it</b>");
	rows = rows_new();
	add_problem(rows, "reminders", "warning", "somebody drained it"); /* that is none */
	html = main_of(rows, NOW_MS);
	HAS(html, "<h1>All is well</h1>");
	HAS(html, "somebody drained it");
}

static void
an_empty_platform(void **state)
{
	const char *html = main_of(rows_new(), NOW_MS);

	HAS(html, "No service is configured");
	HAS(html, "None: no Kamailio is configured here.");
	HAS(html, "this machine registers nothing");
	HAS(html, "None yet.");
	HAS(html, "Nothing is configured yet.");
	HAS_NOT(html, "<svg");
	HAS_NOT(html, "id=nodes");
	HAS_NOT(html, "id=kamailios");
	html = main_of(json_object(), NOW_MS); /* nothing at all */
	HAS(html, "<h1>All is well</h1>");
	HAS(html, "They are being read");
}

/* Every table tells what it is, and what its columns and rows are. */
static void
tables_have_heads(void **state)
{
	json_t *rows = rows_new();
	const char *html;

	add_service(rows, service("router", 2, "held", 1));
	add_kamailio(rows, "sbc", true);
	add_target(rows, NULL, target("sbc/1", "dispatcher", "converged", 7, 7));
	html = main_of(rows, NOW_MS);
	assert_int_equal(times(html, "<table>"), times(html, "<table><caption>"));
	assert_int_equal(times(html, "<table>"), times(html, "<thead><tr><th scope=col"));
	assert_int_equal(times(html, "<th"), times(html, "<th scope=") + times(html, "<thead"));
	HAS(html, "<tr><th scope=row>router<td>");
	HAS(html, "<tr><th scope=row>sbc/1<td>");
}

/* ---- states ---- */

static void
each_state_has_its_word(void **state)
{
	static const struct {
		const char *name, *look;
	} cases[] = { { "up", "ok" }, { "held", "warn" }, { "disabled", "warn" }, { "suppressed", "warn" }, { "draining", "warn" } };
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		json_t *rows = rows_new();
		char want[128];
		const char *html;

		add_service(rows, service("router", 3, cases[i].name, 2));
		html = main_of(rows, NOW_MS);
		snprintf(want, sizeof want, "<td><span class=\"s %s\">%s</span>", cases[i].look, cases[i].name);
		HAS(html, want);
		snprintf(want, sizeof want, "<use href=\"#m-%s\" x=\"10\" y=\"41\" class=\"%s\"><title>10.0.0.0:5060 %s</title></use>", cases[i].name,
		    cases[i].look, cases[i].name);
		HAS(html, want);
		snprintf(want, sizeof want, "<symbol id=m-%s>", cases[i].name);
		HAS(html, want);
	}
}

static void
a_services_worst_state_is_told(void **state)
{
	static const struct {
		const char *key;
		int n;
		const char *want;
	} cases[] = {
		{ "up", 1, "up" }, { "held", 2, "held" }, { "suppressed", 1, "suppressed" }, { "up", 0, "empty" }, { "frozen", -1, "frozen" },
		{ "known", -2, "never seen" }, { "stale", -1, "stale" },
	};
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		json_t *s = service("router", 1, "", 0);

		json_object_set_new(s, cases[i].key, cases[i].n >= 0 ? json_integer(cases[i].n) : json_boolean(cases[i].n == -1));
		assert_string_equal(page_service_state(s), cases[i].want);
		json_decref(s);
	}
	assert_string_equal(page_look("empty"), "bad");
	assert_string_equal(page_look("whatever"), "none");
	assert_string_equal(page_worse("ok", "bad"), "bad");
	assert_string_equal(page_worse("bad", "warn"), "bad");
	assert_string_equal(page_worse("ok", "none"), "ok");
}

static void
targets_and_kamailios(void **state)
{
	static const char *const states[] = { "converged", "pending", "window", "unreachable", "failed" };
	json_t *rows = rows_new(), *s = service("router", 1, "", 0);
	char name[32], want[160];
	const char *html;
	size_t i;

	add_service(rows, s);
	add_kamailio(rows, "sbc", true);
	add_kamailio(rows, "sbc-b", false); /* whose name begins with the other's */
	for (i = 0; i < NELEM(states); i++) {
		snprintf(name, sizeof name, "sbc/%zu", i);
		add_target(rows, s, target(name, "dispatcher", states[i], 9, 9 - (int)i));
	}
	add_target(rows, NULL, target("sbc-b/rtpengine/0", "rtpengine", "unreachable", 9, 0));
	add_target(rows, s, target("other/1", "dispatcher", "converged", 9, 9)); /* of no Kamailio that is known */
	html = main_of(rows, NOW_MS);
	for (i = 0; i < NELEM(states); i++) {
		snprintf(want, sizeof want, "<tr><th scope=row>sbc/%zu<td>dispatcher<td><span class=\"s %s\">%s</span>", i, page_look(states[i]), states[i]);
		HAS(html, want);
	}
	HAS(html, "<td class=n>4<td class=n>4<td class=n>open<td>it broke"); /* lag, pending */
	HAS(html, "<td class=n>5s<td>");
	HAS(html, ">dispatcher 1<");
	HAS(html, ">rtpengine 0<");
	HAS(html, ">\xe2\x9c\x93 converged<");
	HAS(html, ">\xe2\x96\xb2 pending, lag 1<");
	HAS(html, ">\xe2\x9c\x95 failed, lag 4<");
	assert_int_equal(times(html, "<path d=\"M320 "), 5); /* a line for each that is drawn */
	HAS(html, "class=\"line bad\"");
	HAS(html, ">Kamailio sbc-b<");
	HAS(html, "<tr><th scope=row>sbc-b<td><span class=\"s bad\">unreachable</span>");
	HAS(html, "it is down");
	HAS(html, "<b>1</b> of 1<br><small>1 of 2 Kamailios reachable</small>");
}

static void
nodes_and_registrations(void **state)
{
	json_t *rows = rows_new();
	const char *html;
	size_t i;

	json_object_set_new(rows, "registrations", json_pack("[{s:s,s:s,s:s,s:s,s:i,s:s,s:s,s:s,s:s,s:[{s:s,s:s},{s:s,s:s}]},{s:s,s:s,s:s,s:s,s:s}]",
	    "registration", "sbc", "state", "maintenance", "service", "sbc", "address", "fd00::1", "port", 5060, "agent", "critical", "catalog",
	    "missing", "dns", "off", "note", "by somebody", "checks", "check", "sip", "status", "critical", "check", "other", "status", "",
	    "registration", "rtp", "state", "waiting", "why", "no address yet", "dns", "listed", "catalog", "unknown"));
	for (i = 0; i < 61; i++)
		json_array_append_new(json_object_get(rows, "nodes"),
		    json_pack("{s:s,s:s,s:s,s:s,s:i,s:s}", "url", "udp:10.0.0.1:2223", "target", "sbc/rtpengine/0", "ping", i ? "alive" : "dead", "desired",
		        "active", "weight", 1, "why", i ? "" : "no answer"));
	json_object_set_new(json_array_get(json_object_get(rows, "nodes"), 1), "sessions", json_integer(12));
	html = main_of(rows, NOW_MS);
	HAS(html, "<td class=m>[fd00::1]:5060<td><span class=\"s bad\">critical</span><td><span class=\"s warn\">missing</span><td><span class=\"s none\">not asked</span>");
	HAS(html, "sip <span class=\"s bad\">critical</span></span> <span class=nb>other <span class=\"s none\">unknown</span>");
	HAS(html, "by somebody");
	HAS(html, "no address yet");
	HAS(html, "<span class=\"s bad\">dead</span><td><span class=\"s ok\">active</span><td><span class=\"s none\">absent</span>");
	HAS(html, "<td class=n>12<td>");
	HAS(html, "and 1 more: <code>c4ctl show rtpengine</code>");
}

static void
routing(void **state)
{
	json_t *rows = rows_new();

	HAS(main_of(json_deep_copy(rows), NOW_MS), "no routing data");
	json_object_set_new(rows, "routing", json_pack("{s:b,s:i,s:i,s:i,s:i,s:s,s:s}", "served", 1, "decisions", 1000, "unrouted", 3, "mean_us", 41,
	    "version", 12, "source", "kv c4/routing", "loaded", "2023-11-14T22:12:20.000Z"));
	HAS(main_of(rows, NOW_MS), "<b>1000</b> 41 \xc2\xb5s each<br><small>3 without a route, 0 auth, 0 CDR, 0 refused; data 12 from kv c4/routing, "
	    "<time datetime=\"2023-11-14T22:12:20.000Z\">1m00s</time> old");
}

/* ---- the history ---- */

static void
changes(void **state)
{
	json_t *rows = rows_new(), *g;
	const char *html;

	g = json_pack("{s:i,s:s,s:s,s:[{s:s,s:s,s:i,s:s,s:s},{s:s,s:s,s:i,s:n,s:s},{s:s,s:s,s:i,s:s,s:n},{s:s}],s:[{s:i,s:i},{s:i,s:i},{s:n}]}",
	    "generation", 7, "seen", "2023-11-14T22:13:19.123Z", "cause", "complete list of router", "changes", "service", "router", "address",
	    "10.0.0.1", "port", 5060, "from", "up", "to", "disabled", "service", "router", "address", "10.0.0.2", "port", 5060, "from", "to", "up",
	    "service", "router", "address", "10.0.0.3", "port", 5060, "from", "up", "to", "service", "more", "targets", "seen_to_applied_ms", 10,
	    "applied_to_verified_ms", 7, "seen_to_applied_ms", 30, "applied_to_verified_ms", 12, "applied_to_verified_ms");
	json_array_append_new(json_object_get(rows, "history"), g);
	assert_int_equal(json_array_size(json_object_get(g, "changes")), 4);
	page_trim(json_object_get(rows, "history"));
	assert_int_equal(json_array_size(json_object_get(g, "changes")), PAGE_CHANGES_MAX);
	json_array_append_new(json_object_get(rows, "history"),
	    json_pack("{s:i,s:s,s:[{s:s,s:s,s:s,s:s}]}", "generation", 6, "seen", "", "changes", "service", "rtp", "line", "sbc/1 sip:x 8 0", "from", "up",
	        "to", "up"));
	html = main_of(rows, NOW_MS);
	HAS(html, "<tr><th scope=row class=n>7<td class=m>22:13:19.123<td class=n><time datetime=\"2023-11-14T22:13:19.123Z\">0.8s</time>");
	HAS(html, "router <span class=m>10.0.0.1:5060</span> up \xe2\x86\x92 <span class=\"s warn\">disabled</span>");
	HAS(html, "10.0.0.2:5060</span> new \xe2\x86\x92 <span class=\"s ok\">up</span>");
	HAS(html, "10.0.0.3:5060</span> up \xe2\x86\x92 <span class=\"s none\">removed</span>");
	HAS(html, "<div>and 1 more</div><small>complete list of router</small><td class=n>42 ms<td class=n>2\n");
	HAS(html, "sbc/1 sip:x 8 0</span> <span class=\"s none\">changed</span>");
	HAS(html, "<td class=n>never<td>");
}

/* ---- much, and what wants out ---- */

static void
a_huge_platform_stays_small(void **state)
{
	json_t *rows = rows_new();
	const char *html;
	size_t i, k;
	char name[32];

	for (i = 0; i < 8; i++) {
		json_t *s = service(i == 0 ? "first" : "other", 100, "held", i == 0 ? 45 : 1);

		for (k = 0; k < 4; k++) {
			snprintf(name, sizeof name, "sbc%zu/%zu", k, i);
			add_target(rows, s, target(name, "dispatcher", "converged", 7, 7));
		}
		add_service(rows, s);
	}
	for (k = 0; k < 4; k++) {
		snprintf(name, sizeof name, "sbc%zu", k);
		add_kamailio(rows, name, true);
	}
	html = main_of(rows, NOW_MS);
	printf("800 instances, 32 targets: %zu bytes\n", made.len);
	assert_true(made.len < 120000);
	HAS_NOT(html, "<use ");
	HAS(html, "class=\"bar b-up\"><title>55 up</title>");
	HAS(html, "class=\"bar b-held\"><title>1 held</title>"); /* one of a hundred is seen */
	HAS(html, "and 60 more: <code>c4ctl show instances first</code>");
	assert_int_equal(times(html, "<details id=i"), 8);
	HAS_NOT(html, " open>");
	/* those that are not up come first, and take what room there is */
	html = strstr(html, "Instances of first");
	assert_non_null(html);
	*strstr(html, "</table>") = '\0';
	assert_int_equal(times(html, "<span class=\"s warn\">held"), 40);
}

static void
a_bar_shows_few_of_many(void **state)
{
	json_t *rows = rows_new(), *s = service("router", 60, "held", 59);
	const char *html;

	add_service(rows, s);
	HAS(main_of(json_deep_copy(rows), NOW_MS), "class=\"bar b-up\"><title>1 up</title>");
	count(s, "up", 5000);
	count(s, "held", 1); /* less than a point of the drawing, */
	count(s, "disabled", 4999);
	html = main_of(json_deep_copy(rows), NOW_MS);
	HAS(html, "<rect x=\"160\" y=\"41\" width=\"2\" height=\"12\" class=\"bar b-held\">");
	HAS(html, "<rect x=\"162\" y=\"41\" width=\"148\" height=\"12\" class=\"bar b-disabled\">"); /* and the others make room */
	count(s, "disabled", 0);
	count(s, "up", 0);
	count(s, "held", 59);
	count(s, "draining", 1); /* at the very end */
	HAS(main_of(rows, NOW_MS), "class=\"bar b-draining\"><title>1 draining</title>");
}

static void
poison(json_t *v)
{
	const char *key;
	json_t *o;
	size_t i;
	void *next;

	if (json_is_array(v)) {
		json_array_foreach(v, i, o)
			poison(o);
	} else if (json_is_object(v)) {
		json_object_foreach_safe(v, next, key, o)
			poison(o);
	} else if (json_is_string(v)) {
		json_string_set(v, HOSTILE);
	}
}

/* Every text of every row. */
static void
hostile_texts_stay_texts(void **state)
{
	json_t *rows = rows_new(), *s = service("router", 3, "held", 1);
	const char *html;

	json_object_set_new(json_array_get(json_object_get(s, "instances"), 0), "guard", json_string("shrink"));
	json_object_del(json_array_get(json_object_get(s, "instances"), 1), "port");
	add_service(rows, s);
	add_kamailio(rows, "sbc", false);
	add_target(rows, s, target("sbc/1", "dispatcher", "failed", 7, 3));
	add_problem(rows, "problems", "failure", "x");
	add_problem(rows, "reminders", "warning", "x");
	json_object_set_new(rows, "nodes", json_pack("[{s:s,s:s,s:s,s:s,s:s,s:s}]", "url", "x", "target", "x", "ping", "x", "desired", "x", "actual", "x",
	    "why", "x"));
	json_object_set_new(rows, "registrations", json_pack("[{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:[{s:s,s:s}]}]", "registration", "x", "state", "x",
	    "since", "x", "service", "x", "address", "x", "agent", "x", "catalog", "x", "dns", "x", "why", "x", "note", "x", "checks", "check", "x", "status",
	    "x"));
	json_object_set_new(rows, "routing", json_pack("{s:b,s:s,s:s}", "served", 1, "source", "x", "loaded", "x"));
	json_object_set_new(rows, "history", json_pack("[{s:i,s:s,s:s,s:[{s:s,s:s,s:s,s:s,s:s}]}]", "generation", 1, "seen", "x", "cause", "x", "changes",
	    "service", "x", "address", "x", "from", "x", "to", "y", "guard", "x"));
	poison(rows);
	/* one whose name another's begins with is drawn within it */
	json_object_set_new(json_array_get(json_object_get(rows, "targets"), 0), "target", json_string(HOSTILE "/" HOSTILE));
	html = main_of(rows, NOW_MS);
	HAS_NOT(html, "<script");
	HAS_NOT(html, "<img");
	HAS_NOT(html, "onerror=\"");
	HAS_NOT(html, "\x7f");
	assert_true(times(html, "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&#39;&amp;?]]&gt;--&gt;") > 30);
}

/* ---- times ---- */

static void
times_are_ages_or_stand_still(void **state)
{
	json_t *rows = rows_new();
	char *first;

	add_service(rows, service("router", 1, "", 0));
	HAS(main_of(json_deep_copy(rows), NOW_MS), "<td class=n><time datetime=\"2023-11-14T22:10:00.000Z\">3m20s</time>");
	HAS(main_of(json_deep_copy(rows), 0), "<td class=n><time datetime=\"2023-11-14T22:10:00.000Z\">2023-11-14 22:10:00</time>");
	first = xstrdup(main_of(json_deep_copy(rows), 0));
	assert_string_equal(main_of(json_deep_copy(rows), 0), first);
	free(first);
	HAS(main_of(json_deep_copy(rows), NOW_MS), "<td class=n>fresh");
	json_object_set_new(json_array_get(json_object_get(json_object_get(rows, "topology"), "services"), 0), "fresh", json_false());
	HAS(main_of(rows, NOW_MS), "<td class=n><time datetime=\"2023-11-14T22:13:19.000Z\">1.0s</time>");
}

/* ---- the file ---- */

static void
the_whole_page(void **state)
{
	struct buf b = { 0 };
	json_t *rows = rows_new();

	add_problem(rows, "problems", "warning", "@HOST@ and @MAIN@");
	page_whole(&b, rows, NOW_MS, "sbc1<b>");
	json_decref(rows);
	assert_memory_equal(b.s, "<!doctype html>\n<html lang=\"en\" data-now=\"1700000000000\" data-host=\"sbc1&lt;b&gt;\">", 81);
	HAS(b.s, "<title>1 problem \xc2\xb7 sbc1&lt;b&gt; \xc2\xb7 c4d</title>");
	HAS(b.s, "as of 2023-11-14T22:13:20.000Z UTC");
	HAS(b.s, "<b>@HOST@ and @MAIN@</b>"); /* what stands in the rows is no mark */
	assert_int_equal(times(b.s, "@HOST@"), 1);
	assert_int_equal(times(b.s, "@MAIN@"), 1);
	assert_int_equal(times(b.s, "@NOW@") + times(b.s, "@AT@") + times(b.s, "@TITLE@"), 0);
	assert_int_equal(times(b.s, "<h1>"), 1);
	HAS(b.s, "<main id=\"main\">\n<div id=head");
	assert_string_equal(b.s + b.len - 8, "</html>\n");
	buf_free(&b);
}

/* Nothing from elsewhere, and small. */
static void
the_file_is_all_there_is(void **state)
{
	HAS_NOT(page_file, "src=");
	HAS_NOT(page_file, "@import");
	HAS_NOT(page_file, "url(");
	HAS_NOT(page_file, "https:");
	HAS_NOT(page_file, "cookie");
	HAS_NOT(page_file, " style=");
	assert_int_equal(times(page_file, "http:"), 1); /* the name of SVG */
	assert_int_equal(times(page_file, "<style>"), 1);
	assert_int_equal(times(page_file, "<script>"), 1);
	assert_true(strlen(page_file) < 20000);
}

static void
the_policy_names_what_is_there(void **state)
{
	char *policy = page_policy();
	const char *p = strstr(page_file, "<script>") + 8;
	uint8_t hash[SHA256_BYTES];

	HAS(policy, "default-src 'none'; style-src 'sha256-");
	HAS(policy, "; connect-src 'self'; ");
	HAS(policy, "; frame-ancestors 'none'");
	HAS_NOT(policy, "unsafe");
	HAS_NOT(strstr(page_file, "<style>"), "\r");
	/* neither has a mark in it: it is hashed as it stands in the file */
	sha256(p, (size_t)(strstr(p, "</script>") - p), hash);
	assert_null(memmem(p, (size_t)(strstr(p, "</script>") - p), "@", 1));
	p = strstr(policy, "script-src 'sha256-") + 19;
	assert_int_equal(strcspn(p, "'"), 44);
	assert_int_equal(p[43], '=');
	/* 6 bits of the first byte */
	assert_int_equal(p[0], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[hash[0] >> 2]);
	free(policy);
}

int
main(void)
{
#define T(name) cmocka_unit_test_teardown(name, free_made)
	static const struct CMUnitTest tests[] = {
		T(markup_is_the_formats_alone),
		T(headline),
		T(an_empty_platform),
		T(tables_have_heads),
		T(each_state_has_its_word),
		T(a_services_worst_state_is_told),
		T(targets_and_kamailios),
		T(nodes_and_registrations),
		T(routing),
		T(changes),
		T(a_huge_platform_stays_small),
		T(a_bar_shows_few_of_many),
		T(hostile_texts_stay_texts),
		T(times_are_ages_or_stand_still),
		T(the_whole_page),
		T(the_file_is_all_there_is),
		T(the_policy_names_what_is_there),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
