#include "kamailio/addrfile.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "topology/addr.h"

/* ---- addresses ---- */

/* As str2ip(): digits and three dots are an address, whatever the numbers are. */
static int
parse_ipv4(const char *text, struct topo_addr *out)
{
	struct topo_addr a = { .family = 4 };
	size_t i = 0;

	for (; *text != '\0'; text++) {
		if (*text == '.' && i < 3)
			i++;
		else if (isdigit((unsigned char)*text))
			a.ip[i] = (uint8_t)(a.ip[i] * 10 + (*text - '0'));
		else
			return -EINVAL;
	}
	if (i < 3)
		return -EINVAL;
	*out = a;
	return 0;
}

/* As str2ip6(): in brackets or not, and no dots in it. What it takes beyond that is a name to us.
 */
static int
parse_ipv6(const char *text, struct topo_addr *out)
{
	bool bracket = *text == '[';
	char host[TOPO_ADDR_TEXT];
	size_t len = strlen(text);

	if (len >= sizeof host || strchr(text, '.') != NULL)
		return -EINVAL;
	if (bracket && text[len - 1] != ']')
		return -EINVAL;
	memcpy(host, text + bracket, len + 1 - bracket);
	if (bracket)
		host[len - 2] = '\0';
	return topo_addr_parse_ip(host, out);
}

static int
parse_ip(const char *text, struct topo_addr *out)
{
	if (*text == '[' || strchr(text, ':') != NULL)
		return parse_ipv6(text, out);
	return parse_ipv4(text, out);
}

/* The bits of its address; 0: a name. */
static int
ip_bits(const char *text)
{
	struct topo_addr a;

	if (parse_ip(text, &a) != 0)
		return 0;
	return a.family == 4 ? 32 : 128;
}

/* ---- entries ---- */

void
addr_entries_add(
    struct addr_entries *e, int group, const char *ip, int mask, int port, const char *tag)
{
	struct addr_entry *v;

	e->v = xgrow(e->v, e->n, &e->cap, sizeof *e->v);
	v = &e->v[e->n++];
	v->group = group;
	v->ip = xstrdup(ip);
	v->mask = mask != 0 ? mask : ip_bits(ip);
	v->port = port;
	v->tag = tag != NULL && *tag != '\0' ? xstrdup(tag) : NULL;
	v->ours = false;
}

void
addr_entries_clear(struct addr_entries *e)
{
	size_t i;

	for (i = 0; i < e->n; i++) {
		free(e->v[i].ip);
		free(e->v[i].tag);
	}
	free(e->v);
	memset(e, 0, sizeof *e);
}

enum addr_kind
addr_entry_kind(const struct addr_entry *e)
{
	int bits = ip_bits(e->ip);

	if (bits == 0)
		return ADDR_NAME;
	return e->mask == 0 || e->mask == bits ? ADDR_HOST : ADDR_SUBNET;
}

struct sort_key {
	struct addr_entry entry;
	struct topo_addr addr;
	bool name;
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
	int c = compare(a->entry.group, b->entry.group);

	if (c == 0)
		c = compare(a->name, b->name);
	if (c == 0)
		c = topo_addr_cmp(&a->addr, &b->addr);
	if (c == 0)
		c = strcmp(a->entry.ip, b->entry.ip);
	if (c == 0)
		c = compare(a->entry.mask, b->entry.mask);
	if (c == 0)
		c = compare(a->entry.port, b->entry.port);
	if (c == 0)
		c = strcmp(a->entry.tag ? a->entry.tag : "", b->entry.tag ? b->entry.tag : "");
	/* qsort() is not stable, but equal input must give equal files */
	return c != 0 ? c : a->place < b->place ? -1 : 1;
}

void
addr_entries_sort(struct addr_entries *e)
{
	struct sort_key *keys;
	size_t i;

	if (e->n < 2)
		return;
	keys = xcalloc(e->n, sizeof *keys);
	for (i = 0; i < e->n; i++) {
		keys[i].entry = e->v[i];
		keys[i].place = i;
		keys[i].name = parse_ip(e->v[i].ip, &keys[i].addr) != 0;
		if (keys[i].name)
			memset(&keys[i].addr, 0, sizeof keys[i].addr);
	}
	qsort(keys, e->n, sizeof *keys, by_place);
	for (i = 0; i < e->n; i++)
		e->v[i] = keys[i].entry;
	free(keys);
}

