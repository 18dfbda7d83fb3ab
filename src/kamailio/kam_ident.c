/*
 * kam_ident: who answers? core.uptime tells a Kamailio from its successor, and so does core.psx,
 * where it says the main process; then core.version. Both of before are compared when the
 * connection comes up.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "kam_int.h"

static void
ask(struct kam *k, const char *what, kam_cb *cb)
{
	struct call *c = xcalloc(1, sizeof *c);
	struct buf body = { 0 };

	c->what = what;
	c->own = true;
	c->cb = cb;
	c->arg = k;
	binrpc_begin(&body, what);
	kam_submit(k, c, &body);
	buf_free(&body);
}

static void
copy_text(char *out, size_t size, const char *text)
{
	size_t len;

	snprintf(out, size, "%s", text);
	for (len = strlen(out); len > 0 && (out[len - 1] == ' ' || out[len - 1] == '\n'); len--)
		out[len - 1] = '\0';
}

static bool
is_restart(const struct kam_ident *was, const struct kam_ident *is)
{
	if (was->up_since[0] == '\0')
		return false;
	return strcmp(was->up_since, is->up_since) != 0 ||
	       (was->main_pid != 0 && is->main_pid != 0 && was->main_pid != is->main_pid);
}

static void
on_version(void *arg, int err, const struct binrpc_msg *msg)
{
	struct kam *k = arg;
	bool restarted = is_restart(&k->ident, &k->fresh);
	char away[32];

	if (msg->kind == BINRPC_REPLY && msg->first != NULL && msg->first->type == BINRPC_STR)
		copy_text(k->fresh.version, sizeof k->fresh.version, msg->first->str);
	k->ident = k->fresh;
	k->state = KAM_UP;
	k->up_ms = loop_now_ms(k->loop);
	if (k->told == TOLD_DOWN) {
		text_format_duration(loop_now_ms(k->loop) - k->lost_ms, away, sizeof away);
		log_notice("kam", "%s: back after %s, attempts=%u%s", k->name, away, k->attempts,
		    restarted ? "; Kamailio was restarted" : "");
	} else {
		log_notice("kam", "%s: connected to %s: %s, up since %s", k->name, k->where,
		    k->ident.version, k->ident.up_since);
	}
	k->told = TOLD_UP;
	k->events->up(k->arg, &k->ident, restarted);
}

static void
on_psx(void *arg, int err, const struct binrpc_msg *msg)
{
	const struct binrpc_value *v = msg->kind == BINRPC_REPLY ? msg->first : NULL;
	struct kam *k = arg;
	int64_t index, pid;

	for (; v != NULL; v = v->next)
		if (binrpc_int(v->child, "IDX", &index) && index == 0 &&
		    binrpc_int(v->child, "PID", &pid)) {
			k->fresh.main_pid = pid;
			break;
		}
	ask(k, "core.version", on_version);
}

static void
on_uptime(void *arg, int err, const struct binrpc_msg *msg)
{
	const char *since = NULL, *reason = "no up_since in it";
	struct kam *k = arg;
	int code = 0;

	if (!binrpc_fault(msg, &code, &reason) && msg->first != NULL)
		since = binrpc_text(msg->first->child, "up_since");
	if (since == NULL) {
		/* Not a Kamailio that we could tell from its successor. */
		kam_lose(
		    k, -EBADMSG, "%s: cannot use the answer to core.uptime: %s", k->where, reason);
		return;
	}
	memset(&k->fresh, 0, sizeof k->fresh);
	copy_text(k->fresh.up_since, sizeof k->fresh.up_since, since);
	ask(k, "core.psx", on_psx);
}

void
kam_identify(struct kam *k)
{
	ask(k, "core.uptime", on_uptime);
}
