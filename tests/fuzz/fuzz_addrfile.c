/*
 * fuzz_addrfile: any bytes as permissions' address file. Composing with what was parsed must keep
 * the foreign entries, hold ours, and change nothing the second time.
 */
#include <string.h>

#include "fuzz.h"
#include "kamailio/addrfile.h"

static const int groups[] = { 1, 2 };

/* The managed entries of a file, or the others. */
static void
pick(const struct addr_entries *from, bool managed, struct addr_entries *out)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct addr_entry *e = &from->v[i];

		if ((e->group == 1 || e->group == 2) == managed)
			addr_entries_add(out, e->group, e->ip, e->mask, e->port, e->tag);
	}
}

static void
must_equal(const struct addr_entries *a, const struct addr_entries *b)
{
	must(a->n == b->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct addr_entry *x = &a->v[i], *y = &b->v[i];

		must(x->group == y->group && x->mask == y->mask && x->port == y->port);
		must(strcmp(x->ip, y->ip) == 0 && (x->tag == NULL) == (y->tag == NULL));
		must(x->tag == NULL || strcmp(x->tag, y->tag) == 0);
		must(addr_entry_kind(x) == addr_entry_kind(y));
	}
}

static void
check_new_text(const char *old, size_t len, const struct buf *text, const struct addr_entries *ours,
    const struct addr_entries *foreign)
{
	struct addr_entries parsed = { 0 }, now = { 0 };
	const char *bad_ip = NULL;
	struct buf again;

	addrfile_parse(text->s, text->len, &parsed, NULL);
	pick(&parsed, true, &now);
	must_equal(&now, ours);
	addr_entries_clear(&now);
	/* A line that Kamailio reads in pieces is dropped as a whole when one piece is ours. */
	if (!has_long_line(old, len)) {
		pick(&parsed, false, &now);
		must_equal(&now, foreign);
		addr_entries_clear(&now);
	}
	addr_entries_clear(&parsed);
	must(addrfile_compose(text->s, text->len, groups, NELEM(groups), ours, &again, &bad_ip) ==
	     0);
	must(again.len == text->len && memcmp(again.s, text->s, again.len) == 0);
	buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct addr_entries all = { 0 }, ours = { 0 }, foreign = { 0 };
	const char *old = (const char *)data, *bad_ip = NULL;
	struct buf text;
	size_t bad = 0;

	if (size == 0)
		return 0;
	addrfile_parse(old, size, &all, &bad);
	must(bad <= size && all.n <= size);
	pick(&all, true, &ours);
	pick(&all, false, &foreign);
	addr_entries_sort(&ours);
	if (addrfile_compose(old, size, groups, NELEM(groups), &ours, &text, &bad_ip) == 0) {
		check_new_text(old, size, &text, &ours, &foreign);
		buf_free(&text);
	} else {
		must(bad_ip != NULL);
	}
	addr_entries_clear(&all);
	addr_entries_clear(&ours);
	addr_entries_clear(&foreign);
	return 0;
}
