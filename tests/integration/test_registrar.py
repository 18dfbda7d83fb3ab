"""
The registrar against the real Consul: what is configured is at the agent, in the catalog and in DNS, whatever happens to the
agent, to c4d and to the service; and nothing that is not c4d's is touched.
"""
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from lab import Consul, HttpError, LabError, holds, merge, pair, until
from lab.fake_ari import FakeAri
from lab.fake_consul_http import Endless, Hang, Slow, answer
from lab.registrar import (FakeAgent, Switch, checks, has_state, is_gone, is_registered, registering, row, section, services,
	statuses)


class Relay:
	"""Another address of an agent."""

	def __init__(self, lab, agent):
		self.to, self.served, self.ends = (agent.ip, agent.http_port), 0, []
		ip = lab.ip()
		self.listener = socket.create_server((ip, 0))
		self.url = f"http://{ip}:{self.listener.getsockname()[1]}"
		lab.cleanups.append(self.stop)
		threading.Thread(target=self._run, daemon=True).start()

	def _run(self):
		try:
			while True:
				here = self.listener.accept()[0]
				there = socket.create_connection(self.to)
				self.ends += [here, there]
				self.served += 1
				for a, b in ((here, there), (there, here)):
					threading.Thread(target=self._copy, args=(a, b), daemon=True).start()
		except OSError:
			pass

	@staticmethod
	def _copy(a, b):
		try:
			while data := a.recv(1 << 16):
				b.sendall(data)
			b.shutdown(socket.SHUT_WR)
		except OSError:
			pass

	def stop(self):
		for s in (self.listener, *self.ends):
			s.close()


CYCLE = 10.5  # of a list and of each registration's repetition, at most


def in_dns(agent, service, *addrs, timeout=5):
	until(lambda: agent.srv(service).instances() == set(addrs), timeout,
		lambda: f"DNS lists {addrs} for {service}: {agent.srv(service).instances()}")


# ---- registering ----

def test_all_of_a_section_is_registered(lab, consul, make_c4d):
	ip = lab.ip()  # where nobody listens
	c4d = make_c4d(registering(consul, {"sbc": section(
		ip, name="edge", tags=["kamailio", "a b"], weight=7, weight_warning=2, meta={"site": "lab 1"},
		tagged_addresses={"wan": {"address": "192.0.2.1", "port": 5070}}, enable_tag_override=True, eid="12:34",
		checks={"web": {"type": "http", "url": "http://{address}:9601/status", "interval": "1h", "status": "passing"},
			"port": {"type": "tcp", "to": "{address}:{port}", "interval": "1h"},
			"script": {"type": "ttl", "ttl": "30s", "status": "warning"}})})).start()
	has_state(c4d, "sbc", "registered")
	s = services(consul)["sbc-id"]
	assert (s["Service"], s["Address"], s["Port"], s["Tags"]) == ("edge", ip, 5060, ["kamailio", "a b"])
	assert s["Weights"] == {"Passing": 7, "Warning": 2} and s["EnableTagOverride"] is True
	assert s["TaggedAddresses"]["wan"] == {"Address": "192.0.2.1", "Port": 5070}
	assert s["Meta"]["site"] == "lab 1" and s["Meta"]["eid"] == "12:34" and len(s["Meta"]["c4d-machine"]) == 32
	assert statuses(consul, "sbc-id") == {"sbc-id:web": "passing", "sbc-id:port": "critical", "sbc-id:script": "warning"}
	until(lambda: row(c4d, "sbc")["agent"] == "critical", 5, "the worst of its checks shows")
	until(lambda: row(c4d, "sbc")["dns"] == "hidden" and row(c4d, "sbc")["catalog"] == "critical", 10,
		lambda: f"as it should be: {row(c4d, 'sbc')}")
	mine = row(c4d, "sbc")
	assert (mine["id"], mine["service"], mine["address"], mine["port"], mine["eid"]) == ("sbc-id", "edge", ip, 5060, "12:34")
	assert mine["why"] is None and mine["asserted"] and mine["puts"] >= 1
	shown = {r["check"]: r for r in c4d.show("checks")}
	until(lambda: {r["check"]: r["agent"] for r in c4d.show("checks")} == {"web": "passing", "port": "critical", "script": "warning"},
		5, lambda: str(c4d.show("checks")))
	assert not any(r["ours"] for r in shown.values()) and shown["web"]["check_id"] == "sbc-id:web"


def test_not_before_its_checks_are_good(lab, consul, make_c4d):
	one, two = Switch(lab, "one", up=False), Switch(lab, "two")
	c4d = make_c4d(registering(consul, {
		"sbc": section(when="healthy", checks={"one": one.check(), "two": two.check()}),
		"rtp": section(port=22222)})).start()
	is_registered(consul, "rtp-id")
	holds(lambda: "sbc-id" not in services(consul), 1, "it is not there before both have passed")
	assert row(c4d, "sbc")["state"] == "waiting" and "first good answer" in row(c4d, "sbc")["why"]
	one.set(True)
	is_registered(consul, "sbc-id", 2)
	until(lambda: statuses(consul, "sbc-id") == {"sbc-id:one": "passing", "sbc-id:two": "passing"}, 2, "both are passing")
	in_dns(consul, "sbc", ("10.0.0.1", 5060))
	until(lambda: row(c4d, "sbc")["dns"] == "listed" and row(c4d, "sbc")["catalog"] == "passing", 10, lambda: str(row(c4d, "sbc")))


def test_now_is_at_once_and_a_status_goes_at_once(lab, consul, make_c4d):
	sw = Switch(lab, up=False)
	c4d = make_c4d(registering(consul, {"sbc": section(checks={"run": sw.check()})})).start()
	is_registered(consul, "sbc-id", 2)
	assert statuses(consul, "sbc-id") == {"sbc-id:run": "critical"}
	sw.set(True)
	in_dns(consul, "sbc", ("10.0.0.1", 5060))
	took = []
	for _ in range(3):
		begin = time.monotonic()
		sw.set(False)
		until(lambda: statuses(consul, "sbc-id")["sbc-id:run"] == "critical", 2, "Consul knows", every=0.005)
		took.append(time.monotonic() - begin)
		sw.set(True)
		until(lambda: statuses(consul, "sbc-id")["sbc-id:run"] == "passing", 2, "Consul knows", every=0.005)
	assert min(took) < 0.2 + 0.2, took  # the check's interval, and what the machine needs besides
	out = checks(consul, "sbc-id")["sbc-id:run"]["Output"]
	assert "exit" in out, out
	sw.set(False)
	until(lambda: (r := c4d.show("checks")[0])["status"] == r["agent"] == "critical" and r["output"] and r["checked"], 5,
		lambda: str(c4d.show("checks")))
	assert c4d.log().count("registered as") == 1


