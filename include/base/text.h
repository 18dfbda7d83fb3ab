/*
 * text: string building, durations, sizes, times. Pure; no I/O.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

/* Growing text buffer; `s` is always NUL-terminated once anything was added. Zero-initialise. */
struct buf {
	char *s;
	size_t len;
	size_t cap;
};
void buf_add(struct buf *, const void *data, size_t len);
void buf_puts(struct buf *, const char *);
void buf_printf(struct buf *, const char *fmt, ...) PRINTF(2, 3);
char *buf_take(struct buf *); /* the caller frees; never NULL */
void buf_free(struct buf *);

/* "200ms" "15s" "10m" "2h" "90d" -> milliseconds; a bare number is refused except "0". 0 or -EINVAL. */
MUST_USE int text_parse_duration(const char *, int64_t *ms);
void text_format_duration(int64_t ms, char *out, size_t size); /* "1m30s", "200ms", "0s" */
/* "1G" "64M" "4096" -> bytes. 0 or -EINVAL. */
MUST_USE int text_parse_size(const char *, int64_t *bytes);
/* Whole decimal number within min..max. 0, -EINVAL (not a number), -ERANGE. */
MUST_USE int text_parse_int(const char *, int64_t min, int64_t max, int64_t *out);
/* "2026-11-21T03:40:00.123Z" of wall milliseconds; "" for 0. */
void text_format_time(int64_t wall_ms, char out[32]);
/* Lower-case letters, digits, '-' and '_' only, 1..63 bytes: what we take as service or section name. */
bool text_is_name(const char *);
/*
 * Makes it lower case, without the dot at its end. NULL, or what is wrong, as "is not a DNS name: ...": labels of 1 to 63 letters,
 * digits, '-' and '_', 253 bytes in all.
 */
MUST_USE const char *text_make_dns_name(char *);
bool text_is_printable(const char *s, size_t len); /* ASCII 0x21..0x7e */
/* What others sent, for people and logs: each byte that is neither ASCII 0x20..0x7e nor one of `keep` becomes '?'. */
void text_mask(char *s, size_t len, const char *keep);

#endif
