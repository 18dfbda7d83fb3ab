/*
 * fault: calls of our code into libc and the libraries fail when a test says so. In programs named test_*_faults.c: the Makefile
 * links them with fault.c and redirects (ld --wrap) each function of its table, for references from src/ and from the test itself. What
 * a library calls within itself never fails, so cmocka, libevent and the sanitizers are undisturbed. Any thread's calls count.
 *
 * One failure, the Nth call from now (1 is the next one):
 *
 *	fault_set("rename", 1, ENOSPC);
 *	assert_int_equal(file_replace(path, "x", 1, &what), -ENOSPC);
 *	assert_string_equal(what, "rename over");
 *	assert_int_equal(fault_hits(), 1);          (or the test has tested nothing)
 *	fault_clear();                              (in the teardown, too)
 *
 * All places in turn: the loop body runs with the 1st call failing, then with the 2nd and so on, and at the end once with none, when
 * fault_hits() is 0. The body makes everything anew each time and asserts the outcome of both:
 *
 *	FAULT_EACH("json_object json_pack json_object_set_new", ENOMEM) {
 *		json_t *j = thing_json(t);
 *
 *		if (fault_hits())
 *			assert_null(j);
 *		else
 *			assert_string_equal(...);
 *		json_decref(j);
 *	}
 *
 * `names`: one name or several with spaces between; their calls are counted together. `err` is what the function reports in its own way: an
 * errno for libc (returned -1, NULL or MAP_FAILED and errno; the value itself by pthread_create and posix_spawn), MDB_* or an errno for
 * mdb_*, ARES_* for ares_*, a negative PCRE2_ERROR_* for pcre2_match; pointers of other libraries become NULL, their int -1 or 0, by
 * what is their failure, and err only has to be non-zero. FAULT_SHORT: read, recv, write, pwrite and send move one byte, which is no error.
 *
 * Memory: "malloc", "calloc", "realloc", "vasprintf" are the calls made for what a peer sizes, whose failure must be an error (-ENOMEM).
 * "xalloc" is any of base/mem.h's, which ends the program: fault_aborts() asserts that.
 *
 * Under AddressSanitizer a leak on the error path fails the program's end; that is half of what these tests are for. A call that fails
 * without an assertion on what follows is not a test.
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>
#include <stddef.h>

#define FAULT_SHORT (-999)
#define FAULT_ALWAYS 1000000000u

/* From the nth call on, one call fails (fault_set) or `times` calls in a row (fault_times). Several sets may be there at once. */
void fault_set(const char *names, unsigned nth, int err);
void fault_times(const char *names, unsigned nth, unsigned times, int err);
/* Allocations of fewer bytes neither count nor fail, until fault_clear(). */
void fault_min_bytes(size_t bytes);
void fault_disarm(void);           /* nothing fails any more; fault_hits() stays: for what the body does after its call */
void fault_clear(void);            /* nothing fails any more; what was hit is forgotten */
int fault_teardown(void **state);  /* fault_clear(), for those that have nothing else to undo */
unsigned fault_hits(void);         /* calls that were made to fail since fault_clear() or the first fault_set() after it */
unsigned fault_calls(const char *name); /* calls of this one since fault_watch(); to see that something is not called, too */
void fault_watch(const char *name);

#define FAULT_EACH(names, err) for (fault_first(names, err); fault_again(true);)
/* The same where the body has something to make first: calls count, and one fails, from fault_arm() on. */
#define FAULT_EACH_ARMED(names, err) for (fault_first(names, err); fault_again(false);)
void fault_arm(void);
void fault_first(const char *names, int err);
bool fault_again(bool arm);

/* Runs fn(arg) in a child: true if it ended by abort() having said "out of memory" (what xcalloc() and its kin do). */
bool fault_aborts(void (*fn)(void *), void *arg);

#endif
