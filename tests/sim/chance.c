/*
 * chance: random numbers that a seed repeats, and the count of what they brought about.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sim.h"

struct disturbed disturbed;

static uint64_t state;

void
chance_begin(void)
{
	const char *text = getenv("SIM_SEED");
	uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);

	printf("seed %llu (SIM_SEED=%llu repeats it)\n", (unsigned long long)seed, (unsigned long long)seed);
	state = seed * 2654435761u + 1;
	clock_set_jitter(state);
	disturbed.n = 0;
}

unsigned
chance(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 16) % n);
}

void
disturb(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	trace("chaos: %s", text);
	disturbed.n++;
	disturbed.last_us = clock_now_us();
}
