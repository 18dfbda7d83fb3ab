#include "reconcile/dispatcher.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "reconcile/dispatcher_int.h"

#define FILE_CHECK_MS 5000     /* the file is compared at least this often, whoever edits it */
#define FILE_RETRY_MS 2000     /* after it could not be written or locked */
#define FAULT_RETRY_MS 5000    /* after a reload that Kamailio refused for another reason than the window */
#define WINDOW_PROBE_MS 500    /* "Ongoing reload" though our window was over: somebody else reloads */
#define WINDOW_LEARN_MAX_MS 60000
#define STUCK_RETRY_MS 60000
#define VERIFY_MAX 4           /* read-backs within one pass */

static void pass_read(struct dispatcher *);
static void pass_join(struct dispatcher *);
static void kick(struct target *);

static void
copy_entries(struct ds_entries *to, const struct ds_entries *from)
{
	size_t i;

	ds_entries_clear(to);
	for (i = 0; i < from->n; i++)
		ds_entries_add(to, from->v[i].set, from->v[i].uri, from->v[i].flags, from->v[i].priority, from->v[i].attrs);
}

static struct set *
find_set(struct dispatcher *d, int id)
{
	size_t i;

	for (i = 0; i < d->n_sets; i++)
		if (d->sets[i].conf->id == id)
			return &d->sets[i];
	return NULL;
}

/* ---- the pass: read, plan, act, read back ---- */

static void
pass_end(struct dispatcher *d)
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

static void
log_repair(const struct set *s, const struct dsp_step *step)
{
	if (step->op == DSP_ENABLE)
		log_notice("target", "%s: somebody disabled %s; it is enabled again (to take it out: maintenance at Consul; c4ctl drain is to come)", s->name,
		    step->uri);
	else
		log_notice("target", "%s: somebody changed the set (%s %s); it is put right", s->name, dsp_op_name(step->op),
		    step->uri);
}

/* False: the same repair was needed too often; the set is left alone for a while. */
static bool
note_repair(struct dispatcher *d, struct set *s, const struct dsp_step *step)
{
	char *key = step->state == NULL ? xstrdup("structure") : xasprintf("%s %s", dsp_op_name(step->op), step->uri);

	d->counts.repairs++;
	if (!repair_note(&s->repairs, key, now_ms(d))) {
		log_repair(s, step);
		return true;
	}
	s->backoff_ms = now_ms(d) + REPAIR_SPAN_MS;
	snprintf(s->error, sizeof s->error,
	    "somebody else changes set %s (%s %s, %d times in 60s): stop them; next try in 60s, or c4ctl resync %s",
	    s->conf->name, dsp_op_name(step->op), step->uri, REPAIR_MAX, s->name);
	return false;
}

/*
 * Kamailio itself takes the D away when a call that was under way fails there (ds_mark_dst in the failure
 * route): that is no second hand in the set, and with many calls it happens again and again.
 */
static bool
is_own_mark(const struct dispatcher *d, const struct dsp_step *step)
{
	const struct ds_entry *e;

	if (step->op != DSP_DISABLE)
		return false;
	e = dsp_find(&d->actual, step->set, step->uri);
	if (e == NULL || !(e->flags & (DS_INACTIVE | DS_TRYING)))
		return false;
	log_info("target", "%s/%d: Kamailio marked %s by itself (a call failed there); it is disabled again", d->conf->name,
	    step->set, step->uri);
	return true;
}

/*
 * Steps for a set that was read back as right in this very generation are repairs of somebody else's change.
 * Sets that are left alone lose their steps.
 */
static void
filter_plan(struct dispatcher *d)
{
	struct dsp_plan *p = &d->plan;
	size_t i, k, n = 0;

	for (i = 0; i < d->n_sets; i++) {
		struct set *s = &d->sets[i];

		if (s->applied != d->topo->generation || s->backoff_ms > now_ms(d) || d->verifies > 0)
			continue;
		for (k = 0; k < p->n; k++) {
			if (p->v[k].set != s->conf->id || is_own_mark(d, &p->v[k]))
				continue;
			if (!note_repair(d, s, &p->v[k]))
				break;
			if (p->v[k].state == NULL) /* one reload repairs them all: count it once */
				break;
		}
		if (s->backoff_ms <= now_ms(d) && k < p->n)
			s->applied = 0;
	}
	p->structural = 0;
	for (i = 0; i < p->n; i++) {
		struct set *s = find_set(d, p->v[i].set);

		if (s != NULL && s->backoff_ms > now_ms(d)) {
			free(p->v[i].uri);
			free(p->v[i].detail);
			continue;
		}
		p->structural += p->v[i].state == NULL;
		p->v[n++] = p->v[i];
	}
	p->n = n;
}

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

