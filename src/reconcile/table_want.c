/*
 * What a table shall hold now: what the topology and the configuration want, what nobody wants (any more) but stays for a
 * while, and which of rtpengine's nodes are to be used, by their own word.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/domains.h"
#include "reconcile/table_int.h"
#include "routing/routing.h"

#define HOLD_MS 600000        /* for what is there where no service says how long: the default of remove_hold */
#define DYING_MS 300000       /* the calls of a node that died are over then: without media they end soon */

/* ---- memory ---- */

static int
memo_cmp(const void *a, const void *b)
{
	return table_row_cmp(&((const struct memo *)a)->row, &((const struct memo *)b)->row);
}

struct memo *
table_memo(const struct table *t, const struct table_row *row)
{
	const struct memo key = { .row = *row };

	return t->n_memos == 0 ? NULL : bsearch(&key, t->memos, t->n_memos, sizeof *t->memos, memo_cmp);
}

/* Of a row that remember() saw. */
static struct memo *
memo_of(const struct table *t, const struct table_row *row)
{
	struct memo *m = table_memo(t, row);

	if (m == NULL)
		abort(); /* it makes one of each */
	return m;
}

void
table_forget(struct table *t)
{
	size_t i;

	for (i = 0; i < t->n_memos; i++) {
		free(t->memos[i].row.item);
		free(t->memos[i].row.tag);
	}
	free(t->memos);
	t->memos = NULL;
	t->n_memos = 0;
}

/* The operator's word lasts until the instance is used again. */
static void
note_wanted(struct memo *m, const struct table_row *row)
{
	if (row->until_ms != 0 || !row->disabled)
		m->until_ms = row->until_ms;
	m->wanted = true;
	m->over = false;
	m->held_ms = m->proven_ms = m->leaving_ms = m->quiet_ms = 0;
}

/* A memo for each row that is wanted or there; those of others are forgotten. */
static void
remember(struct table *t)
{
	struct table_rows keys = { 0 };
	struct memo *v;
	size_t i, n = 0;

	for (i = 0; i < t->desired.n; i++)
		(void)table_rows_add_copy(&keys, &t->desired.v[i]);
	for (i = 0; i < t->filed.n + t->first.n; i++) {
		const struct table_row *row = i < t->filed.n ? &t->filed.v[i] : &t->first.v[i - t->filed.n];

		if (table_scope_find(&t->scopes, row->set) != NULL)
			(void)table_rows_add_copy(&keys, row);
	}
	table_rows_sort(&keys);
	v = xcalloc(keys.n, sizeof *v);
	for (i = 0; i < keys.n; i++) {
		struct memo *was = table_memo(t, &keys.v[i]);

		if (n > 0 && table_row_cmp(&v[n - 1].row, &keys.v[i]) == 0) {
			free(keys.v[i].item);
			free(keys.v[i].tag);
			continue;
		}
		if (was != NULL)
			v[n] = *was;
		v[n++].row = keys.v[i];
	}
	free(keys.v); /* its rows are the memos' now */
	table_forget(t);
	t->memos = v;
	t->n_memos = n;
	for (i = 0; i < t->desired.n; i++)
		note_wanted(memo_of(t, &t->desired.v[i]), &t->desired.v[i]);
}

void
table_note_sleep(struct table *t)
{
	size_t i;

	for (i = 0; i < t->n_memos; i++) {
		struct memo *m = &t->memos[i];
		const struct table_row *have = table_find(&t->actual, &m->row);

		if (have == NULL || !have->asleep)
			m->asleep_ms = 0;
		else if (m->asleep_ms == 0)
			m->asleep_ms = now_ms(t);
	}
}

/* ---- what nobody wants ---- */

/* Of Consul's KV; NULL: not for this table, or not configured. */
static const struct domains *
domains_of(const struct table *t)
{
	return t->kind == &table_kind_domain ? kamhost_domains(t->host) : NULL;
}

static bool
uses_data(const struct table *t)
{
	return t->kind == &table_kind_uacreg || (t->kind == &table_kind_domain && t->conf->domain_routing);
}

