/*
 * dnsmsg: two walks over the same bytes: the first proves every record and counts what is kept, the
 * second copies into arrays of exactly that size. Header counts are never trusted with memory.
 */
#include "discovery/dnsmsg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADER_SIZE 12
#define MESSAGE_MAX 65535 /* what the length prefix of DNS over TCP can say */
#define NAME_WIRE_MAX 255 /* RFC 1035, 2.3.4 */
#define LABEL_MAX 63
#define JUMPS_MAX 127 /* a name of 255 bytes has at most 127 labels, a pointer after each */
#define CLASS_IN 1
#define FLAGS_QR 0x8000
#define FLAGS_OPCODE 0x7800
#define FLAGS_TC 0x0200
#define FLAGS_RCODE 0x000f

/*
 * More than a service may have: from 900 SRV on an answer only adds (DESIGN, "Evidence"), so that
 * what is dropped here above the caps is never taken for absence.
 */
#define SRV_MAX 1500
#define ADDR_MAX 6000

enum section { SECTION_ANSWER, SECTION_AUTHORITY, SECTION_ADDITIONAL };

struct walk { /* on the stack of dnsmsg_parse() */
	const uint8_t *msg;
	size_t len;
	size_t pos;
	size_t n_srv;
	size_t n_addr;
	struct dns_msg *keep; /* NULL while counting */
};

struct record {
	char owner[DNS_NAME_TEXT];
	bool owner_clean; /* nothing but what a host name may hold */
	uint16_t type;
	uint16_t class;
	uint32_t ttl;
	size_t end; /* of its RDATA */
};

static bool
get_u16(struct walk *w, uint16_t *out)
{
	if (w->len - w->pos < 2)
		return false;
	*out = (uint16_t)(w->msg[w->pos] << 8 | w->msg[w->pos + 1]);
	w->pos += 2;
	return true;
}

static bool
get_u32(struct walk *w, uint32_t *out)
{
	uint16_t hi, lo;

	if (!get_u16(w, &hi) || !get_u16(w, &lo))
		return false;
	*out = (uint32_t)hi << 16 | lo;
	return true;
}

/* One byte of a label in lower case, or NUL when a host name may not hold it. */
static char
name_byte(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
		return (char)c;
	return '\0';
}

/*
 * Decodes the name at w->pos and moves behind it. A pointer must lead before the run of labels that
 * it ends: every jump goes strictly backwards, so there are no loops, and the limit bounds the
 * work. Bytes that no host name has clear *clean and become '?': the caller knows whether it keeps
 * the name.
 */
static bool
get_name(struct walk *w, char out[DNS_NAME_TEXT], bool *clean)
{
	size_t pos = w->pos, run = w->pos, end = 0, n = 0, wire = 1;
	unsigned jumps = 0;

	*clean = true;
	for (;;) {
		uint8_t head;

		if (pos >= w->len)
			return false;
		head = w->msg[pos++];
		if (head == 0)
			break;
		if ((head & 0xc0) == 0xc0) {
			size_t to;

			if (pos >= w->len)
				return false;
			to = (size_t)(head & 0x3f) << 8 | w->msg[pos++];
			if (to < HEADER_SIZE || to >= run || ++jumps > JUMPS_MAX)
				return false;
			if (end == 0)
				end = pos;
			pos = run = to;
			continue;
		}
		if (head > LABEL_MAX || head > w->len - pos) /* 0x40 and 0x80 are not label types */
			return false;
		wire += 1u + head;
		if (wire > NAME_WIRE_MAX)
			return false;
		if (n > 0)
			out[n++] = '.';
		for (; head > 0; head--) {
			char c = name_byte(w->msg[pos++]);

			*clean = *clean && c != '\0';
			out[n++] = c != '\0' ? c : '?';
		}
	}
	out[n] = '\0';
	w->pos = end != 0 ? end : pos;
	return true;
}

static int
walk_srv(struct walk *w, const struct record *rr)
{
	struct dns_srv srv = { .ttl = rr->ttl };
	bool clean;

	if (!get_u16(w, &srv.priority) || !get_u16(w, &srv.weight) || !get_u16(w, &srv.port))
		return -EBADMSG;
	/* The root as target (RFC 2782: "not available here") is nothing that Consul says. */
	if (!get_name(w, srv.target, &clean) || !clean || srv.target[0] == '\0')
		return -EBADMSG;
	if (w->pos != rr->end)
		return -EBADMSG;
	if (w->n_srv == SRV_MAX)
		return 0;
	if (w->keep != NULL) {
		if (w->n_srv == 0 || srv.ttl < w->keep->ttl_min)
			w->keep->ttl_min = srv.ttl;
		w->keep->srv[w->n_srv] = srv;
	}
	w->n_srv++;
	return 0;
}

