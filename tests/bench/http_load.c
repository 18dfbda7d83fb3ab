/*
 * http_load: asks an HTTP/1.1 server over kept connections and looks at every answer. One thread, no library.
 *
 *   cc -O2 -D_GNU_SOURCE -std=gnu11 -o http_load tests/bench/http_load.c
 *   http_load [-c CONNECTIONS] [-d SECONDS] [-w WARM_UP] [-r RATE] [-m METHOD] [-p PATH] [-b BODY | -f FILE] [-e TEXT]
 *             [-S STATUS] [-H HEADER]... [-s SEED] ADDRESS:PORT
 *
 * FILE has one request body per line, a tab, and a text that its answer must hold; lines are drawn uniformly. -b and -e are such
 * a line for all. {n} in a body is the request's number, in ten digits. Without -r each connection asks again as soon as it
 * has its answer (closed loop). With -r requests are due at even spaces, and their time counts from when they were due: a
 * server that stalls is charged for those that had to wait (open loop). What happens in the WARM_UP seconds is not counted.
 *
 * Prints one JSON object; ends with 1 when there was any error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_SIZE 65536
#define ANSWER_MAX_NS 5000000000
#define NUMBER_DIGITS 10
/* Buckets of the latencies: each power of two of nanoseconds in 128 steps, so that a figure is right by one percent. */
#define SUB_BITS 7
#define BUCKETS ((64 - SUB_BITS + 1) << SUB_BITS)

enum fault { FAULT_CONNECT, FAULT_CLOSED, FAULT_FORMAT, FAULT_STATUS, FAULT_TEXT, FAULT_TIMEOUT, FAULTS };
static const char *const fault_names[FAULTS] = { "connect", "closed", "format", "status", "text", "timeout" };

struct request {
	char *text; /* with its header */
	size_t len;
	char *number; /* in text, to be filled in; or NULL */
	char *expect;
	size_t expect_len;
};

struct conn {
	int fd;
	bool busy;
	int64_t since_ns; /* from here its time counts */
	const struct request *request;
	size_t len;
	char in[IN_SIZE];
};

static struct {
	const char *place, *method, *path, *body, *file, *expect;
	char headers[4096];
	size_t conns;
	double seconds, warm_up, rate;
	int status;
	uint64_t seed;
} o = { .method = "POST", .path = "/", .conns = 16, .seconds = 5, .warm_up = 0.5, .status = 200, .seed = 1 };

static struct request *requests;
static size_t n_requests;
static struct conn *conns, **idle;
static size_t n_idle;
static int ep;
static struct addrinfo *peer;
static uint64_t sent, asked, answered, counted, faults[FAULTS], n_faults, buckets[BUCKETS];
static int64_t begin_ns, count_from_ns, end_ns, max_ns;
static __int128 sum_ns;

static void
die(const char *what)
{
	fprintf(stderr, "http_load: %s: %s\n", what, strerror(errno));
	exit(2);
}

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* xorshift64*: draws, guards nothing */
static uint64_t
draw(void)
{
	o.seed ^= o.seed >> 12;
	o.seed ^= o.seed << 25;
	o.seed ^= o.seed >> 27;
	return o.seed * 2685821657736338717u;
}

/* ---- latencies ---- */

static size_t
bucket_of(uint64_t ns)
{
	unsigned shift = ns >> SUB_BITS ? 64 - (unsigned)__builtin_clzll(ns) - SUB_BITS : 0;

	return ((size_t)shift << SUB_BITS) + (size_t)(shift ? (ns >> (shift - 1)) - (1u << SUB_BITS) : ns);
}

/* The largest value that falls into it. */
static uint64_t
bucket_end(size_t i)
{
	size_t shift = i >> SUB_BITS, sub = i & ((1u << SUB_BITS) - 1);

	return shift == 0 ? sub : (((uint64_t)sub + (1u << SUB_BITS) + 1) << (shift - 1)) - 1;
}

static void
count(int64_t ns)
{
	if (ns < 0)
		ns = 0;
	buckets[bucket_of((uint64_t)ns)]++;
	counted++;
	sum_ns += ns;
	if (ns > max_ns)
		max_ns = ns;
}

static double
percentile_us(double p)
{
	uint64_t want = (uint64_t)(p / 100 * (double)counted + 0.999999), seen = 0;
	size_t i;

	for (i = 0; i < BUCKETS; i++) {
		seen += buckets[i];
		if (seen >= want && seen > 0)
			return (double)((int64_t)bucket_end(i) < max_ns ? (int64_t)bucket_end(i) : max_ns) / 1000;
	}
	return 0;
}

