/*
 * What a reload changes: keys that need a restart, sections that stay the same. By the key table.
 */
#include <stdlib.h>
#include <string.h>

#include "config/conf_int.h"

static bool
section_same(enum conf_scope_id scope, const void *a, const void *b)
{
	section_ptr *va, *vb;
	size_t i, j, n;

	for (i = 0; i < conf_n_keys; i++)
		if (conf_keys[i].scope == scope && !conf_key_same(&conf_keys[i], a, b))
			return false;
	for (i = 1; i < CONF_N_SCOPES; i++) {
		enum conf_scope_id child = (enum conf_scope_id)i;

		if (conf_scopes[i].parent != scope)
			continue;
		n = conf_sections(a, child, &va);
		if (conf_sections(b, child, &vb) != n)
			return false;
		/* In order: the first matching tag wins, so order is content. */
		for (j = 0; j < n; j++)
			if (strcmp(*(char **)va[j], *(char **)vb[j]) != 0 ||
			    !section_same(child, va[j], vb[j]))
				return false;
	}
	return true;
}

bool
conf_kamailio_same(const struct conf_kamailio *a, const struct conf_kamailio *b)
{
	return strcmp(a->name, b->name) == 0 && section_same(SC_KAMAILIO, a, b);
}

bool
conf_register_same(const struct conf_register *a, const struct conf_register *b)
{
	return strcmp(a->name, b->name) == 0 && section_same(SC_REGISTER, a, b);
}

size_t
conf_restart_keys(
    const struct conf *running, const struct conf *loaded, conf_report_cb *report, void *arg)
{
	size_t i, n = 0;

	/* Only keys of the root need a restart; sections come and go with a reload. */
	for (i = 0; i < conf_n_keys; i++) {
		const struct conf_key *k = &conf_keys[i];
		char *was, *is, *text;

		if (k->live || k->scope != SC_ROOT || conf_key_same(k, running, loaded))
			continue;
		was = conf_key_format(k, running);
		is = conf_key_format(k, loaded);
		text = xasprintf("%s: '%s' stays until a restart, then '%s'", k->name, was, is);
		if (report != NULL)
			report(arg, text);
		free(text);
		free(was);
		free(is);
		n++;
	}
	return n;
}
