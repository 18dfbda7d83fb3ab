/* The kinds of tables. Formats as Debian's and the C4 systems' files have them. */
#include "reconcile/table_kind.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kamailio/addrfile.h"
#include "reconcile/table_db.h"

#define RTPENGINE_HEADER "id(int,auto) setid(int) url(string) weight(int) disabled(int) stamp(int) "
#define DOMAIN_HEADER "id(int) domain(string) did(string) last_modified(int) "
#define DOMAIN_ATTRS_HEADER "id(int,auto) did(string) name(string) type(int) value(string) last_modified(int) "
#define DB_TEXT(module) \
	"modparam(\"db_text\", \"db_mode\", 1) and modparam(\"" module \
	"\", \"db_url\", \"text://DIRECTORY\") with the directory of"

/* ---- db_text ---- */

int64_t
table_db_number(const struct dbtext *t, size_t row, const char *col)
{
	const char *s = dbtext_cell(t, row, dbtext_col(t, col));
	int64_t n;

	return s != NULL && text_parse_int(s, INT32_MIN, INT32_MAX, &n) == 0 ? n : 0;
}

/* Kamailio does not read a last line that has no newline; somebody meant it to be one all the same. */
static int
open_table(struct dbtext *t, const char *text, size_t len, const char *header)
{
	struct buf whole = { 0 };
	int err;

	if (len == 0)
		return dbtext_init(t, header);
	if (text[len - 1] == '\n')
		return dbtext_parse(text, len, t);
	buf_add(&whole, text, len);
	buf_puts(&whole, "\n");
	err = dbtext_parse(whole.s, whole.len, t);
	buf_free(&whole);
	return err;
}

int
table_db_parse(const struct table_format *f, const char *text, size_t len, struct table_rows *out, size_t *bad)
{
	struct dbtext t = { 0 };
	int err = open_table(&t, text, len, f->header);
	size_t i;

	for (i = 0; i < t.n_rows; i++)
		(void)f->read(&t, i, out);
	*bad = t.n_bad;
	dbtext_clear(&t);
	table_rows_sort(out);
	return err;
}

static int
add_table_row(struct dbtext *t, const struct table_cell cells[TABLE_CELLS_MAX], size_t *bad)
{
	const char **v = xcalloc(t->n_cols, sizeof *v);
	size_t i;
	int col, err;

	for (i = 0; i < TABLE_CELLS_MAX && cells[i].col != NULL; i++) {
		col = dbtext_col(t, cells[i].col);
		if (col >= 0)
			v[col] = cells[i].s ? cells[i].s : cells[i].text;
	}
	err = dbtext_add(t, v, bad);
	free(v);
	return err;
}

/* A row that stays, with the cells that are to be as we say. */
static int
set_cells(struct dbtext *t, size_t row, const struct table_cell cells[TABLE_CELLS_MAX], const char *const keep[])
{
	size_t i, k;
	int col, err = 0;

	for (i = 0; i < TABLE_CELLS_MAX && cells[i].col != NULL && err == 0; i++) {
		for (k = 0; keep[k] != NULL && strcmp(keep[k], cells[i].col) != 0; k++)
			;
		col = dbtext_col(t, cells[i].col);
		if (keep[k] == NULL && col >= 0)
			err = dbtext_set(t, row, col, cells[i].s ? cells[i].s : cells[i].text);
	}
	return err;
}

static int64_t
last_id(const struct dbtext *t)
{
	int64_t id = 0;
	size_t i;

	for (i = 0; i < t->n_rows; i++)
		if (table_db_number(t, i, "id") > id)
			id = table_db_number(t, i, "id");
	return id;
}

/* Rows that stay are put right in their places, others' not even that; those that nobody wants go. `done`: which are there. */
static int
edit_table(struct dbtext *t, const struct table_format *f, const struct table_scopes *scopes, const struct table_rows *rows,
    bool *done)
{
	struct table_cell cells[TABLE_CELLS_MAX];
	struct table_rows one = { 0 };
	const struct table_row *want;
	size_t i;
	int err = 0;

	for (i = t->n_rows; i-- > 0 && err == 0;) {
		table_rows_clear(&one);
		if (!f->read(t, i, &one) || table_scope_find(scopes, one.v[0].set) == NULL)
			continue;
		want = table_find(rows, &one.v[0]);
		if (want != NULL && want->owner == ROW_THEIRS) {
			done[want - rows->v] = true;
			continue;
		}
		if (want == NULL || done[want - rows->v]) {
			dbtext_remove(t, i);
			continue;
		}
		done[want - rows->v] = true;
		memset(cells, 0, sizeof cells);
		f->cells(want, cells);
		if (!table_row_same(want, &one.v[0]))
			err = set_cells(t, i, cells, f->keep);
	}
	table_rows_clear(&one);
	return err;
}