/* ---- requests ---- */

static void
add_request(const char *body, size_t len, const char *expect, size_t expect_len)
{
	static size_t cap;
	const char *mark = memmem(body, len, "{n}", 3);
	size_t body_len = mark ? len + NUMBER_DIGITS - 3 : len;
	struct request *r;
	int head;

	if (n_requests == cap) {
		cap = cap ? cap * 2 : 64;
		requests = realloc(requests, cap * sizeof *requests);
		if (requests == NULL)
			die("memory");
	}
	r = &requests[n_requests++];
	memset(r, 0, sizeof *r);
	head = asprintf(&r->text, "%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	    o.method, o.path, o.place, o.headers, body_len);
	if (strcmp(o.method, "GET") == 0) {
		free(r->text);
		head = asprintf(&r->text, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", o.path, o.place, o.headers);
		len = body_len = 0;
		mark = NULL;
	}
	r->len = (size_t)head + body_len;
	r->text = head < 0 ? NULL : realloc(r->text, r->len + 1);
	r->expect = strndup(expect, expect_len);
	if (r->text == NULL || r->expect == NULL)
		die("memory");
	r->expect_len = expect_len;
	if (mark == NULL) {
		memcpy(r->text + head, body, len);
		return;
	}
	r->number = r->text + head + (mark - body);
	memcpy(r->text + head, body, (size_t)(mark - body));
	memcpy(r->number + NUMBER_DIGITS, mark + 3, len - (size_t)(mark - body) - 3);
}

static void
read_requests(void)
{
	FILE *f = strcmp(o.file, "-") == 0 ? stdin : fopen(o.file, "r");
	char *line = NULL, *tab;
	size_t cap = 0;
	ssize_t n;

	if (f == NULL)
		die(o.file);
	while ((n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] == '\n')
			line[--n] = '\0';
		tab = strchr(line, '\t');
		if (n > 0)
			add_request(line, tab ? (size_t)(tab - line) : (size_t)n, tab ? tab + 1 : "", tab ? strlen(tab + 1) : 0);
	}
	free(line);
	if (f != stdin)
		fclose(f);
	if (n_requests == 0) {
		fprintf(stderr, "http_load: %s holds no request\n", o.file);
		exit(2);
	}
}

/* ---- connections ---- */

static void
fault(enum fault kind, const struct conn *c)
{
	faults[kind]++;
	if (n_faults++ == 0)
		fprintf(stderr, "http_load: first error: %s%s%.*s\n-- got: %.*s\n", fault_names[kind], c && c->request ? " of: " : "",
		    c && c->request ? (int)c->request->len : 0, c && c->request ? c->request->text : "",
		    c ? (int)(c->len < 1500 ? c->len : 1500) : 0, c ? c->in : "");
}

static bool
open_conn(struct conn *c)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	int on = 1;

	c->busy = false;
	c->len = 0;
	c->request = NULL;
	c->fd = socket(peer->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, peer->ai_addr, peer->ai_addrlen) != 0) {
		if (c->fd >= 0)
			close(c->fd);
		c->fd = -1;
		return false;
	}
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)fcntl(c->fd, F_SETFL, O_NONBLOCK);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) != 0)
		die("epoll");
	return true;
}

static void
reopen(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	if (!open_conn(c))
		fault(FAULT_CONNECT, NULL);
	idle[n_idle++] = c;
}

static void
ask(struct conn *c, int64_t since_ns)
{
	struct request *r = &requests[n_requests > 1 ? draw() % n_requests : 0];
	struct pollfd p = { .fd = c->fd, .events = POLLOUT };
	char number[NUMBER_DIGITS + 1];
	size_t out = 0;
	ssize_t n;

	if (r->number != NULL) {
		snprintf(number, sizeof number, "%0*" PRIu64, NUMBER_DIGITS, sent % 10000000000u);
		memcpy(r->number, number, NUMBER_DIGITS);
	}
	sent++;
	if (since_ns >= count_from_ns)
		asked++;
	c->busy = true;
	c->since_ns = since_ns;
	c->request = r;
	c->len = 0;
	while (out < r->len) {
		n = send(c->fd, r->text + out, r->len - out, MSG_NOSIGNAL);
		if (n > 0)
			out += (size_t)n;
		else if (errno == EAGAIN)
			(void)poll(&p, 1, 100);
		else if (errno != EINTR)
			break; /* reading tells */
	}
}

