/*
 * app: what daemon.c built, as the floors that show and command it see it. daemon.c owns everything in it.
 */
#ifndef CONTROL_APP_H
#define CONTROL_APP_H

#include <jansson.h>

#include "base/loop.h"
#include "config/conf.h"
#include "consul/wake.h"
#include "control/hook.h"
#include "discovery/watch.h"
#include "http/access.h"
#include "http/httpd.h"
#include "http/kamailio.h"
#include "reconcile/kamhost.h"
#include "reconcile/living.h"
#include "reconcile/platform.h"
#include "registrar/registrar.h"
#include "routing/routing.h"
#include "store/store.h"

struct app {
	struct loop *loop;
	struct worker *worker;
	struct conf *conf;
	struct store *store;
	struct platform *platform;
	struct watch *watch;
	struct wake *wake;
	struct kamhost **hosts; /* one per configured Kamailio */
	size_t n_hosts;
	struct registrar *registrar;
	struct routing *routing;
	struct living *living;
	struct kamapi *kamapi;
	struct access *access;
	struct httpd *httpd;
	struct feed *feed; /* http/feed.h */
	struct hook *hook; /* NULL while the others are built */
	int64_t started_wall_ms;
	/*
	 * Load and check (by the worker), then swap; `done` runs from the loop. -EINVAL: nothing was changed; `messages`
	 * (an array of texts, given away) says why, or what needs a restart. -EALREADY: one is under way.
	 */
	void (*reload)(struct app *, void (*done)(void *arg, int err, json_t *messages), void *arg);
};

#endif
