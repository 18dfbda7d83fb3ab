/*
 * iface: this machine's loopback, the choice among addresses by the kernel's messages as they are, places in texts, and news by a
 * socket that takes netlink's place.
 */
#include "loop_fx.h"

#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <time.h>

#include "registrar/iface.h"

/* ---- system calls that can be made to fail ---- */

static int netlink_errno;      /* 0: netlink is as it is */
static bool fake_news;         /* a socket of ours for netlink's; news[1] is the other end */
static int news[2] = { -1, -1 };
static time_t ahead_s;         /* so much later it is than it is */

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	ts->tv_sec += ahead_s;
	return rc;
}

int
socket(int domain, int type, int protocol)
{
	if (domain == AF_NETLINK && netlink_errno != 0) {
		errno = netlink_errno;
		return -1;
	}
	if (domain == AF_NETLINK && fake_news) {
		assert_int_equal(type, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC);
		assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, news), 0);
		return news[0];
	}
	return (int)syscall(SYS_socket, domain, type, protocol);
}

int
bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	if (fd == news[0]) {
		assert_int_equal(((const struct sockaddr_nl *)addr.__sockaddr__)->nl_groups,
		    RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
		return 0;
	}
	return (int)syscall(SYS_bind, fd, addr.__sockaddr__, len);
}

/* ---- this machine's ---- */

static void
is_address(const char *name, int family, const char *want)
{
	char text[TOPO_ADDR_TEXT];
	struct topo_addr a;

	assert_int_equal(iface_address(name, family, &a), 0);
	topo_addr_format_ip(&a, text);
	assert_string_equal(text, want);
	assert_int_equal(a.port, 0);
}

/* By netlink and without it. */
static void
test_loopback(void **state)
{
	static const int without[] = { 0, EAFNOSUPPORT };
	struct topo_addr a;
	size_t i;

	for (i = 0; i < NELEM(without); i++) {
		netlink_errno = without[i];
		is_address("lo", 4, "127.0.0.1");
		is_address("lo", 6, "::1");
		assert_int_equal(iface_address("nosuch0", 4, &a), -ENODEV);
		assert_int_equal(iface_address("", 6, &a), -ENODEV);
		assert_int_equal(iface_address("a-name-that-is-longer-than-any", 4, &a), -ENODEV);
		assert_int_equal(iface_address("lo:nosuch", 4, &a), -EADDRNOTAVAIL);
	}
	netlink_errno = 0;
}

static void
test_expand(void **state)
{
	static const struct {
		const char *text, *want;
	} good[] = {
		{ "{ip:lo}", "127.0.0.1" },
		{ "{ip6:lo}", "::1" },
		{ "{ip:lo}:9600", "127.0.0.1:9600" },
		{ "{ip6:lo}:9600", "[::1]:9600" },
		{ "sip:{ip:lo}:5060;x={ip6:lo}", "sip:127.0.0.1:5060;x=::1" },
		{ "10.0.0.1", "10.0.0.1" },
		{ "sbc.example", "sbc.example" },
		{ "{address}:{port} {ip {", "{address}:{port} {ip {" },
		{ "", "" },
	};
	static const struct {
		const char *text;
		int err;
		const char *why;
	} bad[] = {
		{ "{ip:nosuch0}", -ENODEV, "there is no interface nosuch0" },
		{ "{ip6:nosuch0}:1", -ENODEV, "there is no interface nosuch0" },
		{ "{ip:lo:nosuch}", -EADDRNOTAVAIL, "lo:nosuch has no IPv4 address that others could use" },
		{ "{ip:lo", -EINVAL, "{ip:INTERFACE}" },
		{ "{ip:}", -EINVAL, "{ip:INTERFACE}" },
		{ "{ip:lo} 0123456789012345678901234567890123456789", -EINVAL, "too long" },
	};
	char out[48], why[256];
	size_t i;

	for (i = 0; i < NELEM(good); i++) {
		assert_int_equal(iface_expand(good[i].text, out, sizeof out, why, sizeof why), 0);
		assert_string_equal(out, good[i].want);
	}
	for (i = 0; i < NELEM(bad); i++) {
		assert_int_equal(iface_expand(bad[i].text, out, sizeof out, why, sizeof why), bad[i].err);
		ASSERT_SAYS(why, bad[i].why);
	}
	/* to the byte */
	assert_int_equal(iface_expand("{ip:lo}", out, 10, why, sizeof why), 0);
	assert_int_equal(iface_expand("{ip:lo}", out, 9, why, sizeof why), -EINVAL);
}

/* ---- the choice ---- */

struct msgs {
	uint32_t v[1024];
	size_t len;
};

static void
add_attr(struct msgs *m, struct nlmsghdr *h, unsigned short type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)h + NLMSG_ALIGN(h->nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	h->nlmsg_len = (uint32_t)(NLMSG_ALIGN(h->nlmsg_len) + RTA_ALIGN(a->rta_len));
	assert_true(m->len + h->nlmsg_len <= sizeof m->v);
}