static void
store_file(struct dispatcher *d)
{
	bool due = d->file_error[0] || now_ms(d) - d->file_checked_ms >= FILE_CHECK_MS;
	struct ds_entries block = { 0 };
	uint64_t hash;

	if (d->n_refs == 0 || only_adopted(d))
		return;
	/* What Kamailio is about to read must be right, whoever has been at the file since we looked. */
	due |= d->plan.structural > 0 && d->window_ms <= now_ms(d);
	dsp_file_entries(&d->desired, &d->states, d->conf->probing, &block);
	hash = hash_block(d, &block);
	if (hash != d->file_hash || due) {
		d->file_busy = true;
		d->file_hash = hash;
		listfile_store(d->file, d->refs, d->n_refs, &block);
	}
	ds_entries_clear(&block);
}

/* ---- acting ---- */

static void step_next(struct dispatcher *);

static void
rpc_failed(struct dispatcher *d, const char *what, int err, const struct binrpc_msg *msg, char *text, size_t size)
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
		rpc_failed(d, "dispatcher.set_state", err, msg, text, sizeof text);
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
	pass_join(d);
}

/*
 * A refusal right at the end of our window says that Kamailio's is longer; any other time it may be
 * somebody else's reload that closed it. Kamailio counts whole seconds.
 */
static void
learn_delta(struct dispatcher *d)
{
	int64_t took = now_ms(d) - d->accepted_ms;

	if (d->longer && d->accepted_ms > 0 && took > d->delta_ms && took <= WINDOW_LEARN_MAX_MS) {
		d->delta_ms = (took + 999) / 1000 * 1000;
		log_notice("target", "%s: Kamailio takes a reload every %" PRId64 "ms only; set reload_delta accordingly",
		    d->conf->name, d->delta_ms);
	}
	d->waited = d->refused = d->longer = false;
	d->accepted_ms = now_ms(d);
}

static void
on_reload(void *arg, int err, const struct binrpc_msg *msg)
{
	struct dispatcher *d = arg;
	const char *reason = "";
	int code;

	d->rpc_busy = false;
	if (err == 0 && binrpc_fault(msg, &code, &reason) && strcasestr(reason, "ongoing reload") != NULL) {
		/* The newest list goes with the next try, not this one again. */
		d->counts.faults++;
		d->counts.window_waits++;
		if (!d->refused)
			d->longer = d->waited;
		d->refused = true;
		d->window_ms = now_ms(d) + WINDOW_PROBE_MS;
		log_info("target", "%s: reload refused (Ongoing reload); trying again with the newest list", d->conf->name);
		pass_end(d);
		return;
	}
	if (err != 0 || msg->kind == BINRPC_FAULT) {
		rpc_failed(d, "dispatcher.reload", err, msg, d->reload_error, sizeof d->reload_error);
		if (err == 0 && d->file_bad > 0) {
			size_t len = strlen(d->reload_error);

			snprintf(d->reload_error + len, sizeof d->reload_error - len,
			    "; %s has %zu lines of others that are no destinations: correct them", d->conf->list_file, d->file_bad);
		}
		d->window_ms = now_ms(d) + FAULT_RETRY_MS;
		pass_end(d);
		return;
	}
	d->counts.reloads++;
	d->reload_error[0] = '\0';
	learn_delta(d);
	d->window_ms = now_ms(d) + d->delta_ms;
	d->reload_generation = d->topo->generation;
	d->applied_wall_ms = loop_wall_ms(d->deps.loop);
	d->after_reload = true;
	d->acted = true;
	pass_read(d);
}

static void
reload(struct dispatcher *d)
{
	struct buf body = { 0 };

	copy_entries(&d->before, &d->actual);
	d->rpc_busy = true;
	binrpc_begin(&body, "dispatcher.reload");
	kam_call(kamhost_kam(d->host), "dispatcher.reload", &body, on_reload, d);
	buf_free(&body);
}

/* Both hands are free again: the file is written (or not), the set_states are out. */
static void
pass_join(struct dispatcher *d)
{
	if (d->file_busy || d->rpc_busy)
		return;
	if (!is_up(d) || d->file_locked_out) {
		pass_end(d);
		return;
	}
	if (d->plan.structural > 0 && d->file_error[0] == '\0') {
		/* The window is too dear to spend on an old list, or on what another connection read. */
		if (platform_now(d->deps.platform) != d->topo || !d->was_read) {
			d->dirty = true;
			pass_end(d);
			return;
		}
		if (d->stuck_until_ms > now_ms(d) && d->reload_generation == d->topo->generation) {
			pass_end(d);
			return;
		}
		if (d->window_ms <= now_ms(d)) {
			reload(d);
			return;
		}
		d->waited = true;
		d->counts.window_waits++;
	}
	if (d->acted && d->verifies++ < VERIFY_MAX)
		pass_read(d);
	else
		pass_end(d);
}

