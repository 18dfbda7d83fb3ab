"""
c4d's HTTP server: what its pages say, what happens to whoever misuses it, and the endpoint id that keeps an old VM's
registration from vouching for the new VM at its address.
"""
import http.client
import json
import os
import socket
import time

import pytest

from lab import FAST, holds, merge, until, watching

CHECK_PATHS = ["/consul_check", "/res_discovery_consul/check_eid"]


class Page:
	"""One answer."""

	def __init__(self, response):
		self.status, self.body = response.status, response.read()
		self.headers = {k.lower(): v for k, v in response.getheaders()}

	@property
	def json(self):
		assert self.headers["content-type"] == "application/json"
		return json.loads(self.body)


def ask(at, path, method="GET", timeout=5):
	conn = http.client.HTTPConnection(*at, timeout=timeout)
	try:
		conn.request(method, path)
		return Page(conn.getresponse())
	finally:
		conn.close()


@pytest.fixture
def at(lab):
	"""Where c4d's HTTP server is to listen."""
	ip = lab.ip()
	return ip, lab.port(ip, 9600)


def listening(at, config):
	return merge(config, {"http": {"listen": [f"{at[0]}:{at[1]}"]}})


def answers(at):
	try:
		return ask(at, "/status").status == 204
	except OSError:
		return False


@pytest.fixture
def c4d(agent, service, make_c4d, at):
	"""One that watches a service of two."""
	service.many(2)
	c = make_c4d(listening(at, watching(agent, {service.name: FAST}))).start()
	until(lambda: len(c.instances()) == 2, 10, "both instances are known")
	return c


# ---- pages ----

def test_status_says_nothing_but_that_it_runs(c4d, at):
	page = ask(at, "/status")
	assert (page.status, page.body) == (204, b"")
	assert "server" not in page.headers and "content-type" not in page.headers
	head = ask(at, "/status", "HEAD")
	assert (head.status, head.body) == (204, b"")


def test_health_says_what_status_says(c4d, service, at):
	until(lambda: ask(at, "/health").json["status"] == "ok", 10, lambda: f"ok: {ask(at, '/health').body!r}")
	page = ask(at, "/health")
	assert page.status == 200
	assert page.json == {"status": "ok", "generation": c4d.ctl("status", fmt="json").data["generation"], "problems": []}
	head = ask(at, "/health", "HEAD")
	assert (head.status, head.body, int(head.headers["content-length"])) == (200, b"", len(page.body))
	assert c4d.ctl("hold", service.name).rc == 0
	page = ask(at, "/health")
	assert (page.status, page.json["status"]) == (200, "degraded")
	told = c4d.ctl("status", fmt="json").data
	assert page.json["problems"] == [p["problem"] for p in told["problems"]] != []


def test_health_fails_when_no_target_can_be_reached(lab, agent, service, make_c4d, at):
	service.many(1)
	config = merge(listening(at, watching(agent, {service.name: FAST})), {"kamailio": {"sbc": {
		"binrpc": f"unix:{lab.path('nobody', 'ctl')}", "list_file": lab.path("nobody", "list"),
		"dispatcher": {"1": {"service": service.name, "uri": "sip:{address}:{port}"}}}}})
	make_c4d(config).start()
	until(lambda: ask(at, "/health").status == 503, 10, lambda: f"503: {ask(at, '/health').body!r}")
	page = ask(at, "/health")
	assert page.json["status"] == "failing"
	assert any("sbc/1" in p for p in page.json["problems"])
	assert ask(at, "/status").status == 204  # it runs all the same


def test_topology_is_that_of_c4ctl(c4d, service, at):
	def both():
		return ask(at, "/v1/topology").json, c4d.ctl("show", "topology", fmt="json").data
	until(lambda: (lambda a, b: a == b)(*both()), 10, lambda: f"the same: {both()}")
	page = ask(at, "/v1/topology").json
	assert [s["service"] for s in page["services"]] == [service.name]
	assert len(page["services"][0]["instances"]) == 2
	generation = page["generation"]
	service.add("10.9.9.9")
	until(lambda: len(ask(at, "/v1/topology").json["services"][0]["instances"]) == 3, 10, "the third one is shown")
	assert ask(at, "/v1/topology").json["generation"] > generation


@pytest.mark.parametrize("path", CHECK_PATHS)
def test_eid_checks_are_strict(c4d, at, path):
	assert ask(at, f"{path}?expected_eid=somebody%3Aelse").status == 404
	assert "detail" in ask(at, f"{path}?expected_eid=x").json
	for wrong in ("", "?", "?expected_eid=", "?expected_eid", "?eid=x", "?expected_eid=a&expected_eid=a", "?Expected_eid=a"):
		page = ask(at, path + wrong)
		assert (page.status, "expected_eid" in page.json["detail"]) == (400, True), wrong
	for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
		page = ask(at, f"{path}?expected_eid=x", method)
		assert page.status == 405 and "GET" in page.headers["allow"].split(", "), method


def test_nothing_else_is_there(c4d, at):
	for path in ("/v1/events/", "/status/", "/Status", "/v1", "/v1/topology/x", "/index.html", "/../etc/passwd", "/status%00"):
		page = ask(at, path)
		assert page.status in (400, 404) and "detail" in page.json, path
	assert ask(at, f"http://{at[0]}:{at[1]}/status").status == 400
	assert ask(at, "/%73tatus").status == 204


# ---- where it listens ----

