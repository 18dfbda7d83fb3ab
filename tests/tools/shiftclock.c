/*
 * shiftclock: preload this and the wall clock is SHIFTCLOCK_S seconds later than the machine's, for what takes days.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int
clock_gettime(clockid_t id, struct timespec *t)
{
	static int (*next)(clockid_t, struct timespec *);
	const char *text = getenv("SHIFTCLOCK_S");
	int rc;

	if (next == NULL)
		next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	rc = next(id, t);
	if (rc == 0 && id == CLOCK_REALTIME && text != NULL)
		t->tv_sec += atol(text);
	return rc;
}
