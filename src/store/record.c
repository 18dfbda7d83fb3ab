#include "store/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void
put_be(struct buf *b, uint64_t v, unsigned bytes)
{
	uint8_t tmp[8];
	unsigned i;

	for (i = 0; i < bytes; i++)
		tmp[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	buf_add(b, tmp, bytes);
}

static uint64_t
get_be(struct reader *r, unsigned bytes)
{
	uint64_t v = 0;

	if (r->left < bytes) {
		r->bad = true;
		r->left = 0;
		return 0;
	}
	r->left -= bytes;
	while (bytes-- > 0)
		v = v << 8 | *r->p++;
	return v;
}

void
put_u8(struct buf *b, uint8_t v)
{
	put_be(b, v, 1);
}

void
put_u16(struct buf *b, uint16_t v)
{
	put_be(b, v, 2);
}

void
put_u32(struct buf *b, uint32_t v)
{
	put_be(b, v, 4);
}

void
put_u64(struct buf *b, uint64_t v)
{
	put_be(b, v, 8);
}

void
put_text(struct buf *b, const char *s)
{
	size_t len = s ? strlen(s) : 0;

	if (s == NULL) {
		put_u16(b, 0xffff);
		return;
	}
	if (len > 0xfffe)
		len = 0xfffe;
	put_u16(b, (uint16_t)len);
	buf_add(b, s, len);
}

uint8_t
get_u8(struct reader *r)
{
	return (uint8_t)get_be(r, 1);
}

uint16_t
get_u16(struct reader *r)
{
	return (uint16_t)get_be(r, 2);
}

uint32_t
get_u32(struct reader *r)
{
	return (uint32_t)get_be(r, 4);
}

uint64_t
get_u64(struct reader *r)
{
	return get_be(r, 8);
}

char *
get_text(struct reader *r)
{
	uint16_t len = get_u16(r);
	char *s;

	if (r->bad || len == 0xffff)
		return NULL;
	if (r->left < len) {
		r->bad = true;
		r->left = 0;
		return NULL;
	}
	s = xstrndup((const char *)r->p, len);
	r->p += len;
	r->left -= len;
	return s;
}

static void
put_place(struct buf *b, const char *service, const struct topo_addr *a)
{
	buf_add(b, service, strlen(service) + 1);
	put_u8(b, a->family);
	if (a->family == 0)
		return;
	buf_add(b, a->ip, a->family == 4 ? 4 : 16);
	put_u16(b, a->port);
}

/* What is behind the family stays in `k` for family 0. */
static bool
get_place(const void *key, size_t klen, char service[64], struct topo_addr *a, struct reader *k)
{
	const char *nul = memchr(key, 0, klen);
	size_t n;

	if (nul == NULL || nul - (const char *)key >= 64)
		return false;
	memcpy(service, key, (size_t)(nul - (const char *)key) + 1);
	*k = (struct reader){ (const uint8_t *)nul + 1, klen - (size_t)(nul + 1 - (const char *)key), false };
	a->family = get_u8(k);
	if (a->family != 4 && a->family != 6)
		return !k->bad && a->family == 0;
	n = a->family == 4 ? 4 : 16;
	if (k->left != n + 2)
		return false;
	memcpy(a->ip, k->p, n);
	k->p += n;
	k->left -= n;
	a->port = get_u16(k);
	return true;
}

void
record_instance_key(struct buf *b, const char *service, const struct topo_instance *i)
{
	uint64_t hash = 14695981039346656037ull; /* FNV-1a: origins can be longer than a key */
	const char *p;

	put_place(b, service, &i->addr);
	if (i->addr.family != 0)
		return;
	for (p = i->origin ? i->origin : ""; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 1099511628211ull;
	put_u64(b, hash);
}

void
record_instance(struct buf *b, const struct topo_instance *i)
{
	put_u8(b, RECORD_INSTANCE_VERSION);
	put_u8(b, (uint8_t)i->state);
	put_u8(b, (uint8_t)i->guard);
	put_u8(b, (uint8_t)i->source);
	put_u16(b, i->weight);
	put_u16(b, i->priority);
	put_u64(b, (uint64_t)i->since_ms);
	put_u64(b, i->generation);
	put_text(b, i->tags);
	put_text(b, i->origin);
	put_u32(b, i->penalty);
	put_u16(b, i->goings);
	put_u64(b, (uint64_t)i->gone_ms);
	put_u64(b, (uint64_t)i->drain_until_ms);
}

int
record_read_instance(const void *key, size_t klen, const void *val, size_t vlen, char service[64],
    struct topo_instance *out)
{
	struct reader k, v = { val, vlen, false };
	struct topo_instance i = { 0 };
	uint8_t version = get_u8(&v);

	if (!get_place(key, klen, service, &i.addr, &k) || (i.addr.family == 0 && k.left != 8))
		return -EBADMSG;
	if (version < 1 || version > RECORD_INSTANCE_VERSION)
		return -EBADMSG;
	i.state = get_u8(&v);
	i.guard = get_u8(&v);
	i.source = get_u8(&v);
	i.weight = get_u16(&v);
	i.priority = get_u16(&v);
	i.since_ms = (int64_t)get_u64(&v);
	i.generation = get_u64(&v);
	i.tags = get_text(&v);
	i.origin = get_text(&v);
	if (version > 1) {
		i.penalty = get_u32(&v);
		i.goings = get_u16(&v);
		i.gone_ms = (int64_t)get_u64(&v);
		i.drain_until_ms = (int64_t)get_u64(&v);
	}
	if (v.bad || v.left > 0 || i.state > TOPO_DRAINING || i.guard > GUARD_TAG || i.source > SOURCE_ADOPTED) {
		topo_instance_clear(&i);
		return -EBADMSG;
	}
	*out = i;
	return 0;
}

void
record_service(struct buf *b, const struct store_service *s)
{
	put_u8(b, RECORD_VERSION);
	put_u8(b, (uint8_t)((s->known ? 1 : 0) | (s->frozen ? 2 : 0)));
	put_u32(b, s->peak);
}

int
record_read_service(const void *val, size_t vlen, struct store_service *out)
{
	struct reader r = { val, vlen, false };
	struct store_service s;
	uint8_t flags;

	if (get_u8(&r) != RECORD_VERSION)
		return -EBADMSG;
	flags = get_u8(&r);
	s.known = flags & 1;
	s.frozen = flags & 2;
	s.peak = get_u32(&r);
	if (r.bad)
		return -EBADMSG;
	*out = s;
	return 0;
}

void
record_drain_key(struct buf *b, const char *service, const struct topo_addr *a)
{
	put_place(b, service, a);
}

void
record_drain(struct buf *b, const struct store_drain *d)
{
	put_u8(b, RECORD_VERSION);
	put_u64(b, (uint64_t)d->since_ms);
	put_u64(b, (uint64_t)d->until_ms);
	put_text(b, d->who);
}

int
record_read_drain(const void *key, size_t klen, const void *val, size_t vlen, char service[64],
    struct topo_addr *addr, struct store_drain *out)
{
	struct reader k, r = { val, vlen, false };
	struct topo_addr a = { 0 };
	struct store_drain d;

	if (!get_place(key, klen, service, &a, &k) || a.family == 0 || get_u8(&r) != RECORD_VERSION)
		return -EBADMSG;
	d.since_ms = (int64_t)get_u64(&r);
	d.until_ms = (int64_t)get_u64(&r);
	d.who = get_text(&r);
	if (r.bad || r.left > 0) {
		free(d.who);
		return -EBADMSG;
	}
	*addr = a;
	*out = d;
	return 0;
}

bool
record_registration_key(struct buf *b, const char *id)
{
	size_t len = strlen(id);

	if (len == 0 || len > RECORD_KEY_MAX)
		return false;
	buf_add(b, id, len);
	return true;
}

void
record_registration(struct buf *b, const struct store_registration *reg)
{
	put_u8(b, RECORD_VERSION);
	put_u8(b, reg->maintenance ? 1 : 0);
	put_u64(b, (uint64_t)reg->since_ms);
	put_u64(b, (uint64_t)reg->maintenance_ms);
	put_text(b, reg->reason);
	put_text(b, reg->who);
	put_text(b, reg->off);
}

void
record_registration_clear(struct store_registration *reg)
{
	free(reg->reason);
	free(reg->who);
	free(reg->off);
	memset(reg, 0, sizeof *reg);
}

int
record_read_registration(const void *key, size_t klen, const void *val, size_t vlen, char **id,
    struct store_registration *out)
{
	struct reader r = { val, vlen, false };
	struct store_registration reg;
	uint8_t flags;

	if (klen == 0 || memchr(key, 0, klen) != NULL || get_u8(&r) != RECORD_VERSION)
		return -EBADMSG;
	flags = get_u8(&r);
	reg.maintenance = flags & 1;
	reg.since_ms = (int64_t)get_u64(&r);
	reg.maintenance_ms = (int64_t)get_u64(&r);
	reg.reason = get_text(&r);
	reg.who = get_text(&r);
	reg.off = get_text(&r);
	if (r.bad || r.left > 0 || flags > 1) {
		record_registration_clear(&reg);
		return -EBADMSG;
	}
	*id = xstrndup(key, klen);
	*out = reg;
	return 0;
}

void
record_history_key(struct buf *b, uint64_t generation, const char *target)
{
	put_u64(b, generation);
	put_u8(b, target ? 1 : 0);
	if (target != NULL)
		buf_puts(b, target);
}
