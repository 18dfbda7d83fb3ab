/*
 * slowsync: preload this and every fsync, fdatasync and msync takes SLOWSYNC_MS (100) longer, as on an appliance's
 * disk under load. Each call is noted in the file SLOWSYNC_LOG: "NAME THREAD NANOSECONDS", the (monotonic) time of its
 * end. A call by the process' first thread is a call by c4d's loop: the test wants none.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void
slow(const char *name)
{
	const char *text = getenv("SLOWSYNC_MS"), *path = getenv("SLOWSYNC_LOG");
	long ms = text ? atol(text) : 100;
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
	int saved = errno, fd, n;
	char line[96];

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
	clock_gettime(CLOCK_MONOTONIC, &t);
	n = snprintf(line, sizeof line, "%s %s %lld\n", name, gettid() == getpid() ? "loop" : "worker",
	    (long long)t.tv_sec * 1000000000 + t.tv_nsec);
	fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;
	if (fd >= 0) {
		if (write(fd, line, (size_t)n) != n)
			abort();
		close(fd);
	}
	errno = saved;
}

int
fsync(int fd)
{
	static int (*next)(int);

	if (next == NULL)
		next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	slow("fsync");
	return next(fd);
}

int
fdatasync(int fd)
{
	static int (*next)(int);

	if (next == NULL)
		next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	slow("fdatasync");
	return next(fd);
}

int
msync(void *addr, size_t len, int flags)
{
	static int (*next)(void *, size_t, int);

	if (next == NULL)
		next = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "msync");
	slow("msync");
	return next(addr, len, flags);
}
