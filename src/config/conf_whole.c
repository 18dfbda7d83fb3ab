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

/* The section that this key names; reported, and NULL, when there is none. */
static const struct sect *
check_service_ref(struct loader *l, const struct sect *s, const char *key, const struct mark *m, int line, const char *wanted)
{
	const struct sect *service = conf_find_kid(l->root, SC_SERVICE, wanted);
	struct hint h = { .wanted = wanted };
	struct buf text = { 0 };
	size_t i;

	if (service != NULL)
		return service;
	for (i = 0; i < l->conf->n_services; i++)
		conf_hint_offer(&h, l->conf->services[i]->name, strlen(l->conf->services[i]->name));
	buf_printf(&text, "%s.%s '%s': is not among the services", s->path, key, wanted);
	if (h.best[0])
		conf_hint_add(&h, &text);
	else
		buf_printf(&text, "; add services.%s", wanted);
	conf_error(&l->errs, m->file, line, "%s", text.s);
	buf_free(&text);
	return NULL;
}

static const struct sect *
check_one_service(struct loader *l, const struct sect *s, const char *service)
{
	const struct mark *m = conf_mark_of(s, "service");

	if (service != NULL)
		return check_service_ref(l, s, "service", m, m->line, service);
	if (!m->bad)
		conf_error(&l->errs, s->at.file, s->at.line, "%s: needs a service, whose instances it holds", s->path);
	return NULL;
}

static void
check_services(struct loader *l, const struct sect *s, const char *key, const struct strlist *services)
{
	const struct mark *m = conf_mark_of(s, key);
	size_t i;

	for (i = 0; i < services->n && !m->bad; i++)
		(void)check_service_ref(l, s, key, m, m->elements[i], services->v[i]);
}

static void
check_set(struct loader *l, const struct sect *s)
{
	struct conf_set *set = s->obj;
	const struct sect *service;

	if (text_parse_int(set->name, 1, INT32_MAX, &set->id) != 0)
		abort(); /* check_set_id() took it */
	service = check_one_service(l, s, set->service);
	if (service != NULL)
		check_set_tags(l, s, service);
}

static void
check_rtpengine(struct loader *l, const struct sect *s)
{
	struct conf_rtpengine *set = s->obj;

	if (text_parse_int(set->name, 0, INT32_MAX, &set->id) != 0)
		abort(); /* check_rtp_id() took it */
	(void)check_one_service(l, s, set->service);
}

