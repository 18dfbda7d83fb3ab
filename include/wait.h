/*
 * wait: `c4d run --wait`: before the daemon builds anything, waits until Consul answers: the canary consul.service.DOMAIN by
 * any of the DNS servers, and where c4d registers or reads KV, a leader at the agent's HTTP port. Says what it waits for, once
 * a second at most. It has a loop of its own; call it before any other runs.
 */
#ifndef WAIT_H
#define WAIT_H

#include "config/conf.h"

#define WAIT_DEFAULT_S 60
#define WAIT_MAX_S 86400

/* 0; -ETIMEDOUT: not within limit_ms (logged); -EINTR: SIGTERM or SIGINT ended it; -EINVAL: it can't ask (logged). */
MUST_USE int wait_for_consul(const struct conf *, int64_t limit_ms);

#endif
