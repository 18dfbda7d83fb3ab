"""c4ctl drain and undrain, and the drain tag: no new calls at once, established ones go on; judged by Kamailio and sipp."""
import os
import re
import subprocess
import time

import pytest

from lab import EAGER, Router, Sbc, Uac, Uas, c4d_binary, holds, merge, until, watching
from lab.base import ROOT
from lab.rig import Rig
from lab.service import dns_row, has_state, is_up, more_rounds, problems


def words(text):
	return " ".join(text.split())


def key(uri):
	return uri[len("sip:"):]


@pytest.fixture
def rig(lab, consul, make_c4d):
	"""c4d is not started yet; Kamailio does not ping, so that its states are c4d's alone."""
	def make(over=None, delta=1):
		return Rig(lab, consul, Sbc(lab, probing=False, reload_delta=delta).start(), make_c4d, delta=delta, over=over)
	return make


# ---- calls ----

@pytest.fixture
def routers(lab, consul, make_c4d):
	"""(rig, router a, router b): two routers that relay calls to a carrier, behind an SBC with c4d."""
	carrier = Uas(lab)
	r = Rig(lab, consul, Sbc(lab, ping=1, reload_delta=1).start(), make_c4d, delta=1)
	made = []
	for n in (1, 2):
		router = Router(lab, f"router{n}", carrier.addr, ip=lab.ip(10 + n)).start()
		r.sids[router.uri] = consul.register("router", router.ip, router.port)
		made.append(router)
	r.start(*(x.uri for x in made))
	until(lambda: r.sbc.active() == {x.uri for x in made}, 10, lambda: f"both take calls: {r.sbc.flags()}")
	return r, *made


def call(r, lab, *, count=20, rate=20, hold_ms=100):
	return Uac(lab, r.sbc.addr, rate=rate, count=count, hold_ms=hold_ms)


def test_calls_go_on_and_new_ones_go_elsewhere(lab, routers):
	r, a, b = routers
	talking = call(r, lab, count=30, rate=30, hold_ms=6000)
	until(lambda: a.calls() + b.calls() == 30, 5, "all are up")
	assert a.calls() > 0
	begin = time.monotonic()
	said = r.c4d.ctl("drain", key(a.uri), fmt="json")
	took = time.monotonic() - begin
	assert r.sbc.disabled() == {a.uri}, "it is true when the command returns"
	assert said.rc == 0, said
	assert took < 1
	assert (said.data["service"], said.data["address"], said.data["port"]) == ("router", a.ip, a.port)
	assert (said.data["state"], said.data["guard"]) == ("draining", "operator")
	assert [(s["service"], s["state"]) for s in said.data["services"]] == [("router", "draining")]
	before = a.calls()
	call(r, lab).ok()
	assert a.calls() == before, "no new call to it"
	assert talking.proc.alive(), "the calls of before are still up"
	assert talking.ok().ok == 30
	# A reload, Kamailio's restart, c4d's restart and its end by kill -9: it stays out.
	reloads = r.count("reloads")
	c = r.add(200)
	r.lists(a.uri, b.uri, c)
	until(lambda: r.count("reloads") > reloads, 5, "a reload brought it")
	assert r.sbc.disabled() == {a.uri}
	r.gone(c)
	until(lambda: r.sbc.disabled() == {a.uri, c}, 5, "c is out")
	until(lambda: r.entries()[a.uri] & 4, 5, "the file says so too")
	r.sbc.restart()
	assert a.uri in r.sbc.disabled(), "right at its first request"
	r.converged()
	r.c4d.restart()
	r.converged()
	assert a.uri in r.sbc.disabled()
	r.c4d.kill()
	r.c4d.start()
	r.converged()
	assert a.uri in r.sbc.disabled()
	before = a.calls()
	call(r, lab).ok()
	assert a.calls() == before
	# And back.
	said = r.c4d.ctl("undrain", key(a.uri))
	assert said.rc == 0 and "is not drained any more" in words(said.out)
	until(lambda: a.uri in r.sbc.active(), 5, "a takes calls again")
	call(r, lab).ok()
	assert a.calls() > before


# ---- what it says ----