def test_consul_is_told_again_and_again(consul, make_c4d):
	"""A TTL check of c4d's does not run out, though nothing changes."""
	c4d = make_c4d(registering(consul, {"sbc": section(
		checks={"run": {"type": "exec", "command": ["/bin/true"], "interval": "1s", "timeout": "900ms"}})})).start()
	in_dns(consul, "sbc", ("10.0.0.1", 5060))
	holds(lambda: statuses(consul, "sbc-id")["sbc-id:run"] == "passing", 14, "its TTL is 10 s", every=0.2)
	assert row(c4d, "sbc")["puts"] >= 2


def test_what_drifts_is_repaired(lab, make_c4d):
	server, agent = pair(lab)
	c4d = make_c4d(registering(agent, {"sbc": section()})).start()
	in_dns(agent, "sbc", ("10.0.0.1", 5060))
	node = server.http("GET", "/v1/catalog/service/sbc")[0]["Node"]
	server.http("PUT", "/v1/catalog/deregister", {"Node": node, "ServiceID": "sbc-id"})
	until(lambda: not server.srv("sbc").srv, 2, "the catalog has lost it")
	in_dns(server, "sbc", ("10.0.0.1", 5060), timeout=CYCLE + 2)  # the agent's own repair takes a minute and more
	# somebody changes it at the agent
	agent.http("PUT", "/v1/agent/service/register", {"ID": "sbc-id", "Name": "sbc", "Address": "10.9.9.9", "Port": 1,
		"Checks": [{"CheckID": "strange", "TTL": "1h", "Status": "passing"}]})
	until(lambda: services(agent)["sbc-id"]["Address"] == "10.0.0.1" and not checks(agent, "sbc-id"), CYCLE + 2,
		lambda: f"as configured, without a strange check: {services(agent)} {checks(agent, 'sbc-id')}")
	# and takes it away
	agent.deregister("sbc-id")
	is_registered(agent, "sbc-id", CYCLE + 2)
	has_state(c4d, "sbc", "registered")


def test_tags_that_others_set_stay(consul, make_c4d):
	"""enable_tag_override: what is as it should be at the agent is not put again; what is not, is."""
	make_c4d(registering(consul, {"sbc": section(tags=["ours"], enable_tag_override=True)})).start()
	in_dns(consul, "sbc", ("10.0.0.1", 5060))
	there = lambda: consul.http("GET", "/v1/catalog/service/sbc")[0]  # noqa: E731
	consul.http("PUT", "/v1/catalog/register", {"Node": there()["Node"], "Address": there()["Address"], "SkipNodeUpdate": True,
		"Service": {"ID": "sbc-id", "Service": "sbc", "Tags": ["theirs"], "Address": "10.0.0.1", "Port": 5060,
			"EnableTagOverride": True}})
	holds(lambda: there()["ServiceTags"] == ["theirs"], CYCLE + 2, "the tags are theirs")
	consul.deregister("sbc-id")
	is_registered(consul, "sbc-id", CYCLE + 2)


# ---- the agent comes and goes ----

def test_agent_restarted_with_and_without_its_data(lab, make_c4d):
	_server, agent = pair(lab)
	sw = Switch(lab)
	c4d = make_c4d(registering(agent, {"sbc": section(checks={"run": sw.check()}), "rtp": section(port=22222)})).start()
	in_dns(agent, "sbc", ("10.0.0.1", 5060))
	assert agent.stop() == 0
	c4d.wait_log("Consul's agent is lost", 20)
	has_state(c4d, "sbc", "unreachable")
	assert any("agent is lost" in p["problem"] for p in c4d.ctl("status", fmt="json").data["problems"])
	agent.start()
	until(lambda: statuses(agent, "sbc-id").get("sbc-id:run") == "passing", 12, "told again, though nothing had changed")
	c4d.wait_log("agent is back after")
	has_state(c4d, "sbc", "registered")
	assert agent.stop() == 0  # it leaves: the node may come back as another one
	agent.wipe()
	sw.set(False)
	agent.start()
	until(lambda: statuses(agent, "sbc-id") == {"sbc-id:run": "critical"} and "rtp-id" in services(agent), 12,
		lambda: f"both are registered anew, with their present status: {services(agent)}")
	# a repetition may have been first, and repaired the one or the other unseen
	until(lambda: row(c4d, "sbc")["forgotten"] + row(c4d, "rtp")["forgotten"] in (1, 2), 5, lambda: str(c4d.show("registrations")))
	c4d.wait_log("the agent forgot it")
	sw.set(True)
	in_dns(agent, "sbc", ("10.0.0.1", 5060))
	assert c4d.log().count("agent is lost") in (1, 2), "once each time that it was noticed at all"


def test_agent_down_at_the_start(lab, consul, make_c4d):
	consul.stop()
	c4d = make_c4d(registering(consul, {"sbc": section(when="healthy", checks={"run": Switch(lab).check()})})).start()
	has_state(c4d, "sbc", "unreachable")
	assert "cannot connect" in row(c4d, "sbc")["why"]
	cpu = c4d.proc.cpu_s()
	time.sleep(4)
	assert c4d.proc.cpu_s() - cpu < 1.0
	consul.start()
	is_registered(consul, "sbc-id", 8)
	has_state(c4d, "sbc", "registered")
	assert c4d.log().count("agent is lost") == 1


def test_servers_that_hang(lab, make_c4d):
	"""As long as the agent takes them for alive, a register call hangs with them (1.8.7). All is told as soon as it can be."""
	server, agent = pair(lab)
	sw = Switch(lab)
	c4d = make_c4d(registering(agent, {"sbc": section(checks={"run": sw.check()})}, consul={"stop_timeout": "2s"})).start()
	in_dns(agent, "sbc", ("10.0.0.1", 5060))
	server.pause()
	c4d.write(registering(agent, {"sbc": section(tags=["new"], checks={"run": sw.check()})}, consul={"stop_timeout": "2s"}))
	c4d.reload()
	sw.set(False)
	time.sleep(6)
	assert row(c4d, "sbc")["state"] in ("registered", "pending", "unreachable")
	server.resume()
	in_dns(server, "sbc", timeout=20)
	until(lambda: services(agent)["sbc-id"]["Tags"] == ["new"], 10, lambda: str(services(agent)))
	sw.set(True)
	in_dns(server, "sbc", ("10.0.0.1", 5060))
	has_state(c4d, "sbc", "registered")


def test_agent_that_hangs(consul, make_c4d):
	c4d = make_c4d(registering(consul, {"sbc": section()})).start()
	in_dns(consul, "sbc", ("10.0.0.1", 5060))
	consul.pause()
	c4d.wait_log("agent is lost", 30)
	consul.resume()
	c4d.wait_log("agent is back", 15)
	has_state(c4d, "sbc", "registered")


# ---- what is not c4d's own ----

