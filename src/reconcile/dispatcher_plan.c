#include "reconcile/dispatcher_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHT_MAX 100 /* Kamailio takes weights of 1..100 and turns others into 0 */

const char *
dsp_op_name(enum dsp_op op)
{
	static const char *const names[] = {
		[DSP_ADD] = "add", [DSP_REMOVE] = "remove", [DSP_CHANGE] = "change", [DSP_TWICE] = "duplicate",
		[DSP_DISABLE] = "disable", [DSP_ENABLE] = "enable", [DSP_THEIRS] = "theirs",
	};
	return names[op];
}

bool
dsp_is_structural(const struct dsp_step *s)
{
	return s->state == NULL && s->op != DSP_THEIRS;
}

void
dsp_flags_text(unsigned flags, char out[8])
{
	snprintf(out, 8, "%c%c", flags & DS_DISABLED ? 'D' : flags & DS_INACTIVE ? 'I' : flags & DS_TRYING ? 'T' : 'A',
	    flags & DS_PROBING ? 'P' : 'X');
}

char *
dsp_expand(const char *template, const struct topo_instance *i)
{
	struct buf b = { 0 };
	char ip[TOPO_ADDR_TEXT];
	unsigned weight = i->weight < 1 ? 1 : i->weight > WEIGHT_MAX ? WEIGHT_MAX : i->weight;
	const char *p = template;

	topo_addr_format_ip(&i->addr, ip);
	while (*p) {
		if (strncmp(p, "{address}", 9) == 0) {
			buf_printf(&b, i->addr.family == 6 ? "[%s]" : "%s", ip);
			p += 9;
		} else if (strncmp(p, "{port}", 6) == 0) {
			buf_printf(&b, "%u", i->addr.port);
			p += 6;
		} else if (strncmp(p, "{weight}", 8) == 0) {
			buf_printf(&b, "%u", weight);
			p += 8;
		} else if (strncmp(p, "{priority}", 10) == 0) {
			buf_printf(&b, "%u", i->priority);
			p += 10;
		} else {
			buf_add(&b, p++, 1);
		}
	}
	return buf_take(&b);
}

/* An adopted line: "KAMAILIO/SET URI FLAGS PRIORITY ATTRS". False: this set did not hold the instance. */
static bool
desire_origin(const struct conf_kamailio *kam, const struct conf_set *set, const struct topo_instance *i, unsigned disabled,
    struct ds_entries *out)
{
	char *prefix = xasprintf("%s/%s ", kam->name, set->name);
	const char *p = i->origin;
	struct ds_entries one = { 0 };
	bool found = false;

	while (p != NULL && !found) {
		size_t len = strcspn(p, "\n");

		if (strncmp(p, prefix, strlen(prefix)) == 0) {
			char *line = xasprintf("%lld %.*s\n", (long long)set->id, (int)(len - strlen(prefix)),
			    p + strlen(prefix));

			dslist_parse(line, strlen(line), &one, NULL);
			free(line);
			if (one.n == 1) {
				ds_entries_add(out, (int)set->id, one.v[0].uri,
				    (one.v[0].flags & ~(unsigned)DS_STATE_BITS) | disabled, one.v[0].priority, one.v[0].attrs);
				found = true;
			}
			ds_entries_clear(&one);
		}
		p = p[len] ? p + len + 1 : NULL;
	}
	free(prefix);
	return found;
}

