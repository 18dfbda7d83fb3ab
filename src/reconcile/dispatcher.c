#include "reconcile/dispatcher.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kamailio/hint.h"
#include "reconcile/dispatcher_int.h"

#define FILE_CHECK_MS 5000     /* the file is compared at least this often, whoever edits it */
#define JUST_NOW_MS 20
#define FILE_RETRY_MS 2000     /* after it could not be written or locked */
#define VERIFY_MAX 4           /* read-backs within one pass */

static void pass_join(struct dispatcher *);
static void kick(struct target *);

static void
move_entries(struct ds_entries *to, struct ds_entries *from)
{
	ds_entries_clear(to);
	*to = *from;
	memset(from, 0, sizeof *from);
}

struct set *
dispatcher_find_set(struct dispatcher *d, int id)
{
	size_t i;

	for (i = 0; i < d->n_sets; i++)
		if (d->sets[i].conf->id == id)
			return &d->sets[i];
	return NULL;
}

struct dsp_known
dispatcher_known(const struct dispatcher *d)
{
	return (struct dsp_known){
		/* before Kamailio was ever read, the file is what tells of its states */
		.states = d->actual_hash != 0 ? &d->actual : &d->filed,
		.lost = &d->lost,
		.theirs = &d->foreign,
		.probing = d->conf->probing,
	};
}

/* ---- the pass: read, plan, act, read back ---- */

void
dispatcher_pass_end(struct dispatcher *d)
{
	int64_t now = now_ms(d), delay = d->conf->poll_ms;
	bool structural = d->plan.structural > 0 && is_up(d);

	d->running = false;
	d->passes++;
	dispatcher_show_sets(d);
	/* The last change is never lost: whatever keeps us from it, the timer comes back to it. */
	if (structural && d->window_ms > now && d->window_ms - now < delay)
		delay = d->window_ms - now;
	if (d->file_error[0] && delay > FILE_RETRY_MS)
		delay = FILE_RETRY_MS;
	if (!d->deps.dry)
		loop_timer_start(&d->timer, d->dirty ? 0 : delay);
	d->deps.event(d->deps.arg);
}

/* ---- the file ---- */

static uint64_t
hash_text(uint64_t h, const char *s)
{
	for (; s != NULL && *s; s++)
		h = (h ^ (uint8_t)*s) * 1099511628211ull;
	return (h ^ 0xff) * 1099511628211ull;
}

static uint64_t
hash_block(const struct dispatcher *d, const struct ds_entries *e)
{
	uint64_t h = 14695981039346656037ull;
	char num[64];
	size_t i;

	for (i = 0; i < d->n_refs; i++) {
		snprintf(num, sizeof num, "%d/%d", d->refs[i].id, d->refs[i].exclusive);
		h = hash_text(h, num);
	}
	for (i = 0; i < e->n; i++) {
		snprintf(num, sizeof num, "%d %u %d", e->v[i].set, e->v[i].flags, e->v[i].priority);
		h = hash_text(hash_text(hash_text(h, num), e->v[i].uri), e->v[i].attrs);
	}
	return h ? h : 1;
}

/*
 * Nothing is proven yet (a first start with Consul down), and the file says what was taken over from
 * it: it stays as it is, to the byte.
 */
static bool
only_adopted(const struct dispatcher *d)
{
	struct dsp_plan p = { 0 };
	bool only = d->file_error[0] == '\0' && d->plan.structural == 0;
	size_t i, k;

	for (i = 0; i < d->n_sets && only; i++) {
		const struct topo_service *s = topo_find(d->topo, d->sets[i].conf->service);

		for (k = 0; s != NULL && k < s->n; k++)
			only &= s->inst[k].source == SOURCE_ADOPTED;
	}
	if (!only)
		return false;
	dsp_make_plan(&d->desired, &d->filed, &d->foreign, d->refs, d->n_refs, &p);
	only = p.n == 0;
	dsp_plan_clear(&p);
	return only;
}