/* The reload was accepted, and yet: "Ok" proves nothing. */
static void
check_stuck(struct dispatcher *d)
{
	const struct dsp_step *s = NULL;
	size_t i;

	if (d->plan.structural == 0 || d->reload_generation != d->topo->generation || !d->after_reload) {
		if (d->plan.structural == 0 || d->reload_generation != d->topo->generation)
			d->stuck_until_ms = 0;
		if (d->plan.structural == 0)
			d->reload_error[0] = '\0';
		return;
	}
	for (i = 0; s == NULL; i++) /* there is one: structural says so */
		if (d->plan.v[i].state == NULL)
			s = &d->plan.v[i];
	d->stuck_until_ms = now_ms(d) + STUCK_RETRY_MS;
	snprintf(d->reload_error, sizeof d->reload_error,
	    "Kamailio said Ok to dispatcher.reload but does not hold the list (%s %s, %zu in all): does its list_file name %s, does it listen on that address family, "
	    "and what does its log say of that URI? Next try in 60s, or c4ctl resync",
	    dsp_op_name(s->op), s->uri, d->plan.structural, d->conf->list_file);
}

/* Kamailio holds what neither we nor the file want, as far as we know: it may have been edited just now. */
static bool
wants_reread(struct dispatcher *d)
{
	size_t i;

	for (i = 0; i < d->plan.n; i++)
		if (d->plan.v[i].op == DSP_REMOVE && !find_set(d, d->plan.v[i].set)->conf->exclusive)
			return !d->reread;
	return false;
}

static void
pass_plan(struct dispatcher *d)
{
	dsp_plan_clear(&d->plan);
	ds_entries_clear(&d->desired);
	topo_unref(d->topo);
	d->topo = topo_ref(platform_now(d->deps.platform));
	dsp_desired(d->conf, d->topo, &d->desired, d->refs, &d->n_refs);
	if (d->was_read)
		dsp_make_plan(&d->desired, &d->actual, &d->foreign, d->refs, d->n_refs, &d->plan);
	if (d->deps.dry || d->file_locked_out) {
		pass_end(d);
		return;
	}
	if (wants_reread(d)) {
		d->rereading = d->reread = d->file_busy = true;
		listfile_load(d->file, true);
		return;
	}
	if (d->was_read) {
		check_stuck(d);
		filter_plan(d);
		if (d->after_reload)
			dsp_repair(&d->desired, &d->before, &d->actual, d->conf->probing, &d->plan);
		d->after_reload = false;
	}
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
		platform_adopt(d->deps.platform, s->conf->service, s->name, v, n);
	for (i = 0; i < n; i++)
		free(lines[i]);
	free(lines);
	free(v);
}

static void
adopt_read(struct dispatcher *d)
{
	size_t i, k;

	for (i = 0; i < d->n_sets; i++) {
		struct set *s = &d->sets[i];
		struct ds_entries fresh = { 0 };

		if (s->adopted || !s->adopted_file)
			continue;
		s->adopted = true;
		/* only what the file did not hold: its lines say more (flag 16 is not shown by Kamailio) */
		for (k = 0; k < d->actual.n; k++) {
			const struct ds_entry *e = &d->actual.v[k];

			if (e->set == s->conf->id && dsp_find(&d->filed, e->set, e->uri) == NULL)
				ds_entries_add(&fresh, e->set, e->uri, e->flags, e->priority, e->attrs);
		}
		adopt(d, s, &fresh);
		ds_entries_clear(&fresh);
		platform_note_adopted(d->deps.platform, s->name);
	}
}

static void
on_list(void *arg, int err, const struct binrpc_msg *msg)
{
	struct dispatcher *d = arg;
	struct ds_entries got = { 0 };
	const char *reason = "";
	int code;

	if (err == 0 && binrpc_fault(msg, &code, &reason)) {
		if (strstr(reason, "No Destination Sets") == NULL) {
			d->counts.faults++;
			snprintf(d->list_error, sizeof d->list_error, "dispatcher.list refused by Kamailio: %d %.80s%s", code, reason,
			    strstr(reason, "Internal error") ? " (more than 1024 destinations in a set need "
			    "modparam(\"ctl\", \"binrpc_struct_max_body_size\", 128))" :
			    strstr(reason, "not found") ? " (is dispatcher.so loaded?)" : "");
			err = -EPROTO;
		}
	} else if (err == 0) {
		err = dsp_read_list(msg, &got);
		if (err != 0)
			kam_reconnect(kamhost_kam(d->host), "dispatcher.list could not be understood");
	}
	if (err != 0) {
		ds_entries_clear(&got);
		d->was_read = false;
		dsp_plan_clear(&d->plan);
		pass_plan(d);
		return;
	}
	ds_entries_clear(&d->actual);
	d->actual = got;
	d->was_read = true;
	d->list_error[0] = '\0';
	copy_entries(&d->states, &d->actual);
	adopt_read(d);
	pass_plan(d);
}

