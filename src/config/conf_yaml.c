/*
 * YAML by libyaml's events into a tree that knows its lines. Every scalar stays text. Refused: what
 * makes a configuration hard to follow (anchors, aliases, tags, several documents).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "config/conf_int.h"

#define DEPTH_MAX 16
#define PAIRS_MAX 1024
#define NODES_MAX 20000

struct reader {
	yaml_parser_t yp;
	struct conf_errors *errs;
	size_t file;
	const char *text;
	size_t len;
	size_t nodes;
};

size_t
conf_errors_file(struct conf_errors *e, const char *name)
{
	e->files = xgrow(e->files, e->n_files, &e->cap_files, sizeof *e->files);
	e->files[e->n_files] = xstrdup(name);
	return e->n_files++;
}

static void add_error(struct conf_errors *, size_t file, int line, bool warning, const char *fmt, va_list) PRINTF(5, 0);

static void
add_error(struct conf_errors *e, size_t file, int line, bool warning, const char *fmt, va_list ap)
{
	struct conf_error *err;
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	e->v = xgrow(e->v, e->n, &e->cap, sizeof *e->v);
	err = &e->v[e->n];
	err->file = file;
	err->line = line;
	err->seq = e->n++;
	err->warning = warning;
	err->text = text;
	e->n_warnings += warning;
}

void
conf_error(struct conf_errors *e, size_t file, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_error(e, file, line, false, fmt, ap);
	va_end(ap);
}

void
conf_warning(struct conf_errors *e, size_t file, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_error(e, file, line, true, fmt, ap);
	va_end(ap);
}

static int
error_cmp(const void *va, const void *vb)
{
	const struct conf_error *a = va, *b = vb;

	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

void
conf_errors_report(struct conf_errors *e, conf_report_cb *report, void *arg)
{
	size_t i;

	if (e->n == 0 || report == NULL)
		return;
	qsort(e->v, e->n, sizeof *e->v, error_cmp);
	for (i = 0; i < e->n; i++) {
		char *text = xasprintf("%s:%d: %s%s", e->files[e->v[i].file], e->v[i].line,
		    e->v[i].warning ? "warning: " : "", e->v[i].text);

		report(arg, text);
		free(text);
	}
}

void
conf_errors_clear(struct conf_errors *e)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		free(e->v[i].text);
	for (i = 0; i < e->n_files; i++)
		free(e->files[i]);
	free(e->v);
	free(e->files);
	memset(e, 0, sizeof *e);
}

/* "://user:password@" has no business in a log. */
static size_t
credentials_at(const char *s)
{
	size_t len = strncmp(s, "://", 3) == 0 ? strcspn(s + 3, "/?# ") + 3 : 0;

	while (len > 0 && s[len] != '@')
		len--;
	return len;
}

const char *
conf_quote(const char *s, char out[100])
{
	static const char hidden[] = "://(not shown)";
	size_t n = 0;

	while (*s && n < 80) {
		size_t skip = credentials_at(s);

		if (skip > 0) {
			memcpy(out + n, hidden, sizeof hidden - 1);
			n += sizeof hidden - 1;
			s += skip;
		} else {
			out[n++] = *s >= 0x20 && *s < 0x7f ? *s : '?';
			s++;
		}
	}
	strcpy(out + n, *s ? "..." : "");
	return out;
}

static void
node_clear(struct conf_node *node)
{
	size_t i;

	for (i = 0; i < node->n; i++) {
		if (node->kind == NODE_MAP) {
			free(node->pairs[i].key);
			conf_node_free(node->pairs[i].value);
		} else {
			conf_node_free(node->list[i]);
		}
	}
	free(node->list);
	free(node->pairs);
	free(node->text);
	memset(node, 0, sizeof *node);
	node->kind = NODE_BAD;
}

void
conf_node_free(struct conf_node *node)
{
	if (node == NULL)
		return;
	node_clear(node);
	free(node);
}

static int
mark_line(yaml_mark_t mark)
{
	return (int)mark.line + 1;
}

static bool
tab_indented(const struct reader *r, int line)
{
	const char *p = r->text, *end = r->text + r->len;

	while (line > 1 && p < end)
		line -= *p++ == '\n';
	while (p < end && *p == ' ')
		p++;
	return p < end && *p == '\t';
}