static void
desire(const struct conf_kamailio *kam, const struct conf_set *set, const struct topo_instance *i, struct ds_entries *out)
{
	unsigned disabled = topo_is_active(i->state) ? 0 : DS_DISABLED;
	const char *uri = set->uri, *attrs = set->attrs;
	int64_t flags = set->flags, priority = set->priority;
	char *full_uri, *full_attrs;
	size_t t;

	if (i->origin != NULL) {
		(void)desire_origin(kam, set, i, disabled, out);
		return;
	}
	for (t = 0; t < set->n_tags; t++) {
		const struct conf_set_tag *tag = set->tags[t];

		if (!topo_has_tag(i, tag->name))
			continue;
		uri = tag->uri ? tag->uri : uri;
		attrs = tag->attrs ? tag->attrs : attrs;
		flags = tag->flags >= 0 ? tag->flags : flags;
		priority = tag->priority >= 0 ? tag->priority : priority;
		break;
	}
	full_uri = dsp_expand(uri, i);
	full_attrs = attrs != NULL && attrs[0] ? dsp_expand(attrs, i) : NULL;
	ds_entries_add(out, (int)set->id, full_uri, (unsigned)flags | disabled, (int)priority, full_attrs);
	free(full_uri);
	free(full_attrs);
}

/* ---- the index: a hash table, since lists of thousands are compared with every change ---- */

static size_t
hash_key(int set, const char *uri)
{
	uint64_t h = 14695981039346656037ull ^ (uint64_t)set;

	for (; *uri; uri++)
		h = (h ^ (uint8_t)*uri) * 1099511628211ull;
	return (size_t)(h ^ h >> 32);
}

static size_t
find_slot(const struct dsp_index *ix, int set, const char *uri)
{
	size_t i = hash_key(set, uri) & ix->mask;

	while (ix->slots[i] != NULL && (ix->slots[i]->set != set || strcmp(ix->slots[i]->uri, uri) != 0))
		i = (i + 1) & ix->mask;
	return i;
}

struct dsp_index
dsp_index_make(const struct ds_entries *e)
{
	struct dsp_index ix = { .mask = 7, .n = e->n };
	size_t i, at;

	while (ix.mask < 2 * e->n)
		ix.mask = 2 * ix.mask + 1;
	ix.slots = xcalloc(ix.mask + 1, sizeof *ix.slots);
	for (i = 0; i < e->n; i++) {
		at = find_slot(&ix, e->v[i].set, e->v[i].uri);
		if (ix.slots[at] == NULL)
			ix.slots[at] = &e->v[i];
	}
	return ix;
}

void
dsp_index_free(struct dsp_index *ix)
{
	free(ix->slots);
	memset(ix, 0, sizeof *ix);
}

const struct ds_entry *
dsp_index_find(const struct dsp_index *ix, int set, const char *uri)
{
	return ix->n == 0 ? NULL : ix->slots[find_slot(ix, set, uri)];
}

static const struct ds_entry *
index_find(const struct dsp_index *ix, const struct ds_entry *key)
{
	return dsp_index_find(ix, key->set, key->uri);
}

/* A template that leaves out what tells two instances apart gives one destination: in as long as one of them is. */
static void
drop_twins(struct ds_entries *e)
{
	struct dsp_index ix = dsp_index_make(e);
	bool *dead = xcalloc(e->n, sizeof *dead);
	size_t i, n = 0;

	for (i = 0; i < e->n; i++) {
		struct ds_entry *kept = &e->v[index_find(&ix, &e->v[i]) - e->v];

		if (kept == &e->v[i])
			continue;
		kept->flags = (kept->flags & ~(unsigned)DS_DISABLED) | (kept->flags & e->v[i].flags & DS_DISABLED);
		dead[i] = true;
	}
	dsp_index_free(&ix);
	for (i = 0; i < e->n; i++)
		if (!dead[i])
			e->v[n++] = e->v[i];
	e->n = n;
	free(dead);
}

void
dsp_desired(const struct conf_kamailio *kam, const struct topo *topo, struct ds_entries *out, struct ds_set_ref *sets,
    size_t *n_sets)
{
	size_t i, k;

	*n_sets = 0;
	for (i = 0; i < kam->n_sets; i++) {
		const struct conf_set *set = kam->sets[i];
		const struct topo_service *s = topo_find(topo, set->service);

		if (s == NULL || !s->known)
			continue;
		sets[*n_sets].id = (int)set->id;
		sets[(*n_sets)++].exclusive = set->exclusive;
		for (k = 0; k < s->n; k++)
			desire(kam, set, &s->inst[k], out);
	}
	drop_twins(out);
	ds_entries_sort(out);
}

