/*
 * The uacreg table: carrier registrations. A row's cells, all but id and l_uuid, are its `tag`, with a separator between; `secret` says that nobody
 * may read it out. Kamailio dumps passwords in clear (5.6, 6.0), so they are compared like the rest.
 *
 * What can't be compared with the dump: a contact_addr that is null there is the module's own, and expires grows when a
 * registrar wants it longer (423). Of these, what Kamailio was last given counts (table_uacreg_settle()).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/table_db.h"
#include "routing/uacreg.h"

#define SEPARATOR '\x1f'
#define FIRST UACREG_L_USERNAME /* of the cells in a tag */
#define HEADER                                                                                                                       \
	"id(int,auto) l_uuid(string) l_username(string) l_domain(string,null) r_username(string) r_domain(string) realm(string,null) "  \
	"auth_username(string,null) auth_password(string,null) auth_ha1(string,null) auth_proxy(string,null) expires(int) flags(int) "  \
	"reg_delay(int) contact_addr(string,null) socket(string,null) "

/* ---- cells ---- */

/* NULL and "" are null. */
static char *
pack(const char *const v[UACREG_COLS])
{
	struct buf b = { 0 };
	size_t i;

	for (i = FIRST; i < UACREG_COLS; i++) {
		if (i > FIRST)
			buf_add(&b, &(char){ SEPARATOR }, 1);
		buf_puts(&b, v[i] != NULL ? v[i] : "");
	}
	return buf_take(&b);
}

/* Lent to `v`; the caller frees what is returned. */
static char *
unpack(const char *tag, const char *v[UACREG_COLS])
{
	char *copy = xstrdup(tag != NULL ? tag : ""), *p = copy;
	size_t i;

	v[UACREG_ID] = v[UACREG_L_UUID] = NULL;
	for (i = FIRST; i < UACREG_COLS; i++) {
		char *end = p != NULL ? strchr(p, SEPARATOR) : NULL;

		if (end != NULL)
			*end = '\0';
		v[i] = p != NULL ? p : "";
		p = end != NULL ? end + 1 : NULL;
	}
	return copy;
}

static void
set_cells(struct table_row *row, const char *const v[UACREG_COLS])
{
	free(row->tag);
	row->tag = pack(v);
	row->secret = true;
}

static bool
is_password(enum uacreg_col col)
{
	return col == UACREG_AUTH_PASSWORD || col == UACREG_AUTH_HA1;
}

char *
table_uacreg_cell(const struct table_row *row, int col)
{
	const char *v[UACREG_COLS];
	char *copy = unpack(row->tag, v), *text = NULL;

	if (col >= FIRST && col < UACREG_COLS && !is_password((enum uacreg_col)col) && v[col][0] != '\0')
		text = xstrdup(v[col]);
	free(copy);
	return text;
}

char *
table_uacreg_changes(const struct table_row *from, const struct table_row *to)
{
	const char *a[UACREG_COLS], *b[UACREG_COLS];
	char *one = unpack(from->tag, a), *other = unpack(to->tag, b);
	struct buf text = { 0 };
	size_t i;

	for (i = FIRST; i < UACREG_COLS; i++) {
		if (strcmp(a[i], b[i]) == 0)
			continue;
		buf_printf(&text, "%s%s", text.len > 0 ? ", " : "", uacreg_columns[i].name);
		if (!is_password((enum uacreg_col)i))
			buf_printf(&text, " %s -> %s", a[i][0] ? a[i] : "(none)", b[i][0] ? b[i] : "(none)");
	}
	free(one);
	free(other);
	return buf_take(&text);
}

/* ---- the file ---- */

static bool
is_number(size_t col)
{
	return col == UACREG_EXPIRES || col == UACREG_FLAGS || col == UACREG_REG_DELAY;
}

