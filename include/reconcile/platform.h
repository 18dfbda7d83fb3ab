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

#define PLATFORM_SEEN 32

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

/* Why the operator's wish was refused. */
struct platform_refusal {
	char service[64];
	unsigned left; /* so many would take calls, */
	unsigned min;  /* and min_instances is this */
};

/*
 * No new calls to this address, in every service that has it, until platform_undrain(). `timeout_ms` (0: none) is how
 * long established calls may take. 0; -ENOENT: no service has it; -EALREADY: it is drained, and no other timeout was
 * given; -EPERM: too few would be left in one of the services: nothing was done.
 */
MUST_USE int platform_drain(struct platform *, const struct topo_addr *, int64_t timeout_ms, const char *who,
    struct platform_refusal *);
/* 0; -ENOENT: no service has it, nor is it drained; -EALREADY: no operator drains it. */
MUST_USE int platform_undrain(struct platform *, const struct topo_addr *, const char *who);
/* Of one service; NULL: it is not drained by the operator. Lent until the next change. */
const struct store_drain *platform_drain_of(const struct platform *, const char *service, const struct topo_addr *);
/* The i-th of all, also of those whose instance is gone; NULL past the end. */
const struct store_drain *platform_drain_at(const struct platform *, size_t i, const char **service, struct topo_addr *);

/*
 * The services whose instances differ between then (store_past()) and now get those of then, and are frozen; `held` is
 * called for each of them. 0; -EAGAIN: the history was older than the present generation; -EALREADY: nothing differs;
 * -EPERM: too few would take calls in one of the services. Unless it is 0 nothing was done.
 */
typedef void platform_name_cb(void *arg, const char *service);
MUST_USE int platform_rollback(struct platform *, uint64_t generation, const struct store_past *then, const char *who,
    platform_name_cb *held, void *arg, struct platform_refusal *);

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
int64_t platform_seen_at(const struct platform *, uint64_t generation); /* of one of the last PLATFORM_SEEN; 0: not known */
const struct judge *platform_judge(const struct platform *, const char *service);
const struct conf *platform_root_conf(const struct platform *); /* all of it */
const struct conf_service *platform_conf(const struct platform *, const char *service);

#endif