/* ---- what Kamailio holds ---- */

static unsigned
read_flags(const char *text)
{
	unsigned flags = 0;

	for (; text != NULL && *text; text++) {
		switch (*text) {
		case 'I':
			flags |= DS_INACTIVE;
			break;
		case 'T':
			flags |= DS_TRYING;
			break;
		case 'D':
			flags |= DS_DISABLED;
			break;
		case 'P':
			flags |= DS_PROBING;
			break;
		}
	}
	return flags;
}

/* Where in dispatcher.list's reply a value lies. */
enum place { ELSEWHERE, IN_REPLY, IN_RECORDS, IN_SET, IN_TARGETS, IN_DEST, IN_ATTRS };

static const struct {
	enum place in;
	const char *name;
	enum place opens;
	bool must; /* anything else of that name is an error */
} places[] = {
	{ IN_REPLY, "RECORDS", IN_RECORDS, false },
	{ IN_RECORDS, "SET", IN_SET, true },
	{ IN_SET, "TARGETS", IN_TARGETS, false },
	{ IN_TARGETS, "DEST", IN_DEST, true },
	{ IN_DEST, "ATTRS", IN_ATTRS, false },
};

struct reading {
	struct ds_entries *out;
	enum place open[BINRPC_DEPTH_MAX + 1]; /* by depth: what the struct there is */
	bool has_records;
	bool has_id;
	size_t first; /* entry of the present set */
	int id;
	/* the present destination; texts point into the reply */
	const char *uri, *flags, *attrs;
	int priority;
};

static bool
item_int(const struct binrpc_item *v, int *out)
{
	if (v->type != BINRPC_INT && (v->type != BINRPC_DOUBLE || v->num % 1000 != 0))
		return false;
	*out = (int)(v->type == BINRPC_INT ? v->num : v->num / 1000);
	return true;
}

static int
read_open(struct reading *r, const struct binrpc_item *v, const char *name, enum place in)
{
	bool holds = v->type == BINRPC_STRUCT || v->type == BINRPC_ARRAY;
	size_t i;

	if (holds)
		r->open[v->depth] = v->depth == 0 && v->type == BINRPC_STRUCT ? IN_REPLY : ELSEWHERE;
	for (i = 0; i < NELEM(places); i++) {
		if (places[i].in != in || strcmp(places[i].name, name) != 0)
			continue;
		if (!holds)
			return places[i].must ? -EBADMSG : 0;
		r->open[v->depth] = places[i].opens;
		break;
	}
	if (!holds)
		return 0;
	switch (r->open[v->depth]) {
	case IN_RECORDS:
		r->has_records = true;
		break;
	case IN_SET:
		r->has_id = false;
		r->first = r->out->n;
		break;
	case IN_DEST:
		r->uri = r->flags = r->attrs = NULL;
		r->priority = 0;
		break;
	default:
		break;
	}
	return 0;
}

static int
read_end(struct reading *r, enum place of)
{
	size_t i;

	if (of == IN_SET) {
		for (i = r->first; i < r->out->n; i++)
			r->out->v[i].set = r->id;
		return r->has_id ? 0 : -EBADMSG;
	}
	if (of == IN_DEST) {
		if (r->uri == NULL)
			return -EBADMSG;
		if (r->attrs != NULL && strcmp(r->attrs, "<null string>") == 0)
			r->attrs = NULL;
		ds_entries_add(r->out, 0, r->uri, read_flags(r->flags), r->priority, r->attrs);
	}
	return 0;
}

