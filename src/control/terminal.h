/*
 * terminal: the alternate screen that `watch` and -w draw on, redrawn in place, so that what was there before comes back. Plain ANSI. Signals
 * are taken only while waiting (ppoll): none is lost. There is one terminal; what else a caller waits for may be closed at any time.
 */
#ifndef CONTROL_TERMINAL_H
#define CONTROL_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* Standard input and output are one that knows our sequences. */
bool terminal_is_there(void);
/* -errno: standard input is no terminal. */
MUST_USE int terminal_begin(void);
void terminal_end(void); /* gives it back as it was; more than once is fine */

/*
 * Waits until `fd` can be read (-1: none), but for wait_ms at most, and takes keys and signals.
 */
enum terminal_event {
	TERMINAL_TIME,   /* nothing came */
	TERMINAL_READ,   /* fd */
	TERMINAL_REDRAW, /* another size, or it was away: what it shows is gone */
	TERMINAL_END,    /* q, Ctrl-C, a signal to end, or the terminal is gone */
};
enum terminal_event terminal_wait(int fd, int64_t wait_ms);

int64_t terminal_now_ms(void); /* monotonic */
void terminal_size(size_t *rows, size_t *columns);

/* Of a line, what fits, and the end of it cleared. What turns colours on and off takes no room, and is kept to the end. */
void terminal_line(struct buf *out, const char *line, size_t len, size_t columns);
void terminal_put(const struct buf *out); /* in one piece: a screen half drawn would flicker */

/*
 * -w: once() renders what there is to render_out(), with its errors, and returns the exit status, which is given away at the end. Below
 * a line with `title` as much is shown as there is room for.
 */
int terminal_repeat(const char *title, int every_s, bool colour, int (*once)(void *arg), void *arg);

#endif