/* The value of a header of the answer, or NULL; `head` ends with its empty line. */
static const char *
header_of(const char *head, size_t len, const char *name)
{
	size_t n = strlen(name);
	const char *p = head, *end = head + len;

	while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL && ++p + n < end)
		if (strncasecmp(p, name, n) == 0 && p[n] == ':')
			return p + n + 1 + strspn(p + n + 1, " ");
	return NULL;
}

/* Looks at what has come. 0: there is more to come; 1: the answer is whole; -1: no more can be asked here. */
static int
look(struct conn *c, int64_t now)
{
	const char *end = memmem(c->in, c->len, "\r\n\r\n", 4), *length, *closing;
	size_t head, body = 0;
	int status;

	if (end == NULL && c->len < sizeof c->in)
		return 0;
	head = end ? (size_t)(end - c->in) + 4 : 0;
	status = end && c->len > 12 && memcmp(c->in, "HTTP/1.", 7) == 0 ? atoi(c->in + 9) : 0;
	length = end ? header_of(c->in, head, "Content-Length") : NULL;
	if (status == 0 || (length == NULL && status != 204)) {
		fault(FAULT_FORMAT, c);
		return -1;
	}
	if (length != NULL)
		body = strtoul(length, NULL, 10);
	if (head + body > sizeof c->in) {
		fault(FAULT_FORMAT, c);
		return -1;
	}
	if (c->len < head + body)
		return 0;
	closing = header_of(c->in, head, "Connection");
	if (status != o.status)
		fault(FAULT_STATUS, c);
	else if (c->request->expect_len > 0 && memmem(c->in + head, body, c->request->expect, c->request->expect_len) == NULL)
		fault(FAULT_TEXT, c);
	else if (c->len > head + body)
		fault(FAULT_FORMAT, c);
	answered++;
	if (c->since_ns >= count_from_ns)
		count(now - c->since_ns);
	return closing != NULL && strncasecmp(closing, "close", 5) == 0 ? -1 : 1;
}

static void
on_input(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->len, sizeof c->in - c->len, 0);
	int64_t now;
	int done;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* an idle one may be closed */
		if (c->busy)
			fault(FAULT_CLOSED, c);
		else /* it is in the list already */
			for (size_t i = 0; i < n_idle; i++)
				if (idle[i] == c) {
					idle[i] = idle[--n_idle];
					break;
				}
		reopen(c);
		return;
	}
	c->len += (size_t)n;
	now = now_ns();
	done = c->busy ? look(c, now) : -1;
	if (done == 0)
		return;
	if (done < 0) {
		reopen(c);
		return;
	}
	if (o.rate <= 0 && now < end_ns) {
		ask(c, now);
		return;
	}
	c->busy = false;
	idle[n_idle++] = c;
}

static struct conn *
take_idle(void)
{
	struct conn *c = idle[--n_idle];

	if (c->fd < 0 && !open_conn(c)) {
		fault(FAULT_CONNECT, NULL);
		idle[n_idle++] = c;
		(void)poll(NULL, 0, 10);
		return NULL;
	}
	return c;
}

/* When request `i` is due, with -r. */
static int64_t
due_ns(uint64_t i)
{
	return begin_ns + (int64_t)((double)i * 1e9 / o.rate);
}

static void
ask_due(int64_t now)
{
	struct conn *c;

	while (n_idle > 0 && now < end_ns) {
		if (o.rate > 0 && due_ns(sent) > now)
			return;
		c = take_idle();
		if (c == NULL)
			return;
		ask(c, o.rate > 0 ? due_ns(sent) : now);
	}
}

static void
check_late(int64_t now)
{
	size_t i;

	for (i = 0; i < o.conns; i++)
		if (conns[i].busy && now - conns[i].since_ns > ANSWER_MAX_NS && o.rate <= 0) {
			fault(FAULT_TIMEOUT, &conns[i]);
			reopen(&conns[i]);
		}
}

