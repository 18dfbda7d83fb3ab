"""CDRs of the real daemon: what was answered is on the disk, whatever comes; how they get out again, and what becomes of old ones."""
import csv
import http.client
import http.server
import io
import json
import subprocess
import threading

import pytest

from lab import merge, until
from lab.routing import OTHER, TENANT, Api, load, small

PATH = "/1.0/kamailio/cdr"


@pytest.fixture
def c4d(make_c4d, plain):
	c = make_c4d(plain).start()
	assert load(c, data()).rc == 0
	return c


def data(**over):
	"""What the CDRs are of."""
	return small(ipbxs=[{k: v for k, v in row.items() if k != "customer"} for row in small()["ipbxs"]], **over)


def cdr(call_id="call-1", **more):
	return {"event": "sip-routing", "tenant_uuid": TENANT, "source_ip": "10.9.0.1", "source_port": 5060, "call_id": call_id,
		"from_uri": "sip:100@10.9.0.1", "to_uri": "sip:39040123456@sip.other.com", "call_start": "2026-11-21T03:40:00", "duration": 12, **more}


def exported(c, *words):
	got = c.ctl("cdr", "export", *words, timeout=60)
	assert got.rc == 0, got.err
	return [json.loads(line) for line in got.out.splitlines()]


class Posters:
	"""Threads that post CDRs, each over its own kept connection; `taken`: {call id: id} of those that were answered as stored."""

	def __init__(self, c, threads, each=1 << 30, prefix="p"):
		self.taken, self.other, self.lock = {}, [], threading.Lock()
		self.at, self.each, self.prefix, self.stopped = (c.http_ip, c.http_port), each, prefix, False
		self.threads = [threading.Thread(target=self._post, args=(n,)) for n in range(threads)]
		for t in self.threads:
			t.start()

	def _post(self, n):
		conn = http.client.HTTPConnection(*self.at, timeout=20)
		for k in range(self.each):
			call = f"{self.prefix}-{n}-{k}"
			try:
				conn.request("POST", PATH, json.dumps(cdr(call)), {"Content-Type": "application/json"})
				answer = conn.getresponse()
				body = json.loads(answer.read())
			except (OSError, http.client.HTTPException, ValueError):
				return
			with self.lock:
				if answer.status == 200 and body["success"]:
					self.taken[call] = body["cdr"]["id"]
				else:
					self.other.append((answer.status, body))
			if self.stopped:
				return

	def join(self):
		self.stopped = True
		for t in self.threads:
			t.join()

	def wait(self):
		for t in self.threads:
			t.join()
		return self


def test_a_cdr_is_answered_as_it_is_stored(c4d):
	api = Api(c4d)
	answer = api.ask("POST", PATH, cdr())
	assert answer.status == 200
	want = {"id": 1, "tenant_uuid": TENANT, "ipbx_id": None, "carrier_trunk_id": None, "source_ip": "10.9.0.1", "source_port": 5060,
		"from_uri": "sip:100@10.9.0.1", "to_uri": "sip:39040123456@sip.other.com", "call_id": "call-1",
		"call_start": "2026-11-21T03:40:00+00:00", "duration": 12}
	assert answer.json == {"success": True, "cdr": want}
	assert c4d.show("cdr") == [want]
	assert exported(c4d) == [want]
	answer = api.ask("POST", PATH, cdr("call-2", tenant_uuid=OTHER))
	assert (answer.status, answer.json["success"]) == (200, False)
	assert len(c4d.show("cdr")) == 1


def test_defect_7_the_tenant_id_that_routing_answers_is_taken_for_the_tenant(c4d):
	api = Api(c4d)
	tenant_id = api.route(auth="1", source="10.0.0.1", username="user", domain="sip.fabrikam.com")["auth"]["tenant_id"]
	assert tenant_id > 0
	for value in (tenant_id, str(tenant_id)):
		body = cdr(tenant_id=value, carrier_trunk_id=0, ipbx_id="1", duration="7", call_start="1795232400")
		del body["tenant_uuid"]
		got = api.ask("POST", PATH, body).json
		assert got["success"] is True
		assert got["cdr"]["tenant_uuid"] == TENANT and got["cdr"]["ipbx_id"] == 1 and got["cdr"]["carrier_trunk_id"] is None
		assert got["cdr"]["duration"] == 7 and got["cdr"]["call_start"] == "2026-11-21T03:40:00+00:00"


