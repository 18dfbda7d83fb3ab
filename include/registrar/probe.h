/*
 * probe: one check that c4d makes itself: sip, binrpc, ng or exec. It is made every 90 to 100 % of its interval, counted from the end of
 * the one before (the second may come up to half an interval sooner, so that checks begun together do not stay so), each within its
 * time-out. `failures` in a row make it critical; one success makes it passing, one warning warning.
 * The output is constant while it is passing ("SIP 200 from sip:10.0.0.1:5060"), so that Consul's catalog is not churned; a
 * failure says what failed and what to look at. Outputs are lines of printable ASCII. A change of status is logged, as "check".
 *
 *   sip     OPTIONS (RFC 3261 11) over UDP, with retransmissions (T1 500 ms), or TCP; any final answer but 408 and 5xx is a
 *           success: somebody's worker has answered. 503 and 5xx fail.
 *   binrpc  core.uptime by a connection of its own, which is kept; that it ends or is back is followed by a check at once
 *   ng      ping
 *   exec    the command, with no shell, an empty stdin, and its own process group: 0 passing, 1 warning, else critical (as Consul's
 *           scripts); the group is killed at the time-out; the first 4 KB of what it says (stdout and stderr) is the output when it is
 *           not passing. Each is a fork of c4d: 0.15 ms of the loop's time at 5 MB, 1.3 ms at 50 MB, 10 ms at 200 MB resident.
 */
#ifndef REGISTRAR_PROBE_H
#define REGISTRAR_PROBE_H

#include "base/loop.h"
#include "config/conf.h"
#include "consul/agent.h"

#define PROBE_OUTPUT_MAX 4096

struct probe;

struct probe_view {
	enum agent_status status; /* AGENT_NO_STATUS before the first result */
	const char *output;
	int64_t since_ms;   /* wall clock, of the status */
	int64_t checked_ms; /* monotonic, of the last result; 0 never */
	int64_t took_us;    /* the last one */
	uint64_t runs, failures; /* all of them */
};

/* From the loop, when status or output changed. */
typedef void probe_cb(void *arg);

/* What a probe is aimed at: c->uri, c->to or c->command with all places filled in. */
struct probe_aim {
	const char *to;                /* "sip:10.0.0.1:5060;transport=tcp", "unix:/PATH", "10.0.0.1:22222"; IP addresses only */
	const struct strlist *command; /* of exec */
	const char *name;              /* for logs: "sbc/sip" */
};

/* c must live as long; aim is copied. -EINVAL: it can't be asked so; `why` for people. Begins at once with probe_start(). */
MUST_USE int probe_new(struct probe **out, struct loop *, const struct conf_check *c, const struct probe_aim *, probe_cb *, void *arg,
    char *why, size_t size);
void probe_start(struct probe *);
void probe_free(struct probe *); /* NULL is fine; a command under way is killed */
void probe_view(const struct probe *, struct probe_view *);

#endif