static struct nlmsghdr *
begin(struct msgs *m, unsigned index, int family, uint32_t flags)
{
	struct nlmsghdr *h = (struct nlmsghdr *)((char *)m->v + m->len);
	struct ifaddrmsg *ifa = NLMSG_DATA(h);

	h->nlmsg_type = RTM_NEWADDR;
	h->nlmsg_len = NLMSG_LENGTH(sizeof *ifa);
	ifa->ifa_family = family == 6 ? AF_INET6 : AF_INET;
	ifa->ifa_index = index;
	ifa->ifa_flags = (uint8_t)flags;
	return h;
}

/* local, label: NULL for none. Flags come in 32 bits besides, as from every kernel since 3.14. */
static void
add(struct msgs *m, unsigned index, int family, uint32_t flags, const char *address, const char *local, const char *label)
{
	struct nlmsghdr *h = begin(m, index, family, flags);
	struct topo_addr a;
	size_t n = family == 6 ? 16 : 4;

	assert_int_equal(topo_addr_parse_ip(address, &a), 0);
	add_attr(m, h, IFA_ADDRESS, a.ip, n);
	if (local != NULL) {
		assert_int_equal(topo_addr_parse_ip(local, &a), 0);
		add_attr(m, h, IFA_LOCAL, a.ip, n);
	}
	if (label != NULL)
		add_attr(m, h, IFA_LABEL, label, strlen(label) + 1);
	add_attr(m, h, IFA_FLAGS, &flags, sizeof flags);
	m->len += NLMSG_ALIGN(h->nlmsg_len);
}

static void
picks(const struct msgs *m, unsigned index, const char *label, int family, const char *want)
{
	uint32_t *exact = malloc(m->len ? m->len : 1);
	char text[TOPO_ADDR_TEXT] = "none";
	struct topo_addr a;
	int err;

	assert_non_null(exact);
	memcpy(exact, m->v, m->len);
	err = iface_pick(exact, m->len, index, label, family, &a);
	assert_int_equal(err, want ? 0 : -EADDRNOTAVAIL);
	if (err == 0)
		topo_addr_format_ip(&a, text);
	assert_string_equal(text, want ? want : "none");
	free(exact);
}

static void
test_choice(void **state)
{
	struct msgs m = { 0 };
	struct nlmsghdr *h;

	picks(&m, 2, NULL, 4, NULL);
	add(&m, 1, 4, IFA_F_PERMANENT, "127.0.0.1", "127.0.0.1", "lo");
	add(&m, 1, 6, IFA_F_PERMANENT, "::1", NULL, NULL);
	add(&m, 2, 4, IFA_F_PERMANENT, "169.254.3.4", "169.254.3.4", "eth0");
	add(&m, 2, 6, IFA_F_PERMANENT, "fe80::1", NULL, NULL);
	add(&m, 2, 6, IFA_F_TENTATIVE, "fd00::1", NULL, NULL);
	add(&m, 2, 6, IFA_F_TENTATIVE | IFA_F_DADFAILED, "fd00::2", NULL, NULL);
	add(&m, 2, 6, IFA_F_DEPRECATED, "fd00::3", NULL, NULL);
	add(&m, 2, 6, IFA_F_TEMPORARY, "fd00::4", NULL, NULL);
	picks(&m, 1, NULL, 4, "127.0.0.1");
	picks(&m, 1, NULL, 6, "::1");
	picks(&m, 2, NULL, 4, NULL);
	picks(&m, 2, NULL, 6, NULL);
	picks(&m, 3, NULL, 4, NULL);
	add(&m, 3, 4, IFA_F_PERMANENT, "10.0.0.2", "10.0.0.1", "ppp0"); /* IFA_ADDRESS is the other end's */
	picks(&m, 3, NULL, 4, "10.0.0.1");
	h = begin(&m, 4, 4, IFA_F_PERMANENT); /* in the other order, and without the flags in 32 bits */
	add_attr(&m, h, IFA_LOCAL, "\x0a\0\0\3", 4);
	add_attr(&m, h, IFA_ADDRESS, "\x0a\0\0\4", 4);
	m.len += NLMSG_ALIGN(h->nlmsg_len);
	picks(&m, 4, NULL, 4, "10.0.0.3");
	add(&m, 2, 4, IFA_F_PERMANENT | IFA_F_DEPRECATED, "10.0.1.1", "10.0.1.1", "eth0");
	add(&m, 2, 4, IFA_F_SECONDARY, "10.0.1.2", "10.0.1.2", "eth0:1"); /* the bit that means "temporary" of IPv6 */
	add(&m, 2, 4, IFA_F_PERMANENT, "10.0.1.3", "10.0.1.3", "eth0");
	picks(&m, 2, NULL, 4, "10.0.1.2");
	picks(&m, 2, "eth0:1", 4, "10.0.1.2");
	picks(&m, 2, "eth0", 4, "10.0.1.3");
	picks(&m, 2, "eth0:2", 4, NULL);
	add(&m, 2, 6, IFA_F_PERMANENT, "fd00::5", NULL, NULL);
	picks(&m, 2, NULL, 6, "fd00::5");
	add(&m, 2, 6, IFA_F_PERMANENT | IFA_F_MANAGETEMPADDR, "fd00::6", NULL, NULL); /* an older one */
	add(&m, 2, 6, IFA_F_DEPRECATED, "fd00::7", NULL, NULL);
	picks(&m, 2, NULL, 6, "fd00::6");
}

