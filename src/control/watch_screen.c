/*
 * `c4ctl watch` on a terminal: status above, the last changes below, redrawn in place. A daemon that goes away is waited for.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jsonx.h"
#include "base/text.h"
#include "control/client.h"
#include "control/control.h"
#include "control/render_int.h"
#include "control/terminal.h"

#define EVERY_MS 1000
#define SOON_MS 50 /* after a change: status then tells what came of it */
#define ASK_S 2
#define CHANGES_MAX 100
#define PAST_MAX 8 /* generations of before */

struct screen {
	const char *socket;
	bool colour;
	int stream; /* -1: none */
	struct buf pending; /* of the stream: a line not yet whole */
	json_t *status; /* NULL: c4d is away */
	char why[320];
	char *changes[CHANGES_MAX]; /* as lines, oldest first */
	size_t n_changes;
	int64_t next_ms;
};

/* ---- what is shown ---- */

static void
print_screen(const struct screen *s)
{
	size_t i;

	if (s->status != NULL)
		render_status(s->status, client_wall_ms());
	else
		render_say(0, "%s%s%s; trying again", render_colour(COLOUR_RED), s->why, render_colour(COLOUR_NONE));
	fputs("\nlast changes\n", render_out());
	for (i = 0; i < s->n_changes; i++)
		fputs(s->changes[i], render_out());
}

/* The upper part stays, the newest changes are at the bottom: what is left out is the oldest. */
static void
draw(const struct screen *s)
{
	struct buf out = { 0 };
	char *text = NULL, *p, *foot, now[32];
	size_t size = 0, all, rows, columns, lines = 0, head = 0, line = 0, skip;
	FILE *mem = open_memstream(&text, &size);

	if (mem == NULL)
		return;
	terminal_size(&all, &columns);
	rows = all > 1 ? all - 1 : 1;
	render_to(mem, s->colour);
	print_screen(s);
	render_to(NULL, s->colour);
	fclose(mem);
	for (p = text; *p; p++)
		if (*p == '\n') {
			lines++;
			if (head == 0 && strncmp(p, "\n\nlast changes\n", 15) == 0)
				head = lines + 2;
		}
	skip = lines > rows ? lines - rows : 0;
	buf_puts(&out, "\033[H");
	for (p = text; *p && rows > 0; p += strcspn(p, "\n") + 1) {
		size_t at = line++;

		if (at >= head && at < head + skip)
			continue;
		terminal_line(&out, p, strcspn(p, "\n"), columns);
		buf_puts(&out, "\r\n");
		rows--;
	}
	buf_puts(&out, "\033[J");
	text_format_time(client_wall_ms(), now);
	foot = xasprintf("%.19sZ   q ends", now);
	buf_printf(&out, "\033[%zu;1H", all);
	terminal_line(&out, foot, strlen(foot), columns - 1);
	terminal_put(&out);
	free(foot);
	buf_free(&out);
	free(text);
}

/* ---- what is asked ---- */

static void add_change(struct screen *, const char *time, const char *level, const char *fmt, ...) PRINTF(4, 5);

