/* trace: what happened, for the failing scenario's reader; and base/log.h, whose lines belong to it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "sim.h"

#define LINES 4096
#define SHOWN 60

static char *lines[LINES]; /* a ring */
static size_t n_lines;
static char **notes;
static size_t n_notes, cap_notes;
static char **logged;
static size_t n_logged, cap_logged;
static char *failure;
static int64_t began_us;

void
span_begin(void)
{
	while (n_notes > 0)
		free(notes[--n_notes]);
	while (n_logged > 0)
		free(logged[--n_logged]);
}

void
trace_reset(void)
{
	size_t i;

	for (i = 0; i < LINES; i++) {
		free(lines[i]);
		lines[i] = NULL;
	}
	n_lines = 0;
	span_begin();
	free(notes);
	free(logged);
	notes = logged = NULL;
	cap_notes = cap_logged = 0;
	free(failure);
	failure = NULL;
	began_us = clock_now_us();
}

static char *
stamp(void)
{
	int64_t ms = (clock_now_us() - began_us) / 1000;

	return xasprintf("%5lld.%03lld", (long long)(ms / 1000), (long long)(ms % 1000));
}

static void
add_line(char *text)
{
	char **at = &lines[n_lines++ % LINES], *when = stamp();

	free(*at);
	*at = xasprintf("%s  %s", when, text);
	free(when);
	if (getenv("SIM_TRACE") != NULL)
		printf("    | %s\n", *at);
}

void
trace(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	add_line(text);
}

void
trace_print(void)
{
	size_t i = n_lines > SHOWN ? n_lines - SHOWN : 0;

	for (; i < n_lines && getenv("SIM_TRACE") == NULL; i++)
		printf("    | %s\n", lines[i % LINES]);
}

void
note(const char *what)
{
	notes = xgrow(notes, n_notes, &cap_notes, sizeof *notes);
	notes[n_notes++] = xstrdup(what);
}

unsigned
note_count(const char *what)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < n_notes; i++)
		n += what == NULL || strcmp(notes[i], what) == 0;
	return n;
}

char *
note_list(void)
{
	struct buf b = { 0 };
	size_t i;

	buf_puts(&b, "");
	for (i = 0; i < n_notes; i++)
		buf_printf(&b, "%s%s", i ? " " : "", notes[i]);
	return buf_take(&b);
}

unsigned
log_count(const char *text)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < n_logged; i++)
		n += strstr(logged[i], text) != NULL;
	return n;
}

bool
log_has(const char *text)
{
	return log_count(text) > 0;
}

void
sim_fail(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (failure != NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	failure = xstrdup(text);
	trace("BROKEN: %s", text);
}

const char *
sim_failure(void)
{
	return failure;
}

/* ---- base/log.h ---- */

static void emit(enum log_level, const char *sub, int err, const char *fmt, va_list) PRINTF(4, 0);

static void
emit(enum log_level level, const char *sub, int err, const char *fmt, va_list ap)
{
	char text[2048];
	size_t len;

	if (!log_wants(sub, level))
		return;
	vsnprintf(text, sizeof text, fmt, ap);
	len = strlen(text);
	if (err)
		snprintf(text + len, sizeof text - len, ": %s", strerror(err));
	logged = xgrow(logged, n_logged, &cap_logged, sizeof *logged);
	logged[n_logged++] = xasprintf("%s: %s", sub, text);
	trace("%-7s %s", log_level_name(level), logged[n_logged - 1]);
}

#define LOG_FN(fn, level, with_errno)                                \
	void fn(const char *sub, const char *fmt, ...)               \
	{                                                            \
		int saved = errno;                                   \
		va_list ap;                                          \
		va_start(ap, fmt);                                   \
		emit(level, sub, (with_errno) ? saved : 0, fmt, ap); \
		va_end(ap);                                          \
		errno = saved;                                       \
	}

LOG_FN(log_error, LOG_L_ERROR, 0)
LOG_FN(log_warn, LOG_L_WARN, 1)
LOG_FN(log_warnx, LOG_L_WARN, 0)
LOG_FN(log_notice, LOG_L_NOTICE, 0)
LOG_FN(log_info, LOG_L_INFO, 0)
LOG_FN(log_debug, LOG_L_DEBUG, 0)

void
log_init(enum log_level level)
{
}

bool
log_wants(const char *sub, enum log_level level)
{
	return level != LOG_L_DEBUG || getenv("SIM_TRACE") != NULL;
}

int
log_set(const char *sub, const char *level)
{
	return 0;
}

const char *
log_level_name(enum log_level level)
{
	static const char *const names[] = { "error", "warning", "notice", "info", "debug" };

	return names[level];
}

int
log_level_parse(const char *name)
{
	int i;

	for (i = LOG_L_ERROR; i <= LOG_L_DEBUG; i++)
		if (strcmp(log_level_name((enum log_level)i), name) == 0)
			return i;
	return -EINVAL;
}

void
log_hook(log_hook_cb *cb, void *arg)
{
}

void
log_unhook(log_hook_cb *cb, void *arg)
{
}
