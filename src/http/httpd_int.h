/*
 * httpd_int: what the server's files share. httpd.c has requests and answers, connections.c who is connected and for how
 * long, listeners.c where connections come from. Only httpd.c talks to libevent's HTTP server.
 */
#ifndef HTTP_HTTPD_INT_H
#define HTTP_HTTPD_INT_H

#include "http/httpd.h"

#define HEADERS_MAX (8u << 10)

struct bufferevent;
struct evconnlistener;
struct evhttp_bound_socket;

enum conn_state { CONN_IDLE, CONN_READING, CONN_HANDLING, CONN_WRITING, CONN_STREAMING };

struct conn { /* owned by the httpd's list */
	struct conn *next;
	struct httpd *h;
	struct bufferevent *bev;
	int fd;               /* -1: not known yet; the index of by_fd */
	enum conn_state state;
	int64_t since_ms;     /* of the state */
	int64_t ended_ms;     /* 0: it has not been seen that libevent has done with it */
	bool bounded;         /* is not read without end: its answer does not go out at once */
	bool over;            /* nothing is left that could be lost by closing it */
	struct httpd_req *req; /* CONN_HANDLING */
	struct httpd_stream *stream; /* CONN_STREAMING; NULL once it has ended */
	struct loop_later foreign, send;
	struct topo_addr addr; /* its peer's; family 0: not known yet */
	char peer[TOPO_ADDR_TEXT];
};

struct listener { /* owned by the httpd's list */
	struct listener *next;
	char *text;           /* as configured */
	struct topo_addr addr; /* as bound */
	struct evconnlistener *lev; /* NULL: does not stand; else libevent's, by `bound` */
	struct evhttp_bound_socket *bound;
	bool keep;
	char why[160];
};

struct httpd {
	struct httpd *next; /* of all */
	struct loop *loop;
	struct evhttp *ev;
	const struct httpd_route *routes;
	void *arg;
	size_t max_body; /* of any route */
	struct httpd_limits limits;
	struct listener *listeners;
	struct iface *iface; /* NULL: no address depends on an interface */
	struct conn *conns;
	size_t n_conns; /* with those that have ended */
	struct conn **by_fd;
	size_t cap_by_fd;
	struct httpd_req *reqs;
	struct httpd_stream *streams;
	struct loop_timer sweep, retry, starve;
	bool full, starving, starving_said;
	int64_t full_said_ms, late_said_ms;
	uint64_t requests, refused;
	int64_t date_s; /* of date */
	char date[32];  /* as answers have it */
	char host[256]; /* this machine's name */
	char why[256];
};

/* What may come and go all the time is said once a minute. */
bool httpd_may_say(struct httpd *, int64_t *said_ms);
void httpd_end_late(struct httpd *, int64_t now); /* requests past their deadline get their 504 */
void httpd_forget(struct httpd_req *);           /* its connection */
void httpd_stream_lost(struct httpd_stream *);   /* likewise: its owner is told, from the loop */
struct evhttp_bound_socket *httpd_bind(struct httpd *, struct evconnlistener *); /* NULL: out of memory */
void httpd_unbind(struct httpd *, struct evhttp_bound_socket *);                 /* closes it */

/* ---- connections.c ---- */

/* One that is about to be taken; its bufferevent, or NULL. */
struct bufferevent *conn_new(struct httpd *);
struct conn *conn_of(struct httpd *, struct bufferevent *); /* NULL: not ours */
void conn_is(struct conn *, enum conn_state);
bool conn_is_alive(const struct conn *); /* libevent has not done with it */
/* What its output holds goes out without waiting for the loop, as far as the socket takes it; true: all of it. */
bool conn_flush(struct conn *);
/*
 * Sends its answer, which libevent has just been given: at the end of this turn of the loop, without waiting to be told that
 * the socket can be written to, which is nearly always so.
 */
void conn_send(struct conn *);
/* It becomes a stream: without limits of time but for a peer that does not read, and what he sends is not hoarded. */
void conn_stream(struct conn *, struct httpd_stream *);
bool conn_is_slow(const struct conn *); /* too much waits for a stream's peer */
void conn_drop(struct conn *);          /* libevent ends it; without an answer */
void conn_reads(struct conn *); /* its answer is out: the next request may be of any size that is allowed */
/* Connections that have ended go; at once also those that would otherwise be kept for their peers to read the last answer. */
void conns_reap(struct httpd *, bool at_once);
void conns_sweep(void *httpd); /* the timer's */
void conns_free(struct httpd *);

/* ---- listeners.c ---- */

void listeners_init(struct httpd *);
void listeners_update(struct httpd *); /* takes connections, or not */
void listeners_set(struct httpd *, const struct conf *);
void listeners_free(struct httpd *);   /* after libevent's server, which closes them */

#endif
