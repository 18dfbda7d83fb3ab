/*
 * kamailio: kam.h, with a Kamailio 5.6 at the other end: its dispatcher lists, its window ("Ongoing reload", in whole
 * seconds as it counts them), and the ways in which it fails. Where c4d's strategy is incremental, its destinations
 * carry calls, whose loads a reload would lose. One whose name begins with "old" is a 5.5.
 */
#include "kamailio/kam.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sim.h"

#define LATENCY_US 100
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 1000

enum kam_state { KAM_STOPPED, KAM_BACKOFF, KAM_IDENTIFYING, KAM_UP };
enum told { TOLD_NOTHING, TOLD_UP, TOLD_DOWN };

struct call { /* owned by its kam */
	struct call *next;
	struct binrpc_msg msg; /* the request, decoded */
	char *method;
	bool raw;              /* the reply is for binrpc_next() */
	int err;
	kam_cb *cb;
	void *arg;
};

struct kam {
	struct kam *next; /* of all that are connected to anything */
	struct kamailio *peer;
	struct loop *loop;
	char *addr;
	int64_t timeout_ms;
	const struct kam_events *events;
	void *arg;
	enum kam_state state;
	enum told told;
	bool calling, freed;
	struct loop_timer timer;
	struct loop_later later;
	int64_t backoff_ms, up_ms, lost_ms;
	unsigned attempts;
	struct call *calls, *failed;
	bool silent; /* the call in flight will not be answered */
	bool down_due;
	int down_err;
	char down_why[256];
	struct kam_ident ident;
};

static struct kamailio *all;
static struct kam *connections;
static int next_pid;

/* ---- its lists ---- */

static const char *
skip(const char *p)
{
	return p + strspn(p, " \t\r");
}

static const char *
parse_line(const char *p, struct ds_entries *out)
{
	char uri[256] = "", attrs[1024] = "";
	unsigned flags = 0;
	int set, priority = 0, n = 0;

	if (!isdigit((unsigned char)*p) || sscanf(p, "%d %255[^ \t\r#]%n", &set, uri, &n) != 2)
		return "a line without set or URI";
	p = skip(p + n);
	if (*p != '\0' && *p != '#')
		(void)!sscanf(p, "%u %d %1023[^ \t\r]", &flags, &priority, attrs);
	if (strncmp(uri, "sip:", 4) != 0 && strncmp(uri, "sips:", 5) != 0)
		return "a line with a bad URI";
	ds_entries_add(out, set, uri, flags, priority, attrs);
	return NULL;
}

const char *
kamailio_parse(const char *text, struct ds_entries *out)
{
	const char *why = NULL;
	char *copy = xstrdup(text), *save, *line;

	for (line = strtok_r(copy, "\n", &save); line != NULL && why == NULL; line = strtok_r(NULL, "\n", &save)) {
		const char *p = skip(line);

		if (*p != '\0' && *p != '#')
			why = parse_line(p, out);
	}
	free(copy);
	return why;
}

static unsigned
count_in(const struct ds_entries *e, int set)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < e->n; i++)
		n += e->v[i].set == set && !(e->v[i].flags & DS_DISABLED);
	return n;
}

/* A set that took calls must go on taking them, whatever c4d does. */
static void
check_not_empty(struct kamailio *k, const struct ds_entries *was, const char *what)
{
	size_t i;

	for (i = 0; i < was->n && !k->may_empty; i++)
		if (count_in(was, was->v[i].set) > 0 && count_in(&k->list, was->v[i].set) == 0)
			sim_fail("%s: nothing in set %d takes calls after %s", k->name, was->v[i].set, what);
}

static bool
load(struct kamailio *k, const char **why)
{
	const char *text = disk_get(k->list_path);
	struct ds_entries got = { 0 };
	size_t i, n = 0;

	*why = text == NULL ? "no list file" : kamailio_parse(text, &got);
	if (*why != NULL) {
		ds_entries_clear(&got);
		return false;
	}
	for (i = 0; i < got.n; i++) /* skipped with an error in its log only */
		if (k->unresolvable == NULL || strcmp(got.v[i].uri, k->unresolvable) != 0)
			got.v[n++] = got.v[i];
	got.n = n;
	ds_entries_clear(&k->list);
	k->list = got;
	return true;
}