static void
read_value(struct reading *r, const struct binrpc_item *v, const char *name, enum place in)
{
	const char *text = v->type == BINRPC_STR ? v->str : NULL;

	if (in == IN_SET && strcmp(name, "ID") == 0)
		r->has_id = item_int(v, &r->id);
	else if (in == IN_ATTRS && strcmp(name, "BODY") == 0)
		r->attrs = text;
	else if (in != IN_DEST)
		return;
	else if (strcmp(name, "URI") == 0)
		r->uri = text;
	else if (strcmp(name, "FLAGS") == 0)
		r->flags = text;
	else if (strcmp(name, "PRIORITY") == 0)
		(void)item_int(v, &r->priority);
}

int
dsp_read_list(const struct binrpc_msg *msg, struct ds_entries *out)
{
	struct binrpc_walk w = { .body = msg->body, .len = msg->body_len };
	struct reading r = { .out = out };
	struct binrpc_item v;
	int rc = 0, err = msg->kind == BINRPC_REPLY ? 0 : -EBADMSG;

	while (err == 0 && (rc = binrpc_next(&w, &v)) > 0) {
		const char *name = v.name ? v.name : "";
		enum place in = v.depth > 0 ? r.open[v.depth - 1] : ELSEWHERE;

		if (v.end) {
			err = read_end(&r, r.open[v.depth]);
			continue;
		}
		read_value(&r, &v, name, in);
		err = read_open(&r, &v, name, in);
	}
	return err != 0 || rc != 0 || !r.has_records ? -EBADMSG : 0;
}

/* ---- the plan ---- */

const struct ds_entry *
dsp_find(const struct ds_entries *e, int set, const char *uri)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		if (e->v[i].set == set && strcmp(e->v[i].uri, uri) == 0)
			return &e->v[i];
	return NULL;
}

static void
step(struct dsp_plan *p, enum dsp_op op, const struct ds_entry *e, const char *state, char *detail)
{
	struct dsp_step *s;

	p->v = xgrow(p->v, p->n, &p->cap, sizeof *p->v);
	s = &p->v[p->n++];
	s->op = op;
	s->set = e->set;
	s->uri = xstrdup(e->uri);
	s->state = state;
	s->detail = detail;
	s->active = !(e->flags & DS_DISABLED);
	s->blocked = NULL;
	p->structural += dsp_is_structural(s);
}

void
dsp_step_clear(struct dsp_step *s)
{
	free(s->uri);
	free(s->detail);
	free(s->blocked);
}

void
dsp_plan_clear(struct dsp_plan *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		dsp_step_clear(&p->v[i]);
	free(p->v);
	memset(p, 0, sizeof *p);
}

static const struct ds_set_ref *
find_set(const struct ds_set_ref *sets, size_t n, int id)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (sets[i].id == id)
			return &sets[i];
	return NULL;
}

static const char *
text_or(const char *s)
{
	return s ? s : "";
}

/* What differs in what a reload alone can change; NULL: nothing. */
static char *
differs(const struct ds_entry *want, const struct ds_entry *have)
{
	if (want->priority != have->priority)
		return xasprintf("priority %d -> %d", have->priority, want->priority);
	if (strcmp(text_or(want->attrs), text_or(have->attrs)) != 0)
		return xasprintf("attributes \"%s\" -> \"%s\"", text_or(have->attrs), text_or(want->attrs));
	return NULL;
}

static void
compare_state(struct dsp_plan *p, const struct ds_entry *want, const struct ds_entry *have)
{
	bool out = want->flags & DS_DISABLED, is_out = have->flags & DS_DISABLED;

	if (out && !is_out)
		step(p, DSP_DISABLE, want, "dx", NULL);
	else if (!out && is_out)
		step(p, DSP_ENABLE, want, want->flags & DS_PROBING ? "ap" : "a", NULL);
}

/* theirs: somebody else's line in the file, which stands for it; NULL: c4d's own does */
static void
compare(struct dsp_plan *p, const struct ds_entry *want, const struct ds_entry *theirs, const struct ds_entry *have)
{
	char *detail = theirs != NULL ? differs(want, theirs) : NULL;

	if (detail != NULL)
		step(p, DSP_THEIRS, want, NULL, detail);
	if (have == NULL) {
		step(p, DSP_ADD, want, NULL, NULL);
		return;
	}
	detail = differs(theirs != NULL ? theirs : want, have);
	if (detail != NULL)
		step(p, DSP_CHANGE, want, NULL, detail);
	compare_state(p, want, have);
}