/* ---- the file ---- */

/* False: Kamailio refuses its mask. */
static bool
add_line(struct addr_entries *out, const struct block_fields *f, bool ours)
{
	char *ip = xstrndup(f->word, f->word_len), *tag = xstrndup(f->last, f->last_len);
	int bits = ip_bits(ip), mask = bits != 0 ? f->first : 0; /* a name's is not looked at */

	if (mask <= bits) {
		addr_entries_add(out, f->id, ip, mask, f->second, tag);
		out->v[out->n - 1].ours = ours;
	}
	free(ip);
	free(tag);
	return mask <= bits;
}

void
addrfile_parse(const char *text, size_t len, struct addr_entries *out, size_t *bad)
{
	struct block_walk w = { .at = text, .end = text + len };
	struct block_fields f;
	size_t n_bad = 0;

	while (block_next_line(&w))
		while (block_next_fields(&w, true, &f))
			n_bad += !f.whole || !add_line(out, &f, w.in_block);
	if (bad != NULL)
		*bad = n_bad;
}

static bool
is_managed(const int *groups, size_t n_groups, int group)
{
	size_t i;

	for (i = 0; i < n_groups; i++)
		if (groups[i] == group)
			return true;
	return false;
}

/*
 * Is the present line c4d's to replace? A bad one of a managed group too, since Kamailio refuses
 * the whole file for it. What c4d no longer manages becomes foreign.
 */
static bool
is_ours(struct block_walk *w, const int *groups, size_t n_groups)
{
	struct block_fields f;
	bool found = w->marker;

	while (!found && block_next_fields(w, true, &f))
		found = is_managed(groups, n_groups, f.id);
	return found;
}

/* Letters, digits, '-', '_' and '.': what else is in a name was meant to be something else. */
static bool
is_name(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr("-_.", *s) == NULL)
			return false;
	return true;
}

/* Would Kamailio, whichever version, read back what we write? */
static bool
is_writable(const struct addr_entry *e)
{
	int bits = ip_bits(e->ip);
	struct topo_addr a;

	if (e->group < 0 || e->port < 0 || e->port > 65535 || e->mask < 0 || e->mask > bits)
		return false;
	if (bits == 0 ? !is_name(e->ip) : bits == 32 && topo_addr_parse_ip(e->ip, &a) != 0)
		return false;
	return e->tag == NULL || strpbrk(e->tag, BLOCK_BLANKS "#") == NULL;
}

static int
add_entry(struct buf *out, const struct addr_entry *e)
{
	size_t before = out->len;

	if (!is_writable(e))
		return -EINVAL;
	buf_printf(out, "%d %s %d %d", e->group, e->ip, e->mask, e->port);
	if (e->tag != NULL && *e->tag != '\0')
		buf_printf(out, " %s", e->tag);
	if (out->len - before > ADDRFILE_LINE_MAX)
		return -EMSGSIZE;
	buf_puts(out, "\n");
	return 0;
}

int
addrfile_compose(const char *old, size_t len, const int *groups, size_t n_groups,
    const struct addr_entries *ours, struct buf *out, const char **bad_ip)
{
	struct block_walk w = { .at = old, .end = old + len };
	struct buf block = { 0 };
	int err = 0;
	size_t i;

	for (i = 0; i < ours->n && err == 0; i++) {
		err = -EINVAL;
		if (is_managed(groups, n_groups, ours->v[i].group))
			err = add_entry(&block, &ours->v[i]);
		if (err != 0)
			*bad_ip = ours->v[i].ip;
	}
	if (err == 0) {
		*out = (struct buf){ 0 };
		while (block_next_line(&w))
			if (!is_ours(&w, groups, n_groups))
				buf_add(out, w.line, w.len);
		block_append(out, &w, ADDRFILE_BEGIN, &block);
	}
	buf_free(&block);
	return err;
}
