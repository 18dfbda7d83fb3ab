/*
 * access: who asks waits in one list (struct waiter) until he is let in or refused. What wazo-auth says of a token is a row of the
 * cache (struct known), which is there from the question on: further requests with that token wait for it, too. A few
 * connections share the questions, each of which is two: GET /token/T (is it valid, and whose?), GET /tenants with the token.
 */
#include "http/access.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/sha256.h"
#include "consul/http.h"
#include "consul/token.h"
#include "topology/addr.h"

#define ASKERS 4           /* connections to wazo-auth */
#define QUESTIONS_MAX 64   /* that wait or are under way */
#define KNOWN_MAX 1000     /* tokens, */
#define TENANTS_MAX 100000 /* and tenants of them all, are kept */
#define VALID_MS 10000
#define REFUSED_MS 1000    /* also when wazo-auth could not be asked */
#define ASK_MS 3000        /* for one of the two questions */
#define TOKEN_LEN_MAX 4096
#define BODY_MAX (4u << 20) /* bytes of an answer: ACCESS_TENANTS_MAX tenants as wazo-auth shows them */
#define LOG "access"

#define NO_TOKEN "Missing X-Auth-Token header"
#define BAD_TOKEN "The provided token is not valid"
#define BAD_TENANT "The provided token is not valid for the tenant of the Wazo-Tenant header"
#define NOT_OPEN                                                                                                               \
	"this c4d listens not only on loopback, so its REST interface wants a token: set routing.token_file (or "               \
	"routing.auth_url) in its configuration"
#define CANNOT_ASK "the authentication service (routing.auth_url) cannot be asked now, so nobody is let in"
#define CANNOT_READ "the file of routing.token_file cannot be read, so nobody is let in; c4d's log says why"

enum mode { ACCESS_OPEN, ACCESS_CLOSED, ACCESS_FILE, ACCESS_AUTH };
enum known_state { KNOWN_QUEUED, KNOWN_ASKED, KNOWN_VALID, KNOWN_REFUSED, KNOWN_FAILED };

typedef char uuid_text[37];

struct known { /* owned by the access's list, oldest first */
	struct known *next;
	uint8_t digest[SHA256_BYTES];
	enum known_state state;
	bool again;      /* it was asked twice, since the connection had ended */
	int64_t until_ms;
	char *token;     /* NULL: was asked */
	uuid_text own;   /* the token's tenant; "": none */
	uuid_text *tenants;
	size_t n;
};

struct waiter { /* owned by the access's list */
	struct waiter *next;
	struct access *a;
	struct loop_later later; /* its beginning */
	struct known *known;     /* whose answer it waits for; NULL: none, or that of the file */
	bool started;
	char *token;             /* NULL: none */
	uint8_t digest[SHA256_BYTES];
	uuid_text tenant;        /* "": not asked for */
	bool bad_tenant;
	access_cb *cb;
	void *arg;
};

struct asker {
	struct access *a;
	struct http *http;   /* NULL: wazo-auth is not asked */
	struct known *known; /* what it asks for; NULL: nothing */
};

struct access {
	struct loop *loop;
	struct worker *worker;
	enum mode mode;
	char *token_file, *auth_url;
	struct token *file;
	struct asker askers[ASKERS];
	struct known *known;
	struct waiter *waiters;
	bool said; /* that the file cannot be read, or the service not be asked */
};

/* ---- texts ---- */

/* In lower case; false: this is no uuid. */
static bool
uuid_copy(uuid_text out, const char *text)
{
	size_t i;

	for (i = 0; text[i] != '\0' && i < sizeof(uuid_text) - 1; i++) {
		char c = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];

		if (i == 8 || i == 13 || i == 18 || i == 23 ? c != '-' : (c < '0' || c > '9') && (c < 'a' || c > 'f'))
			break;
		out[i] = c;
	}
	out[i] = '\0';
	if (i == sizeof(uuid_text) - 1 && text[i] == '\0')
		return true;
	out[0] = '\0';
	return false;
}

static int
uuid_cmp(const void *a, const void *b)
{
	return strcmp(a, b);
}