/* reload, add and remove share one window; what is refused for another reason takes it too */
static bool
take_window(struct kamailio *k, const char **fault)
{
	int64_t now_s = clock_wall_ms() / 1000;

	*fault = "Ongoing reload";
	if (k->updated_s > now_s - k->delta_ms / 1000)
		return false;
	k->updated_s = now_s;
	return true;
}

bool
kamailio_reload(struct kamailio *k, const char **fault)
{
	if (!take_window(k, fault))
		return false;
	if (k->stuck || load(k, fault))
		return true;
	*fault = "Reload Failed";
	return false;
}

bool
kamailio_set_state(struct kamailio *k, const char *state, int set, const char *uri)
{
	bool probing = state[0] != '\0' && (state[1] == 'p' || state[1] == 'P');
	unsigned flags = 0;
	size_t i;

	switch (state[0]) {
	case 'a':
		break;
	case 'i':
		flags = DS_INACTIVE;
		break;
	case 't':
		flags = DS_TRYING;
		break;
	case 'd':
		flags = DS_DISABLED;
		probing = false;
		break;
	default:
		return false;
	}
	for (i = 0; i < k->list.n; i++)
		if (k->list.v[i].set == set && strcmp(k->list.v[i].uri, uri) == 0) {
			k->list.v[i].flags = flags | (probing ? DS_PROBING : 0);
			return true;
		}
	return false;
}

/* ---- its life ---- */

static void lose(struct kam *, int err, const char *fmt, ...) PRINTF(3, 4);

void
kamailio_reset(void)
{
	struct kamailio *k;

	while ((k = all) != NULL) {
		all = k->next;
		ds_entries_clear(&k->list);
		free(k->refuse);
		free(k->reason);
		free(k->mute);
		free(k->unresolvable);
		free(k->name);
		free(k->list_path);
		free(k);
	}
	next_pid = 1000;
}

struct kamailio *
kamailio_add(const char *name, const char *list_path, int64_t delta_ms)
{
	struct kamailio *k = kamailio_find(name), **tail = &all;

	if (k == NULL) {
		k = xcalloc(1, sizeof *k);
		k->name = xstrdup(name);
		k->list_path = xstrdup(list_path);
		k->delta_ms = delta_ms;
		k->latency_us = LATENCY_US;
		while (*tail != NULL)
			tail = &(*tail)->next;
		*tail = k;
	}
	k->mine_delta_ms = delta_ms;
	return k;
}

struct kamailio *
kamailio_find(const char *name)
{
	struct kamailio *k = all;

	while (k != NULL && name != NULL && strcmp(k->name, name) != 0)
		k = k->next;
	return k;
}

void
kamailio_down(struct kamailio *k)
{
	struct kam *c;

	k->up = k->wedged = false;
	for (c = connections; c != NULL; c = c->next)
		if (c->peer == k && c->state >= KAM_IDENTIFYING)
			lose(c, -ECONNRESET, "%s closed the connection", c->addr);
}

void
kamailio_boot(struct kamailio *k)
{
	struct ds_entries was = k->list;
	const char *why;

	memset(&k->list, 0, sizeof k->list);
	k->wedged = k->stuck = false;
	k->updated_s = 0;
	k->mine_us = 0;
	k->up = load(k, &why);
	k->pid = next_pid++;
	snprintf(k->since, sizeof k->since, "%lld", (long long)(clock_wall_ms() / 1000));
	trace("kamailio %s: %s", k->name, k->up ? "starts" : why);
	if (!k->up)
		sim_fail("%s does not start: %s", k->name, why);
	else
		check_not_empty(k, &was, "its restart");
	ds_entries_clear(&was);
}

void
kamailio_forget_c4d(void)
{
	struct kamailio *k;

	for (k = all; k != NULL; k = k->next)
		k->mine_us = 0;
}

/* ---- replies ---- */

static void
put_text(struct buf *b, unsigned type, const char *s)
{
	size_t len = strlen(s) + 1;
	uint8_t head[3] = { (uint8_t)(0xa0 | type), (uint8_t)(len >> 8), (uint8_t)len };

	buf_add(b, head, sizeof head);
	buf_add(b, s, len);
}

