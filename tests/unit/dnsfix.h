/*
 * dnsfix: builds DNS messages byte by byte, right ones and wrong ones, for the tests of the parser
 * and of the resolver. Nothing is checked here: a test says what it wants on the wire.
 */
#ifndef TESTS_UNIT_DNSFIX_H
#define TESTS_UNIT_DNSFIX_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIX_MAX 70000
#define FIX_QUESTION 12 /* offset of the question's name */
#define FIX_RESPONSE 0x8580 /* QR AA RD RA, as Consul sets them */

struct fix {
	size_t n;
	uint8_t b[FIX_MAX];
};

static inline void
fix_u8(struct fix *f, unsigned v)
{
	if (f->n >= FIX_MAX)
		abort();
	f->b[f->n++] = (uint8_t)v;
}

static inline void
fix_u16(struct fix *f, unsigned v)
{
	fix_u8(f, v >> 8 & 0xff);
	fix_u8(f, v & 0xff);
}

static inline void
fix_u32(struct fix *f, uint32_t v)
{
	fix_u16(f, v >> 16);
	fix_u16(f, v & 0xffff);
}

static inline void
fix_bytes(struct fix *f, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fix_u8(f, ((const uint8_t *)data)[i]);
}

static inline void
fix_set_u16(struct fix *f, size_t at, unsigned v)
{
	f->b[at] = (uint8_t)(v >> 8);
	f->b[at + 1] = (uint8_t)v;
}

/* The labels of a dotted name without the root that ends it. */
static inline void
fix_labels(struct fix *f, const char *name)
{
	while (*name != '\0') {
		size_t len = strcspn(name, ".");

		fix_u8(f, (unsigned)len);
		fix_bytes(f, name, len);
		name += len + (name[len] == '.');
	}
}

static inline void
fix_name(struct fix *f, const char *name)
{
	fix_labels(f, name);
	fix_u8(f, 0);
}

static inline void
fix_ptr(struct fix *f, size_t to)
{
	fix_u16(f, 0xc000 | (unsigned)to);
}

/* Header and question; the counts are set by fix_counts() when the records are there. */
static inline void
fix_begin(struct fix *f, unsigned id, unsigned flags, const char *qname, unsigned qtype)
{
	f->n = 0;
	fix_u16(f, id);
	fix_u16(f, flags);
	fix_u16(f, 1);
	fix_u16(f, 0);
	fix_u16(f, 0);
	fix_u16(f, 0);
	fix_name(f, qname);
	fix_u16(f, qtype);
	fix_u16(f, 1);
}

static inline void
fix_counts(struct fix *f, unsigned answer, unsigned authority, unsigned additional)
{
	fix_set_u16(f, 6, answer);
	fix_set_u16(f, 8, authority);
	fix_set_u16(f, 10, additional);
}

/* What follows the owner; returns the offset of RDLENGTH for fix_end(). */
static inline size_t
fix_type(struct fix *f, unsigned type, unsigned class, uint32_t ttl)
{
	fix_u16(f, type);
	fix_u16(f, class);
	fix_u32(f, ttl);
	fix_u16(f, 0);
	return f->n - 2;
}

static inline void
fix_end(struct fix *f, size_t rdlength)
{
	fix_set_u16(f, rdlength, (unsigned)(f->n - rdlength - 2));
}

/* Owner: the question. Returns the offset of the target, for pointers. */
static inline size_t
fix_srv(struct fix *f, uint32_t ttl, unsigned weight, unsigned port, const char *target)
{
	size_t len, at;

	fix_ptr(f, FIX_QUESTION);
	len = fix_type(f, 33, 1, ttl);
	fix_u16(f, 1);
	fix_u16(f, weight);
	fix_u16(f, port);
	at = f->n;
	fix_name(f, target);
	fix_end(f, len);
	return at;
}

static inline void
fix_a(struct fix *f, size_t owner, uint32_t ip)
{
	size_t len;

	fix_ptr(f, owner);
	len = fix_type(f, 1, 1, 0);
	fix_u32(f, ip);
	fix_end(f, len);
}

static inline void
fix_aaaa(struct fix *f, size_t owner, const uint8_t ip[16])
{
	size_t len;

	fix_ptr(f, owner);
	len = fix_type(f, 28, 1, 0);
	fix_bytes(f, ip, 16);
	fix_end(f, len);
}

static inline void
fix_txt(struct fix *f, size_t owner, const char *text)
{
	size_t len;

	fix_ptr(f, owner);
	len = fix_type(f, 16, 1, 0);
	fix_u8(f, (unsigned)strlen(text));
	fix_bytes(f, text, strlen(text));
	fix_end(f, len);
}

static inline void
fix_soa(struct fix *f)
{
	size_t len;

	fix_name(f, "consul");
	len = fix_type(f, 6, 1, 0);
	fix_name(f, "ns.consul");
	fix_name(f, "hostmaster.consul");
	for (int i = 0; i < 5; i++)
		fix_u32(f, 600);
	fix_end(f, len);
}

/* "router" with `n` instances 10.0.x.y:5060, each with its A record: what Consul sends at most by
 * TCP. */
static inline void
fix_many(struct fix *f, unsigned n)
{
	fix_begin(f, 1, FIX_RESPONSE, "router.service.consul", 33);
	for (unsigned i = 0; i < n; i++) {
		size_t len;

		fix_ptr(f, FIX_QUESTION);
		len = fix_type(f, 33, 1, 0);
		fix_u16(f, 1);
		fix_u16(f, 1);
		fix_u16(f, 5060);
		fix_u8(f, 8);
		for (int shift = 28; shift >= 0; shift -= 4)
			fix_u8(f, (unsigned)"0123456789abcdef"[(0x0a000000u + i) >> shift & 15]);
		fix_labels(f, "addr.dc1.consul");
		fix_u8(f, 0);
		fix_end(f, len);
	}
	for (unsigned i = 0; i < n; i++)
		fix_a(f, FIX_QUESTION, 0x7f000001);
	fix_counts(f, n, 0, n);
}

#endif
