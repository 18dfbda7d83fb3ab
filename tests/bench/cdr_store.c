/*
 * cdr_store: CDRs per second into the store, each durable before its callback, without HTTP: RATE of them a second, COUNT in all, in the directory DIR. Beside
 * it what one fdatasync takes there: a commit needs two, and a CDR waits for the commit that is under way and for its own.
 *
 *   cdr_store RATE COUNT DIR [MAX]      (MAX: routing.cdr.max)
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "routing/cdr.h"

#define SYNCS 200

struct bench {
	struct loop *loop;
	struct loop_timer tick;
	struct cdrs *cdrs;
	int64_t rate, count, sent, done, failed, began_us;
	int64_t *took_us;
};

struct one {
	struct bench *b;
	int64_t began_us;
};

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
print_times(const char *what, int64_t *us, size_t n)
{
	qsort(us, n, sizeof *us, by_value);
	printf("%s: p50 %.2f ms, p99 %.2f ms, most %.2f ms\n", what, (double)us[n / 2] / 1e3, (double)us[n * 99 / 100] / 1e3,
	    (double)us[n - 1] / 1e3);
}

static void
measure_sync(struct loop *loop, const char *dir)
{
	char *path = xasprintf("%s/sync", dir), block[16384] = { 0 };
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), i;
	int64_t us[SYNCS];

	for (i = 0; i < SYNCS && fd >= 0; i++) {
		if (pwrite(fd, block, sizeof block, (off_t)sizeof block * (i % 100)) < 0)
			break;
		us[i] = loop_now_us(loop);
		(void)!fdatasync(fd);
		us[i] = loop_now_us(loop) - us[i];
	}
	if (i == SYNCS)
		print_times("one fdatasync", us, SYNCS);
	if (fd >= 0)
		close(fd);
	(void)unlink(path);
	free(path);
}

static void
wrong(void *arg, const char *path, const char *text)
{
	fprintf(stderr, "%s: %s\n", path, text);
	exit(1);
}

static void
on_stored(void *arg, int err, const struct rt_row *row)
{
	struct one *o = arg;
	struct bench *b = o->b;

	b->took_us[b->done++] = loop_now_us(b->loop) - o->began_us;
	b->failed += err != 0;
	free(o);
	if (b->done == b->count)
		loop_stop(b->loop);
}

static void
send_one(struct bench *b)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:i}", "tenant_uuid", "3f2a7c1e-0000-4000-8000-000000000001", "from_uri",
	    "sip:+33123456789@sbc.example.org:5060", "to_uri", "sip:+33987654321@carrier.example.net", "call_id",
	    "c5f1f0a8-7a1b-4b1e-9b1a-0d2f3c4b5a69@192.0.2.17", "source_ip", "192.0.2.17", "source_port", 5060, "call_start",
	    "2026-11-21T03:40:00", "duration", (int)(b->sent % 600));
	struct one *one = xcalloc(1, sizeof *one);
	struct rt_row *row;

	one->b = b;
	one->began_us = loop_now_us(b->loop);
	if (rt_row_parse(&row, RT_CDRS, o, NULL, RT_ROW_NO_ID, "", wrong, NULL) != 0)
		exit(1);
	json_decref(o);
	if (cdrs_add(b->cdrs, row, on_stored, one) != 0)
		on_stored(one, -1, NULL);
	rt_row_unref(row);
	b->sent++;
}

static void
on_tick(void *arg)
{
	struct bench *b = arg;
	int64_t due = (loop_now_us(b->loop) - b->began_us) * b->rate / 1000000;

	while (b->sent < due && b->sent < b->count)
		send_one(b);
	if (b->sent < b->count)
		loop_timer_start(&b->tick, 1);
}

int
main(int argc, char **argv)
{
	struct conf conf = { .cdr_keep_ms = (int64_t)90 * 86400000, .cdr_max = argc > 4 ? atoll(argv[4]) : 1000000 };
	struct store_conf store_conf = { .dir = argc > 3 ? argv[3] : "", .machine_id = "", .size_bytes = 1 << 30, .keep_ms = 1000, .keep_max = 10 };
	struct bench b = { .rate = argc > 3 ? atoll(argv[1]) : 0, .count = argc > 3 ? atoll(argv[2]) : 0 };
	struct worker *worker;
	struct store *store;
	struct store_view v;
	pid_t holder;
	int64_t us;

	if (b.rate < 1 || b.count < 1) {
		fprintf(stderr, "usage: cdr_store RATE COUNT DIR [MAX]\n");
		return 2;
	}
	log_init(LOG_L_WARN);
	b.took_us = xcalloc((size_t)b.count, sizeof *b.took_us);
	if (loop_new(&b.loop) != 0 || worker_new(&worker, b.loop) != 0 || store_open(&store, b.loop, worker, &store_conf, &holder) != 0 ||
	    cdrs_new(&b.cdrs, b.loop, worker, store, &conf) != 0)
		return 1;
	measure_sync(b.loop, store_conf.dir);
	loop_timer_init(&b.tick, b.loop, on_tick, &b);
	loop_timer_start(&b.tick, 1);
	b.began_us = loop_now_us(b.loop);
	(void)loop_run(b.loop);
	us = loop_now_us(b.loop) - b.began_us;
	store_view(store, &v);
	printf("%" PRId64 " CDRs in %.2f s: %.0f a second, %" PRIu64 " commits, %" PRId64 " failed; the file has %" PRId64 " MB\n", b.done,
	    (double)us / 1e6, (double)b.done * 1e6 / (double)us, v.commits, b.failed, v.used_bytes >> 20);
	print_times("until it is durable", b.took_us, (size_t)b.done);
	loop_timer_fini(&b.tick);
	cdrs_free(b.cdrs);
	store_flush(store);
	worker_free(worker);
	store_free(store);
	loop_free(b.loop);
	free(b.took_us);
	return b.failed != 0;
}
