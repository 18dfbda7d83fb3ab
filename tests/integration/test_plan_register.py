"""`c4d plan` about what a machine registers: what a start would say to Consul's agent, which is asked and told nothing."""
import json
import os

from lab import Consul, merge, until
from lab.fake_ari import FakeAri
from lab.fake_consul_http import answer
from lab.registrar import FakeAgent, checks, has_state, is_gone, registering, section, services, statuses

TTL = {"type": "ttl", "ttl": "1h", "status": "passing"}


def plan(c4d):
	"""({(target, op, item): detail}, the exit status)."""
	got = c4d.plan("-f", "json")
	rows = json.loads(got.out)
	assert {r["where"] for r in rows} <= {"consul"}
	return {(r["target"], r["op"], r["item"]): r["detail"] for r in rows}, got.rc


def everything(agent):
	return services(agent), agent.http("GET", "/v1/agent/checks")


def test_what_it_would_register_keep_and_deregister(lab, consul, make_c4d):
	conf = registering(consul, {"sbc": section(port=5060, checks={"alive": TTL}), "rtp": section(port=22222), "old": section(port=1)},
		**{"register": {n: {"on_stop": "keep"} for n in ("sbc", "rtp", "old")}})
	c4d = make_c4d(conf)
	got = c4d.plan()
	assert got.rc == 1 and got.err == "", got.err
	for word in ("TARGET", "register.sbc", "consul", "register", "sbc-id", "10.0.0.1", "5060"):
		assert word in got.out, got.out
	assert max(map(len, got.out.splitlines())) <= 80, got.out
	assert services(consul) == {} and os.listdir(c4d.state) == []
	rows, rc = plan(c4d)
	assert (rc, set(rows)) == (1, {(f"register.{n}", "register", f"{n}-id") for n in ("sbc", "rtp", "old")})
	# what it says is what a start does
	c4d.start()
	for name in ("sbc", "rtp", "old"):
		has_state(c4d, name, "registered")
	rows, rc = plan(c4d)
	assert (rc, set(rows)) == (0, {(f"register.{n}", "keep", f"{n}-id") for n in ("sbc", "rtp", "old")}), "beside the daemon"
	got = c4d.plan()
	assert got.rc == 0 and got.out.startswith("no difference\n") and "keep" in got.out
	c4d.stop()
	before = everything(consul)
	c4d.write(merge(conf, {"register": {"old": None, "rtp": {"port": 22223, "tags": ["a"], "weight": 3, "meta": {"k": "v"}},
		"sbc": {"checks": {"alive": None, "other": TTL}}}}))
	rows, rc = plan(c4d)
	assert rc == 1 and set(rows) == {("register.sbc", "change", "sbc-id"), ("register.sbc", "remove check", "sbc-id:alive"),
		("register.rtp", "change", "rtp-id"), ("register", "deregister", "old-id")}
	assert rows["register.rtp", "change", "rtp-id"] == \
		'port 22222 becomes 22223; tags [] becomes ["a"]; weight Passing 1 becomes 3; meta k none becomes "v"'
	assert "check other is added" in rows["register.sbc", "change", "sbc-id"]
	assert everything(consul) == before, "nothing was changed"
	c4d.start()
	is_gone(consul, "old-id", 12)
	until(lambda: list(statuses(consul, "sbc-id")) == ["sbc-id:other"], 12, lambda: str(statuses(consul, "sbc-id")))
	until(lambda: services(consul)["rtp-id"]["Port"] == 22223, 5, lambda: str(services(consul)))
	until(lambda: plan(c4d)[1] == 0, 5, lambda: str(plan(c4d)))


def test_all_that_the_agent_shows_is_compared(consul, make_c4d):
	"""Nothing of a full section looks different from itself."""
	c4d = make_c4d(registering(consul, {"sbc": section("192.0.2.7", name="edge", tags=["b", "a"], weight=7, weight_warning=2,
		meta={"site": "lab 1"}, tagged_addresses={"wan": {"address": "192.0.2.1", "port": 5070}}, eid="12:34",
		dispatcher={"group": 1, "weight": 50}, checks={"a": TTL, "b": TTL}), "six": section("2001:DB8::1", enable_tag_override=True),
		"own": {"id": "own-id", "port": 1, "when": "now"}})).start()
	for name in ("sbc", "six", "own"):
		has_state(c4d, name, "registered")
	rows, rc = plan(c4d)
	assert rc == 0, rows
	s = services(consul)["sbc-id"]
	body = {"ID": "sbc-id", "Name": "edge", "Address": s["Address"], "Port": s["Port"], "Tags": ["b"], "Meta": {**s["Meta"], "more": "1"},
		"Weights": s["Weights"], "TaggedAddresses": {"lan": {"Address": "192.0.2.9", "Port": 1}}}
	c4d.stop()
	consul.http("PUT", "/v1/agent/service/register", body)
	detail = plan(c4d)[0]["register.sbc", "change", "sbc-id"]
	for word in ('tags ["b"] becomes ["b","a"]', "tagged address wan none becomes", "tagged address lan", 'meta more "1" becomes none'):
		assert word in detail, detail


