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
#include "render_int.h"

#define WIDTH 80
#define COLUMNS_MAX 16
#define CELL 256
#define NUMBER_MAX (1LL << 53) /* what JSON keeps exactly */
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
void
render_age(const char *iso, int64_t now_ms, char *out, size_t size)
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
void
render_ago(const char *iso, int64_t now_ms, char *out, size_t size)
{
	render_age(iso, now_ms, out, size);
	if (parse_time(iso) != 0)
		snprintf(out + strlen(out), size - strlen(out), " ago");
}

const char *
render_text(const json_t *o, const char *key)
{
	const char *s = jsonx_get_text(o, key);

	return s ? s : "";
}

/* Of another's numbers no sum of a few may overflow. */
int64_t
render_num(const json_t *o, const char *key)
{
	int64_t n = json_integer_value(json_object_get(o, key));

	return n > NUMBER_MAX ? NUMBER_MAX : n < -NUMBER_MAX ? -NUMBER_MAX : n;
}

static void
address_text(const json_t *o, char *out, size_t size)
{
	bool v6 = strchr(render_text(o, "address"), ':') != NULL;

	snprintf(out, size, "%s%.50s%s:%" PRId64, v6 ? "[" : "", render_text(o, "address"), v6 ? "]" : "", render_num(o, "port"));
}

