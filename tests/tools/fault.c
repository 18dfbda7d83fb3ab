/*
 * fault: preload this and the process' calls fail when the file FAULT_CONTROL says so (unit tests have tests/unit/fault.h instead).
 * It may be replaced at any time; each line is one fault, and what is not there goes through:
 *
 *	CALL ERROR [path=PART] [skip=N] [times=N]
 *
 * CALL: open read write writev pwrite fsync fdatasync ftruncate rename mkdir mmap flock (these need path=, a part of the name of the file: others
 * must go on), socket bind accept connect eventfd pipe fork spawn pidfd_open getrandom (none has a path). ERROR: ENOSPC, EIO and so on (see the
 * table), or SHORT: read, write and pwrite move one byte. (LMDB writes its data by writev and by pwrite, its meta pages by pwrite.) skip: so many calls go through first; times: so many fail, then it is over.
 * Each call that failed is a line of the file FAULT_LOG: "CALL ERROR loop|worker PATH". No libc function that allocates is called within.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FAULTS 16
#define SHORT (-1)

struct fault {
	char call[16], error[16], path[256];
	long skip, times; /* times < 0: always */
	int err;
};

static const struct {
	const char *name;
	int err;
} errors[] = {
	{ "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT }, { "EIO", EIO }, { "EROFS", EROFS }, { "EACCES", EACCES }, { "EPERM", EPERM },
	{ "EMFILE", EMFILE }, { "ENFILE", ENFILE }, { "ENOMEM", ENOMEM }, { "EAGAIN", EAGAIN }, { "EINTR", EINTR },
	{ "EINVAL", EINVAL }, { "ENOLCK", ENOLCK }, { "ENOSYS", ENOSYS }, { "EADDRINUSE", EADDRINUSE },
	{ "EADDRNOTAVAIL", EADDRNOTAVAIL }, { "ENETUNREACH", ENETUNREACH }, { "ECONNABORTED", ECONNABORTED },
	{ "ENOBUFS", ENOBUFS }, { "SHORT", SHORT },
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault faults[FAULTS];
static struct stat seen; /* the control file's state that `faults` is from */
static __thread bool within;
static bool ready; /* main() runs: a sanitizer's library makes directories while it starts, when nothing works yet */

static void
line_read(char *line, struct fault *f)
{
	char *word, *rest = line;

	memset(f, 0, sizeof *f);
	f->times = -1;
	while ((word = strsep(&rest, " ")) != NULL) {
		if (strncmp(word, "path=", 5) == 0)
			snprintf(f->path, sizeof f->path, "%s", word + 5);
		else if (strncmp(word, "skip=", 5) == 0)
			f->skip = atol(word + 5);
		else if (strncmp(word, "times=", 6) == 0)
			f->times = atol(word + 6);
		else if (f->call[0] == '\0')
			snprintf(f->call, sizeof f->call, "%s", word);
		else
			snprintf(f->error, sizeof f->error, "%s", word);
	}
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
		if (strcmp(errors[i].name, f->error) == 0)
			f->err = errors[i].err;
	if (f->call[0] != '\0' && f->err == 0) {
		fprintf(stderr, "fault: no such error: %s\n", f->error);
		abort();
	}
}

/* By system calls: the functions of that name are ours. */
static void
control_read(void)
{
	const char *path = getenv("FAULT_CONTROL");
	char text[4096], *line, *rest = text;
	struct stat st;
	long fd, n;
	size_t i = 0;

	if (path == NULL || stat(path, &st) != 0 || (st.st_ino == seen.st_ino && st.st_size == seen.st_size &&
		st.st_mtim.tv_sec == seen.st_mtim.tv_sec && st.st_mtim.tv_nsec == seen.st_mtim.tv_nsec))
		return;
	seen = st;
	memset(faults, 0, sizeof faults);
	fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = syscall(SYS_read, fd, text, sizeof text - 1);
	syscall(SYS_close, fd);
	text[n > 0 ? n : 0] = '\0';
	while (i < FAULTS && (line = strsep(&rest, "\n")) != NULL)
		if (*line != '\0')
			line_read(line, &faults[i++]);
}

static void
note(const struct fault *f, const char *path)
{
	const char *to = getenv("FAULT_LOG");
	char line[640];
	long fd;
	int n = snprintf(line, sizeof line, "%s %s %s %.500s\n", f->call, f->error, gettid() == getpid() ? "loop" : "worker", path);

	if (to == NULL)
		return;
	fd = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return;
	(void)!syscall(SYS_write, fd, line, (size_t)n);
	syscall(SYS_close, fd);
}

/* 0: the call goes through; else errno, or SHORT. */
static int
hit(const char *call, const char *path)
{
	int err = 0, saved = errno;

	if (!ready || within) /* in this order: not even that is there yet */
		return 0;
	within = true;
	pthread_mutex_lock(&lock);
	control_read();
	for (size_t i = 0; i < FAULTS && err == 0; i++) {
		struct fault *f = &faults[i];

		if (f->times == 0 || strcmp(f->call, call) != 0)
			continue;
		if (path != NULL && (f->path[0] == '\0' || strstr(path, f->path) == NULL))
			continue;
		if (f->skip > 0) {
			f->skip--;
			continue;
		}
		if (f->times > 0)
			f->times--;
		err = f->err;
		note(f, path ? path : "-");
	}
	pthread_mutex_unlock(&lock);
	within = false;
	errno = saved;
	return err;
}

static int
hit_fd(const char *call, int fd)
{
	char link[64], path[512];
	ssize_t n;

	if (!ready || getenv("FAULT_CONTROL") == NULL)
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	path[n > 0 ? n : 0] = '\0';
	return hit(call, path);
}

#define NEXT(name, type, params) \
	static type(*next) params; \
	if (next == NULL) \
		next = (type(*) params)dlsym(RTLD_NEXT, #name)
#define FAIL(err, value) \
	if (err) { \
		errno = err; \
		return value; \
	}
#define BY_PATH(name, word, type, params, args, path) \
	type name params \
	{ \
		int err = hit(word, path); \
		NEXT(name, type, params); \
		FAIL(err, -1) \
		return next args; \
	}
#define BY_FD(name, word, type, params, args, fd, failure) \
	type name params \
	{ \
		int err = (fd) < 0 ? 0 : hit_fd(word, fd); \
		NEXT(name, type, params); \
		FAIL(err, failure) \
		return next args; \
	}
#define MOVES(name, word, params, args) \
	ssize_t name params \
	{ \
		int err = hit_fd(word, fd); \
		NEXT(name, ssize_t, params); \
		if (err == SHORT) \
			n = n > 1 ? 1 : n; \
		else \
			FAIL(err, -1) \
		return next args; \
	}
#define PLAIN(name, word, type, params, args) \
	type name params \
	{ \
		int err = hit(word, NULL); \
		NEXT(name, type, params); \
		FAIL(err, -1) \
		return next args; \
	}

int __libc_start_main(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

int
__libc_start_main(int (*begin)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
    void (*rtld_fini)(void), void *stack_end)
{
	NEXT(__libc_start_main, int,
	    (int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void), void *));

	ready = true;
	return next(begin, argc, argv, init, fini, rtld_fini, stack_end);
}

/* clang-format off */
MOVES(read, "read", (int fd, void *p, size_t n), (fd, p, n))
MOVES(write, "write", (int fd, const void *p, size_t n), (fd, p, n))
MOVES(pwrite, "pwrite", (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
BY_FD(writev, "writev", ssize_t, (int fd, const struct iovec *v, int n), (fd, v, n), fd, -1)
BY_FD(fsync, "fsync", int, (int fd), (fd), fd, -1)
BY_FD(fdatasync, "fdatasync", int, (int fd), (fd), fd, -1)
BY_FD(ftruncate, "ftruncate", int, (int fd, off_t n), (fd, n), fd, -1)
BY_FD(flock, "flock", int, (int fd, int how), (fd, how), fd, -1)
BY_FD(mmap, "mmap", void *, (void *at, size_t n, int prot, int flags, int fd, off_t from), (at, n, prot, flags, fd, from), fd, MAP_FAILED)
BY_PATH(rename, "rename", int, (const char *from, const char *to), (from, to), to)
BY_PATH(mkdir, "mkdir", int, (const char *path, mode_t mode), (path, mode), path)
PLAIN(socket, "socket", int, (int family, int type, int protocol), (family, type, protocol))
PLAIN(bind, "bind", int, (int fd, const struct sockaddr *sa, socklen_t n), (fd, sa, n))
PLAIN(connect, "connect", int, (int fd, const struct sockaddr *sa, socklen_t n), (fd, sa, n))
PLAIN(accept4, "accept", int, (int fd, struct sockaddr *sa, socklen_t *n, int flags), (fd, sa, n, flags))
PLAIN(eventfd, "eventfd", int, (unsigned n, int flags), (n, flags))
PLAIN(pipe2, "pipe", int, (int fds[2], int flags), (fds, flags))
PLAIN(fork, "fork", pid_t, (void), ())
PLAIN(pidfd_open, "pidfd_open", int, (pid_t pid, unsigned flags), (pid, flags))
PLAIN(getrandom, "getrandom", ssize_t, (void *p, size_t n, unsigned flags), (p, n, flags))
/* clang-format on */

int
posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *at, char *const argv[],
    char *const env[])
{
	int err = hit("spawn", NULL);
	NEXT(posix_spawnp, int, (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[],
	    char *const[]));

	return err ? err : next(pid, file, fa, at, argv, env);
}

int
open(const char *path, int flags, ...)
{
	int err = hit("open", path);
	mode_t mode = 0;
	va_list ap;
	NEXT(open, int, (const char *, int, ...));

	FAIL(err, -1)
	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return next(path, flags, mode);
}