/* In a quick pass Kamailio's states are those of the last read-back. */
static void
store_file(struct dispatcher *d)
{
	bool due = d->file_error[0] || now_ms(d) - d->file_checked_ms >= FILE_CHECK_MS;
	bool stale = d->file_stale || d->file_hash == 0;
	struct dsp_known known = dispatcher_known(d);
	struct ds_entries block = { 0 };
	uint64_t hash;

	/* What Kamailio is about to read must be right, whoever has been at the file since we looked; a moment ago is no such time. */
	due |= d->plan.structural > 0 && d->window_ms <= now_ms(d) && !d->quick && now_ms(d) - d->file_checked_ms >= JUST_NOW_MS;
	if (d->n_refs == 0 || d->file_busy || !(stale || due) || only_adopted(d))
		return;
	if (!stale) {
		d->file_busy = true;
		listfile_check(d->file);
		return;
	}
	dsp_file_entries(&d->desired, &known, &block);
	hash = hash_block(d, &block);
	d->file_stale = false;
	if (hash != d->file_hash || due) {
		d->file_busy = true;
		d->file_hash = hash;
		listfile_store(d->file, d->refs, d->n_refs, &block);
	}
	ds_entries_clear(&block);
}

/* ---- acting ---- */

static void step_next(struct dispatcher *);

void
dispatcher_rpc_failed(struct dispatcher *d, const char *what, int err, const struct binrpc_msg *msg, char *text, size_t size)
{
	const char *reason = "";
	int code = 0;

	if (err == 0 && binrpc_fault(msg, &code, &reason)) {
		d->counts.faults++;
		snprintf(text, size, "%s refused by Kamailio: %d %s", what, code, reason);
	} else {
		snprintf(text, size, "%s: %s", what, strerror(err ? -err : EPROTO));
	}
}

static void
on_set_state(void *arg, int err, const struct binrpc_msg *msg)
{
	struct dispatcher *d = arg;
	const struct dsp_step *s = &d->plan.v[d->next - 1];
	char text[256];

	if (err != 0 || msg->kind == BINRPC_FAULT) {
		dispatcher_rpc_failed(d, "dispatcher.set_state", err, msg, text, sizeof text);
		log_warnx("target", "%s/%d: %s %s: %s", d->conf->name, s->set, dsp_op_name(s->op), s->uri, text);
	} else {
		d->counts.set_states++;
		d->acted = true;
		d->applied_wall_ms = loop_wall_ms(d->deps.loop);
	}
	step_next(d);
}

/*
 * All that shall take calls has yet to come with the reload: until then what is there must go on, or the set
 * would be empty for as long as the window is shut. The reload's list disables it in the same instant.
 */
static bool
is_last_resort(const struct dispatcher *d, int set)
{
	size_t i, active = 0, to_come = 0;

	for (i = 0; i < d->desired.n; i++)
		active += d->desired.v[i].set == set && !(d->desired.v[i].flags & DS_DISABLED);
	for (i = 0; i < d->plan.n; i++)
		to_come += d->plan.v[i].set == set && d->plan.v[i].op == DSP_ADD && d->plan.v[i].active;
	return active > 0 && to_come == active;
}

static void
step_next(struct dispatcher *d)
{
	while (is_up(d) && d->next < d->plan.n) {
		const struct dsp_step *s = &d->plan.v[d->next++];
		struct buf body = { 0 };

		if (s->state == NULL || (s->op == DSP_DISABLE && is_last_resort(d, s->set)))
			continue;
		binrpc_begin(&body, "dispatcher.set_state");
		binrpc_add_str(&body, s->state);
		binrpc_add_int(&body, s->set);
		binrpc_add_str(&body, s->uri);
		kam_call(kamhost_kam(d->host), "dispatcher.set_state", &body, on_set_state, d);
		buf_free(&body);
		return;
	}
	d->rpc_busy = false;
	if (d->quick && is_up(d)) {
		d->quick = false;
		dispatcher_pass_read(d);
		return;
	}
	d->quick = false;
	pass_join(d);
}

/* Both hands are free again: the file is written (or not), the set_states are out. */
static void
pass_join(struct dispatcher *d)
{
	if (d->file_busy || d->rpc_busy)
		return;
	if (!is_up(d) || d->file_locked_out) {
		dispatcher_pass_end(d);
		return;
	}
	if (d->plan.structural > 0 && d->file_error[0] == '\0') {
		/* The window is too dear to spend on an old list, or on what another connection read. */
		if (platform_now(d->deps.platform) != d->topo || !d->was_read) {
			d->dirty = true;
			dispatcher_pass_end(d);
			return;
		}
		if (dispatcher_change(d))
			return;
	}
	if (d->acted && d->verifies++ < VERIFY_MAX)
		dispatcher_pass_read(d);
	else
		dispatcher_pass_end(d);
}

