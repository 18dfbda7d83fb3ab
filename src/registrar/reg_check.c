#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "registrar_int.h"

#define REFUSED_RETRY_MS 2000

/* ---- aiming ---- */

static void
clear_strings(struct strlist *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	memset(l, 0, sizeof *l);
}

static bool
same_strings(const struct strlist *a, const struct strlist *b)
{
	size_t i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
drop_probe(struct reg_check *ck)
{
	probe_free(ck->probe);
	ck->probe = NULL;
	free(ck->probed.name);
	free(ck->probed.type);
	free(ck->probed.uri);
	free(ck->probed.to);
	memset(&ck->probed, 0, sizeof ck->probed);
	free(ck->aim_to);
	ck->aim_to = NULL;
	clear_strings(&ck->aim_command);
}

/* Where the probe goes; false when a place in it is not known. The caller frees both, also then. */
static bool
aim_of(const struct reg_check *ck, const struct agent_places *places, char **to, struct strlist *command)
{
	const struct conf_check *c = ck->conf;
	const struct conf_kamailio *k = c->kind == CHECK_BINRPC ? conf_find_kamailio(ck->reg->r->conf, c->to) : NULL;
	const char *text = k != NULL ? k->binrpc : c->kind == CHECK_SIP ? c->uri : c->to;
	size_t i;

	*to = NULL;
	memset(command, 0, sizeof *command);
	if (c->kind != CHECK_EXEC)
		return text != NULL && (*to = agent_expand(text, ck->reg->conf, places)) != NULL;
	command->v = xcalloc(c->command.n, sizeof *command->v);
	for (i = 0; i < c->command.n; i++) {
		command->v[i] = agent_expand(c->command.v[i], ck->reg->conf, places);
		if (command->v[i] == NULL)
			return false;
		command->n++;
	}
	return true;
}

static bool
is_aimed(const struct reg_check *ck, const char *to, const struct strlist *command)
{
	const struct conf_check *a = &ck->probed, *b = ck->conf;

	return ck->probe != NULL && a->kind == b->kind && a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms &&
	    a->failures == b->failures && same_text(ck->aim_to, to) && same_strings(&ck->aim_command, command);
}

static void
on_probe(void *arg)
{
	struct reg_check *ck = arg;
	struct loop *loop = ck->reg->r->loop;
	struct probe_view v;
	bool moved;

	probe_view(ck->probe, &v);
	if (v.status == AGENT_NO_STATUS)
		return; /* a new aim: what the old one said stands until then */
	moved = v.status != ck->status;
	ck->status = v.status;
	free(ck->output);
	ck->output = xstrdup(v.output ? v.output : "");
	if (moved)
		ck->since_ms = loop_wall_ms(loop);
	if (v.status != AGENT_CRITICAL) /* a warning is listed too */
		ck->passed = true;
	free(ck->reg->body);
	ck->reg->body = NULL;
	reg_check_tell(ck, true);
	registration_opens(ck->reg);
}

void
reg_check_aim(struct reg_check *ck, const struct agent_places *places)
{
	struct probe_aim aim;
	struct strlist command;
	char *to, *name;

	if (!ck->ours)
		return;
	if (!aim_of(ck, places, &to, &command)) {
		drop_probe(ck);
		snprintf(ck->why, sizeof ck->why, "it can't be made: a place in it stands for what is not known yet");
		goto out;
	}
	if (is_aimed(ck, to, &command))
		goto out;
	drop_probe(ck);
	ck->probed.name = xstrdup(ck->conf->name);
	ck->probed.type = xstrdup(ck->conf->type);
	ck->probed.uri = xstrdup(ck->conf->uri);
	ck->probed.to = xstrdup(ck->conf->to);
	ck->probed.kind = ck->conf->kind;
	ck->probed.interval_ms = ck->conf->interval_ms;
	ck->probed.timeout_ms = ck->conf->timeout_ms;
	ck->probed.failures = ck->conf->failures;
	ck->aim_to = to;
	ck->aim_command = command;
	ck->probed.command = command;
	aim.to = ck->aim_to;
	aim.command = &ck->aim_command;
	aim.name = name = xasprintf("%s/%s", ck->reg->name, ck->conf->name);
	ck->why[0] = '\0';
	if (probe_new(&ck->probe, ck->reg->r->loop, &ck->probed, &aim, on_probe, ck, ck->why, sizeof ck->why) == 0)
		probe_start(ck->probe);
	else
		log_error("registrar", "%s: this check can't be made: %s", name, ck->why);
	free(name);
	return;
out:
	free(to);
	clear_strings(&command);
}

/* ---- telling ---- */

static bool
is_told(const struct reg_check *ck)
{
	return ck->ours && !ck->off && ck->id != NULL && ck->status != AGENT_NO_STATUS && registration_tells(ck->reg);
}

static bool
tell_ask(void *arg, struct line_request *q)
{
	struct reg_check *ck = arg;

	if (!is_told(ck))
		return false;
	buf_puts(&q->path, "/v1/agent/check/update/");
	http_add_escaped(&q->path, ck->id);
	free(ck->body);
	ck->body = agent_update_body(ck->status, ck->output);
	q->body = ck->body;
	ck->telling = ck->status;
	ck->again = false;
	return true;
}

static void
tell_done(void *arg, const struct http_answer *a)
{
	struct reg_check *ck = arg;
	struct registrar *r = ck->reg->r;

	free(ck->body);
	ck->body = NULL;
	if (line_unreachable(a->err)) {
		line_add(r->urgent, &ck->tell);
		return;
	}
	if (a->err != 0 || a->status != 200) {
		/* Most often the agent forgot it. The list will tell, and what is registered then is told all. */
		log_debug("registrar", "%s/%s: not told: %s", ck->reg->name, ck->conf->name, a->why);
		ck->told = AGENT_NO_STATUS;
		registrar_list_soon(r, 0);
		loop_timer_start(&ck->beat, REFUSED_RETRY_MS);
		return;
	}
	if (ck->agent != ck->telling)
		ck->agent_since_ms = loop_wall_ms(r->loop);
	if (ck->told != ck->telling)
		registrar_list_soon(r, 1000);
	ck->agent = ck->told = ck->telling;
	ck->told_ms = loop_now_ms(r->loop);
	/* never later than a third of the TTL */
	loop_timer_start(&ck->beat, loop_jitter(r->loop, agent_ttl_ms(ck->conf) * 3 / 10, 10));
	if (ck->again)
		line_add_first(r->urgent, &ck->tell);
}

static void
on_beat(void *arg)
{
	reg_check_tell(arg, false);
}

void
reg_check_tell(struct reg_check *ck, bool first)
{
	struct line *l = ck->reg->r->urgent;

	if (l == NULL || !is_told(ck))
		return;
	if (line_has(l, &ck->tell) && !ck->tell.queued)
		ck->again = true; /* it is under way with what was */
	else if (first)
		line_add_first(l, &ck->tell);
	else
		line_add(l, &ck->tell);
}

void
reg_check_untold(struct reg_check *ck)
{
	ck->told = AGENT_NO_STATUS;
	reg_check_tell(ck, false);
}

/* ---- life ---- */

struct reg_check *
reg_check_new(struct registration *reg, const struct conf_check *conf)
{
	struct reg_check *ck = xcalloc(1, sizeof *ck);

	ck->reg = reg;
	ck->conf = conf;
	ck->ours = agent_check_is_ours(conf);
	ck->status = ck->told = ck->telling = ck->put = ck->agent = AGENT_NO_STATUS;
	ck->tell.ask = tell_ask;
	ck->tell.done = tell_done;
	ck->tell.arg = ck;
	loop_timer_init(&ck->beat, reg->r->loop, on_beat, ck);
	return ck;
}

void
reg_check_free(struct reg_check *ck)
{
	if (ck->reg->r->urgent != NULL)
		line_drop(ck->reg->r->urgent, &ck->tell);
	loop_timer_fini(&ck->beat);
	drop_probe(ck);
	free(ck->id);
	free(ck->output);
	free(ck->body);
	free(ck);
}
