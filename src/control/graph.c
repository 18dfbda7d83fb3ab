/*
 * `show topology` as a drawing: for Graphviz (-f dot) and Mermaid (-f mermaid). Services on the left, their instances, and the
 * Kamailios that they are in force at. Names go into labels only, never into identifiers: whatever they are, the drawing holds.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "control/control.h"
#include "control/render_int.h"

#define LABEL_LINES 3

/* What differs between the two languages. */
struct language {
	const char *begin, *end;
	void (*escape)(struct buf *, const char *);
	const char *line_break;
	void (*node)(const char *id, const char *kind, const char *label, const char *state);
	void (*edge)(const char *from, const char *to, const char *label, const char *state);
};

/* How a state looks; the first is that of every other word. */
static const struct look {
	const char *state;
	const char *colour, *fill;
} looks[] = {
	{ "none", "#666666", "#eeeeee" },
	{ "up", "#2e7d32", "#e6f4e7" },
	{ "converged", "#2e7d32", "#e6f4e7" },
	{ "held", "#b26a00", "#fff3dc" },
	{ "disabled", "#b26a00", "#fff3dc" },
	{ "suppressed", "#b26a00", "#fff3dc" },
	{ "draining", "#b26a00", "#fff3dc" },
	{ "pending", "#b26a00", "#fff3dc" },
	{ "window", "#b26a00", "#fff3dc" },
	{ "failed", "#c62828", "#fde7e7" },
	{ "unreachable", "#c62828", "#fde7e7" },
};

static const struct look *
look_of(const char *state)
{
	size_t i;

	for (i = NELEM(looks) - 1; i > 0 && strcmp(looks[i].state, state) != 0; i--)
		;
	return &looks[i];
}

/* ---- Graphviz ---- */

static void
dot_escape(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_add(b, "\\", 1);
		buf_add(b, iscntrl((unsigned char)*s) ? "?" : s, 1);
	}
}

static void
dot_node(const char *id, const char *kind, const char *label, const char *state)
{
	const struct look *l = look_of(state);
	const char *shape = strcmp(kind, "service") == 0 ? "folder" : strcmp(kind, "kamailio") == 0 ? "component" : "box";

	fprintf(render_out(), "\t%s [shape=%s, color=\"%s\", fillcolor=\"%s\", label=\"%s\"];\n", id, shape, l->colour, l->fill, label);
}

static void
dot_edge(const char *from, const char *to, const char *label, const char *state)
{
	const struct look *l = look_of(state);

	fprintf(render_out(), "\t%s -> %s [color=\"%s\", fontcolor=\"%s\", label=\"%s\"%s];\n", from, to, l->colour, l->colour, label,
	    strcmp(l->colour, looks[1].colour) == 0 ? "" : ", style=dashed");
}

/* ---- Mermaid ---- */

/* Its quoted texts know entities by number; what could mean something to it becomes one. */
static void
mermaid_escape(struct buf *b, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (isalnum(c) || strchr(" .-_:/", c) != NULL || c >= 0x80)
			buf_add(b, s, 1);
		else if (iscntrl(c))
			buf_add(b, "?", 1);
		else
			buf_printf(b, "#%u;", c);
	}
}

static void
mermaid_node(const char *id, const char *kind, const char *label, const char *state)
{
	bool round = strcmp(kind, "service") == 0, double_sided = strcmp(kind, "kamailio") == 0;

	fprintf(render_out(), "\t%s%s\"%s\"%s:::%s\n", id, round ? "([" : double_sided ? "[[" : "[", label,
	    round ? "])" : double_sided ? "]]" : "]", look_of(state)->state);
}

static void
mermaid_edge(const char *from, const char *to, const char *label, const char *state)
{
	bool good = strcmp(look_of(state)->colour, looks[1].colour) == 0;

	if (*label)
		fprintf(render_out(), "\t%s %s|\"%s\"| %s\n", from, good ? "-->" : "-.->", label, to);
	else
		fprintf(render_out(), "\t%s %s %s\n", from, good ? "-->" : "-.->", to);
}

static void
mermaid_looks(void)
{
	size_t i;

	for (i = 0; i < NELEM(looks); i++)
		fprintf(render_out(), "\tclassDef %s fill:%s,stroke:%s,color:#000000\n", looks[i].state, looks[i].fill, looks[i].colour);
}

static const struct language dot = {
	"digraph c4 {\n"
	"\trankdir=LR;\n"
	"\tgraph [fontname=\"sans-serif\", fontsize=11, labelloc=t];\n"
	"\tnode [fontname=\"sans-serif\", fontsize=10, style=filled];\n"
	"\tedge [fontname=\"sans-serif\", fontsize=9];\n",
	"}\n", dot_escape, "\\n", dot_node, dot_edge,
};
static const struct language mermaid = { "flowchart LR\n", "", mermaid_escape, "<br/>", mermaid_node, mermaid_edge };

