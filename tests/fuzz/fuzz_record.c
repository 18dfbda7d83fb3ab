/*
 * Any bytes as a key and a value of the store: what can be read is written again and read the same.
 * The first byte is the key's length.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "store/record.h"

static void
instance(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen)
{
	struct topo_instance a, b;
	struct buf k = { 0 }, v = { 0 };
	char service[64], again[64];
	int rc = record_read_instance(key, klen, val, vlen, service, &a);

	must(rc == 0 || rc == -EBADMSG);
	if (rc != 0)
		return;
	must(memchr(service, '\0', sizeof service) != NULL);
	must(topo_state_name(a.state) != NULL && topo_guard_name(a.guard) != NULL &&
	     topo_source_name(a.source) != NULL);
	record_instance_key(&k, service, &a);
	record_instance(&v, &a);
	/* texts end at a NUL that a foreign record may hold; of a host name the key is a hash,
	 * which is not checked */
	/* a record of an older version grows */
	must((v.len <= vlen || val[0] < RECORD_INSTANCE_VERSION) && k.len == klen && k.len <= RECORD_KEY_MAX);
	must(a.addr.family == 0 || memcmp(k.s, key, klen) == 0);
	must(record_read_instance(k.s, k.len, v.s, v.len, again, &b) == 0);
	must(strcmp(service, again) == 0 && topo_addr_cmp(&a.addr, &b.addr) == 0);
	must(!topo_instance_differs(&a, &b) && a.source == b.source && a.since_ms == b.since_ms &&
	     a.generation == b.generation);
	topo_instance_clear(&a);
	topo_instance_clear(&b);
	buf_free(&k);
	buf_free(&v);
}

static void
service(const uint8_t *val, size_t vlen)
{
	struct store_service a, b;
	struct buf v = { 0 };
	int rc = record_read_service(val, vlen, &a);

	must(rc == 0 || rc == -EBADMSG);
	if (rc != 0)
		return;
	record_service(&v, &a);
	must(record_read_service(v.s, v.len, &b) == 0);
	must(a.known == b.known && a.frozen == b.frozen && a.peak == b.peak);
	buf_free(&v);
}

static void
same(const char *a, const char *b)
{
	must((a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0));
}

static void
registration(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen)
{
	struct store_registration a, b;
	struct buf k = { 0 }, v = { 0 };
	char *id, *again;
	int rc = record_read_registration(key, klen, val, vlen, &id, &a);

	must(rc == 0 || rc == -EBADMSG);
	if (rc != 0)
		return;
	must(strlen(id) == klen && memcmp(id, key, klen) == 0);
	must(record_registration_key(&k, id) && k.len == klen && memcmp(k.s, key, klen) == 0);
	record_registration(&v, &a);
	must(v.len <= vlen); /* texts end at a NUL that a foreign record may hold */
	must(record_read_registration(k.s, k.len, v.s, v.len, &again, &b) == 0);
	must(strcmp(id, again) == 0 && a.maintenance == b.maintenance && a.since_ms == b.since_ms &&
	     a.maintenance_ms == b.maintenance_ms);
	same(a.reason, b.reason);
	same(a.who, b.who);
	same(a.off, b.off);
	free(id);
	free(again);
	record_registration_clear(&a);
	record_registration_clear(&b);
	buf_free(&k);
	buf_free(&v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t klen;

	if (size == 0)
		return 0;
	klen = data[0] < size ? data[0] : size - 1;
	instance(data + 1, klen, data + 1 + klen, size - 1 - klen);
	service(data + 1, size - 1);
	registration(data + 1, klen, data + 1 + klen, size - 1 - klen);
	return 0;
}
