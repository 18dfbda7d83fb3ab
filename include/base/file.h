/*
 * file: whole files, atomically; locks. All of these wait on the disk: call them from a worker job,
 * or before the loop runs.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "base/mem.h"

/* Reads the whole file, at most `max` bytes (-EFBIG above). The text gets a NUL; the caller frees. */
MUST_USE int file_read(const char *path, size_t max, char **out, size_t *len);
/* What tells one state of a file from another; compare by file_stamp_same(). Zero: no file's. */
struct file_stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};
MUST_USE int file_stamp(const char *path, struct file_stamp *out);
bool file_stamp_same(const struct file_stamp *, const struct file_stamp *);
void file_machine_id(char out[64]); /* machine-id(5); "": there is none */
/*
 * Replaces `path` in one step: temporary file beside it, fsync, rename, fsync of the directory.
 * Mode, owner and group of a present file are kept; a new one gets 0640 and the directory's group.
 * `*what` names the step that failed ("create", "write", "fsync", "rename"), for the message.
 */
MUST_USE int file_replace(const char *path, const void *data, size_t len, const char **what);
/*
 * file_replace() without its last step: until file_sync_dir() has run, a loss of power may bring the old file back, whole.
 * For whoever waits for the new one and has no use for that.
 */
MUST_USE int file_replace_unsynced(const char *path, const void *data, size_t len, const char **what);
MUST_USE int file_sync_dir(const char *path); /* of the directory that holds `path` */
/*
 * file_replace(), and the new file's modification time in whole seconds is above the old one's: a file of
 * the present second gets the next one, and a time that lies far ahead (a clock was wrong once) still only
 * goes up by one. For Kamailio's db_text (db_mode 1), which reads a table again only when (int)st_mtime
 * has grown since it read it last: of two writes within one second it would never see the second, nor
 * any until the clock has caught up with a time ahead. `*what` may be "set the time of" besides.
 */
MUST_USE int file_replace_newer(const char *path, const void *data, size_t len, const char **what);
/*
 * file_replace_newer() for passwords: a file that is open to everybody becomes its owner's and its group's; the directory's group, if it has
 * root's or our own.
 */
MUST_USE int file_replace_secret(const char *path, const void *data, size_t len, const char **what);
bool file_mode_is_open(mode_t); /* to others than its owner and group */
/*
 * Exclusive lock held until the returned descriptor is closed; the file holds our pid, and is its owner's alone: others could lock it too.
 * >= 0 descriptor; -EWOULDBLOCK: held by another, whose pid is in *holder (0 unknown); else -errno.
 */
MUST_USE int file_lock(const char *path, pid_t *holder);

#endif