int
table_db_compose(const struct table_format *f, const char *old, size_t len, const struct table_scopes *scopes,
    const struct table_rows *rows, struct buf *out, struct buf *why)
{
	struct dbtext t = { 0 };
	int err = open_table(&t, old, len, f->header);
	bool *done = xcalloc(rows->n, sizeof *done);
	struct table_cell cells[TABLE_CELLS_MAX];
	int64_t id;
	size_t i, bad = 0;

	if (err != 0) {
		buf_puts(why, "its first line is no header of a db_text table: move the file away");
		free(done);
		return err;
	}
	if (f->prepare != NULL)
		err = f->prepare(&t);
	id = last_id(&t);
	if (err == 0)
		err = edit_table(&t, f, scopes, rows, done);
	if (err != 0)
		buf_printf(why, "a row of it can't be changed: compare its header with \"%s\"", f->header);
	for (i = 0; i < rows->n && err == 0; i++) {
		if (done[i])
			continue;
		memset(cells, 0, sizeof cells);
		f->cells(&rows->v[i], cells);
		snprintf(cells[0].text, sizeof cells[0].text, "%lld", (long long)++id);
		err = add_table_row(&t, cells, &bad);
		if (err != 0)
			buf_printf(why, "column %s does not take the row of %s: compare its header with \"%s\"",
			    bad < t.n_cols ? t.cols[bad].name : "?", rows->v[i].item, f->header);
	}
	if (err == 0)
		dbtext_compose(&t, out);
	dbtext_clear(&t);
	free(done);
	return err;
}

/* ---- rtpengine ---- */

/* Kamailio leaves out the blanks around a url. */
static bool
rtpengine_row(const struct dbtext *t, size_t i, struct table_rows *out)
{
	const char *url = dbtext_cell(t, i, dbtext_col(t, "url"));
	struct table_row *row;
	char *trimmed;
	size_t len;

	if (url == NULL)
		return false;
	while (isspace((unsigned char)*url))
		url++;
	for (len = strlen(url); len > 0 && isspace((unsigned char)url[len - 1]);)
		len--;
	trimmed = xstrndup(url, len);
	row = table_rows_add(out, (int)table_db_number(t, i, "setid"), trimmed);
	row->weight = (int)table_db_number(t, i, "weight");
	row->disabled = table_db_number(t, i, "disabled") != 0;
	free(trimmed);
	return true;
}

static void
rtpengine_cells(const struct table_row *row, struct table_cell c[TABLE_CELLS_MAX])
{
	c[0].col = "id";
	c[1].col = "setid";
	snprintf(c[1].text, sizeof c[1].text, "%d", row->set);
	c[2].col = "url";
	c[2].s = row->item;
	c[3].col = "weight";
	snprintf(c[3].text, sizeof c[3].text, "%d", row->weight);
	c[4].col = "disabled";
	snprintf(c[4].text, sizeof c[4].text, "%d", row->disabled);
	c[5].col = "stamp";
	snprintf(c[5].text, sizeof c[5].text, "0");
}

static const struct table_format rtpengine_format = {
	RTPENGINE_HEADER, rtpengine_row, rtpengine_cells, { "id", "setid", "url", "stamp", NULL }, NULL,
};

static int
rtpengine_parse(const char *text, size_t len, struct table_rows *out, size_t *bad)
{
	return table_db_parse(&rtpengine_format, text, len, out, bad);
}

static int
rtpengine_compose(const char *old, size_t len, const struct table_scopes *scopes, const struct table_rows *rows,
    struct buf *out, struct buf *why)
{
	return table_db_compose(&rtpengine_format, old, len, scopes, rows, out, why);
}