static bool
read_row(const struct dbtext *t, size_t i, struct table_rows *out)
{
	const char *uuid = dbtext_cell(t, i, dbtext_col(t, "l_uuid")), *v[UACREG_COLS] = { NULL };
	char numbers[UACREG_COLS][24];
	size_t c;

	if (uuid == NULL)
		return false;
	for (c = FIRST; c < UACREG_COLS; c++) {
		v[c] = dbtext_cell(t, i, dbtext_col(t, uacreg_columns[c].name));
		if (is_number(c)) {
			snprintf(numbers[c], sizeof numbers[c], "%lld", (long long)table_db_number(t, i, uacreg_columns[c].name));
			v[c] = numbers[c];
		}
	}
	set_cells(table_rows_add(out, 0, uuid), v);
	return true;
}

static void
make_cells(const struct table_row *row, struct table_cell c[TABLE_CELLS_MAX])
{
	const char *v[UACREG_COLS];
	char *copy = unpack(row->tag, v);
	size_t i;

	for (i = 0; i < UACREG_COLS; i++) {
		c[i].col = uacreg_columns[i].name;
		if (i >= FIRST)
			snprintf(c[i].text, sizeof c[i].text, "%s", v[i]);
	}
	c[UACREG_L_UUID].s = row->item;
	free(copy);
}

static bool
may_be_null(size_t col)
{
	return strstr(uacreg_columns[col].type, "null") != NULL;
}

/* Kamailio 5.5 and later find all of their columns in it, and fields may be empty where ours are. */
static bool
is_fit(const struct dbtext *t)
{
	size_t i;
	int col;

	for (i = UACREG_L_UUID; i < UACREG_COLS; i++) {
		col = dbtext_col(t, uacreg_columns[i].name);
		if (col < 0 || (may_be_null(i) && !t->cols[col].null))
			return false;
	}
	return true;
}

/* Somebody else's column, or ours. */
static void
add_column(const struct dbtext_col *col, struct buf *header)
{
	static const char *const types[] = {
		[DBTEXT_INT] = "int", [DBTEXT_DOUBLE] = "double", [DBTEXT_STRING] = "string", [DBTEXT_BLOB] = "blob", [DBTEXT_TIME] = "time",
	};
	bool null = col->null;
	size_t i;

	for (i = UACREG_L_UUID; i < UACREG_COLS; i++)
		null |= strcasecmp(col->name, uacreg_columns[i].name) == 0 && may_be_null(i);
	buf_printf(header, "%s(%s%s%s) ", col->name, types[col->type], col->automatic ? ",auto" : "", null ? ",null" : "");
}

static int
copy_rows(struct dbtext *to, const struct dbtext *from)
{
	const char **v = xcalloc(to->n_cols, sizeof *v);
	size_t i, c;
	int err = 0;

	for (i = 0; i < from->n_rows && err == 0; i++) {
		for (c = 0; c < to->n_cols; c++)
			v[c] = c < from->n_cols ? dbtext_cell(from, i, (int)c) : NULL;
		err = dbtext_add(to, v, NULL);
	}
	free(v);
	return err;
}

/*
 * A table of version 4 (without contact_addr), of the C4 systems' shape (13 columns), or the stock one in which nothing may be null: with the
 * columns that are missing behind the others. A Kamailio that wants less does not mind.
 */
static int
prepare(struct dbtext *t)
{
	struct dbtext fresh = { 0 };
	struct buf header = { 0 };
	size_t i;
	int err;

	if (is_fit(t))
		return 0;
	for (i = 0; i < t->n_cols; i++)
		add_column(&t->cols[i], &header);
	for (i = UACREG_L_UUID; i < UACREG_COLS; i++)
		if (dbtext_col(t, uacreg_columns[i].name) < 0)
			buf_printf(&header, "%s%s ", uacreg_columns[i].name, uacreg_columns[i].type);
	err = dbtext_init(&fresh, header.s);
	if (err == 0)
		err = copy_rows(&fresh, t);
	buf_free(&header);
	if (err != 0) {
		dbtext_clear(&fresh);
		return err;
	}
	dbtext_clear(t);
	*t = fresh;
	return 0;
}