const struct rt_data *
table_data(const struct table *t)
{
	return uses_data(t) && t->deps.routing != NULL ? routing_data(t->deps.routing) : NULL;
}

/* Every name of every service of the set proves something at present. */
static bool
is_proven(const struct table *t, int set, int64_t *hold_ms)
{
	const char *name;
	size_t i, k;
	bool proven = (domains_of(t) == NULL || domains_proven(domains_of(t))) && (!uses_data(t) || table_data(t) != NULL);

	*hold_ms = t->kind->service(t->conf, set, 0) == NULL ? HOLD_MS : 0;
	for (i = 0; (name = t->kind->service(t->conf, set, i)) != NULL; i++) {
		const struct conf_service *c = platform_conf(t->deps.platform, name);
		const struct judge *j = platform_judge(t->deps.platform, name);
		struct judge_name_view v;

		if (c == NULL || j == NULL)
			return false;
		if (c->remove_hold_ms > *hold_ms)
			*hold_ms = c->remove_hold_ms;
		for (k = 0; k < c->names.n; k++) {
			judge_name_view(j, (unsigned)k, &v);
			proven &= v.last == EVIDENCE_COMPLETE || v.last == EVIDENCE_ABSENCE;
		}
	}
	return proven;
}

/* Of what c4d did not bring: has it stood long enough, in time in which the names proved that nobody lists it? */
static bool
is_overdue(struct table *t, struct memo *m)
{
	int64_t now = now_ms(t), hold_ms, gap;
	bool proven = is_proven(t, m->row.set, &hold_ms);

	if (proven && m->proven_ms != 0) {
		gap = now - m->proven_ms; /* a machine that was paused proves nothing by waking up */
		m->held_ms += gap < 3 * t->conf->poll_ms ? gap : 3 * t->conf->poll_ms;
	}
	m->proven_ms = proven ? now : 0;
	table_again(t, t->conf->poll_ms);
	return m->leaving_ms != 0 || (proven && m->held_ms >= hold_ms);
}

const struct node_view *
table_node(const struct table *t, const struct table_row *row)
{
	return t->nodes != NULL && row->addr.family != 0 ? nodes_find(t->nodes, &row->addr) : NULL;
}

/* It does not answer, and calls that it had may still be up: whatever Kamailio does for them must not wait for it. */
static bool
is_dying(const struct table *t, const struct node_view *n)
{
	return n != NULL && n->state != NODE_ALIVE && loop_wall_ms(t->deps.loop) - n->since_ms < DYING_MS;
}

/* By its own word, as far as it gives one. */
static bool
is_idle(const struct table *t, const struct memo *m)
{
	const struct node_view *n = table_node(t, &m->row);

	if (n == NULL || n->state == NODE_UNKNOWN) /* this pass makes it watched; what can't be asked has its time */
		return false;
	if (n->state == NODE_DEAD)
		return !is_dying(t, n);
	return m->quiet_ms != 0 && n->sessions == 0 && n->sessions_ms > m->quiet_ms;
}

/* A node that left: has it still calls whose BYE must find it? Once it has none, that is so for good. */
static bool
has_sessions(struct table *t, struct memo *m)
{
	const struct conf_rtpengine *c = table_rtpengine_find(t->conf, m->row.set);
	const struct table_row *have = table_find(&t->actual, &m->row);
	int64_t now = now_ms(t);

	if (m->leaving_ms == 0)
		m->leaving_ms = now;
	/* from when on Kamailio gives it no new ones: only a count since then says anything */
	if (m->quiet_ms == 0 && t->was_read && (have == NULL || have->disabled))
		m->quiet_ms = now;
	m->over |= c == NULL || now - m->leaving_ms >= c->drain_timeout_ms ||
	    (m->until_ms != 0 && loop_wall_ms(t->deps.loop) >= m->until_ms) || is_idle(t, m);
	if (!m->over)
		table_again(t, t->conf->poll_ms);
	return !m->over;
}

