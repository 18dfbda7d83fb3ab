/*
 * iface: netlink that fails on the way: the kernel's older ways answer the same, and what neither tells is an error.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/loop.h"
#include "fault.h"
#include "registrar/iface.h"

/* Of the loopback interface: every machine of the tests has 127.0.0.1. */
static void
assert_is_lo(int err, const struct topo_addr *a)
{
	static const unsigned char lo[4] = { 127, 0, 0, 1 };

	assert_int_equal(err, 0);
	assert_int_equal(a->family, 4);
	assert_memory_equal(a->ip, lo, 4);
}

static void
the_older_way_answers_when_netlink_fails(void **state)
{
	static const struct {
		const char *call;
		int err;
	} cases[] = { { "socket", EAFNOSUPPORT }, { "socket", EMFILE }, { "send", EPERM }, { "recv", ENOBUFS }, { "recv", EACCES } };
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(cases); i++) {
		struct topo_addr a = { 0 };

		fault_set(cases[i].call, 1, cases[i].err);
		assert_is_lo(iface_address("lo", 4, &a), &a);
		assert_int_equal(fault_hits(), 1);
		fault_clear();
	}
}

static void
a_signal_meanwhile_is_no_error(void **state)
{
	struct topo_addr a = { 0 };

	(void)state;
	fault_times("recv", 1, 3, EINTR);
	assert_is_lo(iface_address("lo", 4, &a), &a);
	assert_int_equal(fault_hits(), 3);
	fault_clear();
	fault_watch("recv");
	assert_is_lo(iface_address("lo", 4, &a), &a);
	assert_in_range(fault_calls("recv"), 1, 8);
}

/* The message is cut: an error message of one byte is none, and the end of it never comes. */
static void
half_an_answer_is_asked_for_the_older_way(void **state)
{
	struct topo_addr a = { 0 };

	(void)state;
	fault_times("recv", 1, FAULT_ALWAYS, FAULT_SHORT);
	assert_is_lo(iface_address("lo", 4, &a), &a);
	assert_true(fault_hits() > 0);
}

static void
neither_way_is_an_error(void **state)
{
	struct topo_addr a = { .family = 9 };
	char out[64], why[128];

	(void)state;
	fault_times("socket", 1, FAULT_ALWAYS, EMFILE);
	assert_int_equal(iface_address("lo", 4, &a), -EADDRNOTAVAIL);
	fault_set("fopen", 1, EMFILE);
	assert_int_equal(iface_address("lo", 6, &a), -EADDRNOTAVAIL);
	assert_int_equal(a.family, 9);
	assert_int_equal(iface_expand("{ip:lo}:9600", out, sizeof out, why, sizeof why), -EADDRNOTAVAIL);
	assert_string_equal(why, "the interface lo has no IPv4 address that others could use");
	assert_int_equal(fault_hits(), 6);
}

static void
stop(void *arg)
{
	loop_stop(arg);
}

static void
ignore(void *arg)
{
	(void)arg;
}

/* A group that may not be joined: it is looked at by the clock instead, and no descriptor stays. */
static void
news_that_are_not_allowed_are_no_error(void **state)
{
	struct loop_timer t;
	struct iface *i = NULL;
	struct loop *l;

	(void)state;
	assert_int_equal(loop_new(&l), 0);
	fault_set("bind", 1, EPERM);
	assert_int_equal(iface_new(&i, l, ignore, NULL), 0);
	assert_int_equal(fault_hits(), 1);
	assert_non_null(i);
	loop_timer_init(&t, l, stop, l);
	loop_timer_start(&t, 1);
	assert_int_equal(loop_run(l), 0);
	iface_free(i);
	loop_timer_fini(&t);
	loop_free(l);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_teardown(fn, fault_teardown)
	const struct CMUnitTest tests[] = {
		T(the_older_way_answers_when_netlink_fails),
		T(a_signal_meanwhile_is_no_error),
		T(half_an_answer_is_asked_for_the_older_way),
		T(neither_way_is_an_error),
		T(news_that_are_not_allowed_are_no_error),
	};

	return cmocka_run_group_tests_name("iface: when calls fail", tests, NULL, NULL);
}
