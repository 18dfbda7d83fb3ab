/*
 * The topology as a drawing: services on the left, each with its instances; on the right the Kamailios, each with its targets;
 * lines between a service and the targets that are made of it. An instance is a mark whose form, too, tells its state; where there are
 * many, a bar shows the shares. What the drawing says, the tables say as well.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/render_int.h"
#include "html.h"
#include "page_int.h"

#define WIDTH 780
#define BOX 320          /* wide */
#define RIGHT (WIDTH - BOX)
#define MARKS_LINE 20    /* marks of instances in a line, */
#define MARKS_MAX PAGE_INSTANCES_MAX /* of a service, */
#define MARKS_ALL 300    /* and of all: with more there are bars */
#define MARK 15          /* from one to the next */
#define BAR 12
#define HEAD 26          /* a Kamailio's title, */
#define ROW 22           /* and a target of it */
#define GAP 12

struct graph {
	struct buf *out;
	const json_t *services, *kamailios, *targets;
	bool bars;
	int *row_y; /* of each target: its middle; 0: not drawn */
	int left, right; /* how high the columns are */
};

static const char *const marks[] = { "up", "held", "disabled", "suppressed", "draining" };

static int
service_height(const struct graph *g, const json_t *s)
{
	size_t n = page_total(s);

	if (n == 0)
		return 44;
	if (g->bars || n > MARKS_MAX)
		return 48 + BAR;
	return 46 + MARK * (int)((n + MARKS_LINE - 1) / MARKS_LINE);
}

/* Target "sbc/1" is of the Kamailio "sbc". */
static bool
is_of(const json_t *target, const json_t *kamailio)
{
	const char *name = render_text(kamailio, "name");
	size_t len = strlen(name);

	return strncmp(render_text(target, "target"), name, len) == 0 && render_text(target, "target")[len] == '/';
}

static int
kamailio_height(const struct graph *g, const json_t *k)
{
	const json_t *t;
	int n = 0;
	size_t i;

	json_array_foreach(g->targets, i, t)
		n += is_of(t, k);
	return HEAD + 6 + n * ROW;
}

static void
measure(struct graph *g)
{
	const json_t *v;
	size_t i;

	json_array_foreach(g->services, i, v)
		g->left += service_height(g, v) + GAP;
	json_array_foreach(g->kamailios, i, v)
		g->right += kamailio_height(g, v) + GAP;
}

static void
text(struct buf *b, int x, int y, const char *class, const char *s, size_t max)
{
	html_add(b, "<text x=\"%d\" y=\"%d\" class=\"%s\">", x, y, class);
	html_add_short(b, s, max);
	buf_puts(b, "</text>");
}

static void
box(struct buf *b, int x, int y, int height, const char *look)
{
	html_add(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\" class=\"box %s\"/>", x, y, BOX,
	    height, look);
}

/* A state, to the left of x; with its sign, which the stylesheet can't add here. */
static void
state_text(struct buf *b, int x, int y, const char *look, const char *s)
{
	const char *sign = strcmp(look, "ok") == 0 ? "\xe2\x9c\x93 " : strcmp(look, "warn") == 0 ? "\xe2\x96\xb2 " :
	    strcmp(look, "bad") == 0 ? "\xe2\x9c\x95 " : "";

	html_add(b, "<text x=\"%d\" y=\"%d\" class=\"end %s\">%s%s</text>", x, y, look, sign, s);
}

/* ---- services ---- */

static void
draw_marks(struct buf *b, const json_t *list, int x, int y)
{
	const json_t *v;
	char address[96];
	size_t i;

	json_array_foreach(list, i, v) {
		const char *state = render_text(v, "state");

		page_address(v, address, sizeof address);
		html_add(b, "<use href=\"#m-%s\" x=\"%d\" y=\"%d\" class=\"%s\"><title>%s %s</title></use>", state,
		    x + MARK * (int)(i % MARKS_LINE), y + MARK * (int)(i / MARKS_LINE), page_look(state), address, state);
	}
}

static void
draw_bar(struct buf *b, const json_t *s, size_t all, int x, int y)
{
	int width = BOX - 20, at = 0;
	int64_t before = 0, n;
	size_t i;

	for (i = 0; i < NELEM(marks); i++) {
		int end;

		n = render_num(s, marks[i]);
		before += n;
		end = (int)(before * width / (int64_t)all);
		if (n > 0 && end - at < 2) /* few of many are seen, too */
			end = at + 2 < width ? at + 2 : width;
		if (end > at)
			html_add(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" class=\"bar b-%s\"><title>%lld %s</title></rect>",
			    x + at, y, end - at, BAR, marks[i], (long long)n, marks[i]);
		at = end > at ? end : at;
	}
}

static void
draw_service(const struct graph *g, const json_t *s, int y)
{
	const json_t *list = json_object_get(s, "instances");
	const char *state = page_service_state(s);
	size_t n = page_total(s);
	struct buf counts = { 0 }, *b = g->out;

	page_counts(&counts, s);
	buf_puts(b, "<g>");
	box(b, 0, y, service_height(g, s), page_look(state));
	text(b, 10, y + 18, "name", render_text(s, "service"), 26);
	state_text(b, BOX - 10, y + 18, page_look(state), state);
	text(b, 10, y + 34, "q", counts.s, 50);
	if (n > 0 && (g->bars || n > MARKS_MAX))
		draw_bar(b, s, n, 10, y + 41);
	else
		draw_marks(b, list, 10, y + 41);
	buf_puts(b, "</g>\n");
	buf_free(&counts);
}

/* ---- Kamailios and targets ---- */