static void
run(void)
{
	struct epoll_event events[256];
	int64_t now = now_ns(), wait_ns, late_at;
	int i, n;

	begin_ns = now;
	count_from_ns = begin_ns + (int64_t)(o.warm_up * 1e9);
	end_ns = count_from_ns + (int64_t)(o.seconds * 1e9);
	late_at = now + 1000000000;
	while (now < end_ns || (n_idle < o.conns && now < end_ns + ANSWER_MAX_NS)) {
		struct timespec ts;

		ask_due(now);
		wait_ns = 100000000;
		if (o.rate > 0 && n_idle > 0 && now < end_ns && due_ns(sent) - now < wait_ns)
			wait_ns = due_ns(sent) - now;
		if (wait_ns < 0)
			wait_ns = 0;
		ts = (struct timespec){ 0, wait_ns };
		n = epoll_pwait2(ep, events, sizeof events / sizeof events[0], &ts, NULL);
		if (n < 0 && errno != EINTR)
			die("epoll_pwait2");
		for (i = 0; i < n; i++)
			on_input(events[i].data.ptr);
		now = now_ns();
		if (now >= late_at) {
			check_late(now);
			late_at = now + 1000000000;
		}
	}
	for (n = 0; (size_t)n < o.conns; n++)
		if (conns[n].busy)
			fault(FAULT_TIMEOUT, &conns[n]);
}

static void
report(void)
{
	size_t i;

	printf("{\"connections\":%zu,\"rate\":%.0f,\"seconds\":%.3f,\"requests\":%" PRIu64 ",\"rps\":%.0f,", o.conns, o.rate, o.seconds,
	    counted, (double)counted / o.seconds);
	printf("\"mean_us\":%.1f,\"p50_us\":%.1f,\"p95_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,",
	    counted ? (double)sum_ns / (double)counted / 1000 : 0, percentile_us(50), percentile_us(95), percentile_us(99),
	    percentile_us(99.9), (double)max_ns / 1000);
	printf("\"errors\":%" PRIu64 ",\"by_kind\":{", n_faults);
	for (i = 0; i < FAULTS; i++)
		printf("%s\"%s\":%" PRIu64, i ? "," : "", fault_names[i], faults[i]);
	printf("}}\n");
}

static void
parse_place(void)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	char *copy = strdup(o.place), *port = copy ? strrchr(copy, ':') : NULL, *ip = copy;

	if (port != NULL)
		*port++ = '\0';
	if (port != NULL && ip[0] == '[' && port[-2] == ']') {
		port[-2] = '\0';
		ip++;
	}
	if (port == NULL || getaddrinfo(ip, port, &hints, &peer) != 0) {
		fprintf(stderr, "http_load: %s is no ADDRESS:PORT\n", o.place);
		exit(2);
	}
	free(copy);
}

static void
usage(void)
{
	fputs("usage: http_load [-c CONNECTIONS] [-d SECONDS] [-w WARM_UP] [-r RATE] [-m METHOD] [-p PATH] [-b BODY | -f FILE]\n"
	      "                 [-e TEXT] [-S STATUS] [-H HEADER]... [-s SEED] ADDRESS:PORT\n", stderr);
	exit(2);
}

static void
parse(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "c:d:w:r:m:p:b:f:e:S:H:s:")) != -1)
		switch (opt) {
		case 'c': o.conns = strtoul(optarg, NULL, 10); break;
		case 'd': o.seconds = strtod(optarg, NULL); break;
		case 'w': o.warm_up = strtod(optarg, NULL); break;
		case 'r': o.rate = strtod(optarg, NULL); break;
		case 'm': o.method = optarg; break;
		case 'p': o.path = optarg; break;
		case 'b': o.body = optarg; break;
		case 'f': o.file = optarg; break;
		case 'e': o.expect = optarg; break;
		case 'S': o.status = atoi(optarg); break;
		case 's': o.seed = strtoull(optarg, NULL, 10) * 2 + 1; break;
		case 'H':
			if (strlen(o.headers) + strlen(optarg) + 3 > sizeof o.headers)
				usage();
			strcat(strcat(o.headers, optarg), "\r\n");
			break;
		default: usage();
		}
	if (optind + 1 != argc || o.conns == 0 || o.seconds <= 0)
		usage();
	o.place = argv[optind];
}

int
main(int argc, char **argv)
{
	size_t i;

	parse(argc, argv);
	parse_place();
	if (o.file != NULL)
		read_requests();
	else
		add_request(o.body ? o.body : "", o.body ? strlen(o.body) : 0, o.expect ? o.expect : "", o.expect ? strlen(o.expect) : 0);
	(void)prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);
	ep = epoll_create1(EPOLL_CLOEXEC);
	conns = calloc(o.conns, sizeof *conns);
	idle = calloc(o.conns, sizeof *idle);
	if (ep < 0 || conns == NULL || idle == NULL)
		die("start");
	for (i = 0; i < o.conns; i++) {
		if (!open_conn(&conns[i]))
			die("connect");
		idle[n_idle++] = &conns[i];
	}
	run();
	report();
	return n_faults > 0;
}
