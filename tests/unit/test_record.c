/*
 * record: what is written is read again, whatever is in it; what is short, of another version or
 * not ours is refused.
 */
#include <errno.h>

#include "store/record.h"
#include "store_fx.h"

#define ALLOWED "abcdefghijklmnopqrstuvwxyz0123456789-_"
#define NAME63 ALLOWED "abcdefghijklmnopqrstuvwxy"

static struct topo_addr
addr_of(const char *text)
{
	struct topo_addr a = { 0 };

	if (text != NULL)
		assert_int_equal(topo_addr_parse(text, &a), 0);
	return a;
}

static char *
repeat(char c, size_t n)
{
	char *s = xcalloc(n + 1, 1);

	memset(s, c, n);
	return s;
}

/* From blocks of exactly their size, so that a byte read beyond them is seen. */
static int
read_exact(const void *key, size_t klen, const void *val, size_t vlen, char service[64],
    struct topo_instance *out)
{
	void *k = malloc(klen ? klen : 1), *v = malloc(vlen ? vlen : 1);
	int rc;

	assert_non_null(k);
	assert_non_null(v);
	memcpy(k, key, klen);
	memcpy(v, val, vlen);
	rc = record_read_instance(k, klen, v, vlen, service, out);
	free(k);
	free(v);
	return rc;
}

static void
instances_come_back(void **state)
{
	char *long_origin = repeat('o', 2000);
	const struct {
		const char *service;
		const char *addr;
		struct topo_instance i;
	} rows[] = {
		{ "a", "0.0.0.0:0", { .weight = 0 } },
		{ "router", "10.0.0.1:5060",
		    { .weight = 1,
			.priority = 2,
			.state = TOPO_DISABLED,
			.guard = GUARD_SHRINK,
			.source = SOURCE_ADOPTED,
			.since_ms = 1,
			.generation = 7,
			.tags = (char *)"blue,primary" } },
		{ NAME63, "255.255.255.255:65535",
		    { .weight = 65535,
			.priority = 65535,
			.state = TOPO_DRAINING,
			.guard = GUARD_TAG,
			.source = SOURCE_STORE,
			.since_ms = INT64_MAX,
			.generation = UINT64_MAX,
			.drain_until_ms = INT64_MAX,
			.penalty = UINT32_MAX,
			.goings = UINT16_MAX,
			.gone_ms = INT64_MIN,
			.tags = (char *)"",
			.origin = (char *)"" } },
		{ ALLOWED, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
		    { .state = TOPO_HELD,
			.guard = GUARD_EMPTY,
			.since_ms = INT64_MIN,
			.origin = long_origin } },
		{ "sbc", "[::1]:5061", { .state = TOPO_SUPPRESSED, .guard = GUARD_FLAP, .penalty = 2750, .goings = 3, .gone_ms = 5, .tags = (char *)"x" } },
		{ "named", NULL,
		    { .origin = (char *)"sbc/1 sip:host.example 0 0", .source = SOURCE_ADOPTED } },
		{ "named", NULL, { .origin = long_origin, .source = SOURCE_ADOPTED } },
		{ "named", NULL, { .weight = 0 } },
	};
	size_t r;

	for (r = 0; r < NELEM(rows); r++) {
		struct buf key = { 0 }, val = { 0 };
		struct topo_instance in = rows[r].i, out;
		char service[64];
		size_t n;

		in.addr = addr_of(rows[r].addr);
		record_instance_key(&key, rows[r].service, &in);
		record_instance(&val, &in);
		assert_in_range(key.len, 1, RECORD_KEY_MAX);
		assert_int_equal(read_exact(key.s, key.len, val.s, val.len, service, &out), 0);
		assert_string_equal(service, rows[r].service);
		assert_same_instance(&out, &in);
		topo_instance_clear(&out);
		for (n = 0; n < val.len; n++)
			assert_int_equal(
			    read_exact(key.s, key.len, val.s, n, service, &out), -EBADMSG);
		for (n = 0; n < key.len; n++)
			assert_int_equal(
			    read_exact(key.s, n, val.s, val.len, service, &out), -EBADMSG);
		buf_add(&key, "x", 1);
		assert_int_equal(
		    read_exact(key.s, key.len, val.s, val.len, service, &out), -EBADMSG);
		buf_add(&val, "x", 1);
		assert_int_equal(
		    read_exact(key.s, key.len - 1, val.s, val.len, service, &out), -EBADMSG);
		buf_free(&key);
		buf_free(&val);
	}
	free(long_origin);
}

