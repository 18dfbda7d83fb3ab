#include "registrar/iface.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

#define DUMP_BYTES 32768 /* the kernel's own limit for one part of an answer */
#define READS_PER_TURN 64
#define NEWS_PAUSE_MS 100
#define POLL_MS 10000
#define NOT_OURS (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED)

/* ---- which address ---- */

static bool
is_link_local(const struct topo_addr *a)
{
	if (a->family == 4)
		return a->ip[0] == 169 && a->ip[1] == 254;
	return a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

/* The same bit says "secondary" of an IPv4 address, which is as good as another. */
static bool
is_usable(const struct topo_addr *a, uint32_t flags)
{
	return !(flags & NOT_OURS) && !(a->family == 6 && (flags & IFA_F_TEMPORARY)) && !is_link_local(a);
}

/* Of an interface with a peer, IFA_LOCAL is our end; IPv6 has mostly IFA_ADDRESS alone. */
static bool
read_addr(const struct nlmsghdr *h, const char *label, struct topo_addr *out, uint32_t *flags)
{
	const struct ifaddrmsg *ifa = NLMSG_DATA(h);
	unsigned size = ifa->ifa_family == AF_INET6 ? 16 : 4;
	const struct rtattr *a = IFA_RTA(ifa);
	int left = (int)IFA_PAYLOAD(h);
	bool local = false, found = false, labelled = label == NULL;

	memset(out, 0, sizeof *out);
	out->family = ifa->ifa_family == AF_INET6 ? 6 : 4;
	*flags = ifa->ifa_flags;
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		size_t n = RTA_PAYLOAD(a);

		if ((a->rta_type == IFA_LOCAL || (a->rta_type == IFA_ADDRESS && !local)) && n >= size) {
			local = a->rta_type == IFA_LOCAL;
			memcpy(out->ip, RTA_DATA(a), size);
			found = true;
		} else if (a->rta_type == IFA_FLAGS && n >= sizeof *flags) {
			memcpy(flags, RTA_DATA(a), sizeof *flags); /* the message's own has 8 bits */
		} else if (a->rta_type == IFA_LABEL && label != NULL && n > 0) {
			labelled = n == strlen(label) + 1 && memcmp(RTA_DATA(a), label, n) == 0;
		}
	}
	return found && labelled;
}

int
iface_pick(const void *messages, size_t len, unsigned index, const char *label, int family, struct topo_addr *out)
{
	const struct nlmsghdr *h = messages;
	int left = (int)len, want = family == 6 ? AF_INET6 : AF_INET;
	int err = -EADDRNOTAVAIL;
	struct topo_addr addr;
	uint32_t flags;

	/* The oldest: the kernel lists IPv4 in the order they were given, and IPv6 the other way round. */
	for (; NLMSG_OK(h, (unsigned)left) && (err != 0 || family == 6); h = NLMSG_NEXT(h, left)) {
		const struct ifaddrmsg *ifa = NLMSG_DATA(h);

		if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof *ifa))
			continue;
		if (ifa->ifa_family != want || ifa->ifa_index != index)
			continue;
		if (read_addr(h, label, &addr, &flags) && is_usable(&addr, flags)) {
			*out = addr;
			err = 0;
		}
	}
	return err;
}

/* ---- by netlink ---- */

static bool
is_end(const void *messages, size_t len, int *err)
{
	const struct nlmsghdr *h = messages;
	int left = (int)len;

	for (; NLMSG_OK(h, (unsigned)left); h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);

			*err = e->error;
			return true;
		}
		if (h->nlmsg_type == NLMSG_DONE)
			return true;
	}
	return false;
}

