/*
 * tables: what a Kamailio 5.6 (one whose name begins with "six": a 6.0) makes of its tables: the modules rtpengine, domain and
 * permissions, their windows and dumps. Files are read by a parser of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kamailio/binrpc.h"
#include "reconcile/table_plan.h"
#include "sim.h"

#define RTPENGINE_S 10 /* RTPE_LIST_VERSION_DELAY */
#define PERMISSIONS_S 5

struct modules { /* of one Kamailio; a new process begins anew */
	struct modules *next;
	char *name;
	int pid;
	struct table_rows nodes, domains, addresses;
	int64_t nodes_s, addresses_s; /* wall seconds of the last reload */
	int64_t meddled_us;           /* when somebody took a node in or out by hand */
};

#define KNOWN_US (3 * SIM_SECOND) /* what is longer ago c4d must know */

static struct modules *all;
static bool strict; /* Kamailio never has to wait for a node that is dead for long, when others of its set are not */

void
tables_strict(bool on)
{
	strict = on;
}

void
tables_reset(void)
{
	struct modules *m;

	strict = false;
	while ((m = all) != NULL) {
		all = m->next;
		table_rows_clear(&m->nodes);
		table_rows_clear(&m->domains);
		table_rows_clear(&m->addresses);
		free(m->name);
		free(m);
	}
}

/* ---- files ---- */

static const char *
table_text(const struct kamailio *k, const char *name)
{
	const struct conf_kamailio *c = c4d.conf != NULL ? conf_find_kamailio(c4d.conf, k->name) : NULL;
	const char *text;
	char *path;

	if (c == NULL)
		return NULL;
	path = strcmp(name, "addresses") == 0 ? xstrdup(c->address_file) : xasprintf("%s/%s", c->tables ? c->tables : "", name);
	text = path != NULL ? disk_get(path) : NULL;
	free(path);
	return text;
}

/* The n'th cell of a line of a db_text table, unescaped, for so long as the next one is not asked for. */
static const char *
cell(const char *line, int n)
{
	static char out[256];
	size_t len = 0;

	for (; *line != '\0' && *line != '\n'; line++) {
		if (*line == ':' && n-- == 0)
			break;
		if (*line == ':')
			continue;
		if (*line == '\\')
			line++;
		if (n == 0 && len < sizeof out - 1)
			out[len++] = *line;
	}
	out[len] = '\0';
	return out;
}

/* Dead for so long that c4d must know it, and it is not that all of its set are. */
static bool
is_needless(const struct modules *m, const struct table_row *row)
{
	bool others = false;
	size_t i;

	for (i = 0; i < m->nodes.n; i++)
		others |= m->nodes.v[i].set == row->set && !m->nodes.v[i].disabled && m->nodes.v[i].addr.family != 0 &&
		    rtpengine_answers(&m->nodes.v[i].addr) && rtpengine_since_us(&m->nodes.v[i].addr) > KNOWN_US;
	return others && row->set < 2 && rtpengine_since_us(&row->addr) > 1500000;
}

static void
load_nodes(struct kamailio *k, struct modules *m, bool reload)
{
	const char *p = table_text(k, "rtpengine");
	size_t i;

	table_rows_clear(&m->nodes);
	for (p = p ? strchr(p, '\n') : NULL; p != NULL && p[1] != '\0'; p = strchr(p + 1, '\n')) {
		int set = atoi(cell(p + 1, 1));
		struct table_row *row = table_rows_add(&m->nodes, set, cell(p + 1, 2));

		row->weight = atoi(cell(p + 1, 3));
		row->disabled = atoi(cell(p + 1, 4)) != 0;
	}
	/* the first question after a reload has it ping all that are in, and everything waits for the dead ones */
	for (i = 0; i < m->nodes.n; i++) {
		struct table_row *row = &m->nodes.v[i];

		if (!row->disabled && row->addr.family != 0 && !rtpengine_answers(&row->addr)) {
			row->asleep = true;
			note("stall");
			trace("kamailio %s: waits for %s, dead for %lld ms", k->name, row->item,
			    (long long)(rtpengine_since_us(&row->addr) / 1000));
			if (strict && reload && is_needless(m, row))
				sim_fail("%s: a reload with %s, which is dead for long", k->name, row->item);
		}
	}
}