static int
walk_addr(struct walk *w, const struct record *rr)
{
	size_t size = rr->type == DNS_TYPE_A ? 4 : 16;

	if (rr->end - w->pos != size || !rr->owner_clean || rr->owner[0] == '\0')
		return -EBADMSG;
	if (w->n_addr < ADDR_MAX) {
		if (w->keep != NULL) {
			struct dns_addr *a = &w->keep->addr[w->n_addr];

			memset(a, 0, sizeof *a);
			memcpy(a->owner, rr->owner, sizeof a->owner);
			a->ttl = rr->ttl;
			a->addr.family = rr->type == DNS_TYPE_A ? 4 : 6;
			memcpy(a->addr.ip, w->msg + w->pos, size);
		}
		w->n_addr++;
	}
	w->pos = rr->end;
	return 0;
}

static int
walk_record(struct walk *w, enum section section)
{
	struct record rr;
	uint16_t rdlength;

	if (!get_name(w, rr.owner, &rr.owner_clean) || !get_u16(w, &rr.type) ||
	    !get_u16(w, &rr.class) || !get_u32(w, &rr.ttl) || !get_u16(w, &rdlength))
		return -EBADMSG;
	if (rdlength > w->len - w->pos)
		return -EBADMSG;
	rr.end = w->pos + rdlength;
	if (rr.ttl > INT32_MAX) /* RFC 2181, 8 */
		rr.ttl = 0;
	if (rr.class == CLASS_IN && rr.type == DNS_TYPE_SRV && section == SECTION_ANSWER)
		return walk_srv(w, &rr);
	if (rr.class == CLASS_IN && (rr.type == DNS_TYPE_A || rr.type == DNS_TYPE_AAAA) &&
	    section != SECTION_AUTHORITY)
		return walk_addr(w, &rr);
	/* TXT (node meta), SOA, OPT, CNAME: an odd node name in there must not cost us the answer.
	 */
	w->pos = rr.end;
	return 0;
}

static int
walk_records(struct walk *w, const uint16_t counts[3])
{
	for (int section = SECTION_ANSWER; section <= SECTION_ADDITIONAL; section++) {
		for (unsigned i = 0; i < counts[section]; i++) {
			int rc = walk_record(w, (enum section)section);

			if (rc != 0)
				return rc;
		}
	}
	/*
	 * Bytes after the last announced record: the TCP length prefix and the counts disagree, so
	 * one of them lies and the list may be short of records. Worth nothing.
	 */
	return w->pos == w->len ? 0 : -EBADMSG;
}

static int
walk_header(struct walk *w, struct dns_msg *out, uint16_t counts[3])
{
	uint16_t id, flags, questions, class;
	bool clean;

	if (!get_u16(w, &id) || !get_u16(w, &flags) || !get_u16(w, &questions) ||
	    !get_u16(w, &counts[0]) || !get_u16(w, &counts[1]) || !get_u16(w, &counts[2]))
		return -EBADMSG;
	if ((flags & FLAGS_QR) == 0 || (flags & FLAGS_OPCODE) != 0 || questions != 1)
		return -EBADMSG;
	if (!get_name(w, out->qname, &clean) || !clean || !get_u16(w, &out->qtype) ||
	    !get_u16(w, &class) || class != CLASS_IN)
		return -EBADMSG;
	out->rcode = flags & FLAGS_RCODE;
	out->truncated = (flags & FLAGS_TC) != 0;
	return 0;
}

static int
keep_alloc(struct dns_msg *out, size_t n_srv, size_t n_addr)
{
	if (n_srv > 0 && (out->srv = calloc(n_srv, sizeof *out->srv)) == NULL)
		return -ENOMEM;
	if (n_addr > 0 && (out->addr = calloc(n_addr, sizeof *out->addr)) == NULL)
		return -ENOMEM;
	return 0;
}

/* By owner, so that the join of hundreds of SRV rows with their addresses is no square. */
static int
addr_cmp(const void *a, const void *b)
{
	const struct dns_addr *x = a, *y = b;
	int c = strcmp(x->owner, y->owner);

	return c != 0 ? c : topo_addr_cmp(&x->addr, &y->addr);
}