/* The kernel answers within the calls: this waits for nobody. */
static int
ask_netlink(unsigned index, const char *label, int family, struct topo_addr *out)
{
	static uint32_t in[DUMP_BYTES / sizeof(uint32_t)]; /* the loop thread's alone */
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg ifa;
	} request = {
		.head = { .nlmsg_len = sizeof request, .nlmsg_type = RTM_GETADDR, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.ifa = { .ifa_family = family == 6 ? AF_INET6 : AF_INET, .ifa_index = index },
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), err = 0, found = -EADDRNOTAVAIL;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (send(fd, &request, sizeof request, 0) < 0)
		err = -errno;
	while (err == 0) {
		n = recv(fd, in, sizeof in, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = n < 0 ? -errno : -EIO;
			break;
		}
		if ((found != 0 || family == 6) && iface_pick(in, (size_t)n, index, label, family, out) == 0)
			found = 0;
		if (is_end(in, (size_t)n, &err))
			break;
	}
	close(fd);
	return err != 0 ? err : found;
}

/* ---- without netlink ---- */

static int
ask_ioctl(const char *name, struct topo_addr *out)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;
	struct sockaddr_in in;
	struct ifreq r = { 0 };

	if (fd < 0)
		return -EADDRNOTAVAIL;
	snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
	r.ifr_addr.sa_family = AF_INET;
	err = ioctl(fd, SIOCGIFADDR, &r) == 0 ? 0 : -EADDRNOTAVAIL;
	close(fd);
	if (err != 0)
		return err;
	memcpy(&in, &r.ifr_addr, sizeof in);
	memset(out, 0, sizeof *out);
	out->family = 4;
	memcpy(out->ip, &in.sin_addr, 4);
	return is_link_local(out) ? -EADDRNOTAVAIL : 0;
}

/* "00000000000000000000000000000001 01 80 10 80       lo" */
static int
read_if_inet6(unsigned index, struct topo_addr *out)
{
	FILE *f = fopen("/proc/net/if_inet6", "re");
	int err = -EADDRNOTAVAIL;
	char line[128];

	if (f == NULL)
		return err;
	while (err != 0 && fgets(line, sizeof line, f) != NULL) {
		struct topo_addr a = { .family = 6 };
		unsigned at, i, n;
		uint32_t flags;

		for (i = 0; i < 16 && sscanf(line + 2 * i, "%2x", &n) == 1; i++)
			a.ip[i] = (uint8_t)n;
		if (i < 16 || sscanf(line + 32, "%x %*x %*x %" SCNx32, &at, &flags) != 2)
			continue;
		if (at != index || !is_usable(&a, flags))
			continue;
		*out = a;
		err = 0;
	}
	fclose(f);
	return err;
}

int
iface_address(const char *name, int family, struct topo_addr *out)
{
	const char *colon = strchr(name, ':'); /* "eth0:1": an address's label, as ifconfig made them */
	char device[IF_NAMESIZE];
	unsigned index;
	int err;

	if ((size_t)snprintf(device, sizeof device, "%.*s", colon ? (int)(colon - name) : IF_NAMESIZE, name) >= sizeof device)
		return -ENODEV;
	index = if_nametoindex(device);
	if (index == 0)
		return -ENODEV;
	err = ask_netlink(index, colon ? name : NULL, family, out);
	if (err == 0 || err == -EADDRNOTAVAIL)
		return err;
	return family == 6 ? read_if_inet6(index, out) : ask_ioctl(name, out);
}

/* ---- places in texts ---- */

static int
expand_place(const char *name, int family, bool bracket, struct buf *out, char *why, size_t why_size)
{
	const char *version = family == 6 ? "IPv6" : "IPv4";
	char text[TOPO_ADDR_TEXT];
	struct topo_addr addr;
	int err = iface_address(name, family, &addr);

	if (err == -ENODEV)
		snprintf(why, why_size, "there is no interface %s", name);
	else if (err != 0)
		snprintf(why, why_size, "the interface %s has no %s address that others could use", name, version);
	if (err != 0)
		return err;
	topo_addr_format_ip(&addr, text);
	buf_printf(out, bracket && family == 6 ? "[%s]" : "%s", text);
	return 0;
}

/* Of "{ip:eth0}" or "{ip6:eth0}" the bytes to skip before the name; 0: another text. */
static size_t
place_begins(const char *p, int *family)
{
	*family = strncmp(p, "{ip6:", 5) == 0 ? 6 : 4;
	return *family == 6 ? 5 : strncmp(p, "{ip:", 4) == 0 ? 4 : 0;
}

