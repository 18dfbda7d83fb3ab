/* The kinds of tables. Formats as Debian's and the C4 systems' files have them. */
#include "reconcile/table_kind.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kamailio/addrfile.h"
#include "kamailio/dbtext.h"

#define RTPENGINE_HEADER "id(int,auto) setid(int) url(string) weight(int) disabled(int) stamp(int) "
#define DOMAIN_HEADER "id(int) domain(string) did(string) last_modified(int) "
#define DOMAIN_ATTRS_HEADER "id(int,auto) did(string) name(string) type(int) value(string) last_modified(int) "

static int64_t
cell_number(const struct dbtext *t, size_t row, const char *col)
{
	const char *s = dbtext_cell(t, row, dbtext_col(t, col));
	int64_t n;

	return s != NULL && text_parse_int(s, INT32_MIN, INT32_MAX, &n) == 0 ? n : 0;
}

static int
open_table(struct dbtext *t, const char *text, size_t len, const char *header)
{
	return len == 0 ? dbtext_init(t, header) : dbtext_parse(text, len, t);
}

/* The next id that no row has. */
static int64_t
next_id(const struct dbtext *t)
{
	int64_t id = 0;
	size_t i;

	for (i = 0; i < t->n_rows; i++)
		if (cell_number(t, i, "id") > id)
			id = cell_number(t, i, "id");
	return id + 1;
}

struct cells {
	const char **v;
	const struct dbtext *t;
};

static void
put(struct cells *c, const char *col, const char *value)
{
	int i = dbtext_col(c->t, col);

	if (i >= 0)
		c->v[i] = value;
}

/* ---- rtpengine ---- */

static void
read_node(const struct dbtext *t, size_t i, struct table_rows *out)
{
	const char *url = dbtext_cell(t, i, dbtext_col(t, "url"));
	struct table_row *row;

	if (url == NULL)
		return;
	row = table_rows_add(out, (int)cell_number(t, i, "setid"), url);
	row->weight = (int)cell_number(t, i, "weight");
	row->disabled = cell_number(t, i, "disabled") != 0;
}

static int
rtpengine_parse(const char *text, size_t len, struct table_rows *out, size_t *bad)
{
	struct dbtext t = { 0 };
	int err = open_table(&t, text, len, RTPENGINE_HEADER);
	size_t i;

	for (i = 0; i < t.n_rows; i++)
		read_node(&t, i, out);
	*bad = t.n_bad;
	dbtext_clear(&t);
	table_rows_sort(out);
	return err;
}

static int
rtpengine_compose(const char *old, size_t len, const struct table_scopes *scopes, const struct table_rows *rows,
    struct buf *out, struct buf *why)
{
	struct dbtext t = { 0 };
	int err = open_table(&t, old, len, RTPENGINE_HEADER);
	size_t i, bad;

	if (err != 0) {
		buf_puts(why, "its first line is no header of a db_text table: move the file away");
		return err;
	}
	for (i = t.n_rows; i-- > 0;)
		if (table_scope_find(scopes, (int)cell_number(&t, i, "setid")) != NULL)
			dbtext_remove(&t, i);
	for (i = 0; i < rows->n && err == 0; i++) {
		struct cells c = { xcalloc(t.n_cols, sizeof *c.v), &t };
		char id[24], set[16], weight[16];

		snprintf(id, sizeof id, "%lld", (long long)next_id(&t));
		snprintf(set, sizeof set, "%d", rows->v[i].set);
		snprintf(weight, sizeof weight, "%d", rows->v[i].weight);
		put(&c, "id", id);
		put(&c, "setid", set);
		put(&c, "url", rows->v[i].item);
		put(&c, "weight", weight);
		put(&c, "disabled", rows->v[i].disabled ? "1" : "0");
		put(&c, "stamp", "0");
		err = dbtext_add(&t, c.v, &bad);
		if (err != 0)
			buf_printf(why, "column %s does not take the row of %s: compare its header with \"%s\"",
			    bad < t.n_cols ? t.cols[bad].name : "?", rows->v[i].item, RTPENGINE_HEADER);
		free(c.v);
	}
	if (err == 0)
		dbtext_compose(&t, out);
	dbtext_clear(&t);
	return err;
}

