/* ng: rtpengine's "ping" over its NG protocol. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registrar/probe_int.h"
#include "rtpengine/ng.h"

struct ng_probe {
	struct probe *probe;
	struct ng *ng;
	char to[TOPO_ADDR_TEXT];
};

static void
on_answer(void *arg, int err, const struct bencode_value *answer, const char *why)
{
	struct ng_probe *n = arg;
	const char *result = err == 0 ? bencode_text(answer, "result") : NULL;

	if (err == -ENOBUFS)
		probe_say(n->probe, AGENT_CRITICAL, "c4d cannot ask %s: %s (raise LimitNOFILE of c4d's unit?)", n->to, why);
	else if (err != 0)
		probe_say(n->probe, AGENT_CRITICAL, "no pong from %s: %s", n->to, why);
	else if (result == NULL || strcmp(result, "pong") != 0)
		probe_say(n->probe, AGENT_CRITICAL, "the answer of %s to ping is no pong (is that rtpengine?)", n->to);
	else
		probe_say(n->probe, AGENT_PASSING, "pong from %s", n->to);
}

static void
ask(void *arg)
{
	struct ng_probe *n = arg;

	(void)!ng_ask(n->ng, "ping", NULL, 0, on_answer, n); /* never busy: it is asked once at a time */
}

static void
ng_probe_free(void *arg)
{
	struct ng_probe *n = arg;

	ng_free(n->ng);
	free(n);
}

static int
make(void **out, const struct probe_seat *seat)
{
	const char *to = seat->aim->to ? seat->aim->to : "";
	struct topo_addr addr;
	struct ng_probe *n;
	struct ng *ng;

	if (topo_addr_parse(to, &addr) != 0 || ng_new(&ng, seat->loop, &addr, seat->c->timeout_ms) != 0) {
		snprintf(seat->why, seat->size, "%s: needs the IP address and the port of listen-ng: 10.0.0.1:22222", to);
		return -EINVAL;
	}
	n = xcalloc(1, sizeof *n);
	n->probe = seat->probe;
	n->ng = ng;
	topo_addr_format(&addr, n->to);
	*out = n;
	return 0;
}

const struct probe_kind probe_ng = { make, ask, ng_probe_free };