bool
principal_has(const struct principal *p, const char *tenant_uuid)
{
	return !p->limited || (tenant_uuid != NULL && p->n > 0 &&
	    bsearch(tenant_uuid, p->tenants, p->n, sizeof *p->tenants, uuid_cmp) != NULL);
}

/* What may stand in a header line and in a path: "." and ".." would be another path. */
static bool
is_token(const char *text)
{
	size_t len = strlen(text);

	return len <= TOKEN_LEN_MAX && text_is_printable(text, len) && strspn(text, ".") < len;
}

static void
wipe(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* In a time that tells nothing of either. */
static bool
is_same_digest(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES])
{
	unsigned differs = 0;
	size_t i;

	for (i = 0; i < SHA256_BYTES; i++)
		differs |= a[i] ^ b[i];
	return differs == 0;
}

/* ---- those who wait ---- */

/* It is in no list any more. */
static void
waiter_finish(struct waiter *w, int status, const char *detail, const struct principal *p)
{
	access_cb *cb = w->cb;
	void *arg = w->arg;

	loop_later_cancel(w->a->loop, &w->later);
	wipe(w->token);
	free(w);
	cb(arg, status, detail, p);
}

static void
waiter_end(struct waiter *w, int status, const char *detail, const struct principal *p)
{
	struct waiter **at = &w->a->waiters;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	waiter_finish(w, status, detail, p);
}

/* Let in, to `all` or the one tenant that was asked for. */
static void
waiter_let_in(struct waiter *w, const struct principal *all)
{
	struct principal p = *all;
	uuid_text tenant;

	memcpy(tenant, w->tenant, sizeof tenant); /* w is gone before the callback */
	if (w->bad_tenant || (tenant[0] != '\0' && !principal_has(all, tenant))) {
		waiter_end(w, 401, BAD_TENANT, NULL);
		return;
	}
	if (tenant[0] != '\0') {
		p.limited = true;
		p.tenants = (const uuid_text *)&tenant;
		p.n = 1;
	}
	waiter_end(w, 0, NULL, &p);
}

static void
waiter_answer(struct waiter *w, const struct known *k)
{
	struct principal p = { .limited = true, .tenants = (const uuid_text *)k->tenants, .n = k->n };

	if (k->state == KNOWN_VALID)
		waiter_let_in(w, &p);
	else if (k->state == KNOWN_REFUSED)
		waiter_end(w, 401, BAD_TOKEN, NULL);
	else
		waiter_end(w, 503, CANNOT_ASK, NULL);
}

/* ---- what is known of tokens ---- */

static bool
is_pending(const struct known *k)
{
	return k->state == KNOWN_QUEUED || k->state == KNOWN_ASKED;
}

static void
known_free(struct known *k)
{
	wipe(k->token);
	free(k->tenants);
	free(k);
}

/* What is over goes, and the oldest, while there is too much of it. */
static void
known_trim(struct access *a)
{
	int64_t now = loop_now_ms(a->loop);
	size_t n = 0, tenants = 0;
	struct known **at, *k;

	for (k = a->known; k != NULL; k = k->next) {
		n++;
		tenants += k->n;
	}
	for (at = &a->known; (k = *at) != NULL;) {
		if (is_pending(k) || (k->until_ms > now && n < KNOWN_MAX && tenants <= TENANTS_MAX)) {
			at = &k->next;
			continue;
		}
		*at = k->next;
		n--;
		tenants -= k->n;
		known_free(k);
	}
}

static struct known *
known_find(struct access *a, const uint8_t digest[SHA256_BYTES])
{
	struct known *k;

	for (k = a->known; k != NULL && !is_same_digest(k->digest, digest); k = k->next)
		;
	return k;
}

static void
known_end(struct access *a, struct known *k, enum known_state state)
{
	struct waiter *w;

	wipe(k->token);
	k->token = NULL;
	k->state = state;
	k->until_ms = loop_now_ms(a->loop) + (state == KNOWN_VALID ? VALID_MS : REFUSED_MS);
	for (w = a->waiters; w != NULL;) {
		if (w->known != k) {
			w = w->next;
			continue;
		}
		w->known = NULL;
		waiter_answer(w, k);
		w = a->waiters; /* a callback may have asked anew: that one stands behind the others */
	}
}

