/*
 * Loading: files in order, each walked against the key table into one struct conf; then what only
 * the whole can tell. Later files overwrite key by key, so errors of values that are overwritten
 * are found as well.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "config/conf_load_int.h"

static struct sect *
sect_new(enum conf_scope_id scope, void *obj, char *path)
{
	struct sect *s = xcalloc(1, sizeof *s);

	s->scope = scope;
	s->obj = obj;
	s->path = path;
	s->marks = xcalloc(conf_n_keys, sizeof *s->marks);
	return s;
}

static void
sect_free(struct sect *s)
{
	size_t i;

	for (i = 0; i < s->n_kids; i++)
		sect_free(s->kids[i]);
	for (i = 0; i < conf_n_keys; i++)
		free(s->marks[i].elements);
	free(s->marks);
	free(s->kids);
	free(s->path);
	free(s);
}

char *
conf_join(const char *path, const char *key)
{
	return xasprintf("%s%s%s", path, *path && *key ? "." : "", key);
}

const struct mark *
conf_mark_of(const struct sect *s, const char *key)
{
	size_t i;

	for (i = 0; i < conf_n_keys; i++)
		if (conf_keys[i].scope == s->scope && strcmp(conf_keys[i].name, key) == 0)
			return &s->marks[i];
	abort(); /* not in the table */
}

/* Where to point when `key` is wrong: where it was set, else where its section begins. */
const struct mark *
conf_place_of(const struct sect *s, const char *key)
{
	const struct mark *m = conf_mark_of(s, key);

	return m->line ? m : &s->at;
}

