/*
 * notify: what the service manager is told of us: ready, reloading, one line of status, alive (the
 * watchdog). systemd's protocol, sd_notify(3): datagrams to $NOTIFY_SOCKET. Started without one (by
 * hand, in a test) every call does nothing.
 *
 * The datagram that could not be sent yet (the manager is busy) is sent later, as it should be by
 * then: the newest state wins. The variables are taken out of the environment, so that no child (a
 * check of type exec) speaks for us: call notify_new() before there is a second thread.
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include "base/loop.h"

struct notify;

MUST_USE int notify_new(struct notify **out, struct loop *); /* never fails for want of a manager */
void notify_free(struct notify *); /* NULL is fine */
bool notify_is_on(const struct notify *);
void notify_ready(struct notify *); /* after the start, and after each notify_reloading() */
void notify_reloading(struct notify *);
void notify_status(struct notify *, const char *line); /* said when it is another one than before */
/*
 * And from here on, until notify_free(), the manager is asked every 5 s for another 20: a drain may
 * take its time, a hang may not.
 */
void notify_stopping(struct notify *);
/*
 * This stop is the first half of a restart: the unit's ExecStop has made NOTIFY_RESTART in
 * $RUNTIME_DIRECTORY. A leftover of before our start does not count: notify_new() removes it.
 */
#define NOTIFY_RESTART "restart"
bool notify_is_restart(const struct notify *);

#endif