/* Does this row, which nobody wants, stay for now? Of rtpengine's, the last word is heed_nodes()'s. */
static bool
stays(struct table *t, struct table_row *row, const struct table_scope *scope)
{
	struct memo *m = memo_of(t, row);

	row->owner = ROW_LEFT;
	if (!m->wanted && !row->in_block && !scope->exclusive) {
		row->owner = ROW_THEIRS;
		return true;
	}
	if (m->shut)
		row->disabled = false; /* as it was before it fell silent */
	if (!scope->known || (!m->wanted && !is_overdue(t, m)))
		return true;
	if (!t->kind->probed)
		return false;
	row->leaves = row->disabled = true;
	row->over = !has_sessions(t, m);
	return !row->over || t->nodes != NULL;
}

static void
add_left(struct table *t, struct table_rows *left, const struct table_row *row)
{
	const struct table_scope *scope = table_scope_find(&t->scopes, row->set);
	struct table_row *copy;

	if (scope == NULL || table_find(&t->desired, row) != NULL || (left->n > 0 && table_row_cmp(&left->v[left->n - 1], row) == 0))
		return;
	copy = table_rows_add_copy(left, row);
	copy->asleep = false;
	if (!stays(t, copy, scope))
		table_rows_remove(left, left->n - 1);
}

/* What Kamailio held when c4d came, and the file did not, is taken over where the set is c4d's. */
static bool
is_found(const struct table *t, const struct table_row *row)
{
	const struct table_scope *scope = table_scope_find(&t->scopes, row->set);

	return scope != NULL && scope->exclusive && table_find(&t->filed, row) == NULL && table_find(&t->actual, row) != NULL &&
	    (t->kind->file != NULL || row->addr.family != 0);
}

static void
keep_left(struct table *t)
{
	struct table_rows left = { 0 };
	size_t i;

	for (i = 0; i < t->filed.n; i++)
		add_left(t, &left, &t->filed.v[i]);
	for (i = 0; i < t->first.n; i++)
		if (is_found(t, &t->first.v[i]))
			add_left(t, &left, &t->first.v[i]);
	for (i = 0; i < left.n; i++)
		(void)table_rows_add_copy(&t->desired, &left.v[i]);
	table_rows_clear(&left);
	table_rows_sort(&t->desired);
}

/* ---- the nodes' own word ---- */

/*
 * In use so far, by Kamailio's own word or by the file's: that is not given up for one lost packet. Of who sleeps only the
 * file tells whether that was meant to be.
 */
static bool
is_in(const struct table *t, const struct table_row *row)
{
	const struct table_row *is = t->was_read ? table_find(&t->actual, row) : NULL;
	const struct table_row *filed = is == NULL || is->asleep ? table_find(&t->filed, row) : NULL;

	if (filed != NULL)
		is = filed;
	return is != NULL && !is->disabled;
}

static bool
is_usable(const struct table *t, const struct table_row *row)
{
	const struct node_view *n = table_node(t, row);

	if (n == NULL) /* c4d can't ask it */
		return true;
	if (n->state == NODE_UNKNOWN)
		return is_in(t, row);
	return n->state == NODE_ALIVE && (n->missed == 0 || is_in(t, row));
}

/* In a set of which nobody answers who shall be in. */
static bool
stays_in(const struct table *t, const struct table_row *row, bool reload)
{
	const struct table_row *have = table_find(&t->actual, row);
	const struct node_view *n = table_node(t, row);

	if (!is_in(t, row))
		return false;
	if (!reload || n == NULL || n->state == NODE_ALIVE)
		return true;
	/* Kamailio asks all that are in after a reload, one by one, and calls of all sets wait for it */
	return n->answer_ms == 0 && t->was_read && have != NULL && !have->disabled && !have->asleep;
}

static bool
is_asked(const struct table_row *row)
{
	return row->owner != ROW_THEIRS && !row->disabled;
}

static void
heed_row(struct table *t, const struct part *part, struct table_row *row, bool reload)
{
	struct memo *m = table_memo(t, row);
	bool was = row->disabled;

	if (row->owner == ROW_THEIRS || (was && !part->mute))
		return;
	row->disabled = part->mute ? !stays_in(t, row, reload) : !is_usable(t, row);
	if (row->owner == ROW_LEFT && !was)
		m->shut = row->disabled || (m->shut && !is_in(t, row));
}

