/*
 * struct conf as an object: its lists and sections, found, made and freed. By the key table.
 */
#include <stdlib.h>
#include <string.h>

#include "config/conf_int.h"

void
conf_strlist_add(struct strlist *l, const char *s)
{
	l->v = xrealloc(l->v, l->n + 1, sizeof *l->v);
	l->v[l->n++] = xstrdup(s);
}

void
conf_strlist_free(struct strlist *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	memset(l, 0, sizeof *l);
}

void
conf_pairs_add(struct conf_pairs *p, const char *key, const char *value)
{
	p->keys = xrealloc(p->keys, p->n + 1, sizeof *p->keys);
	p->values = xrealloc(p->values, p->n + 1, sizeof *p->values);
	p->keys[p->n] = xstrdup(key);
	p->values[p->n++] = xstrdup(value);
}

void
conf_pairs_free(struct conf_pairs *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		free(p->keys[i]);
		free(p->values[i]);
	}
	free(p->keys);
	free(p->values);
	memset(p, 0, sizeof *p);
}

size_t
conf_sections(const void *obj, enum conf_scope_id id, section_ptr **v)
{
	*v = *(section_vec *)((char *)(uintptr_t)obj + conf_scopes[id].v);
	return *(const size_t *)((const char *)obj + conf_scopes[id].n);
}

void *
conf_section_new(void *parent, enum conf_scope_id id, const char *name)
{
	const struct conf_scope *s = &conf_scopes[id];
	section_vec *v = (section_vec *)((char *)parent + s->v);
	size_t i, *n = (size_t *)((char *)parent + s->n);
	void *obj = xcalloc(1, s->size);

	*(char **)obj = xstrdup(name);
	for (i = 0; i < conf_n_keys; i++)
		if (conf_keys[i].scope == id)
			conf_key_default(&conf_keys[i], obj);
	*v = xrealloc(*v, *n + 1, sizeof **v);
	(*v)[(*n)++] = obj;
	return obj;
}

static void
section_clear(enum conf_scope_id scope, void *obj)
{
	section_ptr *v;
	size_t i, j, n;

	for (i = 0; i < conf_n_keys; i++)
		if (conf_keys[i].scope == scope)
			conf_key_clear(&conf_keys[i], obj);
	for (i = 1; i < CONF_N_SCOPES; i++) {
		if (conf_scopes[i].parent != scope)
			continue;
		n = conf_sections(obj, (enum conf_scope_id)i, &v);
		for (j = 0; j < n; j++) {
			section_clear((enum conf_scope_id)i, v[j]);
			free(*(char **)v[j]); /* the name */
			free(v[j]);
		}
		free(v);
	}
}

void
conf_free(struct conf *conf)
{
	size_t i;

	if (conf == NULL)
		return;
	for (i = 0; i < conf->n_services; i++)
		free(conf->services[i]->prefixes);
	free(conf->routing_prefixes);
	section_clear(SC_ROOT, conf);
	for (i = 0; i < conf->n_items; i++) {
		free(conf->items[i].path);
		free(conf->items[i].value);
		free(conf->items[i].origin);
	}
	free(conf->items);
	free(conf->file);
	free(conf);
}

const struct conf_service *
conf_find_service(const struct conf *conf, const char *name)
{
	size_t i;

	for (i = 0; i < conf->n_services; i++)
		if (strcmp(conf->services[i]->name, name) == 0)
			return conf->services[i];
	return NULL;
}

const struct conf_kamailio *
conf_find_kamailio(const struct conf *conf, const char *name)
{
	size_t i;

	for (i = 0; i < conf->n_kamailios; i++)
		if (strcmp(conf->kamailios[i]->name, name) == 0)
			return conf->kamailios[i];
	return NULL;
}
