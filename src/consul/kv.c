#include "consul/kv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "consul/blocking.h"
#include "consul/http.h"

#define WAIT_MS 60000
#define EMPTY_WAIT_MS 10000  /* while it is empty: so long nobody may have looked */
#define LATE_MS 10000        /* Consul waits up to a sixteenth longer than it is told, and then has to answer */
#define EARLY_MAX 3          /* so many answers in a row that say "nothing new" at once: it does not wait at all */
#define EMPTY_GAP_MS 30000   /* of the time between two answers so much counts; a machine that was paused proves nothing by waking up */

/* An answer that the worker reads. */
struct reading {
	struct worker_job job;
	struct kv *kv; /* NULL: nobody waits for it any more */
	char *body;
	size_t len;
	char *prefix;
	struct kv_pair *pairs;
	size_t n;
	int err;
};

struct kv {
	struct loop *loop;
	struct worker *worker;
	struct http *http;
	char *prefix;
	const char *root; /* that, without slashes before it */
	int64_t hold_ms;
	kv_cb *cb;
	void *arg;
	struct loop_timer timer; /* the next query; while one blocks after a failure: does it settle? */
	/* asking */
	struct blocking b;
	struct reading *reading; /* of the query under way */
	uint64_t answered_index; /* of it, too */
	unsigned early;          /* so many answers in a row that were */
	int64_t lost_ms;
	char why[288];
	/* the value */
	struct kv_pair *pairs;
	size_t n;
	bool known, told_nothing;
	int64_t changed_wall_ms, answered_wall_ms;
	/* emptiness */
	int64_t empty_wall_ms; /* since when; 0: it is not */
	int64_t empty_ms;      /* monotonic, of the last answer that said so; 0: none since the last failure */
	int64_t stood_ms;      /* for so long it was proven to be */
};

static void on_timer(void *arg);
static void ask_for_proof(struct kv *kv);

/* ---- good and bad times ---- */

static void
healthy(struct kv *kv)
{
	char text[32];

	if (kv->b.failures == 0)
		return;
	text_format_duration((loop_now_ms(kv->loop) - kv->lost_ms) / 100 * 100, text, sizeof text);
	log_notice("kv", "%s: back after %s", kv->prefix, text);
	kv->b.failures = 0;
	kv->why[0] = '\0';
}

static void
failed(struct kv *kv, const char *why)
{
	int64_t delay = blocking_fail(&kv->b);

	snprintf(kv->why, sizeof kv->why, "%s", why);
	kv->empty_ms = 0; /* time without an answer proves nothing */
	if (kv->b.failures == 1) {
		kv->lost_ms = loop_now_ms(kv->loop);
		log_warnx("kv", "%s: lost (%s): %s", kv->prefix, why,
		    kv->known ? "its last value stays" : "it has no value yet");
	} else {
		log_debug("kv", "%s: failures=%u %s", kv->prefix, kv->b.failures, why);
	}
	loop_timer_start(&kv->timer, loop_jitter(kv->loop, delay, BLOCKING_JITTER));
}

static void
ask_in_turn(struct kv *kv)
{
	loop_timer_start(&kv->timer, blocking_pace_ms(&kv->b, loop_now_ms(kv->loop)));
}

/* The answer to this query is worth something: how does it go on? */
static void
answered(struct kv *kv)
{
	char why[128];

	kv->answered_wall_ms = loop_wall_ms(kv->loop);
	kv->early = blocking_is_early(&kv->b, kv->answered_index) ? kv->early + 1 : 0;
	if (kv->early >= EARLY_MAX) {
		snprintf(why, sizeof why, "answered after %" PRId64 "ms that nothing had changed, instead of waiting",
		    kv->b.took_ms);
		failed(kv, why);
		return;
	}
	if (kv->b.wait_ms > 0)
		healthy(kv);
	(void)blocking_take(&kv->b, kv->answered_index);
	ask_in_turn(kv);
}

/* ---- the value ---- */