/* In this order no set is empty in between, not even for one RPC. */
static void
enable_first(struct dsp_plan *p)
{
	static const int rank[] = {
		[DSP_ENABLE] = 0, [DSP_ADD] = 1, [DSP_REMOVE] = 1, [DSP_CHANGE] = 1, [DSP_TWICE] = 1, [DSP_THEIRS] = 1,
		[DSP_DISABLE] = 2,
	};
	struct dsp_step *v = xcalloc(p->n, sizeof *v);
	size_t i, n = 0;
	int r;

	for (r = 0; r <= 2; r++)
		for (i = 0; i < p->n; i++)
			if (rank[p->v[i].op] == r)
				v[n++] = p->v[i];
	free(p->v);
	p->v = v;
	p->cap = p->n;
}

/* Others' line for this destination, where the set has room for them. */
static const struct ds_entry *
theirs_of(const struct dsp_index *theirs, const struct ds_set_ref *set, const struct ds_entry *e)
{
	return set == NULL || set->exclusive || theirs->n == 0 ? NULL : index_find(theirs, e);
}

void
dsp_make_plan(const struct ds_entries *desired, const struct ds_entries *actual, const struct ds_entries *foreign,
    const struct ds_set_ref *sets, size_t n_sets, struct dsp_plan *out)
{
	struct dsp_index want = dsp_index_make(desired), have = dsp_index_make(actual), theirs = dsp_index_make(foreign);
	size_t i;

	for (i = 0; i < desired->n; i++)
		compare(out, &desired->v[i], theirs_of(&theirs, find_set(sets, n_sets, desired->v[i].set), &desired->v[i]),
		    index_find(&have, &desired->v[i]));
	for (i = 0; i < actual->n; i++) {
		const struct ds_entry *e = &actual->v[i];
		const struct ds_set_ref *set = find_set(sets, n_sets, e->set);
		bool wanted;

		if (set == NULL)
			continue;
		wanted = index_find(&want, e) != NULL;
		/* what is theirs alone may stand there as often as they like */
		if (!wanted && theirs_of(&theirs, set, e) != NULL)
			continue;
		if (index_find(&have, e) != e)
			step(out, DSP_TWICE, e, NULL, NULL);
		else if (!wanted)
			step(out, DSP_REMOVE, e, NULL, NULL);
	}
	enable_first(out);
	dsp_index_free(&want);
	dsp_index_free(&have);
	dsp_index_free(&theirs);
}

/* ---- states over a reload ---- */

struct states {
	struct dsp_index seen, lost, theirs;
	bool probing;
};

static struct states
states_make(const struct dsp_known *k)
{
	static const struct ds_entries none;

	return (struct states){ dsp_index_make(k->states), dsp_index_make(k->lost ? k->lost : &none),
		dsp_index_make(k->theirs ? k->theirs : &none), k->probing };
}

static void
states_free(struct states *s)
{
	dsp_index_free(&s->seen);
	dsp_index_free(&s->lost);
	dsp_index_free(&s->theirs);
}

static const struct ds_entry *
states_find(const struct states *s, const struct ds_entry *e)
{
	const struct ds_entry *seen = index_find(&s->seen, e);

	return seen != NULL || s->lost.n == 0 ? seen : index_find(&s->lost, e);
}

/* All that takes calls in this set is inactive: writing that down would be an outage after a restart. */
static bool
all_inactive(const struct ds_entries *desired, const struct states *s, int set)
{
	bool any = false;
	size_t i;

	for (i = 0; i < desired->n; i++) {
		const struct ds_entry *e;

		if (desired->v[i].set != set || desired->v[i].flags & DS_DISABLED)
			continue;
		any = true;
		e = states_find(s, &desired->v[i]);
		if (e == NULL || !(e->flags & DS_INACTIVE))
			return false;
	}
	return any;
}

