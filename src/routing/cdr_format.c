#include <inttypes.h>
#include <string.h>

#include "routing/cdr.h"

/* In quotes where it has to be. */
static void
add_text(struct buf *b, const char *s)
{
	size_t n;

	if (s[strcspn(s, ",\"\r\n")] == '\0') {
		buf_puts(b, s);
		return;
	}
	buf_puts(b, "\"");
	for (; *s; s += n) {
		n = strcspn(s, "\"");
		buf_add(b, s, n);
		if (s[n] == '"') {
			buf_puts(b, "\"\"");
			n++;
		}
	}
	buf_puts(b, "\"");
}

static void
add_value(struct buf *b, enum rt_type type, const union rt_value *v)
{
	if (type == RT_INT || type == RT_BOOL) {
		if (v->i != RT_NULL)
			buf_printf(b, "%" PRId64, v->i);
	} else if (v->s != NULL) {
		add_text(b, v->s);
	}
}

void
cdr_csv_header(struct buf *b)
{
	const struct rt_schema *s = &rt_schemas[RT_CDRS];
	size_t i;

	for (i = 0; i < s->n_cols; i++)
		buf_printf(b, "%s%s", i ? "," : "", s->cols[i].name);
	buf_puts(b, "\r\n");
}

void
cdr_csv(const struct rt_row *row, struct buf *b)
{
	const struct rt_schema *s = &rt_schemas[RT_CDRS];
	size_t i;

	for (i = 0; i < s->n_cols; i++) {
		if (i)
			buf_puts(b, ",");
		add_value(b, s->cols[i].type, &row->v[i]);
	}
	buf_puts(b, "\r\n");
}