/*
 * 5.x: disabled is 0, 1 (for recheck_ticks) or, for good, the text "1(permanent)". 6.0: disabled 1 is for good, and
 * `active` says whether it is in use.
 */
static void
read_state(const struct binrpc_value *node, struct table_row *row)
{
	const char *text = binrpc_text(node, "disabled");
	int64_t disabled = 0, active;

	(void)binrpc_int(node, "disabled", &disabled);
	if (binrpc_int(node, "active", &active)) {
		row->disabled = disabled != 0;
		row->asleep = disabled == 0 && active == 0;
	} else {
		row->disabled = text != NULL && strstr(text, "permanent") != NULL;
		row->asleep = !row->disabled && (disabled != 0 || (text != NULL && text[0] == '1'));
	}
}

static int
rtpengine_read(const struct binrpc_msg *msg, size_t which, struct table_rows *out)
{
	const struct binrpc_value *v;

	for (v = msg->first; v != NULL; v = v->next) {
		const char *url = v->type == BINRPC_STRUCT ? binrpc_text(v->child, "url") : NULL;
		struct table_row *row;
		int64_t set, weight;

		if (url == NULL || !binrpc_int(v->child, "set", &set))
			return -EBADMSG;
		row = table_rows_add(out, (int)set, url);
		if (binrpc_int(v->child, "weight", &weight))
			row->weight = (int)weight;
		read_state(v->child, row);
	}
	return 0;
}

const struct table_kind table_kind_rtpengine = {
	.name = "rtpengine",
	.file = "rtpengine",
	.versions = { { "rtpengine", 1, NULL } },
	.desire = table_desire_rtpengine,
	.service = table_service_rtpengine,
	.parse = rtpengine_parse,
	.compose = rtpengine_compose,
	.reads = { { "rtpengine.show", "all" } },
	.read = rtpengine_read,
	.empty_fault = "Instance not found",
	.reload = "rtpengine.reload",
	.refusal = "too short reload",
	.shut = "a row of the table names a host that it can't resolve or reach (its log says so), which shuts its window "
		"anew at each question and each call; or somebody else reloads all the time",
	.setting = DB_TEXT("rtpengine"),
	.probed = true,
	.delta_ms = 10000, /* RTPE_LIST_VERSION_DELAY, rtpengine.c: hard-coded */
	.refused_ms = 1000,
};

/* ---- domain ---- */

static bool
domain_row(const struct dbtext *t, size_t i, struct table_rows *out)
{
	const char *domain = dbtext_cell(t, i, dbtext_col(t, "domain"));

	if (domain != NULL)
		(void)table_rows_add(out, 0, domain);
	return domain != NULL;
}

static void
domain_cells(const struct table_row *row, struct table_cell c[TABLE_CELLS_MAX])
{
	c[0].col = "id";
	c[1].col = "domain";
	c[1].s = row->item;
	c[2].col = "did";
	c[2].s = row->item;
	c[3].col = "last_modified";
	snprintf(c[3].text, sizeof c[3].text, "0");
}

/* What is there stays whole: somebody's did, and the attributes that hang on it. */
static const struct table_format domain_format = {
	DOMAIN_HEADER, domain_row, domain_cells, { "id", "domain", "did", "last_modified", NULL }, NULL,
};

static int
domain_parse(const char *text, size_t len, struct table_rows *out, size_t *bad)
{
	return table_db_parse(&domain_format, text, len, out, bad);
}

static int
domain_compose(const char *old, size_t len, const struct table_scopes *scopes, const struct table_rows *rows, struct buf *out,
    struct buf *why)
{
	return table_db_compose(&domain_format, old, len, scopes, rows, out, why);
}

static int
domain_read(const struct binrpc_msg *msg, size_t which, struct table_rows *out)
{
	const struct binrpc_value *list, *v;
	const char *domain;

	if (msg->first == NULL)
		return 0;
	if (msg->first->type != BINRPC_STRUCT)
		return -EBADMSG;
	list = binrpc_find(msg->first->child, "domains");
	if (list == NULL || (list->type != BINRPC_STRUCT && list->type != BINRPC_ARRAY))
		return -EBADMSG;
	for (v = list->child; v != NULL; v = v->next) {
		domain = v->type == BINRPC_STRUCT ? binrpc_text(v->child, "domain") : NULL;
		if (domain == NULL)
			return -EBADMSG;
		(void)table_rows_add(out, 0, domain);
	}
	return 0;
}