/* As Kamailio's ctl sends it. */
static void
put_values(struct buf *b, const struct binrpc_value *v)
{
	for (; v != NULL; v = v->next) {
		if (v->name != NULL)
			put_text(b, 5, v->name);
		if (v->type == BINRPC_INT) {
			binrpc_add_int(b, (int32_t)v->num);
		} else if (v->type == BINRPC_STR) {
			put_text(b, 1, v->str);
		} else {
			buf_add(b, "\x03", 1);
			put_values(b, v->child);
			buf_add(b, "\x83", 1);
		}
	}
}

static void
list_dest(struct binrpc_value *targets, const struct ds_entry *e)
{
	static const char *const letters[] = { "AX", "AP", "IX", "IP", "TX", "TP", "DX", "DP" };
	struct binrpc_value *dest = reply_value(BINRPC_STRUCT, "DEST", targets), *attrs;
	int at = e->flags & DS_DISABLED ? 6 : e->flags & DS_INACTIVE ? 2 : e->flags & DS_TRYING ? 4 : 0;

	reply_text("URI", e->uri, dest);
	reply_text("FLAGS", letters[at + (e->flags & DS_PROBING ? 1 : 0)], dest);
	reply_int("PRIORITY", e->priority, dest);
	if (e->attrs != NULL) {
		attrs = reply_value(BINRPC_STRUCT, "ATTRS", dest);
		reply_text("BODY", e->attrs, attrs);
		reply_text("DUID", "<null string>", attrs);
	}
}

static void
list(struct kamailio *k, struct binrpc_msg *out)
{
	struct binrpc_value *root = reply_value(BINRPC_STRUCT, NULL, NULL), *records, *set, *targets = NULL;
	size_t i, m;
	int last;

	out->first = root;
	if (k->list.n == 0) {
		reply_fault(out, 500, "No Destination Sets");
		return;
	}
	records = reply_value(BINRPC_STRUCT, "RECORDS", root);
	for (i = 0; i < k->list.n; i++) {
		for (m = 0; m < i && k->list.v[m].set != k->list.v[i].set; m++)
			;
		if (m < i)
			continue;
		last = k->list.v[i].set;
		set = reply_value(BINRPC_STRUCT, "SET", records);
		reply_int("ID", last, set);
		targets = reply_value(BINRPC_STRUCT, "TARGETS", set);
		for (m = k->list.n; m-- > 0;) /* what was read last comes first */
			if (k->list.v[m].set == last)
				list_dest(targets, &k->list.v[m]);
	}
}

static void
sockets(struct binrpc_msg *out)
{
	struct binrpc_value *s;

	out->first = reply_value(BINRPC_STRUCT, NULL, NULL);
	s = reply_value(BINRPC_STRUCT, "socket", out->first);
	reply_text("proto", "udp", s);
	reply_text("ipaddress", "10.9.9.9", s);
	reply_text("port", "5060", s);
}

/* c4d counts whole milliseconds */
static void
check_window(const struct kamailio *k, const char *what)
{
	if (k->mine_us != 0 && clock_now_us() - k->mine_us < (k->mine_delta_ms - 1) * 1000)
		sim_fail("%s: %s %lld ms after the last one", k->name, what,
		    (long long)((clock_now_us() - k->mine_us) / 1000));
}

static bool
counts_loads(const struct kamailio *k)
{
	const struct conf_kamailio *c = c4d.conf != NULL ? conf_find_kamailio(c4d.conf, k->name) : NULL;

	return c != NULL && strcmp(c->strategy, "incremental") == 0;
}

