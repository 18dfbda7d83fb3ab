#include "consul/blocking.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PACE_MS 500 /* between two queries in the long run */
#define PACE_AT_ONCE 20
#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 15000
#define DOUBLINGS_MAX 16

int64_t
blocking_ask(struct blocking *b, int64_t now_ms, int64_t wait_ms)
{
	b->wait_ms = b->index > 0 && !b->doubtful ? wait_ms : 0;
	b->asked_ms = now_ms;
	b->paid_ms = (b->paid_ms > now_ms ? b->paid_ms : now_ms) + PACE_MS;
	return b->wait_ms;
}

void
blocking_arrived(struct blocking *b, int64_t now_ms)
{
	b->took_ms = now_ms - b->asked_ms;
}

bool
blocking_is_early(const struct blocking *b, uint64_t index)
{
	return b->wait_ms > 0 && index == b->index && b->took_ms < b->wait_ms / 2;
}

bool
blocking_take(struct blocking *b, uint64_t index)
{
	bool moved = index != b->index;

	b->doubtful = false;
	/* Backwards: another cluster, or an older state of this one. */
	b->index = index < b->index ? 0 : index;
	return moved;
}

void
blocking_note_leader(struct blocking *b, int64_t wall_ms, int status, const char *known_leader, const char *body)
{
	bool answered = status == 200 || status == 404, lost;

	if (answered)
		lost = known_leader != NULL && strcasecmp(known_leader, "false") == 0;
	else
		lost = body != NULL && strstr(body, "No cluster leader") != NULL;
	if (answered ? b->wait_ms > 0 : !lost)
		return;
	if (!lost)
		b->no_leader_ms = 0;
	else if (b->no_leader_ms == 0)
		b->no_leader_ms = wall_ms;
}

int64_t
blocking_pace_ms(const struct blocking *b, int64_t now_ms)
{
	int64_t delay = b->paid_ms - (PACE_AT_ONCE - 1) * PACE_MS - now_ms;

	return delay > 0 ? delay : 0;
}

int64_t
blocking_fail(struct blocking *b)
{
	unsigned doublings = b->failures < DOUBLINGS_MAX ? b->failures : DOUBLINGS_MAX;
	int64_t delay = (int64_t)BACKOFF_MIN_MS << doublings;

	b->failures++;
	b->doubtful = true;
	return delay < BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS;
}

int
blocking_parse_index(const char *text, uint64_t *out)
{
	unsigned long long v;
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || v == 0)
		return -EINVAL;
	*out = v;
	return 0;
}
