/*
 * listfile: one dispatcher list file on disk, with a lock beside it (FILE.c4d-lock) that keeps a second c4d away.
 * Every call is a job of the worker; the result comes back from the loop, and the callback may take its entries. One job
 * at a time: the caller waits for the callback before it asks again.
 */
#ifndef RECONCILE_LISTFILE_H
#define RECONCILE_LISTFILE_H

#include "base/worker.h"
#include "kamailio/dslist.h"

struct listfile;

struct listfile_result {
	int err;            /* 0, -EWOULDBLOCK (locked by another c4d), or what reading or writing met */
	char error[512];    /* for people; "" */
	bool exists;
	bool written;       /* the file was replaced */
	bool locked;        /* we hold the lock */
	bool unchanged;     /* of a check: it is as the last store left it */
	bool read;          /* of a load or store; what follows is known */
	struct ds_entries all; /* what the file holds now, all sets; `ours`: within our block */
	size_t bad;         /* lines that Kamailio would refuse */
};

typedef void listfile_cb(void *arg, struct listfile_result *);

struct listfile *listfile_new(struct worker *, const char *path, listfile_cb *, void *arg);
void listfile_free(struct listfile *); /* NULL is fine; a job under way ends without its callback */
/* Read; `lock`: take the lock first, and make an empty file where there is none (Kamailio does not start without). */
void listfile_load(struct listfile *, bool lock);
/* Make these sets hold these entries. Takes the entries. Writes nothing without the lock, nor when the file is right already. */
void listfile_store(struct listfile *, const struct ds_set_ref *sets, size_t n_sets, struct ds_entries *takes);
/*
 * Has anybody been at the file since the last store? Costs a stat(): result.unchanged, or (it may have been) false and
 * nothing else is known. False also where the file was last written so near to our look that its times can't tell.
 */
void listfile_check(struct listfile *);

#endif