static const struct table_format format = { HEADER, read_row, make_cells, { "id", "l_uuid", NULL }, prepare };

/* A header that Kamailio can't use is as bad as a line. */
static int
parse(const char *text, size_t len, struct table_rows *out, size_t *bad)
{
	struct dbtext t = { 0 };
	int err = table_db_parse(&format, text, len, out, bad);

	if (err == 0 && len > 0 && dbtext_parse(text, len, &t) == 0)
		*bad += !is_fit(&t);
	dbtext_clear(&t);
	return err;
}

static int
compose(const char *old, size_t len, const struct table_scopes *scopes, const struct table_rows *rows, struct buf *out, struct buf *why)
{
	return table_db_compose(&format, old, len, scopes, rows, out, why);
}

/* ---- registrations at the carriers ---- */

enum { DISABLED = 1, ONGOING = 2, ONLINE = 4, AUTHSENT = 8 }; /* of live_flags: UAC_REG_... */

/* uac.reg_unregister sets the time to 0 in memory: it does not register again. */
static bool
is_over(const struct table_row *have)
{
	char *expires = table_uacreg_cell(have, UACREG_EXPIRES);
	bool over = expires != NULL && strcmp(expires, "0") == 0;

	free(expires);
	return over;
}

static bool
is_busy(const struct table_row *have)
{
	return (have->live_flags & (ONGOING | AUTHSENT)) != 0;
}

/* Another account, another registrar, or another contact: what the new row registers does not replace what the old one has. */
static bool
is_elsewhere(const struct table_row *have, const struct table_row *want)
{
	static const int where[] = { UACREG_R_USERNAME, UACREG_R_DOMAIN, UACREG_AUTH_PROXY, UACREG_CONTACT };
	const char *a[UACREG_COLS], *b[UACREG_COLS];
	char *one = unpack(have->tag, a), *other = unpack(want->tag, b);
	bool differs = false;
	size_t i;

	for (i = 0; i < NELEM(where); i++)
		differs |= strcmp(a[where[i]], b[where[i]]) != 0;
	free(one);
	free(other);
	return differs;
}

static const struct table_leave leave = {
	.method = "uac.reg_unregister",
	.attribute = "l_uuid",
	.again = "uac.reg_refresh",
	.is_over = is_over,
	.is_busy = is_busy,
	.is_elsewhere = is_elsewhere,
};

/* ---- Kamailio's dump ---- */

/* As it writes what is not there. */
static const char *
given(const char *text)
{
	return text == NULL || strcmp(text, "none") == 0 || strcmp(text, "<null string>") == 0 ? "" : text;
}

static int
read_dump(const struct binrpc_msg *msg, size_t which, struct table_rows *out)
{
	const struct binrpc_value *node;
	char numbers[UACREG_COLS][24];
	const char *v[UACREG_COLS];
	struct table_row *row;
	int64_t n;
	size_t c;

	for (node = msg->first; node != NULL; node = node->next) {
		const char *uuid = node->type == BINRPC_STRUCT ? binrpc_text(node->child, "l_uuid") : NULL;

		if (uuid == NULL)
			return -EBADMSG;
		row = table_rows_add(out, 0, uuid);
		for (c = FIRST; c < UACREG_COLS; c++) {
			v[c] = given(binrpc_text(node->child, uacreg_columns[c].name));
			if (!is_number(c))
				continue;
			n = 0;
			(void)binrpc_int(node->child, uacreg_columns[c].name, &n);
			if (c == UACREG_FLAGS) {
				row->live_flags = (unsigned)n;
				n = 16; /* of the file's nothing is known: the rest is what became of it */
			}
			snprintf(numbers[c], sizeof numbers[c], "%lld", (long long)n);
			v[c] = numbers[c];
		}
		if (binrpc_int(node->child, "diff_expires", &n) && n > 0)
			row->live_s = n;
		set_cells(row, v);
		if (is_over(row) && !is_busy(row)) /* a carrier's yes to that sets the flag like any other */
			row->live_flags = (row->live_flags & ~(unsigned)ONLINE) | DISABLED;
	}
	return 0;
}