/* What is cut, or of another kind, is passed over; nothing beyond the end is read. */
static void
test_broken_messages(void **state)
{
	struct msgs m = { 0 }, whole = { 0 };
	struct nlmsghdr *h;
	struct topo_addr a;
	size_t i;

	begin(&m, 2, 4, 0);
	h = (struct nlmsghdr *)m.v;
	h->nlmsg_type = RTM_DELADDR;
	m.len += h->nlmsg_len;
	h = begin(&m, 2, 4, 0); /* without an address */
	m.len += h->nlmsg_len;
	h = begin(&m, 2, 4, 0);
	add_attr(&m, h, IFA_LOCAL, "abc", 3);
	m.len += NLMSG_ALIGN(h->nlmsg_len);
	h = begin(&m, 2, 6, 0);
	add_attr(&m, h, IFA_ADDRESS, "0123", 4); /* an IPv4 address's */
	m.len += NLMSG_ALIGN(h->nlmsg_len);
	h = begin(&m, 2, 4, 0);
	h->nlmsg_len = NLMSG_HDRLEN; /* no ifaddrmsg */
	m.len += h->nlmsg_len;
	picks(&m, 2, NULL, 4, NULL);
	picks(&m, 2, NULL, 6, NULL);
	add(&m, 2, 4, 0, "10.0.0.1", "10.0.0.1", "eth0");
	picks(&m, 2, NULL, 4, "10.0.0.1");
	add(&whole, 2, 4, 0, "10.0.0.1", "10.0.0.1", "eth0");
	for (i = 0; i < whole.len; i++) {
		uint32_t *cut = malloc(i ? i : 1);

		assert_non_null(cut);
		memcpy(cut, whole.v, i);
		assert_int_equal(iface_pick(cut, i, 2, NULL, 4, &a), -EADDRNOTAVAIL);
		free(cut);
	}
}

/* ---- news ---- */

struct listener {
	struct fx fx;
	struct iface *iface;
	unsigned calls;
	int64_t at_ms[8];
	bool free_in_cb;
};

static void
on_changed(void *arg)
{
	struct listener *l = arg;

	l->at_ms[l->calls++ % NELEM(l->at_ms)] = loop_now_ms(l->fx.loop);
	if (l->free_in_cb) {
		iface_free(l->iface);
		l->iface = NULL;
	}
}

static void
test_news(void **state)
{
	struct listener l = { 0 };
	unsigned i;

	fx_init(&l.fx);
	fake_news = true;
	assert_int_equal(iface_new(&l.iface, l.fx.loop, on_changed, &l), 0);
	fx_pass(&l.fx, 50);
	assert_int_equal(l.calls, 0);
	for (i = 0; i < 50; i++) /* a storm */
		assert_int_equal(send(news[1], "x", 1, 0), 1);
	AWAIT(&l.fx, l.calls == 1);
	for (i = 0; i < 50; i++)
		assert_int_equal(send(news[1], "x", 1, 0), 1);
	AWAIT(&l.fx, l.calls == 2); /* at once the first time, then at the end of the pause */
	assert_true(l.at_ms[1] - l.at_ms[0] >= 99);
	fx_pass(&l.fx, 150);
	assert_int_equal(l.calls, 2);
	l.free_in_cb = true;
	assert_int_equal(send(news[1], "x", 1, 0), 1);
	AWAIT(&l.fx, l.iface == NULL);
	assert_int_equal(fcntl(news[0], F_GETFD), -1);
	close(news[1]);
	news[0] = news[1] = -1;
	fake_news = false;
	assert_string_equal(l.fx.log.s, "");
	fx_fini(&l.fx);
	iface_free(NULL);
}

static void
test_without_netlink(void **state)
{
	struct listener l = { 0 };

	fx_init(&l.fx);
	netlink_errno = EAFNOSUPPORT;
	assert_int_equal(iface_new(&l.iface, l.fx.loop, on_changed, &l), 0);
	ASSERT_SAYS(l.fx.log.s, "iface: no news");
	ASSERT_SAYS(l.fx.log.s, "needs AF_NETLINK");
	fx_pass(&l.fx, 50);
	assert_int_equal(l.calls, 0);
	ahead_s += 10;
	AWAIT(&l.fx, l.calls == 1);
	ahead_s += 10;
	AWAIT(&l.fx, l.calls == 2);
	iface_free(l.iface);
	netlink_errno = 0;
	fx_fini(&l.fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_broken_messages),
		cmocka_unit_test(test_news),
		cmocka_unit_test(test_without_netlink),
	};

	return cmocka_run_group_tests_name("iface", tests, NULL, NULL);
}
