/*
 * registrar: keeps the `register` sections true at Consul's agent.
 *
 * Each registration is a small reconcile of its own: what it should be (section, addresses, maintenance, checks), what the agent
 * says (one question for all services and one for all checks), and the PUTs between the two. A PUT of the same body repairs
 * what drifted, so it is repeated every 10 s whatever the agent says; without ?replace-existing-checks, which ends a maintenance. The status of checks that c4d makes goes at once when it
 * changes, before anything else, on a connection of its own.
 *
 * What c4d registered is remembered in the store, so that what the configuration does not want any more is deregistered, also
 * after a restart. A registration of the same id that carries another machine's mark (meta c4d-machine) is not touched.
 *
 * Callbacks and waiting: nothing here calls back inside a function of this header. Errors are logged once per change of state,
 * and are in the views.
 */
#ifndef REGISTRAR_REGISTRAR_H
#define REGISTRAR_REGISTRAR_H

#include "base/worker.h"
#include "config/conf.h"
#include "consul/agent.h"
#include "registrar/probe.h"
#include "store/store.h"

struct registrar;

enum registration_state {
	REG_WAITING,      /* not registered yet: an address, the eid or a first good check is missing */
	REG_PENDING,      /* a PUT is due or under way */
	REG_REGISTERED,   /* the agent has it */
	REG_MAINTENANCE,  /* and in maintenance */
	REG_FAILED,       /* the agent refuses it, or it is another machine's */
	REG_UNREACHABLE,  /* the agent can't be asked */
	REG_LEAVING,      /* being deregistered */
};
const char *registration_state_name(enum registration_state);

struct registration_view { /* lent, until the next turn of the loop */
	const char *name, *id, *service, *address, *eid;
	uint16_t port;
	enum registration_state state;
	const char *why;             /* "": all is well */
	int64_t since_ms;            /* wall clock, of the state */
	enum agent_status agent;     /* the worst of its checks at the agent; AGENT_NO_STATUS: the agent does not have it */
	const char *catalog;         /* "passing", ..., "missing", "unknown" */
	const char *unseen;          /* since two minutes the agent has it and others can't find it: why; "": not so */
	const char *dns;             /* "listed", "missing", "hidden" (a critical check: as it should be), "unknown", "off" */
	int64_t asserted_ms;         /* wall clock, of the last PUT that was accepted */
	bool maintenance;            /* by c4d's operator; */
	bool foreign_maintenance;    /* or by somebody else at Consul */
	bool maintenance_at_agent;   /* the agent has one on, whoever's, as far as is known */
	const char *reason, *who;
	uint64_t puts, forgotten, failures;
};

struct check_view {
	const char *registration, *name, *type, *check_id;
	bool off;
	bool ours;                   /* c4d makes it */
	enum agent_status status;    /* of c4d's own work, */
	enum agent_status agent;     /* at the agent */
	const char *output;          /* the last; of Consul's, as the agent says it */
	int64_t since_ms, checked_ms; /* wall clock; 0 unknown */
};

/* conf must live as long, or until registrar_set_conf(). -EINVAL: consul.http can't be used (logged). */
MUST_USE int registrar_new(struct registrar **out, struct loop *, struct worker *, struct store *, const struct conf *,
    const char *machine_id);
void registrar_start(struct registrar *);
/* A reload: sections that did not change go on as they are. */
MUST_USE int registrar_set_conf(struct registrar *, const struct conf *);
/*
 * The stop: each section's on_stop. `done` runs when all is said to Consul, or the deadline (drain + stop_timeout) has come.
 * Checks are told meanwhile. A second call ends the drains and leaves Consul a second; a third means: at once.
 */
typedef void registrar_stopped_cb(void *arg);
void registrar_stop(struct registrar *, registrar_stopped_cb *, void *arg);
void registrar_free(struct registrar *); /* NULL is fine; says nothing to Consul */

/* name: a section's or an id; NULL: all. -ENOENT. Remembered in the store before Consul is told. */
MUST_USE int registrar_maintenance(struct registrar *, const char *name, bool on, const char *reason, const char *who);
/* -ENOENT: no such registration, -ESRCH: it has no such check. */
MUST_USE int registrar_check(struct registrar *, const char *name, const char *check, bool on, const char *who);

size_t registrar_count(const struct registrar *);
void registrar_view(const struct registrar *, size_t i, struct registration_view *);
size_t registrar_checks(const struct registrar *, size_t i); /* of one registration */
void registrar_check_view(const struct registrar *, size_t i, size_t k, struct check_view *);
/* Is there a registration with this endpoint id? For /consul_check. */
bool registrar_has_eid(const struct registrar *, const char *eid);
/* One line per thing that is wrong, for `status`; the callback takes no ownership. */
typedef void registrar_problem_cb(void *arg, const char *text);
void registrar_problems(const struct registrar *, registrar_problem_cb *, void *arg);

#endif