static void
load_domains(struct kamailio *k, struct modules *m)
{
	const char *p = table_text(k, "domain");

	table_rows_clear(&m->domains);
	for (p = p ? strchr(p, '\n') : NULL; p != NULL && p[1] != '\0'; p = strchr(p + 1, '\n'))
		(void)table_rows_add(&m->domains, 0, cell(p + 1, 1));
}

/* Addresses are dumped in one form, however they are written. */
static void
one_form(char ip[64])
{
	struct topo_addr a;
	int o[4], n = 0;

	if (sscanf(ip, "%d.%d.%d.%d%n", &o[0], &o[1], &o[2], &o[3], &n) == 4 && ip[n] == '\0')
		snprintf(ip, 64, "%d.%d.%d.%d", o[0] & 255, o[1] & 255, o[2] & 255, o[3] & 255);
	else if (topo_addr_parse_ip(ip, &a) == 0)
		topo_addr_format_ip(&a, ip);
}

static void
load_addresses(struct kamailio *k, struct modules *m)
{
	const char *p = table_text(k, "addresses"), *end;
	char ip[64], tag[64];
	int group, mask, port, n;

	table_rows_clear(&m->addresses);
	for (; p != NULL && *p != '\0'; p = *end ? end + 1 : end) {
		struct table_row *row;
		char line[256];

		end = strchr(p, '\n') ? strchr(p, '\n') : p + strlen(p);
		snprintf(line, sizeof line, "%.*s", (int)(end - p), p);
		line[strcspn(line, "#")] = '\0';
		mask = port = 0;
		tag[0] = '\0';
		n = sscanf(line, "%d %63s %d %d %63s", &group, ip, &mask, &port, tag);
		if (n < 2)
			continue;
		one_form(ip);
		row = table_rows_add(&m->addresses, group, ip);
		row->mask = mask != 0 ? mask : row->addr.family == 6 ? 128 : 32;
		row->port = port;
		row->tag = xstrdup(n == 5 ? tag : "NULL");
	}
}

static struct modules *
modules_of(struct kamailio *k)
{
	struct modules *m;

	for (m = all; m != NULL && strcmp(m->name, k->name) != 0; m = m->next)
		;
	if (m == NULL) {
		m = xcalloc(1, sizeof *m);
		m->name = xstrdup(k->name);
		m->next = all;
		all = m;
	}
	if (m->pid != k->pid) {
		m->pid = k->pid;
		m->nodes_s = clock_wall_ms() / 1000;
		m->addresses_s = 0;
		load_nodes(k, m, false);
		load_domains(k, m);
		load_addresses(k, m);
	}
	return m;
}

/* ---- replies ---- */

/* A further one among the reply's values. */
static struct binrpc_value *
next_struct(struct binrpc_msg *out)
{
	struct binrpc_value *v = reply_value(BINRPC_STRUCT, NULL, NULL), **tail;

	for (tail = &out->first; *tail != NULL; tail = &(*tail)->next)
		;
	*tail = v;
	return v;
}

/* ---- rtpengine ---- */

/* A row whose host it can't resolve: all its sockets are made anew at each question, and its window begins anew. */
static void
make_sockets(struct modules *m)
{
	size_t i;

	for (i = 0; i < m->nodes.n; i++)
		if (m->nodes.v[i].addr.family == 0)
			m->nodes_s = clock_wall_ms() / 1000;
}

static void
show(struct kamailio *k, struct modules *m, struct binrpc_msg *out)
{
	size_t i;

	make_sockets(m);
	if (m->nodes.n == 0)
		reply_fault(out, 404, "Instance not found");
	for (i = 0; i < m->nodes.n; i++) {
		const struct table_row *row = &m->nodes.v[i];
		struct binrpc_value *v = next_struct(out);

		reply_text("url", row->item, v);
		reply_int("set", row->set, v);
		reply_int("weight", row->weight, v);
		if (strncmp(k->name, "six", 3) == 0) {
			reply_int("disabled", row->disabled, v);
			reply_int("active", !row->disabled && !row->asleep, v);
		} else if (row->disabled) {
			reply_text("disabled", "1(permanent)", v);
		} else {
			reply_int("disabled", row->asleep, v);
		}
	}
}

