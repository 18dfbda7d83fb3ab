/*
 * password: known vectors (Python's hashlib), and questions to the worker: answered later, one slice after the other with others' jobs
 * between, remembered when right.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/loop.h"
#include "routing/password.h"

#define GUARD_MS 60000
#define SALT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
/* hashlib.pbkdf2_hmac("sha512", b"secret", SALT, 100000) */
#define SECRET SALT "9c00a6c7eb895f78bdb5f80f646187db871c22eacdd94714f4110a8d853d2d8519e0ff7365f16e7ff18a6b85fb563fc65ffcae479a489318367ed476e396ab70"
#define LONG_HASH "5ea1560039a6404a7b2ccbf11f1d15ef17946b809f711bc625bb8bf3de8e6f974b0ca552f072c5c9ccfb38050ac8efd9ad9f66570c9c0dcfbd66c7b4cae2c81b"
#define ALICE_HA1 "3b82f731f40412b971a06b016e3ef337" /* md5("alice:sip.example.org:secret") */

struct fx {
	struct loop *loop;
	struct worker *worker;
	struct passwords *ps;
	struct loop_timer guard;
	unsigned right, wrong; /* answers */
	unsigned until;        /* answers to wait for */
	unsigned between;      /* others' jobs that were done before the answer */
	unsigned others;
	bool refill;           /* one other job after the other */
};

static void
guard(void *arg)
{
	fail_msg("no answer");
}

static int
setup(void **state)
{
	struct fx *f = calloc(1, sizeof *f);

	*state = f;
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(worker_new(&f->worker, f->loop), 0);
	assert_int_equal(passwords_new(&f->ps, f->loop, f->worker), 0);
	loop_timer_init(&f->guard, f->loop, guard, f);
	loop_timer_start(&f->guard, GUARD_MS);
	return 0;
}

