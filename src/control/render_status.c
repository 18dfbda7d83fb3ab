/* `status` for people: is all well, and if not, what to do; in ten lines, however much is wrong. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "control/control.h"
#include "control/render_int.h"

#define LINES 10
#define FACT 800
/* Of one among several: its hint matters more than the end of a long reason. The worst has more. */
#define WORST_LINES 4
#define TROUBLE_LINES 2
#define KAMAILIOS 3     /* more than that, and those that are up share a line */

/* "2 adds, 1 removes, " of strategy: incremental. */
static const char *
steps_text(const json_t *o, char *out, size_t size)
{
	out[0] = '\0';
	if (render_num(o, "adds") + render_num(o, "removes") > 0)
		snprintf(out, size, "%" PRId64 " adds, %" PRId64 " removes, ", render_num(o, "adds"), render_num(o, "removes"));
	return out;
}

/* ---- what is wrong ---- */

struct trouble {
	const json_t *what;
	enum render_colour colour;
};

/* The problems, worst first, as the daemon gives them, and then what is only to be remembered. */
static struct trouble *
all_troubles(const json_t *o, size_t *n)
{
	const json_t *problems = json_object_get(o, "problems"), *reminders = json_object_get(o, "reminders"), *v;
	struct trouble *t = xcalloc(json_array_size(problems) + json_array_size(reminders) + 1, sizeof *t);
	size_t i;

	*n = 0;
	json_array_foreach(problems, i, v)
		t[(*n)++] = (struct trouble){ v, COLOUR_RED };
	json_array_foreach(reminders, i, v)
		t[(*n)++] = (struct trouble){ v, COLOUR_YELLOW };
	return t;
}

static void
trouble_line(const struct trouble *t, size_t lines, char out[FACT])
{
	size_t room = lines > 0 ? lines * RENDER_WIDTH - 20 : FACT - 24;
	const char *s = render_text(t->what, "problem");

	snprintf(out, FACT, "%s%c%s %.*s%s", render_colour(t->colour), t->colour == COLOUR_RED ? '!' : '*', render_colour(COLOUR_NONE),
	    (int)room, s, strlen(s) > room ? " ..." : "");
}

static void
hint_line(const struct trouble *t, char out[FACT])
{
	snprintf(out, FACT, "-> %.*s", FACT - 8, render_text(t->what, "hint"));
}

static bool
same_hint(const struct trouble *a, const struct trouble *b)
{
	return strcmp(render_text(a->what, "hint"), render_text(b->what, "hint")) == 0;
}

/* How many lines the first k take: those that follow each other with the same hint share it. */
static size_t
troubles_lines(const struct trouble *t, size_t k, bool cut, bool print)
{
	char line[FACT];
	size_t i, lines = 0;

	for (i = 0; i < k; i++) {
		trouble_line(&t[i], !cut ? 0 : i == 0 ? WORST_LINES : TROUBLE_LINES, line);
		lines += render_wrapped(line, 0, !print);
		if (i + 1 < k && same_hint(&t[i], &t[i + 1]))
			continue;
		hint_line(&t[i], line);
		lines += render_wrapped(line, 2, !print);
	}
	return lines;
}

/* As many as there is room for, and at least one. Returns how many lines. */
static size_t
print_troubles(const struct trouble *t, size_t n, size_t room)
{
	size_t k, lines;

	for (k = n; k > 1 && troubles_lines(t, k, true, false) + (k < n) > room; k--)
		;
	lines = troubles_lines(t, k, n > 1, true);
	if (k < n) {
		render_say(0, "%sand %zu more%s: c4ctl -f json status", render_colour(COLOUR_RED), n - k, render_colour(COLOUR_NONE));
		lines++;
	}
	return lines;
}

/* ---- what is so ---- */

/* "2 registered, 1 maintenance": those that there are. */
static void
registrations_line(const json_t *o, struct buf *b)
{
	static const char *const states[] = { "registered", "maintenance", "waiting", "pending", "failed", "unreachable", "leaving" };
	const char *before = ": ";
	size_t i;

	buf_printf(b, "registers  %" PRId64, render_num(o, "count"));
	for (i = 0; i < NELEM(states); i++) {
		if (render_num(o, states[i]) == 0)
			continue;
		buf_printf(b, "%s%" PRId64 " %s", before, render_num(o, states[i]), states[i]);
		before = ", ";
	}
}

