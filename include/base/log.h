/*
 * log: lines to stderr, one per change of state, key=value tails. Under journald (JOURNAL_STREAM)
 * lines carry <N> priority prefixes; else a UTC time and a level word. The first argument is the
 * subsystem ("dns", "kam", "store", ...), whose level c4ctl can set at run time.
 * log_warn() adds strerror(errno) and keeps errno; log_warnx() does not.
 * Loop thread only, except log_debug-free code: the worker reports through its job instead.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/mem.h"

enum log_level { LOG_L_ERROR, LOG_L_WARN, LOG_L_NOTICE, LOG_L_INFO, LOG_L_DEBUG };

void log_init(enum log_level);
void log_error(const char *sub, const char *fmt, ...) PRINTF(2, 3);
void log_warn(const char *sub, const char *fmt, ...) PRINTF(2, 3);
void log_warnx(const char *sub, const char *fmt, ...) PRINTF(2, 3);
void log_notice(const char *sub, const char *fmt, ...) PRINTF(2, 3);
void log_info(const char *sub, const char *fmt, ...) PRINTF(2, 3);
void log_debug(const char *sub, const char *fmt, ...) PRINTF(2, 3);
bool log_wants(const char *sub, enum log_level);

/* 0, or -EINVAL for a level that is not one. sub NULL: all. Levels: error warning notice info debug. */
MUST_USE int log_set(const char *sub, const char *level);
int log_level_parse(const char *);           /* -EINVAL when unknown */
const char *log_level_name(enum log_level);

/* Sees every line at notice or above and every line that is printed; one hook per arg. */
typedef void log_hook_cb(void *arg, enum log_level, const char *sub, const char *text);
void log_hook(log_hook_cb *, void *arg);
void log_unhook(log_hook_cb *, void *arg);

#endif
