/*
 * shiftclock: preload this and the wall clock is SHIFTCLOCK_S seconds later than the machine's, for what takes days. All clocks
 * jump ahead by as many seconds as stand in SHIFTCLOCK_FILE, when they do: for what takes minutes. A write of the same length in
 * place is enough.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES 16

static const char *
jump_text(void)
{
	static const char *map;
	const char *path = getenv("SHIFTCLOCK_FILE");
	int fd;

	if (map != NULL || path == NULL)
		return map;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	map = fd >= 0 ? mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
	if (map == MAP_FAILED)
		abort();
	close(fd);
	return map;
}

int
clock_gettime(clockid_t id, struct timespec *t)
{
	static int (*next)(clockid_t, struct timespec *);
	const char *text = getenv("SHIFTCLOCK_S"), *jump = jump_text();
	int rc;

	if (next == NULL)
		next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	rc = next(id, t);
	if (rc == 0 && id == CLOCK_REALTIME && text != NULL)
		t->tv_sec += atol(text);
	if (rc == 0 && jump != NULL && (id == CLOCK_REALTIME || id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE))
		t->tv_sec += atol(jump);
	return rc;
}
