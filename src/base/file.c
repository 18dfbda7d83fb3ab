#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int
write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int
file_stamp(const char *path, struct file_stamp *out)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return -errno;
	*out = (struct file_stamp){ .dev = st.st_dev, .ino = st.st_ino, .size = st.st_size, .mtime = st.st_mtim, .ctime = st.st_ctim };
	return 0;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool
file_stamp_same(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && same_time(&a->mtime, &b->mtime) &&
	    same_time(&a->ctime, &b->ctime);
}

int
file_read(const char *path, size_t max, char **out, size_t *len)
{
	size_t cap = 4096, used = 0;
	char *data = NULL;
	int fd, err = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	data = xrealloc(NULL, cap, 1);
	for (;;) {
		ssize_t n = read(fd, data + used, cap - used - 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err = -errno;
			break;
		}
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > max) {
			err = -EFBIG;
			break;
		}
		if (cap - used < 2) {
			cap *= 2;
			data = xrealloc(data, cap, 1);
		}
	}
	close(fd);
	if (err) {
		free(data);
		return err;
	}
	data[used] = '\0';
	*out = data;
	*len = used;
	return 0;
}

bool
file_mode_is_open(mode_t mode)
{
	return (mode & S_IRWXO) != 0;
}

/* Kamailio must go on being able to read what it could read before. Best effort: we may not be root. */
static void
keep_owner(int fd, const char *path, int dirfd, bool secret)
{
	struct stat st, dir;
	bool is_there = stat(path, &st) == 0;

	if (is_there && !(secret && file_mode_is_open(st.st_mode))) {
		(void)fchmod(fd, st.st_mode & 07777);
		(void)!fchown(fd, st.st_uid, st.st_gid);
		(void)!fchown(fd, (uid_t)-1, st.st_gid);
		return;
	}
	(void)fchmod(fd, 0640);
	if (fstat(dirfd, &dir) == 0)
		(void)!fchown(fd, (uid_t)-1, dir.st_gid);
	if (!is_there)
		return;
	(void)!fchown(fd, st.st_uid, (gid_t)-1);
	if (st.st_gid != 0 && st.st_gid != getegid()) /* those are a group that nobody chose for it: Kamailio read it like everybody */
		(void)!fchown(fd, (uid_t)-1, st.st_gid);
}

/* The old file's time plus a second, unless the new file's own is above it anyway. */
static int
make_newer(int fd, const char *path)
{
	struct stat old, new;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = 0 } };

	if (stat(path, &old) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &new) != 0)
		return -errno;
	if (new.st_mtime > old.st_mtime)
		return 0;
	times[1].tv_sec = old.st_mtime + 1;
	return futimens(fd, times) != 0 ? -errno : 0;
}

static int
sync_dir(int dirfd)
{
	return fsync(dirfd) != 0 && errno != EINVAL ? -errno : 0;
}

enum { NEWER = 1, SYNCED = 2, SECRET = 4 };

static int
replace(const char *path, const void *data, size_t len, unsigned how, const char **what)
{
	char *dircopy = xstrdup(path), *tmp = NULL;
	int dirfd = -1, fd = -1, err = 0;

	*what = "open the directory of";
	dirfd = open(dirname(dircopy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0) {
		err = -errno;
		goto out;
	}
	*what = "create a file beside";
	tmp = xasprintf("%s.c4d-tmp", path);
	(void)unlink(tmp); /* left by a crash; the lock says that no other c4d writes here */
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err = -errno;
		free(tmp);
		tmp = NULL;
		goto out;
	}
	keep_owner(fd, path, dirfd, (how & SECRET) != 0);
	*what = "write";
	err = write_all(fd, data, len);
	if (err)
		goto out;
	if (how & NEWER) {
		*what = "set the time of";
		err = make_newer(fd, path);
		if (err)
			goto out;
	}
	*what = "fsync";
	if (fsync(fd) != 0) {
		err = -errno;
		goto out;
	}
	*what = "rename over";
	if (rename(tmp, path) != 0) {
		err = -errno;
		goto out;
	}
	free(tmp);
	tmp = NULL;
	*what = "fsync the directory of";
	err = how & SYNCED ? sync_dir(dirfd) : 0;
out:
	if (fd >= 0)
		close(fd);
	if (tmp != NULL)
		(void)unlink(tmp);
	if (dirfd >= 0)
		close(dirfd);
	free(tmp);
	free(dircopy);
	return err;
}

int
file_replace(const char *path, const void *data, size_t len, const char **what)
{
	return replace(path, data, len, SYNCED, what);
}

int
file_replace_unsynced(const char *path, const void *data, size_t len, const char **what)
{
	return replace(path, data, len, 0, what);
}

int
file_sync_dir(const char *path)
{
	char *copy = xstrdup(path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	free(copy);
	if (fd < 0)
		return -errno;
	err = sync_dir(fd);
	close(fd);
	return err;
}

int
file_replace_newer(const char *path, const void *data, size_t len, const char **what)
{
	return replace(path, data, len, NEWER | SYNCED, what);
}

int
file_replace_secret(const char *path, const void *data, size_t len, const char **what)
{
	return replace(path, data, len, NEWER | SYNCED | SECRET, what);
}

void
file_machine_id(char out[64])
{
	char *text = NULL;
	size_t len;

	out[0] = '\0';
	if (file_read("/etc/machine-id", 4096, &text, &len) == 0 && text != NULL)
		snprintf(out, 64, "%.*s", (int)strcspn(text, "\n"), text);
	free(text);
}

int
file_lock(const char *path, pid_t *holder)
{
	char text[32] = "";
	int fd, err;
	ssize_t n;

	*holder = 0;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	(void)fchmod(fd, 0600); /* who may read it may lock it: nobody else; one of an older c4d was readable by its group */
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		err = errno == EWOULDBLOCK ? -EWOULDBLOCK : -errno;
		n = read(fd, text, sizeof text - 1);
		if (n > 0)
			*holder = (pid_t)atol(text);
		close(fd);
		return err;
	}
	snprintf(text, sizeof text, "%ld\n", (long)getpid());
	/* The lock is what counts; the pid is for the other one's message. */
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, strlen(text), 0) < 0)
		(void)!ftruncate(fd, 0);
	return fd;
}