static void
do_reload(struct kamailio *k, struct binrpc_msg *out)
{
	struct ds_entries was = k->list;
	const char *why;

	check_window(k, "a reload");
	if (counts_loads(k) && was.n > 0)
		sim_fail("%s: a reload sets the loads of %zu destinations to 0", k->name, was.n);
	memset(&k->list, 0, sizeof k->list);
	if (!kamailio_reload(k, &why)) {
		ds_entries_clear(&k->list);
		k->list = was;
		note("refused");
		trace("kamailio %s: dispatcher.reload: %s", k->name, why);
		reply_fault(out, 500, why);
		return;
	}
	if (k->stuck) {
		ds_entries_clear(&k->list);
		k->list = was;
	} else {
		check_not_empty(k, &was, "dispatcher.reload");
		ds_entries_clear(&was);
	}
	note("reload");
	trace("kamailio %s: dispatcher.reload: Ok", k->name);
	out->first = reply_text(NULL, "Ok. Dispatcher successfully reloaded.", NULL);
}

static size_t
remove_all(struct ds_entries *list, int set, const char *uri)
{
	size_t i, n = 0, was = list->n;

	for (i = 0; i < was; i++)
		if (list->v[i].set != set || strcmp(list->v[i].uri, uri) != 0)
			list->v[n++] = list->v[i];
	list->n = n;
	return was - n;
}

static bool
is_old(const struct kamailio *k)
{
	return strncmp(k->name, "old", 3) == 0;
}

/* int set, str uri[, int flags[, int priority[, str attrs]]]; before 5.6 there is no priority */
static bool
add_args(const struct kamailio *k, const struct binrpc_value *a, struct ds_entry *e)
{
	bool old = is_old(k);

	memset(e, 0, sizeof *e);
	if (a == NULL || a->type != BINRPC_INT || a->next == NULL || a->next->type != BINRPC_STR)
		return false;
	e->set = (int)a->num;
	e->uri = a->next->str;
	if ((a = a->next->next) == NULL)
		return true;
	e->flags = (unsigned)a->num;
	if (a->type != BINRPC_INT)
		return false;
	a = a->next;
	if (a != NULL && !old) {
		e->priority = (int)a->num;
		if (a->type != BINRPC_INT)
			return false;
		a = a->next;
	}
	e->attrs = a != NULL ? a->str : NULL;
	return a == NULL || (a->type == BINRPC_STR && a->next == NULL);
}

static void
do_add(struct kamailio *k, const struct binrpc_value *args, struct binrpc_msg *out)
{
	struct ds_entry e;
	const char *why;

	check_window(k, "an add");
	if (!take_window(k, &why)) {
		note("refused");
		reply_fault(out, 500, why);
		return;
	}
	if (!add_args(k, args, &e)) {
		sim_fail("%s: dispatcher.add with arguments that it does not take", k->name);
		reply_fault(out, 500, "Invalid Parameters");
		return;
	}
	if (dsp_find(&k->list, e.set, e.uri) != NULL)
		sim_fail("%s: %s is added, and is there already", k->name, e.uri);
	if (!k->stuck && (k->unresolvable == NULL || strcmp(e.uri, k->unresolvable) != 0))
		ds_entries_add(&k->list, e.set, e.uri, e.flags, e.priority, e.attrs);
	note("add");
	trace("kamailio %s: dispatcher.add %d %s %u %d: Ok", k->name, e.set, e.uri, e.flags, e.priority);
	out->first = reply_text(NULL, "Ok. Dispatcher destination added.", NULL);
}

static void
do_remove(struct kamailio *k, const struct binrpc_value *args, struct binrpc_msg *out)
{
	struct ds_entries was = { 0 };
	const char *why;
	size_t i;

	check_window(k, "a remove");
	if (!take_window(k, &why)) {
		note("refused");
		reply_fault(out, 500, why);
		return;
	}
	if (args == NULL || args->type != BINRPC_INT || args->next == NULL || args->next->type != BINRPC_STR) {
		reply_fault(out, 500, "Invalid Parameters");
		return;
	}
	if (k->unresolvable != NULL && strcmp(args->next->str, k->unresolvable) == 0) {
		reply_fault(out, 500, "Removing dispatcher dst failed");
		return;
	}
	for (i = 0; i < k->list.n; i++)
		ds_entries_add(&was, k->list.v[i].set, k->list.v[i].uri, k->list.v[i].flags, 0, NULL);
	if (!k->stuck && remove_all(&k->list, (int)args->num, args->next->str) == 0)
		sim_fail("%s: %s is removed, and is not there", k->name, args->next->str);
	note("remove");
	trace("kamailio %s: dispatcher.remove %d %s: Ok", k->name, (int)args->num, args->next->str);
	check_not_empty(k, &was, "dispatcher.remove");
	ds_entries_clear(&was);
	out->first = reply_text(NULL, "Ok. Dispatcher destination removed.", NULL);
}

