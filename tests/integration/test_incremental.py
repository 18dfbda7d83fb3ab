"""
strategy: incremental against a real Kamailio that distributes by call load (algorithm 10): what a reload sets to zero,
dispatcher.add and dispatcher.remove keep.
"""
import re
import time

import pytest

from lab import Sbc, Uac, Uas, binrpc, holds, merge, until
from lab.rig import Rig

pytestmark = pytest.mark.both_kamailios
CALLS = 20


@pytest.fixture
def rig(lab, consul, make_c4d):
	"""rig(strategy, delta, **over): c4d is not started yet; each instance has a duid."""
	def make(strategy="incremental", delta=1, attrs="duid={address}", over=None, **kw):
		box = Sbc(lab, probing=False, reload_delta=delta, algorithm=10, call_load=True, **kw).start()
		return Rig(lab, consul, box, make_c4d, delta=delta, over=merge({
			"services": {"router": {"remove_hold": "1s"}},
			"kamailio": {"sbc": {"strategy": strategy, "probing": False, "dispatcher": {"1": {"attrs": attrs}}}}}, over or {}))
	return make


def loads(sbc, set_id=1):
	"""{uri: calls} as Kamailio counts them."""
	found = {}
	for name, record in binrpc.get(sbc.rpc("dispatcher.list")[0], "RECORDS"):
		if name == "SET" and binrpc.get(record, "ID") == set_id:
			for _, dest in binrpc.get(record, "TARGETS"):
				found[binrpc.get(dest, "URI")] = binrpc.get(dest, "RUNTIME", "DLGLOAD")
	return found