/*
 * disabled: 0, 1 (for recheck_ticks) or, for good, the text "1(permanent)" of 5.x; 6.0 says 1 and recheck_ticks -1
 * (MI_MAX_RECHECK_TICKS as a signed number).
 */
static int
rtpengine_read(const struct binrpc_msg *msg, size_t which, struct table_rows *out)
{
	const struct binrpc_value *v;

	for (v = msg->first; v != NULL; v = v->next) {
		const char *url, *disabled;
		struct table_row *row;
		int64_t set = 0, n = 0;
		bool off;

		if (v->type != BINRPC_STRUCT)
			return -EBADMSG;
		url = binrpc_text(v->child, "url");
		if (url == NULL || !binrpc_int(v->child, "set", &set))
			return -EBADMSG;
		row = table_rows_add(out, (int)set, url);
		if (binrpc_int(v->child, "weight", &n))
			row->weight = (int)n;
		disabled = binrpc_text(v->child, "disabled");
		off = disabled != NULL ? disabled[0] == '1' : binrpc_int(v->child, "disabled", &n) && n != 0;
		row->disabled = off && ((disabled != NULL && strstr(disabled, "permanent") != NULL) ||
		    (binrpc_int(v->child, "recheck_ticks", &n) && n < 0));
		row->asleep = off && !row->disabled;
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
	.empty_fault = "not found",
	.reload = "rtpengine.reload",
	.refusal = "too short reload",
	.setting = "modparam(\"db_text\", \"db_mode\", 1) and modparam(\"rtpengine\", \"db_url\", \"text://DIRECTORY\") with the directory of",
	.probed = true,
};

/* ---- domain ---- */

static int
domain_parse(const char *text, size_t len, struct table_rows *out, size_t *bad)
{
	struct dbtext t = { 0 };
	int err = open_table(&t, text, len, DOMAIN_HEADER);
	size_t i;

	for (i = 0; i < t.n_rows; i++) {
		const char *domain = dbtext_cell(&t, i, dbtext_col(&t, "domain"));

		if (domain != NULL)
			(void)table_rows_add(out, 0, domain);
	}
	*bad = t.n_bad;
	dbtext_clear(&t);
	table_rows_sort(out);
	return err;
}

static int
domain_compose(const char *old, size_t len, const struct table_scopes *scopes, const struct table_rows *rows, struct buf *out,
    struct buf *why)
{
	struct dbtext t = { 0 };
	int err = open_table(&t, old, len, DOMAIN_HEADER);
	struct table_rows have = { 0 };
	size_t i, bad;

	if (err != 0) {
		buf_puts(why, "its first line is no header of a db_text table: move the file away");
		return err;
	}
	/* What stays, stays whole: somebody's did and attributes. */
	for (i = t.n_rows; i-- > 0;) {
		const char *domain = dbtext_cell(&t, i, dbtext_col(&t, "domain"));
		struct table_row key = { .item = (char *)(uintptr_t)domain };

		if (domain == NULL || table_find(rows, &key) == NULL)
			dbtext_remove(&t, i);
		else
			(void)table_rows_add(&have, 0, domain);
	}
	table_rows_sort(&have);
	for (i = 0; i < rows->n && err == 0; i++) {
		struct cells c = { xcalloc(t.n_cols, sizeof *c.v), &t };
		char id[24];

		if (table_find(&have, &rows->v[i]) == NULL) {
			snprintf(id, sizeof id, "%lld", (long long)next_id(&t));
			put(&c, "id", id);
			put(&c, "domain", rows->v[i].item);
			put(&c, "did", rows->v[i].item);
			put(&c, "last_modified", "0");
			err = dbtext_add(&t, c.v, &bad);
			if (err != 0)
				buf_printf(why, "column %s does not take the row of %s: compare its header with \"%s\"",
				    bad < t.n_cols ? t.cols[bad].name : "?", rows->v[i].item, DOMAIN_HEADER);
		}
		free(c.v);
	}
	if (err == 0)
		dbtext_compose(&t, out);
	table_rows_clear(&have);
	dbtext_clear(&t);
	return err;
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
	.setting = "modparam(\"db_text\", \"db_mode\", 1) and modparam(\"domain\", \"db_url\", \"text://DIRECTORY\") with the directory of",
};

/* ---- permissions ---- */

static int
permissions_parse(const char *text, size_t len, struct table_rows *out, size_t *bad)
{
	struct addr_entries e = { 0 };
	size_t i;

	addrfile_parse(text, len, &e, bad);
	for (i = 0; i < e.n; i++) {
		struct table_row *row = table_rows_add(out, e.v[i].group, e.v[i].ip);

		row->mask = e.v[i].mask;
		row->port = e.v[i].port;
		row->tag = xstrdup(e.v[i].tag);
	}
	addr_entries_clear(&e);
	table_rows_sort(out);
	return 0;
}

static int
permissions_compose(const char *old, size_t len, const struct table_scopes *scopes, const struct table_rows *rows,
    struct buf *out, struct buf *why)
{
	int *groups = xcalloc(scopes->n, sizeof *groups), err;
	struct addr_entries e = { 0 };
	const char *bad = NULL;
	size_t i;

	for (i = 0; i < scopes->n; i++)
		groups[i] = scopes->v[i].set;
	for (i = 0; i < rows->n; i++)
		addr_entries_add(&e, rows->v[i].set, rows->v[i].item, rows->v[i].mask, rows->v[i].port, rows->v[i].tag);
	addr_entries_sort(&e);
	err = addrfile_compose(old, len, groups, scopes->n, &e, out, &bad);
	if (err != 0)
		buf_printf(why, "Kamailio would not read the line of %s back as it is meant: correct its tag or network", bad ? bad : "?");
	addr_entries_clear(&e);
	free(groups);
	return err;
}

/* permissions.addressDump, subnetDump, domainDump: one struct per entry with its group and an item of it. */
static int
permissions_read(const struct binrpc_msg *msg, size_t which, struct table_rows *out)
{
	static const char *const keys[] = { "ip", "ip", "domain_name" };
	const struct binrpc_value *v;

	for (v = msg->first; v != NULL; v = v->next) {
		const struct binrpc_value *item = v->type == BINRPC_STRUCT ? binrpc_find(v->child, "item") : NULL;
		const char *ip, *tag;
		struct table_row *row;
		struct topo_addr addr;
		int64_t group, n;

		if (v->type == BINRPC_STRUCT && v->child == NULL)
			continue; /* an empty table */
		if (item == NULL || item->type != BINRPC_STRUCT || !binrpc_int(v->child, "group", &group))
			return -EBADMSG;
		ip = binrpc_text(item->child, keys[which]);
		if (ip == NULL)
			return -EBADMSG;
		row = table_rows_add(out, (int)group, ip);
		if (binrpc_int(item->child, "port", &n))
			row->port = (int)n;
		if (binrpc_int(item->child, "mask", &n))
			row->mask = (int)n;
		else if (topo_addr_parse_ip(ip, &addr) == 0)
			row->mask = addr.family == 6 ? 128 : 32;
		tag = binrpc_text(item->child, "tag");
		if (tag != NULL && tag[0] && strcmp(tag, "NULL") != 0 && strcmp(tag, "<null string>") != 0)
			row->tag = xstrdup(tag);
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
	.setting = "modparam(\"permissions\", \"address_file\", ...) naming",
};
