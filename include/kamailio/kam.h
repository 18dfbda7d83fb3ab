/*
 * kam: one connection to one Kamailio's ctl module (binrpc over a unix stream or TCP).
 * One RPC is in flight, ever; further calls wait in order. Replies are matched by cookie and read as
 * soon as they come (Kamailio cuts a large reply when its reader is 10 ms late). A reply that does
 * not come within the time-out, a wrong cookie, or a broken frame closes the connection; reconnect
 * backs off from 50 ms to 1 s (reset by a connection that lasts 1 s). On connect it asks core.uptime,
 * core.psx and core.version, and then calls `up`; a new connection means: read everything again.
 * `down` is called once per loss, the first time that connecting fails, and again (without a log line) when the
 * reason changes. kam logs both.
 * All callbacks run from the loop, never inside a function of this header. A call's callback runs
 * exactly once, err is: 0 (reply or fault in msg), -ETIMEDOUT, -ECONNRESET (connection lost, also
 * while waiting behind a call that timed out), -ENOTCONN (not up), -EBUSY (KAM_WAITING_MAX calls wait
 * already), -EBADMSG (not binrpc, or not the answer to this call), -EMSGSIZE (request or reply too
 * large). msg is lent, NULL unless err is 0.
 */
#ifndef KAMAILIO_KAM_H
#define KAMAILIO_KAM_H

#include "base/loop.h"
#include "kamailio/binrpc.h"

#define KAM_WAITING_MAX 64

struct kam;

struct kam_ident {
	char up_since[64]; /* Kamailio's own text */
	int64_t main_pid;  /* 0 unknown */
	char version[64];  /* "kamailio 5.6.3 (x86_64/linux)" */
};

struct kam_events {
	/* restarted: another process than before */
	void (*up)(void *arg, const struct kam_ident *, bool restarted);
	void (*down)(void *arg, int err, const char *why); /* why: for people */
};

/* Faults of the calls of one method, with one code, since the start. */
struct kam_fault {
	const char *what; /* the method */
	int code;
	uint64_t count;
};

typedef void kam_cb(void *arg, int err, const struct binrpc_msg *msg);

/* addr: "unix:/path" or "tcp:IP:PORT" (IPv6 in brackets). -EINVAL when it is neither. */
MUST_USE int kam_new(struct kam **out, struct loop *, const char *name, const char *addr,
    int64_t timeout_ms, const struct kam_events *, void *arg);
void kam_free(struct kam *); /* NULL is fine; callbacks of waiting calls do not run */
void kam_start(struct kam *);
bool kam_is_up(const struct kam *);
const struct kam_ident *kam_ident(const struct kam *); /* of the last connection; empty texts before */
const char *kam_addr(const struct kam *);
/* The i'th of them; false: no more. Of further ones than KAM_FAULTS_MAX the last counts all, with the code 0. */
#define KAM_FAULTS_MAX 32
bool kam_fault(const struct kam *, size_t i, struct kam_fault *out);
/* `body` from binrpc_begin(); kam copies it. `what` is a constant for logs: the method's name. */
void kam_call(struct kam *, const char *what, const struct buf *body, kam_cb *, void *arg);
/* As kam_call(), for a reply that may be large: its msg is as binrpc_open() makes it. A fault's is decoded as ever. */
void kam_call_raw(struct kam *, const char *what, const struct buf *body, kam_cb *, void *arg);
/*
 * Close and connect anew, now (after the back-off when the connection is younger than 1 s); pending
 * calls get -ECONNRESET, and `down` is called with where it was and `why` if it was up.
 */
void kam_reconnect(struct kam *, const char *why);

#endif