/* What c4d 0.1.0 wrote: without damping and drains. */
static void
instances_of_version_1_come_back(void **state)
{
	struct topo_instance in = {
		.addr = addr_of("10.0.0.1:5060"), .state = TOPO_HELD, .guard = GUARD_SHRINK, .weight = 7, .tags = (char *)"t"
	}, out;
	struct buf key = { 0 }, val = { 0 };
	char service[64];

	record_instance_key(&key, "router", &in);
	record_instance(&val, &in);
	val.s[0] = 1;
	assert_int_equal(read_exact(key.s, key.len, val.s, val.len - 22, service, &out), 0);
	assert_same_instance(&out, &in);
	topo_instance_clear(&out);
	assert_int_equal(read_exact(key.s, key.len, val.s, val.len, service, &out), -EBADMSG);
	buf_free(&key);
	buf_free(&val);
}

static void
drains_come_back(void **state)
{
	static const char *const places[] = { "10.0.0.1:5060", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" };
	const struct store_drain rows[] = {
		{ 1, 0, (char *)"uid 0" }, { INT64_MAX, INT64_MIN, (char *)"" }, { 0, 5, NULL },
	};
	size_t r, p, n;

	for (r = 0; r < NELEM(rows); r++)
		for (p = 0; p < NELEM(places); p++) {
			struct buf key = { 0 }, val = { 0 };
			struct topo_addr in = addr_of(places[p]), addr;
			struct store_drain d;
			char service[64];

			record_drain_key(&key, ALLOWED, &in);
			record_drain(&val, &rows[r]);
			assert_in_range(key.len + strlen("drain:"), 1, RECORD_KEY_MAX);
			assert_int_equal(record_read_drain(key.s, key.len, val.s, val.len, service, &addr, &d), 0);
			assert_string_equal(service, ALLOWED);
			assert_int_equal(topo_addr_cmp(&addr, &in), 0);
			assert_true(d.since_ms == rows[r].since_ms && d.until_ms == rows[r].until_ms);
			assert_int_equal(d.who == NULL, rows[r].who == NULL);
			if (d.who != NULL)
				assert_string_equal(d.who, rows[r].who);
			free(d.who);
			for (n = 0; n < val.len; n++)
				assert_int_equal(record_read_drain(key.s, key.len, val.s, n, service, &addr, &d), -EBADMSG);
			for (n = 0; n < key.len; n++)
				assert_int_equal(record_read_drain(key.s, n, val.s, val.len, service, &addr, &d), -EBADMSG);
			val.s[0]++;
			assert_int_equal(record_read_drain(key.s, key.len, val.s, val.len, service, &addr, &d), -EBADMSG);
			buf_free(&key);
			buf_free(&val);
		}
}

static void
foreign_instances_are_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
	} rows[] = {
		{ 0, 0 }, { 0, 1 }, { 0, 3 }, { 0, 255 }, /* version */
		{ 1, TOPO_DRAINING + 1 }, { 1, 255 }, { 2, GUARD_TAG + 1 },
		{ 3, SOURCE_ADOPTED + 1 }, { 24, 0xff }, /* the length of the tags */
	};
	struct topo_instance in = { .addr = addr_of("10.0.0.1:5060"),
		.tags = (char *)"t",
		.origin = (char *)"o" },
			     out;
	struct buf key = { 0 }, val = { 0 };
	char service[64];
	size_t r;

	record_instance_key(&key, "router", &in);
	record_instance(&val, &in);
	for (r = 0; r < NELEM(rows); r++) {
		char was = val.s[rows[r].at];

		val.s[rows[r].at] = (char)rows[r].byte;
		assert_int_equal(
		    read_exact(key.s, key.len, val.s, val.len, service, &out), -EBADMSG);
		val.s[rows[r].at] = was;
	}
	key.s[7] = 5; /* a family that is none */
	assert_int_equal(read_exact(key.s, key.len, val.s, val.len, service, &out), -EBADMSG);
	key.s[7] = 4;
	assert_int_equal(read_exact(key.s, key.len, val.s, val.len, service, &out), 0);
	topo_instance_clear(&out);
	buf_free(&key);
	/* a name that is too long, and one without an end */
	memset(&key, 0, sizeof key);
	record_instance_key(&key, NAME63 "x", &in);
	assert_int_equal(read_exact(key.s, key.len, val.s, val.len, service, &out), -EBADMSG);
	assert_int_equal(read_exact("router", 6, val.s, val.len, service, &out), -EBADMSG);
	assert_int_equal(read_exact("", 0, val.s, val.len, service, &out), -EBADMSG);
	buf_free(&key);
	buf_free(&val);
}

