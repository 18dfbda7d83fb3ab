/*
 * table_fx: rows of tables as text.
 */
#ifndef TABLE_FX_H
#define TABLE_FX_H

#include "reconcile/table_plan.h"
#include "text_fx.h"

/* "SET ITEM [/MASK] [:PORT] [wN] [tTAG] [off] [asleep] [block]|" each. */
static inline void
assert_rows(const char *what, const struct table_rows *r, const char *want)
{
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < r->n; i++) {
		const struct table_row *row = &r->v[i];

		buf_printf(&b, "%d %s", row->set, row->item);
		if (row->mask != 0)
			buf_printf(&b, " /%d", row->mask);
		if (row->port != 0)
			buf_printf(&b, " :%d", row->port);
		if (row->weight != 0)
			buf_printf(&b, " w%d", row->weight);
		if (row->tag != NULL)
			buf_printf(&b, " t%s", row->tag);
		buf_printf(&b, "%s%s%s|", row->disabled ? " off" : "", row->asleep ? " asleep" : "", row->in_block ? " block" : "");
	}
	assert_text(what, buf_take(&b), want);
}

#endif
