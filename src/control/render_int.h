/* render_int: what the files that lay out plain output share. */
#ifndef CONTROL_RENDER_INT_H
#define CONTROL_RENDER_INT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"

#define RENDER_WIDTH 80
#define RENDER_TINT 64

FILE *render_out(void);
const char *render_text(const json_t *o, const char *key); /* "" when missing */
int64_t render_num(const json_t *o, const char *key);
void render_age(const char *iso, int64_t now_ms, char *out, size_t size); /* "3m20s" */
void render_ago(const char *iso, int64_t now_ms, char *out, size_t size); /* "3m20s ago", "never" */
/* Long text, indented and wrapped. Returns how many lines it takes; `dry`: only that. */
size_t render_wrapped(const char *s, size_t indent, bool dry);
void render_say(size_t indent, const char *fmt, ...) PRINTF(2, 3);
/* The word in its colour: a state in green, yellow or red. As it is where there is no colour, or none for it. */
const char *render_tint(const char *word, char out[RENDER_TINT]);
enum render_colour { COLOUR_NONE, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED };
/* What turns it on, and with COLOUR_NONE off again; "" where there is no colour. */
const char *render_colour(enum render_colour);
const char *render_out_text(const json_t *o, char *out, size_t size); /* ", 1 suppressed, 2 draining" */

#endif