/* By what c4d can know of the nodes: of those that answer since just now, or don't, `lately` says. */
static unsigned
in_use(const struct modules *m, int set, bool lately)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < m->nodes.n; i++) {
		const struct table_row *row = &m->nodes.v[i];
		bool known = row->addr.family == 0 || rtpengine_since_us(&row->addr) > KNOWN_US;

		n += row->set == set && !row->disabled && !row->asleep &&
		    (row->addr.family == 0 || (known ? rtpengine_answers(&row->addr) : lately));
	}
	return n;
}

/* What answered and was in use must not all be taken away. */
static void
check_in_use(const struct kamailio *k, const struct modules *m, const unsigned was[8], const char *what)
{
	int set;

	for (set = 0; set < 8 && !k->may_empty; set++)
		if (was[set] > 0 && in_use(m, set, true) == 0 && clock_now_us() - m->meddled_us > KNOWN_US)
			sim_fail("%s: nobody of rtpengine's set %d takes calls after %s", k->name, set, what);
}

static void
count_in_use(const struct modules *m, unsigned was[8])
{
	int set;

	for (set = 0; set < 8; set++)
		was[set] = in_use(m, set, false);
}

static const char *
enable(struct kamailio *k, struct modules *m, const char *url, bool on)
{
	const char *status = NULL;
	size_t i;

	for (i = 0; i < m->nodes.n; i++) {
		struct table_row *row = &m->nodes.v[i];

		if (strcmp(row->item, url) != 0)
			continue;
		status = on ? "enable" : "disable";
		row->disabled = !on;
		row->asleep = on && row->addr.family != 0 && !rtpengine_answers(&row->addr);
		if (row->asleep) {
			note("stall");
			status = "fail";
		}
	}
	return status;
}

static void
do_enable(struct kamailio *k, struct modules *m, const struct binrpc_value *args, struct binrpc_msg *out)
{
	const char *status;
	unsigned was[8];

	make_sockets(m);
	count_in_use(m, was);
	status = enable(k, m, args->str, args->next->num != 0);
	trace("kamailio %s: rtpengine.enable %s %lld: %s", k->name, args->str, (long long)args->next->num, status ? status : "not found");
	note("set_state");
	if (status == NULL) {
		reply_fault(out, 404, "Instance not found");
		return;
	}
	check_in_use(k, m, was, "rtpengine.enable");
	reply_text("status", status, next_struct(out));
}

/* In whole seconds, as Kamailio counts them. */
static bool
too_early(int64_t *last_s, int64_t delta_s)
{
	int64_t now_s = clock_wall_ms() / 1000;

	if (now_s - *last_s < delta_s)
		return true;
	*last_s = now_s;
	return false;
}

static void
reload_nodes(struct kamailio *k, struct modules *m, struct binrpc_msg *out)
{
	unsigned was[8];

	count_in_use(m, was);
	if (too_early(&m->nodes_s, RTPENGINE_S)) {
		note("refused");
		reply_fault(out, 500, "Too short reload interval - try later");
		return;
	}
	note("reload");
	trace("kamailio %s: rtpengine.reload%s", k->name, k->stuck ? ", and nothing changes" : "");
	if (!k->stuck)
		load_nodes(k, m, true);
	check_in_use(k, m, was, "rtpengine.reload");
	out->first = reply_text(NULL, "Ok. Reload successful.", NULL);
}

/* ---- domain, permissions ---- */

static void
dump_domains(struct modules *m, struct binrpc_msg *out)
{
	struct binrpc_value *root = next_struct(out), *list = reply_value(BINRPC_STRUCT, "domains", root);
	size_t i;

	for (i = m->domains.n; i-- > 0;)
		reply_text("domain", m->domains.v[i].item, reply_value(BINRPC_STRUCT, NULL, list));
	(void)reply_value(BINRPC_STRUCT, "attributes", root);
}

