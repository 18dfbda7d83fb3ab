/*
 * fuzz_dnsmsg: any bytes as a DNS answer. What parses must hold what dnsmsg.h promises.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "discovery/dnsmsg.h"

static void
check_name(const char *name)
{
	size_t len = strnlen(name, DNS_NAME_TEXT);

	must(len > 0 && len <= 253);
	must(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len);
	must(name[0] != '.' && name[len - 1] != '.' && strstr(name, "..") == NULL);
}

static void
check_msg(const struct dns_msg *m)
{
	uint32_t ttl_min = m->n_srv > 0 ? UINT32_MAX : 0;
	size_t joined = m->n_srv < 64 ? m->n_srv : 64; /* each scans all addresses */
	struct topo_addr out[8];

	for (size_t i = 0; i < m->n_srv; i++) {
		check_name(m->srv[i].target);
		if (m->srv[i].ttl < ttl_min)
			ttl_min = m->srv[i].ttl;
	}
	must(ttl_min == m->ttl_min && ttl_min <= INT32_MAX);
	for (size_t i = 0; i < m->n_addr; i++) {
		check_name(m->addr[i].owner);
		must(m->addr[i].addr.family == 4 || m->addr[i].addr.family == 6);
		must(m->addr[i].addr.port == 0);
	}
	for (size_t i = 0; i < joined; i++) {
		size_t n = dnsmsg_addresses(m, m->srv[i].target, out, NELEM(out));

		must(n <= NELEM(out));
		for (size_t k = 0; k < n; k++)
			must(out[k].family == out[0].family && out[k].port == 0);
	}
	must(dnsmsg_is_reply_to(m, m->qname, m->qtype));
	must(!dnsmsg_is_reply_to(m, m->qname, (uint16_t)(m->qtype + 1)));
	(void)dnsmsg_self_target(m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_msg m;
	int rc = dnsmsg_parse(data, size, &m);

	if (rc != 0) {
		must(rc == -EBADMSG || rc == -ENOMEM);
		return 0;
	}
	must(m.size_bytes == size);
	check_msg(&m);
	dnsmsg_clear(&m);
	must(m.srv == NULL && m.addr == NULL);
	return 0;
}