static size_t
edit_distance(const char *a, const char *b)
{
	size_t row[65], la = strlen(a), lb = strlen(b), i, j;

	if (la > 64 || lb > 64)
		return 64;
	for (j = 0; j <= lb; j++)
		row[j] = j;
	for (i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

void
conf_hint_offer(struct hint *h, const char *word, size_t len)
{
	char text[64];
	size_t d;

	if (len >= sizeof text)
		return;
	memcpy(text, word, len);
	text[len] = '\0';
	d = edit_distance(h->wanted, text);
	if (d <= (len < 4 ? 1 : len / 3) && (h->best[0] == '\0' || d < h->distance)) {
		h->distance = d;
		memcpy(h->best, text, len + 1);
	}
}

void
conf_hint_add(const struct hint *h, struct buf *text)
{
	buf_printf(text, "; did you mean '%s'?", h->best);
}

/* "control." -> is there a key under it in this scope? */
static bool
is_group(enum conf_scope_id scope, const char *name)
{
	size_t i, len = strlen(name);

	for (i = 0; i < conf_n_keys; i++)
		if (conf_keys[i].scope == scope && strncmp(conf_keys[i].name, name, len) == 0 &&
		    conf_keys[i].name[len] == '.')
			return true;
	return false;
}

static void
unknown_key(struct loader *l, size_t file, int line, const struct sect *s, const char *group,
    const char *key)
{
	struct hint h = { .wanted = key };
	struct buf text = { 0 };
	char *path = conf_join(s->path, group), *full = conf_join(path, key), q[100];
	size_t i, skip = *group ? strlen(group) + 1 : 0;

	for (i = 0; i < conf_n_keys; i++)
		if (conf_keys[i].scope == s->scope &&
		    strncmp(conf_keys[i].name, group, strlen(group)) == 0 &&
		    (*group == '\0' || conf_keys[i].name[skip - 1] == '.'))
			conf_hint_offer(
			    &h, conf_keys[i].name + skip, strcspn(conf_keys[i].name + skip, "."));
	for (i = 1; i < CONF_N_SCOPES && *group == '\0'; i++)
		if (conf_scopes[i].parent == s->scope)
			conf_hint_offer(&h, conf_scopes[i].key, strlen(conf_scopes[i].key));
	buf_printf(&text, "unknown key '%s'", conf_quote(full, q));
	if (h.best[0])
		conf_hint_add(&h, &text);
	else if (strchr(key, '.') != NULL)
		buf_puts(&text, "; write nested keys as nested sections, without dots");
	conf_error(&l->errs, file, line, "%s", text.s);
	buf_free(&text);
	free(path);
	free(full);
}

/* ${NAME} from the environment, $${ for a literal ${. False: reported. */
static bool
expand(struct loader *l, size_t file, int line, const char *path, const char *in, struct buf *out)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
	char q[100];

	buf_puts(out, "");
	while (*in) {
		size_t len = strcspn(in, "$");
		const char *value;
		char *name;

		buf_add(out, in, len);
		in += len;
		if (strncmp(in, "$${", 3) == 0) {
			buf_puts(out, "${");
			in += 3;
			continue;
		}
		if (strncmp(in, "${", 2) != 0) {
			buf_add(out, in, *in != '\0');
			in += *in != '\0';
			continue;
		}
		len = strspn(in + 2, allowed);
		if (len == 0 || in[2 + len] != '}') {
			conf_error(&l->errs, file, line,
			    "%s '%s': ${ begins the name of an environment variable, as in "
			    "${NAME}; write $${ for these two characters",
			    path, conf_quote(in, q));
			return false;
		}
		name = xstrndup(in + 2, len);
		value = getenv(name);
		if (value == NULL)
			conf_error(&l->errs, file, line,
			    "%s: environment variable %s is not set; set it, or write $${ for a "
			    "literal ${",
			    path, conf_quote(name, q));
		free(name);
		if (value == NULL)
			return false;
		buf_puts(out, value);
		in += len + 3;
	}
	return true;
}

static void
value_error(
    struct loader *l, size_t file, int line, const char *path, const char *value, const char *why)
{
	char q[100];

	conf_error(&l->errs, file, line, "%s '%s': %s", path, conf_quote(value, q), why);
}

/* One element of a list, checked and added. False: reported. */
static bool
add_element(struct loader *l, size_t file, const char *path, const struct conf_key *k,
    const struct conf_node *el, struct strlist *list)
{
	struct buf text = { 0 }, why = { 0 };
	char what[100];
	bool ok = false;
	size_t i;

	if (el->kind == NODE_BAD)
		return false;
	if (el->kind != NODE_TEXT) {
		conf_error(&l->errs, file, el->line, "%s: an element must be a text (%s), not %s",
		    path, k->form,
		    el->kind == NODE_LIST  ? "a list"
		    : el->kind == NODE_MAP ? "a section"
					   : "empty");
		return false;
	}
	if (!expand(l, file, el->line, path, el->text, &text))
		goto out;
	ok = conf_key_check(k, text.s, &why);
	for (i = 0; ok && i < list->n && k->type != CT_ARGS; i++)
		if (strcmp(list->v[i], text.s) == 0) {
			ok = false;
			buf_puts(&why, "is listed twice; remove one");
		}
	if (ok)
		conf_strlist_add(list, text.s);
	else
		value_error(l, file, el->line, path, text.s,
		    why.len ? why.s : conf_key_what(k, what, sizeof what));
out:
	buf_free(&text);
	buf_free(&why);
	return ok;
}

static bool
apply_list(struct loader *l, size_t file, int line, struct sect *s, const char *path,
    const struct conf_key *k, const struct conf_node *node, struct mark *m)
{
	struct strlist list = { 0 };
	bool ok = true;
	size_t i;

	if ((int64_t)node->n > k->max) {
		conf_error(&l->errs, file, line, "%s has %zu elements; at most %d are possible",
		    path, node->n, (int)k->max);
		return false;
	}
	if ((int64_t)node->n < k->min) {
		conf_error(&l->errs, file, line,
		    "%s must not be empty; leave the key out for its default", path);
		return false;
	}
	m->elements = xcalloc(node->n, sizeof *m->elements);
	for (i = 0; i < node->n; i++) {
		m->elements[i] = node->list[i]->line;
		if (!add_element(l, file, path, k, node->list[i], &list))
			ok = false;
	}
	if (ok)
		conf_key_set_list(k, s->obj, &list);
	conf_strlist_free(&list);
	return ok;
}

/* One alone is a list of one. */
static bool
apply_single(struct loader *l, size_t file, int line, struct sect *s, const char *path, const struct conf_key *k,
    const struct conf_node *node, struct mark *m)
{
	struct conf_node element = *node, *elements[] = { &element };
	const struct conf_node list = { .kind = NODE_LIST, .line = node->line, .list = elements, .n = 1 };

	return apply_list(l, file, line, s, path, k, &list, m);
}

/* One pair of a mapping, checked and added. False: reported, and without the value where nobody may see it. */
static bool
add_pair(struct loader *l, size_t file, const char *map, const struct conf_key *k, const struct conf_pair *pair,
    struct conf_pairs *out)
{
	struct buf text = { 0 }, why = { 0 };
	char *path = conf_join(map, pair->key), q[100];
	bool ok = false;

	if (pair->value->kind == NODE_BAD)
		goto out;
	if (!conf_key_check_name(k, pair->key, &why)) {
		conf_error(&l->errs, file, pair->line, "%s: %s", conf_quote(path, q), why.s);
		goto out;
	}
	if (pair->value->kind != NODE_TEXT) {
		conf_error(&l->errs, file, pair->line, "%s: must be a text, not %s", conf_quote(path, q),
		    pair->value->kind == NODE_LIST  ? "a list"
		    : pair->value->kind == NODE_MAP ? "a section"
						    : "empty");
		goto out;
	}
	if (!expand(l, file, pair->line, path, pair->value->text, &text))
		goto out;
	ok = conf_key_check(k, text.s, &why);
	if (ok)
		conf_pairs_add(out, pair->key, text.s);
	else if (k->type == CT_SECRETS)
		conf_error(&l->errs, file, pair->line, "%s: %s", conf_quote(path, q), why.s);
	else
		value_error(l, file, pair->line, path, text.s, why.s);
out:
	buf_free(&text);
	buf_free(&why);
	free(path);
	return ok;
}

static bool
apply_pairs(struct loader *l, size_t file, int line, struct sect *s, const char *path, const struct conf_key *k,
    const struct conf_node *node, struct mark *m)
{
	struct conf_pairs pairs = { 0 };
	bool ok = true;
	size_t i;

	if ((int64_t)node->n > k->max) {
		conf_error(&l->errs, file, line, "%s has %zu keys; at most %d are possible", path, node->n, (int)k->max);
		return false;
	}
	m->elements = xcalloc(node->n, sizeof *m->elements);
	for (i = 0; i < node->n; i++) {
		m->elements[i] = node->pairs[i].line;
		if (!add_pair(l, file, path, k, &node->pairs[i], &pairs))
			ok = false;
	}
	if (ok)
		conf_key_set_pairs(k, s->obj, &pairs);
	conf_pairs_free(&pairs);
	return ok;
}

static bool
apply_text(struct loader *l, size_t file, int line, struct sect *s, const char *path,
    const struct conf_key *k, const struct conf_node *node)
{
	struct buf text = { 0 }, why = { 0 };
	bool ok = false;

	if (expand(l, file, line, path, node->text, &text)) {
		ok = conf_key_set(k, s->obj, text.s, &why);
		if (!ok)
			value_error(l, file, line, path, text.s, why.s);
	}
	buf_free(&text);
	buf_free(&why);
	return ok;
}

/* A key of the table gets its value. */
static void
apply(struct loader *l, size_t file, struct sect *s, const struct conf_key *k,
    const struct conf_pair *pair)
{
	struct mark *m = &s->marks[k - conf_keys];
	const struct conf_node *node = pair->value;
	char *path = conf_join(s->path, k->name), what[100];
	bool is_list = conf_key_is_list(k), ok = false;

	free(m->elements);
	memset(m, 0, sizeof *m);
	m->file = file;
	m->line = pair->line;
	if (node->kind == NODE_NULL) { /* back to the default */
		conf_key_default(k, s->obj);
		m->line = 0;
		ok = true;
	} else if (node->kind == NODE_LIST && is_list) {
		ok = apply_list(l, file, pair->line, s, path, k, node, m);
	} else if (node->kind == NODE_TEXT && k->type == CT_ADDRS) {
		ok = apply_single(l, file, pair->line, s, path, k, node, m);
	} else if (node->kind == NODE_MAP && conf_key_is_pairs(k)) {
		ok = apply_pairs(l, file, pair->line, s, path, k, node, m);
	} else if (node->kind == NODE_TEXT && !is_list && !conf_key_is_pairs(k)) {
		ok = apply_text(l, file, pair->line, s, path, k, node);
	} else {
		conf_error(&l->errs, file, pair->line, "%s: must be %s, not %s", path,
		    conf_key_what(k, what, sizeof what),
		    node->kind == NODE_LIST  ? "a list"
		    : node->kind == NODE_MAP ? "a section"
					     : "a single value");
	}
	m->bad = !ok;
	free(path);
}

static void walk(
    struct loader *, size_t file, struct sect *, const char *group, const struct conf_node *);

static bool
wants_map(struct loader *l, size_t file, int line, const char *path, const struct conf_node *node)
{
	if (node->kind == NODE_MAP)
		return true;
	if (node->kind != NODE_NULL && node->kind != NODE_BAD)
		conf_error(&l->errs, file, line, "%s: must be a section of keys and values, not %s",
		    path, node->kind == NODE_LIST ? "a list" : "a single value");
	return false;
}

struct sect *
conf_find_kid(const struct sect *s, enum conf_scope_id scope, const char *name)
{
	size_t i;

	for (i = 0; i < s->n_kids; i++)
		if (s->kids[i]->scope == scope && strcmp(*(char **)s->kids[i]->obj, name) == 0)
			return s->kids[i];
	return NULL;
}

static struct sect *
add_kid(struct sect *s, enum conf_scope_id scope, const char *name, const char *path)
{
	void *obj = conf_section_new(s->obj, scope, name);

	s->kids = xgrow(s->kids, s->n_kids, &s->cap_kids, sizeof(struct sect *));
	s->kids[s->n_kids] = sect_new(scope, obj, xstrdup(path));
	return s->kids[s->n_kids++];
}

/* "services:", "dispatcher:"...: a section per name. */
static void
walk_sections(struct loader *l, size_t file, struct sect *s, enum conf_scope_id scope,
    const char *path, const struct conf_node *node)
{
	size_t i;

	for (i = 0; i < node->n; i++) {
		const struct conf_pair *pair = &node->pairs[i];
		char *sub = conf_join(path, pair->key), q[100];
		struct buf why = { 0 };
		struct sect *kid;

		if (pair->value->kind == NODE_BAD) {
			/* reported */
		} else if (!conf_scopes[scope].check_name(pair->key, &why)) {
			conf_error(&l->errs, file, pair->line, "%s: %s", conf_quote(sub, q), why.s);
		} else {
			kid = conf_find_kid(s, scope, pair->key);
			if (kid == NULL) {
				kid = add_kid(s, scope, pair->key, sub);
				kid->at.file = file;
				kid->at.line = pair->line;
			}
			if (wants_map(l, file, pair->line, sub, pair->value))
				walk(l, file, kid, "", pair->value);
			else
				kid->at.bad = pair->value->kind != NODE_NULL;
		}
		buf_free(&why);
		free(sub);
	}
}

static void
walk_pair(
    struct loader *l, size_t file, struct sect *s, const char *group, const struct conf_pair *pair)
{
	char *name = conf_join(group, pair->key), *path = NULL;
	size_t i;

	if (pair->value->kind == NODE_BAD)
		goto out;
	for (i = 0; i < conf_n_keys; i++)
		if (conf_keys[i].scope == s->scope && strcmp(conf_keys[i].name, name) == 0 &&
		    strchr(pair->key, '.') == NULL) {
			apply(l, file, s, &conf_keys[i], pair);
			goto out;
		}
	path = conf_join(s->path, name);
	for (i = 1; i < CONF_N_SCOPES; i++)
		if (conf_scopes[i].parent == s->scope && strcmp(conf_scopes[i].key, name) == 0) {
			if (wants_map(l, file, pair->line, path, pair->value))
				walk_sections(l, file, s, (enum conf_scope_id)i, path, pair->value);
			goto out;
		}
	if (is_group(s->scope, name)) {
		if (wants_map(l, file, pair->line, path, pair->value))
			walk(l, file, s, name, pair->value);
		goto out;
	}
	unknown_key(l, file, pair->line, s, group, pair->key);
out:
	free(name);
	free(path);
}

static void
walk(struct loader *l, size_t file, struct sect *s, const char *group, const struct conf_node *map)
{
	size_t i;

	for (i = 0; i < map->n; i++)
		walk_pair(l, file, s, group, &map->pairs[i]);
}

/* The table of show config. */

static void
add_item(struct loader *l, size_t *cap, const struct sect *s, const struct conf_key *k,
    const struct sect *parent)
{
	const struct mark *m = &s->marks[k - conf_keys];
	const struct conf_key *from = k;
	const struct sect *owner = s;
	struct conf_item *item;
	size_t i;

	if (s->scope == SC_CHECK && !conf_key_is_set(k, s->obj)) /* of another type, most of them */
		return;
	/* What a tag does not say is the set's. */
	if (s->scope == SC_TAG && parent != NULL && !conf_key_is_set(k, s->obj))
		for (i = 0; i < conf_n_keys; i++)
			if (conf_keys[i].scope == SC_SET &&
			    strcmp(conf_keys[i].name, k->name) == 0) {
				from = &conf_keys[i];
				owner = parent;
				m = &parent->marks[i];
			}
	l->conf->items = xgrow(l->conf->items, l->conf->n_items, cap, sizeof *l->conf->items);
	item = &l->conf->items[l->conf->n_items++];
	item->path = conf_join(s->path, k->name);
	item->value = conf_key_format(from, owner->obj);
	item->origin =
	    m->line ? xasprintf("%s:%d", l->errs.files[m->file], m->line) : xstrdup("default");
}

static void
add_items(struct loader *l, size_t *cap, const struct sect *s, const struct sect *parent)
{
	size_t i, scope;

	for (i = 0; i < conf_n_keys; i++)
		if (conf_keys[i].scope == s->scope)
			add_item(l, cap, s, &conf_keys[i], parent);
	for (scope = 1; scope < CONF_N_SCOPES; scope++)
		for (i = 0; i < s->n_kids; i++)
			if (s->kids[i]->scope == scope)
				add_items(l, cap, s->kids[i], s);
}

static void
loader_init(struct loader *l, const char *file)
{
	size_t i;

	memset(l, 0, sizeof *l);
	l->conf = xcalloc(1, sizeof *l->conf);
	l->conf->file = xstrdup(file);
	for (i = 0; i < conf_n_keys; i++)
		if (conf_keys[i].scope == SC_ROOT)
			conf_key_default(&conf_keys[i], l->conf);
	l->root = sect_new(SC_ROOT, l->conf, xstrdup(""));
}

static int
loader_finish(struct loader *l, struct conf **out, conf_report_cb *report, void *arg)
{
	size_t cap = 0;
	int err = 0;

	if (!l->broken)
		conf_check_whole(l);
	conf_errors_report(&l->errs, report, arg);
	if (l->errs.n > l->errs.n_warnings) {
		conf_free(l->conf);
		err = -EINVAL;
	} else {
		add_items(l, &cap, l->root, NULL);
		*out = l->conf;
	}
	sect_free(l->root);
	conf_errors_clear(&l->errs);
	return err;
}

static void
load_text(struct loader *l, size_t file, const char *text, size_t len)
{
	struct conf_node *tree;

	if (conf_yaml_parse(&l->errs, file, text, len, &tree) != 0) {
		l->broken = true;
		return;
	}
	if (wants_map(l, file, tree->line, "this file", tree))
		walk(l, file, l->root, "", tree);
	conf_node_free(tree);
}

static void
load_file(struct loader *l, const char *path)
{
	size_t file = conf_errors_file(&l->errs, path), len;
	char *text;
	int err = file_read(path, CONF_FILE_MAX, &text, &len);

	if (err == 0) {
		load_text(l, file, text, len);
		free(text);
		return;
	}
	l->broken = true;
	if (err == -EFBIG)
		conf_error(&l->errs, file, 1, "cannot read this file: it is larger than %d bytes",
		    CONF_FILE_MAX);
	else
		conf_error(&l->errs, file, 1, "cannot read this file: %s; %s", strerror(-err),
		    err == -EACCES   ? "let c4d's user read it"
		    : err == -EISDIR ? "name a file"
				     : "name another with -c FILE, or put it there");
}

/* The *.yml of conf.d beside `file`, in lexical order. No conf.d is fine. */
int
conf_text_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
load_conf_d(struct loader *l, const char *file)
{
	const char *slash = strrchr(file, '/');
	char *dir = xasprintf("%.*sconf.d", slash ? (int)(slash - file) + 1 : 0, file);
	struct strlist names = { 0 };
	struct dirent *e;
	DIR *d = opendir(dir);
	size_t i;

	if (d == NULL) {
		if (errno != ENOENT) {
			const char *text = strerror(errno);

			conf_error(&l->errs, conf_errors_file(&l->errs, dir), 1,
			    "cannot read this directory: %s", text);
			l->broken = true;
		}
		goto out;
	}
	while ((e = readdir(d)) != NULL) {
		size_t len = strlen(e->d_name);

		if (e->d_name[0] != '.' && len > 4 && strcmp(e->d_name + len - 4, ".yml") == 0)
			conf_strlist_add(&names, e->d_name);
	}
	closedir(d);
	if (names.n > 1)
		qsort(names.v, names.n, sizeof *names.v, conf_text_cmp);
	for (i = 0; i < names.n; i++) {
		char *path = xasprintf("%s/%s", dir, names.v[i]);

		load_file(l, path);
		free(path);
	}
out:
	conf_strlist_free(&names);
	free(dir);
}

int
conf_load(struct conf **out, const char *file, conf_report_cb *report, void *arg)
{
	struct loader l;

	loader_init(&l, file);
	load_file(&l, file);
	load_conf_d(&l, file);
	conf_check_notify(&l);
	return loader_finish(&l, out, report, arg);
}

int
conf_load_text(struct conf **out, const char *name, const char *text, size_t len,
    conf_report_cb *report, void *arg)
{
	struct loader l;

	loader_init(&l, name);
	load_text(&l, conf_errors_file(&l.errs, name), text, len);
	return loader_finish(&l, out, report, arg);
}