def calls_up(lab, r, uris, hold_ms):
	"""CALLS calls that stay for a while; the caller, and the loads that they make."""
	caller = Uac(lab, r.sbc.addr, rate=50, count=CALLS, hold_ms=hold_ms, patience_ms=hold_ms + 8000)
	up = until(lambda: sum((now := loads(r.sbc)).values()) == CALLS and now, 8, lambda: f"{CALLS} calls are up: {loads(r.sbc)}")
	assert sorted(up.values()) == [CALLS // len(uris)] * len(uris), "spread by load"
	return caller, up


def carrier(lab, r, name):
	u = Uas(lab, name)
	return r.add(address=u.ip, port=u.port)


@pytest.mark.parametrize("strategy", ["incremental", "reload"])
def test_call_loads_over_an_add_and_a_remove(lab, rig, strategy):
	r = rig(strategy)
	a, b = carrier(lab, r, "one"), carrier(lab, r, "two")
	r.start(a, b)
	r.quiet()
	reloads = r.count("reloads")
	caller, up = calls_up(lab, r, (a, b), 8000)
	c = carrier(lab, r, "three")
	r.lists(a, b, c, timeout=4)
	if strategy == "reload":
		assert loads(r.sbc) == {a: 0, b: 0, c: 0}, "what incremental is for; were it not so, this test could not fail"
		caller.ok()
		return
	assert loads(r.sbc) == {**up, c: 0}
	r.gone(c)
	r.lists(a, b, timeout=4)
	assert loads(r.sbc) == up
	r.converged()
	caller.ok()
	until(lambda: loads(r.sbc) == {a: 0, b: 0}, 5, "the calls' ends were counted where they were")
	assert r.count("reloads") == reloads
	assert r.count("faults") == 0
	assert (r.count("adds"), r.count("removes")) == (1, 1)
	assert f", {reloads} reloads, 1 adds, 1 removes, " in " ".join(r.c4d.ctl("status").out.split())


def test_a_change_costs_the_load_of_that_one_alone(lab, rig):
	r = rig(attrs="duid={address};weight={weight}")
	a, b = carrier(lab, r, "one"), carrier(lab, r, "two")
	r.start(a, b)
	r.quiet()
	caller, up = calls_up(lab, r, (a, b), 8000)
	host, port = a[4:].split(":")
	r.add(address=host, port=int(port), weight=9)
	until(lambda: r.sbc.listed() == {b}, 4, "removed first: an add would stand beside the old one")
	assert r.entries() == {a: 16, b: 16}, "a restart in between would know both"
	until(lambda: r.sbc.listed() == {a, b}, 4, "then added")
	assert {d.uri: d.attrs for d in r.sbc.dispatcher()[1]} == {a: f"duid={host};weight=9", b: f"duid={b[4:].split(':')[0]};weight=1"}
	assert loads(r.sbc) == {a: 0, b: up[b]}
	r.converged()
	caller.ok()  # established calls do not ask the dispatcher
	assert loads(r.sbc) == {a: 0, b: 0}


def test_several_changes_take_a_window_each(rig):
	r = rig(delta=2)
	a = r.add()
	r.start(a)
	r.quiet()
	begin = time.monotonic()
	more = [r.add() for _ in range(3)]
	seen = []

	def all_there():
		now = r.sbc.listed()
		if not seen or seen[-1][1] != now:
			seen.append((time.monotonic(), now))
		return now == {a, *more}
	until(lambda: len(r.sbc.listed()) == 2, 3, "the first at once")
	assert time.monotonic() - begin < 1.5
	t = until(lambda: (x := r.target())["state"] == "window" and x["pending"] == 2 and x, 3, "the others wait")
	assert re.fullmatch(r"2 times dispatcher\.add or remove for sbc, one every 2s \(strategy: incremental\): all of it in about [34]s",
		t["last_error"])
	until(lambda: r.entries() == {u: 16 for u in (a, *more)}, 2, "the file has them all")
	until(all_there, 10, "all are listed", every=0.01)
	gaps = [y[0] - x[0] for x, y in zip(seen[1:], seen[2:])]
	assert all(g > 1.8 for g in gaps), gaps
	r.converged()
	assert (r.count("faults"), r.count("reloads")) == (0, 1)
	# out of service waits for nothing
	begin = time.monotonic()
	r.gone(a)
	until(lambda: a not in r.sbc.enabled(), 2, "out at once")
	assert time.monotonic() - begin < 1


def test_ok_is_no_proof_and_nothing_is_reloaded_for_it(rig):
	"""An add that Kamailio says Ok to and drops; the others go on, and so they do after resync."""
	r = rig(over={"services": {"router": {"tags": ["odd"]}},
		"kamailio": {"sbc": {"dispatcher": {"1": {"tag": {"odd": {"attrs": "duid={address};socket=udp:198.51.100.1:5060"}}}}}}})
	a = r.add()
	r.start(a)
	r.quiet()
	odd = r.add(tags=["odd"])
	r.failed("Kamailio said Ok to dispatcher.add but does not list", odd, "Next try in 60s")
	b = r.add()
	r.lists(a, b)
	assert r.target()["state"] == "failed"
	assert "dispatcher.add" in " ".join(r.c4d.ctl("status").out.split())
	r.c4d.ctl("resync", "sbc")
	holds(lambda: r.sbc.listed() == {a, b}, 1.0, "no more and no less")
	assert r.count("reloads") == 1
	r.gone(odd)
	r.converged()


def test_the_last_one_alive_is_not_taken_away_for_a_change(rig):
	r = rig(attrs="duid={address};weight={weight}")
	a = r.add()
	r.start(a)
	r.quiet()
	host, port = a[4:].split(":")
	r.add(address=host, port=int(port), weight=7)
	r.failed("nothing else of set 1 is alive")
	holds(lambda: a in r.sbc.listed(), 1.5, "it stays")
	b = r.add()
	until(lambda: {d.uri: d.attrs.rpartition("weight=")[2] for d in r.sbc.dispatcher()[1]} == {a: "7", b: "1"}, 10,
		"with another one it can be changed")
	r.converged()


def test_duplicates_and_strangers_of_others(rig):
	r = rig()
	a, b = r.add(), r.add()
	r.start(a, b)
	r.quiet()
	r.sbc.add(1, a)
	until(lambda: [d.uri for d in r.sbc.dispatcher()[1]].count(a) == 1 and r.c4d.converged(), 10, "once is enough")
	r.sbc.dispatcher()
	r.quiet()
	r.sbc.add(1, "sip:198.51.100.1:5060")
	r.lists(a, b)
	r.c4d.wait_log(r"somebody changed the set \(remove sip:198")
	assert r.count("reloads") == 1


def test_kamailio_s_restart_does_it_all(rig):
	"""What still waits for its window is in the file."""
	r = rig(delta=5)
	a = r.add()
	r.start(a)
	more = [r.add() for _ in range(3)]
	until(lambda: len(r.entries()) == 4, 5, "the file has them all")
	r.sbc.restart()
	assert r.sbc.listed() == {a, *more}
	r.converged()
