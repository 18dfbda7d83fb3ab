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
		[DSP_DISABLE] = "disable", [DSP_ENABLE] = "enable",
	};
	return names[op];
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

/* Lists are in the file's order; entries are found by an index sorted by set and URI. */
static int
key_cmp(const void *a, const void *b)
{
	const struct ds_entry *x = *(struct ds_entry *const *)a, *y = *(struct ds_entry *const *)b;

	if (x->set != y->set)
		return x->set < y->set ? -1 : 1;
	return strcmp(x->uri, y->uri);
}

struct index {
	const struct ds_entry **v;
	size_t n;
};

static struct index
index_make(const struct ds_entries *e)
{
	struct index ix = { xcalloc(e->n, sizeof *ix.v), e->n };
	size_t i;

	for (i = 0; i < e->n; i++)
		ix.v[i] = &e->v[i];
	qsort(ix.v, ix.n, sizeof *ix.v, key_cmp);
	return ix;
}

static const struct ds_entry *
index_find(const struct index *ix, const struct ds_entry *key)
{
	const struct ds_entry **hit = ix->n == 0 ? NULL : bsearch(&key, ix->v, ix->n, sizeof *ix->v, key_cmp);

	return hit ? *hit : NULL;
}

/* A template that leaves out what tells two instances apart gives one destination: in as long as one of them is. */
static void
drop_twins(struct ds_entries *e)
{
	struct index ix = index_make(e);
	bool *dead = xcalloc(e->n, sizeof *dead);
	size_t i, n = 0;

	for (i = 1; i < ix.n; i++) {
		struct ds_entry *twin = &e->v[ix.v[i] - e->v], *kept = &e->v[ix.v[i - 1] - e->v];

		if (key_cmp(&ix.v[i - 1], &ix.v[i]) != 0)
			continue;
		twin->flags = (twin->flags & ~(unsigned)DS_DISABLED) | (twin->flags & kept->flags & DS_DISABLED);
		dead[ix.v[i - 1] - e->v] = true;
	}
	free(ix.v);
	for (i = 0; i < e->n; i++) {
		if (dead[i]) {
			free(e->v[i].uri);
			free(e->v[i].attrs);
		} else {
			e->v[n++] = e->v[i];
		}
	}
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

static const struct binrpc_value *
member(const struct binrpc_value *v, const char *name)
{
	v = v != NULL ? binrpc_find(v->child, name) : NULL;
	return v != NULL && (v->type == BINRPC_STRUCT || v->type == BINRPC_ARRAY) ? v : NULL;
}

int
dsp_read_list(const struct binrpc_msg *msg, struct ds_entries *out)
{
	const struct binrpc_value *records, *set, *targets, *dest, *attrs;
	int64_t id, priority;

	if (msg->first == NULL || msg->first->type != BINRPC_STRUCT)
		return -EBADMSG;
	records = member(msg->first, "RECORDS");
	if (records == NULL)
		return -EBADMSG;
	for (set = binrpc_find(records->child, "SET"); set != NULL; set = binrpc_find(set->next, "SET")) {
		if (!binrpc_int(set->child, "ID", &id))
			return -EBADMSG;
		targets = member(set, "TARGETS");
		for (dest = targets ? binrpc_find(targets->child, "DEST") : NULL; dest != NULL;
		     dest = binrpc_find(dest->next, "DEST")) {
			const char *uri = binrpc_text(dest->child, "URI"), *body = NULL;

			if (uri == NULL)
				return -EBADMSG;
			if (!binrpc_int(dest->child, "PRIORITY", &priority))
				priority = 0;
			attrs = member(dest, "ATTRS");
			if (attrs != NULL)
				body = binrpc_text(attrs->child, "BODY");
			if (body != NULL && (body[0] == '\0' || strcmp(body, "<null string>") == 0))
				body = NULL;
			ds_entries_add(out, (int)id, uri, read_flags(binrpc_text(dest->child, "FLAGS")), (int)priority, body);
		}
	}
	ds_entries_sort(out);
	return 0;
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
	p->structural += state == NULL;
}

void
dsp_plan_clear(struct dsp_plan *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		free(p->v[i].uri);
		free(p->v[i].detail);
	}
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

static void
compare(struct dsp_plan *p, const struct ds_entry *want, const struct ds_entry *have)
{
	bool out = want->flags & DS_DISABLED, is_out = have->flags & DS_DISABLED;

	if (want->priority != have->priority)
		step(p, DSP_CHANGE, want, NULL, xasprintf("priority %d -> %d", have->priority, want->priority));
	else if (strcmp(text_or(want->attrs), text_or(have->attrs)) != 0)
		step(p, DSP_CHANGE, want, NULL,
		    xasprintf("attributes \"%s\" -> \"%s\"", text_or(have->attrs), text_or(want->attrs)));
	if (out && !is_out)
		step(p, DSP_DISABLE, want, "dx", NULL);
	else if (!out && is_out)
		step(p, DSP_ENABLE, want, want->flags & DS_PROBING ? "ap" : "a", NULL);
}

/* In this order no set is empty in between, not even for one RPC. */
static void
enable_first(struct dsp_plan *p)
{
	static const int rank[] = {
		[DSP_ENABLE] = 0, [DSP_ADD] = 1, [DSP_REMOVE] = 1, [DSP_CHANGE] = 1, [DSP_TWICE] = 1, [DSP_DISABLE] = 2,
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

void
dsp_make_plan(const struct ds_entries *desired, const struct ds_entries *actual, const struct ds_entries *foreign,
    const struct ds_set_ref *sets, size_t n_sets, struct dsp_plan *out)
{
	struct index want = index_make(desired), have = index_make(actual), theirs = index_make(foreign);
	size_t i;

	for (i = 0; i < want.n; i++) {
		const struct ds_entry *e = index_find(&have, want.v[i]);

		if (e == NULL)
			step(out, DSP_ADD, want.v[i], NULL, NULL);
		else
			compare(out, want.v[i], e);
	}
	for (i = 0; i < have.n; i++) {
		const struct ds_set_ref *set = find_set(sets, n_sets, have.v[i]->set);

		if (set == NULL || (!set->exclusive && index_find(&theirs, have.v[i]) != NULL))
			continue;
		if (i > 0 && key_cmp(&have.v[i - 1], &have.v[i]) == 0) {
			step(out, DSP_TWICE, have.v[i], NULL, NULL);
			continue;
		}
		if (index_find(&want, have.v[i]) != NULL)
			continue;
		step(out, DSP_REMOVE, have.v[i], NULL, NULL);
	}
	enable_first(out);
	free(want.v);
	free(have.v);
	free(theirs.v);
}

/* ---- states over a reload ---- */

/* All that takes calls in this set is inactive: writing that down would be an outage after a restart. */
static bool
all_inactive(const struct ds_entries *desired, const struct index *states, int set)
{
	bool any = false;
	size_t i;

	for (i = 0; i < desired->n; i++) {
		const struct ds_entry *e;

		if (desired->v[i].set != set || desired->v[i].flags & DS_DISABLED)
			continue;
		any = true;
		e = index_find(states, &desired->v[i]);
		if (e == NULL || !(e->flags & DS_INACTIVE))
			return false;
	}
	return any;
}

void
dsp_file_entries(const struct ds_entries *desired, const struct ds_entries *states, bool probing,
    struct ds_entries *out)
{
	struct index ix = index_make(states);
	bool all = false;
	size_t i;

	for (i = 0; i < desired->n; i++) {
		const struct ds_entry *d = &desired->v[i], *s = index_find(&ix, d);
		unsigned flags = d->flags;

		if (i == 0 || desired->v[i - 1].set != d->set)
			all = all_inactive(desired, &ix, d->set);
		if (s != NULL && !(d->flags & DS_DISABLED)) {
			unsigned bits = s->flags & (DS_INACTIVE | DS_TRYING | DS_PROBING);

			if (!probing || all)
				bits &= ~(unsigned)DS_INACTIVE;
			if (bits & DS_INACTIVE)
				bits |= DS_PROBING;
			flags |= bits;
		}
		ds_entries_add(out, d->set, d->uri, flags, d->priority, d->attrs);
	}
	free(ix.v);
}

void
dsp_repair(const struct ds_entries *desired, const struct ds_entries *before, const struct ds_entries *after,
    bool probing, struct dsp_plan *out)
{
	struct index was = index_make(before), is = index_make(after);
	bool all = false;
	size_t i;

	for (i = 0; i < desired->n; i++) {
		const struct ds_entry *d = &desired->v[i];
		const struct ds_entry *b = index_find(&was, d), *a = index_find(&is, d);

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
	free(was.v);
	free(is.v);
}
