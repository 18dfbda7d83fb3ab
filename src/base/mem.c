#include "base/mem.h"

#include <link.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE_BYTES (128 << 10) /* glibc's own value, until it adapts it to what is freed */

void
mem_init(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
}

void
mem_trim(void)
{
	(void)malloc_trim(0);
}

/* What is never written is as it is in the file; of the kernel's own object there is none. */
static int
forget_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	size_t i;

	if (strncmp(info->dlpi_name, "linux-", 6) == 0)
		return 0;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + p->p_vaddr, end = start + p->p_filesz;

		if (p->p_type != PT_LOAD || (p->p_flags & PF_W) != 0)
			continue;
		start -= start % page;
		(void)madvise((void *)start, end - start, MADV_DONTNEED);
	}
	return 0;
}

void
mem_forget_code(void)
{
	(void)dl_iterate_phdr(forget_object, NULL);
}

static void *
check(void *ptr)
{
	if (ptr == NULL) {
		/* No log_*(): it may allocate. */
		static const char msg[] = "<2>c4d: out of memory\n";
		(void)!fwrite(msg, 1, sizeof msg - 1, stderr);
		abort();
	}
	return ptr;
}

void *
xcalloc(size_t n, size_t size)
{
	return check(calloc(n ? n : 1, size ? size : 1));
}

void *
xrealloc(void *ptr, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return check(NULL);
	return check(realloc(ptr, bytes ? bytes : 1));
}

char *
xstrdup(const char *s)
{
	return s == NULL ? NULL : check(strdup(s));
}

char *
xstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = check(malloc(len + 1));

	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return check(s);
}

void *
xgrow(void *arr, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap ? *cap : 8;

	if (n < *cap)
		return arr;
	while (want <= n)
		want *= 2;
	arr = xrealloc(arr, want, size);
	*cap = want;
	return arr;
}