static void
syntax_error(struct reader *r)
{
	const yaml_parser_t *yp = &r->yp;
	const char *problem = yp->problem ? yp->problem : "cannot be read";
	struct buf text = { 0 };
	size_t i;
	int line = mark_line(yp->problem_mark);

	if (yp->error == YAML_READER_ERROR) {
		for (i = 0, line = 1; i < yp->problem_offset && i < r->len; i++)
			line += r->text[i] == '\n';
		conf_error(r->errs, r->file, line,
		    "not YAML in UTF-8: %s; remove or replace that character", problem);
		return;
	}
	buf_printf(&text, "not YAML: %s", problem);
	if (yp->context != NULL)
		buf_printf(&text, ", %s", yp->context);
	if (yp->context != NULL && mark_line(yp->context_mark) != line)
		buf_printf(&text, " that begins at line %d", mark_line(yp->context_mark));
	if (tab_indented(r, line))
		buf_puts(&text, "; indent with spaces, not tabs");
	conf_error(r->errs, r->file, line, "%s", text.s);
	buf_free(&text);
}

static int
next(struct reader *r, yaml_event_t *ev)
{
	if (yaml_parser_parse(&r->yp, ev))
		return 0;
	syntax_error(r);
	return -EINVAL;
}

/* Whether the event carries something that we refuse; the value is still read. */
static void
refuse_extras(struct reader *r, int line, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	char q[100];

	if (anchor != NULL)
		conf_error(r->errs, r->file, line,
		    "anchor '&%s': anchors and aliases are not supported; write the "
		    "values out",
		    conf_quote((const char *)anchor, q));
	if (tag != NULL)
		conf_error(r->errs, r->file, line,
		    "YAML tag '%s': tags are not supported; remove it, c4d knows the "
		    "type of every key",
		    conf_quote((const char *)tag, q));
}

static bool
is_null(const yaml_event_t *ev)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };
	size_t i;

	if (ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (i = 0; i < NELEM(words); i++)
		if (strcmp((const char *)ev->data.scalar.value, words[i]) == 0)
			return true;
	return false;
}

static bool
has_nul(const yaml_event_t *ev)
{
	return strlen((const char *)ev->data.scalar.value) != ev->data.scalar.length;
}

static void
fill_scalar(struct reader *r, struct conf_node *node, const yaml_event_t *ev)
{
	refuse_extras(r, node->line, ev->data.scalar.anchor, ev->data.scalar.tag);
	if (has_nul(ev)) {
		conf_error(
		    r->errs, r->file, node->line, "a value holds a NUL byte; remove the \\0");
		return;
	}
	node->kind = is_null(ev) ? NODE_NULL : NODE_TEXT;
	node->text = xstrdup((const char *)ev->data.scalar.value);
}

static int fill(struct reader *, struct conf_node *, const yaml_event_t *, int depth);

static struct conf_node *
node_new(const yaml_event_t *ev)
{
	struct conf_node *node = xcalloc(1, sizeof *node);

	node->kind = NODE_BAD;
	node->line = mark_line(ev->start_mark);
	return node;
}

static int
fill_list(struct reader *r, struct conf_node *node, int depth)
{
	size_t cap = 0;
	int err = 0;

	node->kind = NODE_LIST;
	while (err == 0) {
		yaml_event_t ev;

		err = next(r, &ev);
		if (err)
			break;
		if (ev.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&ev);
			break;
		}
		node->list = xgrow(node->list, node->n, &cap, sizeof *node->list);
		node->list[node->n++] = node_new(&ev);
		err = fill(r, node->list[node->n - 1], &ev, depth + 1);
		yaml_event_delete(&ev);
	}
	return err;
}

/* A key that stands twice is reported with both lines; the first one counts. */
static bool
key_is_new(struct reader *r, const struct conf_node *map, const char *key, int line)
{
	char q[100];
	size_t i;

	for (i = 0; i < map->n; i++) {
		if (strcmp(map->pairs[i].key, key) != 0)
			continue;
		conf_error(r->errs, r->file, line,
		    "key '%s' is repeated: it already stands at line %d; remove one of "
		    "them",
		    conf_quote(key, q), map->pairs[i].line);
		return false;
	}
	return true;
}