static bool
is_same(const struct kv *kv, const struct kv_pair *pairs, size_t n)
{
	size_t i;

	for (i = 0; n == kv->n && i < n; i++)
		if (strcmp(pairs[i].key, kv->pairs[i].key) != 0 || pairs[i].len != kv->pairs[i].len ||
		    memcmp(pairs[i].value, kv->pairs[i].value, pairs[i].len) != 0)
			return false;
	return n == kv->n;
}

/* Takes the pairs. The kv may be gone when it returns. */
static void
set_value(struct kv *kv, struct kv_pair *pairs, size_t n)
{
	kv_pairs_free(kv->pairs, kv->n);
	kv->pairs = pairs;
	kv->n = n;
	kv->changed_wall_ms = loop_wall_ms(kv->loop);
	log_info("kv", "%s: changed: keys=%zu index=%" PRIu64, kv->prefix, n, kv->answered_index);
	kv->cb(kv->arg, kv->pairs, kv->n);
}

static void
take_value(struct kv *kv, struct kv_pair *pairs, size_t n)
{
	bool changed = !kv->known || !is_same(kv, pairs, n);

	if (kv->empty_wall_ms != 0 && kv->n > 0)
		log_notice("kv", "%s: is no longer empty", kv->prefix);
	kv->empty_wall_ms = 0;
	kv->known = true;
	answered(kv);
	if (changed)
		set_value(kv, pairs, n);
	else
		kv_pairs_free(pairs, n);
}

static bool
is_held(const struct kv *kv)
{
	return kv->empty_wall_ms != 0 && kv->n > 0;
}

static void
say_empty(const struct kv *kv)
{
	char text[32];

	if (kv->n == 0) {
		log_notice("kv", "%s: there is nothing%s", kv->prefix, kv->known ? "" : " yet");
	} else if (kv->hold_ms == KV_HOLD_FOREVER) {
		log_warnx("kv", "%s: Consul says that it is empty: its last value (%zu keys) stays", kv->prefix, kv->n);
	} else {
		text_format_duration(kv->hold_ms, text, sizeof text);
		log_warnx("kv", "%s: Consul says that it is empty: its last value (%zu keys) stays for %s, in which it may come back",
		    kv->prefix, kv->n, text);
	}
}

/* Consul says that there is nothing. */
static void
take_empty(struct kv *kv)
{
	int64_t now = loop_now_ms(kv->loop), gap;
	bool tell = !kv->known && !kv->told_nothing;

	if (kv->empty_wall_ms == 0) {
		kv->empty_wall_ms = loop_wall_ms(kv->loop);
		kv->stood_ms = 0;
		kv->empty_ms = 0;
		say_empty(kv);
	}
	if (kv->empty_ms != 0) {
		gap = now - kv->empty_ms;
		kv->stood_ms += gap < EMPTY_GAP_MS ? gap : EMPTY_GAP_MS;
	}
	kv->empty_ms = now;
	if (is_held(kv) && kv->hold_ms != KV_HOLD_FOREVER && kv->stood_ms >= kv->hold_ms) {
		ask_for_proof(kv);
		return;
	}
	answered(kv);
	if (!tell)
		return;
	kv->told_nothing = true;
	kv->cb(kv->arg, NULL, 0);
}

/* ---- reading ---- */

static void
reading_run(struct worker_job *job)
{
	struct reading *r = CONTAINER_OF(job, struct reading, job);

	r->err = kv_parse(r->body, r->len, r->prefix, &r->pairs, &r->n);
}

static void
reading_done(struct worker_job *job)
{
	struct reading *r = CONTAINER_OF(job, struct reading, job);
	struct kv *kv = r->kv;
	int err = r->err;
	struct kv_pair *pairs = r->pairs;
	size_t n = r->n;

	free(r->body);
	free(r->prefix);
	free(r);
	if (kv == NULL) {
		kv_pairs_free(pairs, n);
		return;
	}
	kv->reading = NULL;
	if (err == -ENOMEM)
		failed(kv, "out of memory for its answer");
	else if (err != 0)
		failed(kv, "an answer that is no list of keys: is consul.http the HTTP port of Consul?");
	else if (n == 0)
		take_empty(kv);
	else
		take_value(kv, pairs, n);
}

