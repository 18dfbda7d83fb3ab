#include "topology/topo.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {
	[TOPO_UP] = "up",
	[TOPO_DISABLED] = "disabled",
	[TOPO_HELD] = "held",
	[TOPO_SUPPRESSED] = "suppressed",
	[TOPO_DRAINING] = "draining",
};
static const char *const guard_names[] = {
	[GUARD_NONE] = "",
	[GUARD_SHRINK] = "shrink",
	[GUARD_EMPTY] = "empty",
	[GUARD_FROZEN] = "hold",
	[GUARD_FLAP] = "flap",
	[GUARD_OPERATOR] = "operator",
	[GUARD_TAG] = "tag",
};
static const char *const source_names[] = {
	[SOURCE_DNS] = "dns",
	[SOURCE_STORE] = "store",
	[SOURCE_ADOPTED] = "adopted",
};

const char *
topo_state_name(enum topo_state s)
{
	return state_names[s];
}

const char *
topo_guard_name(enum topo_guard g)
{
	return guard_names[g];
}

const char *
topo_source_name(enum topo_source s)
{
	return source_names[s];
}

bool
topo_is_active(enum topo_state s)
{
	return s == TOPO_UP || s == TOPO_HELD;
}

static int
text_cmp(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

int
topo_instance_cmp(const struct topo_instance *a, const struct topo_instance *b)
{
	int c = topo_addr_cmp(&a->addr, &b->addr);

	/* Only adopted host names share an address (none): their line tells them apart. */
	if (c != 0 || a->addr.family != 0)
		return c;
	return text_cmp(a->origin, b->origin);
}

void
topo_instance_copy(struct topo_instance *to, const struct topo_instance *from)
{
	*to = *from;
	to->tags = xstrdup(from->tags);
	to->origin = xstrdup(from->origin);
}

void
topo_instance_clear(struct topo_instance *i)
{
	free(i->tags);
	free(i->origin);
	i->tags = i->origin = NULL;
}

struct topo *
topo_new(size_t n_services)
{
	struct topo *t = xcalloc(1, sizeof *t);

	t->refs = 1;
	t->services = xcalloc(n_services, sizeof *t->services);
	t->n = n_services;
	return t;
}

struct topo *
topo_ref(struct topo *t)
{
	t->refs++;
	return t;
}

void
topo_unref(struct topo *t)
{
	size_t i, j;

	if (t == NULL)
		return;
	assert(t->refs > 0);
	if (--t->refs > 0)
		return;
	for (i = 0; i < t->n; i++) {
		for (j = 0; j < t->services[i].n; j++)
			topo_instance_clear(&t->services[i].inst[j]);
		free(t->services[i].inst);
		free(t->services[i].name);
	}
	free(t->services);
	free(t);
}

const struct topo_service *
topo_find(const struct topo *t, const char *service)
{
	size_t i;

	for (i = 0; t != NULL && i < t->n; i++)
		if (strcmp(t->services[i].name, service) == 0)
			return &t->services[i];
	return NULL;
}

const struct topo_instance *
topo_find_instance(const struct topo_service *s, const struct topo_addr *addr)
{
	size_t i;

	for (i = 0; s != NULL && i < s->n; i++)
		if (topo_addr_cmp(&s->inst[i].addr, addr) == 0)
			return &s->inst[i];
	return NULL;
}

bool
topo_has_tag(const struct topo_instance *i, const char *tag)
{
	const char *p = i->tags;
	size_t len = strlen(tag);

	while (p != NULL && *p) {
		size_t n = strcspn(p, ",");

		if (n == len && strncmp(p, tag, n) == 0)
			return true;
		p += n + (p[n] == ',');
	}
	return false;
}

bool
topo_instance_differs(const struct topo_instance *a, const struct topo_instance *b)
{
	return a->state != b->state || a->guard != b->guard || a->weight != b->weight ||
	    a->priority != b->priority || a->drain_until_ms != b->drain_until_ms || text_cmp(a->tags, b->tags) != 0 ||
	    text_cmp(a->origin, b->origin) != 0;
}

static size_t
diff_service(const char *name, const struct topo_service *before, const struct topo_service *after,
    topo_diff_cb *cb, void *arg)
{
	static const struct topo_service none;
	size_t i = 0, j = 0, count = 0;

	before = before != NULL ? before : &none;
	after = after != NULL ? after : &none;
	while (i < before->n || j < after->n) {
		struct topo_change ch = { name, NULL, NULL };
		int c = i == before->n ? 1 : j == after->n ? -1 : topo_instance_cmp(&before->inst[i], &after->inst[j]);

		if (c <= 0)
			ch.before = &before->inst[i++];
		if (c >= 0)
			ch.after = &after->inst[j++];
		if (c == 0 && !topo_instance_differs(ch.before, ch.after))
			continue;
		count++;
		if (cb != NULL)
			cb(arg, &ch);
	}
	return count;
}

size_t
topo_diff(const struct topo *before, const struct topo *after, topo_diff_cb *cb, void *arg)
{
	size_t i, count = 0;

	for (i = 0; after != NULL && i < after->n; i++)
		count += diff_service(after->services[i].name,
		    topo_find(before, after->services[i].name), &after->services[i], cb, arg);
	for (i = 0; before != NULL && i < before->n; i++)
		if (topo_find(after, before->services[i].name) == NULL)
			count += diff_service(before->services[i].name, &before->services[i], NULL, cb, arg);
	return count;
}
