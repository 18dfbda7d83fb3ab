"""
`wake: index`: with an interval of 10 s, what is seen within a second is the wake-up's doing. And whatever Consul's HTTP
port does, only speed is lost.
"""
import os
import statistics
import time

import pytest

from lab import Consul, Sbc, base_config, holds, merge, until
from lab.cluster import Cluster
from lab.fake_consul_http import Close, Endless, FakeConsulHttp, Hang, Slow, answer
from lab.rig import Rig
from lab.service import problems, waits, wake

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def sbc(lab):
	"""Its window is the shortest, so that what is waited for is not the window."""
	return Sbc(lab, reload_delta=1).start()


def woken_by(http, interval="10s", **more):
	return merge({"consul": {"http": http, "wake": "index"}, "services": {"router": {"interval": interval}}}, more)


def within(cond, limit, what):
	"""How long it took, in seconds."""
	begin = time.monotonic()
	until(cond, limit, what, every=0.001)
	return time.monotonic() - begin


def test_changes_are_seen_at_once(lab, consul, sbc, make_c4d):
	r = Rig(lab, consul, sbc, make_c4d, over=woken_by(consul.http_addr))
	first = r.add()
	r.start(first)
	waits(r.c4d)
	took = []
	for _ in range(3):
		r.quiet()
		uri = r.add()
		took.append(within(lambda: uri in sbc.listed(), 3, f"{uri} is listed"))
		r.quiet()
		consul.failing(r.sids[uri])
		took.append(within(lambda: uri in sbc.disabled(), 1, f"{uri} is out"))
		consul.passing(r.sids[uri])
		took.append(within(lambda: uri not in sbc.disabled(), 1, f"{uri} is back"))
	# far below the interval; how far is the bench's business
	assert statistics.median(took) < 0.1, took
	w = wake(r.c4d)
	assert w["wakes"] >= 9 and w["wake_rounds"] < 6 * w["wakes"]
	assert w["wake_why"] is None
	assert "lost" not in r.c4d.log()


def test_a_service_comes_and_its_tags_and_weights_change(lab, consul, sbc, make_c4d):
	"""From nothing: the index of a service without any instance is everybody's."""
	r = Rig(lab, consul, sbc, make_c4d, over=woken_by(consul.http_addr, services={"router": {"tags": ["primary"]}}))
	r.c4d.start()
	waits(r.c4d)
	address = lab.ip()
	sid = consul.register("router", address, 5060)
	within(lambda: r.c4d.states() == {f"{address}:5060": "up"}, 1, "the first instance")
	consul.register("router", address, 5060, id=sid, tags=["primary"])
	within(lambda: r.c4d.instances()[f"{address}:5060"]["tags"] == ["primary"], 1, "its tag")
	consul.register("router", address, 5060, id=sid, weight=7)
	within(lambda: r.c4d.instances()[f"{address}:5060"]["weight"] == 7, 1, "its weight")


def test_upper_case_at_consul(lab, consul, sbc, make_c4d):
	"""DNS and so our names have no case; Consul's services do, and are found all the same."""
	r = Rig(lab, consul, sbc, make_c4d, over=woken_by(consul.http_addr))
	first = r.add(service="Router")
	r.start(first)
	waits(r.c4d)
	second = r.add(service="Router")
	within(lambda: second in sbc.listed(), 3, f"{second} is listed")


def test_changes_of_others_are_no_storm(lab, consul, sbc, make_c4d):
	"""`router` has an instance and is left alone; `empty` has none, is woken, and asks within its limits."""
	r = Rig(lab, consul, sbc, make_c4d, over=woken_by(consul.http_addr, services={"empty": {"interval": "10s"}}))
	r.start(r.add())
	waits(r.c4d)
	waits(r.c4d, "empty")
	router, empty = wake(r.c4d), wake(r.c4d, "empty")
	begin = time.monotonic()
	for i in range(150):
		consul.register("other", "10.1.1.1", 1000 + i)
	seconds = time.monotonic() - begin + 2
	time.sleep(1)
	assert wake(r.c4d)["wakes"] == router["wakes"]
	now = wake(r.c4d, "empty")
	assert now["wakes"] > empty["wakes"]
	assert now["wake_queries"] - empty["wake_queries"] <= 22 + 2 * seconds
	assert now["wake_rounds"] - empty["wake_rounds"] <= 20 * (seconds + 1)


def test_agent_killed_and_restarted(lab, consul, sbc, make_c4d):
	r = Rig(lab, consul, sbc, make_c4d, over=woken_by(consul.http_addr))
	uris = [r.add() for _ in range(2)]
	r.start(*uris)
	waits(r.c4d)
	consul.kill()
	r.c4d.wait_log(r"wake: lost \(router: .*only speed is lost; DNS is asked by the clock")
	assert wake(r.c4d)["wake"] == "lost"
	assert wake(r.c4d)["wake_why"]
	holds(lambda: sbc.enabled() == set(uris), 2, "nothing is lost in Kamailio")
	plain = r.c4d.ctl("show", "dns").out
	assert "lost" in plain and max(map(len, plain.splitlines())) <= 80
	consul.start()
	r.c4d.wait_log(r"wake: back after", 30)
	waits(r.c4d)
	consul.passing(r.sids[uris[0]])  # TTL checks are critical after a restart until they pass
	consul.passing(r.sids[uris[1]])
	within(lambda: sbc.enabled() == set(uris), 5, "both are in again")
	third = r.add()
	within(lambda: third in sbc.listed(), 3, f"{third} is listed")
	assert r.c4d.log().count("wake: lost") == 1