static void
cell(const struct column *c, const json_t *row, int64_t now_ms, char *out)
{
	const json_t *v = json_object_get(row, c->key), *item;
	size_t i, len = 0;

	if (c->kind == COLUMN_AGE) {
		render_age(json_string_value(v), now_ms, out, CELL);
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

static FILE *out_file; /* NULL: standard output */
static bool coloured;

void
render_to(FILE *out, bool colour)
{
	out_file = out;
	coloured = colour;
}

FILE *
render_out(void)
{
	return out_file != NULL ? out_file : stdout;
}

const char *
render_colour(enum render_colour c)
{
	static const char *const codes[] = { "\033[0m", "\033[32m", "\033[33m", "\033[31m" };

	return coloured ? codes[c] : "";
}

/* Of the words that say how something is. */
static enum render_colour
colour_of(const char *word)
{
	static const struct {
		const char *word;
		enum render_colour colour;
	} words[] = {
		{ "up", COLOUR_GREEN }, { "converged", COLOUR_GREEN }, { "active", COLOUR_GREEN }, { "passing", COLOUR_GREEN },
		{ "registered", COLOUR_GREEN }, { "listed", COLOUR_GREEN }, { "complete", COLOUR_GREEN }, { "ok", COLOUR_GREEN },
		{ "held", COLOUR_YELLOW }, { "pending", COLOUR_YELLOW }, { "window", COLOUR_YELLOW }, { "disabled", COLOUR_YELLOW },
		{ "suppressed", COLOUR_YELLOW }, { "draining", COLOUR_YELLOW }, { "maintenance", COLOUR_YELLOW },
		{ "waiting", COLOUR_YELLOW }, { "leaving", COLOUR_YELLOW }, { "warning", COLOUR_YELLOW }, { "partial", COLOUR_YELLOW },
		{ "inactive", COLOUR_YELLOW }, { "absence", COLOUR_YELLOW },
		{ "failed", COLOUR_RED }, { "failing", COLOUR_RED }, { "unreachable", COLOUR_RED }, { "critical", COLOUR_RED },
		{ "error", COLOUR_RED }, { "nothing", COLOUR_RED },
	};
	size_t i;

	for (i = 0; coloured && i < NELEM(words); i++)
		if (strcmp(word, words[i].word) == 0)
			return words[i].colour;
	return COLOUR_NONE;
}

const char *
render_tint(const char *word, char out[RENDER_TINT])
{
	enum render_colour c = colour_of(word);

	if (c == COLOUR_NONE)
		return word;
	snprintf(out, RENDER_TINT, "%s%s%s", render_colour(c), word, render_colour(COLOUR_NONE));
	return out;
}

/* Of `s`, how many bytes stand in `room` columns: what turns a colour on takes none. */
static size_t
fitting(const char *s, size_t room)
{
	size_t i = 0, used = 0;

	while (s[i]) {
		if (s[i] == '\033' && strchr(s + i, 'm') != NULL) {
			i = (size_t)(strchr(s + i, 'm') - s) + 1;
			continue;
		}
		if (used++ == room)
			break;
		i++;
	}
	return i;
}

size_t
render_wrapped(const char *s, size_t indent, bool dry)
{
	size_t lines = 0;

	for (; *s; lines++) {
		size_t room = WIDTH - indent, end = fitting(s, room), cut = end;

		if (s[end] != '\0') {
			for (; cut > fitting(s, room / 2) && s[cut] != ' '; cut--)
				;
			if (s[cut] != ' ')
				cut = end;
		}
		if (!dry)
			fprintf(render_out(), "%*s%.*s\n", (int)indent, "", (int)cut, s);
		s += cut;
		while (*s == ' ')
			s++;
	}
	return lines;
}

static void
print_wrapped(const char *s, size_t indent)
{
	render_wrapped(s, indent, false);
}

void
render_say(size_t indent, const char *fmt, ...)
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
		if (below[i] && render_text(row, columns[i].key)[0] && len < sizeof line)
			len += (size_t)snprintf(line + len, sizeof line - len, "%s%s %.200s", len ? ", " : "", columns[i].key,
			    render_text(row, columns[i].key));
	print_wrapped(line, 4);
	for (i = n; columns[i].key != NULL; i++) {
		const char *s = render_text(row, columns[i].key);

		snprintf(more, sizeof more, "%.*s%s", BELOW_MAX, s, strlen(s) > BELOW_MAX ? " ... (-f json has all)" : "");
		print_wrapped(more, 4);
	}
}

static bool
tells_state(const char *key)
{
	static const char *const keys[] = { "state", "status", "desired", "actual", "agent", "catalog", "dns", "evidence" };
	size_t i;

	for (i = 0; i < NELEM(keys); i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

static void
print_cell(const struct column *c, const char *s, size_t width, bool last)
{
	enum render_colour colour = tells_state(c->key) ? colour_of(s) : COLOUR_NONE;
	const char *on = colour != COLOUR_NONE ? render_colour(colour) : "", *off = *on ? render_colour(COLOUR_NONE) : "";
	int pad = last ? 0 : (int)width;

	fprintf(render_out(), "%s%*.*s%s%c", on, c->kind == COLUMN_NUMBER ? (int)width : -pad, (int)width, s, off, last ? '\n' : ' ');
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
		fprintf(render_out(), "(none)\n");
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
const char *
render_out_text(const json_t *o, char *out, size_t size)
{
	static const char *const states[] = { "suppressed", "draining" };
	size_t i, len = 0;

	out[0] = '\0';
	for (i = 0; i < NELEM(states); i++)
		if (render_num(o, states[i]) > 0 && len < size)
			len += (size_t)snprintf(out + len, size - len, ", %" PRId64 " %s", render_num(o, states[i]), states[i]);
	return out;
}

void
render_topology(const json_t *o, int64_t now_ms)
{
	const json_t *s, *i;
	size_t a, b;
	char age[32], addr[80], changed[32], out[64], tint[RENDER_TINT];

	render_ago(render_text(o, "changed"), now_ms, changed, sizeof changed);
	fprintf(render_out(), "generation %" PRId64 ", %s\n", render_num(o, "generation"), changed);
	json_array_foreach(json_object_get(o, "services"), a, s) {
		render_ago(render_text(s, "proof"), now_ms, age, sizeof age);
		render_say(0, "%s  %" PRId64 " up, %" PRId64 " disabled, %" PRId64 " held%s%s  (proof %s)", render_text(s, "service"),
		    render_num(s, "up"), render_num(s, "disabled"), render_num(s, "held"), render_out_text(s, out, sizeof out), json_is_true(json_object_get(s, "frozen")) ? ", frozen" : "",
		    age);
		if (render_text(s, "note")[0])
			print_wrapped(render_text(s, "note"), 4);
		json_array_foreach(json_object_get(s, "instances"), b, i) {
			render_age(render_text(i, "since"), now_ms, age, sizeof age);
			address_text(i, addr, sizeof addr);
			render_say(2, "|- %-24s %s%s%s  weight %" PRId64 "  %s", addr, render_tint(render_text(i, "state"), tint), render_text(i, "guard")[0] ? ":" : "",
			    render_text(i, "guard"), render_num(i, "weight"), age);
		}
		json_array_foreach(json_object_get(s, "targets"), b, i)
			render_say(2, "`> %-24s %s generation %" PRId64, render_text(i, "target"), render_tint(render_text(i, "state"), tint),
			    render_num(i, "applied_generation"));
	}
}

static void
print_change(const json_t *ch, size_t indent)
{
	char line[512], addr[80];

	address_text(ch, addr, sizeof addr);
	snprintf(line, sizeof line, "%s %s %s -> %s%s%s", render_text(ch, "service"), addr,
	    render_text(ch, "from")[0] ? render_text(ch, "from") : "new", render_text(ch, "to")[0] ? render_text(ch, "to") : "removed",
	    render_text(ch, "guard")[0] ? ":" : "", render_text(ch, "guard"));
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
		snprintf(out, 32, " (%+" PRId64 "ms)", render_num(o, key));
	return out;
}

void
render_history(const json_t *rows, int64_t now_ms)
{
	const json_t *g, *v;
	size_t i, k, len;
	char line[256], age[32], when[16], gap[32];

	if (json_array_size(rows) == 0)
		fprintf(render_out(), "(none)\n");
	json_array_foreach(rows, i, g) {
		const json_t *changes = json_object_get(g, "changes");
		int64_t committed = parse_time(render_text(g, "committed"));

		render_ago(render_text(g, "seen"), now_ms, age, sizeof age);
		fprintf(render_out(), "generation %" PRId64 "  %s (%s)\n", render_num(g, "generation"), render_text(g, "seen"), age);
		print_wrapped(render_text(g, "cause"), 2);
		json_array_foreach(changes, k, v) {
			if (k == 10) {
				fprintf(render_out(), "  ... and %zu more (-f json shows all)\n", json_array_size(changes) - k);
				break;
			}
			print_change(v, 2);
		}
		if (committed > 0)
			render_say(2, "committed %s%s", clock_text(render_text(g, "committed"), when), gap_text(g, "seen_to_committed_ms", gap));
		json_array_foreach(json_object_get(g, "targets"), k, v) {
			bool applied = render_text(v, "applied")[0], verified = render_text(v, "verified")[0];

			len = (size_t)snprintf(line, sizeof line, "%s %s%s%s", render_text(v, "target"), applied ? "applied " : "not applied",
			    clock_text(render_text(v, "applied"), when), gap_text(v, "seen_to_applied_ms", gap));
			if (applied && verified && len < sizeof line)
				snprintf(line + len, sizeof line - len, ", verified %s%s", clock_text(render_text(v, "verified"), when),
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
		text_format_duration((render_num(flap, "reuse_in_ms") + 999) / 1000 * 1000, in, sizeof in);
		if (json_is_true(json_object_get(flap, "damped")) && render_text(flap, "kept_in")[0])
			render_say(2, "flapped %" PRId64 " times; penalty %" PRId64 " (suppressed at %" PRId64 "): it takes calls all the same: %s",
			    render_num(flap, "goings"), render_num(i, "penalty"), render_num(flap, "suppress"), render_text(flap, "kept_in"));
		else if (json_is_true(json_object_get(flap, "damped")))
			render_say(2, "flapped %" PRId64 " times; penalty %" PRId64 " (suppressed at %" PRId64 ", in again below %" PRId64
			    ", in about %s; at once: c4ctl approve %s)", render_num(flap, "goings"), render_num(i, "penalty"), render_num(flap, "suppress"),
			    render_num(flap, "reuse"), in, render_text(i, "service"));
		else
			render_say(2, "went %" PRId64 " times lately; penalty %" PRId64 " (suppressed at %" PRId64 ")", render_num(flap, "goings"),
			    render_num(i, "penalty"), render_num(flap, "suppress"));
	}
	if (drain != NULL) {
		address_text(i, addr, sizeof addr);
		render_say(2, "drained by %s since %s: no new calls; established ones may take %s%s. It ends by: c4ctl undrain %s",
		    render_text(drain, "by"), render_text(drain, "since"), render_text(drain, "until")[0] ? "until " : "as long as they need",
		    render_text(drain, "until"), addr);
	} else if (strcmp(render_text(i, "guard"), "tag") == 0) {
		render_say(2, "drained by its tag at Consul: no new calls, established ones go on, until the tag is gone");
	}
}

/* Of this machine's own: where Consul has it. */
static void
print_registration(const json_t *v)
{
	render_say(2, "registered by this c4d as %s (id %s, service %s): %s; at the agent %s, at the catalog %s, in DNS %s",
	    render_text(v, "registration"), render_text(v, "id"), render_text(v, "service"), render_text(v, "state"),
	    render_text(v, "agent")[0] ? render_text(v, "agent") : "not there", render_text(v, "catalog"), render_text(v, "dns"));
	print_wrapped(render_text(v, "why"), 4);
	print_wrapped(render_text(v, "note"), 4);
}

void
render_why(const json_t *o, int64_t now_ms)
{
	const json_t *i, *v, *g;
	size_t a, b;
	char age[32], line[640], hold[32], missing[32], tint[RENDER_TINT];

	json_array_foreach(json_object_get(o, "instances"), a, i) {
		const char *state = render_text(i, "state"), *guard = render_text(i, "guard");

		render_ago(render_text(i, "since"), now_ms, age, sizeof age);
		render_say(0, "%s of service %s is %s%s%s since %s (%s), weight %" PRId64, render_text(o, "address"),
		    render_text(i, "service"), render_tint(state, tint), guard[0] ? ":" : "", guard, render_text(i, "since"), age, render_num(i, "weight"));
		text_format_duration(render_num(i, "missing_ms"), missing, sizeof missing);
		json_array_foreach(json_object_get(i, "listed_by"), b, v) {
			render_ago(render_text(v, "proof"), now_ms, age, sizeof age);
			render_say(2, "listed by %s, last proof %s", render_text(v, "name"), age);
		}
		json_array_foreach(json_object_get(i, "not_listed_by"), b, v) {
			snprintf(line, sizeof line, "not listed by %s: last round %s (%s)", render_text(v, "name"), render_text(v, "evidence"),
			    render_text(v, "why"));
			print_wrapped(line, 2);
		}
		if (strcmp(render_text(i, "source"), "store") == 0)
			print_wrapped("known from the store: DNS has not spoken of it since c4d started", 2);
		if (strcmp(render_text(i, "source"), "adopted") == 0)
			print_wrapped("adopted as it was found in Kamailio or its list file; only evidence takes it out", 2);
		if (strcmp(guard, "shrink") == 0) {
			text_format_duration(render_num(i, "shrink_hold_ms"), hold, sizeof hold);
			snprintf(line, sizeof line, "missing for %s; held because too many left at once, until %s or: c4ctl approve %s", missing,
			    hold, render_text(i, "service"));
			print_wrapped(line, 2);
		} else if (strcmp(guard, "empty") == 0) {
			snprintf(line, sizeof line, "missing for %s; held because fewer than min_instances would be left. "
			    "If it is really gone: c4ctl approve %s", missing, render_text(i, "service"));
			print_wrapped(line, 2);
		} else if (strcmp(guard, "hold") == 0) {
			snprintf(line, sizeof line, "missing for %s; the service is frozen: c4ctl release %s", missing, render_text(i, "service"));
			print_wrapped(line, 2);
		} else if (strcmp(state, "disabled") == 0) {
			text_format_duration(render_num(i, "remove_hold_ms"), hold, sizeof hold);
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
		render_say(0, "%s is no instance now", render_text(o, "address"));
	json_array_foreach(json_object_get(o, "destinations"), a, v)
		render_say(2, "in %s as %s: desired %s, Kamailio says %s", render_text(v, "target"), render_text(v, "uri"),
		    render_text(v, "desired")[0] ? render_text(v, "desired") : "nothing", render_text(v, "actual")[0] ? render_text(v, "actual") : "not there");
	json_array_foreach(json_object_get(o, "registrations"), a, v)
		print_registration(v);
	json_array_foreach(json_object_get(o, "history"), a, g) {
		const json_t *ch;

		json_array_foreach(json_object_get(g, "changes"), b, ch) {
			address_text(ch, line, sizeof line);
			if (strcmp(line, render_text(o, "address")) != 0)
				continue;
			snprintf(line, sizeof line, "%s generation %" PRId64 ": %s -> %s%s%s, by %s", render_text(g, "seen"), render_num(g, "generation"),
			    render_text(ch, "from")[0] ? render_text(ch, "from") : "new", render_text(ch, "to")[0] ? render_text(ch, "to") : "removed",
			    render_text(ch, "guard")[0] ? ":" : "", render_text(ch, "guard"), render_text(g, "cause"));
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
		render_say(0, "%s: %s  (%s)", render_text(v, "key"), render_text(v, "value"), render_text(v, "origin"));
}

void
render_messages(const json_t *rows, int64_t now_ms)
{
	const json_t *v;
	size_t i;

	json_array_foreach(rows, i, v)
		fprintf(render_out(), "%s\n", json_string_value(v));
}

/* As they are: texts, or objects on a line each. */
void
render_lines(const json_t *rows, int64_t now_ms)
{
	const json_t *v;
	size_t i;

	json_array_foreach(rows, i, v) {
		if (json_is_string(v))
			fwrite(json_string_value(v), 1, json_string_length(v), render_out());
		else
			json_dumpf(v, render_out(), JSON_COMPACT);
		fputc('\n', render_out());
	}
}

void
render_done(const json_t *o, int64_t now_ms)
{
	render_say(0, "%s %s", render_text(o, render_text(o, "service")[0] ? "service" : "registration"), render_text(o, "done"));
}

void
render_event(const json_t *o, int64_t now_ms)
{
	const char *level = render_text(o, "level");
	char tint[RENDER_TINT];

	fprintf(render_out(), "%s %s%*s %s: %s\n", render_text(o, "time"), render_tint(level, tint), strlen(level) < 7 ? 7 - (int)strlen(level) : 0,
	    "", render_text(o, "subsystem"), render_text(o, "text"));
	fflush(render_out());
}

void
render_diff(const json_t *rows, int64_t now_ms)
{
	static const struct column columns[] = {
		{ "TARGET", "target", COLUMN_TEXT }, { "WHERE", "where", COLUMN_TEXT }, { "STEP", "op", COLUMN_TEXT },
		{ "ITEM", "item", COLUMN_TEXT }, { "", "detail", COLUMN_BELOW }, { NULL, NULL, 0 },
	};

	if (json_array_size(rows) == 0)
		fprintf(render_out(), "no difference\n");
	else
		render_table(columns, rows, now_ms);
}
