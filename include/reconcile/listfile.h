/*
 * listfile: the dispatcher list file of one Kamailio, on disk. Every call is a job of the worker: it takes the lock
 * (once), reads the file, keeps what is foreign, writes only when the text differs. The result comes
 * back from the loop and is lent for the call. One job at a time per file.
 */
#ifndef RECONCILE_LISTFILE_H
#define RECONCILE_LISTFILE_H

#include "base/worker.h"
#include "kamailio/dslist.h"

struct listfile;

struct listfile_result {
	int err;                  /* 0, -EWOULDBLOCK (locked by `holder`), or what writing met */
	char error[512];          /* for people: what failed, where, what to do; "" */
	bool written;
	bool locked;              /* we hold the lock */
	struct ds_entries all;    /* what the file holds now, all sets; flag `ours`: within our block */
	bool exists;
	size_t bad;               /* lines that Kamailio would skip */
};

typedef void listfile_cb(void *arg, const struct listfile_result *);

struct listfile *listfile_new(struct worker *, const char *path, listfile_cb *, void *arg);
void listfile_free(struct listfile *); /* NULL is fine; a job under way ends without its callback */
/*
 * Read and parse; `lock`: take the lock first (a failure to is reported, the rest is read all the same), and make
 * an empty file where there is none.
 */
void listfile_load(struct listfile *, bool lock);
/* Make the block hold `ours` (copied) for these sets. Writes nothing without the lock. */
void listfile_store(struct listfile *, const struct ds_set_ref *sets, size_t n_sets, const struct ds_entries *ours);

#endif