/* Kamailio holds what neither we nor the file want, as far as we know: it may have been edited just now. */
static bool
wants_reread(struct dispatcher *d)
{
	size_t i;

	for (i = 0; i < d->plan.n && !d->quick; i++) {
		const struct set *s = dispatcher_find_set(d, d->plan.v[i].set);

		if (d->plan.v[i].op == DSP_REMOVE && s != NULL && !s->conf->exclusive)
			return !d->reread;
	}
	return false;
}

/* Most passes find nothing new: then what was desired, and what is missing, is as it was. */
static void
update_plan(struct dispatcher *d)
{
	struct topo *now = platform_now(d->deps.platform);

	if (d->topo != now || d->desired_conf != d->conf) {
		ds_entries_clear(&d->desired);
		topo_unref(d->topo);
		d->topo = topo_ref(now);
		d->desired_conf = d->conf;
		dsp_desired(d->conf, d->topo, &d->desired, d->refs, &d->n_refs);
		d->news = d->file_stale = true;
	}
	dsp_plan_clear(&d->plan);
	if (d->was_read && !d->news && d->right)
		return;
	d->right = false;
	d->news = !d->was_read;
	if (!d->was_read)
		return;
	dsp_make_plan(&d->desired, &d->actual, &d->foreign, d->refs, d->n_refs, &d->plan);
	d->right = d->plan.n == 0;
	dsp_note_lost(&d->plan, &d->before, &d->lost);
}

static void
pass_plan(struct dispatcher *d)
{
	update_plan(d);
	if (d->deps.dry || d->file_locked_out) {
		dispatcher_pass_end(d);
		return;
	}
	if (wants_reread(d)) {
		d->rereading = d->reread = d->file_busy = true;
		listfile_load(d->file, true);
		return;
	}
	if (d->was_read) {
		if (!d->quick)
			dispatcher_check_change(d);
		dispatcher_filter_plan(d);
		if (d->after_reload && !d->quick)
			dsp_repair(&d->desired, &d->before, &d->actual, d->conf->probing, &d->plan);
		d->after_reload = false;
	}
	ds_entries_clear(&d->before);
	d->next = 0;
	d->acted = false;
	d->rpc_busy = true;
	store_file(d);
	step_next(d);
}

/* ---- reading ---- */

/* What this set held before c4d came is generation 0: taken over once, and only evidence takes it out. */
static void
adopt(struct dispatcher *d, struct set *s, const struct ds_entries *from)
{
	struct platform_adoptee *v = xcalloc(from->n, sizeof *v);
	char **lines = xcalloc(from->n, sizeof *lines);
	size_t i, n = 0;

	for (i = 0; i < from->n; i++) {
		const struct ds_entry *e = &from->v[i];

		/* others' lines in a set that is not ours alone stay theirs */
		if (e->set != s->conf->id || !(s->conf->exclusive || e->ours))
			continue;
		if (dslist_uri_addr(e->uri, &v[n].addr) != 0)
			memset(&v[n].addr, 0, sizeof v[n].addr);
		lines[n] = xasprintf("%s %u %d%s%s", e->uri, e->flags & ~(unsigned)DS_STATE_BITS, e->priority,
		    e->attrs ? " " : "", e->attrs ? e->attrs : "");
		v[n].line = lines[n];
		v[n].disabled = e->flags & DS_DISABLED;
		n++;
	}
	if (n > 0)
		platform_adopt(d->deps.platform, s->conf->service, s->row.name, v, n);
	for (i = 0; i < n; i++)
		free(lines[i]);
	free(lines);
	free(v);
}

