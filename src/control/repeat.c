/* -w on a terminal: the command's output, asked for again and again and drawn in place, below a line as watch(1) has it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/control.h"
#include "terminal.h"

#define HEAD_ROWS 2 /* the line above, and an empty one */

struct repeat {
	const char *title;
	int every_s;
	bool colour;
	char host[65];
	char *text; /* as it was rendered last */
	time_t at;
};

/* "Every 2s: c4ctl status      vm7: 2026-11-21 18:04:05": what is right gives way to what is left. */
static void
add_head(struct buf *out, const struct repeat *r, size_t columns)
{
	char now[32], *right, *line;
	size_t used;
	struct tm tm;

	strftime(now, sizeof now, "%Y-%m-%d %H:%M:%S", localtime_r(&r->at, &tm));
	right = xasprintf("%s: %s", r->host, now);
	line = xasprintf("Every %ds: %s", r->every_s, r->title);
	used = strlen(line);
	terminal_line(out, line, used, columns);
	if (used + 2 + strlen(right) <= columns)
		buf_printf(out, "%*s", (int)(columns - used), right);
	free(right);
	free(line);
}

static size_t
count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n' || text[1] == '\0';
	return n;
}

static void
draw(const struct repeat *r)
{
	size_t rows, columns, lines = count_lines(r->text), room, i;
	struct buf out = { 0 };
	const char *p = r->text;

	terminal_size(&rows, &columns);
	room = rows > HEAD_ROWS ? rows - HEAD_ROWS : 0;
	buf_puts(&out, "\033[H");
	add_head(&out, r, columns);
	if (room > 0)
		buf_puts(&out, "\r\n\033[K");
	for (i = 0; i < lines && i < room; i++) {
		size_t len = strcspn(p, "\n");

		buf_puts(&out, "\r\n");
		if (i + 1 == room && lines > room) {
			char *more = xasprintf("... %zu more line%s", lines - i, lines - i == 1 ? "" : "s");

			terminal_line(&out, more, strlen(more), columns);
			free(more);
		} else {
			terminal_line(&out, p, len, columns);
		}
		p += len + (p[len] == '\n');
	}
	if (i < room) /* below the last line there is something to clear */
		buf_puts(&out, "\r\n\033[J");
	terminal_put(&out);
	buf_free(&out);
}

/* The exit status. */
static int
ask(struct repeat *r, int (*once)(void *arg), void *arg)
{
	char *text = NULL;
	size_t size = 0;
	FILE *mem = open_memstream(&text, &size);
	int rc;

	if (mem == NULL)
		return EXIT_NO;
	render_to(mem, r->colour);
	rc = once(arg);
	render_to(NULL, r->colour);
	fclose(mem);
	free(r->text);
	r->text = text;
	r->at = time(NULL);
	return rc;
}

int
terminal_repeat(const char *title, int every_s, bool colour, int (*once)(void *arg), void *arg)
{
	struct repeat r = { .title = title, .every_s = every_s, .colour = colour };
	enum terminal_event event = TERMINAL_TIME;
	int64_t next_ms;
	int rc = ask(&r, once, arg);

	if (r.text == NULL || rc == EXIT_UNREACHABLE || rc == EXIT_USAGE || terminal_begin() != 0) {
		/* What is wrong from the beginning gets no better by asking again. */
		fputs(r.text != NULL ? r.text : "", stderr);
		free(r.text);
		return rc;
	}
	if (gethostname(r.host, sizeof r.host - 1) != 0)
		strcpy(r.host, "?");
	next_ms = terminal_now_ms() + every_s * INT64_C(1000);
	while (event != TERMINAL_END) {
		draw(&r);
		event = terminal_wait(-1, next_ms - terminal_now_ms());
		if (event == TERMINAL_TIME) {
			rc = ask(&r, once, arg);
			next_ms = terminal_now_ms() + every_s * INT64_C(1000);
		}
	}
	terminal_end();
	free(r.text);
	return rc;
}