static int
expand(const char *text, struct buf *out, char *why, size_t why_size)
{
	const char *p = text, *end;
	char name[64];
	int family, err;
	size_t skip, n;

	buf_puts(out, "");
	while (*p != '\0') {
		skip = place_begins(p, &family);
		if (skip == 0) {
			buf_add(out, p++, 1);
			continue;
		}
		n = strcspn(p + skip, "}");
		end = p + skip + n;
		if (*end == '\0' || n == 0 || n >= sizeof name) {
			snprintf(why, why_size, "%s: write {ip:INTERFACE} or {ip6:INTERFACE}", text);
			return -EINVAL;
		}
		snprintf(name, sizeof name, "%.*s", (int)n, p + skip);
		err = expand_place(name, family, end[1] == ':', out, why, why_size);
		if (err != 0)
			return err;
		p = end + 1;
	}
	return 0;
}

int
iface_expand(const char *text, char *out, size_t size, char *why, size_t why_size)
{
	struct buf b = { 0 };
	int err = expand(text, &b, why, why_size);

	if (err == 0 && b.len >= size) {
		snprintf(why, why_size, "%.64s...: too long", text);
		err = -EINVAL;
	}
	if (err == 0)
		memcpy(out, b.s, b.len + 1);
	buf_free(&b);
	return err;
}

/* ---- news ---- */

struct iface {
	struct loop *loop;
	iface_cb *changed;
	void *arg;
	int fd; /* -1: there are no news, we look by the clock */
	struct loop_io io;
	struct loop_timer timer;
	int64_t told_ms;
};

static void
on_timer(void *arg)
{
	struct iface *i = arg;

	i->told_ms = loop_now_ms(i->loop);
	if (i->fd < 0)
		loop_timer_start(&i->timer, POLL_MS);
	i->changed(i->arg); /* may free us */
}

/* What they say does not matter, nor that some were lost: whoever wants to know asks. */
static void
on_news(void *arg, int fd, int what)
{
	static char in[8192];
	struct iface *i = arg;
	int64_t wait = i->told_ms + NEWS_PAUSE_MS - loop_now_ms(i->loop);
	unsigned turn;

	for (turn = 0; turn < READS_PER_TURN; turn++)
		if (recv(fd, in, sizeof in, MSG_DONTWAIT) < 0 && errno != EINTR && errno != ENOBUFS)
			break;
	if (!loop_timer_armed(&i->timer))
		loop_timer_start(&i->timer, wait > 0 ? wait : 0);
}

static int
open_news(void)
{
	const struct sockaddr_nl here = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE), err;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&here, sizeof here) == 0)
		return fd;
	err = errno;
	close(fd);
	return -err;
}

int
iface_new(struct iface **out, struct loop *loop, iface_cb *changed, void *arg)
{
	struct iface *i = xcalloc(1, sizeof *i);

	i->loop = loop;
	i->changed = changed;
	i->arg = arg;
	i->told_ms = INT64_MIN / 2;
	loop_timer_init(&i->timer, loop, on_timer, i);
	i->fd = open_news();
	if (i->fd < 0) {
		log_warnx("iface", "no news of the interfaces' addresses (%s): looked at every %d s; "
		    "RestrictAddressFamilies of c4d's unit needs AF_NETLINK", strerror(-i->fd), POLL_MS / 1000);
		i->fd = -1;
		loop_timer_start(&i->timer, POLL_MS);
	} else {
		loop_io_init(&i->io, loop, i->fd, on_news, i);
		loop_io_want(&i->io, LOOP_READ);
	}
	*out = i;
	return 0;
}

void
iface_free(struct iface *i)
{
	if (i == NULL)
		return;
	if (i->fd >= 0) {
		loop_io_fini(&i->io);
		close(i->fd);
	}
	loop_timer_fini(&i->timer);
	free(i);
}