static void
do_set_state(struct kamailio *k, const struct binrpc_value *args, struct binrpc_msg *out)
{
	struct ds_entries was = { 0 };
	size_t i;

	if (args == NULL || args->next == NULL || args->next->next == NULL || args->type != BINRPC_STR ||
	    args->next->type != BINRPC_INT || args->next->next->type != BINRPC_STR) {
		reply_fault(out, 500, "Invalid Parameters");
		return;
	}
	for (i = 0; i < k->list.n; i++)
		ds_entries_add(&was, k->list.v[i].set, k->list.v[i].uri, k->list.v[i].flags, 0, NULL);
	trace("kamailio %s: dispatcher.set_state %s %lld %s", k->name, args->str, (long long)args->next->num,
	    args->next->next->str);
	note("set_state");
	if (kamailio_set_state(k, args->str, (int)args->next->num, args->next->next->str))
		out->first = reply_text(NULL, "Ok. Dispatcher state updated.", NULL);
	else
		reply_fault(out, 500, "State Update Failed");
	check_not_empty(k, &was, "dispatcher.set_state");
	ds_entries_clear(&was);
}

static void
execute(struct kamailio *k, const struct call *c, struct binrpc_msg *out)
{
	out->kind = BINRPC_REPLY;
	if (k->refuse_n > 0 && strcmp(c->method, k->refuse) == 0) {
		k->refuse_n--;
		trace("kamailio %s: %s: %s", k->name, c->method, k->reason);
		reply_fault(out, 500, k->reason);
	} else if (strcmp(c->method, "dispatcher.list") == 0) {
		list(k, out);
	} else if (strcmp(c->method, "core.sockets_list") == 0) {
		sockets(out);
	} else if (strcmp(c->method, "dispatcher.reload") == 0) {
		do_reload(k, out);
	} else if (strcmp(c->method, "dispatcher.set_state") == 0) {
		do_set_state(k, c->msg.first->next, out);
	} else if (strcmp(c->method, "dispatcher.add") == 0) {
		do_add(k, c->msg.first->next, out);
	} else if (strcmp(c->method, "dispatcher.remove") == 0) {
		do_remove(k, c->msg.first->next, out);
	} else if (!tables_call(k, c->method, c->msg.first->next, out)) {
		sim_fail("%s: c4d calls %s", k->name, c->method);
		reply_fault(out, 500, "command not found");
	}
}

/* ---- calls ---- */

static void
call_free(struct call *c)
{
	binrpc_clear(&c->msg);
	free(c->method);
	free(c);
}

static void
list_free(struct call **l)
{
	struct call *c;

	while ((c = *l) != NULL) {
		*l = c->next;
		call_free(c);
	}
}

static void
push(struct call **l, struct call *c)
{
	while (*l != NULL)
		l = &(*l)->next;
	c->next = NULL;
	*l = c;
}

static void
on_later(void *arg)
{
	struct kam *k = arg;
	struct call *todo = k->failed, *c;

	k->failed = NULL;
	while ((c = todo) != NULL) {
		todo = c->next;
		if (!k->freed)
			c->cb(c->arg, c->err, NULL);
		call_free(c);
	}
	if (k->down_due && !k->freed) {
		k->down_due = false;
		k->events->down(k->arg, k->down_err, k->down_why);
	}
}

static void
call_fail(struct kam *k, struct call *c, int err)
{
	c->err = err;
	push(&k->failed, c);
	loop_later(k->loop, &k->later, on_later, k);
}

static void
send_next(struct kam *k)
{
	const struct call *c = k->calls;

	if (c == NULL)
		return;
	k->silent = k->peer->wedged;
	clock_start_us(&k->timer, k->silent ? k->timeout_ms * 1000 : k->peer->latency_us);
}