static void
pass_read(struct dispatcher *d)
{
	struct buf body = { 0 };

	if (!is_up(d)) {
		pass_plan(d);
		return;
	}
	binrpc_begin(&body, "dispatcher.list");
	kam_call(kamhost_kam(d->host), "dispatcher.list", &body, on_list, d);
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
	pass_read(d);
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
		return;
	}
	if (is_up(d) && !d->sockets_known) {
		binrpc_begin(&body, "core.sockets_list");
		kam_call(kamhost_kam(d->host), "core.sockets_list", &body, on_sockets, d);
		buf_free(&body);
		return;
	}
	pass_read(d);
}

static void
on_file_loaded(struct dispatcher *d)
{
	size_t i;

	copy_entries(&d->states, &d->filed);
	d->loaded = true;
	for (i = 0; i < d->n_sets; i++) {
		struct set *s = &d->sets[i];

		s->adopted = platform_adopted(d->deps.platform, s->name);
		if (!s->adopted)
			adopt(d, s, &d->filed);
		s->adopted_file = true;
	}
}

static void
on_file(void *arg, const struct listfile_result *r)
{
	struct dispatcher *d = arg;
	bool was_failing = d->file_error[0] != '\0';
	size_t i;

	d->file_busy = false;
	d->file_checked_ms = now_ms(d);
	d->file_locked_out = r->err == -EWOULDBLOCK;
	if (was_failing && r->err == 0)
		log_notice("target", "%s: %s can be written again", d->conf->name, d->conf->list_file);
	snprintf(d->file_error, sizeof d->file_error, "%s", r->error);
	if (r->err != 0)
		d->file_hash = 0;
	if (r->written) {
		d->counts.file_writes++;
		log_debug("target", "%s: wrote %s", d->conf->name, d->conf->list_file);
	}
	copy_entries(&d->filed, &r->all);
	d->file_bad = r->bad;
	ds_entries_clear(&d->foreign);
	for (i = 0; i < r->all.n; i++) {
		d->filed.v[i].ours = r->all.v[i].ours;
		if (!r->all.v[i].ours)
			ds_entries_add(&d->foreign, r->all.v[i].set, r->all.v[i].uri, r->all.v[i].flags, r->all.v[i].priority,
			    r->all.v[i].attrs);
	}
	if (d->rereading) {
		d->rereading = false;
		pass_plan(d);
		return;
	}
	if (d->loaded) {
		pass_join(d);
		return;
	}
	if (d->file_locked_out) { /* not ours: look again later, from the beginning */
		pass_end(d);
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
	size_t i;

	d->was_read = false;
	d->sockets_known = false;
	d->after_reload = false;
	d->reload_error[0] = '\0';
	d->list_error[0] = '\0';
	d->stuck_until_ms = 0;
	if (restarted) { /* another process: its window is open, and nothing we know of it holds */
		d->window_ms = 0;
		d->accepted_ms = 0;
		d->waited = d->refused = d->longer = false;
		d->delta_ms = d->conf->reload_delta_ms;
	}
	for (i = 0; i < d->n_sets; i++)
		d->sets[i].applied = 0;
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
		snprintf(d->sets[i].name, sizeof d->sets[i].name, "%s/%s", d->conf->name, d->conf->sets[i]->name);
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
	for (i = 0; i < d->n_sets; i++) {
		d->sets[i].state = TARGET_PENDING;
		d->sets[i].since_ms = loop_wall_ms(deps->loop);
	}
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
		repair_forget(&d->sets[i].repairs);
	free(d->sets);
	free(d->refs);
	ds_entries_clear(&d->actual);
	ds_entries_clear(&d->states);
	ds_entries_clear(&d->filed);
	ds_entries_clear(&d->foreign);
	ds_entries_clear(&d->desired);
	ds_entries_clear(&d->before);
	dsp_plan_clear(&d->plan);
	free(d);
}

static void
set_conf(struct target *t)
{
	struct dispatcher *d = of_target(t);

	d->conf = kamhost_conf(d->host);
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

	for (i = 0; i < d->n_sets; i++) {
		struct set *s = &d->sets[i];

		s->backoff_ms = 0;
		s->applied = 0;
		repair_forget(&s->repairs);
	}
	d->stuck_until_ms = 0;
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
