/*
 * c4ctl maintenance and c4ctl check: the operator's word about what this machine registers. It is in the store before
 * Consul hears of it, so whoever hears that it was accepted may rely on it; the rest is waited for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/text.h"
#include "control/control.h"

#define WAIT_MS 5000 /* for Consul's agent; c4ctl itself waits for longer */
#define REASON_MAX 200
#define NAMES_FEW 4

struct word {
	bool on;
	int64_t asked_ms;  /* wall clock */
	const char *name;  /* NULL: all */
	const char *check; /* NULL: maintenance */
	char text[];       /* of both */
};

static struct word *
word_new(const struct app *a, bool on, const char *name, const char *check)
{
	size_t len = name ? strlen(name) + 1 : 0, check_len = check ? strlen(check) + 1 : 0;
	struct word *w = xcalloc(1, sizeof *w + len + check_len);

	w->on = on;
	w->asked_ms = loop_wall_ms(a->loop);
	if (name != NULL)
		w->name = memcpy(w->text, name, len);
	if (check != NULL)
		w->check = memcpy(w->text + len, check, check_len);
	return w;
}

/* The first word. False: it has been answered. */
static bool
parse_on(struct control_req *r, bool *on, const char *usage)
{
	const char *s = control_arg(r, 0);

	*on = strcmp(s, "on") == 0;
	if (*on || strcmp(s, "off") == 0)
		return true;
	control_end(r, EXIT_USAGE, "usage: c4ctl %s", usage);
	return false;
}

/* ---- has it come to pass? ---- */

static bool
is_meant(const struct word *w, const struct registration_view *v)
{
	return v->state != REG_LEAVING && show_registration_named(v, w->name);
}

/* Consul has nothing that it could be told about; it will be told when there is. */
static bool
is_not_there(const struct registration_view *v)
{
	return v->state == REG_WAITING && v->agent == AGENT_NO_STATUS;
}

static bool
maintenance_has_come(bool on, const struct registration_view *v)
{
	if (v->state == REG_MAINTENANCE)
		return on || v->foreign_maintenance;
	if (v->state == REG_WAITING) /* of an earlier run, and its checks have not passed yet: maintenance is a check too */
		return on && v->agent == AGENT_CRITICAL;
	return !on && v->state == REG_REGISTERED;
}

/* Of the i-th registration. */
static const struct check_view *
find_check(const struct registrar *reg, size_t i, const char *name, struct check_view *v)
{
	size_t k;

	for (k = 0; k < registrar_checks(reg, i); k++) {
		registrar_check_view(reg, i, k, v);
		if (strcmp(v->name, name) == 0)
			return v;
	}
	return NULL;
}

static bool
check_has_come(const struct app *a, const struct word *w, size_t i, const struct registration_view *v)
{
	struct check_view c;

	if ((v->state != REG_REGISTERED && v->state != REG_MAINTENANCE) || v->asserted_ms < w->asked_ms)
		return false;
	return w->on || find_check(a->registrar, i, w->check, &c) == NULL || c.agent == AGENT_NO_STATUS;
}

static bool
has_come(const struct app *a, const struct word *w, size_t i, const struct registration_view *v)
{
	return is_not_there(v) || (w->check != NULL ? check_has_come(a, w, i, v) : maintenance_has_come(w->on, v));
}

/* ---- the answer ---- */

struct names {
	struct buf text;
	size_t n;
};

static void
add_name(struct names *names, const char *name, const char *state, const char *why)
{
	if (names->n++ >= NAMES_FEW)
		return;
	buf_printf(&names->text, "%s%s", names->n > 1 ? ", " : "", name);
	if (state != NULL)
		buf_printf(&names->text, " (%s%s%s)", state, *why ? ": " : "", why);
}

/* Once. */
static const char *
names_text(struct names *names)
{
	if (names->n > NAMES_FEW)
		buf_printf(&names->text, " and %zu more", names->n - NAMES_FEW);
	return names->text.s;
}

struct outcome {
	struct names meant, late, absent, foreign; /* foreign: stay in somebody else's maintenance */
};

static void
look(const struct app *a, const struct word *w, struct outcome *out)
{
	struct registration_view v;
	size_t i;

	memset(out, 0, sizeof *out);
	for (i = 0; i < registrar_count(a->registrar); i++) {
		registrar_view(a->registrar, i, &v);
		if (!is_meant(w, &v))
			continue;
		add_name(&out->meant, v.name, NULL, NULL);
		if (!has_come(a, w, i, &v))
			add_name(&out->late, v.name, registration_state_name(v.state), v.why);
		else if (is_not_there(&v))
			add_name(&out->absent, v.name, registration_state_name(v.state), v.why);
		else if (!w->on && w->check == NULL && v.foreign_maintenance)
			add_name(&out->foreign, v.name, NULL, NULL);
	}
}

