/*
 * judge: evidence and guards for one service, DESIGN.md "Evidence". Pure: the only inputs are the
 * configuration, one round of answers (or an operator's word) and the clock; the only output is the
 * new state. Nothing but a conclusive round can make an instance go missing, and every loss passes
 * the guards in this order: operator's hold, floor (min_instances), shrink.
 *
 * A listed instance takes calls unless, in this order: the operator drains it (DRAINING), damping
 * keeps it out (SUPPRESSED), it has the drain tag (DRAINING). The first is the operator's word: only
 * judge_left_without() stands before it, which whoever asks looks at. The other two end where the
 * floor begins: as many as it needs stay in, or come back in when others are lost. What is drained
 * is no loss to the shrink guard; what damping takes out is one like others. A frozen service heeds
 * the operator's drain alone.
 *
 * Damping: each going (listed, then missing by evidence) adds 1000 to a penalty that halves with
 * flap_half_life. A loss that the floor or shrink holds is none: lists that lose most of all are Consul's trouble. Who comes back at flap_suppress or more is kept out until it is below
 * flap_reuse, at the latest flap_max after the last going. So that an instance that comes and goes
 * costs no reloads, it is not removed while its penalty stands: neither when damping keeps it out,
 * nor when it has gone more than once, nor soon after its last removal. Penalties of removed ones
 * are remembered, max_instances of them.
 *
 * "Evidence time" is the sum of the gaps between conclusive rounds, each capped at 3 intervals: a
 * clock that jumped while we were paused proves nothing.
 */
#ifndef TOPOLOGY_JUDGE_H
#define TOPOLOGY_JUDGE_H

#include "topology/topo.h"

#define JUDGE_NAMES_MAX 16
#define JUDGE_TAGS_MAX 16

struct judge_conf {
	int64_t interval_ms;
	int64_t remove_hold_ms;
	int64_t empty_hold_ms;
	unsigned empty_rounds;
	unsigned max_shrink; /* percent */
	int64_t shrink_window_ms;
	int64_t shrink_hold_ms;
	unsigned min_instances;
	unsigned max_instances;
	const struct topo_prefix *networks; /* none: any */
	size_t n_networks;
	const struct topo_addr *own; /* Kamailio's own listen addresses: never accepted */
	size_t n_own;
	int64_t flap_suppress; /* 0: never */
	int64_t flap_reuse;
	int64_t flap_half_life_ms;
	int64_t flap_max_ms;
	size_t n_names;
	const char *const *tags; /* the tags that are asked for */
	size_t n_tags;
	const char *drain_tag; /* NULL; else one of the tags */
};

/* What one question brought. */
enum answer_kind {
	ANSWER_NOT_ASKED,
	ANSWER_LIST,        /* NOERROR with at least one SRV */
	ANSWER_NODATA,      /* NOERROR without */
	ANSWER_NXDOMAIN,
	ANSWER_SERVFAIL,
	ANSWER_REFUSED,
	ANSWER_OTHER,       /* any other response code */
	ANSWER_TIMEOUT,
	ANSWER_UNREACHABLE, /* refused or broken connection */
	ANSWER_MALFORMED,
	ANSWER_SELF_TARGET, /* an SRV target equals the asked name (Consul 1.19.0) */
};

struct round_row {
	struct topo_addr addr;
	uint16_t weight;
	uint16_t priority;
};

struct round_answer {
	enum answer_kind kind;
	int server;        /* who answered: index of the configured server, with its channel's epoch */
	bool truncated;    /* TC bit */
	size_t size_bytes; /* of the message */
	size_t n_srv;      /* SRV records in it */
	size_t n_unresolved; /* of these, targets whose address could not be learned */
	struct round_row *rows; /* resolved, duplicates allowed */
	size_t n;
};

/* All questions about one name, asked together. */
struct round {
	unsigned name; /* index into the service's names */
	struct round_answer list;
	struct round_answer canary;
	struct round_answer *tags; /* one per judge_conf.tags; kind NOT_ASKED where the name can't be asked */
};

