#include "routing/password.h"

#include <errno.h>
#include <nettle/base16.h>
#include <nettle/hmac.h>
#include <nettle/md5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ROUNDS 100000
#define SLICE_ROUNDS 2000 /* about a millisecond: 0.4 to 0.8 us each */
#define SALT_LEN 64
#define WAITING_MAX 64
#define CACHE_MAX 1000
#define CACHE_MS (10 * 60 * 1000)
#define DIGEST SHA512_DIGEST_SIZE

/* ---- PBKDF2 (RFC 8018, 5.2) with HMAC-SHA512 and one block: as long as the digest ---- */

struct pbkdf2 {
	struct hmac_sha512_ctx hmac; /* its key is the password */
	uint8_t u[DIGEST];           /* the last round's */
	uint8_t sum[DIGEST];
	unsigned done;
};

static void
pbkdf2_next(struct pbkdf2 *k, const uint8_t *data, size_t len)
{
	hmac_sha512_update(&k->hmac, len, data);
	hmac_sha512_digest(&k->hmac, sizeof k->u, k->u);
	k->done++;
}

static void
pbkdf2_start(struct pbkdf2 *k, const char *password, const char *salt)
{
	uint8_t first[SALT_LEN + 4] = { [SALT_LEN + 3] = 1 }; /* of block 1 */

	memcpy(first, salt, SALT_LEN);
	hmac_sha512_set_key(&k->hmac, strlen(password), (const uint8_t *)password);
	k->done = 0;
	pbkdf2_next(k, first, sizeof first);
	memcpy(k->sum, k->u, sizeof k->sum);
}

/* So many rounds at most; true: that was all. */
static bool
pbkdf2_go_on(struct pbkdf2 *k, unsigned rounds)
{
	size_t i;

	for (; rounds > 0 && k->done < ROUNDS; rounds--) {
		pbkdf2_next(k, k->u, sizeof k->u);
		for (i = 0; i < sizeof k->sum; i++)
			k->sum[i] ^= k->u[i];
	}
	return k->done == ROUNDS;
}

static void
pbkdf2_hex(const struct pbkdf2 *k, char out[2 * DIGEST + 1])
{
	base16_encode_update(out, sizeof k->sum, k->sum);
	out[2 * DIGEST] = '\0';
}

/* ---- pure ---- */

bool
password_is_hash(const char *s)
{
	return strspn(s, "0123456789abcdef") == PASSWORD_HASH_LEN && s[PASSWORD_HASH_LEN] == '\0';
}

bool
password_equal(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), n = la > lb ? la : lb, i;
	volatile unsigned char differ = la != lb;

	for (i = 0; i < n; i++)
		differ |= (unsigned char)((i < la ? a[i] : 0) ^ (i < lb ? b[i] : 0));
	return differ == 0;
}

void
password_hash(const char *password, const char salt[64], char out[PASSWORD_HASH_LEN + 1])
{
	struct pbkdf2 k;

	pbkdf2_start(&k, password, salt);
	pbkdf2_go_on(&k, ROUNDS);
	memcpy(out, salt, SALT_LEN);
	pbkdf2_hex(&k, out + SALT_LEN);
	explicit_bzero(&k, sizeof k);
}

void
password_ha1(const char *username, const char *domain, const char *password, char out[33])
{
	const char *const parts[] = { username, ":", domain, ":", password };
	uint8_t digest[MD5_DIGEST_SIZE];
	struct md5_ctx md5;
	size_t i;

	md5_init(&md5);
	for (i = 0; i < NELEM(parts); i++)
		md5_update(&md5, strlen(parts[i]), (const uint8_t *)parts[i]);
	md5_digest(&md5, sizeof digest, digest);
	base16_encode_update(out, sizeof digest, digest);
	out[32] = '\0';
	explicit_bzero(&md5, sizeof md5);
}

/* ---- questions ---- */

/* What was right, until then. The digest's key is of this process: nothing here helps to find a password. */
struct known {
	uint8_t digest[32];
	int64_t until_ms;
};

struct question {
	struct question *next;
	struct passwords *ps;
	struct loop_later answer;
	password_cb *cb;
	void *arg;
	bool right;
	uint8_t digest[32];
	char stored[PASSWORD_HASH_LEN + 1];
	char *given;
};

/* On the worker, one at a time, whatever waits: between two slices it is others' turn. Outlives the passwords, if it must. */
struct slice {
	struct worker_job job;
	struct passwords *ps; /* NULL: nobody waits for it any more */
	struct pbkdf2 k;
	bool finished;
};

struct queue {
	struct question *head, **tail;
};

struct passwords {
	struct loop *loop;
	struct worker *worker;
	uint8_t key[32];
	struct known known[CACHE_MAX];
	size_t n_known;
	struct queue waiting;  /* the first one is at work */
	struct queue answered; /* until its callback ran */
	size_t n;
	struct slice *slice;
};

static void
queue_put(struct queue *l, struct question *q)
{
	q->next = NULL;
	*l->tail = q;
	l->tail = &q->next;
}

static void
queue_take(struct queue *l)
{
	l->head = l->head->next;
	if (l->head == NULL)
		l->tail = &l->head;
}

static void
wipe_text(char *s)
{
	if (s != NULL)
		explicit_bzero(s, strlen(s));
	free(s);
}

static void
question_free(struct question *q)
{
	wipe_text(q->given);
	explicit_bzero(q, sizeof *q);
	free(q);
}

static void
slice_free(struct slice *s)
{
	explicit_bzero(s, sizeof *s);
	free(s);
}

/* ---- what is known ---- */

