/* What only the whole configuration can tell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf_load_int.h"

struct service_name {
	enum { NAME_SERVICE, NAME_TAGGED, NAME_QUERY, NAME_OTHER, NAME_FOREIGN } kind;
	size_t first_len; /* of the first label */
};

/* Which of Consul's kinds of names is it: NAME.service..., TAG.NAME.service..., NAME.query...? */
static struct service_name
classify_name(const char *name, const char *domain)
{
	struct service_name out = { NAME_FOREIGN, strcspn(name, ".") };
	size_t len = strlen(name), dlen = strlen(domain), label = 0;
	const char *p = name, *end;

	if (len < dlen + 2 || name[len - dlen - 1] != '.' || strcmp(name + len - dlen, domain) != 0)
		return out;
	end = name + len - dlen - 1;
	out.kind = NAME_OTHER;
	for (; p < end; p += strcspn(p, ".") + 1, label++) {
		size_t n = strcspn(p, ".");

		if (label >= 1 && n == 7 && strncmp(p, "service", n) == 0) {
			out.kind = label == 1 && name[0] != '_' ? NAME_SERVICE : NAME_TAGGED;
			break;
		}
		if (label >= 1 && n == 5 && strncmp(p, "query", n) == 0) {
			out.kind = NAME_QUERY;
			break;
		}
	}
	return out;
}

static void
check_names(struct loader *l, const struct sect *s, struct conf_service *service)
{
	const struct mark *m = conf_mark_of(s, "names");
	const char *domain = l->conf->domain;
	char q[100];
	size_t i;

	if (service->names.n == 0) {
		char *name = xasprintf("%s.service.%s", service->name, domain);

		conf_strlist_add(&service->names, name);
		free(name);
		return;
	}
	if (m->bad || conf_mark_of(l->root, "consul.domain")->bad)
		return;
	for (i = 0; i < service->names.n; i++) {
		const char *name = conf_quote(service->names.v[i], q);

		switch (classify_name(service->names.v[i], domain).kind) {
		case NAME_FOREIGN:
			conf_error(&l->errs, m->file, m->elements[i],
			    "%s.names '%s': is not under consul.domain '%s', so no "
			    "answer could be checked against Consul's own; correct the name or "
			    "consul.domain",
			    s->path, name, domain);
			break;
		case NAME_OTHER:
			conf_error(&l->errs, m->file, m->elements[i],
			    "%s.names '%s': is not the name of a service or prepared "
			    "query; write SERVICE.service.%s, SERVICE.service.DC.%s or "
			    "QUERY.query.%s",
			    s->path, name, domain, domain, domain);
			break;
		default:
			break;
		}
	}
}

/* Can all names of the service be asked for `tag`? If not, say it at `at`. */
static bool
check_askable(struct loader *l, const struct sect *s, const struct conf_service *service,
    const char *tag, size_t file, int line, const char *path)
{
	const char *why = NULL, *name = NULL;
	char q[100];
	size_t i;

	if (conf_mark_of(s, "names")->bad || conf_mark_of(l->root, "consul.domain")->bad)
		return true; /* reported; what the name will be is open */
	for (i = 0; i < service->names.n && why == NULL; i++) {
		struct service_name n;

		name = service->names.v[i];
		n = classify_name(name, l->conf->domain);
		if (n.kind == NAME_QUERY)
			why = "a prepared query, which cannot be asked by tag";
		else if (n.kind == NAME_TAGGED)
			why = "asked by a tag already";
		else if (n.kind == NAME_SERVICE &&
			 (n.first_len > 62 || strlen(name) + strlen(tag) + 3 > 253))
			why = "too long to be asked by this tag";
	}
	if (why == NULL)
		return true;
	conf_error(&l->errs, file, line,
	    "%s '%s': %s has the name %s, which is %s; remove the tag or that name", path, tag,
	    s->path, conf_quote(name, q), why);
	return false;
}

static void
check_service(struct loader *l, const struct sect *s)
{
	struct conf_service *service = s->obj;
	const struct mark *m;
	char *path = conf_join(s->path, "tags");
	size_t i;

	check_names(l, s, service);
	m = conf_mark_of(s, "tags");
	for (i = 0; i < service->tags.n && !m->bad; i++)
		if (!check_askable(
			l, s, service, service->tags.v[i], m->file, m->elements[i], path))
			break;
	free(path);
	if (service->min_instances > service->max_instances && !conf_mark_of(s, "min_instances")->bad &&
	    !conf_mark_of(s, "max_instances")->bad) {
		m = conf_mark_of(s, "min_instances");
		if (m->line == 0)
			m = conf_place_of(s, "max_instances");
		conf_error(&l->errs, m->file, m->line,
		    "%s: min_instances %d is more than max_instances %d; lower the one "
		    "or raise the other",
		    s->path, (int)service->min_instances, (int)service->max_instances);
	}
	service->prefixes = xcalloc(service->networks.n, sizeof *service->prefixes);
	for (i = 0; i < service->networks.n; i++)
		if (topo_prefix_parse(service->networks.v[i], &service->prefixes[i]) != 0)
			abort(); /* the table's check took it */
}

