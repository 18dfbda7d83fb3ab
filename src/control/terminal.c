#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define KEY_END 4 /* Ctrl-D; Ctrl-C is a signal */

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP };
static volatile sig_atomic_t got_end, got_resize, got_stop;
static struct termios before;
static sigset_t outside; /* the mask as it was */
static bool on;

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

int64_t
terminal_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool
terminal_is_there(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
}

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

void
terminal_put(const struct buf *out)
{
	put(out->s, out->len);
}

static void
take_screen(void)
{
	static const char begin[] = "\033[?1049h\033[?25l\033[2J";
	struct termios raw = before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	put(begin, sizeof begin - 1);
	on = true;
}

static void
give_screen(void)
{
	static const char end[] = "\033[0m\033[?25h\033[?1049l";

	if (on) {
		put(end, sizeof end - 1);
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	}
	on = false;
}

int
terminal_begin(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t ours;
	size_t i;

	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return -errno;
	sigemptyset(&ours);
	for (i = 0; i < NELEM(signals); i++) {
		sigaddset(&ours, signals[i]);
		sigaction(signals[i], &sa, NULL);
	}
	sigprocmask(SIG_BLOCK, &ours, &outside);
	take_screen();
	return 0;
}

void
terminal_end(void)
{
	give_screen();
}

/* Ctrl-Z: the shell has its terminal back until its fg. */
static void
stop_here(void)
{
	got_stop = 0;
	give_screen();
	raise(SIGSTOP);
	take_screen();
	got_resize = 1;
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

enum terminal_event
terminal_wait(int fd, int64_t wait_ms)
{
	int64_t end = terminal_now_ms() + wait_ms;

	for (;;) {
		struct pollfd fds[] = { { STDIN_FILENO, POLLIN, 0 }, { fd, POLLIN, 0 } };
		int64_t left = end - terminal_now_ms();
		struct timespec ts = { left > 0 ? left / 1000 : 0, left > 0 ? left % 1000 * 1000000 : 0 };
		int n = ppoll(fds, 2, &ts, &outside);

		if (n > 0 && fds[0].revents)
			read_keys();
		if (got_stop)
			stop_here();
		if (got_end)
			return TERMINAL_END;
		if (got_resize) {
			got_resize = 0;
			return TERMINAL_REDRAW;
		}
		if (n > 0 && fds[1].revents)
			return TERMINAL_READ;
		if (left <= 0)
			return TERMINAL_TIME;
	}
}

void
terminal_size(size_t *rows, size_t *columns)
{
	struct winsize ws = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) != 0 || ws.ws_row == 0 || ws.ws_col == 0)
		ws = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	*rows = ws.ws_row;
	*columns = ws.ws_col;
}

void
terminal_line(struct buf *out, const char *line, size_t len, size_t columns)
{
	size_t i, used = 0;

	for (i = 0; i < len; i++) {
		if (line[i] == '\033') {
			size_t n = strcspn(line + i, "m") + 1;

			if (n <= len - i)
				buf_add(out, line + i, n);
			i += n - 1;
		} else if (((unsigned char)line[i] & 0xc0) == 0x80) { /* goes on with a letter of UTF-8 */
			if (used <= columns)
				buf_add(out, line + i, 1);
		} else if (used++ < columns) {
			buf_add(out, line + i, 1);
		}
	}
	if (used < columns) /* a full line's last letter is where the cursor still stands */
		buf_puts(out, "\033[K");
}
