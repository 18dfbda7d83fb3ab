/*
 * domains: a Kamailio's domains that come from Consul's KV (kamailio.NAME.domain.kv): each key's last part, and each word of its
 * value, words being what white space and commas part. What is no DNS name, by the configuration's rule, is left out and
 * said once. The last good ones stay: an answer without a single domain is none, unless the prefix itself has been empty for
 * hold_ms (consul/kv.h).
 */
#ifndef RECONCILE_DOMAINS_H
#define RECONCILE_DOMAINS_H

#include "base/worker.h"
#include "config/conf.h"
#include "consul/kv.h"

#define DOMAINS_MAX 10000 /* as domain.names may have */

struct domains;

/* `kamailio` is for messages. `changed` runs from the loop. -EINVAL: consul.http can't be used. */
MUST_USE int domains_new(struct domains **out, struct loop *, struct worker *, const struct conf *, const char *kamailio,
    const char *prefix, int64_t hold_ms, loop_cb *changed, void *arg);
void domains_free(struct domains *); /* NULL is fine */
void domains_set_conf(struct domains *, const struct conf *, int64_t hold_ms); /* where Consul is now */
const struct strlist *domains_names(const struct domains *); /* sorted, each once; lent until the next change */
bool domains_known(const struct domains *);  /* there were some at some time of this run */
bool domains_proven(const struct domains *); /* and Consul says so at present */
const struct kv *domains_kv(const struct domains *);

/* `names` (sorted, each once, DOMAINS_MAX at most) and what is none (some of it). Pure; the caller frees both. */
void domains_collect(const struct kv_pair *, size_t n, struct strlist *names, struct strlist *bad);
void domains_list_clear(struct strlist *);

#endif