static void
draw_target(const struct graph *g, const json_t *k, const json_t *t, int y)
{
	const char *state = render_text(t, "state"), *name = render_text(t, "target") + strlen(render_text(k, "name")) + 1;
	const char *kind = render_text(t, "kind");
	int64_t lag = render_num(t, "desired_generation") - render_num(t, "applied_generation");
	char what[128], how[64];

	if (strncmp(name, kind, strlen(kind)) == 0) /* "sbc/rtpengine/0" */
		name += strlen(kind) + (name[strlen(kind)] == '/');
	snprintf(what, sizeof what, "%.40s%s%.80s", kind, *name ? " " : "", name);
	text(g->out, RIGHT + 10, y + 15, "", what, 22);
	if (lag > 0)
		snprintf(how, sizeof how, "%.30s, lag %" PRId64, state, lag);
	else
		snprintf(how, sizeof how, "%.30s", state);
	state_text(g->out, WIDTH - 10, y + 15, page_look(state), how);
}

static void
draw_kamailio(const struct graph *g, const json_t *k, int y)
{
	const char *state = json_is_true(json_object_get(k, "up")) ? "reachable" : "unreachable", *look = page_look(state);
	struct buf *b = g->out;
	const json_t *t;
	char title[128];
	int at = y + HEAD;
	size_t i;

	json_array_foreach(g->targets, i, t)
		if (is_of(t, k))
			look = page_worse(look, page_look(render_text(t, "state")));
	buf_puts(b, "<g>");
	box(b, RIGHT, y, kamailio_height(g, k), look);
	snprintf(title, sizeof title, "Kamailio %.100s", render_text(k, "name"));
	text(b, RIGHT + 10, y + 18, "name", title, 24);
	state_text(b, WIDTH - 10, y + 18, page_look(state), state);
	json_array_foreach(g->targets, i, t) {
		if (!is_of(t, k))
			continue;
		draw_target(g, k, t, at);
		g->row_y[i] = at + ROW / 2;
		at += ROW;
	}
	buf_puts(b, "</g>\n");
}

static void
draw_lines(const struct graph *g, const json_t *s, int y)
{
	const json_t *mine, *t;
	size_t i, k;

	json_array_foreach(json_object_get(s, "targets"), i, mine)
		json_array_foreach(g->targets, k, t) {
			if (g->row_y[k] == 0 || strcmp(render_text(t, "target"), render_text(mine, "target")) != 0)
				continue;
			html_add(g->out, "<path d=\"M%d %dC%d %d %d %d %d %d\" class=\"line %s\"/>\n", BOX, y,
			    BOX + 70, y, RIGHT - 70, g->row_y[k], RIGHT,
			    g->row_y[k], page_look(render_text(t, "state")));
			break;
		}
}

/* ---- all of it ---- */

/* The forms of the marks. */
static const char symbols[] =
    "<defs><symbol id=m-up><circle cx=6 cy=6 r=5 /></symbol>"
    "<symbol id=m-disabled><circle cx=6 cy=6 r=4 class=hollow /></symbol>"
    "<symbol id=m-held><path d=\"M1 1h10v10h-10z\"/></symbol>"
    "<symbol id=m-suppressed><path d=\"M2 2l8 8M10 2l-8 8\" class=hollow /></symbol>"
    "<symbol id=m-draining><path d=\"M0 1h12l-6 10z\"/></symbol></defs>\n";

static void
draw(struct graph *g)
{
	int height = g->left > g->right ? g->left : g->right, top = (height - g->right) / 2, y;
	bool alone = json_array_size(g->kamailios) == 0;
	const json_t *v;
	size_t i;

	html_add(g->out, "<div class=\"t g\" role=region aria-label=\"Drawing of the topology\" tabindex=0><svg viewBox=\"-1 -1 %d %d\" role=img aria-labelledby=\"gt gd\">"
	    "<title id=gt>Topology</title><desc id=gd>%zu services on the left, with their instances; %zu Kamailios on the right, with "
	    "their targets. The tables below say the same.</desc>\n",
	    (alone ? BOX : WIDTH) + 2, height - GAP + 2, json_array_size(g->services), json_array_size(g->kamailios));
	buf_puts(g->out, symbols);
	y = top;
	json_array_foreach(g->kamailios, i, v) {
		draw_kamailio(g, v, y);
		y += kamailio_height(g, v) + GAP;
	}
	y = (height - g->left) / 2;
	json_array_foreach(g->services, i, v) {
		draw_lines(g, v, y + service_height(g, v) / 2);
		draw_service(g, v, y);
		y += service_height(g, v) + GAP;
	}
	buf_puts(g->out, "</svg></div>\n");
}

void
page_graph(struct buf *b, const json_t *rows)
{
	const json_t *topology = json_object_get(rows, "topology"), *s;
	struct graph g = { .out = b, .services = json_object_get(topology, "services"), .kamailios = json_object_get(topology, "kamailio"),
		.targets = json_object_get(rows, "targets") };
	size_t all = 0, i;

	json_array_foreach(g.services, i, s)
		all += page_total(s);
	g.bars = all > MARKS_ALL;
	g.row_y = xcalloc(json_array_size(g.targets), sizeof *g.row_y);
	measure(&g);
	buf_puts(b, "<section id=topology><h2>Topology</h2>\n");
	if (json_array_size(g.services) + json_array_size(g.kamailios) == 0)
		buf_puts(b, "<p class=q>Nothing is configured yet.</p>\n");
	else
		draw(&g);
	buf_puts(b, "</section>\n");
	free(g.row_y);
}
