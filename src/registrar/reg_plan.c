#include "registrar/reg_plan.h"

#include <string.h>
#include <strings.h>

static const char *
text(const char *s)
{
	return s != NULL ? s : "";
}

/* The worse of two; what has no status is not counted. */
static enum agent_status
worse(enum agent_status a, enum agent_status b)
{
	return b != AGENT_NO_STATUS && b > a ? b : a;
}

/* The first of a service's checks: they are sorted by service. */
static size_t
first_check(const struct agent_list *list, const char *service_id)
{
	size_t lo = 0, hi = list->n_checks, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (strcmp(list->checks[mid].service_id, service_id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const char *
difference(const struct reg_want *w, const struct agent_service *s)
{
	if (strcmp(text(s->name), w->service) != 0)
		return "its name";
	/* an IPv6 address may be written in other words */
	if (strcasecmp(text(s->address), w->address) != 0)
		return "its address";
	if (s->port != w->port)
		return "its port";
	/* what is not known is not said, and then the section's own meta may hold anything */
	if (*w->machine != '\0' && strcmp(text(s->machine), w->machine) != 0)
		return "its c4d-machine";
	if (*w->eid != '\0' && strcmp(text(s->eid), w->eid) != 0)
		return "its eid";
	return NULL;
}

static size_t
find_want(const struct reg_want *w, const char *id)
{
	size_t i;

	for (i = 0; i < w->n_checks; i++)
		if (strcmp(w->checks[i].id, id) == 0)
			break;
	return i;
}

static void
see_checks(const struct reg_want *w, const struct agent_list *list, const struct agent_check *maintenance, struct reg_plan *p,
    struct reg_check_seen *seen)
{
	size_t i, k;

	for (i = first_check(list, w->id); i < list->n_checks && strcmp(list->checks[i].service_id, w->id) == 0; i++) {
		const struct agent_check *c = &list->checks[i];

		p->worst = worse(p->worst, c->status);
		if (c == maintenance)
			continue;
		k = find_want(w, c->id);
		if (k < w->n_checks) {
			seen[k].has = true;
			seen[k].status = c->status;
		}
		if ((k == w->n_checks || w->checks[k].off) && p->n_extra < REG_EXTRA_MAX)
			p->extra[p->n_extra++] = c->id;
	}
}

static void
see_maintenance(const struct agent_check *m, struct reg_plan *p)
{
	if (m == NULL)
		return;
	p->notes = text(m->notes);
	p->maintenance = strncmp(p->notes, REG_MARK, strlen(REG_MARK)) == 0 ? REG_MAINT_OURS : REG_MAINT_FOREIGN;
}

static void
plan_present(const struct reg_want *w, struct reg_plan *p, struct reg_check_seen *seen)
{
	size_t i;

	for (i = 0; i < w->n_checks; i++) {
		const struct reg_want_check *c = &w->checks[i];

		if (c->off)
			continue;
		if (!seen[i].has && p->differs == NULL)
			p->differs = "a check is missing";
		seen[i].tell = seen[i].has && c->ours && c->told != AGENT_NO_STATUS && seen[i].status != c->told;
	}
	if (w->maintenance && p->maintenance == REG_MAINT_NONE)
		p->ops |= REG_OP_MAINT_ON;
	if (w->maintenance && p->maintenance == REG_MAINT_OURS && w->notes != NULL && strcmp(p->notes, w->notes) != 0)
		p->ops |= REG_OP_MAINT_NOTE;
	if (!w->open)
		return; /* what is there stays as it is until the first good checks, in maintenance if it is */
	if (p->differs != NULL)
		p->ops |= REG_OP_PUT;
	if (p->n_extra > 0)
		p->ops |= REG_OP_REMOVE;
	if (!w->maintenance && p->maintenance == REG_MAINT_OURS)
		p->ops |= REG_OP_MAINT_OFF;
}

void
reg_plan(const struct reg_want *w, const struct agent_list *list, struct reg_plan *p, struct reg_check_seen *seen)
{
	const struct agent_service *s = agent_find(list, w->id);
	const struct agent_check *m = s != NULL ? agent_find_maintenance(list, w->id) : NULL;
	size_t i;

	memset(p, 0, sizeof *p);
	p->worst = AGENT_NO_STATUS;
	for (i = 0; i < w->n_checks; i++)
		seen[i] = (struct reg_check_seen){ .status = AGENT_NO_STATUS };
	if (s == NULL) {
		if (w->leaving || !w->open)
			return;
		p->forgotten = w->accepted && w->seen;
		p->unlisted = w->accepted && !w->seen;
		p->ops = REG_OP_PUT | (w->maintenance ? REG_OP_MAINT_ON : 0);
		return;
	}
	p->has = true;
	p->worst = AGENT_PASSING;
	see_maintenance(m, p);
	see_checks(w, list, m, p, seen);
	if (*text(s->machine) != '\0' && strcmp(s->machine, w->machine) != 0) {
		p->foreign = true;
		return;
	}
	if (w->leaving) {
		p->ops = REG_OP_LEAVE;
		return;
	}
	p->differs = difference(w, s);
	plan_present(w, p, seen);
}
