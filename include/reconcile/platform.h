/*
 * platform: the accepted state of all services. It owns a judge per service and the current snapshot, numbers the
 * generations, hands each to the store before anyone is told of it, and logs one line per change.
 * `changed` runs from the loop, from within platform_round() and its like: it must only mark and return.
 */
#ifndef RECONCILE_PLATFORM_H
#define RECONCILE_PLATFORM_H

#include "base/loop.h"
#include "config/conf.h"
#include "store/store.h"
#include "topology/judge.h"
#include "topology/topo.h"

struct platform;

typedef void platform_changed_cb(void *arg);

/* store NULL: nothing is remembered (c4d plan). What the store holds becomes the first snapshot. */
MUST_USE int platform_new(struct platform **out, struct loop *, struct store *, const struct conf *,
    platform_changed_cb *, void *arg);
void platform_free(struct platform *); /* NULL is fine */
/* A new configuration: services that stay keep their state; what is gone is forgotten, never emptied. */
void platform_set_conf(struct platform *, const struct conf *);

/* `server` answered (for the cause of a change). Services are named, so that a reload can't confuse them. */
void platform_round(struct platform *, const char *service, const struct round *, const char *server);

/* 0; -ENOENT: no such service; -EALREADY: there is nothing to do. */
MUST_USE int platform_word(struct platform *, const char *service, enum judge_word, const char *who);

/* What `target` ("sbc/1") held when c4d first saw it. Entries leave only by evidence. Adopting nothing is fine: it is noted. */
struct platform_adoptee {
	struct topo_addr addr; /* family 0: a host name */
	const char *line;      /* "URI FLAGS PRIORITY ATTRS" as it stands */
	bool disabled;
};
void platform_adopt(struct platform *, const char *service, const char *target, const struct platform_adoptee *, size_t n);
bool platform_adopted(const struct platform *, const char *target);
void platform_note_adopted(struct platform *, const char *target);

/* Kamailio's own listen addresses, which are never accepted as instances of these services. */
void platform_set_own(struct platform *, const char *kamailio, const struct topo_addr *, size_t n);

struct topo *platform_now(const struct platform *);     /* current snapshot, not referenced for you */
uint64_t platform_generation(const struct platform *);
int64_t platform_seen_ms(const struct platform *);      /* wall clock of the current generation */
const struct judge *platform_judge(const struct platform *, const char *service);
const struct conf_service *platform_conf(const struct platform *, const char *service);

#endif