static void
digest_of(const struct passwords *ps, const char *stored, const char *given, uint8_t out[32])
{
	struct hmac_sha256_ctx hmac;

	hmac_sha256_set_key(&hmac, sizeof ps->key, ps->key);
	hmac_sha256_update(&hmac, strlen(stored) + 1, (const uint8_t *)stored);
	hmac_sha256_update(&hmac, strlen(given), (const uint8_t *)given);
	hmac_sha256_digest(&hmac, 32, out);
	explicit_bzero(&hmac, sizeof hmac);
}

static struct known *
find_known(struct passwords *ps, const uint8_t digest[32])
{
	size_t i;

	for (i = 0; i < ps->n_known; i++)
		if (memcmp(ps->known[i].digest, digest, 32) == 0)
			return &ps->known[i];
	return NULL;
}

static bool
is_known(struct passwords *ps, const uint8_t digest[32])
{
	const struct known *k = find_known(ps, digest);

	return k != NULL && loop_now_ms(ps->loop) < k->until_ms;
}

static void
remember(struct passwords *ps, const uint8_t digest[32])
{
	struct known *k = find_known(ps, digest);
	size_t i;

	if (k == NULL && ps->n_known < CACHE_MAX)
		k = &ps->known[ps->n_known++];
	if (k == NULL) {
		k = &ps->known[0];
		for (i = 1; i < CACHE_MAX; i++)
			if (ps->known[i].until_ms < k->until_ms)
				k = &ps->known[i];
	}
	memcpy(k->digest, digest, sizeof k->digest);
	k->until_ms = loop_now_ms(ps->loop) + CACHE_MS;
}

/* ---- asking and answering ---- */

static void
give_answer(void *arg)
{
	struct question *q = arg;
	struct passwords *ps = q->ps;
	struct question **at = &ps->answered.head;
	password_cb *cb = q->cb;
	void *cb_arg = q->arg;
	bool right = q->right;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	if (ps->answered.tail == &q->next)
		ps->answered.tail = at;
	ps->n--;
	question_free(q);
	cb(cb_arg, right);
}

static void
answer(struct passwords *ps, struct question *q, bool right)
{
	q->right = right;
	queue_put(&ps->answered, q);
	loop_later(ps->loop, &q->answer, give_answer, q);
}

static void
slice_run(struct worker_job *job)
{
	struct slice *s = CONTAINER_OF(job, struct slice, job);

	s->finished = pbkdf2_go_on(&s->k, SLICE_ROUNDS);
}

static void start_next(struct passwords *ps);

static void
slice_done(struct worker_job *job)
{
	struct slice *s = CONTAINER_OF(job, struct slice, job);
	struct passwords *ps = s->ps;
	struct question *q;
	char hex[2 * DIGEST + 1];
	bool right;

	if (ps == NULL) {
		slice_free(s);
		return;
	}
	if (!s->finished) {
		worker_submit(ps->worker, WORKER_NORMAL, &s->job);
		return;
	}
	q = ps->waiting.head;
	pbkdf2_hex(&s->k, hex);
	right = password_equal(hex, q->stored + SALT_LEN);
	explicit_bzero(hex, sizeof hex);
	slice_free(s);
	ps->slice = NULL;
	if (right)
		remember(ps, q->digest);
	queue_take(&ps->waiting);
	answer(ps, q, right);
	start_next(ps);
}

/* The one in front; what was found right meanwhile needs no work. */
static void
start_next(struct passwords *ps)
{
	struct question *q;
	struct slice *s;

	while (ps->slice == NULL && (q = ps->waiting.head) != NULL) {
		if (is_known(ps, q->digest)) {
			queue_take(&ps->waiting);
			answer(ps, q, true);
			continue;
		}
		s = xcalloc(1, sizeof *s);
		s->job.run = slice_run;
		s->job.done = slice_done;
		s->ps = ps;
		pbkdf2_start(&s->k, q->given, q->stored);
		ps->slice = s;
		worker_submit(ps->worker, WORKER_NORMAL, &s->job);
	}
}

int
passwords_verify(struct passwords *ps, const char *stored, const char *given, password_cb *cb, void *arg)
{
	struct question *q;

	if (ps->n == WAITING_MAX)
		return -EBUSY;
	ps->n++;
	q = xcalloc(1, sizeof *q);
	q->ps = ps;
	q->cb = cb;
	q->arg = arg;
	if (!password_is_hash(stored)) {
		answer(ps, q, password_equal(stored, given));
		return 0;
	}
	digest_of(ps, stored, given, q->digest);
	if (is_known(ps, q->digest)) {
		answer(ps, q, true);
		return 0;
	}
	memcpy(q->stored, stored, sizeof q->stored);
	q->given = xstrdup(given);
	queue_put(&ps->waiting, q);
	start_next(ps);
	return 0;
}

int
passwords_new(struct passwords **out, struct loop *loop, struct worker *worker)
{
	struct passwords *ps = xcalloc(1, sizeof *ps);

	ps->loop = loop;
	ps->worker = worker;
	ps->waiting.tail = &ps->waiting.head;
	ps->answered.tail = &ps->answered.head;
	if (getrandom(ps->key, sizeof ps->key, 0) != (ssize_t)sizeof ps->key) {
		free(ps);
		return -EIO;
	}
	*out = ps;
	return 0;
}

void
passwords_free(struct passwords *ps)
{
	struct question *q;

	if (ps == NULL)
		return;
	if (ps->slice != NULL)
		ps->slice->ps = NULL;
	while ((q = ps->waiting.head) != NULL) {
		queue_take(&ps->waiting);
		question_free(q);
	}
	while ((q = ps->answered.head) != NULL) {
		queue_take(&ps->answered);
		loop_later_cancel(ps->loop, &q->answer);
		question_free(q);
	}
	explicit_bzero(ps, sizeof *ps);
	free(ps);
}
