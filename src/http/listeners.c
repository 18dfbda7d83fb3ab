/*
 * listeners: where connections come from, as http.listen has it: addresses that come and go with their interface, those that
 * this machine does not have yet, and a time without descriptors.
 */
#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "httpd_int.h"
#include "listen.h"
#include "registrar/iface.h"

#define RETRY_MS 1000 /* an address that can't be had, or no descriptors */

/* A listener's error callback is given libevent's server, not ours. */
static struct httpd *all;

void
listeners_update(struct httpd *h)
{
	struct listener *l;

	for (l = h->listeners; l != NULL; l = l->next)
		if (l->lev != NULL && (h->full || h->starving))
			(void)evconnlistener_disable(l->lev);
		else if (l->lev != NULL)
			(void)evconnlistener_enable(l->lev);
}

/* A second after the error it is tried again; a second later still, without a new one, it is over. */
static void
on_starved(void *arg)
{
	struct httpd *h = arg;

	if (h->starving) {
		h->starving = false;
		listeners_update(h);
		loop_timer_start(&h->starve, RETRY_MS);
	} else {
		h->starving_said = false;
		log_notice("http", "takes connections again");
	}
}

/* No descriptors, most likely: the listener would say so without end. */
static void
on_accept_error(struct evconnlistener *lev, void *arg)
{
	int err = errno;
	struct listener *l;
	struct httpd *h;

	for (h = all; h != NULL; h = h->next) {
		for (l = h->listeners; l != NULL && l->lev != lev; l = l->next)
			;
		if (l == NULL)
			continue;
		if (!h->starving_said)
			log_warnx("http", "cannot take connections: %s; tried again every second (LimitNOFILE?)", strerror(err));
		h->starving_said = h->starving = true;
		conns_reap(h, true);
		listeners_update(h);
		loop_timer_start(&h->starve, RETRY_MS);
	}
}

static void
listener_down(struct httpd *h, struct listener *l)
{
	if (l->lev != NULL)
		httpd_unbind(h, l->bound);
	l->lev = NULL;
	l->bound = NULL;
}

static int
listener_up(struct httpd *h, struct listener *l, const struct topo_addr *a, char *why, size_t size)
{
	struct bufferevent *bev; /* for its base */
	int fd = listen_open(a);

	if (fd < 0) {
		snprintf(why, size, "%s", strerror(-fd));
		return fd;
	}
	bev = loop_bufferevent(h->loop, -1);
	if (bev != NULL)
		l->lev = evconnlistener_new(bufferevent_get_base(bev), NULL, NULL,
		    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0, fd);
	l->bound = l->lev ? httpd_bind(h, l->lev) : NULL;
	if (bev != NULL)
		bufferevent_free(bev);
	if (l->bound == NULL) {
		if (l->lev != NULL)
			evconnlistener_free(l->lev);
		else
			close(fd);
		l->lev = NULL;
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(l->lev, on_accept_error);
	l->addr = *a;
	return 0;
}

/* Stands where it should, or says why not. */
static void
listener_try(struct httpd *h, struct listener *l)
{
	char why[sizeof l->why] = "", at[TOPO_ADDR_TEXT], also[TOPO_ADDR_TEXT + 16] = "";
	struct topo_addr a;

	if (listen_parse(l->text, &a, why, sizeof why) != 0) {
		listener_down(h, l);
	} else if (l->lev == NULL || topo_addr_cmp(&l->addr, &a) != 0) {
		listener_down(h, l);
		topo_addr_format(&a, at);
		if (strcmp(at, l->text) != 0)
			snprintf(also, sizeof also, " (%s)", at);
		if (listener_up(h, l, &a, why, sizeof why) == 0)
			log_notice("http", "listens at %s%s", l->text, also);
	}
	if (l->lev == NULL && strcmp(l->why, why) != 0)
		log_warnx("http", "cannot listen at %s%s: %s; tried again every second (http.listen)", l->text, also, why);
	memcpy(l->why, why, sizeof why);
}

static void
listeners_try(struct httpd *h)
{
	struct listener *l;
	bool again = false;

	for (l = h->listeners; l != NULL; l = l->next) {
		listener_try(h, l);
		again |= l->lev == NULL;
	}
	listeners_update(h);
	if (again)
		loop_timer_start(&h->retry, RETRY_MS);
}

static void
on_retry(void *arg)
{
	listeners_try(arg);
}

static struct listener **
listener_slot(struct httpd *h, const char *text)
{
	struct listener **at = &h->listeners;

	while (*at != NULL && strcmp((*at)->text, text) != 0)
		at = &(*at)->next;
	return at;
}

void
listeners_set(struct httpd *h, const struct conf *conf)
{
	struct listener **at, *l;
	bool by_iface = false;
	size_t i;

	for (i = 0; i < conf->listen.n; i++) {
		at = listener_slot(h, conf->listen.v[i]);
		if (*at == NULL) {
			*at = xcalloc(1, sizeof **at);
			(*at)->text = xstrdup(conf->listen.v[i]);
		}
		(*at)->keep = true;
		by_iface |= conf->listen.v[i][0] == '{';
	}
	for (at = &h->listeners; (l = *at) != NULL;) {
		if (l->keep) {
			l->keep = false;
			at = &l->next;
			continue;
		}
		log_notice("http", "does not listen at %s any more", l->text);
		listener_down(h, l);
		*at = l->next;
		free(l->text);
		free(l);
	}
	if (by_iface && h->iface == NULL && iface_new(&h->iface, h->loop, on_retry, h) != 0)
		log_warnx("http", "changes of the addresses in http.listen will not be seen");
	if (!by_iface) {
		iface_free(h->iface);
		h->iface = NULL;
	}
	listeners_try(h);
}

void
listeners_init(struct httpd *h)
{
	h->next = all;
	all = h;
	loop_timer_init(&h->retry, h->loop, on_retry, h);
	loop_timer_init(&h->starve, h->loop, on_starved, h);
}

void
listeners_free(struct httpd *h)
{
	struct httpd **at = &all;
	struct listener *l;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	loop_timer_fini(&h->retry);
	loop_timer_fini(&h->starve);

	iface_free(h->iface);
	h->iface = NULL;
	while ((l = h->listeners) != NULL) {
		h->listeners = l->next;
		free(l->text);
		free(l);
	}
}
