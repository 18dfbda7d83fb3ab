/*
 * resolver: every entry into c-ares comes from the loop (pump, readiness, timer, rebuild), never
 * from a caller's frame, and no caller's code runs below c-ares: ares_destroy() under an ares
 * callback frees twice (PITFALLS A1).
 *
 * A lookup is on one list: waiting (not yet asked), sent (c-ares holds it as argument, so that only
 * the ares callback may end it) or done (its completion is on the later-queue).
 */
#include "discovery/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/log.h"

#define DNS_CLASS_IN 1
#define TIMEOUT_MAX_MS 3600000

/*
 * Consul closes a connection after 128 questions. c-ares loses the answers that it has not read by
 * then and asks once more on the next connection (tries = 2); these must all be read before that
 * one closes too. While they are, as many new ones are asked, so twice this must fit into a
 * connection.
 */
#define SENT_MAX 32

enum lookup_state { LK_WAITING, LK_SENT, LK_DONE, LK_CALLING };

struct lookup { /* owned by its resolver */
	TAILQ_ENTRY(lookup) link;
	struct resolver *rs;
	enum lookup_state state;
	char *name; /* with the trailing dot */
	uint16_t type;
	unsigned epoch;
	int64_t due_ms;
	resolver_cb *cb; /* NULL: cancelled while c-ares holds it */
	void *arg;
	int err;
	struct dns_msg msg;
	struct loop_later done;
};
TAILQ_HEAD(lookup_list, lookup);

struct sock { /* owned by its resolver while c-ares has the descriptor open */
	LIST_ENTRY(sock) link;
	struct loop_io io;
};

struct resolver {
	struct loop *loop;
	char *server;
	int64_t timeout_ms;
	ares_channel channel; /* NULL: could not be made, tried again with the next question */
	unsigned epoch;
	bool freeing;
	struct loop_timer timer; /* the sooner of ares_timeout() and the oldest lookup's deadline */
	struct loop_later pump;
	struct loop_later rebuild;
	LIST_HEAD(, sock) socks;
	struct lookup_list waiting; /* these three in the order of asking, so of deadlines */
	struct lookup_list sent;
	struct lookup_list done;
	unsigned n_sent; /* also those that were cancelled */
};

static void resolver_settle(struct resolver *);

