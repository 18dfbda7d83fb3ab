/*
 * filelock: the lock beside a file that c4d manages (FILE.c4d-lock): a second c4d stays away. Worker thread only.
 * Zero-initialise with fd -1.
 */
#ifndef RECONCILE_FILELOCK_H
#define RECONCILE_FILELOCK_H

#include <stddef.h>
#include <sys/types.h>

#include "base/mem.h"

struct filelock {
	char *path; /* of the lock; the owner frees it */
	int fd;     /* -1: not held */
};

/* Taken once and kept. 0; -EWOULDBLOCK: *holder has it; else -errno. */
MUST_USE int filelock_take(struct filelock *, pid_t *holder);
void filelock_drop(struct filelock *);
/* For people: what failed with a file, and what to do. */
void filelock_explain(int err, const char *what, const char *path, char *out, size_t size);

#endif