void
table_uacreg_settle(const struct table_rows *carried, struct table_rows *got)
{
	static const int unsure[] = { UACREG_AUTH_PASSWORD, UACREG_AUTH_HA1, UACREG_AUTH_PROXY };
	size_t i, k;

	for (i = 0; i < got->n; i++) {
		const struct table_row *was = table_find(carried, &got->v[i]);
		const char *a[UACREG_COLS], *b[UACREG_COLS];
		char *one, *other;

		if (was == NULL)
			continue;
		one = unpack(got->v[i].tag, a);
		other = unpack(was->tag, b);
		if (atoll(a[UACREG_EXPIRES]) > atoll(b[UACREG_EXPIRES]))
			a[UACREG_EXPIRES] = b[UACREG_EXPIRES];
		if (b[UACREG_CONTACT][0] == '\0')
			a[UACREG_CONTACT] = "";
		a[UACREG_FLAGS] = b[UACREG_FLAGS];
		for (k = 0; k < NELEM(unsure); k++)
			if (strcmp(b[unsure[k]], "none") == 0 && a[unsure[k]][0] == '\0')
				a[unsure[k]] = "none";
		set_cells(&got->v[i], a);
		free(one);
		free(other);
	}
}

/* ---- what is desired ---- */

static const char *
service(const struct conf_kamailio *kam, int set, size_t i)
{
	return NULL;
}

void
table_desire_trunks(const struct conf_kamailio *kam, const struct rt_data *data, const struct table_rows *filed, struct table_rows *out,
    struct buf *trouble)
{
	const struct rt_list *trunks = &data->t[RT_TRUNKS];
	const struct table_row *was;
	struct table_row key = { 0 };
	struct buf why = { 0 };
	size_t i, n = 0;
	char id[24];

	for (i = 0; i < trunks->n; i++) {
		struct uacreg_row row = { 0 };

		if (!uacreg_registers(trunks->v[i]))
			continue;
		why.len = 0;
		if (uacreg_row_of(trunks->v[i], kam->uacreg_contact, &row, &why) == 0) {
			set_cells(table_rows_add(out, 0, row.v[UACREG_L_UUID]), (const char *const *)row.v);
			uacreg_row_clear(&row);
			continue;
		}
		/* what it has at present stays until its row is right */
		snprintf(id, sizeof id, "%lld", (long long)rt_row_id(trunks->v[i]));
		key.item = id;
		was = table_find(filed, &key);
		if (was != NULL)
			table_rows_add_copy(out, was)->owner = ROW_THEIRS;
		if (n++ == 0)
			buf_puts(trouble, why.s);
	}
	if (n > 1)
		buf_printf(trouble, "; and %zu more", n - 1);
	buf_free(&why);
	table_rows_sort(out);
}

const struct table_kind table_kind_uacreg = {
	.name = "uacreg",
	.file = "uacreg",
	.one_row = true,
	.versions = { { "uacreg", 5, NULL } },
	.older = 4,
	.desire = table_desire_uacreg,
	.service = service,
	.parse = parse,
	.compose = compose,
	.reads = { { "uac.reg_dump", NULL } },
	.read = read_dump,
	.settle = table_uacreg_settle,
	.reload = "uac.reg_reload",
	.refusal = "failed to shift", /* it says no more, but logs the time */
	.shut = "its modparam(\"uac\", \"reg_gc_interval\") or \"reload_delta\" is longer than c4d knows of, or somebody else reloads all the time",
	.setting = "modparam(\"db_text\", \"db_mode\", 1) and modparam(\"uac\", \"reg_db_url\", \"text://DIRECTORY\") with the directory of",
	.leave = &leave,
	.secret = true,
	.delta_ms = 150000, /* reg_gc_interval of 5.x */
	.delta6_ms = 30000, /* reload_delta of 6.0 */
	.refused_ms = 5000,
};
