#include "kamailio/dslist.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NO_SCHEME_MAX 499 /* longer URIs are not mended, pack_dest() */

#define TEXT_MIN 256
#define TEXT_MAX (256u << 10)

/* Never moved, since entries point into it. */
struct ds_text {
	struct ds_text *next;
	size_t used;
	size_t size;
	char s[];
};

/* Room for a text of `len` bytes and its NUL. Pieces grow with the list. */
static char *
text_room(struct ds_entries *e, size_t len)
{
	struct ds_text *t = e->text;
	size_t size;
	char *room;

	if (t == NULL || t->size - t->used <= len) {
		size = t == NULL ? TEXT_MIN : 2 * t->size < TEXT_MAX ? 2 * t->size : TEXT_MAX;
		if (size <= len)
			size = len + 1;
		t = xrealloc(NULL, 1, sizeof *t + size);
		t->next = e->text;
		t->used = 0;
		t->size = size;
		e->text = t;
	}
	room = t->s + t->used;
	t->used += len + 1;
	room[len] = '\0';
	return room;
}

static struct ds_entry *
add(struct ds_entries *e, int set, unsigned flags, int priority)
{
	struct ds_entry *v;

	e->v = xgrow(e->v, e->n, &e->cap, sizeof *e->v);
	v = &e->v[e->n++];
	memset(v, 0, sizeof *v);
	v->set = set;
	v->flags = flags;
	v->priority = priority;
	return v;
}

static const char *
add_text(struct ds_entries *e, const char *head, const char *text, size_t len)
{
	char *room = text_room(e, strlen(head) + len);

	memcpy(stpcpy(room, head), text, len);
	return room;
}

void
ds_entries_add(struct ds_entries *e, int set, const char *uri, unsigned flags, int priority,
    const char *attrs)
{
	struct ds_entry *v = add(e, set, flags, priority);

	v->uri = add_text(e, "", uri, strlen(uri));
	if (attrs != NULL && *attrs != '\0')
		v->attrs = add_text(e, "", attrs, strlen(attrs));
}

void
ds_entries_clear(struct ds_entries *e)
{
	struct ds_text *t;

	while ((t = e->text) != NULL) {
		e->text = t->next;
		free(t);
	}
	free(e->v);
	memset(e, 0, sizeof *e);
}

struct sort_key {
	struct ds_entry entry;
	struct topo_addr addr; /* family 0: the host is a name */
	size_t place;
};

static int
compare(long a, long b)
{
	return a < b ? -1 : a > b;
}

static int
by_place(const void *pa, const void *pb)
{
	const struct sort_key *a = pa, *b = pb;
	int c = compare(a->entry.set, b->entry.set);

	if (c == 0)
		c = compare(b->entry.priority, a->entry.priority);
	if (c == 0)
		c = topo_addr_cmp(&a->addr, &b->addr);
	if (c == 0)
		c = strcmp(a->entry.uri, b->entry.uri);
	/* qsort() is not stable, but equal input must give equal files */
	return c != 0 ? c : a->place < b->place ? -1 : 1;
}

void
ds_entries_sort(struct ds_entries *e)
{
	struct sort_key *keys;
	size_t i;

	if (e->n < 2)
		return;
	keys = xcalloc(e->n, sizeof *keys);
	for (i = 0; i < e->n; i++) {
		keys[i].entry = e->v[i];
		keys[i].place = i;
		if (dslist_uri_addr(e->v[i].uri, &keys[i].addr) != 0)
			memset(&keys[i].addr, 0, sizeof keys[i].addr);
	}
	qsort(keys, e->n, sizeof *keys, by_place);
	for (i = 0; i < e->n; i++)
		e->v[i] = keys[i].entry;
	free(keys);
}

/* ---- schemes ---- */

static bool
has_scheme(const char *uri, size_t len, const char *scheme)
{
	size_t n = strlen(scheme);

	return len >= n && strncasecmp(uri, scheme, n) == 0;
}

/* sip: or sips: with something behind it. */
static bool
is_sip_uri(const char *uri, size_t len)
{
	return (len > 4 && has_scheme(uri, len, "sip:")) ||
	       (len > 5 && has_scheme(uri, len, "sips:"));
}

/* As pack_dest(): a URI without scheme gets "sip:". NULL: refused (it is stricter still). */
static const char *
scheme_to_add(const char *uri, size_t len)
{
	static const char *const others[] = { "sip:", "sips:", "tel:", "tels:", "urn:" };
	size_t i;

	if (is_sip_uri(uri, len))
		return "";
	for (i = 0; i < NELEM(others); i++)
		if (has_scheme(uri, len, others[i]))
			return NULL;
	return len > 4 && len <= NO_SCHEME_MAX ? "sip:" : NULL;
}

/* ---- the file ---- */

/* False: Kamailio refuses its URI. */
static bool
add_line(struct ds_entries *out, const struct block_fields *f, bool ours)
{
	const char *scheme = scheme_to_add(f->word, f->word_len);
	struct ds_entry *v;

	if (scheme == NULL)
		return false;
	v = add(out, f->id, (unsigned)f->first, f->second);
	v->ours = ours;
	v->uri = add_text(out, scheme, f->word, f->word_len);
	if (f->last_len > 0)
		v->attrs = add_text(out, "", f->last, f->last_len);
	return true;
}