/* The body is lent to us, and is as long as the other side likes. */
static void
read_body(struct kv *kv, const char *body, size_t len)
{
	struct reading *r = xcalloc(1, sizeof *r);

	r->job.run = reading_run;
	r->job.done = reading_done;
	r->body = malloc(len + 1);
	if (r->body == NULL) {
		free(r);
		failed(kv, "out of memory for its answer");
		return;
	}
	memcpy(r->body, body, len);
	r->len = len;
	r->prefix = xstrdup(kv->prefix);
	r->kv = kv;
	kv->reading = r;
	worker_submit(kv->worker, WORKER_NORMAL, &r->job);
}

static void
drop_reading(struct kv *kv)
{
	if (kv->reading != NULL)
		kv->reading->kv = NULL;
	kv->reading = NULL;
}

/* ---- asking ---- */

/* An answer of Consul's, with the index in answered_index; else false, and that is seen to. */
static bool
is_consuls(struct kv *kv, const struct http_answer *a)
{
	if (a->err == 0)
		blocking_note_leader(&kv->b, loop_wall_ms(kv->loop), a->status, http_header(kv->http, "X-Consul-KnownLeader"), a->body);
	if (a->err != 0 || (a->status != 200 && a->status != 404)) {
		failed(kv, a->why);
		return false;
	}
	if (blocking_parse_index(http_header(kv->http, "X-Consul-Index"), &kv->answered_index) != 0) {
		failed(kv, "an answer without X-Consul-Index: is consul.http the HTTP port of Consul?");
		return false;
	}
	return true;
}

static void
on_answer(void *arg, const struct http_answer *a)
{
	struct kv *kv = arg;

	loop_timer_stop(&kv->timer);
	blocking_arrived(&kv->b, loop_now_ms(kv->loop));
	if (!is_consuls(kv, a))
		return;
	if (a->status == 404)
		take_empty(kv);
	else
		read_body(kv, a->body, a->body_len);
}

static void
send_request(struct kv *kv, struct buf *path, int64_t timeout_ms, http_cb *cb)
{
	struct http_request r = { .method = HTTP_GET, .path = path->s, .timeout_ms = timeout_ms, .max_body = KV_BODY_MAX };

	if (http_ask(kv->http, &r, cb, kv) != 0) /* only while another one is out, which on_timer() sees to */
		failed(kv, "asked twice");
	buf_free(path);
}

/*
 * While it is empty somebody looks more often, and when it has stood long enough: a query whose token may see nothing is not
 * woken when it may.
 */
static int64_t
wait_ms(const struct kv *kv)
{
	int64_t left = kv->hold_ms - kv->stood_ms;

	if (kv->empty_wall_ms == 0)
		return WAIT_MS;
	if (!is_held(kv) || kv->hold_ms == KV_HOLD_FOREVER || left > EMPTY_WAIT_MS)
		return EMPTY_WAIT_MS;
	return left > 10 ? left : 10;
}

static void
ask(struct kv *kv)
{
	struct buf path = { 0 };
	int64_t ms = blocking_ask(&kv->b, loop_now_ms(kv->loop), wait_ms(kv));

	buf_puts(&path, "/v1/kv/");
	http_add_escaped(&path, kv->root);
	buf_puts(&path, "?recurse=true");
	if (ms > 0)
		buf_printf(&path, "&wait=%" PRId64 "ms&index=%" PRIu64, ms, kv->b.index);
	if (ms > 0 && kv->b.failures > 0)
		loop_timer_start(&kv->timer, BLOCKING_SETTLED_MS);
	send_request(kv, &path, ms + ms / 16 + LATE_MS, on_answer);
}

