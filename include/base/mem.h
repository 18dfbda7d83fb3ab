/*
 * mem: allocation. Small allocations of fixed size abort when memory is out (systemd restarts us,
 * LMDB has the state). What a peer sizes is capped first by its caller and asked with plain malloc().
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define NELEM(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

/*
 * Large blocks go back to the system when they are freed, whatever was freed before: lists of thousands come and go. Once,
 * at the start of a daemon.
 */
void mem_init(void);
void mem_trim(void); /* what was freed below what stays goes back too; takes milliseconds: not on the loop */
/*
 * Code that only the start needed is no longer counted as ours: it stays in the system's cache, and what is needed again is mapped again,
 * 64 kB at a time. OpenSSL's alone is 4 MB.
 */
void mem_forget_code(void);

void *xcalloc(size_t n, size_t size);
void *xrealloc(void *ptr, size_t n, size_t size);
char *xstrdup(const char *);       /* NULL gives NULL */
char *xstrndup(const char *, size_t n);
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);

/* Grows `*arr` of `size`-byte elements so that index `n` exists; `*cap` is kept by us. */
void *xgrow(void *arr, size_t n, size_t *cap, size_t size);

#endif
