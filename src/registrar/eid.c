#include "registrar/eid.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/text.h"
#include "consul/http.h"

#define MACHINE_HEX 32
#define ASK_MS 10000 /* while it is known: an Asterisk that came back as another one vouches for nobody's past any longer */
#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 10000
#define JITTER_PERCENT 10
#define TIMEOUT_MS 3000
#define BODY_MAX 65536
#define EID_CHARS "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:_-"

/* ---- of the machine ---- */

void
eid_of_machine(const char *machine_id, char out[EID_TEXT])
{
	/* c4d's own, and for ever: another one would make every machine another one. */
	static const char key[] = "c4d:eid:b7c0e2f4a1954d63:";
	uint8_t hash[SHA256_BYTES];
	struct buf b = { 0 };
	unsigned i;

	out[0] = '\0';
	if (machine_id[0] == '\0')
		return;
	buf_puts(&b, key);
	buf_puts(&b, machine_id);
	sha256(b.s, b.len, hash);
	buf_free(&b);
	for (i = 0; i < MACHINE_HEX / 2; i++)
		snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

/* ---- of Asterisk ---- */

/* It becomes a part of URLs, and a value at Consul. */
int
eid_parse(const char *body, size_t len, char out[EID_TEXT])
{
	json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
	const char *text = jsonx_get_text(json_object_get(root, "system"), "entity_id");
	size_t n = text ? strlen(text) : 0;
	int err = -EBADMSG;

	if (n > 0 && n < EID_TEXT && strspn(text, EID_CHARS) == n) {
		memcpy(out, text, n + 1);
		err = 0;
	}
	json_decref(root);
	return err;
}

struct eid {
	struct loop *loop;
	struct http *http;
	struct loop_timer timer; /* the next question */
	eid_cb *cb;
	void *arg;
	int64_t retry_ms;
	bool told_why; /* logged since it answered last */
	bool asked;    /* once, and it is known how that ended */
	char text[EID_TEXT];
	char why[400];
};

static void
ask_again(struct eid *e, int64_t in_ms)
{
	loop_timer_start(&e->timer, loop_jitter(e->loop, in_ms, JITTER_PERCENT));
}

static void
take_failure(struct eid *e, const char *why)
{
	e->asked = true;
	snprintf(e->why, sizeof e->why, "%s", why);
	if (!e->told_why)
		log_warnx("eid", "Asterisk's entity id is not %s: %s", e->text[0] ? "confirmed; the known one stays" : "known", e->why);
	e->told_why = true;
	ask_again(e, e->retry_ms);
	e->retry_ms = 2 * e->retry_ms < RETRY_MAX_MS ? 2 * e->retry_ms : RETRY_MAX_MS;
}

static void
take_eid(struct eid *e, const char *text)
{
	bool other = strcmp(text, e->text) != 0;

	if (other && e->text[0] != '\0')
		log_notice("eid", "Asterisk's entity id is %s now; it was %s", text, e->text);
	else if (other || e->told_why)
		log_notice("eid", "Asterisk's entity id is %s", text);
	e->asked = true;
	e->told_why = false;
	e->why[0] = '\0';
	e->retry_ms = RETRY_MIN_MS;
	ask_again(e, ASK_MS);
	if (!other)
		return;
	snprintf(e->text, sizeof e->text, "%s", text);
	e->cb(e->arg); /* may free us */
}

static void
on_answer(void *arg, const struct http_answer *a)
{
	struct eid *e = arg;
	char text[EID_TEXT], why[400];

	if (a->err != 0 || a->status != 200) {
		snprintf(why, sizeof why, "%s%s", a->why,
		    a->status == 401 ? " (ari.user and ari.password_file: are they as in Asterisk's ari.conf?)" :
		    a->status == 404 ? " (ari.url: is it as http://127.0.0.1:8088/ari, with the prefix of Asterisk's http.conf?)" : "");
		take_failure(e, why);
	} else if (eid_parse(a->body, a->body_len, text) != 0) {
		take_failure(e, "its answer has no system.entity_id: is ari.url Asterisk's ARI?");
	} else {
		take_eid(e, text);
	}
}

static void
on_timer(void *arg)
{
	static const struct http_request question = {
		.method = HTTP_GET,
		.path = "/asterisk/info?only=system",
		.timeout_ms = TIMEOUT_MS,
		.max_body = BODY_MAX,
	};
	struct eid *e = arg;
	int err = http_ask(e->http, &question, on_answer, e);

	if (err != 0)
		take_failure(e, strerror(-err));
}

int
eid_new(struct eid **out, struct loop *loop, struct worker *worker, const struct conf *conf, eid_cb *cb, void *arg)
{
	const struct http_peer peer = {
		.url = conf->ari_url,
		.what = "Asterisk's ARI",
		.user = conf->ari_user,
		.password_file = conf->ari_password_file,
		.tls = { .ca_file = conf->ca_file, .verify = conf->verify },
	};
	struct eid *e;
	int err;

	if (conf->ari_url == NULL)
		return -EINVAL;
	e = xcalloc(1, sizeof *e);
	err = http_new_peer(&e->http, loop, worker, &peer);
	if (err != 0) {
		free(e);
		return err;
	}
	e->loop = loop;
	e->cb = cb;
	e->arg = arg;
	e->retry_ms = RETRY_MIN_MS;
	snprintf(e->why, sizeof e->why, "not asked yet");
	loop_timer_init(&e->timer, loop, on_timer, e);
	loop_timer_start(&e->timer, 0);
	*out = e;
	return 0;
}

void
eid_free(struct eid *e)
{
	if (e == NULL)
		return;
	http_free(e->http);
	loop_timer_fini(&e->timer);
	loop_free_later(e->loop, e); /* its callback may be on the stack */
}

const char *
eid_text(const struct eid *e)
{
	return e->text;
}

bool
eid_was_asked(const struct eid *e)
{
	return e->asked;
}

const char *
eid_why(const struct eid *e)
{
	return e->why;
}