static bool
is_muted(struct kamailio *p, const struct call *c)
{
	if (p->mute_n == 0 || strcmp(c->method, p->mute) != 0)
		return false;
	p->mute_n--;
	trace("kamailio %s: the reply to %s is lost", p->name, c->method);
	return true;
}

static bool
is_structural(const char *method)
{
	return strcmp(method, "dispatcher.reload") == 0 || strcmp(method, "dispatcher.add") == 0 ||
	    strcmp(method, "dispatcher.remove") == 0;
}

static void
answer_call(struct kam *k)
{
	struct call *c = k->calls;
	struct binrpc_msg reply = { 0 };

	execute(k->peer, c, &reply);
	if (is_muted(k->peer, c)) {
		reply_forget();
		k->silent = true;
		clock_start_us(&k->timer, k->timeout_ms * 1000);
		return;
	}
	if (is_structural(c->method) && reply.kind == BINRPC_REPLY)
		k->peer->mine_us = clock_now_us();
	k->calls = c->next;
	send_next(k);
	if (c->raw && reply.kind == BINRPC_REPLY) {
		struct buf body = { 0 };

		put_values(&body, reply.first);
		reply.first = NULL;
		reply.body = (const uint8_t *)body.s;
		reply.body_len = body.len;
		c->cb(c->arg, 0, &reply);
		buf_free(&body);
	} else {
		c->cb(c->arg, 0, &reply);
	}
	call_free(c);
	reply_forget();
}

/* ---- the connection ---- */

