/*
 * judge_int: what the judge's files share: judge.c (rounds and words), judge_life.c (restore, reload, views),
 * guards.c (who takes calls, and which losses take effect) and member.c (the table of instances).
 */
#ifndef TOPOLOGY_JUDGE_INT_H
#define TOPOLOGY_JUDGE_INT_H

#include "topology/flap.h"
#include "topology/judge.h"
#include "topology/peaks.h"

struct name_state {
	enum evidence last;
	const char *why;
	unsigned absent_rounds;
	int64_t absent_ms;
	int64_t last_ms;
	int64_t proof_ms;
	bool proves;      /* its last round may count against instances */
	unsigned refused; /* rows of its last list that were not accepted; of the first of them: */
	const char *refused_why;
	struct topo_addr refused_addr;
};

/* Why a listed instance is to take no calls. */
enum claim { CLAIM_NONE, CLAIM_DAMPED, CLAIM_TAGGED, CLAIM_DRAINED };

struct member {
	struct topo_instance pub; /* generation, tags text and what is kept of damping are made at snapshot time */
	uint32_t listed_by;       /* names that list it */
	uint32_t assumed_by;      /* names that may have listed it before our start; silent so far */
	uint32_t judged_by;       /* names that listed it in this run and so judge it; none: all do */
	uint32_t tags[JUDGE_NAMES_MAX]; /* by name: a bit per judge_conf.tags */
	bool missing;
	bool approved;            /* the operator agreed to this loss */
	int64_t standing_ms;      /* evidence time in the present loss state */
	int64_t confirmed_ms;     /* clock of the last round that confirmed the loss */
	bool drained;             /* by the operator */
	int64_t drain_until_ms;
	bool came;                /* it was listed since it last went: its loss is a going */
	bool just_went;           /* by the present round; flap_before is what it was before that */
	struct flap flap_before;
	struct flap flap;
	int64_t gone_ms;          /* wall clock of its last going */
	bool damped;              /* from flap_suppress on, until below flap_reuse */
	int64_t removed_ms;       /* clock of its last removal; 0: not known */
	enum claim claim;         /* of the present step */
	bool spared;              /* the floor needs it in spite of its claim */
};

struct drain {
	struct topo_addr addr;
	int64_t until_ms;
};

/* What is remembered of an instance that was removed. */
struct past {
	struct topo_addr addr;
	struct flap flap;
	int64_t gone_ms;
	int64_t removed_ms;
};

struct judge {
	const struct judge_conf *conf;
	bool known;
	bool frozen;
	bool changed; /* anything visible, by the present step */
	struct name_state names[JUDGE_NAMES_MAX];
	struct member **m; /* sorted by topo_instance_cmp */
	size_t n;
	size_t cap;
	int64_t time_ms;  /* evidence time: a pause must not make the shrink guard forget */
	int64_t time_at;  /* clock when it was last advanced */
	int64_t filling_ms; /* evidence time until which a list may still be filling, after answers that knew nobody */
	struct peaks peaks; /* by time_ms */
	struct drain *drains;
	size_t n_drains, cap_drains;
	struct past *past;
	size_t n_past, cap_past;
};

/* member.c */
struct member *member_find(const struct judge *, const struct topo_addr *);
struct member *member_find_key(const struct judge *, const struct topo_instance *); /* by its line where it has no address */
/* NULL: it is there. Knows the address's drain and penalty. */
struct member *member_insert(struct judge *, const struct topo_instance *);
void member_free(struct member *);
/* It goes for good, to be remembered; the caller takes it out of the table. */
void member_remove(struct judge *, struct member *, int64_t now_ms);
void member_set_state(struct judge *, struct member *, enum topo_state, enum topo_guard, int64_t wall_ms);
uint32_t member_tags(const struct judge *, const struct member *); /* by any name */
/* Restored or adopted, and no evidence of this run yet: it stays as it was found. */
bool member_is_unconfirmed(const struct member *);
/* Nothing has shown its loss. */
bool member_is_there(const struct member *);
uint32_t judge_all_names(const struct judge *);
unsigned judge_count_active(const struct judge *);
struct drain *judge_find_drain(const struct judge *, const struct topo_addr *);
const struct past *judge_find_past(const struct judge *, const struct topo_addr *);

/* guards.c */
/* What is listed is in, unless it is claimed. Any good answer may do this, also one that proves no loss. */
void guards_take_in(struct judge *, int64_t now_ms, int64_t wall_ms);
/* Every loss passes here; nothing else takes an instance out. After a round that proved something, or an operator's word. */
void guards_let_go(struct judge *, int64_t now_ms, int64_t wall_ms);
/* Out, for whoever means it to go: it does not count as lost. */
void guards_drain(struct judge *, struct member *, enum topo_guard, int64_t wall_ms);
unsigned guards_base(const struct judge *); /* the shrink guard's measure */
unsigned guards_allowed(const struct judge *, unsigned base);

#endif