def another_machines(agent, sid="sbc-id"):
	agent.http("PUT", "/v1/agent/service/register", {"ID": sid, "Name": "sbc", "Address": "10.7.7.7", "Port": 7,
		"Meta": {"c4d-machine": "ab" * 16}, "Checks": [{"CheckID": f"{sid}:run", "TTL": "1h", "Status": "passing"},
			{"CheckID": "theirs", "TTL": "1h", "Status": "passing"}]})
	return services(agent)[sid], statuses(agent, sid)


def test_another_machines_registration_is_left_alone(lab, consul, make_c4d):
	"""A cloned VM: its agent still has what its parent registered."""
	before = another_machines(consul)
	sw = Switch(lab, up=False)
	c4d = make_c4d(registering(consul, {"sbc": section(checks={"run": sw.check()}), "rtp": section(port=22222)})).start()
	is_registered(consul, "rtp-id")
	has_state(c4d, "sbc", "failed")
	assert "registered by another machine (sbc-id)" in row(c4d, "sbc")["why"]
	c4d.ctl("maintenance", "on", "sbc")
	sw.set(True)
	holds(lambda: (services(consul)["sbc-id"], statuses(consul, "sbc-id")) == before, CYCLE + 2, "nothing of it changes", every=0.5)
	c4d.ctl("maintenance", "off", "sbc")
	c4d.restart()
	has_state(c4d, "sbc", "failed")
	c4d.stop()
	assert (services(consul)["sbc-id"], statuses(consul, "sbc-id")) == before
	is_gone(consul, "rtp-id", 1)
	c4d.write(registering(consul, {"rtp": section(port=22222)}))
	c4d.start()
	is_registered(consul, "rtp-id")
	holds(lambda: (services(consul)["sbc-id"], statuses(consul, "sbc-id")) == before, 3, "also when it is not configured any more")
	# the other machine takes it away: it is free
	c4d.write(registering(consul, {"sbc": section(), "rtp": section(port=22222)}))
	c4d.reload()
	has_state(c4d, "sbc", "failed")
	consul.deregister("sbc-id")
	has_state(c4d, "sbc", "registered", CYCLE + 3)
	assert services(consul)["sbc-id"]["Address"] == "10.0.0.1"


def test_what_another_machine_took_over_is_not_deregistered(consul, make_c4d):
	"""The store remembers it, the configuration does not want it, and it is not ours any more."""
	c4d = make_c4d(registering(consul, {"sbc": section(on_stop="keep")})).start()
	is_registered(consul, "sbc-id")
	c4d.stop()
	before = another_machines(consul)
	c4d.write(registering(consul, {"rtp": section(port=22222)}))
	c4d.start()
	is_registered(consul, "rtp-id")
	c4d.wait_log("another machine's now")
	holds(lambda: (services(consul)["sbc-id"], statuses(consul, "sbc-id")) == before, 2, "it is left alone")


def test_a_scripts_registration_is_taken_over(consul, make_c4d):
	"""Without a mark: what curl registered before c4d came."""
	consul.http("PUT", "/v1/agent/service/register", {"ID": "sbc-id", "Name": "sbc", "Address": "10.5.5.5", "Port": 5060,
		"Checks": [{"CheckID": "XHTTP", "TTL": "1h", "Status": "passing"}]})
	c4d = make_c4d(registering(consul, {"sbc": section()})).start()
	has_state(c4d, "sbc", "registered")
	assert services(consul)["sbc-id"]["Address"] == "10.0.0.1"
	until(lambda: not checks(consul, "sbc-id"), 4, "its checks are those of the section")


def test_two_sections_with_one_id(consul, make_c4d):
	"""Where it can't be seen in the configuration."""
	c4d = make_c4d(registering(consul, {"a": section(id="{eid}")})).start()
	has_state(c4d, "a", "registered")
	sid = row(c4d, "a")["id"]
	c4d.write(registering(consul, {"a": section(id="{eid}"), "b": section(id=sid, port=7)}))
	c4d.reload()
	has_state(c4d, "b", "failed")
	assert "same id" in row(c4d, "b")["why"]
	assert services(consul)[sid]["Port"] == 5060 and len(services(consul)) == 1
	c4d.write(registering(consul, {"b": section(id=sid, port=7)}))
	c4d.reload()
	until(lambda: services(consul)[sid]["Port"] == 7, 3, lambda: str(services(consul)))
	has_state(c4d, "b", "registered")


# ---- reload ----

def test_a_reload_changes_what_changed(lab, consul, make_c4d):
	sw = Switch(lab)
	marks = lab.path("runs")
	count = {"type": "exec", "command": ["/bin/sh", "-c", f"echo x >>{marks}"], "interval": "1h", "timeout": "1s"}
	sections = {"sbc": section(checks={"run": count}), "rtp": section(port=22222, checks={"run": sw.check()}), "old": section(port=1)}
	c4d = make_c4d(registering(consul, sections)).start()
	for sid in ("sbc-id", "rtp-id", "old-id"):
		is_registered(consul, sid)
	until(lambda: statuses(consul, "sbc-id")["sbc-id:run"] == "passing", 3, "it was run")
	sections = merge(sections, {"old": None, "new": section(port=2), "rtp": {"address": "10.0.0.2", "tags": ["moved"]}})
	c4d.write(registering(consul, sections))
	c4d.reload()
	is_gone(consul, "old-id", 3)
	is_registered(consul, "new-id", 3)
	until(lambda: services(consul)["rtp-id"]["Address"] == "10.0.0.2" and services(consul)["rtp-id"]["Tags"] == ["moved"], 3,
		lambda: str(services(consul)))
	assert statuses(consul, "rtp-id")["rtp-id:run"] == "passing"
	with open(marks) as f:
		assert f.read() == "x\n", "the check of a section that did not change goes on"
	assert c4d.log().count("sbc: registered as") == 1
	# another id, another service name, one check less
	sections = merge(sections, {"rtp": {"id": "rtp-two", "checks": None}, "sbc": {"name": "edge"}})
	c4d.write(registering(consul, sections))
	c4d.reload()
	is_gone(consul, "rtp-id", 3)
	is_registered(consul, "rtp-two", 3)
	until(lambda: services(consul)["sbc-id"]["Service"] == "edge", 3, lambda: str(services(consul)))
	assert not checks(consul, "rtp-two")
	# nothing at all
	c4d.write(registering(consul, {}))
	c4d.reload()
	until(lambda: not services(consul), 5, lambda: str(services(consul)))
	until(lambda: c4d.show("registrations") == [], 2, "and c4d knows")
	# and something again
	c4d.write(registering(consul, {"sbc": section()}))
	c4d.reload()
	is_registered(consul, "sbc-id", 3)