static void
dump_addresses(struct modules *m, int which, struct binrpc_msg *out)
{
	struct binrpc_value *v = which == 2 ? next_struct(out) : NULL, *item;
	size_t i;

	for (i = m->addresses.n; i-- > 0;) {
		const struct table_row *row = &m->addresses.v[i];
		int kind = row->addr.family == 0 ? 2 : row->mask == (row->addr.family == 6 ? 128 : 32) ? 0 : 1;

		if (kind != which)
			continue;
		if (which != 2)
			v = next_struct(out);
		reply_int("group", row->set, v);
		item = reply_value(BINRPC_STRUCT, "item", v);
		reply_text(which == 2 ? "domain_name" : "ip", row->item, item);
		if (which == 1)
			reply_int("mask", row->mask, item);
		reply_int("port", row->port, item);
		reply_text("tag", row->tag, item);
	}
}

static void
reload_addresses(struct kamailio *k, struct modules *m, struct binrpc_msg *out)
{
	if (too_early(&m->addresses_s, PERMISSIONS_S)) {
		note("refused");
		reply_fault(out, 500, "ongoing reload");
		return;
	}
	note("reload");
	trace("kamailio %s: permissions.addressReload", k->name);
	if (!k->stuck)
		load_addresses(k, m);
	out->first = reply_text(NULL, "Reload OK", NULL);
}

bool
tables_call(struct kamailio *k, const char *method, const struct binrpc_value *args, struct binrpc_msg *out)
{
	struct modules *m = modules_of(k);

	if (strcmp(method, "rtpengine.show") == 0) {
		show(k, m, out);
	} else if (strcmp(method, "rtpengine.enable") == 0) {
		do_enable(k, m, args, out);
	} else if (strcmp(method, "rtpengine.reload") == 0) {
		reload_nodes(k, m, out);
	} else if (strcmp(method, "domain.dump") == 0) {
		dump_domains(m, out);
	} else if (strcmp(method, "domain.reload") == 0) {
		note("reload");
		trace("kamailio %s: domain.reload", k->name);
		if (!k->stuck)
			load_domains(k, m);
	} else if (strcmp(method, "permissions.addressDump") == 0) {
		dump_addresses(m, 0, out);
	} else if (strcmp(method, "permissions.subnetDump") == 0) {
		dump_addresses(m, 1, out);
	} else if (strcmp(method, "permissions.domainDump") == 0) {
		dump_addresses(m, 2, out);
	} else if (strcmp(method, "permissions.addressReload") == 0) {
		reload_addresses(k, m, out);
	} else {
		return false;
	}
	return true;
}

/* ---- words of scenarios ---- */

/* NAME <<END | append LINE | missing; or by hand: enable|disable|sleep|forget URL */
const char *
tables_command(struct kamailio *k, char *const *words, size_t n, const char *heredoc)
{
	const struct conf_kamailio *c = conf_find_kamailio(c4d.conf, k->name);
	struct modules *m = modules_of(k);
	const char *why = NULL, *old;
	struct buf b = { 0 };
	char *path;
	size_t i;

	m->meddled_us = clock_now_us();
	if (n == 2 && (strcmp(words[0], "enable") == 0 || strcmp(words[0], "disable") == 0)) {
		return enable(k, m, words[1], words[0][0] == 'e') == NULL ? "no such node" : NULL;
	} else if (n == 2 && (strcmp(words[0], "sleep") == 0 || strcmp(words[0], "forget") == 0)) {
		for (i = 0; i < m->nodes.n && strcmp(m->nodes.v[i].item, words[1]) != 0; i++)
			;
		if (i == m->nodes.n)
			return "no such node";
		if (words[0][0] == 's')
			m->nodes.v[i].asleep = true;
		else
			table_rows_remove(&m->nodes, i);
		return NULL;
	}
	if (n == 0 || c == NULL)
		return "table [KAMAILIO] NAME <<END, append LINE or missing; enable, disable, sleep or forget URL";
	path = strcmp(words[0], "addresses") == 0 ? xstrdup(c->address_file) : xasprintf("%s/%s", c->tables ? c->tables : "", words[0]);
	old = disk_get(path);
	buf_printf(&b, "%s%s\n", old ? old : "", n == 3 ? words[2] : "");
	if (heredoc != NULL)
		disk_put(path, heredoc);
	else if (n == 2 && strcmp(words[1], "missing") == 0)
		disk_put(path, NULL);
	else if (n == 3 && strcmp(words[1], "append") == 0)
		disk_put(path, b.s);
	else
		why = "table [KAMAILIO] NAME <<END, append LINE or missing; enable, disable, sleep or forget URL";
	buf_free(&b);
	free(path);
	return why;
}

