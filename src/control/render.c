/* Plain output: what the daemon's JSON looks like to people, at most 80 columns wide. */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/jsonx.h"
#include "base/text.h"
#include "control/control.h"
#include "wrap.h"

#define WIDTH 80
#define COLUMNS_MAX 16
#define CELL 256
#define BELOW_MAX 800 /* of a text below its row: a check's output may be pages */

static int64_t
parse_time(const char *s)
{
	struct tm tm = { 0 };
	const char *dot;
	int ms = 0;

	if (s == NULL || strptime(s, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
		return 0;
	dot = strchr(s, '.');
	if (dot != NULL)
		ms = atoi(dot + 1);
	return (int64_t)timegm(&tm) * 1000 + ms;
}

/* "0.4s" "12s" "3m20s" "5h10m" "12d": the two largest units. */
static void
age_text(const char *iso, int64_t now_ms, char *out, size_t size)
{
	int64_t then = parse_time(iso), s, ms = now_ms - then;

	if (then == 0) {
		snprintf(out, size, "never");
		return;
	}
	if (ms < 0)
		ms = 0;
	s = ms / 1000;
	if (s < 10)
		snprintf(out, size, "%" PRId64 ".%" PRId64 "s", s, ms % 1000 / 100);
	else if (s < 60)
		snprintf(out, size, "%" PRId64 "s", s);
	else if (s < 3600)
		snprintf(out, size, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, size, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
	else
		snprintf(out, size, "%" PRId64 "d%02" PRId64 "h", s / 86400, s / 3600 % 24);
}

/* "12s ago", "never" */
static void
ago_text(const char *iso, int64_t now_ms, char *out, size_t size)
{
	age_text(iso, now_ms, out, size);
	if (parse_time(iso) != 0)
		snprintf(out + strlen(out), size - strlen(out), " ago");
}

static const char *
text(const json_t *o, const char *key)
{
	const char *s = jsonx_get_text(o, key);

	return s ? s : "";
}

static int64_t
num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void
address_text(const json_t *o, char *out, size_t size)
{
	bool v6 = strchr(text(o, "address"), ':') != NULL;

	snprintf(out, size, "%s%.50s%s:%" PRId64, v6 ? "[" : "", text(o, "address"), v6 ? "]" : "", num(o, "port"));
}

static void
cell(const struct column *c, const json_t *row, int64_t now_ms, char *out)
{
	const json_t *v = json_object_get(row, c->key), *item;
	size_t i, len = 0;

	if (c->kind == COLUMN_AGE) {
		age_text(json_string_value(v), now_ms, out, CELL);
	} else if (json_is_array(v)) {
		out[0] = '\0';
		json_array_foreach(v, i, item)
			if (len < CELL)
				len += (size_t)snprintf(out + len, CELL - len, "%s%s", i ? "," : "",
				    json_string_value(item) ? json_string_value(item) : "?");
		if (json_array_size(v) == 0)
			snprintf(out, CELL, "-");
	} else if (json_is_integer(v)) {
		snprintf(out, CELL, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	} else if (json_is_boolean(v)) {
		snprintf(out, CELL, "%s", json_is_true(v) ? "yes" : "no");
	} else {
		snprintf(out, CELL, "%s", json_string_value(v) && json_string_value(v)[0] ? json_string_value(v) : "-");
	}
}

/* Long text under its row, indented and wrapped. */
void
print_wrapped(const char *s, size_t indent)
{
	while (*s) {
		size_t room = WIDTH - indent, len = strlen(s), cut = len;

		if (len > room) {
			for (cut = room; cut > room / 2 && s[cut] != ' '; cut--)
				;
			if (s[cut] != ' ')
				cut = room;
		}
		printf("%*s%.*s\n", (int)indent, "", (int)cut, s);
		s += cut;
		while (*s == ' ')
			s++;
	}
}

static void say(size_t indent, const char *fmt, ...) PRINTF(2, 3);

static void
say(size_t indent, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	print_wrapped(line, indent);
}

/* Too wide: columns that say nothing go first. Returns what is gained. */
static size_t
hide_empty(const struct column *columns, size_t n, const json_t *rows, size_t total, bool *hidden, const size_t *width)
{
	const json_t *row;
	char buf[CELL];
	size_t i, r, gained = 0;

	for (i = n; i-- > 1 && total - gained > WIDTH + 1;) {
		hidden[i] = columns[i].kind == COLUMN_TEXT || columns[i].kind == COLUMN_LIST || columns[i].kind == COLUMN_SPARE;
		json_array_foreach(rows, r, row) {
			cell(&columns[i], row, 0, buf);
			hidden[i] &= strcmp(buf, "-") == 0;
		}
		if (hidden[i])
			gained += width[i] + 1;
	}
	return gained;
}

/* Still too wide: what may stand below its row does. Returns what is gained. */
static size_t
move_below(const struct column *columns, size_t n, size_t total, bool *hidden, bool *below, const size_t *width)
{
	size_t i, gained = 0;

	for (i = 0; i < n && total - gained > WIDTH + 1; i++) {
		if (columns[i].kind != COLUMN_SPARE || hidden[i])
			continue;
		hidden[i] = below[i] = true;
		gained += width[i] + 1;
	}
	return gained;
}

/* "id vm7-sbc, service sbc", and then what always stands there. */
static void
print_below(const struct column *columns, size_t n, const bool *below, const json_t *row)
{
	char line[2 * CELL] = "", more[BELOW_MAX + 32];
	size_t i, len = 0;

	for (i = 0; i < n; i++)
		if (below[i] && text(row, columns[i].key)[0] && len < sizeof line)
			len += (size_t)snprintf(line + len, sizeof line - len, "%s%s %.200s", len ? ", " : "", columns[i].key,
			    text(row, columns[i].key));
	print_wrapped(line, 4);
	for (i = n; columns[i].key != NULL; i++) {
		const char *s = text(row, columns[i].key);

		snprintf(more, sizeof more, "%.*s%s", BELOW_MAX, s, strlen(s) > BELOW_MAX ? " ... (-f json has all)" : "");
		print_wrapped(more, 4);
	}
}

static void
print_cell(const struct column *c, const char *s, size_t width, bool last)
{
	if (c->kind == COLUMN_NUMBER)
		printf("%*.*s%c", (int)width, (int)width, s, last ? '\n' : ' ');
	else
		printf("%-*.*s%c", last ? 0 : (int)width, (int)width, s, last ? '\n' : ' ');
}

void
render_table(const struct column *columns, const json_t *rows, int64_t now_ms)
{
	size_t width[COLUMNS_MAX] = { 0 }, total = 0, widest, last = 0, n, i, r;
	bool hidden[COLUMNS_MAX] = { false }, below[COLUMNS_MAX] = { false };
	char buf[CELL];
	const json_t *row;

	for (n = 0; columns[n].key != NULL && columns[n].kind != COLUMN_BELOW && n < COLUMNS_MAX; n++) {
		width[n] = strlen(columns[n].title);
		json_array_foreach(rows, r, row) {
			cell(&columns[n], row, now_ms, buf);
			if (strlen(buf) > width[n])
				width[n] = strlen(buf);
		}
		total += width[n] + 1;
	}
	if (json_array_size(rows) == 0) {
		printf("(none)\n");
		return;
	}
	total -= hide_empty(columns, n, rows, total, hidden, width);
	total -= move_below(columns, n, total, hidden, below, width);
	/* And still: the widest gives way, and says so with a '~'. */
	while (total > WIDTH + 1) {
		for (i = 1, widest = 0; i < n; i++)
			if (!hidden[i] && width[i] > width[widest])
				widest = i;
		if (width[widest] <= 4)
			break;
		width[widest]--;
		total--;
	}
	for (i = 0; i < n; i++)
		if (!hidden[i])
			last = i;
	for (i = 0; i < n; i++)
		if (!hidden[i])
			print_cell(&columns[i], columns[i].title, width[i], i == last);
	json_array_foreach(rows, r, row) {
		for (i = 0; i < n; i++) {
			if (hidden[i])
				continue;
			cell(&columns[i], row, now_ms, buf);
			if (strlen(buf) > width[i])
				buf[width[i] - 1] = '~';
			print_cell(&columns[i], buf, width[i], i == last);
		}
		print_below(columns, n, below, row);
	}
}

/* ", 1 suppressed, 2 draining": what is rare is shown when it is there. */
static const char *
out_text(const json_t *o, char *out, size_t size)
{
	static const char *const states[] = { "suppressed", "draining" };
	size_t i, len = 0;

	out[0] = '\0';
	for (i = 0; i < NELEM(states); i++)
		if (num(o, states[i]) > 0 && len < size)
			len += (size_t)snprintf(out + len, size - len, ", %" PRId64 " %s", num(o, states[i]), states[i]);
	return out;
}

/* "2 adds, 1 removes, " of strategy: incremental. */
static const char *
steps_text(const json_t *o, char *out, size_t size)
{
	out[0] = '\0';
	if (num(o, "adds") + num(o, "removes") > 0)
		snprintf(out, size, "%" PRId64 " adds, %" PRId64 " removes, ", num(o, "adds"), num(o, "removes"));
	return out;
}

/* "2 registered, 1 maintenance": those that there are. */
static void
print_registrations(const json_t *o)
{
	static const char *const states[] = { "registered", "maintenance", "waiting", "pending", "failed", "unreachable", "leaving" };
	char line[256];
	const char *before = ": ";
	size_t i, len;

	if (num(o, "count") == 0)
		return;
	len = (size_t)snprintf(line, sizeof line, "registers  %" PRId64, num(o, "count"));
	for (i = 0; i < NELEM(states); i++) {
		if (num(o, states[i]) == 0)
			continue;
		len += (size_t)snprintf(line + len, sizeof line - len, "%s%" PRId64 " %s", before, num(o, states[i]), states[i]);
		before = ", ";
	}
	print_wrapped(line, 0);
}

void
render_status(const json_t *o, int64_t now_ms)
{
	const json_t *services = json_object_get(o, "services"), *targets = json_object_get(o, "targets");
	const json_t *store = json_object_get(o, "store"), *problems = json_object_get(o, "problems"), *v;
	char up[32], changed[32], proof[32], out[64];
	size_t i;

	age_text(text(o, "started"), now_ms, up, sizeof up);
	ago_text(text(o, "changed"), now_ms, changed, sizeof changed);
	ago_text(text(o, "last_proof"), now_ms, proof, sizeof proof);
	if (json_array_size(problems) == 0)
		printf("c4d %s: all is well\n", text(o, "version"));
	else
		printf("c4d %s: %zu problem%s\n", text(o, "version"), json_array_size(problems),
		    json_array_size(problems) == 1 ? "" : "s");
	json_array_foreach(problems, i, v) {
		say(0, "! %s", text(v, "problem"));
		say(2, "-> %s", text(v, "hint"));
	}
	json_array_foreach(json_object_get(o, "reminders"), i, v) {
		say(0, "* %s", text(v, "problem"));
		say(2, "-> %s", text(v, "hint"));
	}
	say(0, "running    %s, pid %" PRId64 ", generation %" PRId64 " (%s)", up, num(o, "pid"), num(o, "generation"),
	    changed);
	say(0, "services   %" PRId64 ": %" PRId64 " up, %" PRId64 " disabled, %" PRId64 " held%s; last proof from DNS %s",
	    num(services, "count"), num(services, "up"), num(services, "disabled"), num(services, "held"),
	    out_text(services, out, sizeof out), proof);
	say(0, "targets    %" PRId64 " converged, %" PRId64 " pending, %" PRId64 " window, %" PRId64
	    " unreachable, %" PRId64 " failed",
	    num(targets, "converged"), num(targets, "pending"), num(targets, "window"), num(targets, "unreachable"),
	    num(targets, "failed"));
	json_array_foreach(json_object_get(o, "kamailio"), i, v) {
		if (json_is_true(json_object_get(v, "up")))
			say(0, "kamailio   %s: %.30s, %" PRId64 " reloads, %s%" PRId64 " set_states", text(v, "name"),
			    text(v, "version"), num(v, "reloads"), steps_text(v, out, sizeof out), num(v, "set_states"));
		else
			say(0, "kamailio   %s: not reachable", text(v, "name"));
	}
	print_registrations(json_object_get(o, "registrations"));
	printf("store      %s, %" PRId64 " commits, %" PRId64 "K used\n", text(store, "state"), num(store, "commits"),
	    num(store, "used_bytes") / 1024);
}

void
render_topology(const json_t *o, int64_t now_ms)
{
	const json_t *s, *i;
	size_t a, b;
	char age[32], addr[80], changed[32], out[64];

	ago_text(text(o, "changed"), now_ms, changed, sizeof changed);
	printf("generation %" PRId64 ", %s\n", num(o, "generation"), changed);
	json_array_foreach(json_object_get(o, "services"), a, s) {
		ago_text(text(s, "proof"), now_ms, age, sizeof age);
		say(0, "%s  %" PRId64 " up, %" PRId64 " disabled, %" PRId64 " held%s%s  (proof %s)", text(s, "service"),
		    num(s, "up"), num(s, "disabled"), num(s, "held"), out_text(s, out, sizeof out), json_is_true(json_object_get(s, "frozen")) ? ", frozen" : "",
		    age);
		if (text(s, "note")[0])
			print_wrapped(text(s, "note"), 4);
		json_array_foreach(json_object_get(s, "instances"), b, i) {
			age_text(text(i, "since"), now_ms, age, sizeof age);
			address_text(i, addr, sizeof addr);
			say(2, "|- %-24s %s%s%s  weight %" PRId64 "  %s", addr, text(i, "state"), text(i, "guard")[0] ? ":" : "",
			    text(i, "guard"), num(i, "weight"), age);
		}
		json_array_foreach(json_object_get(s, "targets"), b, i)
			say(2, "`> %-24s %s generation %" PRId64, text(i, "target"), text(i, "state"),
			    num(i, "applied_generation"));
	}
}

static void
print_change(const json_t *ch, size_t indent)
{
	char line[512], addr[80];

	address_text(ch, addr, sizeof addr);
	snprintf(line, sizeof line, "%s %s %s -> %s%s%s", text(ch, "service"), addr,
	    text(ch, "from")[0] ? text(ch, "from") : "new", text(ch, "to")[0] ? text(ch, "to") : "removed",
	    text(ch, "guard")[0] ? ":" : "", text(ch, "guard"));
	print_wrapped(line, indent);
}

/* "12:00:01.234" of a time; the day is its generation's. */
static const char *
clock_text(const char *iso, char out[16])
{
	const char *t = strchr(iso, 'T');

	snprintf(out, 16, "%.12s", t ? t + 1 : "");
	return out;
}

/* " (+5ms)": after the step before it. */
static const char *
gap_text(const json_t *o, const char *key, char out[32])
{
	out[0] = '\0';
	if (json_is_integer(json_object_get(o, key)))
		snprintf(out, 32, " (%+" PRId64 "ms)", num(o, key));
	return out;
}

void
render_history(const json_t *rows, int64_t now_ms)
{
	const json_t *g, *v;
	size_t i, k, len;
	char line[256], age[32], when[16], gap[32];

	if (json_array_size(rows) == 0)
		printf("(none)\n");
	json_array_foreach(rows, i, g) {
		const json_t *changes = json_object_get(g, "changes");
		int64_t committed = parse_time(text(g, "committed"));

		ago_text(text(g, "seen"), now_ms, age, sizeof age);
		printf("generation %" PRId64 "  %s (%s)\n", num(g, "generation"), text(g, "seen"), age);
		print_wrapped(text(g, "cause"), 2);
		json_array_foreach(changes, k, v) {
			if (k == 10) {
				printf("  ... and %zu more (-f json shows all)\n", json_array_size(changes) - k);
				break;
			}
			print_change(v, 2);
		}
		if (committed > 0)
			say(2, "committed %s%s", clock_text(text(g, "committed"), when), gap_text(g, "seen_to_committed_ms", gap));
		json_array_foreach(json_object_get(g, "targets"), k, v) {
			bool applied = text(v, "applied")[0], verified = text(v, "verified")[0];

			len = (size_t)snprintf(line, sizeof line, "%s %s%s%s", text(v, "target"), applied ? "applied " : "not applied",
			    clock_text(text(v, "applied"), when), gap_text(v, "seen_to_applied_ms", gap));
			if (applied && verified && len < sizeof line)
				snprintf(line + len, sizeof line - len, ", verified %s%s", clock_text(text(v, "verified"), when),
				    gap_text(v, "applied_to_verified_ms", gap));
			print_wrapped(line, 2);
		}
	}
}

static bool
stays_out(const json_t *i)
{
	return json_object_get(i, "drain") != NULL || json_is_true(json_object_get(json_object_get(i, "flap"), "damped"));
}

/* Why damping or the operator keeps it out, or would. */
static void
print_reasons(const json_t *i)
{
	const json_t *flap = json_object_get(i, "flap"), *drain = json_object_get(i, "drain");
	char in[32], addr[80];

	if (flap != NULL) {
		text_format_duration((num(flap, "reuse_in_ms") + 999) / 1000 * 1000, in, sizeof in);
		if (json_is_true(json_object_get(flap, "damped")) && text(flap, "kept_in")[0])
			say(2, "flapped %" PRId64 " times; penalty %" PRId64 " (suppressed at %" PRId64 "): it takes calls all the same: %s",
			    num(flap, "goings"), num(i, "penalty"), num(flap, "suppress"), text(flap, "kept_in"));
		else if (json_is_true(json_object_get(flap, "damped")))
			say(2, "flapped %" PRId64 " times; penalty %" PRId64 " (suppressed at %" PRId64 ", in again below %" PRId64
			    ", in about %s; at once: c4ctl approve %s)", num(flap, "goings"), num(i, "penalty"), num(flap, "suppress"),
			    num(flap, "reuse"), in, text(i, "service"));
		else
			say(2, "went %" PRId64 " times lately; penalty %" PRId64 " (suppressed at %" PRId64 ")", num(flap, "goings"),
			    num(i, "penalty"), num(flap, "suppress"));
	}
	if (drain != NULL) {
		address_text(i, addr, sizeof addr);
		say(2, "drained by %s since %s: no new calls; established ones may take %s%s. It ends by: c4ctl undrain %s",
		    text(drain, "by"), text(drain, "since"), text(drain, "until")[0] ? "until " : "as long as they need",
		    text(drain, "until"), addr);
	} else if (strcmp(text(i, "guard"), "tag") == 0) {
		say(2, "drained by its tag at Consul: no new calls, established ones go on, until the tag is gone");
	}
}

/* Of this machine's own: where Consul has it. */
static void
print_registration(const json_t *v)
{
	say(2, "registered by this c4d as %s (id %s, service %s): %s; at the agent %s, at the catalog %s, in DNS %s",
	    text(v, "registration"), text(v, "id"), text(v, "service"), text(v, "state"),
	    text(v, "agent")[0] ? text(v, "agent") : "not there", text(v, "catalog"), text(v, "dns"));
	print_wrapped(text(v, "why"), 4);
	print_wrapped(text(v, "note"), 4);
}

void
render_why(const json_t *o, int64_t now_ms)
{
	const json_t *i, *v, *g;
	size_t a, b;
	char age[32], line[640], hold[32], missing[32];

	json_array_foreach(json_object_get(o, "instances"), a, i) {
		const char *state = text(i, "state"), *guard = text(i, "guard");

		ago_text(text(i, "since"), now_ms, age, sizeof age);
		say(0, "%s of service %s is %s%s%s since %s (%s), weight %" PRId64, text(o, "address"),
		    text(i, "service"), state, guard[0] ? ":" : "", guard, text(i, "since"), age, num(i, "weight"));
		text_format_duration(num(i, "missing_ms"), missing, sizeof missing);
		json_array_foreach(json_object_get(i, "listed_by"), b, v) {
			ago_text(text(v, "proof"), now_ms, age, sizeof age);
			say(2, "listed by %s, last proof %s", text(v, "name"), age);
		}
		json_array_foreach(json_object_get(i, "not_listed_by"), b, v) {
			snprintf(line, sizeof line, "not listed by %s: last round %s (%s)", text(v, "name"), text(v, "evidence"),
			    text(v, "why"));
			print_wrapped(line, 2);
		}
		if (strcmp(text(i, "source"), "store") == 0)
			print_wrapped("known from the store: DNS has not spoken of it since c4d started", 2);
		if (strcmp(text(i, "source"), "adopted") == 0)
			print_wrapped("adopted as it was found in Kamailio or its list file; only evidence takes it out", 2);
		if (strcmp(guard, "shrink") == 0) {
			text_format_duration(num(i, "shrink_hold_ms"), hold, sizeof hold);
			snprintf(line, sizeof line, "missing for %s; held because too many left at once, until %s or: c4ctl approve %s", missing,
			    hold, text(i, "service"));
			print_wrapped(line, 2);
		} else if (strcmp(guard, "empty") == 0) {
			snprintf(line, sizeof line, "missing for %s; held because fewer than min_instances would be left. "
			    "If it is really gone: c4ctl approve %s", missing, text(i, "service"));
			print_wrapped(line, 2);
		} else if (strcmp(guard, "hold") == 0) {
			snprintf(line, sizeof line, "missing for %s; the service is frozen: c4ctl release %s", missing, text(i, "service"));
			print_wrapped(line, 2);
		} else if (strcmp(state, "disabled") == 0) {
			text_format_duration(num(i, "remove_hold_ms"), hold, sizeof hold);
			if (stays_out(i))
				snprintf(line, sizeof line, "out for %s; when DNS lists it again it takes no calls yet:", missing);
			else
				snprintf(line, sizeof line,
				    "out for %s; leaves the lists altogether after %s, comes back at once when DNS lists it", missing, hold);
			print_wrapped(line, 2);
		}
		print_reasons(i);
	}
	if (json_array_size(json_object_get(o, "instances")) == 0)
		say(0, "%s is no instance now", text(o, "address"));
	json_array_foreach(json_object_get(o, "destinations"), a, v)
		say(2, "in %s as %s: desired %s, Kamailio says %s", text(v, "target"), text(v, "uri"),
		    text(v, "desired")[0] ? text(v, "desired") : "nothing", text(v, "actual")[0] ? text(v, "actual") : "not there");
	json_array_foreach(json_object_get(o, "registrations"), a, v)
		print_registration(v);
	json_array_foreach(json_object_get(o, "history"), a, g) {
		const json_t *ch;

		json_array_foreach(json_object_get(g, "changes"), b, ch) {
			address_text(ch, line, sizeof line);
			if (strcmp(line, text(o, "address")) != 0)
				continue;
			snprintf(line, sizeof line, "%s generation %" PRId64 ": %s -> %s%s%s, by %s", text(g, "seen"), num(g, "generation"),
			    text(ch, "from")[0] ? text(ch, "from") : "new", text(ch, "to")[0] ? text(ch, "to") : "removed",
			    text(ch, "guard")[0] ? ":" : "", text(ch, "guard"), text(g, "cause"));
			print_wrapped(line, 2);
		}
	}
}

void
render_config(const json_t *rows, int64_t now_ms)
{
	const json_t *v;
	size_t i;

	json_array_foreach(rows, i, v)
		say(0, "%s: %s  (%s)", text(v, "key"), text(v, "value"), text(v, "origin"));
}

void
render_messages(const json_t *rows, int64_t now_ms)
{
	const json_t *v;
	size_t i;

	json_array_foreach(rows, i, v)
		printf("%s\n", json_string_value(v));
}

/* As they are: texts, or objects on a line each. */
void
render_lines(const json_t *rows, int64_t now_ms)
{
	const json_t *v;
	size_t i;

	json_array_foreach(rows, i, v) {
		if (json_is_string(v))
			fwrite(json_string_value(v), 1, json_string_length(v), stdout);
		else
			json_dumpf(v, stdout, JSON_COMPACT);
		putchar('\n');
	}
}

void
render_done(const json_t *o, int64_t now_ms)
{
	say(0, "%s %s", text(o, text(o, "service")[0] ? "service" : "registration"), text(o, "done"));
}

void
render_event(const json_t *o, int64_t now_ms)
{
	printf("%s %-7s %s: %s\n", text(o, "time"), text(o, "level"), text(o, "subsystem"), text(o, "text"));
	fflush(stdout);
}

void
render_diff(const json_t *rows, int64_t now_ms)
{
	static const struct column columns[] = {
		{ "TARGET", "target", COLUMN_TEXT }, { "WHERE", "where", COLUMN_TEXT }, { "STEP", "op", COLUMN_TEXT },
		{ "ITEM", "item", COLUMN_TEXT }, { "", "detail", COLUMN_BELOW }, { NULL, NULL, 0 },
	};

	if (json_array_size(rows) == 0)
		printf("no difference\n");
	else
		render_table(columns, rows, now_ms);
}
