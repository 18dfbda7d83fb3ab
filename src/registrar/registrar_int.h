/*
 * registrar_int: what the files of the registrar share.
 *
 *   registrar.c     the whole: lines, configuration, the operator's word, the stop
 *   reg_list.c      the agent's lists
 *   reg_event.c     Consul events
 *   registration.c  one registration: the one job that says to the agent what it should be
 *   reg_place.c     what it should be
 *   reg_check.c     one check of it: its probe, and telling the agent
 *   reg_old.c       what the agent of before a reload still has
 *   presence.c      what the catalog and DNS say of it
 *   reg_show.c      views, problems
 *   reg_plan.c      pure: from the lists to what is to be done
 *   reg_diff.c      pure: what a PUT would change, for people
 *   dry.c           what all of it would do, for `c4d plan`: a look, with nothing of the above
 *   line.c          a connection and its queue
 */
#ifndef REGISTRAR_REGISTRAR_INT_H
#define REGISTRAR_REGISTRAR_INT_H

#include <sys/queue.h>

#include "discovery/resolver.h"
#include "line.h"
#include "reg_plan.h"
#include "registrar/eid.h"
#include "registrar/iface.h"
#include "registrar/registrar.h"

#define REG_ASSERT_MS 10000
#define REG_JITTER 5
/* What Consul keeps of the maintenance of a stop. */
#define REG_NOTES_STOPPING REG_MARK "it is about to stop"
#define REG_NOTES_STOPPED REG_MARK "c4d is stopped"

struct registration;

/* Owned by its registration. */
struct reg_check {
	struct registration *reg;
	const struct conf_check *conf;
	char *id;                 /* NULL as long as the registration has none */
	bool ours, off;
	/* of c4d's own: */
	struct conf_check probed; /* what the probe was made of: a copy, since a reload frees the section */
	char *aim_to;
	struct strlist aim_command;
	struct probe *probe;      /* NULL: not aimed yet, see `why` */
	char why[160];
	enum agent_status status; /* AGENT_NO_STATUS before the first result */
	char *output;
	int64_t since_ms, checked_ms; /* wall clock */
	bool passed;              /* once */
	/* telling */
	struct line_job tell;
	struct loop_timer beat;
	char *body;               /* under way */
	enum agent_status told, telling, put; /* AGENT_NO_STATUS: nothing; put: in the registration's body */
	bool again;               /* changed while it was being told */
	int64_t told_ms;          /* monotonic */
	/* at the agent, as the last list says */
	enum agent_status agent;
	int64_t agent_since_ms;
};

enum presence_dns { PRESENCE_UNKNOWN, PRESENCE_LISTED, PRESENCE_MISSING, PRESENCE_HIDDEN };

struct presence { /* embedded in its registration */
	struct registration *reg;
	struct loop_timer timer;
	struct line_job job;
	bool waits_for_dns;
	int64_t fresh_ms;  /* monotonic; what DNS answered before this is too old */
	bool catalog_known;
	bool in_catalog;
	enum agent_status catalog;
	struct topo_addr addr; /* as DNS should list it: its own, or its node's; family 0: none known */
	char target[DNS_NAME_TEXT]; /* instead of it: a host name */
	enum presence_dns dns;
	int64_t missing_ms;    /* since when the agent has it and others don't; monotonic; 0: not so */
	bool alarm;
	char why[256];
};

enum reg_stop {
	REG_STOP_NO,    /* not asked to, or it stays */
	REG_STOP_DRAIN, /* in maintenance for a while */
	REG_STOP_ACT,   /* its last word is due */
	REG_STOP_DONE,  /* it has left, or was never there */
};

struct registration { /* owned by the registrar */
	struct registrar *r;
	const struct conf_register *conf; /* NULL: not configured (any more), and leaving */
	char *name;                       /* the section's; of what the store remembered, the id */
	char *id;                         /* NULL: not known yet */
	char *address, *eid;              /* never NULL; eid "": not known */
	char **tagged;
	size_t n_tagged;
	struct reg_check **checks;
	size_t n_checks;
	struct store_registration rec;
	bool remembered;                  /* the store has it */
	/* what it should be */
	bool ready;                       /* all places are filled in */
	bool open;                        /* and the first good checks have come */
	bool twice;                       /* another section has the same id */
	bool leaving;
	char wait_why[256], place_why[160];
	char *body;                       /* NULL: to be built anew */
	bool body_hides;                  /* built so that it shows nowhere before its maintenance */
	uint64_t shape;                   /* of the body without the checks' status; 0: none yet */
	uint64_t shape_sent, shape_put;   /* the last one that was said, and that the agent accepted */
	/* what the agent has */
	struct line_job job;
	struct loop_timer timer;          /* the next repetition */
	unsigned ops;                     /* due */
	unsigned op;                      /* under way; 0: nothing */
	char *extra[REG_EXTRA_MAX];       /* checks to be removed */
	size_t n_extra;
	char *removing;                   /* the one that is being removed; it may not be among them any more */
	char *noted;                      /* the notes that the agent was told last for a maintenance that was on */
	char *note_body;                  /* under way */
	bool accepted, seen, has, foreign, unlisted, judged; /* judged: a list was applied */
	enum reg_maintenance maint;
	char *notes;                      /* of somebody else's maintenance */
	enum agent_status worst;
	char refused[300];                /* the agent's reason; "": it took the last word */
	int64_t op_ms;                    /* monotonic; the last word that it took */
	int64_t asserted_ms;              /* wall clock */
	uint64_t puts, forgotten, failures;
	/* the whole */
	enum registration_state state;
	int64_t since_ms;                 /* wall clock */
	char why[400];
	struct presence presence;
	/* the stop */
	enum reg_stop stop;
	bool stop_maint;
	int64_t drained_ms;               /* monotonic; when the drain is over */
};

