#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "base/text.h"

#define LINE_MAX_BYTES 2048
#define SUBS_MAX 32
#define HOOKS_MAX 64

static const struct {
	const char *name;
	const char *prefix; /* sd-daemon(3) */
} levels[] = {
	[LOG_L_ERROR] = { "error", "<3>" },
	[LOG_L_WARN] = { "warning", "<4>" },
	[LOG_L_NOTICE] = { "notice", "<5>" },
	[LOG_L_INFO] = { "info", "<6>" },
	[LOG_L_DEBUG] = { "debug", "<7>" },
};

static struct {
	enum log_level level;
	bool journal;
	struct {
		char name[16];
		enum log_level level;
	} sub[SUBS_MAX];
	size_t n_sub;
	struct {
		log_hook_cb *cb;
		void *arg;
	} hook[HOOKS_MAX];
	size_t n_hook;
} lg = { .level = LOG_L_INFO };

void
log_init(enum log_level level)
{
	lg.level = level;
	lg.journal = getenv("JOURNAL_STREAM") != NULL;
}

const char *
log_level_name(enum log_level level)
{
	return levels[level].name;
}

int
log_level_parse(const char *name)
{
	size_t i;

	for (i = 0; i < NELEM(levels); i++)
		if (strcmp(levels[i].name, name) == 0)
			return (int)i;
	return -EINVAL;
}

int
log_set(const char *sub, const char *level)
{
	int l = log_level_parse(level);
	size_t i;

	if (l < 0)
		return l;
	if (sub == NULL) {
		lg.level = (enum log_level)l;
		lg.n_sub = 0;
		return 0;
	}
	for (i = 0; i < lg.n_sub && strcmp(lg.sub[i].name, sub) != 0; i++)
		;
	if (i == SUBS_MAX)
		return -ENOSPC;
	if (i == lg.n_sub)
		snprintf(lg.sub[lg.n_sub++].name, sizeof lg.sub[0].name, "%s", sub);
	lg.sub[i].level = (enum log_level)l;
	return 0;
}

bool
log_wants(const char *sub, enum log_level level)
{
	size_t i;

	for (i = 0; i < lg.n_sub; i++)
		if (strcmp(lg.sub[i].name, sub) == 0)
			return level <= lg.sub[i].level;
	return level <= lg.level;
}

void
log_hook(log_hook_cb *cb, void *arg)
{
	if (lg.n_hook < HOOKS_MAX) {
		lg.hook[lg.n_hook].cb = cb;
		lg.hook[lg.n_hook++].arg = arg;
	}
}

void
log_unhook(log_hook_cb *cb, void *arg)
{
	size_t i;

	for (i = 0; i < lg.n_hook; i++)
		if (lg.hook[i].cb == cb && lg.hook[i].arg == arg) {
			lg.hook[i] = lg.hook[--lg.n_hook];
			return;
		}
}

static void emit(enum log_level, const char *sub, int err, const char *fmt, va_list) PRINTF(4, 0);

static void
emit(enum log_level level, const char *sub, int err, const char *fmt, va_list ap)
{
	char text[LINE_MAX_BYTES], when[32];
	bool prints = log_wants(sub, level);
	struct timeval tv;
	size_t i, len;

	if (!prints && (level > LOG_L_NOTICE || lg.n_hook == 0))
		return;
	vsnprintf(text, sizeof text, fmt, ap);
	len = strlen(text);
	if (err)
		snprintf(text + len, sizeof text - len, ": %s", strerror(err));
	for (i = 0; text[i]; i++) /* one line, whatever a peer sent */
		if ((unsigned char)text[i] < 0x20)
			text[i] = '?';
	if (prints && lg.journal) {
		fprintf(stderr, "%s%s: %s\n", levels[level].prefix, sub, text);
	} else if (prints) {
		gettimeofday(&tv, NULL);
		text_format_time((int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000, when);
		fprintf(stderr, "%s %-7s %s: %s\n", when, levels[level].name, sub, text);
	}
	for (i = lg.n_hook; i-- > 0;)
		lg.hook[i].cb(lg.hook[i].arg, level, sub, text);
}

#define LOG_FN(fn, level, with_errno)                                                              \
	void fn(const char *sub, const char *fmt, ...)                                             \
	{                                                                                          \
		int saved = errno;                                                                 \
		va_list ap;                                                                        \
		va_start(ap, fmt);                                                                 \
		emit(level, sub, (with_errno) ? saved : 0, fmt, ap);                               \
		va_end(ap);                                                                        \
		errno = saved;                                                                     \
	}

LOG_FN(log_error, LOG_L_ERROR, 0)
LOG_FN(log_warn, LOG_L_WARN, 1)
LOG_FN(log_warnx, LOG_L_WARN, 0)
LOG_FN(log_notice, LOG_L_NOTICE, 0)
LOG_FN(log_info, LOG_L_INFO, 0)
LOG_FN(log_debug, LOG_L_DEBUG, 0)