@pytest.mark.parametrize("change, status, where", [
	({"to_uri": None}, 422, "to_uri"), ({"from_uri": "a\r\nX: y"}, 422, "from_uri"), ({"duration": "long"}, 422, "duration"),
	({"source_ip": "1.2.3"}, 422, "source_ip"), ({"call_start": "soon"}, 422, "call_start")])
def test_what_is_wrong_is_said_and_not_stored(c4d, change, status, where):
	answer = Api(c4d).ask("POST", PATH, cdr(**change))
	assert answer.status == status and answer.json["detail"][0]["loc"] == ["body", where]
	assert c4d.show("cdr") == []


def test_2000_posted_at_once_are_all_stored_in_few_commits(c4d):
	commits = c4d.ctl("status", fmt="json").data["store"]["commits"]
	p = Posters(c4d, 16, 125).wait()
	assert not p.other and len(p.taken) == 2000
	assert sorted(p.taken.values()) == list(range(1, 2001))
	assert {r["call_id"]: r["id"] for r in exported(c4d)} == p.taken
	assert c4d.ctl("status", fmt="json").data["store"]["commits"] - commits < 2000


def test_what_was_answered_survives_a_kill(c4d):
	known = {}
	for life in range(3):
		p = Posters(c4d, 8, prefix=f"life{life}")
		until(lambda p=p: len(p.taken) > 200, 20, "200 are answered")
		c4d.kill()
		p.join()
		assert not p.other
		known.update(p.taken)
		c4d.start()
		got = exported(c4d)
		there = {r["call_id"]: r["id"] for r in got}
		assert {k: there.get(k) for k in known} == known
		ids = [r["id"] for r in got]
		assert ids == list(range(1, len(ids) + 1)) # none twice, none reused
		assert load(c4d, data()).rc == 0


def test_what_was_answered_survives_a_stop_in_the_middle(c4d):
	p = Posters(c4d, 16)
	until(lambda: len(p.taken) > 200, 20, "200 are answered")
	c4d.stop()
	p.join()
	c4d.start()
	there = {r["call_id"]: r["id"] for r in exported(c4d)}
	assert {k: there.get(k) for k in p.taken} == p.taken


def test_a_stop_answers_what_it_stores(c4d):
	"""Else Kamailio would send again what is stored. What comes later is refused, and not stored."""
	known = {}
	for life in range(5):
		p = Posters(c4d, 32, prefix=f"life{life}")
		until(lambda p=p: len(p.taken) > 200, 20, "200 are answered")
		c4d.stop()
		p.join()
		known.update(p.taken)
		assert {status for status, _ in p.other} <= {503}, p.other
		assert all("c4d is stopping" in body["detail"] for _, body in p.other), p.other
		c4d.start()
		assert {r["call_id"]: r["id"] for r in exported(c4d)} == known


def test_show_is_newest_first_and_narrowed(c4d):
	api = Api(c4d)
	assert load(c4d, data(tenants=[{"uuid": TENANT, "name": "fabrikam"}, {"uuid": OTHER, "name": "other"}])).rc == 0
	for n in range(30):
		assert api.ask("POST", PATH, cdr(f"call-{n}", tenant_uuid=OTHER if n % 10 == 0 else TENANT)).json["success"]
	def calls(*words):
		return [r["call_id"] for r in c4d.ctl("show", "cdr", *words, fmt="json").data]
	assert calls() == [f"call-{n}" for n in range(29, 9, -1)]
	assert calls("--last", "2") == ["call-29", "call-28"]
	assert calls("--tenant", OTHER) == ["call-20", "call-10", "call-0"]
	assert calls("--last=1", f"--tenant={OTHER}") == ["call-20"]
	assert calls("--call-id", "call-7") == ["call-7"]
	none = c4d.ctl("show", "cdr", "--call-id", "no")
	assert none.rc == 1 and "no such CDR" in none.err
	for words in (["--last", "0"], ["--last"], ["--what", "1"], ["call-7"]):
		assert c4d.ctl("show", "cdr", *words).rc == 2
	plain_ = c4d.ctl("show", "cdr", "--last", "3").out
	assert "sip:39040123456@sip.other.com" in plain_ and TENANT in plain_
	assert max(map(len, plain_.splitlines())) <= 80