static unsigned
file_flags(const struct ds_entry *d, const struct states *s, bool all)
{
	const struct ds_entry *seen = d->flags & DS_DISABLED ? NULL : states_find(s, d);
	unsigned flags = d->flags, bits;

	if (seen == NULL)
		return flags;
	bits = seen->flags & (DS_INACTIVE | DS_TRYING | DS_PROBING);
	if (!s->probing || all || (flags & DS_NOPING))
		bits &= ~(unsigned)DS_INACTIVE;
	/* Kamailio 6.0 pings nobody with flag 16: after a reload nothing would wake it. */
	if (bits & DS_INACTIVE) {
		bits |= DS_PROBING;
		flags &= ~(unsigned)DS_NODNS;
	}
	return flags | bits;
}

void
dsp_file_entries(const struct ds_entries *desired, const struct dsp_known *known, struct ds_entries *out)
{
	struct states s = states_make(known);
	bool all = false;
	size_t i;

	for (i = 0; i < desired->n; i++) {
		const struct ds_entry *d = &desired->v[i];

		if (i == 0 || desired->v[i - 1].set != d->set)
			all = all_inactive(desired, &s, d->set);
		if (s.theirs.n == 0 || index_find(&s.theirs, d) == NULL)
			ds_entries_add(out, d->set, d->uri, file_flags(d, &s, all), d->priority, d->attrs);
	}
	states_free(&s);
}

unsigned
dsp_file_flags(const struct ds_entries *desired, const struct dsp_known *known, const struct ds_entry *e)
{
	struct states s = states_make(known);
	unsigned flags = file_flags(e, &s, all_inactive(desired, &s, e->set));

	states_free(&s);
	return flags;
}

void
dsp_note_lost(const struct dsp_plan *plan, const struct ds_entries *before, struct ds_entries *lost)
{
	struct dsp_index was = { 0 };
	struct ds_entries still = { 0 };
	size_t i;

	for (i = 0; i < plan->n; i++) {
		const struct dsp_step *s = &plan->v[i];
		const struct ds_entry *e;

		if (s->op != DSP_ADD)
			continue;
		if (was.slots == NULL)
			was = dsp_index_make(before);
		e = dsp_index_find(&was, s->set, s->uri);
		if (e == NULL)
			e = dsp_find(lost, s->set, s->uri);
		if (e != NULL)
			ds_entries_add(&still, e->set, e->uri, e->flags, e->priority, e->attrs);
	}
	dsp_index_free(&was);
	ds_entries_clear(lost);
	*lost = still;
}

void
dsp_repair(const struct ds_entries *desired, const struct ds_entries *before, const struct ds_entries *after,
    bool probing, struct dsp_plan *out)
{
	struct dsp_known known = { .states = before, .probing = probing };
	struct dsp_index is = dsp_index_make(after);
	struct states was = states_make(&known);
	bool all = false;
	size_t i;

	for (i = 0; i < desired->n; i++) {
		const struct ds_entry *d = &desired->v[i];
		const struct ds_entry *b = states_find(&was, d), *a = index_find(&is, d);

		if (i == 0 || desired->v[i - 1].set != d->set)
			all = all_inactive(desired, &was, d->set);
		if (b == NULL || a == NULL || d->flags & DS_DISABLED || b->flags & DS_DISABLED)
			continue;
		if ((b->flags & DS_INACTIVE) && !(a->flags & DS_INACTIVE) && probing && !all)
			step(out, DSP_DISABLE, d, "ip", xasprintf("was inactive before the reload"));
		else if (!(b->flags & DS_INACTIVE) && (a->flags & DS_INACTIVE))
			step(out, DSP_ENABLE, d, b->flags & DS_PROBING ? "ap" : "a",
			    xasprintf("was active before the reload"));
	}
	states_free(&was);
	dsp_index_free(&is);
}