/* ---- asking wazo-auth ---- */

static void ask_next(struct access *a);
static void ask_token(struct asker *l);
static void ask_tenants(struct asker *l);

static void
asker_end(struct asker *l, enum known_state state)
{
	struct access *a = l->a;
	struct known *k = l->known;

	l->known = NULL;
	if (a->said && state != KNOWN_FAILED) {
		a->said = false;
		log_notice(LOG, "%s answers again", a->auth_url);
	}
	known_end(a, k, state);
}

/* It could not be asked; those in the queue would only wait as long for the same. */
static void
fail_queued(struct access *a)
{
	struct known *k;

	for (k = a->known; k != NULL; k = k->next)
		if (k->state == KNOWN_QUEUED)
			known_end(a, k, KNOWN_FAILED);
}

/* What went wrong is no answer about the token. The text of an answer may repeat the token: it is not shown. */
static void
on_failure(struct asker *l, const struct http_answer *answer, const char *what)
{
	struct access *a = l->a;
	char why[64];

	snprintf(why, sizeof why, "HTTP %d", answer->status);
	if (!a->said)
		log_warnx(LOG, "%s cannot be asked about a token (%s): %s; REST requests are refused until it can", a->auth_url,
		    what, answer->err != 0 ? answer->why : answer->status == 200 ? "the answer is none that wazo-auth gives" : why);
	a->said = true;
	asker_end(l, KNOWN_FAILED);
	if (answer->err != 0)
		fail_queued(a);
}

/* 0: the answer counts; 1: asked once more; -1: it has ended. */
static int
check_answer(struct asker *l, const struct http_answer *answer, const char *what, void (*ask)(struct asker *))
{
	if (answer->err == -ECONNRESET && !l->known->again) { /* a kept connection that the service ended just then */
		l->known->again = true;
		ask(l);
		return 1;
	}
	if (answer->err == 0 && answer->status == 200)
		return 0;
	if (answer->err == 0 && (answer->status == 400 || answer->status == 401 || answer->status == 403 || answer->status == 404))
		asker_end(l, KNOWN_REFUSED);
	else
		on_failure(l, answer, what);
	return -1;
}

/* {"items":[{"uuid":...}]}; none: the token's own. */
static bool
take_tenants(struct known *k, const json_t *items)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(items) || json_array_size(items) > ACCESS_TENANTS_MAX)
		return false;
	k->tenants = xcalloc(json_array_size(items) + 1, sizeof *k->tenants);
	json_array_foreach(items, i, item) {
		const char *uuid = jsonx_get_text(item, "uuid");

		if (uuid == NULL || !uuid_copy(k->tenants[k->n], uuid))
			return false;
		k->n++;
	}
	if (k->n == 0 && k->own[0] != '\0')
		memcpy(k->tenants[k->n++], k->own, sizeof k->own);
	qsort(k->tenants, k->n, sizeof *k->tenants, uuid_cmp);
	return true;
}

static void
on_tenants(void *arg, const struct http_answer *answer)
{
	struct asker *l = arg;
	struct access *a = l->a;
	int rc = check_answer(l, answer, "GET /tenants", ask_tenants);
	json_t *o;

	if (rc > 0)
		return;
	if (rc == 0) {
		o = json_loadb(answer->body, answer->body_len, 0, NULL);
		if (take_tenants(l->known, json_object_get(o, "items"))) {
			asker_end(l, KNOWN_VALID);
		} else {
			l->known->n = 0;
			on_failure(l, answer, "GET /tenants");
		}
		json_decref(o);
	}
	ask_next(a);
}

