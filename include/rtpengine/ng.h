/*
 * ng: asks one rtpengine by its NG protocol: "COOKIE bencoded-dictionary" over UDP, one question at a
 * time. The same datagram is sent again after 100, 200, 400... ms until the answer comes or timeout_ms
 * is over: rtpengine knows a cookie for a minute and repeats its answer. It does so whoever asks
 * and whatever is asked, so cookies are random.
 * A question has a connected socket of its own: a refusal (ICMP) is seen at once, no answer or error of
 * an earlier question is taken for its own, and a changed route or address of ours needs no care.
 * The callback runs from the loop, never inside a function of this header, and exactly once unless
 * ng_free() comes first. It may ask again, or free.
 */
#ifndef RTPENGINE_NG_H
#define RTPENGINE_NG_H

#include "base/loop.h"
#include "rtpengine/bencode.h"
#include "topology/addr.h"

struct ng;

struct ng_key {
	const char *key;
	int64_t num;
};

/*
 * err: 0 (`answer` is a dictionary whose result is not "error"), -ETIMEDOUT, -ECONNREFUSED, -EPROTO
 * (it answers "error", or no bencode), -ENOBUFS (we have no socket for it: says nothing about
 * the node). `why`: for people, empty when err is 0; printable ASCII. Both are lent.
 */
typedef void ng_cb(void *arg, int err, const struct bencode_value *answer, const char *why);

/* -EINVAL: no address that could be asked (family 0 or port 0). */
MUST_USE int ng_new(struct ng **out, struct loop *, const struct topo_addr *, int64_t timeout_ms);
void ng_free(struct ng *); /* NULL is fine; the callback will not run after this */
/* `keys` go beside "command". -EBUSY: a question is under way, and no callback runs for this one. */
MUST_USE int ng_ask(struct ng *, const char *command, const struct ng_key *keys, size_t n, ng_cb *,
    void *arg);
bool ng_is_busy(const struct ng *);

#endif