static char *
rows_text(const struct table_rows *r, int set)
{
	struct buf b = { 0 };
	size_t i;

	buf_puts(&b, "");
	for (i = 0; i < r->n; i++)
		if (r->v[i].set == set)
			buf_printf(&b, " %s/%d=%s", r->v[i].item, r->v[i].mask,
			    r->v[i].disabled ? "out" : r->v[i].asleep ? "asleep" : "in");
	return buf_take(&b);
}

/* "in", "out", "asleep" or "none" */
const char *
tables_state(struct kamailio *k, int set, const char *address)
{
	const struct modules *m = modules_of(k);
	char url[64];
	size_t i;

	snprintf(url, sizeof url, "udp:%s", address);
	for (i = 0; i < m->nodes.n; i++)
		if (m->nodes.v[i].set == set && strcmp(m->nodes.v[i].item, url) == 0)
			return m->nodes.v[i].disabled ? "out" : m->nodes.v[i].asleep ? "asleep" : "in";
	return "none";
}

/* ITEM[/MASK][=in|out|asleep]; "10.0.0.1:22222" is short for its udp: url */
static bool
is_there(const struct table_rows *r, int set, const char *word)
{
	size_t i, len = strcspn(word, "=");
	const char *state = word[len] ? word + len + 1 : NULL;
	char item[128], with[160], *slash;
	int mask = -1;

	snprintf(item, sizeof item, "%.*s", (int)len, word);
	slash = strchr(item, '/');
	if (slash != NULL) {
		*slash = '\0';
		mask = atoi(slash + 1);
	}
	snprintf(with, sizeof with, "udp:%s", item);
	for (i = 0; i < r->n; i++) {
		const struct table_row *row = &r->v[i];

		if (row->set == set && (strcmp(row->item, item) == 0 || strcmp(row->item, with) == 0) && (mask < 0 || row->mask == mask))
			return state == NULL || strcmp(state, row->disabled ? "out" : row->asleep ? "asleep" : "in") == 0;
	}
	return false;
}

static char *
check_rows(const struct table_rows *r, int set, char *const *words, size_t n)
{
	size_t i, there = 0, want = 0;
	bool fits = true;

	for (i = 0; i < n; i++) {
		if (strcmp(words[i], "none") == 0)
			continue;
		want++;
		fits &= is_there(r, set, words[i]);
	}
	for (i = 0; i < r->n; i++)
		there += r->v[i].set == set;
	return fits && want == there ? NULL : rows_text(r, set);
}

/* rtpengine|permissions SET ITEM... | domain ITEM... | file NAME [no] line LINE | file NAME is <<END | file NAME missing */
char *
tables_expect(struct kamailio *k, char *const *words, size_t n, const char *heredoc)
{
	struct modules *m = modules_of(k);
	const char *file;

	if (n >= 3 && strcmp(words[0], "rtpengine") == 0)
		return check_rows(&m->nodes, atoi(words[1]), words + 2, n - 2);
	if (n >= 3 && strcmp(words[0], "permissions") == 0)
		return check_rows(&m->addresses, atoi(words[1]), words + 2, n - 2);
	if (n >= 2 && strcmp(words[0], "domain") == 0)
		return check_rows(&m->domains, 0, words + 1, n - 1);
	if (n < 3 || strcmp(words[0], "file") != 0)
		return xstrdup("needs rtpengine SET, permissions GROUP, domain or file NAME, and what is there");
	file = table_text(k, words[1]);
	if (file == NULL)
		return strcmp(words[2], "missing") == 0 ? NULL : xstrdup("there is no file");
	if (strcmp(words[2], "is") == 0 && heredoc != NULL)
		return strcmp(heredoc, file) == 0 ? NULL : xasprintf("it holds\n%s", file);
	if (n == 4 && strcmp(words[2], "line") == 0)
		return script_has_line(file, words[3]) ? NULL : xasprintf("it holds\n%s", file);
	if (n == 5 && strcmp(words[2], "no") == 0)
		return !script_has_line(file, words[4]) ? NULL : xasprintf("it holds\n%s", file);
	return xstrdup("file NAME line LINE, no line LINE, is <<END or missing");
}