def test_a_reload_to_another_agent(lab, consul, make_c4d):
	"""There first, and then not here any more; the same agent by another way is left as it is."""
	other = Consul(lab, "other").start()
	sections = {"sbc": section(checks={"run": Switch(lab).check()}), "rtp": section(port=2), "old": section(port=3)}
	c4d = make_c4d(registering(consul, sections)).start()
	for name in sections:
		has_state(c4d, name, "registered")
	seen = []
	c4d.write(registering(other, merge(sections, {"old": None})))
	c4d.reload()
	until(lambda: seen.append((set(services(consul)), set(services(other)))) or services(consul) == {}, 10, lambda: str(seen[-1]))
	assert all({"sbc-id", "rtp-id"} <= here | there for here, there in seen), "at one of them at any time"
	until(lambda: set(services(other)) == {"sbc-id", "rtp-id"}, 5, lambda: str(services(other)))
	holds(lambda: set(services(other)) == {"sbc-id", "rtp-id"} and services(consul) == {}, 1.5, "it stays so")
	assert c4d.log().count("deregistered at the agent of before") == 3
	# one agent, two addresses
	relay = Relay(lab, other)
	c4d.write(merge(registering(other, merge(sections, {"old": None})), {"consul": {"http": relay.url}}))
	c4d.reload()
	until(lambda: relay.served, 5, "it goes by the other way")
	index = other.http("GET", "/v1/catalog/service/sbc")[0]["ModifyIndex"]
	holds(lambda: set(services(other)) == {"sbc-id", "rtp-id"}, 3, "nothing is deregistered", every=0.05)
	assert other.http("GET", "/v1/catalog/service/sbc")[0]["ModifyIndex"] == index
	assert c4d.log().count("deregistered at the agent of before") == 3
	c4d.stop()  # it tells the agent by that way
	relay.stop()


def test_a_reload_when_the_agent_of_before_does_not_say_who_it_is(lab, make_c4d):
	before, now = FakeAgent(lab), FakeAgent(lab)
	before.lie = lambda q: answer(b"Permission denied", status="403 Forbidden") if q.path == "/v1/agent/self" else None
	now.lie = lambda q: answer(b'{"Config":{"NodeID":"n2"}}') if q.path == "/v1/agent/self" else None
	c4d = make_c4d(registering(before, {"sbc": section()})).start()
	has_state(c4d, "sbc", "registered")
	c4d.write(registering(now, {"sbc": section()}))
	c4d.reload()
	until(lambda: "sbc-id" in now.services, 1, "the new one has it, at once")
	c4d.wait_log(r"1 registrations may stay at the agent of before .*Permission denied.*consul services deregister -id=sbc-id")
	assert "sbc-id" in before.services, "it may be the same one"


def test_what_is_not_configured_any_more_goes_also_after_a_restart(consul, make_c4d):
	c4d = make_c4d(registering(consul, {"sbc": section(on_stop="keep"), "rtp": section(port=2, on_stop="keep")})).start()
	is_registered(consul, "sbc-id")
	is_registered(consul, "rtp-id")
	c4d.kill()
	consul.register("other", "10.1.1.1", 5060)
	c4d.write(registering(consul, {"rtp": section(port=2, on_stop="keep")}))
	c4d.start()
	is_gone(consul, "sbc-id", 5)
	assert set(services(consul)) == {"rtp-id", "other-10-1-1-1-5060"}
	c4d.wait_log(r"deregistered \(sbc-id\)")
	c4d.stop()
	c4d.write(registering(consul, {}))
	c4d.start()
	is_gone(consul, "rtp-id", 5)
	c4d.restart()
	time.sleep(1)
	assert "deregistered" not in c4d.log().rpartition("runs: pid")[2], "nothing is remembered of what has gone"


# ---- the stop ----

def test_the_three_ways_to_stop(lab, consul, make_c4d):
	sw = Switch(lab)
	keys = {"checks": {"run": sw.check()}}
	c4d = make_c4d(registering(consul, {"a": section(on_stop="deregister", **keys), "b": section(on_stop="maintenance", **keys),
		"c": section(on_stop="keep", **keys)})).start()
	for s in "abc":
		in_dns(consul, s, ("10.0.0.1", 5060))
	begin = time.monotonic()
	c4d.stop()
	assert time.monotonic() - begin < 2
	assert set(services(consul)) == {"b-id", "c-id"}
	assert checks(consul, "b-id")["_service_maintenance:b-id"]["Notes"].startswith("c4d: ")
	assert "_service_maintenance:c-id" not in checks(consul, "c-id")
	assert not consul.srv("b").srv and consul.srv("c").srv
	c4d.start()
	for s in "abc":
		in_dns(consul, s, ("10.0.0.1", 5060), timeout=5)
	assert list(statuses(consul, "b-id")) == ["b-id:run"], "its maintenance has ended"


def test_a_drain_keeps_it_in_maintenance_for_a_while(lab, consul, make_c4d):
	sw = Switch(lab)
	c4d = make_c4d(registering(consul, {"sbc": section(drain="3s", checks={"run": sw.check()}), "rtp": section(port=2)})).start()
	in_dns(consul, "sbc", ("10.0.0.1", 5060))
	begin = time.monotonic()
	c4d.proc.send(signal.SIGTERM)
	until(lambda: "_service_maintenance:sbc-id" in checks(consul, "sbc-id"), 2, "in maintenance")
	is_gone(consul, "rtp-id", 2)
	sw.set(False)
	until(lambda: statuses(consul, "sbc-id")["sbc-id:run"] == "critical", 2, "its checks are told all the while")
	sw.set(True)
	until(lambda: statuses(consul, "sbc-id")["sbc-id:run"] == "passing", 2, "its checks are told all the while")
	assert c4d.proc.wait(5) == 0
	assert 2.8 < time.monotonic() - begin < 4.5
	assert not services(consul)


def test_a_second_signal_cuts_the_drain_short(consul, make_c4d):
	c4d = make_c4d(registering(consul, {"sbc": section(drain="1m")})).start()
	in_dns(consul, "sbc", ("10.0.0.1", 5060))
	c4d.proc.send(signal.SIGTERM)
	until(lambda: "_service_maintenance:sbc-id" in checks(consul, "sbc-id"), 2, "in maintenance")
	begin = time.monotonic()
	c4d.proc.send(signal.SIGTERM)
	assert c4d.proc.wait(5) == 0
	assert time.monotonic() - begin < 2
	assert not services(consul)


def test_the_stop_has_a_deadline_whatever_consul_does(consul, make_c4d):
	c4d = make_c4d(registering(consul, {"sbc": section()}, consul={"stop_timeout": "2s"})).start()
	in_dns(consul, "sbc", ("10.0.0.1", 5060))
	consul.pause()
	begin = time.monotonic()
	c4d.proc.send(signal.SIGTERM)
	assert c4d.proc.wait(6) == 0
	assert 1.5 < time.monotonic() - begin < 3.5
	assert "could not be told in time" in c4d.log()
	consul.resume()
	c4d.start()  # and it goes on
	has_state(c4d, "sbc", "registered")
	c4d.stop()
	is_gone(consul, "sbc-id", 1)