/* Who never answered c4d is not put to sleep, but may go on sleeping. */
static void
heed_death(struct table *t, struct table_row *row)
{
	const struct table_row *have = table_find(&t->actual, row);
	const struct node_view *n = table_node(t, row);
	struct memo *m = table_memo(t, row);
	bool dying = is_dying(t, n);

	if (row->owner == ROW_THEIRS)
		return;
	m->awake &= dying;
	row->dead = row->disabled && dying && !m->awake && (n->answer_ms != 0 || (have != NULL && have->asleep));
	if (row->dead)
		table_again(t, DYING_MS);
}

static void
heed_set(struct table *t, struct table_row *rows, size_t n, bool reload)
{
	struct part *part = table_part(t, rows[0].set);
	bool any = false, wanted = false, waits = false;
	const struct node_view *node;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!is_asked(&rows[i]))
			continue;
		node = table_node(t, &rows[i]);
		wanted = true;
		any |= node == NULL || (node->state == NODE_ALIVE && is_usable(t, &rows[i]));
		waits |= node != NULL && node->state == NODE_UNKNOWN && node->missed == 0;
	}
	part->mute = wanted && !any;
	part->silence[0] = '\0';
	if (part->mute && !waits)
		snprintf(part->silence, sizeof part->silence, "no node of set %d answers c4d's NG ping (%s): its rows stay as they are and "
		    "nothing is reloaded for it; is rtpengine running, and does its NG port let this machine in?", part->set, rows[0].item);
	for (i = 0; i < n; i++) {
		heed_row(t, part, &rows[i], reload);
		heed_death(t, &rows[i]);
	}
}

/*
 * A node that never answered, and that nobody has brought to Kamailio: it had better not know of it. For a row whose host it
 * can't reach it makes all its sockets anew, and shuts its window anew, at each question (build_rtpp_socks()).
 */
static bool
is_unproven(const struct table *t, const struct table_row *row)
{
	const struct node_view *n = table_node(t, row);

	return row->owner == ROW_WANTED && n != NULL && n->answer_ms == 0 && table_find(&t->filed, row) == NULL &&
	    table_find(&t->actual, row) == NULL;
}

/* Rows that had no place yet, and those that have none any more, unless they are all that a set has left. */
static void
drop_rows(struct table *t)
{
	size_t i, n = 0;

	for (i = 0; i < t->desired.n; i++) {
		struct table_row *row = &t->desired.v[i];
		bool unproven = is_unproven(t, row);

		if (!unproven && !(row->over && row->disabled)) {
			t->desired.v[n++] = *row;
			continue;
		}
		if (unproven)
			(void)table_rows_add_copy(&t->unproven, row);
		free(row->item);
		free(row->tag);
	}
	t->desired.n = n;
}

static void
heed_nodes(struct table *t, bool reload)
{
	size_t begin, end, i;

	for (i = 0; i < t->n_parts; i++)
		t->parts[i].mute = false;
	for (begin = 0; begin < t->desired.n; begin = end) {
		for (end = begin + 1; end < t->desired.n && t->desired.v[end].set == t->desired.v[begin].set;)
			end++;
		heed_set(t, &t->desired.v[begin], end - begin, reload);
	}
}

/* Sessions are counted where one set is to be rid of the node, whatever another set does with it. */
static void
watch_nodes(struct table *t)
{
	struct topo_addr *v = xcalloc(t->desired.n, sizeof *v), *out = xcalloc(t->desired.n, sizeof *out);
	size_t i, k, n = 0, n_out = 0;

	for (i = 0; i < t->desired.n; i++) {
		const struct table_row *row = &t->desired.v[i];

		if (row->owner == ROW_THEIRS || row->addr.family == 0)
			continue;
		v[n++] = row->addr;
		if (row->disabled)
			out[n_out++] = row->addr;
	}
	nodes_set(t->nodes, v, n);
	for (i = 0; i < n; i++) {
		for (k = 0; k < n_out && topo_addr_cmp(&v[i], &out[k]) != 0; k++)
			;
		nodes_count_sessions(t->nodes, &v[i], k < n_out);
	}
	free(out);
	free(v);
}