static void
on_token_answer(void *arg, const struct http_answer *answer)
{
	struct asker *l = arg;
	struct access *a = l->a;
	int rc = check_answer(l, answer, "GET /token", ask_token);
	const char *own;
	const json_t *data;
	json_t *o;

	if (rc == 0) {
		o = json_loadb(answer->body, answer->body_len, 0, NULL);
		data = json_object_get(o, "data");
		own = jsonx_get_text(json_object_get(data, "metadata"), "tenant_uuid");
		if (json_is_object(data) && (own == NULL || uuid_copy(l->known->own, own))) {
			ask_tenants(l);
			rc = 1;
		} else {
			on_failure(l, answer, "GET /token");
		}
		json_decref(o);
	}
	if (rc <= 0)
		ask_next(a);
}

static void
ask(struct asker *l, const char *path, const char *header, http_cb *cb)
{
	struct http_request r = { .method = HTTP_GET, .path = path, .header = header, .timeout_ms = ASK_MS, .max_body = BODY_MAX };

	if (http_ask(l->http, &r, cb, l) != 0)
		abort(); /* one question at a time */
}

static void
ask_token(struct asker *l)
{
	struct buf path = { 0 };

	buf_puts(&path, "/token/");
	http_add_escaped(&path, l->known->token);
	ask(l, path.s, NULL, on_token_answer);
	wipe(buf_take(&path));
}

static void
ask_tenants(struct asker *l)
{
	char *header = xasprintf("X-Auth-Token: %s", l->known->token);

	ask(l, "/tenants", header, on_tenants);
	wipe(header);
}

/* Each asker that has nothing to do gets the oldest question. */
static void
ask_next(struct access *a)
{
	struct known *k;
	size_t i;

	for (i = 0; i < ASKERS; i++) {
		struct asker *l = &a->askers[i];

		if (l->known != NULL)
			continue;
		for (k = a->known; k != NULL && k->state != KNOWN_QUEUED; k = k->next)
			;
		if (k == NULL)
			return;
		l->known = k;
		k->state = KNOWN_ASKED;
		ask_token(l);
	}
}

/* From the cache, or by a question. */
static void
waiter_ask(struct waiter *w)
{
	struct access *a = w->a;
	struct known *k, **at;
	size_t n = 0;

	known_trim(a);
	k = known_find(a, w->digest);
	if (k != NULL && !is_pending(k)) {
		waiter_answer(w, k);
		return;
	}
	for (at = &a->known; *at != NULL; at = &(*at)->next)
		n += is_pending(*at);
	if (k == NULL && n >= QUESTIONS_MAX) {
		waiter_end(w, 503, CANNOT_ASK, NULL);
		return;
	}
	if (k == NULL) {
		k = *at = xcalloc(1, sizeof *k);
		memcpy(k->digest, w->digest, sizeof k->digest);
		k->token = xstrdup(w->token);
	}
	w->known = k;
	ask_next(a);
}

/* ---- the token's file ---- */

static void
on_file(void *arg, int err, const char *text, bool is_new)
{
	static const struct principal all = { .limited = false };
	struct access *a = arg;
	uint8_t digest[SHA256_BYTES];
	struct waiter *w;

	if (err != 0 && !a->said)
		log_warnx(LOG, "cannot use the token in %s: %s; REST requests are refused until it can (routing.token_file)",
		    token_path(a->file), err == -EINVAL ? "it holds no token (one word)" : strerror(-err));
	else if (err == 0 && a->said)
		log_notice(LOG, "the token in %s can be used again", token_path(a->file));
	a->said = err != 0;
	if (err == 0)
		sha256(text, strlen(text), digest);
	for (w = a->waiters; w != NULL;) {
		if (!w->started) {
			w = w->next;
			continue;
		}
		if (err != 0)
			waiter_end(w, 503, CANNOT_READ, NULL);
		else if (!is_same_digest(digest, w->digest))
			waiter_end(w, 401, BAD_TOKEN, NULL);
		else
			waiter_let_in(w, &all);
		w = a->waiters;
	}
	explicit_bzero(digest, sizeof digest);
}

/* ---- life ---- */