static void
check_permissions(struct loader *l, const struct sect *s)
{
	struct conf_permissions *group = s->obj;

	if (text_parse_int(group->name, 1, INT32_MAX, &group->id) != 0)
		abort(); /* check_group_id() took it */
	check_services(l, s, "services", &group->services);
	if (group->services.n == 0 && group->networks.n == 0 && !conf_mark_of(s, "services")->bad &&
	    !conf_mark_of(s, "networks")->bad)
		conf_error(&l->errs, s->at.file, s->at.line, "%s: needs services or networks, whose addresses it holds", s->path);
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

/* `key` says where what `what` needs is kept. */
static void
check_needs(struct loader *l, const struct sect *s, bool needed, const char *value, const char *key, const char *what,
    const char *remedy)
{
	if (needed && value == NULL && !conf_mark_of(s, key)->bad)
		conf_error(&l->errs, s->at.file, s->at.line, "%s: has %s but no %s; set it to %s", s->path, what, key, remedy);
}

static void
check_kamailio(struct loader *l, const struct sect *s, size_t before)
{
	static void (*const checks[CONF_N_SCOPES])(struct loader *, const struct sect *) = {
		[SC_SET] = check_set, [SC_RTPENGINE] = check_rtpengine, [SC_PERMISSIONS] = check_permissions,
	};
	const struct conf_kamailio *kam = s->obj;
	size_t i;

	check_needs(l, s, kam->n_sets > 0, kam->list_file, "list_file", "dispatcher sets", "the dispatcher module's list_file");
	check_needs(l, s, kam->n_rtpengines > 0, kam->tables, "tables", "rtpengine sets",
	    "the directory in modparam(\"rtpengine\", \"db_url\", \"text://DIRECTORY\")");
	check_needs(l, s, kam->uacreg, kam->tables, "tables", "a uacreg table",
	    "the directory in modparam(\"uac\", \"reg_db_url\", \"text://DIRECTORY\")");
	check_needs(l, s, kam->domain_services.n + kam->domain_names.n > 0 || kam->domain_kv != NULL || kam->domain_routing, kam->tables, "tables", "a domain table",
	    "the directory in modparam(\"domain\", \"db_url\", \"text://DIRECTORY\")");
	check_needs(l, s, kam->n_permissions > 0, kam->address_file, "address_file", "permissions groups",
	    "the permissions module's address_file");
	check_services(l, s, "domain.services", &kam->domain_services);
	for (i = 0; i < s->n_kids; i++)
		checks[s->kids[i]->scope](l, s->kids[i]);
	for (i = 0; i < before; i++) {
		const struct sect *other = l->root->kids[i];
		const struct conf_kamailio *o = other->obj;

		if (other->scope != SC_KAMAILIO)
			continue;
		check_shared(l, s, "binrpc", kam->binrpc, other, o->binrpc);
		check_shared(l, s, "list_file", kam->list_file, other, o->list_file);
		check_shared(l, s, "tables", kam->tables, other, o->tables);
		check_shared(l, s, "address_file", kam->address_file, other, o->address_file);
	}
}

/* The drain tag is asked for like the others; a limit below which it is suppressed makes no sense. */
static void
check_flaps_and_drain(struct loader *l, const struct sect *s)
{
	struct conf_service *service = s->obj;
	const struct mark *m = conf_mark_of(s, "drain_tag");
	char *path = conf_join(s->path, "drain_tag");

	if (service->drain_tag != NULL && !m->bad && !strlist_has(&service->tags, service->drain_tag) &&
	    check_askable(l, s, service, service->drain_tag, m->file, m->line, path)) {
		if (service->tags.n >= CONF_TAGS_MAX)
			conf_error(&l->errs, m->file, m->line, "%s '%s': %s would be asked for more than %d tags; use fewer", path,
			    service->drain_tag, s->path, CONF_TAGS_MAX);
		else
			conf_strlist_add(&service->tags, service->drain_tag);
	}
	free(path);
	if (service->flap_suppress > 0 && service->flap_reuse >= service->flap_suppress &&
	    !conf_mark_of(s, "flap_suppress")->bad && !conf_mark_of(s, "flap_reuse")->bad) {
		m = conf_mark_of(s, "flap_reuse");
		if (m->line == 0)
			m = conf_place_of(s, "flap_suppress");
		conf_error(&l->errs, m->file, m->line,
		    "%s: flap_reuse %d must be less than flap_suppress %d; lower the one or raise the other", s->path,
		    (int)service->flap_reuse, (int)service->flap_suppress);
	}
}

void
conf_check_whole(struct loader *l)
{
	const struct sect *root = l->root;
	size_t i;

	conf_check_consul(l);
	conf_check_routing(l);
	for (i = 0; i < root->n_kids; i++)
		if (root->kids[i]->scope == SC_SERVICE)
			check_service(l, root->kids[i]);
	for (i = 0; i < root->n_kids; i++)
		if (root->kids[i]->scope == SC_SERVICE)
			check_flaps_and_drain(l, root->kids[i]);
	for (i = 0; i < root->n_kids; i++)
		if (root->kids[i]->scope == SC_KAMAILIO)
			check_kamailio(l, root->kids[i], i);
	for (i = 0; i < root->n_kids; i++)
		if (root->kids[i]->scope == SC_REGISTER)
			conf_check_register(l, root->kids[i], i);
	for (i = 0; i < l->conf->n_services; i++) {
		struct strlist *tags = &l->conf->services[i]->tags;

		if (tags->n > 1)
			qsort(tags->v, tags->n, sizeof *tags->v, conf_text_cmp);
	}
}