static int
teardown(void **state)
{
	struct fx *f = *state;

	passwords_free(f->ps);
	worker_free(f->worker);
	loop_timer_fini(&f->guard);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void
answered(void *arg, bool right)
{
	struct fx *f = arg;

	if (right)
		f->right++;
	else
		f->wrong++;
	if (f->right + f->wrong == f->until)
		loop_stop(f->loop);
}

static void
ask(struct fx *f, const char *stored, const char *given)
{
	unsigned before = f->right + f->wrong;

	assert_int_equal(passwords_verify(f->ps, stored, given, answered, f), 0);
	assert_int_equal(f->right + f->wrong, before); /* never inside the call */
}

static void
wait_for(struct fx *f, unsigned answers)
{
	f->until = answers;
	assert_int_equal(loop_run(f->loop), 0);
}

/* ---- pure ---- */

static void
vectors(void **state)
{
	char hash[PASSWORD_HASH_LEN + 1], ha1[33];

	password_hash("secret", SALT, hash);
	assert_string_equal(hash, SECRET);
	/* a password longer than the hash's block */
	password_hash("0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
		      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
	    SALT, hash);
	assert_string_equal(hash + 64, LONG_HASH);
	password_ha1("alice", "sip.example.org", "secret", ha1);
	assert_string_equal(ha1, ALICE_HA1);
}

static void
hashes_are_told_apart(void **state)
{
	char s[] = SECRET "x";

	assert_true(password_is_hash(SECRET));
	assert_false(password_is_hash(""));
	assert_false(password_is_hash("secret"));
	assert_false(password_is_hash(s)); /* 193 */
	s[191] = '\0';
	assert_false(password_is_hash(s));
	memcpy(s, SECRET, sizeof SECRET);
	s[10] = 'A';
	assert_false(password_is_hash(s));
}

static void
equal(void **state)
{
	assert_true(password_equal("", ""));
	assert_true(password_equal("secret", "secret"));
	assert_false(password_equal("secret", "Secret"));
	assert_false(password_equal("secret", "secre"));
	assert_false(password_equal("secre", "secret"));
	assert_false(password_equal("", "secret"));
	assert_false(password_equal("secret\xff", "secret"));
}

/* ---- questions ---- */

static void
plain_text_is_answered_later(void **state)
{
	struct fx *f = *state;

	ask(f, "secret", "secret");
	ask(f, "secret", "other");
	ask(f, "secret", "");
	wait_for(f, 3);
	assert_int_equal(f->right, 1);
}

static void
hashes_are_verified(void **state)
{
	struct fx *f = *state;

	ask(f, SECRET, "secret");
	ask(f, SECRET, "Secret");
	ask(f, SECRET, SECRET); /* the hash itself is no password */
	wait_for(f, 3);
	assert_int_equal(f->right, 1);
}

struct other {
	struct worker_job job;
	struct fx *f;
};

static void
other_run(struct worker_job *job)
{
}

static void
other_done(struct worker_job *job)
{
	struct other *o = CONTAINER_OF(job, struct other, job);
	struct fx *f = o->f;

	f->others++;
	if (f->refill && f->right + f->wrong == 0) {
		f->between++;
		worker_submit(f->worker, WORKER_NORMAL, &o->job);
		return;
	}
	free(o);
}

static void
others_jobs_go_between(void **state)
{
	struct fx *f = *state;
	struct other *o = calloc(1, sizeof *o);

	*o = (struct other){ { .run = other_run, .done = other_done }, f };
	f->refill = true;
	ask(f, SECRET, "secret");
	worker_submit(f->worker, WORKER_NORMAL, &o->job);
	wait_for(f, 1);
	assert_int_equal(f->right, 1);
	assert_true(f->between >= 20); /* 100,000 rounds in 50 slices */
}

/* A right one costs a worker's time once: a job given after the second question is not done before its answer. */
static void
right_ones_are_remembered(void **state)
{
	struct fx *f = *state;
	struct other *o = calloc(1, sizeof *o);

	ask(f, SECRET, "secret");
	ask(f, SECRET, "secret");
	wait_for(f, 2);
	assert_int_equal(f->right, 2);
	*o = (struct other){ { .run = other_run, .done = other_done }, f };
	ask(f, SECRET, "wrong"); /* keeps the worker busy */
	worker_submit(f->worker, WORKER_NORMAL, &o->job);
	ask(f, SECRET, "secret");
	wait_for(f, 3);
	assert_int_equal(f->right, 3);
	assert_int_equal(f->wrong, 0);
	wait_for(f, 4);
	assert_int_equal(f->wrong, 1);
	assert_int_equal(f->others, 1);
}

static void
only_so_many_wait(void **state)
{
	struct fx *f = *state;
	unsigned i;

	for (i = 0; i < 64; i++)
		ask(f, i % 2 ? "secret" : SECRET, "secret");
	assert_int_equal(passwords_verify(f->ps, "secret", "secret", answered, f), -EBUSY);
	wait_for(f, 64);
	assert_int_equal(f->right, 64);
	ask(f, "secret", "secret");
	wait_for(f, 65);
}

static void
after_the_end_there_is_silence(void **state)
{
	struct fx *f = *state;

	ask(f, SECRET, "secret");
	ask(f, SECRET, "second");
	ask(f, "secret", "secret");
	passwords_free(f->ps);
	f->ps = NULL;
	worker_free(f->worker); /* calls done() */
	f->worker = NULL;
	assert_int_equal(f->right + f->wrong, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(hashes_are_told_apart),
		cmocka_unit_test(equal),
		cmocka_unit_test_setup_teardown(plain_text_is_answered_later, setup, teardown),
		cmocka_unit_test_setup_teardown(hashes_are_verified, setup, teardown),
		cmocka_unit_test_setup_teardown(others_jobs_go_between, setup, teardown),
		cmocka_unit_test_setup_teardown(right_ones_are_remembered, setup, teardown),
		cmocka_unit_test_setup_teardown(only_so_many_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(after_the_end_there_is_silence, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