const struct table_kind table_kind_domain = {
	.name = "domain",
	.file = "domain",
	.one_row = true,
	.versions = { { "domain", 2, NULL }, { "domain_attrs", 1, DOMAIN_ATTRS_HEADER } },
	.desire = table_desire_domain,
	.service = table_service_domain,
	.parse = domain_parse,
	.compose = domain_compose,
	.reads = { { "domain.dump", NULL } },
	.read = domain_read,
	.reload = "domain.reload",
	.setting = DB_TEXT("domain"),
	.delta_ms = 1000, /* there is no window, but the table of before lives until the next reload */
	.refused_ms = 500,
};

/* ---- permissions ---- */

/* As Kamailio's str2ip(): digits and three dots are an address, and what is above 255 wraps. False: none. */
static bool
parse_ipv4(const char *text, struct topo_addr *out)
{
	struct topo_addr a = { .family = 4 };
	size_t dots = 0;

	for (; *text != '\0'; text++) {
		if (*text == '.' && dots < 3)
			dots++;
		else if (isdigit((unsigned char)*text))
			a.ip[dots] = (uint8_t)(a.ip[dots] * 10 + (*text - '0'));
		else
			return false;
	}
	*out = a;
	return dots == 3;
}

/* An address in the one form in which Kamailio dumps it; a name as it is. */
static struct table_row *
add_address(struct table_rows *out, int group, const char *text)
{
	size_t len = strlen(text);
	bool bracket = len > 2 && text[0] == '[' && text[len - 1] == ']';
	char ip[TOPO_ADDR_TEXT] = "";
	struct topo_addr a;

	if (bracket)
		snprintf(ip, sizeof ip, "%.*s", (int)len - 2, text + 1);
	if (topo_addr_parse_ip(bracket ? ip : text, &a) != 0 && !parse_ipv4(text, &a))
		return table_rows_add(out, group, text);
	topo_addr_format_ip(&a, ip);
	return table_rows_add(out, group, ip);
}

static struct table_row *
add_entry(struct table_rows *out, const struct addr_entry *e)
{
	struct table_row *row = add_address(out, e->group, e->ip);

	row->mask = e->mask;
	row->port = e->port;
	row->tag = xstrdup(e->tag);
	row->in_block = e->ours;
	return row;
}

static int
permissions_parse(const char *text, size_t len, struct table_rows *out, size_t *bad)
{
	struct addr_entries e = { 0 };
	size_t i;

	addrfile_parse(text, len, &e, bad);
	for (i = 0; i < e.n; i++)
		(void)add_entry(out, &e.v[i]);
	addr_entries_clear(&e);
	table_rows_sort(out);
	return 0;
}

/* The group that a line begins with; -1: none. */
static int
line_group(const struct block_walk *w)
{
	const char *end = w->line + w->len, *p = block_skip_blanks(w->line, end), *digits = p;
	long group;

	return block_read_number(&p, end, INT_MAX, &group) && p > digits ? (int)group : -1;
}

/*
 * Does this line stay where it is? Those of other groups do, and outside of our block those that say exactly what is wanted.
 * A line that Kamailio would refuse, and the file with it, goes when it is of a group of ours.
 */
static bool
line_stays(const struct block_walk *w, const struct table_scopes *scopes, const struct table_rows *rows, bool *done)
{
	struct addr_entries e = { 0 };
	const struct table_row *want;
	struct table_rows one = { 0 };
	size_t i, bad, ours = 0;
	bool stays;

	addrfile_parse(w->line, w->len, &e, &bad);
	for (i = 0; i < e.n; i++) /* an over-long line is several to Kamailio */
		ours += table_scope_find(scopes, e.v[i].group) != NULL;
	stays = ours == 0 && (bad == 0 || table_scope_find(scopes, line_group(w)) == NULL);
	if (ours == 1 && e.n == 1 && bad == 0 && !w->in_block) {
		want = table_find(rows, add_entry(&one, &e.v[0]));
		stays = want != NULL && (want->owner == ROW_THEIRS || (table_row_same(want, &one.v[0]) && !done[want - rows->v]));
		if (stays)
			done[want - rows->v] = true;
	}
	table_rows_clear(&one);
	addr_entries_clear(&e);
	return stays;
}

