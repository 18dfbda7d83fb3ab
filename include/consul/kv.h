/*
 * kv: a prefix of Consul's KV, watched by a blocking query (?recurse&index=&wait=). The last good value is kept: an empty or
 * missing prefix (404, []) counts only when it has stood for `hold_ms` of time in which Consul answered; an error never does.
 * The index begins anew at 0 when it goes back, and 0 never blocks. What fails is tried again after 250 ms, doubling to 15 s.
 * With nothing to watch, nothing is asked.
 */
#ifndef CONSUL_KV_H
#define CONSUL_KV_H

#include "base/worker.h"
#include "config/conf.h"

#define KV_BODY_MAX (8u << 20) /* of an answer */

struct kv;

struct kv_pair {
	const char *key; /* without the prefix */
	const char *value; /* decoded; ends with a NUL; may hold others */
	size_t len;
};

struct kv_view {
	const char *prefix;
	bool known;          /* it had a value at some time of this run */
	size_t n;            /* keys */
	uint64_t index;      /* Consul's */
	int64_t changed_ms;  /* wall clock; 0 never */
	int64_t answered_ms; /* wall clock, of Consul's last answer, whatever it was; 0 never */
	int64_t empty_ms;    /* wall clock, since when Consul says that it is empty, and it is held; 0: no */
	const char *why;     /* "": all is well */
};

/* From the loop, when the value changed; the pairs are sorted by key and lent. May free the kv. */
typedef void kv_cb(void *arg, const struct kv_pair *, size_t n);

/* conf must live as long. hold_ms: services' empty_hold, 120 s, by default. */
MUST_USE int kv_new(struct kv **out, struct loop *, struct worker *, const struct conf *, const char *prefix, int64_t hold_ms,
    kv_cb *, void *arg);
void kv_free(struct kv *); /* NULL is fine */
void kv_view(const struct kv *, struct kv_view *);
size_t kv_pairs(const struct kv *, const struct kv_pair **out); /* the last good ones; valid until the next change */

/*
 * An answer's body: pairs (the caller frees each key and value by kv_pairs_free). -EBADMSG: not what Consul sends. Values are
 * base64 or null. Pure.
 */
MUST_USE int kv_parse(const char *body, size_t len, const char *prefix, struct kv_pair **out, size_t *n);
void kv_pairs_free(struct kv_pair *, size_t n);

#endif
