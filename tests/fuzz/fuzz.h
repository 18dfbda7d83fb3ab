/*
 * fuzz: what the targets have in common.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void
must(bool ok)
{
	if (!ok)
		abort();
}

/* That Kamailio reads in pieces. */
static inline bool
has_long_line(const char *text, size_t len)
{
	size_t run = 0;

	for (size_t i = 0; i < len; i++) {
		run = text[i] == '\n' ? 0 : run + 1;
		if (run > 1000)
			return true;
	}
	return false;
}

#endif
