/*
 * reg_plan: one registration as it should be, and the agent's lists: what is to be said to the agent? Pure.
 *
 * The lists don't show all of a registration, and need not: its body is told again every 10 s anyway. What they do show
 * and the body does not repair is what matters here: maintenance, checks that are too many, and whose it is.
 *
 * Never `?replace-existing-checks` while anybody's maintenance may be on: it ends it (1.8.7, tried). So checks that are too many
 * are removed one by one.
 */
#ifndef REGISTRAR_REG_PLAN_H
#define REGISTRAR_REG_PLAN_H

#include "consul/agent.h"

/* What c4d's own maintenance begins with, in the reason that Consul keeps as the check's notes. */
#define REG_MARK "c4d: "

/* In the order in which they are done, but that the maintenance of what is not there yet comes after its PUT. */
enum reg_op {
	REG_OP_LEAVE = 1,      /* deregister */
	REG_OP_MAINT_ON = 2,
	REG_OP_PUT = 4,        /* register */
	REG_OP_REMOVE = 8,     /* checks that are too many */
	REG_OP_MAINT_OFF = 16,
	REG_OP_LOOK = 32,      /* never planned: without a list, see whose it is before anything else */
	REG_OP_MAINT_NOTE = 64, /* another reason for c4d's maintenance, which is on */
};

struct reg_want_check {
	const char *id;
	bool off;                /* it should not be there */
	bool ours;               /* c4d makes it, */
	enum agent_status told;  /* and the agent has accepted this status; AGENT_NO_STATUS: none yet */
};

struct reg_want {
	const char *id, *service, *address, *machine, *eid;
	uint16_t port;
	bool leaving;     /* it should not be there */
	bool open;        /* it may be registered: its first good checks have come */
	bool accepted;    /* the agent has taken it in this run, */
	bool seen;        /* and a list has shown it since */
	bool maintenance;
	const char *notes; /* what Consul should keep as its reason; NULL: anything */
	const struct reg_want_check *checks;
	size_t n_checks;
};

enum reg_maintenance { REG_MAINT_NONE, REG_MAINT_OURS, REG_MAINT_FOREIGN };

struct reg_check_seen {
	bool has;
	enum agent_status status; /* AGENT_NO_STATUS: the agent does not have it */
	bool tell;                /* another status than was told: the agent was started again, or somebody meddles */
};

#define REG_EXTRA_MAX 16 /* the next list shows the rest */

struct reg_plan {
	unsigned ops;                  /* bits of enum reg_op */
	bool has;
	bool foreign;                  /* it carries another machine's mark: nothing is to be done */
	bool forgotten;                /* it was there, and is not any more */
	bool unlisted;                 /* accepted, and never listed: the token may not read it */
	const char *differs;           /* what of it is not as it should be; NULL: nothing that shows */
	enum reg_maintenance maintenance;
	const char *notes;             /* of the maintenance; lent by the list */
	enum agent_status worst;       /* of all its checks; passing when it has none */
	const char *extra[REG_EXTRA_MAX]; /* check ids, lent by the list */
	size_t n_extra;
};

/* seen: one for each of the wanted checks. */
void reg_plan(const struct reg_want *, const struct agent_list *, struct reg_plan *out, struct reg_check_seen *seen);

#endif