def test_words_and_states(rig):
	r = rig(over={"services": {"other": {"interval": "100ms", "remove_hold": "1s"}}, "kamailio": {"sbc": {"dispatcher": {
		"2": {"service": "other", "uri": "sip:{address}:{port}", "flags": 16}}}}})
	a, b = r.add(1), r.add(2)
	r.add(1, service="other")
	r.add(2, service="other")
	r.start(a, b)
	until(lambda: r.sbc.listed(2) == {a, b}, 10, "both sets")
	r.converged()
	for args, rc, text in (
			(("drain", "10.9.9.9:5060"), 1, "no service has 10.9.9.9:5060 (c4ctl show instances)"),
			(("undrain", "10.9.9.9:5060"), 1, "no service has 10.9.9.9:5060"),
			(("undrain", key(a)), 1, f"{key(a)} is not draining"),
			(("drain", "router"), 2, "router is not ADDRESS:PORT"),
			(("drain", key(a), "--timeout"), 2, "usage: c4ctl drain ADDRESS:PORT [--timeout T]"),
			(("drain", key(a), "now"), 2, "usage: c4ctl drain"),
			(("drain", key(a), "--timeout", "5"), 2, "--timeout 5 is no duration: 30s, 10m, 2h"),
			(("drain", key(a), "--timeout", "0s"), 2, "is no duration"),
			(("drain",), 2, "usage: c4ctl drain ADDRESS:PORT [--timeout T]")):
		said = r.c4d.ctl(*args)
		assert (said.rc, text in words(said.err)) == (rc, True), (args, said)
	assert r.c4d.states() == {key(a): "up", key(b): "up"}
	said = r.c4d.ctl("drain", key(a), "--timeout", "30m")
	assert said.rc == 0
	assert words(said.out) == f"router {key(a)} takes no new calls; established ones go on. How it goes: c4ctl why {key(a)}"
	assert max(map(len, said.out.splitlines())) <= 80
	assert r.sbc.disabled(1) == {a} and r.sbc.disabled(2) == {a}, "in every service that has it"
	rows = r.c4d.show("instances")
	mine = [x for x in rows if x["address"] == r.lab.ip(1)]
	assert {(x["service"], x["state"], x["guard"]) for x in mine} == {("router", "draining", "operator"),
		("other", "draining", "operator")}
	assert all(x["drain_until"] for x in mine)
	assert not any("drain_until" in x for x in rows if x["address"] != r.lab.ip(1))
	told = r.c4d.ctl("why", key(a), fmt="json").data["instances"]
	assert [(x["drain"]["by"][:4], x["drain"]["until"]) for x in told] == [("uid ", x["drain_until"]) for x in told]
	assert {(s["service"], s["up"], s["draining"], s["suppressed"]) for s in r.c4d.show("services")} == {
		("other", 1, 1, 0), ("router", 1, 1, 0)}
	assert max(map(len, r.c4d.ctl("show", "services").out.splitlines())) <= 80
	why = words(r.c4d.ctl("why", key(a)).out)
	assert re.search(r"drained by uid \d+ since \S+: no new calls; established ones may take until \S+Z", why), why
	assert f"c4ctl undrain {key(a)}" in why
	status = r.c4d.ctl("status")
	assert status.rc == 0 and "2 draining" in words(status.out), "a drain is no trouble"
	# Again: refused, but a new timeout is taken.
	said = r.c4d.ctl("drain", key(a))
	assert said.rc == 5 and f"{key(a)} is draining already" in said.err
	until_then = mine[0]["drain_until"]
	assert r.c4d.ctl("drain", key(a), "--timeout=2h").rc == 0
	assert r.c4d.instances("router")[key(a)]["drain_until"] > until_then
	causes = [g["cause"] for g in r.c4d.ctl("history", fmt="json").data]
	assert re.match(rf"c4ctl drain {re.escape(key(a))} --timeout 2h by uid \d+$", causes[0])
	assert re.match(rf"c4ctl drain {re.escape(key(a))} --timeout 30m by uid \d+$", causes[1])
	# The floor: refused in one, done in none.
	said = r.c4d.ctl("drain", key(b))
	assert said.rc == 5
	assert words(said.err) == (f"c4ctl: router would have 0 that take calls without {key(b)}, and min_instances is 1: start "
		"another instance first, or lower min_instances")
	assert r.sbc.disabled(1) == {a} and r.sbc.disabled(2) == {a}
	assert r.c4d.ctl("undrain", key(a)).rc == 0
	until(lambda: not r.sbc.disabled(1) and not r.sbc.disabled(2), 5, "all are back")


def test_gone_and_back_it_is_still_drained(rig):
	r = rig(over={"services": {"router": {"remove_hold": "1s"}}})
	a, b = r.add(1), r.add(2)
	r.start(a, b)
	assert r.c4d.ctl("drain", key(a)).rc == 0
	r.gone(a)
	has_state(r.c4d, "router", key(a), "disabled")
	assert "when DNS lists it again it takes no calls yet" in words(r.c4d.ctl("why", key(a)).out)
	r.lists(b)
	assert r.c4d.ctl("drain", key(a)).rc == 5, "it is remembered"
	r.c4d.restart()
	r.add(1)
	r.lists(a, b)
	until(lambda: r.sbc.disabled() == {a}, 5, "it comes back drained")
	holds(lambda: r.sbc.disabled() == {a}, 0.5, "and stays so")
	r.gone(a)
	r.lists(b)
	assert r.c4d.ctl("undrain", key(a)).rc == 0
	r.add(1)
	until(lambda: r.sbc.enabled() == {a, b}, 10, "it comes back in")


def test_it_says_what_is_not_yet_in_force(rig):
	r = rig()
	a, b = r.add(1), r.add(2)
	r.start(a, b)
	r.sbc.pause()  # it takes no orders
	begin = time.monotonic()
	said = r.c4d.ctl("drain", key(a), timeout=20)
	assert 8 < time.monotonic() - begin < 15
	assert said.rc == 1
	assert re.search(r"not yet in force within 10s: sbc/1 \(.+\); it goes on by itself", words(said.err)), said.err
	r.sbc.resume()
	until(lambda: r.sbc.disabled() == {a}, 15, "it went on by itself")


