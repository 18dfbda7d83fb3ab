/*
 * verify: whether LMDB may be let near a data file. LMDB trusts what it reads: a page that a disk damaged makes it
 * read and write anywhere, at every start again. This walks all pages that the newest transaction
 * reaches, and believes none of them.
 */
#ifndef STORE_VERIFY_H
#define STORE_VERIFY_H

#include "base/mem.h"

/* 0: sound, missing, or empty (LMDB makes a new one of it); -EBADMSG: damaged, *why says how; else it can't be read. */
MUST_USE int store_verify(const char *path, const char **why);

#endif
