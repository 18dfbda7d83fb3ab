/*
 * hook: `notify`: a command of the operator's is run, with one line of JSON on its standard input, when something happened that
 * people should know: c4d.yml(5) says what and how.
 *
 * Level over edge: what is, is compared with what was told last (hook_events.h), soon after a change and every few seconds. One
 * command at a time; what it does, and whether it ends, keeps nothing waiting: neither a change nor c4d's end, which kills it. An
 * event is told when the command ends with 0: else it runs again, later and later (hook_events.h). What runs goes on over a reload,
 * and the next one is the new one.
 */
#ifndef CONTROL_HOOK_H
#define CONTROL_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

struct app;
struct hook;

struct hook_view {
	bool on;                   /* there is a command */
	bool failing;              /* the last run was not as it should be: */
	char why[400];             /* "/etc/c4d/notify.sh: exit status 1: curl: (7) ..." */
	uint64_t ok, failed, late, not_run; /* runs by how they ended; failed: another exit status than 0, or a signal */
	uint64_t dropped;          /* events that were never told */
	uint64_t waiting;          /* to be told */
};

/* Of a->conf; both live longer. Looks first from the loop. */
void hook_new(struct hook **out, const struct app *);
void hook_free(struct hook *); /* NULL is fine, here and below */
void hook_set_conf(struct hook *); /* a->conf is another one */
void hook_look_soon(struct hook *); /* something has changed */
void hook_approved(struct hook *, const char *service, const char *who); /* c4ctl approve */
void hook_view(const struct hook *, struct hook_view *);

#endif