def test_an_export_resumes_where_it_ended(c4d):
	p = Posters(c4d, 8, 400).wait() # several pages
	assert len(p.taken) == 3200
	everything = exported(c4d)
	assert [r["id"] for r in everything] == list(range(1, 3201))
	parts, after = [], 0
	while True:
		part = exported(c4d, "--after", str(after), "--limit", "1300")
		if not part:
			break
		parts += part
		after = part[-1]["id"]
	assert parts == everything
	text = c4d.ctl("cdr", "export", "--csv", "--limit", "1500").out
	rest = c4d.ctl("cdr", "export", "--csv", "--after", "1500").out
	rows = list(csv.DictReader(io.StringIO(text + rest, newline="")))
	assert [r["id"] for r in rows] == [str(r["id"]) for r in everything]
	assert rows[0] == {k: "" if v is None else str(v) for k, v in everything[0].items()}
	assert c4d.ctl("cdr", "export", "--after", "x").rc == 2


def test_an_export_that_is_not_read_keeps_nobody_waiting(c4d):
	"""Its output waits in c4ctl's pipe; c4d goes on meanwhile, and nothing of it is missing when it is read."""
	Posters(c4d, 8, 1000).wait()
	with subprocess.Popen([c4d.c4ctl, "-s", c4d.socket, "cdr", "export"], stdout=subprocess.PIPE, env=c4d.env()) as slow:
		first = slow.stdout.readline()
		assert json.loads(first)["id"] == 1
		assert Api(c4d).ask("POST", PATH, cdr("late")).json["cdr"]["id"] == 8001
		assert len(exported(c4d)) == 8001
		ids = [json.loads(line)["id"] for line in slow.stdout]
		assert ids[:7999] == list(range(2, 8001))
		assert slow.wait(10) == 0
	with subprocess.Popen([c4d.c4ctl, "-s", c4d.socket, "cdr", "export"], stdout=subprocess.PIPE, env=c4d.env()) as gone:
		gone.stdout.readline()
		gone.kill()
	assert c4d.ctl("status").rc in (0, 1)


def test_follow_goes_on_with_what_comes(c4d):
	api = Api(c4d)
	assert api.ask("POST", PATH, cdr("old")).json["success"]
	with subprocess.Popen([c4d.c4ctl, "-s", c4d.socket, "cdr", "export", "--follow"], stdout=subprocess.PIPE, env=c4d.env()) as tail:
		try:
			assert json.loads(tail.stdout.readline())["call_id"] == "old"
			for n in range(3):
				assert api.ask("POST", PATH, cdr(f"new-{n}")).json["success"]
				assert json.loads(tail.stdout.readline())["call_id"] == f"new-{n}"
			c4d.stop() # a follower does not hinder it
			assert tail.stdout.read() == b"" and tail.wait(10) != 0
		finally:
			tail.kill()


def test_the_oldest_go_when_there_are_too_many(c4d, plain):
	Posters(c4d, 4, 100).wait()
	c4d.write(merge(plain, {"routing": {"cdr": {"max": 50}}}))
	c4d.reload()
	until(lambda: len(exported(c4d)) == 50, 10, "50 are left")
	assert [r["id"] for r in exported(c4d)] == list(range(351, 401))
	Posters(c4d, 1, 30, prefix="q").wait()
	assert [r["id"] for r in exported(c4d)] == list(range(381, 431))
	c4d.restart()
	assert [r["id"] for r in exported(c4d)] == list(range(381, 431))