def test_what_must_wait_and_what_is_left_alone(lab, consul, make_c4d):
	ari = FakeAri(lab)
	password = lab.path("ari")
	with open(password, "w") as f:
		f.write(ari.password)
	consul.http("PUT", "/v1/agent/service/register", {"ID": "taken-id", "Name": "taken", "Meta": {"c4d-machine": "another"}})
	c4d = make_c4d(registering(consul, {"taken": section(), "ast": section(id="ast-{eid}", eid="asterisk"),
		"nic": section(address="{ip:nosuch9}")}, ari={"url": ari.url, "user": ari.user, "password_file": password}))
	rows, rc = plan(c4d)
	assert rc == 0 and set(rows) == {("register.taken", "leave alone", "taken-id"), ("register.ast", "wait", ""),
		("register.nic", "wait", "nic-id")}, rows
	assert "another machine" in rows["register.taken", "leave alone", "taken-id"]
	assert "Asterisk has not said it yet" in rows["register.ast", "wait", ""] and "nosuch9" in rows["register.nic", "wait", "nic-id"]
	ari.start()
	rows, rc = plan(c4d)
	assert rc == 1 and ("register.ast", "register", f"ast-{ari.eid}") in rows


def test_healthy_is_said(lab, consul, make_c4d):
	c4d = make_c4d(registering(consul, {"sbc": section(when="healthy", checks={
		"up": {"type": "exec", "command": ["/bin/true"]}, "more": {"type": "exec", "command": ["/bin/true"]}})}))
	detail = plan(c4d)[0]["register.sbc", "register", "sbc-id"]
	assert detail == "as sbc at 10.0.0.1 port 5060; when up, more have passed"


def test_maintenance(consul, make_c4d):
	"""An operator's stays with a start; what c4d left when it stopped ends with it."""
	c4d = make_c4d(registering(consul, {"sbc": section(on_stop="keep"), "rtp": section(on_stop="maintenance")})).start()
	for name in ("sbc", "rtp"):
		has_state(c4d, name, "registered")
	assert c4d.ctl("maintenance", "on", "sbc", "--reason", "disk").rc == 0
	c4d.stop()
	assert len(checks(consul, "rtp-id")) == len(checks(consul, "sbc-id")) == 1
	rows, rc = plan(c4d)
	assert rc == 1 and set(rows) == {("register.sbc", "keep", "sbc-id"), ("register.rtp", "end maintenance", "rtp-id")}
	assert "c4ctl maintenance off" in rows["register.sbc", "keep", "sbc-id"]
	c4d.start()
	has_state(c4d, "sbc", "maintenance")
	until(lambda: checks(consul, "rtp-id") == {}, 12, "it has ended")


def test_no_agent(lab, make_c4d):
	consul = Consul(lab)
	c4d = make_c4d(registering(consul, {"sbc": section()}))
	got = c4d.plan()
	assert got.rc == 4, got.out
	assert "Consul's agent can't be asked" in got.err and "not compared" in got.err
	# one that registers nothing needs none
	c4d.write(registering(consul, {}))
	got = c4d.plan()
	assert (got.rc, got.out, got.err) == (0, "no difference\n", "")


def test_an_agent_that_lies(lab, make_c4d):
	fake = FakeAgent(lab)
	c4d = make_c4d(registering(fake, {"sbc": section()}))
	assert plan(c4d)[1] == 1
	assert {q.method for q in fake.queries} == {"GET"} and len(fake.queries) == 2, "asked once, told nothing"
	for lie in (b"<html>", b"[]", b'{"a": 1'):
		fake.lie = lambda q, lie=lie: answer(lie)
		got = c4d.plan()
		assert got.rc == 4 and "can't be asked" in got.err, got.err
	fake.lie = lambda q: answer(b"Permission denied", status="403 Forbidden")
	got = c4d.plan()
	assert got.rc == 4 and "HTTP 403" in got.err