def test_nobody_listens_at_the_port(lab, consul, sbc, make_c4d):
	"""The clock alone: DNS is as good as ever."""
	nobody = f"http://{consul.ip}:{lab.port(consul.ip, 19500)}"
	r = Rig(lab, consul, sbc, make_c4d, over=woken_by(nobody, interval="300ms"))
	r.start(r.add())
	r.c4d.wait_log("wake: lost")
	second = r.add()
	until(lambda: second in sbc.listed(), 5, f"{second} is listed")
	assert "cannot connect to" in wake(r.c4d)["wake_why"]
	assert wake(r.c4d)["wake_queries"] < 20
	assert r.c4d.log().count("wake: lost") == 1


def test_reload_turns_it_on_and_off(lab, consul, sbc, make_c4d):
	r = Rig(lab, consul, sbc, make_c4d, over={"services": {"router": {"interval": "10s"}}})
	r.start(r.add())
	assert wake(r.c4d)["wake"] == "off"
	r.c4d.write(merge(r.conf, woken_by(consul.http_addr)))
	r.c4d.reload()
	until(lambda: wake(r.c4d)["wake"] == "waiting", 5, "the reload's effect")
	waits(r.c4d)
	second = r.add()
	within(lambda: second in sbc.listed(), 3, f"{second} is listed")
	r.c4d.write(r.conf)
	r.c4d.reload()
	until(lambda: wake(r.c4d)["wake"] == "off", 5, "the reload's effect")
	assert r.c4d.log().count("reloaded") == 2


def test_check_says_what_it_needs(lab, consul, sbc, make_c4d):
	"""A name would have to be looked up, which can hang."""
	c4d = make_c4d(base_config(consul, sbc, consul={"http": "https://localhost:8501", "wake": "index"}))
	got = c4d.check()
	assert got.rc == 3
	assert "write the address in digits" in got.out + got.err


def test_the_token_is_read_anew(lab, sbc, make_c4d):
	consul = Consul(lab, acl=True).start()
	consul.allow_dns()
	good = consul.make_token('node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }')
	path = lab.path("consul.token")

	def write(token):
		with open(path + ".new", "w") as f:
			f.write(token + "\n")
		os.replace(path + ".new", path)
	write(good)
	r = Rig(lab, consul, sbc, make_c4d, over=woken_by(consul.http_addr, consul={"token_file": path}))
	r.start(r.add())
	waits(r.c4d)
	write("c4d00000-0000-4000-8000-00000000dead")
	r.add()  # wakes it: the next query has the new token, which Consul does not know
	until(lambda: wake(r.c4d)["wake"] == "lost", 10, lambda: f"the wrong token shows: {wake(r.c4d)}")
	assert "HTTP 403: ACL not found" in wake(r.c4d)["wake_why"]
	os.unlink(path)
	until(lambda: path in (wake(r.c4d)["wake_why"] or ""), 20, lambda: f"the missing file shows: {wake(r.c4d)}")
	write(good)
	waits(r.c4d, timeout=30)
	third = r.add()
	within(lambda: third in sbc.listed(), 3, f"{third} is listed")


def test_a_lost_leader_is_known(lab, sbc, make_c4d):
	"""DNS answers as if all were well. c4d knows after a minute at most, and within seconds when a leader is back."""
	cluster = Cluster(lab).start()
	r = Rig(lab, cluster.agent, sbc, make_c4d, over=woken_by(cluster.agent.http_addr, interval="500ms"))
	uris = [r.add() for _ in range(2)]
	r.start(*uris)
	waits(r.c4d)
	assert not problems(r.c4d, "leader")
	cluster.kill_servers(2)
	until(lambda: problems(r.c4d, "leader"), 80, lambda: f"the loss is known: {wake(r.c4d)}\n{r.c4d.proc.log_tail()}")
	problem, = problems(r.c4d, "leader")
	assert "Consul has no leader since 20" in problem["problem"] and "changes wait" in problem["problem"]
	assert "start the servers that are down" in problem["hint"]
	assert wake(r.c4d)["wake_why"]
	assert cluster.listed("router"), "DNS says nothing of it"
	assert sbc.enabled() == set(uris)
	got = r.c4d.ctl("status")
	assert got.rc == 1 and "no leader" in got.out and max(map(len, got.out.splitlines())) <= 80
	cluster.start_servers()
	until(lambda: not problems(r.c4d, "leader"), 30, lambda: f"a leader is back: {wake(r.c4d)}\n{r.c4d.proc.log_tail()}")
	waits(r.c4d, timeout=30)
	assert r.c4d.log().count("wake: lost") <= 2
	third = r.add()
	within(lambda: third in sbc.listed(), 5, f"{third} is listed")
	assert sbc.enabled() == {*uris, third}