static void
connect_later(struct kam *k, bool young)
{
	if (!young)
		k->backoff_ms = BACKOFF_MIN_MS;
	k->state = KAM_BACKOFF;
	loop_timer_start(&k->timer, loop_jitter(k->loop, k->backoff_ms, 10));
	k->backoff_ms = k->backoff_ms * 2 < BACKOFF_MAX_MS ? k->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void
tell_down(struct kam *k, int err, const char *why)
{
	if (k->told == TOLD_DOWN)
		return;
	log_warnx("kam", "%s: %s; %s", k->peer->name, k->told == TOLD_UP ? "lost" : "not reachable", why);
	k->told = TOLD_DOWN;
	k->lost_ms = loop_now_ms(k->loop);
	k->attempts = 0;
	k->down_due = true;
	k->down_err = err;
	snprintf(k->down_why, sizeof k->down_why, "%s", why);
	loop_later(k->loop, &k->later, on_later, k);
}

static void
fail_calls(struct kam *k, int err)
{
	struct call *c;

	for (; (c = k->calls) != NULL; err = -ECONNRESET) {
		k->calls = c->next;
		call_fail(k, c, err);
	}
}

static void
lose(struct kam *k, int err, const char *fmt, ...)
{
	bool young = k->state != KAM_UP || loop_now_ms(k->loop) - k->up_ms < BACKOFF_MAX_MS;
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	loop_timer_stop(&k->timer);
	fail_calls(k, err);
	tell_down(k, err, why);
	connect_later(k, young);
}

static void
identified(struct kam *k)
{
	bool restarted = k->ident.up_since[0] != '\0' &&
	    (strcmp(k->ident.up_since, k->peer->since) != 0 || k->ident.main_pid != k->peer->pid);

	snprintf(k->ident.up_since, sizeof k->ident.up_since, "%s", k->peer->since);
	snprintf(k->ident.version, sizeof k->ident.version, "kamailio %s (x86_64/linux)",
	    is_old(k->peer) ? "5.5.4" : "5.6.3");
	k->ident.main_pid = k->peer->pid;
	k->state = KAM_UP;
	k->up_ms = loop_now_ms(k->loop);
	log_notice("kam", "%s: %s, attempts=%u%s", k->peer->name, k->told == TOLD_DOWN ? "back" : "connected",
	    k->attempts, restarted ? "; Kamailio was restarted" : "");
	k->told = TOLD_UP;
	k->events->up(k->arg, &k->ident, restarted);
}

static void
on_timer(void *arg)
{
	struct kam *k = arg;

	if (k->state == KAM_BACKOFF) {
		k->attempts++;
		if (!k->peer->up) {
			lose(k, -ECONNREFUSED, "cannot connect to %s: Connection refused", k->addr);
			return;
		}
		k->state = KAM_IDENTIFYING;
		k->silent = k->peer->wedged;
		clock_start_us(&k->timer, k->silent ? k->timeout_ms * 1000 : 4 * k->peer->latency_us);
	} else if (k->silent) {
		lose(k, -ETIMEDOUT, "no reply to %s", k->calls != NULL ? k->calls->method : "core.uptime");
	} else if (k->state == KAM_IDENTIFYING) {
		identified(k);
	} else if (k->calls != NULL) {
		answer_call(k);
	}
}

/* ---- kamailio/kam.h ---- */

int
kam_new(struct kam **out, struct loop *l, const char *name, const char *addr, int64_t timeout_ms,
    const struct kam_events *events, void *arg)
{
	struct kam *k = xcalloc(1, sizeof *k);

	k->loop = l;
	k->peer = kamailio_find(name);
	k->addr = xstrdup(addr);
	k->timeout_ms = timeout_ms;
	k->events = events;
	k->arg = arg;
	k->backoff_ms = BACKOFF_MIN_MS;
	loop_timer_init(&k->timer, l, on_timer, k);
	k->next = connections;
	connections = k;
	*out = k;
	return 0;
}

void
kam_free(struct kam *k)
{
	struct kam **p = &connections;

	if (k == NULL)
		return;
	while (*p != k)
		p = &(*p)->next;
	*p = k->next;
	k->freed = true;
	loop_timer_fini(&k->timer);
	loop_later_cancel(k->loop, &k->later);
	list_free(&k->calls);
	list_free(&k->failed);
	free(k->addr);
	loop_free_later(k->loop, k);
}

void
kam_start(struct kam *k)
{
	if (k->state != KAM_STOPPED)
		return;
	k->state = KAM_BACKOFF;
	loop_timer_start(&k->timer, 0);
}

bool
kam_is_up(const struct kam *k)
{
	return k->state == KAM_UP;
}

const struct kam_ident *
kam_ident(const struct kam *k)
{
	return &k->ident;
}

const char *
kam_addr(const struct kam *k)
{
	return k->addr;
}

/* A call of the same module is under way, or waits. */
static bool
waits_for_own(const struct kam *k, const char *what)
{
	const struct call *c;

	for (c = k->calls; c != NULL; c = c->next)
		if (strncmp(c->method, what, strcspn(what, ".") + 1) == 0)
			return true;
	return false;
}

static void
call(struct kam *k, const char *what, const struct buf *body, bool raw, kam_cb *cb, void *arg)
{
	struct call *c = xcalloc(1, sizeof *c);
	struct buf packet = { 0 };
	bool idle = k->calls == NULL;

	c->raw = raw;
	c->cb = cb;
	c->arg = arg;
	if (binrpc_packet(BINRPC_REQUEST, 1, body, &packet) != 0 ||
	    binrpc_decode((const uint8_t *)packet.s, packet.len, &c->msg) != 0)
		sim_fail("%s: not a request that binrpc knows", what);
	buf_free(&packet);
	c->method = xstrdup(what);
	if (c->msg.first == NULL || c->msg.first->type != BINRPC_STR || strcmp(c->msg.first->str, what) != 0)
		sim_fail("%s: the request calls something else", what);
	if (waits_for_own(k, what))
		sim_fail("%s: a second RPC in flight", what); /* each target's own promise, not kam's */
	if (k->state != KAM_UP) {
		call_fail(k, c, -ENOTCONN);
		return;
	}
	push(&k->calls, c);
	if (idle)
		send_next(k);
}

void
kam_call(struct kam *k, const char *what, const struct buf *body, kam_cb *cb, void *arg)
{
	call(k, what, body, false, cb, arg);
}

void
kam_call_raw(struct kam *k, const char *what, const struct buf *body, kam_cb *cb, void *arg)
{
	call(k, what, body, true, cb, arg);
}

void
kam_reconnect(struct kam *k, const char *why)
{
	loop_timer_stop(&k->timer);
	fail_calls(k, -ECONNRESET);
	if (k->told == TOLD_UP)
		tell_down(k, -ECONNRESET, why);
	k->state = KAM_BACKOFF;
	loop_timer_start(&k->timer, 0);
}