/* ---- what is drawn ---- */

/* A label of up to three lines; empty ones are left out. The caller frees. */
static char *
label_new(const struct language *l, const char *lines[LABEL_LINES])
{
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < LABEL_LINES; i++) {
		if (lines[i] == NULL || lines[i][0] == '\0')
			continue;
		if (b.len > 0)
			buf_puts(&b, l->line_break);
		l->escape(&b, lines[i]);
	}
	return buf_take(&b);
}

static void
draw_node(const struct language *l, const char *id, const char *kind, const char *state, const char *lines[LABEL_LINES])
{
	char *label = label_new(l, lines);

	l->node(id, kind, label, state);
	free(label);
}

static void
draw_edge(const struct language *l, const char *from, const char *to, const char *text, const char *state)
{
	const char *lines[LABEL_LINES] = { text };
	char *label = label_new(l, lines);

	l->edge(from, to, label, state);
	free(label);
}

/* Which Kamailio a target "sbc/1" is of; the number of them: none. */
static size_t
kamailio_of(const json_t *kamailios, const char *target)
{
	size_t i, len;

	for (i = 0; i < json_array_size(kamailios); i++) {
		const char *name = render_text(json_array_get(kamailios, i), "name");

		len = strlen(name);
		if (strncmp(target, name, len) == 0 && target[len] == '/')
			break;
	}
	return i;
}

static void
draw_service(const struct language *l, size_t n, const json_t *s, const json_t *kamailios)
{
	const json_t *v;
	char id[32], to[64], text[160];
	bool frozen = json_is_true(json_object_get(s, "frozen"));
	const char *state = render_num(s, "held") > 0 || frozen ? "held" : render_num(s, "up") > 0 ? "up" : "none";
	size_t i, k;

	snprintf(id, sizeof id, "s%zu", n);
	snprintf(text, sizeof text, "%" PRId64 " up, %" PRId64 " disabled, %" PRId64 " held", render_num(s, "up"),
	    render_num(s, "disabled"), render_num(s, "held"));
	draw_node(l, id, "service", state, (const char *[]){ render_text(s, "service"), text, frozen ? "frozen" : NULL });
	json_array_foreach(json_object_get(s, "instances"), i, v) {
		const char *guard = render_text(v, "guard");
		bool v6 = strchr(render_text(v, "address"), ':') != NULL;
		char address[80];

		snprintf(to, sizeof to, "s%zu_i%zu", n, i);
		snprintf(address, sizeof address, "%s%.50s%s:%" PRId64, v6 ? "[" : "", render_text(v, "address"), v6 ? "]" : "",
		    render_num(v, "port"));
		snprintf(text, sizeof text, "%.40s%s%.40s", render_text(v, "state"), *guard ? ": " : "", guard);
		draw_node(l, to, "instance", render_text(v, "state"), (const char *[]){ address, text, NULL });
		draw_edge(l, id, to, "", render_text(v, "state"));
	}
	json_array_foreach(json_object_get(s, "targets"), i, v) {
		k = kamailio_of(kamailios, render_text(v, "target"));
		if (k == json_array_size(kamailios))
			continue;
		snprintf(to, sizeof to, "k%zu", k);
		snprintf(text, sizeof text, "%.60s %.40s: %.40s", render_text(v, "kind"), render_text(v, "target"), render_text(v, "state"));
		draw_edge(l, id, to, text, render_text(v, "state"));
	}
}

static void
draw(const struct language *l, const json_t *o)
{
	const json_t *kamailios = json_object_get(o, "kamailio"), *v;
	char id[32];
	size_t i;

	fputs(l->begin, render_out());
	if (l == &mermaid)
		mermaid_looks();
	else
		fprintf(render_out(), "\tlabel=\"generation %" PRId64 "\";\n", render_num(o, "generation"));
	json_array_foreach(kamailios, i, v) {
		bool up = json_is_true(json_object_get(v, "up"));

		snprintf(id, sizeof id, "k%zu", i);
		draw_node(l, id, "kamailio", up ? "up" : "unreachable",
		    (const char *[]){ render_text(v, "name"), up ? "Kamailio" : "Kamailio: not reachable", NULL });
	}
	json_array_foreach(json_object_get(o, "services"), i, v)
		draw_service(l, i, v, kamailios);
	fputs(l->end, render_out());
}

void
render_dot(const json_t *o, int64_t now_ms)
{
	draw(&dot, o);
}

void
render_mermaid(const json_t *o, int64_t now_ms)
{
	draw(&mermaid, o);
}