enum evidence { EVIDENCE_NOTHING, EVIDENCE_COMPLETE, EVIDENCE_PARTIAL, EVIDENCE_ABSENCE };

/* What the round proves; *why is a constant text for people, never NULL. */
enum evidence judge_classify(const struct round *, size_t n_tags, const char **why);
const char *evidence_name(enum evidence);
const char *answer_name(enum answer_kind);

struct judge;

enum judge_word { JUDGE_APPROVE, JUDGE_HOLD, JUDGE_RELEASE };

struct judge_name_view {
	enum evidence last;
	const char *why;
	unsigned absent_rounds;
	int64_t absent_ms;   /* evidence time of absence */
	int64_t last_ms;     /* clock of the last round, 0 never */
	int64_t proof_ms;    /* clock of the last conclusive round, 0 never */
	size_t listed;       /* instances that it lists now */
};

struct judge_view {
	bool known;
	bool frozen;
	unsigned active;
	unsigned base;      /* largest active count in the shrink window */
	unsigned allowed;   /* how many of base may go at once */
	unsigned refused;   /* implausible or surplus rows in the last list */
	const char *refused_why;
	struct topo_addr refused_addr;
};

struct judge_flap_view {
	unsigned penalty;      /* now */
	unsigned goings;       /* as far as they are remembered */
	unsigned suppress, reuse;
	int64_t reuse_in_ms;   /* until it is below reuse; 0: it is */
	bool damped;           /* it is to be kept out until then */
	const char *kept_in;   /* and takes calls all the same: why; NULL */
};

struct judge *judge_new(const struct judge_conf *); /* copies nothing: conf must live, see judge_set_conf */
void judge_free(struct judge *);                    /* NULL is fine */
/* The names or tags changed: what was listed by a name that is gone is now judged by all that remain. */
void judge_set_conf(struct judge *, const struct judge_conf *, const int *old_name_of_new);

/* The steps. Each returns true when anything visible may have changed. */
bool judge_round(struct judge *, const struct round *, int64_t now_ms, int64_t wall_ms);
bool judge_word(struct judge *, enum judge_word, int64_t now_ms, int64_t wall_ms);

/*
 * The operator's drain, of this address, here now or not, until judge_undrain(). `until_ms` (wall clock, 0: none) is
 * handed through. Drains are to be told before what is restored.
 */
bool judge_drain(struct judge *, const struct topo_addr *, int64_t until_ms, int64_t now_ms, int64_t wall_ms);
bool judge_undrain(struct judge *, const struct topo_addr *, int64_t now_ms, int64_t wall_ms);
/* How many would take calls without this one: those that are to stay, and what damping would let in for it. */
unsigned judge_left_without(const struct judge *, const struct topo_addr *);
/* The operator's word: the instances as they were once, active or disabled, and frozen. What is drained now stays so. */
void judge_rollback(struct judge *, const struct topo_instance *, size_t n, int64_t now_ms, int64_t wall_ms);

/* Before the first round: what the store or a list file held. `peak` restores the shrink guard's memory. */
bool judge_restore(struct judge *, const struct topo_instance *, int64_t now_ms, int64_t wall_ms);
void judge_restore_service(struct judge *, bool known, bool frozen, unsigned peak, int64_t now_ms);

size_t judge_count(const struct judge *);
/* Fills service->inst (sorted) from the present state; the caller owns it. generation fields are 0. */
void judge_snapshot(const struct judge *, struct topo_service *);
void judge_view(const struct judge *, int64_t now_ms, struct judge_view *);
void judge_name_view(const struct judge *, unsigned name, struct judge_name_view *);
/* Which names list this instance: a bit per name; *missing_ms evidence time since none does. 0: none */
unsigned judge_listed_by(const struct judge *, const struct topo_addr *, int64_t *missing_ms);
/* False: it never went, as far as is remembered. Also of instances that were removed. */
bool judge_flap_view(const struct judge *, const struct topo_addr *, int64_t now_ms, struct judge_flap_view *);

#endif