static void
keys_tell_instances_apart(void **state)
{
	char *a = repeat('o', 1000), *b = repeat('o', 1000);
	const struct topo_instance rows[] = {
		{ .origin = (char *)"sbc/1 sip:a 0 0" },
		{ .origin = (char *)"sbc/1 sip:b 0 0" },
		{ .origin = a },
		{ .origin = b },
		{ .addr = addr_of("10.0.0.1:5060") },
		{ .addr = addr_of("10.0.0.1:5061") },
		{ .addr = addr_of("10.0.0.2:5060") },
		{ .addr = addr_of("[::a00:1]:5060") },
	};
	size_t i, k;

	b[999] = 'p';
	for (i = 0; i < NELEM(rows); i++)
		for (k = 0; k < NELEM(rows); k++) {
			struct buf x = { 0 }, y = { 0 };

			record_instance_key(&x, "s", &rows[i]);
			record_instance_key(&y, "s", &rows[k]);
			assert_int_equal(x.len == y.len && memcmp(x.s, y.s, x.len) == 0, i == k);
			buf_free(&y);
			memset(&y, 0, sizeof y);
			record_instance_key(&y, "t", &rows[k]);
			assert_false(x.len == y.len && memcmp(x.s, y.s, x.len) == 0);
			buf_free(&x);
			buf_free(&y);
		}
	free(a);
	free(b);
}

static void
texts_keep_null_and_length(void **state)
{
	static const size_t lengths[] = { 0, 1, 255, 256, 0xfffd, 0xfffe, 0xffff, 0x10000, 70000 };
	struct buf b = { 0 };
	struct reader r;
	size_t i;

	put_text(&b, NULL);
	for (i = 0; i < NELEM(lengths); i++) {
		char *s = repeat('t', lengths[i]);

		put_text(&b, s);
		free(s);
	}
	put_u32(&b, 0xdeadbeef);
	r = (struct reader){ (const uint8_t *)b.s, b.len, false };
	assert_null(get_text(&r));
	for (i = 0; i < NELEM(lengths); i++) {
		char *s = get_text(&r);

		assert_non_null(s);
		assert_int_equal(strlen(s), lengths[i] > 0xfffe ? 0xfffe : lengths[i]);
		free(s);
	}
	assert_int_equal(get_u32(&r), 0xdeadbeef);
	assert_false(r.bad);
	/* and failing is sticky */
	assert_int_equal(get_u8(&r), 0);
	assert_true(r.bad);
	assert_int_equal(get_u64(&r), 0);
	assert_null(get_text(&r));
	buf_free(&b);
}

static void
services_come_back(void **state)
{
	static const struct store_service rows[] = {
		{ false, false, 0 },
		{ true, false, 1 },
		{ false, true, 4294967295u },
		{ true, true, 1000 },
	};
	size_t i, n;

	for (i = 0; i < NELEM(rows); i++) {
		struct store_service out = { true, true, 99 };
		struct buf b = { 0 };

		record_service(&b, &rows[i]);
		for (n = 0; n < b.len; n++) {
			uint8_t *exact = malloc(n ? n : 1);

			assert_non_null(exact);
			memcpy(exact, b.s, n);
			assert_int_equal(record_read_service(exact, n, &out), -EBADMSG);
			free(exact);
		}
		assert_int_equal(out.peak, 99);
		assert_int_equal(record_read_service(b.s, b.len, &out), 0);
		assert_int_equal(out.known, rows[i].known);
		assert_int_equal(out.frozen, rows[i].frozen);
		assert_int_equal(out.peak, rows[i].peak);
		b.s[0]++;
		assert_int_equal(record_read_service(b.s, b.len, &out), -EBADMSG);
		buf_free(&b);
	}
}