/* The key event of a pair; adds the pair with an empty value. */
static int
add_pair(struct reader *r, struct conf_node *map, const yaml_event_t *ev, size_t *cap, bool *good)
{
	int line = mark_line(ev->start_mark);
	const char *key;

	if (ev->type != YAML_SCALAR_EVENT || has_nul(ev)) {
		conf_error(r->errs, r->file, line, "a key must be plain text%s",
		    ev->type == YAML_ALIAS_EVENT
			? "; anchors and aliases are not supported"
			: "; put a value that begins with { or [ in quotes");
		return -EINVAL;
	}
	if (map->n == PAIRS_MAX) {
		conf_error(r->errs, r->file, line, "more than %d keys in one section", PAIRS_MAX);
		return -EINVAL;
	}
	key = (const char *)ev->data.scalar.value;
	refuse_extras(r, line, ev->data.scalar.anchor, ev->data.scalar.tag);
	*good = key_is_new(r, map, key, line);
	map->pairs = xgrow(map->pairs, map->n, cap, sizeof *map->pairs);
	map->pairs[map->n].key = xstrdup(key);
	map->pairs[map->n].line = line;
	map->pairs[map->n].value = node_new(ev);
	map->n++;
	return 0;
}

static int
fill_map(struct reader *r, struct conf_node *map, int depth)
{
	size_t cap = 0;
	int err = 0;

	map->kind = NODE_MAP;
	while (err == 0) {
		struct conf_node *value;
		yaml_event_t ev;
		bool good, end;

		err = next(r, &ev);
		if (err)
			break;
		end = ev.type == YAML_MAPPING_END_EVENT;
		if (!end)
			err = add_pair(r, map, &ev, &cap, &good);
		yaml_event_delete(&ev);
		if (end || err)
			break;
		err = next(r, &ev);
		if (err)
			break;
		value = map->pairs[map->n - 1].value;
		value->line = mark_line(ev.start_mark);
		err = fill(r, value, &ev, depth + 1);
		yaml_event_delete(&ev);
		if (!good)
			node_clear(value);
	}
	return err;
}

static int
fill(struct reader *r, struct conf_node *node, const yaml_event_t *ev, int depth)
{
	char q[100];

	if (depth > DEPTH_MAX) {
		conf_error(r->errs, r->file, node->line, "nested deeper than %d levels", DEPTH_MAX);
		return -EINVAL;
	}
	if (++r->nodes > NODES_MAX) {
		conf_error(
		    r->errs, r->file, node->line, "more than %d values in one file", NODES_MAX);
		return -EINVAL;
	}
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		fill_scalar(r, node, ev);
		return 0;
	case YAML_SEQUENCE_START_EVENT:
		refuse_extras(
		    r, node->line, ev->data.sequence_start.anchor, ev->data.sequence_start.tag);
		return fill_list(r, node, depth);
	case YAML_MAPPING_START_EVENT:
		refuse_extras(
		    r, node->line, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
		return fill_map(r, node, depth);
	case YAML_ALIAS_EVENT:
		conf_error(r->errs, r->file, node->line,
		    "alias '*%s': anchors and aliases are not supported; write the "
		    "values out",
		    conf_quote((const char *)ev->data.alias.anchor, q));
		return 0;
	default: /* the parser gives nothing else here */
		return -EINVAL;
	}
}

static int
read_stream(struct reader *r, struct conf_node **out)
{
	bool more = true;
	int err = 0;

	while (more && err == 0) {
		yaml_event_t ev;

		err = next(r, &ev);
		if (err)
			break;
		if (ev.type == YAML_STREAM_END_EVENT) {
			more = false;
		} else if (ev.type == YAML_DOCUMENT_START_EVENT && *out != NULL) {
			conf_error(r->errs, r->file, mark_line(ev.start_mark),
			    "a second YAML document; put it in a file of its own in conf.d");
			err = -EINVAL;
		} else if (ev.type == YAML_SCALAR_EVENT || ev.type == YAML_ALIAS_EVENT ||
			   ev.type == YAML_SEQUENCE_START_EVENT ||
			   ev.type == YAML_MAPPING_START_EVENT) {
			*out = node_new(&ev);
			err = fill(r, *out, &ev, 1);
		}
		yaml_event_delete(&ev);
	}
	return err;
}

int
conf_yaml_parse(
    struct conf_errors *errs, size_t file, const char *text, size_t len, struct conf_node **out)
{
	struct reader r = { .errs = errs, .file = file, .text = text, .len = len };
	struct conf_node *tree = NULL;
	int err;

	if (!yaml_parser_initialize(&r.yp))
		abort();
	yaml_parser_set_encoding(&r.yp, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.yp, (const unsigned char *)text, len);
	err = read_stream(&r, &tree);
	yaml_parser_delete(&r.yp);
	if (err) {
		conf_node_free(tree);
		return err;
	}
	if (tree == NULL) {
		tree = xcalloc(1, sizeof *tree);
		tree->kind = NODE_NULL;
	}
	*out = tree;
	return 0;
}
