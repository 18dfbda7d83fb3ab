/*
 * fuzz_dslist: any bytes as a dispatcher list file. Composing with what was parsed must keep the
 * foreign entries, hold ours, and change nothing the second time.
 */
#include <string.h>

#include "fuzz.h"
#include "kamailio/dslist.h"

static const struct ds_set_ref sets[] = { { 1, true }, { 2, false } };

static bool
is_managed(const struct ds_entry *e)
{
	return e->set == 1 || (e->set == 2 && e->ours);
}

/* The managed entries of a file, or the others. */
static void
pick(const struct ds_entries *from, bool managed, struct ds_entries *out)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct ds_entry *e = &from->v[i];

		if (is_managed(e) == managed)
			ds_entries_add(out, e->set, e->uri, e->flags, e->priority, e->attrs);
	}
}

static void
must_equal(const struct ds_entries *a, const struct ds_entries *b)
{
	must(a->n == b->n);
	for (size_t i = 0; i < a->n; i++) {
		must(a->v[i].set == b->v[i].set && a->v[i].flags == b->v[i].flags);
		must(a->v[i].priority == b->v[i].priority && strcmp(a->v[i].uri, b->v[i].uri) == 0);
		must((a->v[i].attrs == NULL) == (b->v[i].attrs == NULL));
		must(a->v[i].attrs == NULL || strcmp(a->v[i].attrs, b->v[i].attrs) == 0);
	}
}

static void
check_new_text(const char *old, size_t len, const struct buf *text, const struct ds_entries *ours,
    const struct ds_entries *foreign)
{
	struct ds_entries parsed = { 0 }, now = { 0 };
	const char *bad_uri = NULL;
	struct buf again;

	dslist_parse(text->s, text->len, &parsed, NULL);
	pick(&parsed, true, &now);
	must_equal(&now, ours);
	ds_entries_clear(&now);
	/* A line that Kamailio reads in pieces is dropped as a whole when one piece is ours. */
	if (!has_long_line(old, len)) {
		pick(&parsed, false, &now);
		must_equal(&now, foreign);
		ds_entries_clear(&now);
	}
	ds_entries_clear(&parsed);
	must(dslist_compose(text->s, text->len, sets, NELEM(sets), ours, &again, &bad_uri) == 0);
	must(again.len == text->len && memcmp(again.s, text->s, again.len) == 0);
	buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ds_entries all = { 0 }, ours = { 0 }, foreign = { 0 };
	const char *old = (const char *)data, *bad_uri = NULL;
	struct buf text;
	size_t bad = 0;

	if (size == 0)
		return 0;
	dslist_parse(old, size, &all, &bad);
	must(bad <= size && all.n <= size);
	for (size_t i = 0; i < all.n; i++) {
		struct topo_addr a;

		if (dslist_uri_addr(all.v[i].uri, &a) == 0)
			must((a.family == 4 || a.family == 6) && a.port != 0);
	}
	pick(&all, true, &ours);
	pick(&all, false, &foreign);
	ds_entries_sort(&ours);
	if (dslist_compose(old, size, sets, NELEM(sets), &ours, &text, &bad_uri) == 0) {
		check_new_text(old, size, &text, &ours, &foreign);
		buf_free(&text);
	} else {
		must(bad_uri != NULL);
	}
	ds_entries_clear(&all);
	ds_entries_clear(&ours);
	ds_entries_clear(&foreign);
	return 0;
}
