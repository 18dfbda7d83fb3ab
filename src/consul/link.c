#include "link.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum link_state { LINK_CLOSED, LINK_FILES, LINK_CONNECTING, LINK_SHAKING, LINK_OPEN, LINK_FAILED };

struct link {
	struct loop *loop;
	struct worker *worker;
	struct url url;
	char *what;
	struct tls_conf files; /* its strings are ours */
	link_cb *cb;
	void *arg;
	enum link_state state;
	struct files_job *job; /* LINK_FILES */
	struct tls *tls;
	int fd;                /* LINK_CONNECTING; else the bufferevent's */
	struct loop_io io;
	struct bufferevent *bev;
	struct loop_later later;
	int err;
	char why[256];
};

/* The files of TLS, read by the worker. */
struct files_job {
	struct worker_job job;
	struct link *owner; /* NULL: nobody waits any more; the loop's, not the worker's */
	struct tls_conf files; /* its strings are the job's */
	int err;
	struct tls *tls;
	char why[256];
};

static void
files_copy(struct tls_conf *to, const struct tls_conf *from)
{
	to->ca_file = xstrdup(from->ca_file);
	to->cert_file = xstrdup(from->cert_file);
	to->key_file = xstrdup(from->key_file);
	to->server_name = xstrdup(from->server_name);
	to->verify = from->verify;
}

static void
files_free(struct tls_conf *c)
{
	free((void *)c->ca_file);
	free((void *)c->cert_file);
	free((void *)c->key_file);
	free((void *)c->server_name);
}

/* ---- how it ended ---- */

static void
on_later(void *arg)
{
	struct link *k = arg;
	int err = k->err;
	char why[sizeof k->why];

	memcpy(why, k->why, sizeof why);
	link_close(k);
	k->cb(k->arg, err, why);
}

static void
fail(struct link *k, int err)
{
	k->state = LINK_FAILED;
	k->err = err;
	loop_later(k->loop, &k->later, on_later, k);
}

static void
fail_connecting(struct link *k, int err)
{
	if (err == -EAGAIN) /* a unix socket's full backlog: nothing would tell of room in it */
		snprintf(k->why, sizeof k->why, "cannot connect to %s: too many connections wait there", k->url.where);
	else if (err == -ECONNREFUSED || err == -ENOENT)
		snprintf(k->why, sizeof k->why, "cannot connect to %s: %s (does %s listen there?)", k->url.where, strerror(-err),
		    k->what);
	else
		snprintf(k->why, sizeof k->why, "cannot connect to %s: %s", k->url.where, strerror(-err));
	fail(k, -ECONNREFUSED);
}

static void
open_now(struct link *k)
{
	k->state = LINK_OPEN;
	k->cb(k->arg, 0, "");
}

/* ---- the handshake ---- */

static void
on_handshake(struct bufferevent *bev, short what, void *arg)
{
	struct link *k = arg;

	if (what & BEV_EVENT_CONNECTED) {
		open_now(k);
		return;
	}
	tls_error(k->tls, bev, k->url.where, k->why, sizeof k->why);
	if (k->why[0] == '\0')
		snprintf(k->why, sizeof k->why, "%s closed the connection in the middle of the TLS handshake", k->url.where);
	fail(k, -EPROTO);
}

/* ---- connecting ---- */

static void
on_connected(struct link *k)
{
	loop_io_fini(&k->io);
	k->bev = k->url.tls ? tls_bufferevent(k->tls, k->loop, k->fd) : loop_bufferevent(k->loop, k->fd);
	if (k->bev == NULL) {
		snprintf(k->why, sizeof k->why, "out of memory");
		fail(k, -ENOMEM);
		return;
	}
	k->fd = -1;
	k->state = LINK_SHAKING;
	if (k->url.tls)
		bufferevent_setcb(k->bev, NULL, NULL, on_handshake, k);
	else
		open_now(k);
}

