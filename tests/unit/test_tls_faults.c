/*
 * tls: a machine whose OpenSSL can't be loaded, or lacks something: https is refused with the reason. The library is loaded once per process, so
 * each case has its own.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "consul/tls.h"
#include "fault.h"

static const struct tls_conf conf = { .server_name = "127.0.0.1", .verify = false };

/* In a child: tls_new() with this call failing. Its error is returned, with the reason. */
static int
refused(const char *call, unsigned nth, char *why, size_t size)
{
	int ends[2], status;
	ssize_t n, used = 0;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct tls *t = NULL;
		char text[512] = "";
		int err;

		fault_set(call, nth, ENOMEM);
		err = tls_new(&t, &conf, text, sizeof text);
		if (fault_hits() != 1)
			snprintf(text, sizeof text, "%s is not called so often", call);
		if (write(ends[1], text, strlen(text)) < 0)
			_exit(99);
		/* once and for all, with the same reason */
		_exit(t != NULL || tls_new(&t, &conf, why, size) != err ? 98 : -err);
	}
	close(ends[1]);
	while (used < (ssize_t)size - 1 && (n = read(ends[0], why + used, size - 1 - (size_t)used)) > 0)
		used += n;
	why[used] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void
a_library_that_is_not_there(void **state)
{
	char why[512];

	(void)state;
	assert_int_equal(refused("dlopen", 1, why, sizeof why), -EINVAL);
	assert_non_null(strstr(why, "https needs a library that can't be loaded"));
}

static void
a_library_that_lacks_a_function(void **state)
{
	char why[512], first[512];

	(void)state;
	assert_int_equal(refused("dlsym", 1, first, sizeof first), -EINVAL);
	assert_non_null(strstr(first, "https needs "));
	assert_non_null(strstr(first, "does not bring"));
	assert_int_equal(refused("dlsym", 5, why, sizeof why), -EINVAL);
	assert_non_null(strstr(why, "does not bring"));
	assert_string_not_equal(why, first); /* each by its name */
}

static void
and_one_that_has_all(void **state)
{
	struct tls *t = NULL;
	char why[512] = "";

	(void)state;
	assert_int_equal(tls_new(&t, &conf, why, sizeof why), 0);
	assert_string_equal(why, "");
	tls_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_library_that_is_not_there),
		cmocka_unit_test(a_library_that_lacks_a_function),
		cmocka_unit_test(and_one_that_has_all),
	};

	return cmocka_run_group_tests_name("tls: without OpenSSL", tests, NULL, NULL);
}