static int
permissions_compose(const char *old, size_t len, const struct table_scopes *scopes, const struct table_rows *rows,
    struct buf *out, struct buf *why)
{
	int *groups = xcalloc(scopes->n, sizeof *groups), err;
	bool *done = xcalloc(rows->n, sizeof *done), had_block = false;
	struct block_walk w = { .at = old, .end = old + len };
	struct addr_entries e = { 0 };
	struct buf block = { 0 };
	const char *bad = NULL;
	size_t i;

	buf_puts(out, "");
	while (block_next_line(&w)) {
		had_block |= w.marker;
		if (!w.marker && line_stays(&w, scopes, rows, done))
			buf_add(out, w.line, w.len);
	}
	for (i = 0; i < scopes->n; i++)
		groups[i] = scopes->v[i].set;
	for (i = 0; i < rows->n; i++)
		if (!done[i])
			addr_entries_add(&e, rows->v[i].set, rows->v[i].item, rows->v[i].mask, rows->v[i].port, rows->v[i].tag);
	addr_entries_sort(&e);
	err = addrfile_compose(had_block ? ADDRFILE_BEGIN "\n" : "", had_block ? sizeof ADDRFILE_BEGIN : 0, groups, scopes->n, &e,
	    &block, &bad);
	if (err != 0)
		buf_printf(why, "Kamailio would not read the line of %s back as it is meant: correct its tag or network", bad ? bad : "?");
	if (block.len > 0 && out->len > 0 && out->s[out->len - 1] != '\n')
		buf_puts(out, "\n");
	if (block.len > 0)
		buf_add(out, block.s, block.len);
	buf_free(&block);
	addr_entries_clear(&e);
	free(done);
	free(groups);
	return err;
}

/*
 * permissions.addressDump and subnetDump: one struct per entry, with its group and an item of it. domainDump: one struct for
 * all, in which table, group and item repeat.
 */
static int
permissions_read(const struct binrpc_msg *msg, size_t which, struct table_rows *out)
{
	const char *key = which < 2 ? "ip" : "domain_name", *text, *tag;
	const struct binrpc_value *v, *m;
	int64_t group, n;

	for (v = msg->first; v != NULL; v = v->next) {
		if (v->type != BINRPC_STRUCT)
			return -EBADMSG;
		for (group = -1, m = v->child; m != NULL; m = m->next) {
			struct table_row *row;

			if (m->type == BINRPC_INT && m->name != NULL && strcmp(m->name, "group") == 0)
				group = m->num;
			if (m->name == NULL || strcmp(m->name, "item") != 0)
				continue;
			text = m->type == BINRPC_STRUCT ? binrpc_text(m->child, key) : NULL;
			if (text == NULL || group < 0)
				return -EBADMSG;
			row = add_address(out, (int)group, text);
			if (which == 0)
				row->mask = row->addr.family == 6 ? 128 : 32;
			else if (which == 1 && binrpc_int(m->child, "mask", &n))
				row->mask = (int)n;
			if (binrpc_int(m->child, "port", &n))
				row->port = (int)n;
			tag = binrpc_text(m->child, "tag");
			row->tag = tag != NULL && tag[0] ? xstrdup(tag) : NULL;
		}
	}
	return 0;
}

const struct table_kind table_kind_permissions = {
	.name = "permissions",
	.versions = { { NULL, 0, NULL } },
	.desire = table_desire_permissions,
	.service = table_service_permissions,
	.parse = permissions_parse,
	.compose = permissions_compose,
	.reads = { { "permissions.addressDump", NULL }, { "permissions.subnetDump", NULL }, { "permissions.domainDump", NULL } },
	.read = permissions_read,
	.reload = "permissions.addressReload",
	.refusal = "ongoing reload",
	.shut = "its modparam(\"permissions\", \"reload_delta\") is longer than permissions_delta, or somebody else "
		"reloads all the time",
	.setting = "modparam(\"permissions\", \"address_file\", \"PATH\") with the path of",
	.net_setting = "modparam(\"permissions\", \"max_subnets\", N) with room for all networks (512 unless set)",
	.refused_ms = 500,
};