static void
adopt_read(struct dispatcher *d)
{
	struct dsp_index filed = { 0 };
	size_t i, k;

	for (i = 0; i < d->n_sets; i++) {
		struct set *s = &d->sets[i];
		struct ds_entries fresh = { 0 };

		if (s->adopted || !s->adopted_file)
			continue;
		s->adopted = true;
		if (filed.slots == NULL)
			filed = dsp_index_make(&d->filed);
		/* only what the file did not hold: its lines say more (flag 16 is not shown by Kamailio) */
		for (k = 0; k < d->actual.n; k++) {
			const struct ds_entry *e = &d->actual.v[k];

			if (e->set == s->conf->id && dsp_index_find(&filed, e->set, e->uri) == NULL)
				ds_entries_add(&fresh, e->set, e->uri, e->flags, e->priority, e->attrs);
		}
		adopt(d, s, &fresh);
		ds_entries_clear(&fresh);
		platform_note_adopted(d->deps.platform, s->row.name);
	}
	dsp_index_free(&filed);
}

/* Eight bytes at a time: lists of thousands are read back every few seconds, and mostly are as they were. */
static uint64_t
hash_bytes(const uint8_t *p, size_t len)
{
	uint64_t h = len * 0x9e3779b97f4a7c15ull, word;

	for (; len >= sizeof word; p += sizeof word, len -= sizeof word) {
		memcpy(&word, p, sizeof word);
		h = (h ^ word) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	word = 0;
	memcpy(&word, p, len);
	h = (h ^ word) * 0xff51afd7ed558ccdull;
	return (h ^ h >> 29) | 1;
}

static void
take_list(struct dispatcher *d, struct ds_entries *takes, uint64_t hash)
{
	d->list_error[0] = '\0';
	if (hash != d->actual_hash) {
		move_entries(&d->before, &d->actual);
		move_entries(&d->actual, takes);
		d->actual_hash = hash;
		d->news = d->file_stale = true;
	}
	d->news |= !d->was_read;
	d->was_read = true;
	adopt_read(d);
}

static int
read_list(struct dispatcher *d, const struct binrpc_msg *msg)
{
	uint64_t hash = hash_bytes(msg->body, msg->body_len);
	struct ds_entries got = { 0 };
	int err = hash == d->actual_hash ? 0 : dsp_read_list(msg, &got);

	if (err == 0)
		take_list(d, &got, hash);
	else
		kam_reconnect(kamhost_kam(d->host), "the reply to dispatcher.list cannot be decoded");
	ds_entries_clear(&got);
	return err;
}

static void
on_list(void *arg, int err, const struct binrpc_msg *msg)
{
	struct dispatcher *d = arg;
	const char *reason = "";
	char hint[HINT_BYTES];
	int code;

	d->rpc_busy = false;
	if (err == 0 && !binrpc_fault(msg, &code, &reason)) {
		err = read_list(d, msg);
	} else if (err == 0 && strstr(reason, "No Destination Sets") != NULL) {
		take_list(d, &(struct ds_entries){ 0 }, 1);
	} else if (err == 0) {
		d->counts.faults++;
		hint_fault("dispatcher.list", reason, hint);
		snprintf(d->list_error, sizeof d->list_error, "dispatcher.list refused by Kamailio: %d %.80s%s", code, reason, hint);
		err = -EPROTO;
	}
	if (err != 0)
		d->was_read = false;
	if (d->file_busy)
		d->list_came = true;
	else
		pass_plan(d);
}

void
dispatcher_pass_read(struct dispatcher *d)
{
	struct buf body = { 0 };

	if (!is_up(d)) {
		pass_plan(d);
		return;
	}
	d->rpc_busy = true;
	binrpc_begin(&body, "dispatcher.list");
	kam_call_raw(kamhost_kam(d->host), "dispatcher.list", &body, on_list, d);
	buf_free(&body);
}

static void
on_sockets(void *arg, int err, const struct binrpc_msg *msg)
{
	struct dispatcher *d = arg;
	const struct binrpc_value *v;
	struct topo_addr addr[64];
	size_t n = 0;

	for (v = err == 0 && msg->kind == BINRPC_REPLY && msg->first ? binrpc_find(msg->first->child, "socket") : NULL;
	     v != NULL && n < NELEM(addr); v = binrpc_find(v->next, "socket")) {
		const char *ip = binrpc_text(v->child, "ipaddress"), *port_text;
		int64_t port;

		if (!binrpc_int(v->child, "port", &port)) {
			port_text = binrpc_text(v->child, "port");
			if (port_text == NULL || text_parse_int(port_text, 1, 65535, &port) != 0)
				continue;
		}
		if (ip == NULL || topo_addr_parse_ip(ip, &addr[n]) != 0)
			continue;
		addr[n++].port = (uint16_t)port;
	}
	d->sockets_known = true;
	if (n > 0)
		platform_set_own(d->deps.platform, d->conf->name, addr, n);
	dispatcher_pass_read(d);
}

/*
 * A new snapshot, and a Kamailio that was read a moment ago: what set_state can do goes at once, by what was read then.
 * The read-back that follows is its proof, and finds what else may have changed. What is structural waits for
 * it: a reload carries the present states.
 */
static bool
can_be_quick(const struct dispatcher *d)
{
	return d->was_read && is_up(d) && !d->file_locked_out && !d->deps.dry && d->topo != platform_now(d->deps.platform);
}

static void
pass_begin(void *arg)
{
	struct dispatcher *d = arg;
	struct buf body = { 0 };

	if (d->running) {
		d->dirty = true;
		return;
	}
	loop_timer_stop(&d->timer);
	d->running = true;
	d->dirty = false;
	d->verifies = 0;
	d->reread = false;
	d->applied_wall_ms = 0;
	if (!d->loaded) {
		d->file_busy = true;
		listfile_load(d->file, !d->deps.dry);
	} else if (is_up(d) && !d->sockets_known) {
		binrpc_begin(&body, "core.sockets_list");
		kam_call(kamhost_kam(d->host), "core.sockets_list", &body, on_sockets, d);
		buf_free(&body);
	} else if (can_be_quick(d)) {
		d->quick = true;
		pass_plan(d);
	} else {
		dispatcher_pass_read(d);
	}
}

static void
on_file_loaded(struct dispatcher *d)
{
	size_t i;

	d->loaded = true;
	for (i = 0; i < d->n_sets; i++) {
		struct set *s = &d->sets[i];

		s->adopted = platform_adopted(d->deps.platform, s->row.name);
		if (!s->adopted)
			adopt(d, s, &d->filed);
		s->adopted_file = true;
	}
}

static void
take_file(struct dispatcher *d, struct listfile_result *r)
{
	bool had_foreign = d->foreign.n > 0;
	size_t i;

	move_entries(&d->filed, &r->all);
	d->file_bad = r->bad;
	ds_entries_clear(&d->foreign);
	for (i = 0; i < d->filed.n; i++) {
		const struct ds_entry *e = &d->filed.v[i];
		const struct set *s = dispatcher_find_set(d, e->set);

		if (!e->ours && s != NULL && !s->conf->exclusive)
			ds_entries_add(&d->foreign, e->set, e->uri, e->flags, e->priority, e->attrs);
	}
	if (had_foreign || d->foreign.n > 0)
		d->news = d->file_stale = true;
}

static void
on_file(void *arg, struct listfile_result *r)
{
	struct dispatcher *d = arg;
	bool was_failing = d->file_error[0] != '\0';

	d->file_busy = false;
	d->file_checked_ms = now_ms(d);
	d->file_locked_out = r->err == -EWOULDBLOCK;
	if (was_failing && r->err == 0)
		log_notice("target", "%s: %s can be written again", d->conf->name, d->conf->list_file);
	snprintf(d->file_error, sizeof d->file_error, "%s", r->error);
	if (r->err != 0 || !(r->read || r->unchanged))
		d->file_hash = 0;
	if (r->written) {
		d->counts.file_writes++;
		log_debug("target", "%s: wrote %s", d->conf->name, d->conf->list_file);
	}
	if (r->read)
		take_file(d, r);
	else if (r->err == 0 && !r->unchanged)
		store_file(d); /* somebody may have been at it */
	if (d->file_busy)
		return;
	if (d->rereading || d->list_came) {
		d->rereading = d->list_came = false;
		pass_plan(d);
		return;
	}
	if (d->loaded) {
		pass_join(d);
		return;
	}
	if (d->file_locked_out) { /* not ours: look again later, from the beginning */
		dispatcher_pass_end(d);
		return;
	}
	on_file_loaded(d);
	d->running = false;
	pass_begin(d);
}

/* ---- the connection ---- */

static void
on_up(struct target *t, bool restarted)
{
	struct dispatcher *d = of_target(t);
	const char *trap;
	size_t i;

	d->was_read = false;
	d->sockets_known = false;
	d->list_error[0] = '\0';
	dispatcher_forget_change(d, restarted);
	for (i = 0; i < d->n_sets; i++) {
		d->sets[i].row.applied = 0;
		trap = d->conf->probing ? hint_flags(kamhost_ident(d->host)->version, (unsigned)d->sets[i].conf->flags) : NULL;
		if (trap != NULL)
			log_warnx("target", "%s: %s", d->sets[i].row.name, trap);
	}
	kick(t);
}

static void
on_down(struct target *t)
{
	struct dispatcher *d = of_target(t);

	d->was_read = false;
	if (!d->running)
		kick(t);
}

/* ---- life ---- */

static void
on_timer(void *arg)
{
	pass_begin(arg);
}

static void
name_sets(struct dispatcher *d)
{
	size_t i;

	for (i = 0; i < d->n_sets; i++) {
		d->sets[i].conf = d->conf->sets[i];
		snprintf(d->sets[i].row.name, sizeof d->sets[i].row.name, "%s/%s", d->conf->name, d->conf->sets[i]->name);
	}
}

struct dispatcher *
dispatcher_new(const struct target_deps *deps, struct kamhost *host)
{
	struct dispatcher *d = xcalloc(1, sizeof *d);
	size_t i;

	d->target.ops = &dispatcher_ops;
	d->deps = *deps;
	d->host = host;
	d->conf = kamhost_conf(host);
	d->delta_ms = d->conf->reload_delta_ms;
	d->n_sets = d->conf->n_sets;
	d->sets = xcalloc(d->n_sets, sizeof *d->sets);
	d->refs = xcalloc(d->n_sets, sizeof *d->refs);
	d->start_generation = platform_generation(deps->platform);
	name_sets(d);
	for (i = 0; i < d->n_sets; i++)
		target_row_init(&d->sets[i].row, deps);
	loop_timer_init(&d->timer, deps->loop, on_timer, d);
	d->file = listfile_new(deps->worker, d->conf->list_file, on_file, d);
	return d;
}

struct target *
dispatcher_target(struct dispatcher *d)
{
	return &d->target;
}

static void
destroy(struct target *t)
{
	struct dispatcher *d = of_target(t);
	size_t i;

	loop_timer_fini(&d->timer);
	loop_later_cancel(d->deps.loop, &d->begin);
	listfile_free(d->file);
	topo_unref(d->topo);
	for (i = 0; i < d->n_sets; i++)
		repair_forget(&d->sets[i].row.repairs);
	free(d->sets);
	free(d->refs);
	ds_entries_clear(&d->actual);
	ds_entries_clear(&d->lost);
	ds_entries_clear(&d->filed);
	ds_entries_clear(&d->foreign);
	ds_entries_clear(&d->desired);
	ds_entries_clear(&d->before);
	dsp_plan_clear(&d->plan);
	dsp_step_clear(&d->tried);
	dispatcher_forget_refusals(d);
	free(d);
}

static void
set_conf(struct target *t)
{
	struct dispatcher *d = of_target(t);

	d->conf = kamhost_conf(d->host);
	d->desired_conf = NULL; /* another one may lie where that one lay */
	name_sets(d);
	kick(t);
}

static void
kick(struct target *t)
{
	struct dispatcher *d = of_target(t);

	if (d->running)
		d->dirty = true;
	else
		loop_later(d->deps.loop, &d->begin, pass_begin, d);
}

static void
resync(struct target *t)
{
	struct dispatcher *d = of_target(t);
	size_t i;

	for (i = 0; i < d->n_sets; i++)
		target_row_forget(&d->sets[i].row);
	d->stuck_until_ms = 0;
	dispatcher_forget_refusals(d);
	d->file_hash = 0;
	kick(t);
}

const struct target_ops dispatcher_ops = {
	.set_conf = set_conf,
	.kick = kick,
	.resync = resync,
	.up = on_up,
	.down = on_down,
	.free = destroy,
	.rows = dispatcher_rows,
	.view = dispatcher_view,
	.holds = dispatcher_holds,
	.diff = dispatcher_diff,
	.passes = dispatcher_passes,
	.was_read = dispatcher_was_read,
	.counts = dispatcher_counts,
};