static void
on_io(void *arg, int fd, int what)
{
	struct link *k = arg;
	socklen_t len = sizeof(int);
	int err = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
		err = errno;
	loop_io_want(&k->io, 0);
	if (err != 0)
		fail_connecting(k, -err);
	else
		on_connected(k);
}

/* Also what is connected at once waits for the loop to say so. */
static void
connect_now(struct link *k)
{
	int one = 1;

	k->state = LINK_CONNECTING;
	k->fd = socket(k->url.peer.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (k->fd < 0) {
		fail_connecting(k, -errno);
		return;
	}
	loop_io_init(&k->io, k->loop, k->fd, on_io, k);
	if (k->url.peer.sa.sa_family != AF_UNIX)
		(void)setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(k->fd, &k->url.peer.sa, k->url.peer_len) == 0 || errno == EINPROGRESS || errno == EINTR)
		loop_io_want(&k->io, LOOP_WRITE);
	else
		fail_connecting(k, -errno);
}

/* ---- the files of TLS ---- */

static void
files_run(struct worker_job *wj)
{
	struct files_job *j = CONTAINER_OF(wj, struct files_job, job);

	j->err = tls_new(&j->tls, &j->files, j->why, sizeof j->why);
}

static void
files_done(struct worker_job *wj)
{
	struct files_job *j = CONTAINER_OF(wj, struct files_job, job);
	struct link *k = j->owner;

	if (k != NULL) {
		k->job = NULL;
		k->tls = j->tls;
		j->tls = NULL;
		memcpy(k->why, j->why, sizeof k->why);
		if (j->err != 0)
			fail(k, -EPROTO);
		else
			connect_now(k);
	}
	tls_free(j->tls);
	files_free(&j->files);
	free(j);
}

static void
read_files(struct link *k)
{
	struct files_job *j = k->job = xcalloc(1, sizeof *j);

	k->state = LINK_FILES;
	j->job.run = files_run;
	j->job.done = files_done;
	j->owner = k;
	files_copy(&j->files, &k->files);
	worker_submit(k->worker, WORKER_NORMAL, &j->job);
}

/* ---- life ---- */

void
link_open(struct link *k)
{
	k->why[0] = '\0';
	if (k->url.tls)
		read_files(k);
	else
		connect_now(k);
}

void
link_close(struct link *k)
{
	if (k->job != NULL)
		k->job->owner = NULL;
	k->job = NULL;
	loop_later_cancel(k->loop, &k->later);
	loop_io_fini(&k->io);
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
	if (k->bev != NULL && k->url.tls)
		tls_bufferevent_free(k->bev);
	else if (k->bev != NULL)
		bufferevent_free(k->bev);
	k->bev = NULL;
	tls_free(k->tls);
	k->tls = NULL;
	k->state = LINK_CLOSED;
}

struct bufferevent *
link_bufferevent(const struct link *k)
{
	return k->state == LINK_OPEN ? k->bev : NULL;
}

void
link_error(struct link *k, char *why, size_t size)
{
	why[0] = '\0';
	if (k->tls != NULL && k->bev != NULL)
		tls_error(k->tls, k->bev, k->url.where, why, size);
}

struct link *
link_new(struct loop *loop, struct worker *worker, const struct url *url, const struct tls_conf *tls, const char *what,
    link_cb *cb, void *arg)
{
	struct link *k = xcalloc(1, sizeof *k);
	struct tls_conf files;

	k->loop = loop;
	k->worker = worker;
	k->url = *url;
	k->what = xstrdup(what);
	files = *tls;
	if (files.server_name == NULL)
		files.server_name = url->ip;
	files_copy(&k->files, &files);
	k->cb = cb;
	k->arg = arg;
	k->fd = -1;
	return k;
}

void
link_free(struct link *k)
{
	if (k == NULL)
		return;
	link_close(k);
	free(k->what);
	files_free(&k->files);
	loop_free_later(k->loop, k); /* its callback may be on the stack */
}