static bool
strlist_has(const struct strlist *l, const char *s)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (strcmp(l->v[i], s) == 0)
			return true;
	return false;
}

/* The tags of a set are asked for at its service. */
static void
check_set_tags(struct loader *l, const struct sect *s, const struct sect *service_sect)
{
	struct conf_service *service = service_sect->obj;
	size_t i;

	for (i = 0; i < s->n_kids; i++) {
		const struct sect *kid = s->kids[i];
		const char *tag = ((struct conf_set_tag *)kid->obj)->name;
		char *path;

		if (strlist_has(&service->tags, tag))
			continue;
		path = conf_join(s->path, "tag");
		if (check_askable(
			l, service_sect, service, tag, kid->at.file, kid->at.line, path)) {
			if (service->tags.n >= CONF_TAGS_MAX)
				conf_error(&l->errs, kid->at.file, kid->at.line,
				    "%s '%s': %s would be asked for more than %d tags; "
				    "use fewer",
				    path, tag, service_sect->path, CONF_TAGS_MAX);
			else
				conf_strlist_add(&service->tags, tag);
		}
		free(path);
	}
}

static void
check_set(struct loader *l, const struct sect *s)
{
	struct conf_set *set = s->obj;
	const struct mark *m = conf_mark_of(s, "service");
	const struct sect *service;
	struct hint h = { .wanted = set->service };
	struct buf text = { 0 };
	size_t i;

	if (text_parse_int(set->name, 1, INT32_MAX, &set->id) != 0)
		abort(); /* check_set_id() took it */
	if (set->service == NULL) {
		if (!m->bad)
			conf_error(&l->errs, s->at.file, s->at.line,
			    "%s: needs a service, whose instances it holds", s->path);
		return;
	}
	service = conf_find_kid(l->root, SC_SERVICE, set->service);
	if (service != NULL) {
		check_set_tags(l, s, service);
		return;
	}
	for (i = 0; i < l->conf->n_services; i++)
		conf_hint_offer(&h, l->conf->services[i]->name, strlen(l->conf->services[i]->name));
	buf_printf(&text, "%s.service '%s': is not among the services", s->path, set->service);
	if (h.best[0])
		conf_hint_add(&h, &text);
	else
		buf_printf(&text, "; add services.%s", set->service);
	conf_error(&l->errs, m->file, m->line, "%s", text.s);
	buf_free(&text);
}

/* Two Kamailios must not share what `key` names. */
static void
check_shared(struct loader *l, const struct sect *s, const char *key, const char *value,
    const struct sect *other, const char *other_value)
{
	const struct mark *m = conf_place_of(s, key), *first = conf_place_of(other, key);

	if (value == NULL || other_value == NULL || strcmp(value, other_value) != 0)
		return;
	conf_error(&l->errs, m->file, m->line,
	    "%s.%s '%s': is that of %s as well (%s:%d); each Kamailio needs its own", s->path, key,
	    value, other->path, l->errs.files[first->file], first->line);
}

static void
check_kamailio(struct loader *l, const struct sect *s, size_t before)
{
	const struct conf_kamailio *kam = s->obj;
	size_t i;

	if (kam->n_sets > 0 && kam->list_file == NULL && !conf_mark_of(s, "list_file")->bad)
		conf_error(&l->errs, s->at.file, s->at.line,
		    "%s: has dispatcher sets but no list_file; set it to the "
		    "dispatcher module's list_file",
		    s->path);
	for (i = 0; i < s->n_kids; i++)
		check_set(l, s->kids[i]);
	for (i = 0; i < before; i++) {
		const struct sect *other = l->root->kids[i];
		const struct conf_kamailio *o = other->obj;

		if (other->scope != SC_KAMAILIO)
			continue;
		check_shared(l, s, "binrpc", kam->binrpc, other, o->binrpc);
		check_shared(l, s, "list_file", kam->list_file, other, o->list_file);
	}
}

void
conf_check_whole(struct loader *l)
{
	const struct sect *root = l->root;
	size_t i;

	for (i = 0; i < root->n_kids; i++)
		if (root->kids[i]->scope == SC_SERVICE)
			check_service(l, root->kids[i]);
	for (i = 0; i < root->n_kids; i++)
		if (root->kids[i]->scope == SC_KAMAILIO)
			check_kamailio(l, root->kids[i], i);
	for (i = 0; i < l->conf->n_services; i++) {
		struct strlist *tags = &l->conf->services[i]->tags;

		if (tags->n > 1)
			qsort(tags->v, tags->n, sizeof *tags->v, conf_text_cmp);
	}
}
