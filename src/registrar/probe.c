#include "registrar/probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "registrar/probe_int.h"

#define JITTER_PERCENT 5
#define SAY_BYTES 1024
#define LOG_BYTES 200

struct probe {
	struct loop *loop;
	const struct conf_check *c;
	const struct probe_kind *kind;
	void *self; /* the kind's */
	char *name;
	probe_cb *cb;
	void *arg;
	struct loop_timer timer; /* the next one; not armed while one is under way */
	struct loop_later later; /* tells the owner */
	bool started, asking;
	bool spread;             /* the second one's time was drawn, so that probes begun together do not stay so */
	int64_t asked_us;
	int64_t row;             /* failures in a row */
	char *output;
	struct probe_view view;
};

static const struct probe_kind *
find_kind(const struct conf_check *c)
{
	switch (c->kind) {
	case CHECK_SIP:
		return &probe_sip;
	case CHECK_BINRPC:
		return &probe_binrpc;
	case CHECK_NG:
		return &probe_ng;
	case CHECK_EXEC:
		return &probe_exec;
	default:
		return NULL; /* Consul's or somebody else's */
	}
}

/* ---- the result ---- */

/* What a peer or a command said: lines of printable ASCII, without the white space about them. The caller frees. */
static char *
clean(const char *text, size_t len)
{
	char *out;

	while (len > 0 && strchr(" \t\r\n", text[0]) != NULL && text[0] != '\0') {
		text++;
		len--;
	}
	if (len > PROBE_OUTPUT_MAX)
		len = PROBE_OUTPUT_MAX;
	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL && text[len - 1] != '\0')
		len--;
	out = xcalloc(len + 1, 1);
	memcpy(out, text, len);
	text_mask(out, len, "\n\t");
	return out;
}

static void
on_later(void *arg)
{
	struct probe *p = arg;

	p->cb(p->arg);
}

/* In one line. */
static void
log_status(const struct probe *p)
{
	char text[LOG_BYTES], *end;

	snprintf(text, sizeof text, "%s", p->output);
	for (end = text; (end = strpbrk(end, "\n\t")) != NULL;)
		*end = ' ';
	if (p->view.status == AGENT_PASSING)
		log_notice("check", "%s: passing: %s", p->name, text);
	else
		log_warnx("check", "%s: %s: %s", p->name, agent_status_name(p->view.status), text);
}

/* Takes output. */
static void
set_status(struct probe *p, enum agent_status status, char *output)
{
	bool other = status != p->view.status;

	if (!other && strcmp(output, p->output) == 0) {
		free(output);
		return;
	}
	free(p->output);
	p->view.output = p->output = output;
	p->view.status = status;
	if (other) {
		p->view.since_ms = loop_wall_ms(p->loop);
		log_status(p);
	}
	loop_later(p->loop, &p->later, on_later, p);
}

static void
ask_later(struct probe *p)
{
	int64_t half = p->c->interval_ms / 2, less = p->c->interval_ms * (100 - JITTER_PERCENT) / 100;

	/* never later than the interval: it is how late a failure may be seen */
	loop_timer_start(&p->timer, p->spread ? loop_jitter(p->loop, less, JITTER_PERCENT) : half + loop_jitter(p->loop, half / 2, 100));
	p->spread = true;
}

void
probe_done(struct probe *p, enum agent_status status, const char *output, size_t len)
{
	p->asking = false;
	p->view.runs++;
	p->view.checked_ms = loop_now_ms(p->loop);
	p->view.took_us = loop_now_us(p->loop) - p->asked_us;
	if (status == AGENT_CRITICAL) {
		p->view.failures++;
		p->row++;
	} else {
		p->row = 0;
	}
	if (status != AGENT_CRITICAL || p->row >= p->c->failures)
		set_status(p, status, clean(output, len));
	ask_later(p);
}

void
probe_say(struct probe *p, enum agent_status status, const char *fmt, ...)
{
	char text[SAY_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	probe_done(p, status, text, strlen(text));
}

/* ---- asking ---- */

static void
on_timer(void *arg)
{
	struct probe *p = arg;

	p->asking = true;
	p->asked_us = loop_now_us(p->loop);
	p->kind->ask(p->self);
}

void
probe_start(struct probe *p)
{
	if (p->started)
		return;
	p->started = true;
	loop_timer_start(&p->timer, 0);
}

void
probe_hurry(struct probe *p)
{
	if (p->started && !p->asking)
		loop_timer_start(&p->timer, 0);
}

/* ---- life ---- */

int
probe_new(struct probe **out, struct loop *loop, const struct conf_check *c, const struct probe_aim *aim, probe_cb *cb, void *arg,
    char *why, size_t size)
{
	const struct probe_kind *kind = find_kind(c);
	struct probe *p;
	struct probe_seat seat = { .loop = loop, .c = c, .aim = aim, .why = why, .size = size };
	int err;

	if (kind == NULL) {
		snprintf(why, size, "a check of type %s is not made by c4d", c->type);
		return -EINVAL;
	}
	p = xcalloc(1, sizeof *p);
	p->loop = loop;
	p->c = c;
	p->kind = kind;
	p->name = xstrdup(aim->name);
	p->cb = cb;
	p->arg = arg;
	p->output = xstrdup("");
	p->view = (struct probe_view){ .status = AGENT_NO_STATUS, .output = p->output, .since_ms = loop_wall_ms(loop) };
	loop_timer_init(&p->timer, loop, on_timer, p);
	seat.probe = p;
	err = kind->make(&p->self, &seat);
	if (err != 0) {
		probe_free(p);
		return err;
	}
	*out = p;
	return 0;
}

void
probe_free(struct probe *p)
{
	if (p == NULL)
		return;
	if (p->self != NULL)
		p->kind->free(p->self);
	loop_timer_fini(&p->timer);
	loop_later_cancel(p->loop, &p->later);
	free(p->name);
	free(p->output);
	free(p);
}

void
probe_view(const struct probe *p, struct probe_view *out)
{
	*out = p->view;
}