static void
outcome_clear(struct outcome *out)
{
	buf_free(&out->meant.text);
	buf_free(&out->late.text);
	buf_free(&out->absent.text);
	buf_free(&out->foreign.text);
}

static json_t *
meant_rows(const struct app *a, const struct word *w)
{
	json_t *rows = json_array();
	struct registration_view v;
	size_t i;

	for (i = 0; i < registrar_count(a->registrar); i++) {
		registrar_view(a->registrar, i, &v);
		if (is_meant(w, &v))
			json_array_append_new(rows, show_registration(&v));
	}
	return rows;
}

static void
maintenance_done(struct buf *b, const struct word *w, const struct outcome *out)
{
	const char *be = out->meant.n > 1 ? "are" : "is";

	if (!w->on)
		buf_printf(b, "%s not in c4d's maintenance any more", be);
	else if (out->late.n > 0)
		buf_printf(b, "%s to be in maintenance", be);
	else
		buf_printf(b, "%s in maintenance: no new calls, also over restarts, until c4ctl maintenance off%s%s", be,
		    w->name ? " " : "", w->name ? w->name : "");
}

static bool
has_no_check(const struct registrar *reg, const char *name)
{
	struct registration_view v;
	struct check_view c;
	size_t i, k;

	for (i = 0; i < registrar_count(reg); i++) {
		registrar_view(reg, i, &v);
		for (k = 0; strcmp(v.name, name) == 0 && k < registrar_checks(reg, i); k++) {
			registrar_check_view(reg, i, k, &c);
			if (!c.off)
				return false;
		}
	}
	return true;
}

static void
check_done(struct buf *b, const struct registrar *reg, const struct word *w)
{
	buf_printf(b, "has check %s %s", w->check, w->on ? "on again" : "off");
	if (!w->on)
		buf_printf(b, ", also over restarts, until c4ctl check on %s %s", w->name, w->check);
	if (has_no_check(reg, w->name))
		buf_puts(b, "; it has no other: Consul takes it as passing");
}

/* "sbc is in maintenance ...": what follows the name. */
static char *
done_text(const struct app *a, const struct word *w, struct outcome *out)
{
	struct buf b = { 0 };

	if (w->check != NULL)
		check_done(&b, a->registrar, w);
	else
		maintenance_done(&b, w, out);
	if (out->late.n > 0)
		buf_puts(&b, " (remembered; Consul is told as soon as it can be)");
	if (out->absent.n > 0)
		buf_printf(&b, "; not at Consul yet: %s", names_text(&out->absent));
	return buf_take(&b);
}

static bool
word_wait(struct control_req *r, void *arg, bool late)
{
	const struct word *w = arg;
	const struct app *a = control_app(r);
	struct outcome out;
	char *done;
	json_t *o;

	look(a, w, &out);
	if (out.late.n > 0 && !late) {
		outcome_clear(&out);
		return false;
	}
	if (out.meant.n == 0) {
		control_end(r, EXIT_NO, "it was accepted, and is being deregistered meanwhile: c4d is stopping, or it is not configured any more");
		outcome_clear(&out);
		return true;
	}
	done = done_text(a, w, &out);
	o = json_object();
	jsonx_set_text(o, "registration", names_text(&out.meant));
	jsonx_set_text(o, "check", w->check);
	jsonx_set_bool(o, "on", w->on);
	jsonx_set_text(o, "done", done);
	json_object_set_new(o, "registrations", meant_rows(a, w));
	control_data(r, o);
	if (out.late.n > 0)
		control_end(r, EXIT_NO, "accepted, but Consul has not said so yet: %.800s (c4ctl show registrations)", names_text(&out.late));
	else if (out.foreign.n > 0)
		control_end(r, EXIT_NO, "somebody else's maintenance at Consul stays: %.600s; to end it: consul maint -disable -service=ID "
		    "(c4ctl show registrations has the ids)", names_text(&out.foreign));
	else
		control_end(r, EXIT_DONE, NULL);
	free(done);
	outcome_clear(&out);
	return true;
}

/* ---- before it is said ---- */

struct before {
	size_t n, leaving, in; /* in: in maintenance, of whomever, or to be */
};

static struct before
look_before(const struct app *a, const char *name)
{
	struct before b = { 0 };
	struct registration_view v;
	size_t i;

	for (i = 0; i < registrar_count(a->registrar); i++) {
		registrar_view(a->registrar, i, &v);
		if (!show_registration_named(&v, name))
			continue;
		b.n++;
		b.leaving += v.state == REG_LEAVING;
		b.in += v.maintenance || v.foreign_maintenance || v.state == REG_MAINTENANCE;
	}
	return b;
}

