/*
 * page.html, as it is, in the program (the assembler takes it in: gcc and clang alike, and no tool of our own), and what a browser
 * is told about it.
 */
#include <string.h>

#include "base/sha256.h"
#include "page_int.h"

__asm__(".pushsection .rodata.page_file,\"a\"\n"
	".globl page_file\n"
	".hidden page_file\n"
	"page_file:\n"
	".incbin \"src/http/page.html\"\n"
	".byte 0\n"
	".popsection\n");

/* " 'sha256-...'" of what stands between the tags, which are there (the test says). */
static void
add_hash(struct buf *b, const char *begin, const char *end)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *from = strstr(page_file, begin) + strlen(begin);
	uint8_t h[SHA256_BYTES + 1] = { 0 };
	size_t i;

	sha256(from, (size_t)(strstr(from, end) - from), h);
	buf_puts(b, " 'sha256-");
	for (i = 0; i < SHA256_BYTES; i += 3) {
		unsigned three = (unsigned)h[i] << 16 | (unsigned)h[i + 1] << 8 | (i + 2 < SHA256_BYTES ? h[i + 2] : 0);

		buf_printf(b, "%c%c%c", digits[three >> 18], digits[three >> 12 & 63], digits[three >> 6 & 63]);
		buf_add(b, i + 2 < SHA256_BYTES ? &digits[three & 63] : "=", 1);
	}
	buf_puts(b, "'");
}

char *
page_policy(void)
{
	struct buf b = { 0 };

	buf_puts(&b, "default-src 'none'; style-src");
	add_hash(&b, "<style>", "</style>");
	buf_puts(&b, "; script-src");
	add_hash(&b, "<script>", "</script>");
	buf_puts(&b, "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
	return buf_take(&b);
}