/* A Consul event to be fired. */
struct reg_event {
	LIST_ENTRY(reg_event) link;
	struct registrar *r;
	struct line_job job;
	char *name, *body;
	unsigned tries;
};

/* The answer about one service name, for all who share it. */
struct dns_group {
	struct dns_group *next;
	struct registrar *r;
	char *service;
	struct lookup *lk;
	int64_t asked_ms, answered_ms;
	bool valid;         /* the answer says who is in and who is not */
	bool partial;       /* only who is in */
	char why[96];
	struct topo_addr *addrs; /* sorted */
	size_t n_addrs;
	char **targets;     /* host names without an address */
	size_t n_targets;
};

struct list_job;

struct registrar {
	struct loop *loop;
	struct worker *worker;
	struct store *store;
	const struct conf *conf;
	bool started;
	char machine[EID_TEXT];
	char hostname[256];
	uint16_t http_port;
	struct registration **regs; /* the configured ones in their order, then those that leave */
	size_t n;
	/* lines; NULL as long as there is nothing to say */
	struct line *urgent; /* checks' status */
	struct line *agent;  /* everything else that the agent answers by itself */
	struct line *far;    /* what it has to ask the servers for: slow when there are none */
	struct iface *iface;
	struct eid *asterisk;
	char asterisk_eid[EID_TEXT];
	struct resolver *resolver;
	struct dns_group *groups;
	/* lists */
	struct loop_timer cycle;
	struct line_job list_services, list_checks;
	bool listing, list_again, list_known;
	bool blind;          /* the list can't be had, though the agent answers */
	unsigned list_timeouts; /* in a row */
	int64_t list_ms;     /* monotonic; when it was asked for */
	char *services;      /* the first half of the answer */
	size_t services_len;
	struct list_job *parsing;
	struct agent_list list;
	char list_why[300];
	int64_t lost_ms;     /* monotonic, since when the agent is lost; 0: it is not */
	LIST_HEAD(, reg_event) events; /* their order is the line's */
	LIST_HEAD(, reg_old) olds;
	size_t n_events;
	/* the stop */
	bool stopping, stopped;
	unsigned stop_calls;
	struct loop_timer deadline, drain;
	struct loop_later done_later;
	registrar_stopped_cb *done;
	void *done_arg;
};

/* registrar.c */
void registrar_add(struct registrar *, struct registration *); /* behind the others */
void registrar_forget(struct registration *); /* it has left: frees it */
void registrar_stop_check(struct registrar *);
void registrar_read_machine(const struct conf *, char *hostname, size_t, uint16_t *http_port);
bool registrar_needs_asterisk(const struct conf *);
bool registrar_knows_ids(const struct registrar *);
void registrar_store(struct registration *);    /* gives what it is to the store */
void registrar_remember(struct registration *); /* unless the store has it */
bool registrar_lost(const struct registrar *);
const char *registrar_lost_why(const struct registrar *);

/* reg_list.c */
void reg_list_init(struct registrar *);
void reg_list_fini(struct registrar *);
void reg_list_forget(struct registrar *); /* asked when it is asked for again */
void registrar_list_soon(struct registrar *, int64_t delay_ms);
void registrar_list_first(struct registrar *); /* now, and before what waits to be said */

/* reg_event.c */
void registrar_event(struct registrar *, const char *name, const struct registration *, const char *what);
void reg_event_drop_all(struct registrar *);

/* reg_old.c */
void reg_old_leave(struct registrar *, const struct conf *now); /* before the old configuration goes */
void reg_old_drop_all(struct registrar *);

/* registration.c */
struct registration *registration_new(struct registrar *, const char *name);
void registration_free(struct registration *);
void registration_set_conf(struct registration *, const struct conf_register *);
void registration_leave(struct registration *);
void registration_apply(struct registration *, const struct agent_list *, int64_t asked_ms);
void registration_need(struct registration *, unsigned ops, bool first);
void registration_opens(struct registration *); /* a check has passed */
void registration_forget(struct registration *); /* that the agent has it */
void registration_take_off(struct registration *);
void registration_update(struct registration *); /* state and why; a line when it changed */
void registration_stop(struct registration *);
void registration_cut_short(struct registration *);
bool registration_tells(const struct registration *); /* the agent has it, as far as is known, and it is ours */

/* reg_place.c */
void registration_place(struct registration *); /* fills in the places: what changed is said */
void registration_reshape(struct registration *); /* what it consists of may have changed */
bool registration_wants_maintenance(const struct registration *);
/* Builds the body, if it must be. False: something is not known. */
bool registration_fresh_body(struct registration *);
char *registration_hiding_id(const struct registration *); /* of the check that hides it; the caller frees */

/* reg_check.c */
struct reg_check *reg_check_new(struct registration *, const struct conf_check *);
void reg_check_free(struct reg_check *);
void reg_check_aim(struct reg_check *, const struct agent_places *);
void reg_check_tell(struct reg_check *, bool first);
void reg_check_untold(struct reg_check *); /* what was told may be forgotten */

/* presence.c */
void presence_init(struct presence *, struct registration *);
void presence_fini(struct presence *);
void presence_soon(struct presence *, int64_t delay_ms);
const char *presence_catalog_text(const struct presence *);
const char *presence_dns_text(const struct presence *);
void presence_drop_groups(struct registrar *);

#endif