static int
resolver_err(const struct resolver *rs, const char *what, int status)
{
	log_debug("dns", "%s: %s: %s", rs->server, what, ares_strerror(status));
	switch (status) {
	case ARES_SUCCESS:
		return 0;
	case ARES_ETIMEOUT:
	case ARES_EDESTRUCTION: /* was on a connection given up after another one's time-out */
		return -ETIMEDOUT;
	case ARES_ECONNREFUSED:
		return -ECONNREFUSED;
	case ARES_EBADRESP:
		return -EBADMSG;
	case ARES_ENOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static void
lookup_free(struct lookup *lk)
{
	dnsmsg_clear(&lk->msg);
	free(lk->name);
	free(lk);
}

/* The resolver may be gone when the callback returns: only the lookup is ours then. */
static void
lookup_call(void *arg)
{
	struct lookup *lk = arg;

	TAILQ_REMOVE(&lk->rs->done, lk, link);
	lk->state = LK_CALLING;
	lk->cb(lk->arg, lk->err, lk->epoch, lk->err == 0 ? &lk->msg : NULL);
	lookup_free(lk);
}

/* The lookup is on no list when this is called. */
static void
lookup_finish(struct lookup *lk, int err)
{
	lk->err = err;
	lk->state = LK_DONE;
	TAILQ_INSERT_TAIL(&lk->rs->done, lk, link);
	loop_later(lk->rs->loop, &lk->done, lookup_call, lk);
}

static void
rebuild_run(void *arg)
{
	struct resolver *rs = arg;
	ares_channel old = rs->channel;

	rs->channel = NULL;
	rs->epoch++;
	if (old != NULL)
		ares_destroy(old);
	resolver_settle(rs);
}

/* A connection that swallowed one question swallows all that follow, and c-ares keeps it (A16). */
static void
resolver_give_up_channel(struct resolver *rs)
{
	if (!rs->freeing)
		loop_later(rs->loop, &rs->rebuild, rebuild_run, rs);
}

static int
lookup_parse(struct lookup *lk, const unsigned char *msg, size_t len)
{
	int rc = dnsmsg_parse(msg, len, &lk->msg);

	if (rc != 0)
		return rc;
	if (dnsmsg_is_reply_to(&lk->msg, lk->name, lk->type))
		return 0;
	dnsmsg_clear(&lk->msg);
	return -EBADMSG;
}

/* Below c-ares: touches nothing but its lookup and the lists. `msg` is c-ares' memory: decode now.
 */
static void
lookup_answered(void *arg, int status, int timeouts, unsigned char *msg, int len)
{
	struct lookup *lk = arg;
	struct resolver *rs = lk->rs;
	int err;

	TAILQ_REMOVE(&rs->sent, lk, link);
	rs->n_sent--;
	if (status == ARES_ETIMEOUT)
		resolver_give_up_channel(rs);
	if (rs->freeing || lk->cb == NULL) {
		lookup_free(lk);
		return;
	}
	/* SERVFAIL, REFUSED and NXDOMAIN come as a status *with* the answer: the answer counts. */
	if (msg != NULL && len >= 0)
		err = lookup_parse(lk, msg, (size_t)len);
	else
		err = resolver_err(rs, lk->name, status == ARES_SUCCESS ? ARES_EBADRESP : status);
	lookup_finish(lk, err);
}

static void
sock_ready(void *arg, int fd, int what)
{
	struct resolver *rs = arg;

	ares_process_fd(rs->channel, what & LOOP_READ ? fd : ARES_SOCKET_BAD,
	    what & LOOP_WRITE ? fd : ARES_SOCKET_BAD);
	resolver_settle(rs);
}

/* A level, not an edge: (r, w) replaces what was wanted, (0, 0) means that `fd` is closed next. */
static void
sock_state(void *arg, ares_socket_t fd, int r, int w)
{
	struct resolver *rs = arg;
	struct sock *s;

	LIST_FOREACH(s, &rs->socks, link)
	{
		if (s->io.fd == fd)
			break;
	}
	if (!r && !w) {
		if (s == NULL)
			return;
		LIST_REMOVE(s, link);
		loop_io_fini(&s->io);
		loop_free_later(rs->loop, s); /* may be the one whose callback runs */
		return;
	}
	if (s == NULL) {
		s = xcalloc(1, sizeof *s);
		loop_io_init(&s->io, rs->loop, fd, sock_ready, rs);
		LIST_INSERT_HEAD(&rs->socks, s, link);
	}
	loop_io_want(&s->io, (r ? LOOP_READ : 0) | (w ? LOOP_WRITE : 0));
}

static int
channel_open(struct resolver *rs)
{
	struct in_addr nowhere = { .s_addr = htonl(INADDR_LOOPBACK) };
	char lookups[] = "b";
	/*
	 * Every value that c-ares would else look for in /etc/resolv.conf is given, so that it
	 * never opens that file. The server here is a stand-in: the option can't carry ports nor
	 * IPv6.
	 */
	struct ares_options opt = {
		.flags = ARES_FLAG_USEVC | ARES_FLAG_STAYOPEN | ARES_FLAG_NOCHECKRESP |
			 ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
		.timeout = (int)rs->timeout_ms,
		.tries = 2, /* Consul closes as it likes: the second try is the silent reopen */
		.ndots = 1,
		.servers = &nowhere,
		.nservers = 1,
		.lookups = lookups,
		.sock_state_cb = sock_state,
		.sock_state_cb_data = rs,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
		   ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SORTLIST |
		   ARES_OPT_SOCK_STATE_CB | ARES_OPT_NOROTATE;
	ares_channel channel;
	int status;

	status = ares_init_options(&channel, &opt, mask);
	if (status != ARES_SUCCESS)
		return resolver_err(rs, "channel", status);
	status = ares_set_servers_ports_csv(channel, rs->server);
	if (status != ARES_SUCCESS) {
		ares_destroy(channel);
		return resolver_err(rs, "server", status);
	}
	rs->channel = channel;
	return 0;
}

/* One timer: c-ares has none of its own, and the deadline holds even where c-ares forgets a query.
 */
static void
resolver_arm(struct resolver *rs)
{
	const struct lookup *oldest[] = { TAILQ_FIRST(&rs->waiting), TAILQ_FIRST(&rs->sent) };
	int64_t delay = INT64_MAX, now = loop_now_ms(rs->loop);
	struct timeval tv;

	if (rs->channel != NULL && ares_timeout(rs->channel, NULL, &tv) != NULL)
		delay = (int64_t)tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000;
	for (size_t i = 0; i < NELEM(oldest); i++) {
		if (oldest[i] != NULL && oldest[i]->due_ms - now < delay)
			delay = oldest[i]->due_ms - now;
	}
	if (delay == INT64_MAX)
		loop_timer_stop(&rs->timer);
	else
		loop_timer_start(&rs->timer, delay > 0 ? delay : 0);
}

/* After every entry: asks what waits and fits, arms the timer. Not below c-ares. */
static void
resolver_settle(struct resolver *rs)
{
	struct lookup *lk;

	/* Nothing new on a channel that is about to go: it would end with it. */
	while (!rs->rebuild.queued && rs->n_sent < SENT_MAX &&
	       (lk = TAILQ_FIRST(&rs->waiting)) != NULL) {
		int rc = rs->channel != NULL ? 0 : channel_open(rs);

		TAILQ_REMOVE(&rs->waiting, lk, link);
		lk->epoch = rs->epoch;
		if (rc != 0) {
			lookup_finish(lk, rc);
			continue;
		}
		lk->state = LK_SENT;
		TAILQ_INSERT_TAIL(&rs->sent, lk, link);
		rs->n_sent++;
		/* May end the lookup before it returns: a bad label, no descriptor left. */
		ares_query(rs->channel, lk->name, DNS_CLASS_IN, lk->type, lookup_answered, lk);
	}
	resolver_arm(rs);
}

static void
pump_run(void *arg)
{
	resolver_settle(arg);
}

static void
timer_run(void *arg)
{
	struct resolver *rs = arg;
	int64_t now = loop_now_ms(rs->loop);
	struct lookup *lk;

	if (rs->channel != NULL)
		ares_process_fd(rs->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	lk = TAILQ_FIRST(&rs->sent);
	if (lk != NULL && lk->due_ms <= now)
		resolver_give_up_channel(rs); /* which ends it */
	while ((lk = TAILQ_FIRST(&rs->waiting)) != NULL && lk->due_ms <= now) {
		TAILQ_REMOVE(&rs->waiting, lk, link);
		lk->epoch = rs->epoch;
		lookup_finish(lk, -ETIMEDOUT);
	}
	resolver_settle(rs);
}

int
resolver_new(struct resolver **out, struct loop *loop, const char *server, int64_t timeout_ms)
{
	static bool initialised;
	struct topo_addr addr;
	struct resolver *rs;
	char text[TOPO_ADDR_TEXT];
	int rc;

	if (topo_addr_parse(server, &addr) != 0 || addr.port == 0)
		return -EINVAL;
	if (timeout_ms < 1 || timeout_ms > TIMEOUT_MAX_MS)
		return -EINVAL;
	if (!initialised && ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return -EIO;
	initialised = true;
	topo_addr_format(&addr, text);
	rs = xcalloc(1, sizeof *rs);
	rs->loop = loop;
	rs->server = xstrdup(text);
	rs->timeout_ms = timeout_ms;
	TAILQ_INIT(&rs->waiting);
	TAILQ_INIT(&rs->sent);
	TAILQ_INIT(&rs->done);
	LIST_INIT(&rs->socks);
	loop_timer_init(&rs->timer, loop, timer_run, rs);
	rc = channel_open(rs);
	if (rc != 0) {
		resolver_free(rs);
		return rc;
	}
	*out = rs;
	return 0;
}

void
resolver_free(struct resolver *rs)
{
	struct lookup *lk;

	if (rs == NULL)
		return;
	rs->freeing = true;
	loop_later_cancel(rs->loop, &rs->pump);
	loop_later_cancel(rs->loop, &rs->rebuild);
	loop_timer_fini(&rs->timer);
	if (rs->channel != NULL)
		ares_destroy(rs->channel); /* ends all that was sent, closes all descriptors */
	rs->channel = NULL;
	while ((lk = TAILQ_FIRST(&rs->waiting)) != NULL) {
		TAILQ_REMOVE(&rs->waiting, lk, link);
		lookup_free(lk);
	}
	while ((lk = TAILQ_FIRST(&rs->done)) != NULL) {
		TAILQ_REMOVE(&rs->done, lk, link);
		loop_later_cancel(rs->loop, &lk->done);
		lookup_free(lk);
	}
	free(rs->server);
	loop_free_later(rs->loop, rs); /* a lookup's callback may be on the stack */
}

struct lookup *
resolver_ask(struct resolver *rs, const char *name, uint16_t type, resolver_cb *cb, void *arg)
{
	struct lookup *lk = xcalloc(1, sizeof *lk);
	size_t len = strlen(name);

	lk->rs = rs;
	/* The dot keeps search domains away whatever else is set. */
	lk->name = xasprintf("%s%s", name, len > 0 && name[len - 1] == '.' ? "" : ".");
	lk->type = type;
	lk->cb = cb;
	lk->arg = arg;
	lk->due_ms = loop_now_ms(rs->loop) + rs->timeout_ms;
	lk->state = LK_WAITING;
	TAILQ_INSERT_TAIL(&rs->waiting, lk, link);
	loop_later(rs->loop, &rs->pump, pump_run, rs);
	return lk;
}

void
resolver_cancel(struct lookup *lk)
{
	switch (lk->state) {
	case LK_WAITING:
		TAILQ_REMOVE(&lk->rs->waiting, lk, link);
		lookup_free(lk);
		break;
	case LK_SENT: /* c-ares can't forget one query (A4): the ares callback frees it */
		lk->cb = NULL;
		break;
	case LK_DONE:
		TAILQ_REMOVE(&lk->rs->done, lk, link);
		loop_later_cancel(lk->rs->loop, &lk->done);
		lookup_free(lk);
		break;
	case LK_CALLING: /* from its own callback: it is over anyway */
		break;
	}
}

const char *
resolver_server(const struct resolver *rs)
{
	return rs->server;
}

unsigned
resolver_epoch(const struct resolver *rs)
{
	return rs->epoch;
}