static void
add_change(struct screen *s, const char *time, const char *level, const char *fmt, ...)
{
	const char *t = strchr(time, 'T');
	char *text = NULL, line[1024], tint[RENDER_TINT];
	size_t size = 0;
	FILE *mem = open_memstream(&text, &size);
	va_list ap;

	if (mem == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	render_to(mem, s->colour);
	render_say(0, "%.8s %s%s%s", t != NULL ? t + 1 : "", level != NULL ? render_tint(level, tint) : "", level != NULL ? " " : "", line);
	render_to(NULL, s->colour);
	fclose(mem);
	if (s->n_changes == CHANGES_MAX) {
		free(s->changes[0]);
		memmove(s->changes, s->changes + 1, --s->n_changes * sizeof s->changes[0]);
	}
	s->changes[s->n_changes++] = text;
}

/* What happened before we came: the newest generations, a line each. */
static void
add_past(struct screen *s)
{
	json_t *rows = client_ask(s->socket, "show history", ASK_S, s->why, sizeof s->why);
	size_t i = json_array_size(rows) < PAST_MAX ? json_array_size(rows) : PAST_MAX;

	while (i-- > 0) {
		const json_t *g = json_array_get(rows, i), *changes = json_object_get(g, "changes"), *c = json_array_get(changes, 0);
		const char *to = render_text(c, "to"), *from = render_text(c, "from");
		bool v6 = strchr(render_text(c, "address"), ':') != NULL;
		char *what, *more;

		if (c == NULL)
			continue;
		what = xasprintf("generation %" PRId64 ": %.63s %s%.50s%s:%" PRId64 " %s -> %s", render_num(g, "generation"),
		    render_text(c, "service"), v6 ? "[" : "", render_text(c, "address"), v6 ? "]" : "", render_num(c, "port"),
		    *from ? from : "new", *to ? to : "removed");
		more = json_array_size(changes) > 1 ? xasprintf(" and %zu more", json_array_size(changes) - 1) : xstrdup("");
		add_change(s, render_text(g, "seen"), NULL, "%s%s", what, more);
		free(what);
		free(more);
	}
	json_decref(rows);
}

static void
stream_close(struct screen *s)
{
	if (s->stream >= 0)
		close(s->stream);
	s->stream = -1;
	s->pending.len = 0;
}

static void
refresh(struct screen *s)
{
	json_decref(s->status);
	s->status = client_ask(s->socket, "status", ASK_S, s->why, sizeof s->why);
	if (s->status == NULL)
		stream_close(s);
	else if (s->stream < 0) {
		s->stream = client_connect(s->socket, ASK_S, s->why, sizeof s->why);
		if (s->stream >= 0 && !client_send(s->stream, "watch", NULL, NULL, 0))
			stream_close(s);
	}
	s->next_ms = terminal_now_ms() + EVERY_MS;
}

static void
take_line(struct screen *s, const char *line)
{
	json_t *o = json_loads(line, 0, NULL);
	const json_t *data = json_object_get(o, "data");
	const char *level = render_text(data, "level");

	/* What is told for information is for the lines of a pipe: here it would push out what happened. */
	if (data != NULL && strcmp(level, "info") != 0 && strcmp(level, "debug") != 0)
		add_change(s, render_text(data, "time"), level, "%s: %s", render_text(data, "subsystem"),
		    render_text(data, "text"));
	json_decref(o);
}

static void
read_stream(struct screen *s)
{
	char piece[65536], *start, *end;
	ssize_t n = read(s->stream, piece, sizeof piece);

	s->next_ms = terminal_now_ms() + SOON_MS;
	if (n <= 0) {
		stream_close(s);
		return;
	}
	buf_add(&s->pending, piece, (size_t)n);
	for (start = s->pending.s; (end = memchr(start, '\n', s->pending.len - (size_t)(start - s->pending.s))) != NULL; start = end + 1) {
		*end = '\0';
		take_line(s, start);
	}
	s->pending.len -= (size_t)(start - s->pending.s);
	memmove(s->pending.s, start, s->pending.len);
}

static void
run(struct screen *s)
{
	enum terminal_event event = TERMINAL_REDRAW;

	while (event != TERMINAL_END) {
		if (event == TERMINAL_REDRAW)
			draw(s);
		event = terminal_wait(s->stream, s->next_ms - terminal_now_ms());
		if (event == TERMINAL_READ)
			read_stream(s);
		if (event == TERMINAL_TIME) {
			refresh(s);
			event = TERMINAL_REDRAW;
		}
	}
}

int
watch_screen(const char *socket, bool colour)
{
	struct screen s = { .socket = socket, .colour = colour, .stream = -1 };
	int err = 0;
	size_t i;

	refresh(&s);
	if (s.status == NULL) {
		fprintf(stderr, "c4ctl: %s\n", s.why);
		return EXIT_UNREACHABLE;
	}
	add_past(&s);
	err = terminal_begin();
	if (err == 0)
		run(&s);
	else
		fprintf(stderr, "c4ctl: not a terminal: %s\n", strerror(-err));
	terminal_end();
	stream_close(&s);
	buf_free(&s.pending);
	json_decref(s.status);
	for (i = 0; i < s.n_changes; i++)
		free(s.changes[i]);
	return err == 0 ? EXIT_DONE : EXIT_USAGE;
}