def test_one_connection_per_service(lab, consul, sbc, make_c4d):
	fake = FakeConsulHttp(lab)
	r = Rig(lab, consul, sbc, make_c4d, over=woken_by(fake.url, services={
		"two": {"interval": "10s"}, "same": {"interval": "10s", "names": ["two.service.consul", "q.query.consul"]}}))
	r.c4d.start()
	waits(r.c4d)
	waits(r.c4d, "two")
	for _ in range(20):
		fake.move()
		fake.asked(2)
	assert fake.connections == 2
	assert {q.target.split("?")[0] for q in fake.queries} == {"/v1/health/service/router", "/v1/health/service/two"}
	assert all("filter=Service.ID%20%3D%3D%20%22-%22" in q.target and "stale" in q.target for q in fake.queries)
	assert all(("wait=60s" in q.target) == (q.index is not None) and q.index != 0 for q in fake.queries)
	rows = {x["name"]: x["wake"] for x in r.c4d.show("dns")}
	assert rows["q.query.consul"] == "off" and rows["two.service.consul"] == "waiting"


# How the port may lie, and the most queries that this may bring in 5 s: with each failure the back-off doubles; an
# index that moves all the time is believed, at the pace of the long run.
LIES = {
	"closes": (lambda q: Close(), 12),
	"resets": (lambda q: Close(reset=True), 12),
	"500": (lambda q: answer(b"No cluster leader", status="500 Internal Server Error"), 12),
	"no index": (lambda q: answer(), 12),
	"no leader": (lambda q: answer(index=q.index or 7, more="X-Consul-KnownLeader: false\r\n"), 12),
	"index 0": (lambda q: answer(index=0), 12),
	"index is text": (lambda q: answer(index="12x"), 12),
	"index too large": (lambda q: answer(index=10 ** 30), 12),
	"nothing new, at once": (lambda q: answer(index=q.index or 7), 12),
	"garbage": (lambda q: b"\0\1\2 what?\r\n\r\n", 12),
	"another protocol": (lambda q: Close(b"SSH-2.0-OpenSSH\r\n"), 12),
	"half an answer": (lambda q: Close(answer(index=8)[:-2]), 12),
	"huge body": (lambda q: answer(b"x" * 5_000_000, index=9), 12),
	"endless header": (lambda q: Endless(HEAD, b"X-More: of it\r\n"), 12),
	"endless chunks": (lambda q: Endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nabcde\r\n"), 12),
	"never answers": (lambda q: Hang(), 2),
	"slow bytes": (lambda q: Slow(answer(index=10), 1.0), 2),
	"index moves on and on": (lambda q: answer(index=(q.index or 0) + 1), 32),
	"index back and forth": (lambda q: answer(index=50 if q.index else 100), 32),
	"two answers to one query": (lambda q: answer(index=q.index or 7) + answer(index=99), 32),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_cost_only_speed(lab, consul, sbc, make_c4d, lie):
	say, most = LIES[lie]
	fake = FakeConsulHttp(lab)
	r = Rig(lab, consul, sbc, make_c4d, over=woken_by(fake.url, interval="500ms"))
	uris = [r.add() for _ in range(2)]
	r.start(*uris)
	waits(r.c4d)
	fake.tell_lies(say)
	fake.move()
	time.sleep(0.5)
	asked, cpu, begin = len(fake.queries), r.c4d.proc.cpu_s(), time.monotonic()
	third = r.add()
	until(lambda: third in sbc.listed(), 5, f"{third} is listed, by the clock")
	holds(lambda: sbc.enabled() == {*uris, third}, max(0.1, begin + 5 - time.monotonic()), "all is as DNS says", every=0.2)
	assert len(fake.queries) - asked <= most, [q.target for q in fake.queries[asked:]]
	assert r.c4d.proc.cpu_s() - cpu < 1.5, "no busy loop"
	assert wake(r.c4d)["failures"] == 0
	# lost and back may alternate where half of what it says is right, but not with every query
	assert r.c4d.log().count("wake: lost") <= 4
	# honest again
	if lie in ("never answers", "slow bytes"):
		return  # the deadline of a blocking query is a minute away
	fake.tell_lies(None)
	waits(r.c4d, timeout=30)
	wakes = wake(r.c4d)["wakes"]
	fake.move(1000)
	until(lambda: wake(r.c4d)["wakes"] > wakes, 5, "it wakes again")


def test_many_losses_leave_nothing_behind(lab, consul, sbc, make_c4d):
	fake = FakeConsulHttp(lab)
	r = Rig(lab, consul, sbc, make_c4d, over=woken_by(fake.url))
	r.start(r.add())
	waits(r.c4d)

	def fds():
		return len(os.listdir(f"/proc/{r.c4d.proc.pid}/fd"))
	before = fds()
	for reset in (False, True, False, True):
		fake.tell_lies(lambda q, reset=reset: Close(reset=reset))
		until(lambda: wake(r.c4d)["wake"] == "lost", 10, "lost")
		fake.tell_lies(None)
		waits(r.c4d)
	assert fds() <= before