def test_a_stop_while_a_request_hangs(lab, make_c4d):
	"""The one that hangs is waited for no longer than the deadline; when it ends in time, all is told."""
	fake = FakeAgent(lab)
	c4d = make_c4d(registering(fake, {"sbc": section(), "rtp": section(port=2)}, consul={"stop_timeout": "4s"})).start()
	has_state(c4d, "rtp", "registered")
	hung = []

	def lie(q):
		if q.method == "PUT" and q.path == "/v1/agent/service/register":
			hung.append(q)
			return Hang()
		return None
	fake.tell_lies(lie)
	until(lambda: hung, 15, "a repetition hangs")
	begin = time.monotonic()
	c4d.proc.send(signal.SIGTERM)
	assert c4d.proc.wait(8) == 0
	assert time.monotonic() - begin < 4.6
	assert not fake.services, "the time-out of the one left time for the others"


def test_a_reload_while_a_register_call_is_under_way(lab, make_c4d):
	"""The agent has it, its answer never comes, and the section is gone: so must be what the agent has."""
	fake = FakeAgent(lab)
	c4d = make_c4d(registering(fake, {"rtp": section(port=2)})).start()
	has_state(c4d, "rtp", "registered")
	hung = []

	def lie(q):
		if q.method == "PUT" and q.path == "/v1/agent/service/register" and b"sbc-id" in q.body:
			fake._honest(q)
			hung.append(q)
			return Hang()
		return None
	fake.tell_lies(lie)
	c4d.write(registering(fake, {"rtp": section(port=2), "sbc": section()}))
	c4d.reload()
	until(lambda: hung and "sbc-id" in fake.services, 5, "the agent has it")
	c4d.write(registering(fake, {"rtp": section(port=2)}))
	c4d.reload()
	until(lambda: "sbc-id" not in fake.services, 5, lambda: c4d.log()[-2000:])
	c4d.stop()
	assert not fake.services


# ---- the operator's word ----

def maintenance_of(agent, sid):
	return checks(agent, sid).get(f"_service_maintenance:{sid}", {}).get("Notes")


def test_maintenance_survives_everything(lab, make_c4d):
	_server, agent = pair(lab)
	c4d = make_c4d(registering(agent, {"sbc": section(checks={"run": Switch(lab).check()}), "rtp": section(port=2)})).start()
	in_dns(agent, "sbc", ("10.0.0.1", 5060))
	assert c4d.ctl("maintenance", "on", "sbc", "--reason", "new disk & <more>").rc == 0
	until(lambda: maintenance_of(agent, "sbc-id"), 2, "in maintenance")
	assert maintenance_of(agent, "sbc-id").startswith("c4d: new disk & <more>")
	assert maintenance_of(agent, "rtp-id") is None
	has_state(c4d, "sbc", "maintenance")
	r = row(c4d, "sbc")
	assert r["maintenance"] and not r["foreign_maintenance"] and r["reason"] == "new disk & <more>" and r["who"]
	in_dns(agent, "sbc")
	holds(lambda: maintenance_of(agent, "sbc-id"), CYCLE, "repeating the registration does not end it", every=0.2)
	# somebody ends it behind our back
	agent.maintenance("sbc-id", False)
	until(lambda: maintenance_of(agent, "sbc-id"), CYCLE + 2, "it is set again")
	# c4d is started again
	c4d.stop()
	is_gone(agent, "sbc-id", 1)
	c4d.start()
	until(lambda: maintenance_of(agent, "sbc-id"), 5, "in maintenance again")
	assert not agent.srv("sbc").srv
	c4d.kill()
	c4d.start()
	has_state(c4d, "sbc", "maintenance")
	# the agent forgets everything
	agent.stop()
	agent.wipe()
	agent.start(wait=False)
	until(lambda: maintenance_of(agent, "sbc-id"), 20, "in maintenance again")
	in_dns(agent, "sbc", timeout=1)
	assert c4d.ctl("maintenance", "off", "sbc").rc == 0
	until(lambda: maintenance_of(agent, "sbc-id") is None, 2, "over")
	in_dns(agent, "sbc", ("10.0.0.1", 5060))
	c4d.restart()
	in_dns(agent, "sbc", ("10.0.0.1", 5060), timeout=10)
	assert c4d.ctl("maintenance", "on", "nobody").rc == 1


def test_what_has_no_check_of_c4ds_is_not_listed_for_a_moment(lab, make_c4d):
	"""Registered anew while it is in maintenance: hidden from the first moment on, also without any check that could fail."""
	fake = FakeAgent(lab)
	c4d = make_c4d(registering(fake, {"rtp": section(port=2)})).start()
	has_state(c4d, "rtp", "registered")
	assert c4d.ctl("maintenance", "on", "rtp").rc == 0
	has_state(c4d, "rtp", "maintenance")
	for _ in range(3):  # found out by the list, or by the repetition, whichever comes first
		with fake.lock:
			fake.checks.clear()
			fake.services.clear()
			begin = len(fake.puts())
		until(lambda: len(fake.puts()) > begin and list(fake.checks) == ["_service_maintenance:rtp-id"], CYCLE + 3,
			lambda: f"in maintenance, and nothing but: {fake.checks}")
		first = json.loads(fake.puts()[begin].body)
		assert [(c["Status"], "TTL" in c) for c in first["Checks"]] == [("critical", True)]
	has_state(c4d, "rtp", "maintenance")


def test_another_reason_is_told_and_nobody_is_sent_meanwhile(lab, consul, make_c4d):
	"""Consul takes no second reason by the way of the first, and off and on again would be a moment in DNS."""
	c4d = make_c4d(registering(consul, {"sbc": section(checks={"run": Switch(lab).check()})})).start()
	in_dns(consul, "sbc", ("10.0.0.1", 5060))
	assert c4d.ctl("maintenance", "on", "sbc", "--reason", "disk").rc == 0
	in_dns(consul, "sbc")
	begin = consul.http("GET", "/v1/health/service/sbc")[0]["Checks"]
	for reason in ("fan", "bigger & <more>", "x" * 200, "last"):
		assert c4d.ctl("maintenance", "on", "sbc", f"--reason={reason}").rc == 0
		until(lambda r=reason: maintenance_of(consul, "sbc-id").startswith(f"c4d: {r}"[:190]), 2,
			lambda: f"the new reason: {maintenance_of(consul, 'sbc-id')}")
		assert not consul.srv("sbc").srv
	assert len(consul.http("GET", "/v1/health/service/sbc")[0]["Checks"]) == len(begin)
	begin = len([x for x in c4d.log().splitlines() if "new reason" in x])
	assert begin == 4
	holds(lambda: maintenance_of(consul, "sbc-id").startswith("c4d: last") and not consul.srv("sbc").srv, CYCLE, "it stays", every=0.2)
	assert len([x for x in c4d.log().splitlines() if "new reason" in x]) == begin, "told once"
	# said while the agent can't hear it: by the list
	consul.stop()
	c4d.wait_log("is lost", 15)
	c4d.ctl("maintenance", "on", "sbc", "--reason", "power")
	consul.start()
	until(lambda: (maintenance_of(consul, "sbc-id") or "").startswith("c4d: power"), CYCLE + 2, "the agent has it")
	assert c4d.ctl("maintenance", "off", "sbc").rc == 0
	assert maintenance_of(consul, "sbc-id") is None
	in_dns(consul, "sbc", ("10.0.0.1", 5060))