/* LMDB sorts by bytes: generations in numeric order, a generation's difference before its times. */
static void
history_keys_sort(void **state)
{
	static const struct {
		uint64_t generation;
		const char *target;
	} rows[] = {
		{ 0, NULL },
		{ 0, "sbc/1" },
		{ 1, NULL },
		{ 1, "router/1" },
		{ 1, "sbc/1" },
		{ 2, NULL },
		{ 255, NULL },
		{ 256, NULL },
		{ 256, "z" },
		{ UINT64_MAX, NULL },
	};
	size_t i;

	for (i = 0; i + 1 < NELEM(rows); i++) {
		struct buf a = { 0 }, b = { 0 };
		size_t n;

		record_history_key(&a, rows[i].generation, rows[i].target);
		record_history_key(&b, rows[i + 1].generation, rows[i + 1].target);
		n = a.len < b.len ? a.len : b.len;
		assert_true(memcmp(a.s, b.s, n) < 0 || (memcmp(a.s, b.s, n) == 0 && a.len < b.len));
		buf_free(&a);
		buf_free(&b);
	}
}

/* ---- one change in JSON ---- */

static void
changes_in_json(void **state)
{
	struct topo_instance up = {
		.addr = addr_of("10.0.0.1:5060"), .weight = 5, .priority = 1, .tags = (char *)"blue"
	};
	struct topo_instance held = { .addr = addr_of("10.0.0.1:5060"),
		.weight = 5,
		.priority = 1,
		.state = TOPO_HELD,
		.guard = GUARD_EMPTY };
	struct topo_instance draining = { .addr = addr_of("10.0.0.1:5060"),
		.weight = 5,
		.priority = 1,
		.tags = (char *)"blue",
		.state = TOPO_DRAINING,
		.guard = GUARD_OPERATOR,
		.drain_until_ms = 60000 };
	struct topo_instance named = { .origin = (char *)"sbc/1 sip:h\303\274st 0 0",
		.source = SOURCE_ADOPTED,
		.weight = 1,
		.priority = 1 };
	const struct {
		struct topo_change ch;
		const char *want;
	} rows[] = {
		{ { "router", NULL, &up },
		    "{\"service\":\"router\",\"address\":\"10.0.0.1\",\"port\":5060,\"from\":null,"
		    "\"to\":\"up\",\"weight\":5,\"priority\":1,\"tags\":\"blue\"}" },
		{ { "router", &up, NULL },
		    "{\"service\":\"router\",\"address\":\"10.0.0.1\",\"port\":5060,\"from\":\"up\","
		    "\"to\":null}" },
		{ { "router", &up, &held },
		    "{\"service\":\"router\",\"address\":\"10.0.0.1\",\"port\":5060,\"from\":\"up\","
		    "\"to\":\"held\",\"guard\":\"empty\",\"tags\":\"\"}" },
		{ { "router", &up, &draining },
		    "{\"service\":\"router\",\"address\":\"10.0.0.1\",\"port\":5060,\"from\":\"up\","
		    "\"to\":\"draining\",\"guard\":\"operator\",\"drain_until\":\"1970-01-01T00:01:00.000Z\"}" },
		{ { "router", &draining, &up },
		    "{\"service\":\"router\",\"address\":\"10.0.0.1\",\"port\":5060,\"from\":\"draining\","
		    "\"to\":\"up\",\"drain_until\":null}" },
		{ { "router", NULL, &named },
		    "{\"service\":\"router\",\"address\":\"-\",\"port\":0,\"from\":null,\"to\":\"up\","
		    "\"weight\":1,\"priority\":1,\"line\":\"sbc/1 sip:h??st 0 0\"}" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		json_t *j = store_change_json(&rows[i].ch);
		char *text = json_dumps(j, JSON_COMPACT);

		assert_string_equal(text, rows[i].want);
		free(text);
		json_decref(j);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instances_come_back),
		cmocka_unit_test(instances_of_version_1_come_back),
		cmocka_unit_test(drains_come_back),
		cmocka_unit_test(foreign_instances_are_refused),
		cmocka_unit_test(keys_tell_instances_apart),
		cmocka_unit_test(texts_keep_null_and_length),
		cmocka_unit_test(services_come_back),
		cmocka_unit_test(history_keys_sort),
		cmocka_unit_test(changes_in_json),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