int
dnsmsg_parse(const uint8_t *msg, size_t len, struct dns_msg *out)
{
	struct walk w = { .msg = msg, .len = len };
	struct dns_msg m = { .size_bytes = len };
	uint16_t counts[3];
	size_t records;
	int rc;

	if (len > MESSAGE_MAX)
		return -EBADMSG;
	rc = walk_header(&w, &m, counts);
	if (rc != 0)
		return rc;
	records = w.pos;
	rc = walk_records(&w, counts);
	if (rc != 0)
		return rc;
	rc = keep_alloc(&m, w.n_srv, w.n_addr);
	if (rc == 0) {
		w = (struct walk){ .msg = msg, .len = len, .pos = records, .keep = &m };
		rc = walk_records(&w, counts);
	}
	if (rc != 0) {
		dnsmsg_clear(&m);
		return rc;
	}
	m.n_srv = w.n_srv;
	m.n_addr = w.n_addr;
	if (m.n_addr > 1)
		qsort(m.addr, m.n_addr, sizeof *m.addr, addr_cmp);
	*out = m;
	return 0;
}

void
dnsmsg_clear(struct dns_msg *m)
{
	free(m->srv);
	free(m->addr);
	memset(m, 0, sizeof *m);
}

/* Length without the trailing dot that callers may write and the decoder never does. */
static size_t
name_len(const char *given)
{
	size_t n = strlen(given);

	return n > 0 && given[n - 1] == '.' ? n - 1 : n;
}

static bool
same_name(const char *decoded, const char *given, size_t len)
{
	return strncasecmp(decoded, given, len) == 0 && decoded[len] == '\0';
}

bool
dnsmsg_is_reply_to(const struct dns_msg *m, const char *name, uint16_t type)
{
	return m->qtype == type && same_name(m->qname, name, name_len(name));
}

/* The service in "router.service...", "tag.router.service..." or "_router._tag.service...". */
static const char *
service_label(const char *name, size_t *len)
{
	const char *at = strstr(name, ".service."), *first;

	if (at == NULL)
		return NULL;
	if (name[0] == '_') {
		first = name + 1;
		*len = strcspn(first, ".");
		return first;
	}
	for (first = at; first > name && first[-1] != '.'; first--)
		;
	*len = (size_t)(at - first);
	return first;
}

bool
dnsmsg_self_target(const struct dns_msg *m)
{
	size_t len = 0;
	const char *service = service_label(m->qname, &len);

	for (size_t i = 0; i < m->n_srv; i++) {
		const char *target = m->srv[i].target;

		if (strcmp(target, m->qname) == 0)
			return true;
		/* Asked without datacenter or by tag, 1.19.0 still answers with the plain full
		 * name. */
		if (service != NULL && strncmp(target, service, len) == 0 &&
		    strncmp(target + len, ".service.", 9) == 0)
			return true;
	}
	return false;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* "0a010203.addr.dc1.consul": Consul writes an IP address of a service into the target's name. */
static bool
decode_addr_name(const char *target, struct topo_addr *out)
{
	size_t digits = strcspn(target, ".");

	if ((digits != 8 && digits != 32) || strncasecmp(target + digits, ".addr.", 6) != 0)
		return false;
	memset(out, 0, sizeof *out);
	out->family = digits == 8 ? 4 : 6;
	for (size_t i = 0; i < digits; i += 2) {
		int hi = hex_digit(target[i]), lo = hex_digit(target[i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out->ip[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static size_t
collect(
    const struct dns_msg *m, const char *target, uint8_t family, struct topo_addr *out, size_t max)
{
	size_t n = 0, len = name_len(target), lo = 0, hi = m->n_addr;

	while (lo < hi) { /* the owner's first record */
		size_t mid = (lo + hi) / 2;
		int c = strncasecmp(m->addr[mid].owner, target, len);

		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < m->n_addr && n < max && strncasecmp(m->addr[lo].owner, target, len) == 0; lo++) {
		if (m->addr[lo].addr.family != family || m->addr[lo].owner[len] != '\0')
			continue;
		if (n == 0 || !topo_addr_same_ip(&out[n - 1], &m->addr[lo].addr))
			out[n++] = m->addr[lo].addr;
	}
	return n;
}

size_t
dnsmsg_addresses(const struct dns_msg *m, const char *target, struct topo_addr *out, size_t max)
{
	struct topo_addr decoded;
	size_t n = collect(m, target, 4, out, max);

	if (n == 0)
		n = collect(m, target, 6, out, max);
	if (n == 0 && max > 0 && decode_addr_name(target, &decoded)) {
		out[0] = decoded;
		n = 1;
	}
	return n;
}