static void
on_timer(void *arg)
{
	struct kv *kv = arg;

	if (http_busy(kv->http))
		healthy(kv);
	else
		ask(kv);
}

/* ---- proof ---- */

/* A token that may no longer list the keys sees none either; but asked for one of them, Consul says which it is. */
static void
on_proof(void *arg, const struct http_answer *a)
{
	struct kv *kv = arg;
	char why[256], text[32];

	if (a->err == 0 && a->status == 403) {
		snprintf(why, sizeof why, "Consul lists no keys, and forbids to read one that was there: give the token key_prefix "
		    "\"%s\" read", kv->root);
		failed(kv, why);
		return;
	}
	if (!is_consuls(kv, a))
		return;
	answered(kv);
	kv->b.index = 0; /* that was another query's */
	if (a->status != 404) /* written just now */
		return;
	text_format_duration(kv->hold_ms, text, sizeof text);
	log_warnx("kv", "%s: empty for %s: that counts now", kv->prefix, text);
	set_value(kv, NULL, 0);
}

static void
ask_for_proof(struct kv *kv)
{
	const char *key = kv->pairs[0].key;
	size_t len = strlen(kv->root);
	struct buf path = { 0 };

	buf_puts(&path, "/v1/kv/");
	http_add_escaped(&path, kv->root);
	if (len > 0 && kv->root[len - 1] != '/' && key[0] != '\0')
		http_add_escaped(&path, "/");
	http_add_escaped(&path, key);
	(void)blocking_ask(&kv->b, loop_now_ms(kv->loop), 0);
	send_request(kv, &path, LATE_MS, on_proof);
}

/* ---- life ---- */

int
kv_new(struct kv **out, struct loop *loop, struct worker *worker, const struct conf *conf, const char *prefix, int64_t hold_ms,
    kv_cb *cb, void *arg)
{
	struct kv *kv = xcalloc(1, sizeof *kv);
	int err = http_new(&kv->http, loop, worker, conf);

	if (err != 0) {
		free(kv);
		return err;
	}
	kv->loop = loop;
	kv->worker = worker;
	kv->prefix = xstrdup(prefix);
	kv->root = kv->prefix + strspn(prefix, "/");
	kv->hold_ms = hold_ms;
	kv->cb = cb;
	kv->arg = arg;
	loop_timer_init(&kv->timer, loop, on_timer, kv);
	ask_in_turn(kv);
	*out = kv;
	return 0;
}

int
kv_set_conf(struct kv *kv, const struct conf *conf, int64_t hold_ms)
{
	struct http *http;
	int err = http_new(&http, kv->loop, kv->worker, conf);

	if (err != 0)
		return err;
	http_free(kv->http);
	drop_reading(kv);
	kv->http = http;
	kv->hold_ms = hold_ms;
	kv->b.index = 0;
	kv->b.doubtful = false;
	kv->b.no_leader_ms = 0;
	kv->early = 0;
	kv->empty_ms = 0;
	ask_in_turn(kv);
	return 0;
}

void
kv_free(struct kv *kv)
{
	if (kv == NULL)
		return;
	http_free(kv->http);
	drop_reading(kv);
	loop_timer_fini(&kv->timer);
	kv_pairs_free(kv->pairs, kv->n);
	free(kv->prefix);
	free(kv);
}

void
kv_view(const struct kv *kv, struct kv_view *v)
{
	*v = (struct kv_view){
		.prefix = kv->prefix,
		.known = kv->known,
		.n = kv->n,
		.index = kv->b.index,
		.changed_ms = kv->changed_wall_ms,
		.answered_ms = kv->answered_wall_ms,
		.empty_ms = kv->empty_wall_ms,
		.held = is_held(kv),
		.no_leader_ms = kv->b.no_leader_ms,
		.why = kv->why,
	};
}

size_t
kv_pairs(const struct kv *kv, const struct kv_pair **out)
{
	*out = kv->pairs;
	return kv->n;
}
