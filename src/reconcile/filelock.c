#include "reconcile/filelock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

void
filelock_drop(struct filelock *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

/* Somebody removed the lock's file, or its whole directory: what we hold would keep nobody away. */
static void
drop_void(struct filelock *l)
{
	struct stat held, there;

	if (l->fd < 0 || fstat(l->fd, &held) != 0)
		return;
	if (stat(l->path, &there) != 0 || there.st_dev != held.st_dev || there.st_ino != held.st_ino)
		filelock_drop(l);
}

int
filelock_take(struct filelock *l, pid_t *holder)
{
	int fd;

	drop_void(l);
	if (l->fd >= 0)
		return 0;
	fd = file_lock(l->path, holder);
	if (fd < 0)
		return fd;
	l->fd = fd;
	return 0;
}

void
filelock_explain(int err, const char *what, const char *path, char *out, size_t size)
{
	const char *remedy = err == -ENOSPC || err == -EDQUOT ? "make room" : err == -ENOENT ? "make the directory" :
	    err == -ENOTDIR || err == -EISDIR || err == -ELOOP ? "something else stands at that path: move it away" :
	    err == -EROFS ? "the file system is read-only" : "give c4d's user the right to write there";

	snprintf(out, size, "cannot %s %s: %s (%s; c4d tries again by itself)", what, path, strerror(-err), remedy);
}
