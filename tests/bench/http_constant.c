/*
 * http_constant: what an answer costs before anybody has thought about it: libevent's evhttp, the body parsed and the answer written by
 * jansson, and always the same one. bench_routing.py measures it beside c4d, in turns: its rate tells machines apart, and its p99
 * what the machine adds to any server's.
 *
 *   cc -O2 -D_GNU_SOURCE -std=gnu11 -o http_constant tests/bench/http_constant.c -levent -ljansson
 *   http_constant ADDRESS PORT
 */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *
constant(void)
{
	return json_pack("{s:b, s:{s:b, s:s, s:[{s:{s:{s:s, s:s}}, s:s, s:s}]}, s:{s:b, s:i, s:i}}", "success", 1, "rtjson", "success", 1,
	    "version", "1.0", "routes", "headers", "from", "display", "\"Mario Rossi\"", "uri", "sip:+390401234567@10.1.0.1:5060", "uri",
	    "sip:+393312345678@pbx.example:5060", "dst_uri", "sip:pbx.example:5060", "auth", "success", 1, "tenant_id", 1, "ipbx_id", 1);
}

static void
answer(struct evhttp_request *req, void *arg)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req), *out = evbuffer_new();
	json_t *asked = json_loadb((char *)evbuffer_pullup(in, -1), evbuffer_get_length(in), 0, NULL), *said = constant();
	char *text = json_dumps(said, JSON_COMPACT);

	evbuffer_add(out, text, strlen(text));
	evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", "application/json");
	evhttp_send_reply(req, asked != NULL ? 200 : 400, NULL, out);
	evbuffer_free(out);
	free(text);
	json_decref(said);
	json_decref(asked);
}

int
main(int argc, char **argv)
{
	struct event_base *base = event_base_new();
	struct evhttp *http = evhttp_new(base);

	if (argc != 3 || evhttp_bind_socket(http, argv[1], (ev_uint16_t)atoi(argv[2])) != 0) {
		fputs("usage: http_constant ADDRESS PORT\n", stderr);
		return 2;
	}
	evhttp_set_gencb(http, answer, NULL);
	return event_base_dispatch(base) != 0;
}