/* ---- all of it ---- */

/* As all other domains: in lower case, IPv6 in brackets. */
static char *
sip_host(const char *domain)
{
	char ip[TOPO_ADDR_TEXT], *text, *p;
	size_t len = strlen(domain);
	struct topo_addr a;

	if (len > 2 && domain[0] == '[' && domain[len - 1] == ']')
		text = xstrndup(domain + 1, len - 2);
	else
		text = xstrdup(domain);
	if (topo_addr_parse_ip(text, &a) == 0) {
		free(text);
		topo_addr_format_ip(&a, ip);
		return a.family == 6 ? xasprintf("[%s]", ip) : xstrdup(ip);
	}
	for (p = text; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return text;
}

static void
add_routing_domains(const struct rt_data *data, struct table_rows *out, struct table_scopes *scopes)
{
	const struct rt_list *domains = data != NULL ? &data->t[RT_DOMAINS] : NULL;
	struct strlist names = { 0 };
	size_t i;

	if (domains != NULL)
		names.v = xcalloc(domains->n + 1, sizeof *names.v);
	for (i = 0; domains != NULL && i < domains->n; i++)
		names.v[names.n++] = sip_host(domains->v[i]->v[DOMAIN_DOMAIN].s);
	table_desire_names(&names, data != NULL, out, scopes);
	for (i = 0; i < names.n; i++)
		free(names.v[i]);
	free(names.v);
}

/* What the topology, the configuration, Consul's KV and the routing data want. */
static void
desire_rows(const struct table *t, const struct topo *topo, struct table_rows *out, struct table_scopes *scopes, struct buf *trouble)
{
	const struct rt_data *data = table_data(t);
	static const struct strlist none;
	const struct domains *d = domains_of(t);

	t->kind->desire(t->conf, topo, out, scopes);
	if (t->kind == &table_kind_domain && t->conf->domain_kv != NULL)
		table_desire_names(d != NULL ? domains_names(d) : &none, d != NULL && domains_known(d), out, scopes);
	if (t->kind == &table_kind_domain && t->conf->domain_routing)
		add_routing_domains(data, out, scopes);
	if (t->kind == &table_kind_uacreg && data != NULL)
		table_desire_trunks(t->conf, data, &t->filed, out, trouble);
	else if (t->kind == &table_kind_uacreg)
		scopes->n = 0;
}

static void
desire(struct table *t)
{
	struct buf trouble = { 0 };

	table_rows_clear(&t->desired);
	table_rows_clear(&t->unproven);
	t->scopes.n = 0;
	topo_unref(t->topo);
	t->topo = topo_ref(platform_now(t->deps.platform));
	t->data = table_data(t);
	desire_rows(t, t->topo, &t->desired, &t->scopes, &trouble);
	snprintf(t->trouble, sizeof t->trouble, "%s", trouble.len > 0 ? trouble.s : "");
	buf_free(&trouble);
}

void
table_want(struct table *t, bool reload)
{
	desire(t);
	remember(t);
	keep_left(t);
	if (t->nodes != NULL) {
		watch_nodes(t);
		heed_nodes(t, reload);
		drop_rows(t);
	}
}

void
table_want_dry(const struct table *t, struct table_rows *out, struct table_scopes *scopes)
{
	struct buf trouble = { 0 };
	struct table_row *row;
	size_t i, n;

	desire_rows(t, platform_now(t->deps.platform), out, scopes, &trouble);
	buf_free(&trouble);
	n = out->n;
	for (i = 0; i < t->filed.n; i++) {
		const struct table_rows wanted = { .v = out->v, .n = n };

		if (table_scope_find(scopes, t->filed.v[i].set) == NULL || table_find(&wanted, &t->filed.v[i]) != NULL)
			continue;
		row = table_rows_add_copy(out, &t->filed.v[i]);
		row->owner = ROW_LEFT;
	}
	table_rows_sort(out);
}