/* Whom it concerns. False: it has been answered. */
static bool
may_be_said(struct control_req *r, const char *name, struct before *b)
{
	*b = look_before(control_app(r), name);
	if (b->n == 0 && name == NULL)
		control_end(r, EXIT_NO, "the configuration registers nothing (register)");
	else if (b->n == 0)
		control_end(r, EXIT_NO, "no registration %s (c4ctl show registrations)", name);
	else if (b->leaving == b->n)
		control_end(r, EXIT_REFUSED, "%s being deregistered: c4d is stopping, or it is not configured any more",
		    name != NULL ? "it is" : "they are");
	else
		return true;
	return false;
}

static void
await(struct control_req *r, struct word *w)
{
	control_wait(r, loop_now_ms(control_app(r)->loop) + WAIT_MS, word_wait, w);
}

/* ---- maintenance ---- */

static const char maintenance_usage[] = "maintenance on|off [REGISTRATION] [--reason TEXT]";

/* The words behind on and off. False: they make no sense. */
static bool
parse_words(struct control_req *r, bool on, const char **name, const char **reason)
{
	static const char option[] = "--reason";
	size_t i, len = sizeof option - 1;

	*name = *reason = NULL;
	for (i = 1; i < control_n_args(r); i++) {
		const char *s = control_arg(r, i);
		bool is_option = strncmp(s, option, len) == 0 && (s[len] == '\0' || s[len] == '=');

		if (is_option && on && *reason == NULL && (s[len] == '=' || i + 1 < control_n_args(r)))
			*reason = s[len] == '=' ? s + len + 1 : control_arg(r, ++i);
		else if (!is_option && *name == NULL && *s != '\0' && *s != '-')
			*name = s;
		else
			return false;
	}
	return true;
}

/* One line; it goes into Consul's notes, and comes back in logs and tables. */
static bool
is_reason(const char *s)
{
	size_t len = 0;

	for (; s[len]; len++)
		if ((unsigned char)s[len] < 0x20 || s[len] == 0x7f)
			return false;
	return len <= REASON_MAX;
}

void
ctl_maintenance(struct control_req *r)
{
	struct app *a = control_app(r);
	const char *name, *reason;
	struct before b;
	bool on;

	if (!parse_on(r, &on, maintenance_usage))
		return;
	if (!parse_words(r, on, &name, &reason)) {
		control_end(r, EXIT_USAGE, "usage: c4ctl %s", maintenance_usage);
		return;
	}
	if (reason != NULL && !is_reason(reason)) {
		control_end(r, EXIT_USAGE, "--reason takes one line of at most %d characters", REASON_MAX);
		return;
	}
	if (!may_be_said(r, name, &b))
		return;
	if (!on && b.in == 0) {
		control_end(r, EXIT_NO, "%s in maintenance (c4ctl show registrations)", name ? "it is not" : "none is");
		return;
	}
	if (registrar_maintenance(a->registrar, name, on, reason ? reason : "", control_peer(r)) != 0) {
		control_end(r, EXIT_NO, "no registration %s (c4ctl show registrations)", name ? name : "");
		return;
	}
	await(r, word_new(a, on, name, NULL));
}

/* ---- check ---- */

static bool
find_registration(const struct registrar *reg, const char *name, struct registration_view *v, size_t *at)
{
	for (*at = 0; *at < registrar_count(reg); ++*at) {
		registrar_view(reg, *at, v);
		if (v->state != REG_LEAVING && show_registration_named(v, name))
			return true;
	}
	return false;
}

void
ctl_check(struct control_req *r)
{
	struct app *a = control_app(r);
	const char *name = control_arg(r, 1), *check = control_arg(r, 2);
	struct registration_view v;
	struct check_view c;
	struct before b;
	size_t at;
	bool on;

	if (!parse_on(r, &on, "check on|off REGISTRATION CHECK") || !may_be_said(r, name, &b) ||
	    !find_registration(a->registrar, name, &v, &at)) /* may_be_said() said that there is one */
		return;
	if (find_check(a->registrar, at, check, &c) == NULL) {
		control_end(r, EXIT_NO, "%s has no check %s (c4ctl show checks %s)", v.name, check, v.name);
		return;
	}
	if (c.off == !on) {
		control_end(r, EXIT_NO, "check %s of %s is %s already", check, v.name, on ? "on" : "off");
		return;
	}
	if (registrar_check(a->registrar, v.name, check, on, control_peer(r)) != 0) {
		control_end(r, EXIT_NO, "no check %s of %s (c4ctl show checks)", check, v.name);
		return;
	}
	await(r, word_new(a, on, v.name, check));
}