def test_what_the_agent_has_of_a_maintenance_is_shown(lab, make_c4d):
	fake = FakeAgent(lab)
	c4d = make_c4d(registering(fake, {"sbc": section()})).start()
	has_state(c4d, "sbc", "registered")
	assert row(c4d, "sbc")["maintenance_at_agent"] is False
	fake.lie = lambda q: answer(b"no", status="500 Internal Server Error") if "/maintenance/" in q.path else None
	assert c4d.ctl("maintenance", "on", "sbc").rc == 1
	one = row(c4d, "sbc")
	assert (one["maintenance"], one["maintenance_at_agent"]) == (True, False)
	assert "which Consul's agent does not have yet" in one["note"] and "does not have yet" in " ".join(c4d.ctl("show", "registrations").out.split())
	fake.lie = None
	until(lambda: row(c4d, "sbc")["maintenance_at_agent"], CYCLE + 2, lambda: str(row(c4d, "sbc")))
	assert "not have yet" not in row(c4d, "sbc")["note"]
	fake.lie = lambda q: answer(b"no", status="500 Internal Server Error") if "/maintenance/" in q.path else None
	assert c4d.ctl("maintenance", "off", "sbc").rc == 1
	one = row(c4d, "sbc")
	assert (one["maintenance"], one["maintenance_at_agent"]) == (False, True) and "still has it" in one["note"]
	fake.lie = None
	until(lambda: not row(c4d, "sbc")["maintenance_at_agent"], CYCLE + 2, lambda: str(row(c4d, "sbc")))


def test_a_check_is_off_when_it_is_said_to_be(lab, make_c4d):
	"""Not before its removal was taken, and none of several is lost when they are said at once."""
	fake = FakeAgent(lab)
	names = [f"c{i}" for i in range(5)]
	c4d = make_c4d(registering(fake, {"sbc": section(checks={n: {"type": "ttl", "ttl": "1h", "status": "passing"} for n in names})})).start()
	has_state(c4d, "sbc", "registered")
	fake.lie = lambda q: time.sleep(0.1) if "/check/deregister/" in q.path else None
	told = []
	threads = [threading.Thread(target=lambda n=n: told.append((n, c4d.ctl("check", "off", "sbc", n).rc, f"sbc-id:{n}" in fake.checks)))
		for n in names]
	for t in threads:
		t.start()
	for t in threads:
		t.join()
	assert sorted(told) == [(n, 0, False) for n in names]
	assert fake.checks == {} and len(fake.of("PUT", "/v1/agent/check/deregister/")) == 5, "each once"


def test_maintenance_of_all(consul, make_c4d):
	c4d = make_c4d(registering(consul, {"a": section(), "b": section(port=2)})).start()
	in_dns(consul, "b", ("10.0.0.1", 2))
	assert c4d.ctl("maintenance", "on").rc == 0
	until(lambda: maintenance_of(consul, "a-id") and maintenance_of(consul, "b-id"), 3, "both are")
	assert c4d.ctl("maintenance", "off").rc == 0
	until(lambda: not maintenance_of(consul, "a-id") and not maintenance_of(consul, "b-id"), 3, "none is")


def test_somebody_elses_maintenance_is_shown_and_not_fought(consul, make_c4d):
	c4d = make_c4d(registering(consul, {"sbc": section(tags=["one"])})).start()
	in_dns(consul, "sbc", ("10.0.0.1", 5060))
	consul.maintenance("sbc-id", True, "theirs")
	until(lambda: row(c4d, "sbc")["foreign_maintenance"], CYCLE + 2, lambda: str(row(c4d, "sbc")))
	assert row(c4d, "sbc")["state"] == "maintenance" and row(c4d, "sbc")["reason"] == "theirs"
	c4d.write(registering(consul, {"sbc": section(tags=["two"])}))
	c4d.reload()
	until(lambda: services(consul)["sbc-id"]["Tags"] == ["two"], 3, "a change goes through")
	holds(lambda: maintenance_of(consul, "sbc-id") == "theirs", CYCLE, "theirs stays", every=0.2)
	c4d.ctl("maintenance", "off", "sbc")
	holds(lambda: maintenance_of(consul, "sbc-id") == "theirs", 2, "theirs stays", every=0.2)
	consul.maintenance("sbc-id", False)
	has_state(c4d, "sbc", "registered", CYCLE + 2)


def test_a_check_is_switched_off_and_on(lab, consul, make_c4d):
	bad, good = Switch(lab, "bad", up=False), Switch(lab, "good")
	c4d = make_c4d(registering(consul, {"sbc": section(checks={"bad": bad.check(), "good": good.check()})})).start()
	until(lambda: statuses(consul, "sbc-id") == {"sbc-id:bad": "critical", "sbc-id:good": "passing"}, 5, "both are there")
	assert c4d.ctl("check", "off", "sbc", "bad").rc == 0
	in_dns(consul, "sbc", ("10.0.0.1", 5060))
	assert statuses(consul, "sbc-id") == {"sbc-id:good": "passing"}
	shown = {r["check"]: r for r in c4d.show("checks")}
	assert shown["bad"]["off"] and not shown["good"]["off"]
	c4d.restart()
	in_dns(consul, "sbc", ("10.0.0.1", 5060), timeout=10)
	consul.restart()
	holds(lambda: "sbc-id:bad" not in statuses(consul, "sbc-id"), 3, "it stays off")
	assert c4d.ctl("check", "on", "sbc", "bad").rc == 0
	until(lambda: statuses(consul, "sbc-id").get("sbc-id:bad") == "critical", 3, "it is back")
	bad.set(True)
	in_dns(consul, "sbc", ("10.0.0.1", 5060))
	assert c4d.ctl("check", "off", "sbc", "none").rc == 1
	assert c4d.ctl("check", "off", "none", "bad").rc == 1


# ---- addresses ----

@pytest.fixture
def labelled(lab):
	"""An interface whose address can be changed: a label on the loopback interface."""
	label = f"lo:{os.getpid() % 10000:04d}"
	have = []

	def ip(*words):
		got = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
		if got.returncode:
			raise LabError(f"ip {' '.join(words)}: {got.stderr.strip()}: this test needs root (CAP_NET_ADMIN)")

	def put(address):
		for a in have:
			ip("addr", "del", f"{a}/32", "dev", "lo")
		have.clear()
		if address:
			ip("addr", "add", f"{address}/32", "dev", "lo", "label", label)
			have.append(address)
	put.label = label
	yield put
	put(None)