def test_a_reload_moves_it(lab, c4d, agent, service, at):
	other = (lab.ip(), at[1])
	kept = http.client.HTTPConnection(*at, timeout=5)
	kept.request("GET", "/status")
	assert Page(kept.getresponse()).status == 204
	c4d.write(listening(other, watching(agent, {service.name: FAST})))
	assert c4d.ctl("reload").rc == 0
	until(lambda: answers(other), 5, "the new address answers")
	assert not answers(at)
	kept.request("GET", "/status")  # who was there stays
	assert Page(kept.getresponse()).status == 204
	kept.close()


def test_an_address_that_is_taken_is_said_and_tried_again(agent, service, make_c4d, at):
	service.many(1)
	taken = socket.create_server(at)
	c = make_c4d(listening(at, watching(agent, {service.name: FAST}))).start()
	told = c.ctl("status")
	assert told.rc == 1 and f"{at[0]}:{at[1]}" in told.out
	taken.close()
	until(lambda: answers(at), 5, "it answers")
	until(lambda: c.ctl("status").rc == 0, 5, "status is well")
	assert len([x for x in c.log().splitlines() if "cannot listen" in x]) == 1


def test_nowhere_is_possible(agent, service, make_c4d, at):
	service.many(1)
	c = make_c4d(merge(listening(at, watching(agent, {service.name: FAST})), {"http": {"listen": []}})).start()
	until(lambda: c.ctl("status").rc == 0, 10, "status is well")
	assert not answers(at)


# ---- misuse ----

def test_others_are_served_when_many_just_hold_on(c4d, at, service):
	"""More connections than there may be: who comes later waits until the idle ones are ended."""
	idle = [socket.create_connection(at) for _ in range(256)]
	begin = time.monotonic()
	assert ask(at, "/status", timeout=15).status == 204
	assert time.monotonic() - begin < 8
	for s in idle:
		s.close()
	service.add("10.9.9.9")  # and the rest of c4d did not notice
	until(lambda: len(c4d.instances()) == 3, 5, "the third instance is known")
	assert len([x for x in c4d.log().splitlines() if "connections at once" in x]) == 1


def test_slow_and_long_requests_end(c4d, at):
	slow = socket.create_connection(at)
	slow.settimeout(20)
	begin = time.monotonic()
	for ch in "GET /status HTTP/1.1\r\nX: " + "x" * 100:
		try:
			slow.send(ch.encode())
		except OSError:
			break
		slow.settimeout(0.25)
		try:
			if slow.recv(100) == b"":
				break
		except socket.timeout:
			pass
		except OSError:
			break
	assert 8 < time.monotonic() - begin < 14
	slow.close()
	long = socket.create_connection(at)
	long.settimeout(5)
	long.sendall(b"GET /status HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n")
	assert long.recv(12) == b"HTTP/1.1 400"
	long.close()
	assert ask(at, "/status").status == 204


def test_a_stop_does_not_wait_for_peers(c4d, at):
	held = [socket.create_connection(at) for _ in range(5)]
	held[0].sendall(b"GET /sta")
	held[1].sendall(b"GET /v1/topology HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
	begin = time.monotonic()
	c4d.stop()
	assert time.monotonic() - begin < 2
	for s in held:
		s.close()


# ---- endpoint ids ----

def vm(agent, at, name, eid, checks):
	"""The configuration of a VM whose SIP service is at `at`'s address."""
	return listening(at, {
		"consul": {"dns": [agent.dns_addr], "http": agent.http_addr},
		"services": {},
		"register": {"sbc": {"id": name, "name": f"sbc-{os.getpid()}", "address": at[0], "port": 5060, "eid": eid, "when": "now",
			"verify_dns": False, "checks": checks}}})


def state_of(agent, sid, check):
	return agent.http("GET", "/v1/agent/checks").get(f"{sid}:{check}", {}).get("Status")


def test_a_new_vm_does_not_vouch_for_the_old_one_at_its_address(agent, make_c4d, at):
	old, new = f"old-{os.getpid()}", f"new-{os.getpid()}"
	checks = {
		"eid": {"type": "eid", "interval": "200ms", "timeout": "150ms"},
		"status": {"type": "http", "url": f"http://{at[0]}:{at[1]}/status", "interval": "200ms", "timeout": "150ms"}}
	first = make_c4d(vm(agent, at, old, "eid-of-the-old", checks)).start()
	try:
		until(lambda: state_of(agent, old, "eid") == state_of(agent, old, "status") == "passing", 15,
			lambda: f"the old VM is well: {agent.http('GET', '/v1/agent/checks')}\n{first.proc.log_tail()}")
		for path in CHECK_PATHS:
			page = ask(at, f"{path}?expected_eid=eid-of-the-old")
			assert (page.status, page.body) == (200, b"OK - EID Match: eid-of-the-old")
		first.kill()  # it leaves no word at Consul
		until(lambda: state_of(agent, old, "eid") == "critical", 10, "nobody is at the address")
		second = make_c4d(vm(agent, at, new, "eid-of-the-new", checks)).start()
		until(lambda: state_of(agent, new, "eid") == state_of(agent, new, "status") == "passing", 15,
			lambda: f"the new VM is well\n{second.proc.log_tail()}")
		# What the check prevents: by the address alone the old one would be back, and be called.
		until(lambda: state_of(agent, old, "status") == "passing", 10, "the new VM answers for the old one")
		holds(lambda: state_of(agent, old, "eid") == "critical", 1.5, "the eid check of the old one stays critical")
		output = agent.http("GET", "/v1/agent/checks")[f"{old}:eid"]["Output"]
		assert "404" in output and "EID mismatch" in output
		assert "eid-of-the-new" not in output
	finally:
		agent.deregister(old)