# ---- the tag ----

def test_drain_tag(consul, rig):
	r = rig(over={"services": {"router": {"drain_tag": "draining"}}})
	a, b = r.add(1), r.add(2)
	r.start(a, b)
	consul.register("router", r.lab.ip(1), 5060, tags=["draining"])
	until(lambda: r.sbc.disabled() == {a}, 5, "the tag drains it")
	row = r.c4d.instances()[key(a)]
	assert (row["state"], row["guard"], row["tags"]) == ("draining", "tag", ["draining"])
	assert "drained by its tag at Consul" in words(r.c4d.ctl("why", key(a)).out)
	said = r.c4d.ctl("undrain", key(a))
	assert said.rc == 5 and "is drained by its tag draining: take the tag away at Consul" in words(said.err)
	# Not below the floor: it is not followed, and said.
	consul.register("router", r.lab.ip(2), 5060, tags=["draining"])
	until(lambda: problems(r.c4d, "has the tag draining and takes calls all the same"), 5, "it is a problem")
	more_rounds(r.c4d, 3)
	assert len(r.sbc.enabled()) == 1
	assert r.c4d.ctl("status").rc == 1
	# A held service does not heed it.
	consul.register("router", r.lab.ip(1), 5060)
	consul.register("router", r.lab.ip(2), 5060)
	until(lambda: r.sbc.enabled() == {a, b}, 5, "the tags are gone")
	until(lambda: r.c4d.ctl("status").rc == 0, 5, "all is well")
	assert r.c4d.ctl("hold", "router").rc == 0
	consul.register("router", r.lab.ip(1), 5060, tags=["draining"])
	more_rounds(r.c4d, 3)
	assert r.sbc.enabled() == {a, b}
	assert r.c4d.ctl("drain", key(a)).rc == 0, "the operator's word is heeded"
	assert r.sbc.disabled() == {a}
	assert r.c4d.ctl("release", "router").rc == 0
	assert r.c4d.ctl("undrain", key(a)).rc == 0
	has_state(r.c4d, "router", key(a), "draining")
	assert r.c4d.instances()[key(a)]["guard"] == "tag"


# ---- guards ----

def test_the_shrink_guard_does_not_count_it(service, make_c4d):
	"""Of ten, four are drained and vanish: three of the six that are left may still go at once."""
	keys = service.many(10)
	conf = merge(EAGER, {"max_shrink": 50, "shrink_hold": "1h", "remove_hold": "10m"})
	c4d = make_c4d(watching(service.consul, {service.name: conf})).start()
	is_up(c4d, service.name, *keys)
	for k in keys[:4]:
		assert c4d.ctl("drain", k).rc == 0
	c4d.proc.pause()
	service.fail(*keys[:7])
	c4d.proc.resume()
	until(lambda: sorted(c4d.states(service.name).values()) == ["disabled"] * 7 + ["up"] * 3, 5,
		lambda: f"seven are out: {c4d.states(service.name)}")


# ---- what is forgotten ----

@pytest.fixture
def a_day_later(lab):
	"""The environment of a c4d whose wall clock is 25 hours ahead."""
	lib = lab.path("shiftclock.so")
	subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", lib,
		os.path.join(ROOT, "tests/tools/shiftclock.c"), "-ldl"], check=True)
	linked = subprocess.run(["ldd", c4d_binary()], check=True, stdout=subprocess.PIPE).stdout.decode()
	first = re.findall(r"=> (\S*lib(?:asan|clang_rt\.asan)\S*)", linked)  # a sanitizer's library wants to be the first
	return {"LD_PRELOAD": ":".join([*first, lib]), "SHIFTCLOCK_S": str(25 * 3600)}


def test_reminder_of_a_drain(service, make_c4d, a_day_later):
	one, two = service.add("10.1.0.1"), service.add("10.1.0.2")
	c4d = make_c4d(watching(service.consul, {service.name: merge(EAGER, {"min_instances": 1})})).start()
	is_up(c4d, service.name, one, two)
	assert c4d.ctl("drain", one).rc == 0
	assert c4d.ctl("status", fmt="json").data["reminders"] == []
	service.gone(one)
	until(lambda: one not in c4d.states(service.name), 5, "it is gone")
	c4d.stop()
	c4d.extra_env.update(a_day_later)
	c4d.start()
	until(lambda: dns_row(c4d)["evidence"] == "complete", 5, "DNS has spoken")
	status = c4d.ctl("status")
	text = words(status.out)
	assert re.search(rf"\* {one} of {service.name} is drained since \S+ by uid \d+; it is not registered now "
		rf"-> if it may take calls again: c4ctl undrain {one}", text), text
	assert status.rc == 0, "a reminder is no trouble"
	assert c4d.ctl("undrain", one).rc == 0
	assert c4d.ctl("status", fmt="json").data["reminders"] == []
