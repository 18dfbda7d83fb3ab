/*
 * probe_int: between probe.c, which keeps the rhythm and the score, and the kinds of checks.
 *
 * A kind is asked again only after it said `done`, which it does exactly once for each ask(), from the loop or within ask(),
 * as its last word: within its time-out, whatever happens. What is done with the result comes later, so no kind is freed with
 * one of its frames below; it is freed at any other time, also while it is being asked.
 */
#ifndef REGISTRAR_PROBE_INT_H
#define REGISTRAR_PROBE_INT_H

#include "registrar/probe.h"

struct probe_seat { /* c lives as long as the probe; aim, why are for make() alone */
	struct loop *loop;
	const struct conf_check *c;
	const struct probe_aim *aim;
	struct probe *probe;
	char *why;
	size_t size;
};

struct probe_kind {
	int (*make)(void **out, const struct probe_seat *); /* -EINVAL: see probe_new() */
	void (*ask)(void *);
	void (*free)(void *);
};

extern const struct probe_kind probe_sip, probe_binrpc, probe_ng, probe_exec;

/* Copies `output`, which may hold anything. */
void probe_done(struct probe *, enum agent_status, const char *output, size_t len);
void probe_say(struct probe *, enum agent_status, const char *fmt, ...) PRINTF(3, 4); /* the same */
/* Something has happened to what is checked: look now, not at the next interval. */
void probe_hurry(struct probe *);

#endif