def test_the_address_of_an_interface(lab, consul, make_c4d, labelled):
	first, second = "10.213.7.1", "10.213.7.2"
	c4d = make_c4d(registering(consul, {"sbc": section(address=f"{{ip:{labelled.label}}}",
		checks={"web": {"type": "http", "url": "http://{address}:9601/status", "interval": "10s", "status": "passing"}}),
		"rtp": section(port=2)})).start()
	is_registered(consul, "rtp-id")
	assert row(c4d, "sbc")["state"] == "waiting" and labelled.label in row(c4d, "sbc")["why"]
	assert "sbc-id" not in services(consul)
	labelled(first)
	is_registered(consul, "sbc-id", 3)
	assert services(consul)["sbc-id"]["Address"] == first
	labelled(second)
	until(lambda: services(consul)["sbc-id"]["Address"] == second, 3, lambda: str(services(consul)))
	assert set(services(consul)) == {"sbc-id", "rtp-id"}
	labelled(None)
	until(lambda: "still registered with" in (row(c4d, "sbc")["why"] or ""), 3, lambda: str(row(c4d, "sbc")))
	assert services(consul)["sbc-id"]["Address"] == second
	labelled(second)
	until(lambda: row(c4d, "sbc")["why"] is None, 3, lambda: str(row(c4d, "sbc")))


def test_consuls_own_address(consul, make_c4d):
	c4d = make_c4d(registering(consul, {"sbc": {"id": "sbc-id", "port": 5060, "when": "now"}})).start()
	in_dns(consul, "sbc", (consul.ip, 5060))
	assert services(consul)["sbc-id"]["Address"] == ""
	until(lambda: row(c4d, "sbc")["dns"] == "listed", 10, lambda: f"found by the node's address: {row(c4d, 'sbc')}")


def test_asterisks_eid(lab, consul, make_c4d):
	"""It is waited for; what the store remembers of an id that holds it is not deregistered meanwhile."""
	ari = FakeAri(lab, eid="12:34:56:78:9a:bc").start()
	password = lab.path("ari")
	with open(password, "w") as f:
		f.write(ari.password + "\n")
	conf = registering(consul, {"asterisk": section(id="ast-{eid}", eid="asterisk", on_stop="keep"), "old": section(on_stop="keep")},
		ari={"url": ari.url, "user": ari.user, "password_file": password})
	c4d = make_c4d(conf).start()
	sid = "ast-12:34:56:78:9a:bc"
	is_registered(consul, sid)
	is_registered(consul, "old-id")
	assert services(consul)[sid]["Meta"]["eid"] == "12:34:56:78:9a:bc"
	c4d.stop()
	ari.stop()
	c4d.write(merge(conf, {"register": {"old": None}}))
	c4d.start()
	has_state(c4d, "asterisk", "waiting")
	assert "Asterisk has not said it yet" in row(c4d, "asterisk")["why"]
	holds(lambda: {sid, "old-id"} <= set(services(consul)), 2, "nobody is deregistered before the ids are known")
	ari.start()
	has_state(c4d, "asterisk", "registered", 20)
	is_gone(consul, "old-id", CYCLE + 2)
	assert set(services(consul)) == {sid}


# ---- an agent that lies ----

