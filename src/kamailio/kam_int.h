/* kam_int: what kam.c (the connection and its calls) and kam_ident.c (who answers) share. */
#ifndef KAMAILIO_KAM_INT_H
#define KAMAILIO_KAM_INT_H

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/loop.h"
#include "base/text.h"
#include "kamailio/kam.h"

#define KAM_WHY_BYTES 512

enum kam_state { KAM_STOPPED, KAM_BACKOFF, KAM_CONNECTING, KAM_IDENTIFYING, KAM_UP };
enum told { TOLD_NOTHING, TOLD_UP, TOLD_DOWN };

/* Owned by the list it is in: waiting, in flight, or done. */
struct call {
	struct call *next;
	const char *what;
	struct buf packet;
	uint32_t cookie;
	bool own; /* asked to identify Kamailio: ends silently when the connection does */
	bool raw; /* its reply is not decoded */
	int err;
	kam_cb *cb;
	void *arg;
};

struct call_list {
	struct call *head;
	struct call **tail;
	unsigned n;
};

struct kam {
	struct loop *loop;
	char *name;
	char *addr;
	char where[sizeof(((struct sockaddr_un *)0)->sun_path) + 64]; /* addr, for people */
	union {
		struct sockaddr sa;
		struct sockaddr_un un;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} peer;
	socklen_t peer_len;
	int64_t timeout_ms;
	const struct kam_events *events;
	void *arg;

	enum kam_state state;
	unsigned gen; /* of the connection; checked after each callback */
	bool freed;
	int fd;
	struct loop_io io;
	struct loop_timer timer; /* BACKOFF: next attempt; else the limit of what is under way */
	struct loop_later later; /* delivers `done`, then `down` */
	int64_t backoff_ms;
	int64_t up_ms;
	int64_t lost_ms;
	unsigned attempts;

	struct call_list waiting;
	struct call *flying;
	size_t sent;
	uint32_t cookie;
	uint8_t *in;
	size_t in_len;
	size_t in_cap;

	struct call_list done;
	struct call_list delivering;
	enum told told;
	bool down_due;
	int down_err;
	char down_why[KAM_WHY_BYTES];

	struct kam_ident ident;
	struct kam_ident fresh; /* of the connection that is being identified */
	struct kam_fault faults[KAM_FAULTS_MAX];
	size_t n_faults;
};

/* kam.c */
void kam_submit(struct kam *, struct call *takes, const struct buf *body);
void kam_lose(struct kam *, int err, const char *fmt, ...) PRINTF(3, 4);

/* kam_ident.c: asks for start, process and version; then it is up, unless it is no Kamailio. */
void kam_identify(struct kam *);

#endif
