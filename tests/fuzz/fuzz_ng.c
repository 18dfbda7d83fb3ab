/*
 * fuzz_ng: any bytes as what answers at an NG port: to the ping what stands before the first line break, to the question for the calls what stands
 * behind it (without a break: all of it to both), each as its answer, and before that as a packet that is none. The node then has a state that
 * its answer proves, and nothing of it is left over for the next.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz.h"
#include "rtpengine/bencode.h"
#include "rtpengine/nodes.h"

#define COOKIE_MAX 64
#define TURNS 3 /* of the loop, from the last packet to what comes of it */

struct part {
	const uint8_t *data;
	size_t len;
};

static struct loop *loop;
static struct topo_addr address = { .family = 4, .ip = { 127, 0, 0, 1 } };
static struct loop_io io; /* the peer's */
static struct loop_timer turn;
static struct part pong, list;
static unsigned pings, lists, turns;
static int64_t begun_ms;

/* A machine that did not let us run: questions that were not answered in time are asked again. */
static bool
is_late(void)
{
	return loop_now_ms(loop) - begun_ms >= 200;
}

/* Packets of the largest size may not be sent: then they are as good as lost, and a time-out is none of this target's subjects. */
static void
send_packet(int fd, const struct sockaddr_in *to, const char *cookie, size_t cookie_len, const struct part *p)
{
	char packet[65536];
	size_t len = p->len < 60000 ? p->len : 60000;

	memcpy(packet, cookie, cookie_len);
	if (len > 0)
		memcpy(packet + cookie_len, p->data, len);
	must(sendto(fd, packet, cookie_len + len, 0, (const struct sockaddr *)to, sizeof *to) >= 0);
}

static void
on_question(void *arg, int fd, int what)
{
	struct sockaddr_in from;
	socklen_t from_len = sizeof from;
	struct bencode_msg msg;
	char in[512];
	ssize_t n = recvfrom(fd, in, sizeof in, 0, (struct sockaddr *)&from, &from_len);
	const char *space, *command;

	must(n > 0);
	space = memchr(in, ' ', (size_t)n);
	must(space != NULL && space - in < COOKIE_MAX);
	must(bencode_decode(space + 1, (size_t)(in + n - space - 1), &msg) == 0);
	command = bencode_text(msg.root, "command");
	must(command != NULL);
	if (strcmp(command, "ping") == 0) {
		must(pings++ == 0 || is_late()); /* an answer, whatever it is, ends a question */
		send_packet(fd, &from, "", 0, &pong);
		send_packet(fd, &from, in, (size_t)(space + 1 - in), &pong);
	} else {
		must(strcmp(command, "list") == 0 && (lists++ == 0 || is_late()));
		send_packet(fd, &from, "", 0, &list);
		send_packet(fd, &from, in, (size_t)(space + 1 - in), &list);
	}
	turns = 0;
	bencode_clear(&msg);
}

static void
on_turn(void *arg)
{
	if (pings > 0 && turns++ >= TURNS)
		loop_stop(loop);
	else
		loop_timer_start(&turn, 0);
}

static void
ignore(void *arg)
{
}

static void
finish(void)
{
	close(io.fd);
	loop_io_fini(&io);
	loop_timer_fini(&turn);
	loop_free(loop);
}

static void
start(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	log_init(LOG_L_ERROR);
	must(loop_new(&loop) == 0);
	must(fd >= 0 && bind(fd, (struct sockaddr *)&sin, sizeof sin) == 0 && getsockname(fd, (struct sockaddr *)&sin, &len) == 0);
	address.port = ntohs(sin.sin_port);
	loop_io_init(&io, loop, fd, on_question, NULL);
	loop_io_want(&io, LOOP_READ);
	loop_timer_init(&turn, loop, on_turn, NULL);
	must(atexit(finish) == 0);
}

/* What the node must be by an answer: read anew, by its own means. */
static void
check(const struct node_view *v)
{
	struct bencode_msg msg = { 0 };
	bool alive = bencode_decode(pong.data, pong.len, &msg) == 0 && msg.root->type == BENCODE_DICT && bencode_text(msg.root, "result") != NULL &&
	    strcmp(bencode_text(msg.root, "result"), "pong") == 0;
	const char *p;

	must(pings == 1 && lists == (alive ? 1 : 0));
	must(v->state == (alive ? NODE_ALIVE : NODE_UNKNOWN) && v->missed == (alive ? 0 : 1));
	must((v->why[0] == '\0') == alive && (v->answer_ms != 0) == alive);
	for (p = v->why; *p != '\0'; p++)
		must(*p >= 0x20 && *p <= 0x7e);
	bencode_clear(&msg);
	memset(&msg, 0, sizeof msg);
	if (alive && bencode_decode(list.data, list.len, &msg) == 0 && msg.root->type == BENCODE_DICT) {
		const char *result = bencode_text(msg.root, "result");
		bool error = result != NULL && strcmp(result, "error") == 0;

		must(v->sessions == (error ? -1 : bencode_length(msg.root, "calls")));
	} else {
		must(v->sessions == -1);
	}
	bencode_clear(&msg);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
	struct nodes *nodes;

	if (loop == NULL)
		start();
	if (size > 60000)
		return 0;
	pong = (struct part){ data, end != NULL ? (size_t)(end - data) : size };
	list = end != NULL ? (struct part){ end + 1, size - pong.len - 1 } : pong;
	pings = lists = turns = 0;
	begun_ms = loop_now_ms(loop);
	must(nodes_new(&nodes, loop, 1000000, 1000000, ignore, NULL) == 0);
	nodes_set(nodes, &address, 1);
	nodes_count_sessions(nodes, &address, true);
	loop_timer_start(&turn, 0);
	must(loop_run(loop) == 0);
	if (!is_late())
		check(nodes_find(nodes, &address));
	nodes_free(nodes);
	return 0;
}