static void
on_start(void *arg)
{
	static const struct principal open = { .limited = false, .anonymous = true };
	struct waiter *w = arg;
	struct access *a = w->a;

	if (a->mode == ACCESS_OPEN) {
		waiter_let_in(w, &open);
	} else if (a->mode == ACCESS_CLOSED) {
		waiter_end(w, 403, NOT_OPEN, NULL);
	} else if (w->token == NULL) {
		waiter_end(w, 401, NO_TOKEN, NULL);
	} else if (!is_token(w->token)) {
		waiter_end(w, 401, BAD_TOKEN, NULL);
	} else if (a->mode == ACCESS_FILE) {
		w->started = true;
		token_get(a->file, false);
	} else {
		waiter_ask(w);
	}
}

void
access_check(struct access *a, const char *token, const char *tenant, access_cb *cb, void *arg)
{
	struct waiter *w = xcalloc(1, sizeof *w), **at;

	w->a = a;
	w->token = xstrdup(token);
	w->cb = cb;
	w->arg = arg;
	w->bad_tenant = tenant != NULL && !uuid_copy(w->tenant, tenant);
	if (token != NULL)
		sha256(token, strlen(token), w->digest);
	for (at = &a->waiters; *at != NULL; at = &(*at)->next)
		;
	*at = w;
	loop_later(a->loop, &w->later, on_start, w);
}

/* Who may reach the server at all: nobody but this machine? */
static void
forget(struct access *a)
{
	struct known *k;
	size_t i;

	for (i = 0; i < ASKERS; i++) {
		http_free(a->askers[i].http);
		a->askers[i] = (struct asker){ 0 };
	}
	while ((k = a->known) != NULL) {
		a->known = k->next;
		known_free(k);
	}
	token_free(a->file);
	a->file = NULL;
	free(a->token_file);
	free(a->auth_url);
	a->token_file = a->auth_url = NULL;
	a->said = false;
}

static bool
is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Connections are made when they are needed. */
static int
askers_new(struct access *a, const struct conf *conf)
{
	struct http_peer peer = { .url = conf->routing_auth_url, .what = "wazo-auth",
		.tls = { .ca_file = conf->ca_file, .verify = conf->verify } };
	int err = 0;
	size_t i;

	for (i = 0; i < ASKERS && peer.url != NULL && err == 0; i++) {
		a->askers[i].a = a;
		err = http_new_peer(&a->askers[i].http, a->loop, a->worker, &peer);
	}
	return err;
}

/* Those who wait are judged by the new rules. */
static void
restart(struct access *a)
{
	struct waiter *w;

	for (w = a->waiters; w != NULL; w = w->next) {
		w->known = NULL;
		w->started = false;
		if (!w->later.queued)
			loop_later(a->loop, &w->later, on_start, w);
	}
}

int
access_set_conf(struct access *a, const struct conf *conf)
{
	int err = 0;

	if (!is_same(a->token_file, conf->routing_token_file) || !is_same(a->auth_url, conf->routing_auth_url)) {
		forget(a);
		a->token_file = xstrdup(conf->routing_token_file);
		a->auth_url = xstrdup(conf->routing_auth_url);
		if (a->token_file != NULL)
			a->file = token_new(a->worker, a->token_file, on_file, a);
		err = askers_new(a, conf);
		restart(a);
	}
	a->mode = a->token_file != NULL ? ACCESS_FILE : a->auth_url == NULL && conf_is_on_loopback(conf) ? ACCESS_OPEN :
	    a->auth_url == NULL || err != 0 ? ACCESS_CLOSED : ACCESS_AUTH;
	return err;
}

void
access_free(struct access *a)
{
	struct waiter *w;

	if (a == NULL)
		return;
	forget(a);
	while ((w = a->waiters) != NULL) {
		a->waiters = w->next;
		waiter_finish(w, 503, "c4d is stopping", NULL);
	}
	free(a);
}

int
access_new(struct access **out, struct loop *loop, struct worker *worker, const struct conf *conf)
{
	struct access *a = xcalloc(1, sizeof *a);
	int err;

	a->loop = loop;
	a->worker = worker;
	err = access_set_conf(a, conf);
	if (err != 0)
		access_free(a);
	else
		*out = a;
	return err;
}
