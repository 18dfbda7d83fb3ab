/*
 * kv: a prefix of Consul's KV, watched by a blocking query (?recurse&index=&wait=). To it belong the key that is the prefix
 * itself and what is in the folder of that name: "c4/domains" has "c4/domains" and "c4/domains/a", but not "c4/domains2";
 * "c4/domains/" the folder alone; "/" is everything. The folders' own entries, which Consul's UI makes, are no keys.
 *
 * The last good value is kept. An empty or missing prefix (404, []) counts only when it has stood for `hold_ms` of time in
 * which Consul answered, and when Consul then says of one of its keys that it is gone, and not that it may not be read; an
 * error never counts. The index begins anew at 0 when it goes back, and 0 never blocks. Answers are read by the worker, and
 * follow each other at once 20 times, then twice a second for as long as that goes on. What fails is tried again after
 * 250 ms, doubling to 15 s.
 */
#ifndef CONSUL_KV_H
#define CONSUL_KV_H

#include "base/worker.h"
#include "config/conf.h"

#define KV_BODY_MAX (8u << 20) /* of an answer */
#define KV_HOLD_MS 120000      /* as services' empty_hold is unless configured */
#define KV_HOLD_FOREVER (-1)   /* it never counts */

struct kv;

struct kv_pair {
	const char *key;   /* without the prefix and the slash after it; "": the prefix itself */
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
	int64_t empty_ms;    /* wall clock, since when Consul says that it is empty; 0: it does not */
	bool held;           /* and for all that the last value is kept */
	int64_t no_leader_ms; /* wall clock, since when Consul is known to have no leader; 0: nothing says so */
	const char *why;     /* "": all is well */
};

/*
 * From the loop, when the value changed; the pairs are sorted by key and lent. Once, too, with n = 0 when the first answer
 * is that there is nothing (view: not known). May free the kv.
 */
typedef void kv_cb(void *arg, const struct kv_pair *, size_t n);

/* -EINVAL: consul.http can't be used. Copies what it needs; asks from the loop's next turn on. */
MUST_USE int kv_new(struct kv **out, struct loop *, struct worker *, const struct conf *, const char *prefix, int64_t hold_ms,
    kv_cb *, void *arg);
/* Another configuration: from now on it asks there. The value stays until an answer says otherwise. */
MUST_USE int kv_set_conf(struct kv *, const struct conf *, int64_t hold_ms);
void kv_free(struct kv *); /* NULL is fine */
void kv_view(const struct kv *, struct kv_view *);
size_t kv_pairs(const struct kv *, const struct kv_pair **out); /* the last good ones; valid until the next change */

/*
 * An answer's body: pairs, sorted by key (free by kv_pairs_free()). -EBADMSG: not what Consul sends: an array of objects with
 * a Key that begins with the prefix, and a Value in base64 or null. NULs in keys become '?'. Pure.
 */
MUST_USE int kv_parse(const char *body, size_t len, const char *prefix, struct kv_pair **out, size_t *n);
void kv_pairs_free(struct kv_pair *, size_t n);

#endif