LIES = {
	"garbage": lambda q: answer(b"<html>no list</html>"),
	"another list": lambda q: answer(b'[1, {"a": null}]'),
	"an error": lambda q: answer(b"rpc error", status="500 Internal Server Error"),
	"hugely": lambda q: Endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
	"never": lambda q: Hang(),
	"slowly": lambda q: Slow(answer(b"{}"), 0.2),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_list_that_cant_be_had(lab, make_c4d, lie):
	"""Registrations and checks are told all the same; another machine's is not touched all the same."""
	fake = FakeAgent(lab)
	fake.services["sbc-id"] = {"ID": "sbc-id", "Service": "sbc", "Address": "10.7.7.7", "Port": 7, "Meta": {"c4d-machine": "ab" * 16}}
	fake.tell_lies(lambda q: LIES[lie](q) if q.path in ("/v1/agent/services", "/v1/agent/checks") else None)
	sw = Switch(lab)
	c4d = make_c4d(registering(fake, {"sbc": section(), "rtp": section(port=2, checks={"run": sw.check()})})).start()
	until(lambda: fake.checks.get("rtp-id:run", {}).get("Status") == "passing", 15, "it is registered and told")
	has_state(c4d, "sbc", "failed")
	sw.set(False)
	until(lambda: fake.checks["rtp-id:run"]["Status"] == "critical", 8, "a status goes through")
	c4d.wait_log("list of services can't be had", 20)
	assert any("can't be had" in p["problem"] for p in c4d.ctl("status", fmt="json").data["problems"])
	until(lambda: len(fake.puts("rtp-id")) >= 2, 20, "it is repeated")
	assert not fake.puts("sbc-id") and fake.services["sbc-id"]["Address"] == "10.7.7.7"
	assert c4d.proc.rss_kb() < (400_000 if c4d_is_asan(c4d) else 60_000)
	fake.tell_lies(None)
	c4d.wait_log("can be had again", 20)
	assert c4d.log().count("can't be had") <= 2, "once, and not with each attempt"
	has_state(c4d, "rtp", "registered")


def c4d_is_asan(c4d):
	with open(c4d.binary, "rb") as f:
		return b"__asan_init" in f.read()


def test_an_agent_that_is_none(lab, make_c4d):
	fake = FakeAgent(lab)
	fake.tell_lies(lambda q: b"SSH-2.0-OpenSSH\r\n")
	c4d = make_c4d(registering(fake, {"sbc": section(checks={"run": Switch(lab).check()})}, consul={"stop_timeout": "1s"})).start()
	has_state(c4d, "sbc", "unreachable")
	asked = len(fake.queries)
	time.sleep(3)
	assert len(fake.queries) - asked < 12, "there is a pause between attempts"
	fake.tell_lies(None)
	has_state(c4d, "sbc", "registered", 15)


def test_the_agent_refuses(lab, make_c4d):
	"""Once in the log, in `show` and in `status`; and it goes on by itself when it may."""
	consul = Consul(lab, acl=True).start()
	consul.allow_dns()
	path = lab.path("token")

	def write(rules):
		with open(path + ".new", "w") as f:
			f.write(consul.make_token(rules))
		os.replace(path + ".new", path)
	write('service_prefix "" { policy = "read" } node_prefix "" { policy = "read" } agent_prefix "" { policy = "read" }')
	c4d = make_c4d(registering(consul, {"sbc": section()}, consul={"token_file": path})).start()
	has_state(c4d, "sbc", "failed")
	assert "403" in row(c4d, "sbc")["why"] and "service:write" in row(c4d, "sbc")["why"]
	assert any("service:write" in p["problem"] for p in c4d.ctl("status", fmt="json").data["problems"])
	time.sleep(CYCLE)
	assert c4d.log().count("does not let it") == 1
	write('service_prefix "" { policy = "write" } node_prefix "" { policy = "read" } agent_prefix "" { policy = "read" }')
	has_state(c4d, "sbc", "registered", CYCLE + 3)
	until(lambda: "sbc-id" in services(consul), 3, "it is there")


# ---- many ----

def test_a_hundred(lab, make_c4d):
	"""All are registered at once, and repeated each 10 s, spread over the time."""
	fake = FakeAgent(lab)
	n = 100
	c4d = make_c4d(registering(fake, {f"s{i}": section(port=1000 + i, name=f"svc{i % 5}") for i in range(n)})).start()
	until(lambda: len(fake.services) == n, 10, lambda: f"{len(fake.services)} are registered")
	until(lambda: all(r["state"] == "registered" for r in c4d.show("registrations")), 5, "all are")
	time.sleep(11)  # the first repetition is drawn from the whole cycle
	begin, cpu = time.monotonic(), c4d.proc.cpu_s()
	time.sleep(21)
	spent = c4d.proc.cpu_s() - cpu
	puts = [q for q in fake.puts() if q.at >= begin]
	per_id = {}
	for q in puts:
		per_id.setdefault(json.loads(q.body)["ID"], []).append(q.body)
	assert len(per_id) == n and all(1 <= len(v) <= 3 for v in per_id.values()), {k: len(v) for k, v in per_id.items()}
	assert all(len(set(v)) == 1 for v in per_id.values()), "each is told the same"
	seconds = [0] * 30
	for q in puts:
		seconds[int(q.at - begin)] += 1
	assert max(seconds) < n / 3, seconds
	if not c4d_is_asan(c4d):
		assert spent / 21 < 0.01, f"{spent / 21:.2%} of a core"
	assert len(fake.of("GET", "/v1/agent/services")) < 12
	c4d.stop()
	assert not fake.services


def test_a_thousand_at_the_real_agent(consul, make_c4d):
	n = 1000
	consul.patience = 30.0
	c4d = make_c4d(registering(consul, {f"s{i}": section(port=1000 + i, name=f"svc{i % 20}") for i in range(n)}))
	begin = time.monotonic()
	c4d.start()
	until(lambda: c4d.log().count("registered as") == n, 60, lambda: f"{c4d.log().count('registered as')} are registered", every=0.1)
	took = time.monotonic() - begin
	assert len(services(consul)) == n
	assert took < (60 if c4d_is_asan(c4d) else 10), f"{took:.1f} s"
	assert "warning" not in c4d.log() and "error" not in c4d.log()
	c4d.stop(60)
	assert not services(consul)


# ---- events, presence ----

def test_events(consul, make_c4d):
	c4d = make_c4d(registering(consul, {"sbc": section()}, consul={"events": True})).start()

	def fired():
		import base64
		return [(e["Name"], json.loads(base64.b64decode(e["Payload"]))) for e in consul.http("GET", "/v1/event/list")]
	until(lambda: ("c4d-register", {"id": "sbc-id", "name": "sbc", "address": "10.0.0.1", "port": 5060}) in fired(), 5,
		lambda: str(fired()))
	assert c4d.ctl("maintenance", "on", "sbc").rc == 0
	until(lambda: [p["maintenance"] for n, p in fired() if n == "c4d-maintenance"] == ["on"], 5, lambda: str(fired()))
	c4d.ctl("maintenance", "off", "sbc")
	until(lambda: [p["maintenance"] for n, p in fired() if n == "c4d-maintenance"] == ["on", "off"], 5, lambda: str(fired()))
	c4d.stop()
	until(lambda: [n for n, _ in fired()].count("c4d-deregister") == 1, 5, lambda: str(fired()))
	assert [n for n, _ in fired()].count("c4d-register") == 1


def test_the_vm_that_was_made_anew(lab, make_c4d):
	"""Under its old node name, without its data: the agent says yes, the servers know nothing of it."""
	server = Consul(lab, "consul-server").start()
	agent = Consul(lab, "consul-client", join=server, config={"leave_on_terminate": False}).start()
	c4d = make_c4d(registering(agent, {"sbc": section(), "off": section(port=2, verify_dns=False)})).start()
	in_dns(server, "sbc", ("10.0.0.1", 5060))
	c4d.stop()
	in_dns(server, "sbc")
	agent.kill()
	agent.wipe()
	agent.start(wait=False)
	until(lambda: agent.http("GET", "/v1/agent/self"), 20, "the agent answers")
	c4d.start()
	is_registered(agent, "sbc-id", 20)
	until(lambda: row(c4d, "sbc")["catalog"] == "missing" and row(c4d, "sbc")["dns"] == "missing", 30, lambda: str(row(c4d, "sbc")))
	assert not [p for p in c4d.ctl("status", fmt="json").data["problems"] if "made anew" in p["problem"]]
	c4d.wait_log("sbc: .*Was this VM made anew", 160)
	problems = [p["problem"] for p in c4d.ctl("status", fmt="json").data["problems"] if "reserved" in p["problem"]]
	assert len(problems) == 1 and "sbc" in problems[0]
	assert c4d.log().count("made anew") == 1
	# what it says to do
	node = next(n["Node"] for n in server.http("GET", "/v1/catalog/nodes") if n["Node"].startswith("consul-client"))
	server.http("PUT", "/v1/catalog/deregister", {"Node": node})
	c4d.wait_log("found again where it should be", 90)
	in_dns(server, "sbc", ("10.0.0.1", 5060))
	assert not [p for p in c4d.ctl("status", fmt="json").data["problems"] if "reserved" in p["problem"]]


def test_no_servers_is_no_alarm(lab, make_c4d):
	"""The agent works and can't ask anybody: what is not known is not missing, and nothing waits for it."""
	server, agent = pair(lab)
	c4d = make_c4d(registering(agent, {"sbc": section(checks={"run": Switch(lab).check()})})).start()
	until(lambda: row(c4d, "sbc")["dns"] == "listed", 15, lambda: str(row(c4d, "sbc")))
	server.kill()
	agent.deregister("sbc-id")
	is_registered(agent, "sbc-id", CYCLE + 3, "though no server answers")
	holds(lambda: row(c4d, "sbc")["state"] == "registered" and row(c4d, "sbc")["dns"] in ("listed", "unknown"), 15,
		"it is registered", every=0.5)
	assert statuses(agent, "sbc-id") == {"sbc-id:run": "passing"}


def test_status_is_well(consul, make_c4d):
	c4d = make_c4d(registering(consul, {"sbc": section()})).start()
	has_state(c4d, "sbc", "registered")
	until(lambda: c4d.ctl("status").rc == 0, 5, lambda: c4d.ctl("status").out)
	try:
		consul.http("GET", "/v1/agent/service/none")
	except HttpError as e:
		assert e.code == 404