void
dslist_parse(const char *text, size_t len, struct ds_entries *out, size_t *bad)
{
	struct block_walk w = { .at = text, .end = text + len };
	struct block_fields f;
	size_t n_bad = 0;

	while (block_next_line(&w))
		while (block_next_fields(&w, false, &f))
			n_bad += !f.whole || !add_line(out, &f, w.in_block);
	if (bad != NULL)
		*bad = n_bad;
}

static const struct ds_set_ref *
find_set(const struct ds_set_ref *sets, size_t n_sets, int id)
{
	size_t i;

	for (i = 0; i < n_sets; i++)
		if (sets[i].id == id)
			return &sets[i];
	return NULL;
}

/* Is the present line c4d's to replace? What c4d no longer manages becomes foreign. */
static bool
is_ours(struct block_walk *w, const struct ds_set_ref *sets, size_t n_sets)
{
	const struct ds_set_ref *set;
	struct block_fields f;

	if (w->marker)
		return true;
	while (block_next_fields(w, false, &f)) {
		set = f.whole && scheme_to_add(f.word, f.word_len) != NULL ? find_set(sets, n_sets, f.id) : NULL;
		if (set != NULL && (set->exclusive || w->in_block))
			return true;
	}
	return false;
}

/* Would Kamailio read back what we write? */
static bool
is_writable(const struct ds_entry *e)
{
	if (e->set < 0 || e->priority < 0 || e->flags > INT_MAX)
		return false;
	if (!is_sip_uri(e->uri, strlen(e->uri)) || strpbrk(e->uri, BLOCK_BLANKS "#") != NULL)
		return false;
	return e->attrs == NULL || (e->attrs[0] != '#' && strpbrk(e->attrs, BLOCK_BLANKS) == NULL);
}

/* Not negative. Thousands of lines are composed for the change of one. */
static void
add_number(struct buf *out, int n)
{
	char digits[16], *p = digits + sizeof digits;

	do
		*--p = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	buf_add(out, p, (size_t)(digits + sizeof digits - p));
}

static int
add_entry(struct buf *out, const struct ds_entry *e)
{
	size_t before = out->len;

	if (!is_writable(e))
		return -EINVAL;
	add_number(out, e->set);
	buf_puts(out, " ");
	buf_puts(out, e->uri);
	buf_puts(out, " ");
	add_number(out, (int)e->flags);
	buf_puts(out, " ");
	add_number(out, e->priority);
	if (e->attrs != NULL && *e->attrs != '\0') {
		buf_puts(out, " ");
		buf_puts(out, e->attrs);
	}
	if (out->len - before > DSLIST_LINE_MAX)
		return -EMSGSIZE;
	buf_puts(out, "\n");
	return 0;
}

int
dslist_compose(const char *old, size_t len, const struct ds_set_ref *sets, size_t n_sets,
    const struct ds_entries *ours, struct buf *out, const char **bad_uri)
{
	struct block_walk w = { .at = old, .end = old + len };
	struct buf block = { 0 };
	int err = 0;
	size_t i;

	for (i = 0; i < ours->n && err == 0; i++) {
		err = -EINVAL;
		if (find_set(sets, n_sets, ours->v[i].set) != NULL)
			err = add_entry(&block, &ours->v[i]);
		if (err != 0)
			*bad_uri = ours->v[i].uri;
	}
	if (err == 0) {
		*out = (struct buf){ 0 };
		while (block_next_line(&w))
			if (!is_ours(&w, sets, n_sets))
				buf_add(out, w.line, w.len);
		block_append(out, &w, DSLIST_BEGIN, &block);
	}
	buf_free(&block);
	return err;
}

/* ---- URIs ---- */

int
dslist_uri_addr(const char *uri, struct topo_addr *out)
{
	char host[TOPO_ADDR_TEXT];
	const char *p, *end;
	struct topo_addr a;
	bool bracket, sips;
	long port = 0;
	size_t len;

	if (!is_sip_uri(uri, strlen(uri)))
		return -EINVAL;
	sips = uri[3] != ':';
	p = uri + (sips ? 5 : 4);
	/* Neither parameters nor headers may hold a bare '@', a user part may hold ';' and '?'. */
	end = strchr(p, '@');
	if (end != NULL)
		p = end + 1;
	bracket = *p == '[';
	p += bracket;
	len = strcspn(p, bracket ? "]" : ":;?");
	end = p + len;
	if (len >= sizeof host || (bracket && *end != ']'))
		return -EINVAL;
	memcpy(host, p, len);
	host[len] = '\0';
	if (topo_addr_parse_ip(host, &a) != 0 || bracket != (a.family == 6))
		return -EINVAL;
	end += bracket;
	if (*end == ':') {
		end++;
		if (!block_read_number(&end, end + strlen(end), 65535, &port))
			return -EINVAL;
	}
	if (*end != '\0' && *end != ';' && *end != '?')
		return -EINVAL;
	if (port == 0) /* ":" and ":0" are none to Kamailio too */
		port = sips ? 5061 : 5060;
	a.port = (uint16_t)port;
	*out = a;
	return 0;
}
