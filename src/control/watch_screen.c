/*
 * `c4ctl watch` on a terminal: status above, the last changes below, redrawn in place. Plain ANSI, on the alternate screen, so that what
 * was there before comes back. A daemon that goes away is waited for. Signals are taken only while waiting (ppoll): none is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/jsonx.h"
#include "base/text.h"
#include "control/client.h"
#include "control/control.h"
#include "control/render_int.h"

#define EVERY_MS 1000
#define SOON_MS 50 /* after a change: status then tells what came of it */
#define ASK_S 2
#define CHANGES_MAX 100
#define PAST_MAX 8 /* generations of before */
#define KEY_END 4  /* Ctrl-D; Ctrl-C is a signal */

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
	struct termios before;
	bool on;
};

static volatile sig_atomic_t got_end, got_resize, got_stop;

static void
on_signal(int sig)
{
	if (sig == SIGWINCH)
		got_resize = 1;
	else if (sig == SIGTSTP)
		got_stop = 1;
	else
		got_end = 1;
}

static int64_t
mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- the terminal ---- */

static void
put(const char *s, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, s, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) { /* the terminal is gone */
			got_end = 1;
			return;
		}
		s += n;
		len -= (size_t)n;
	}
}

static void
screen_on(struct screen *s)
{
	static const char begin[] = "\033[?1049h\033[?25l\033[2J";
	struct termios raw = s->before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	put(begin, sizeof begin - 1);
	s->on = true;
}

static void
screen_off(struct screen *s)
{
	static const char end[] = "\033[0m\033[?25h\033[?1049l";

	if (s->on) {
		put(end, sizeof end - 1);
		tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
	}
	s->on = false;
}

/* Of a line, what fits: what turns colours on and off takes no room, and is kept to the end. */
static void
add_line(struct buf *out, const char *line, size_t len, size_t columns)
{
	size_t i, used = 0;

	for (i = 0; i < len; i++) {
		if (line[i] == '\033') {
			size_t n = strcspn(line + i, "m") + 1;

			buf_add(out, line + i, n);
			i += n - 1;
		} else if (used++ < columns) {
			buf_add(out, line + i, 1);
		}
	}
	buf_puts(out, "\033[K");
}

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
	struct winsize ws = { 0 };
	struct buf out = { 0 };
	char *text = NULL, *p, *foot, now[32];
	size_t size = 0, rows, columns, lines = 0, head = 0, line = 0, skip;
	FILE *mem = open_memstream(&text, &size);

	if (mem == NULL)
		return;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) != 0 || ws.ws_row == 0 || ws.ws_col == 0)
		ws = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	rows = ws.ws_row > 1 ? ws.ws_row - 1u : 1;
	columns = ws.ws_col;
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
		add_line(&out, p, strcspn(p, "\n"), columns);
		buf_puts(&out, "\r\n");
		rows--;
	}
	buf_puts(&out, "\033[J");
	text_format_time(client_wall_ms(), now);
	foot = xasprintf("%.19sZ   q ends", now);
	buf_printf(&out, "\033[%u;1H", ws.ws_row);
	add_line(&out, foot, strlen(foot), columns > 0 ? columns - 1 : 0);
	put(out.s, out.len);
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
	s->next_ms = mono_ms() + EVERY_MS;
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

	s->next_ms = mono_ms() + SOON_MS;
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
read_keys(void)
{
	char keys[64];
	ssize_t n = read(STDIN_FILENO, keys, sizeof keys), i;

	if (n <= 0)
		got_end = 1;
	for (i = 0; i < n; i++)
		if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == KEY_END)
			got_end = 1;
}

static void
pause_screen(struct screen *s)
{
	got_stop = 0;
	screen_off(s);
	raise(SIGSTOP);
	screen_on(s);
	s->next_ms = 0;
}

static void
run(struct screen *s, const sigset_t *open)
{
	while (!got_end) {
		struct pollfd fds[] = { { STDIN_FILENO, POLLIN, 0 }, { s->stream, POLLIN, 0 } };
		int64_t wait = s->next_ms - mono_ms();
		struct timespec ts;

		if (wait <= 0) {
			refresh(s);
			got_resize = 1;
			continue;
		}
		if (got_resize)
			draw(s);
		got_resize = 0;
		ts = (struct timespec){ wait / 1000, wait % 1000 * 1000000 };
		if (ppoll(fds, 2, &ts, open) > 0) {
			if (fds[0].revents)
				read_keys();
			if (fds[1].revents)
				read_stream(s);
		}
		if (got_stop)
			pause_screen(s);
	}
}

int
watch_screen(const char *socket, bool colour)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP };
	struct screen s = { .socket = socket, .colour = colour, .stream = -1 };
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t ours, open;
	size_t i;

	refresh(&s);
	if (s.status == NULL) {
		fprintf(stderr, "c4ctl: %s\n", s.why);
		return EXIT_UNREACHABLE;
	}
	if (tcgetattr(STDIN_FILENO, &s.before) != 0) {
		fprintf(stderr, "c4ctl: not a terminal: %s\n", strerror(errno));
		stream_close(&s);
		json_decref(s.status);
		return EXIT_USAGE;
	}
	add_past(&s);
	sigemptyset(&ours);
	for (i = 0; i < NELEM(signals); i++) {
		sigaddset(&ours, signals[i]);
		sigaction(signals[i], &sa, NULL);
	}
	sigprocmask(SIG_BLOCK, &ours, &open);
	screen_on(&s);
	got_resize = 1;
	run(&s, &open);
	screen_off(&s);
	stream_close(&s);
	buf_free(&s.pending);
	json_decref(s.status);
	for (i = 0; i < s.n_changes; i++)
		free(s.changes[i]);
	return EXIT_DONE;
}
