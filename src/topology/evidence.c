/* What a round proves: the table of DESIGN.md, "Evidence". Pure. */
#include "topology/judge.h"
#include "topology/round.h"

/* Consul cuts TCP answers at 64 KiB and 1,024 SRV, silently: near these a list is not a whole one. */
#define COMPLETE_MAX_BYTES 64000
#define COMPLETE_MAX_SRV 900

static const char *const answer_names[] = {
	[ANSWER_NOT_ASKED] = "not asked",
	[ANSWER_LIST] = "list",
	[ANSWER_NODATA] = "no data",
	[ANSWER_NXDOMAIN] = "NXDOMAIN",
	[ANSWER_SERVFAIL] = "SERVFAIL",
	[ANSWER_REFUSED] = "REFUSED",
	[ANSWER_OTHER] = "unexpected response code",
	[ANSWER_TIMEOUT] = "time-out",
	[ANSWER_UNREACHABLE] = "no connection",
	[ANSWER_MALFORMED] = "malformed answer",
	[ANSWER_SELF_TARGET] = "target equals the asked name",
};

const char *
answer_name(enum answer_kind k)
{
	return answer_names[k];
}

const char *
evidence_name(enum evidence e)
{
	static const char *const names[] = {
		[EVIDENCE_NOTHING] = "nothing",
		[EVIDENCE_COMPLETE] = "complete",
		[EVIDENCE_PARTIAL] = "partial",
		[EVIDENCE_ABSENCE] = "absence",
	};
	return names[e];
}

bool
round_is_answer(const struct round_answer *a)
{
	return a->kind == ANSWER_LIST || a->kind == ANSWER_NODATA || a->kind == ANSWER_NXDOMAIN;
}

bool
round_is_near_limit(const struct round_answer *a)
{
	return a->size_bytes >= COMPLETE_MAX_BYTES || a->n_srv >= COMPLETE_MAX_SRV;
}

/* Why the round as a whole is not one server's word, or NULL. */
static const char *
round_flaw(const struct round *r, size_t n_tags)
{
	size_t i;

	if (!round_is_answer(&r->canary))
		return "the canary was not answered";
	if (r->canary.server != r->list.server)
		return "the canary was answered by another server";
	for (i = 0; i < n_tags; i++) {
		const struct round_answer *t = &r->tags[i];

		if (t->kind == ANSWER_NOT_ASKED)
			continue;
		if (!round_is_answer(t))
			return "the question about a tag failed";
		if (t->server != r->list.server)
			return "the question about a tag was answered by another server";
	}
	return NULL;
}

static enum evidence
classify_absence(const struct round *r, size_t n_tags, const char **why)
{
	size_t i;

	if (r->list.truncated) {
		*why = "truncated (TC) before the first instance";
		return EVIDENCE_NOTHING;
	}
	*why = round_flaw(r, n_tags);
	if (*why != NULL)
		return EVIDENCE_NOTHING;
	if (r->canary.kind != ANSWER_LIST) {
		*why = "the canary has no answer either (no ACL permission, no leader, or no path "
		       "to the datacenter)";
		return EVIDENCE_NOTHING;
	}
	for (i = 0; i < n_tags; i++)
		if (r->tags[i].kind == ANSWER_LIST) {
			*why = "no instance, yet there are some with a tag";
			return EVIDENCE_NOTHING;
		}
	*why = "no instance, and the canary answers";
	return EVIDENCE_ABSENCE;
}

enum evidence
judge_classify(const struct round *r, size_t n_tags, const char **why)
{
	const struct round_answer *l = &r->list;

	*why = answer_names[l->kind];
	if (!round_is_answer(l))
		return EVIDENCE_NOTHING;
	if (l->kind != ANSWER_LIST)
		return classify_absence(r, n_tags, why);
	/* From here on it is a good list; what is in doubt only takes away its power to remove. */
	if (l->truncated)
		*why = "truncated (TC): split by tags";
	else if (round_is_near_limit(l))
		*why = "too near to Consul's limits to be whole: split by tags";
	else if (l->n_unresolved > 0 || l->n == 0)
		*why = "the address of a target is not known";
	else
		*why = round_flaw(r, n_tags);
	if (*why != NULL)
		return EVIDENCE_PARTIAL;
	*why = "complete list";
	return EVIDENCE_COMPLETE;
}