static void
kamailio_line(const json_t *v, struct buf *b)
{
	char steps[64];

	if (json_is_true(json_object_get(v, "up")))
		buf_printf(b, "kamailio   %s: %.30s, %" PRId64 " reloads, %s%" PRId64 " set_states", render_text(v, "name"),
		    render_text(v, "version"), render_num(v, "reloads"), steps_text(v, steps, sizeof steps), render_num(v, "set_states"));
	else
		buf_printf(b, "kamailio   %s: %snot reachable%s", render_text(v, "name"), render_colour(COLOUR_RED), render_colour(COLOUR_NONE));
}

/* Prints it when there is room for it; returns how many lines it took. */
static size_t
print_fact(struct buf *b, size_t room)
{
	size_t lines = b->s != NULL ? render_wrapped(b->s, 0, true) : 0;

	if (lines > 0 && lines <= room)
		render_wrapped(b->s, 0, false);
	else
		lines = 0;
	buf_free(b);
	return lines;
}

static size_t
print_kamailios(const json_t *rows, size_t room)
{
	const json_t *v;
	struct buf b = { 0 };
	size_t i, lines = 0, up = 0;

	json_array_foreach(rows, i, v)
		if (!json_is_true(json_object_get(v, "up"))) {
			kamailio_line(v, &b);
			lines += print_fact(&b, room - lines);
		} else
			up++;
	if (up > KAMAILIOS) {
		buf_printf(&b, "kamailio   %zu reachable", up);
		return lines + print_fact(&b, room - lines);
	}
	json_array_foreach(rows, i, v)
		if (json_is_true(json_object_get(v, "up"))) {
			kamailio_line(v, &b);
			lines += print_fact(&b, room - lines);
		}
	return lines;
}

/* What is always told. */
static void
main_facts(const json_t *o, int64_t now_ms, struct buf facts[3])
{
	const json_t *services = json_object_get(o, "services"), *targets = json_object_get(o, "targets");
	char up[32], changed[32], proof[32], out[64];

	render_age(render_text(o, "started"), now_ms, up, sizeof up);
	render_ago(render_text(o, "changed"), now_ms, changed, sizeof changed);
	render_ago(render_text(o, "last_proof"), now_ms, proof, sizeof proof);
	buf_printf(&facts[0], "running    %s, pid %" PRId64 ", generation %" PRId64 " (%s)", up, render_num(o, "pid"),
	    render_num(o, "generation"), changed);
	buf_printf(&facts[1], "services   %" PRId64 ": %" PRId64 " up, %" PRId64 " disabled, %" PRId64 " held%s; last proof from DNS %s",
	    render_num(services, "count"), render_num(services, "up"), render_num(services, "disabled"), render_num(services, "held"),
	    render_out_text(services, out, sizeof out), proof);
	buf_printf(&facts[2], "targets    %" PRId64 " converged, %" PRId64 " pending, %" PRId64 " window, %" PRId64
	    " unreachable, %" PRId64 " failed", render_num(targets, "converged"), render_num(targets, "pending"),
	    render_num(targets, "window"), render_num(targets, "unreachable"), render_num(targets, "failed"));
}

/* What is told when there is room. */
static void
more_facts(const json_t *o, size_t room)
{
	const json_t *store = json_object_get(o, "store"), *registrations = json_object_get(o, "registrations");
	struct buf b = { 0 };
	size_t lines = print_kamailios(json_object_get(o, "kamailio"), room);

	if (render_num(registrations, "count") > 0)
		registrations_line(registrations, &b);
	lines += print_fact(&b, room - lines);
	buf_printf(&b, "store      %s, %" PRId64 " commits, %" PRId64 "K used", render_text(store, "state"), render_num(store, "commits"),
	    render_num(store, "used_bytes") / 1024);
	print_fact(&b, room - lines);
}

void
render_status(const json_t *o, int64_t now_ms)
{
	size_t n_problems = json_array_size(json_object_get(o, "problems")), n, i, used = 1;
	struct trouble *t = all_troubles(o, &n);
	struct buf facts[3] = { { 0 } };

	main_facts(o, now_ms, facts);
	for (i = 0; i < NELEM(facts); i++)
		used += render_wrapped(facts[i].s, 0, true);
	if (n_problems == 0)
		render_say(0, "c4d %s: %sall is well%s", render_text(o, "version"), render_colour(COLOUR_GREEN), render_colour(COLOUR_NONE));
	else
		render_say(0, "c4d %s: %s%zu problem%s%s", render_text(o, "version"), render_colour(COLOUR_RED), n_problems,
		    n_problems == 1 ? "" : "s", render_colour(COLOUR_NONE));
	if (n > 0)
		used += print_troubles(t, n, LINES > used ? LINES - used : 0);
	for (i = 0; i < NELEM(facts); i++)
		print_fact(&facts[i], LINES);
	more_facts(o, LINES > used ? LINES - used : 0);
	free(t);
}