def test_a_full_store_refuses_and_loses_nothing(make_c4d, plain):
	tiny = merge(plain, {"store_size": "1M"})
	c = make_c4d(tiny).start()
	assert load(c, data()).rc == 0
	p = Posters(c, 4)
	until(lambda: p.other, 60, "the store is full")
	p.join()
	assert {status for status, _ in p.other} == {503}
	assert len(p.taken) > 500
	assert {r["call_id"]: r["id"] for r in exported(c)} == p.taken
	c.wait_log("cannot store CDRs: No space left")
	assert load(c, data(dids=[])).rc == 0 # there is room for all else
	c.write(merge(tiny, {"routing": {"cdr": {"max": 100}}}))
	c.reload()
	until(lambda: Api(c).ask("POST", PATH, cdr("again")).status == 200, 10, "it stores again")
	got = exported(c)
	assert got[-1]["call_id"] == "again" and got[-1]["id"] == max(p.taken.values()) + 1
	c.restart()
	assert exported(c)[-1]["call_id"] == "again"


class Receiver:
	"""Of forwarded CDRs: refuses the first `fail` requests with 503."""

	def __init__(self, ip, port, fail):
		self.got, self.fail, self.requests, self.lock = [], fail, 0, threading.Lock()
		receiver = self

		class Handler(http.server.BaseHTTPRequestHandler):
			protocol_version = "HTTP/1.1"

			def do_POST(self):
				body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
				with receiver.lock:
					receiver.requests += 1
					refused = receiver.requests <= receiver.fail
					if not refused:
						receiver.got.append(body)
				self.send_response(503 if refused else 200)
				self.send_header("Content-Length", "0")
				self.end_headers()

			def log_message(self, *args):
				pass

		self.server = http.server.ThreadingHTTPServer((ip, port), Handler)
		self.server.daemon_threads = True
		threading.Thread(target=self.server.serve_forever, daemon=True).start()

	def stop(self):
		self.server.shutdown()
		self.server.server_close()


def test_forwarding_loses_nothing_over_failures_and_kills(lab, make_c4d, plain):
	ip = lab.ip()
	port = lab.port(ip, 9700)
	c = make_c4d(merge(plain, {"routing": {"cdr": {"forward": f"http://{ip}:{port}/cdr"}}})).start()
	assert load(c, data()).rc == 0
	known = Posters(c, 4, 50, prefix="away").wait().taken # nobody receives yet
	assert len(known) == 200
	c.wait_log("forwarding does not go on")
	receiver = Receiver(ip, port, fail=10)
	try:
		for life in range(3):
			p = Posters(c, 4, prefix=f"life{life}")
			until(lambda p=p, life=life: len(p.taken) > 100 and len(receiver.got) > 100 * life, 30, "some came and some went on")
			c.kill()
			p.join()
			known.update(p.taken)
			c.start()
			assert load(c, data()).rc == 0
		until(lambda: {r["call_id"] for r in receiver.got} >= set(known), 30,
			lambda: f"all are forwarded: {len({r['call_id'] for r in receiver.got})} of {len(known)}")
		stored = {r["id"]: r for r in exported(c)}
		assert all(stored[r["id"]] == r for r in receiver.got)
		assert receiver.got[0]["id"] <= 20 # oldest first, but for those that were refused
		# what the receiver has had since the last kill comes again; when nothing is left of that, it does not
		until(lambda: c.show("routing")["cdr"]["behind"] == 0, 30, lambda: c.show("routing")["cdr"])
		before = len(receiver.got)
		c.restart()
		until(lambda: Api(c).ask("POST", PATH, cdr("last")).status == 200, 10, "the data is served again")
		until(lambda: any(r["call_id"] == "last" for r in receiver.got), 10, "the last came")
		assert len(receiver.got) - before < 20
	finally:
		receiver.stop()
