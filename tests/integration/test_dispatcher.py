"""The dispatcher target against a real Kamailio: what it lists is the judge of every test."""
import os
import re
import time

import pytest

from lab import Fault, Sbc, holds, merge, until
from lab.fake_sip import SipPeer
from lab.rig import Rig

pytestmark = pytest.mark.both_kamailios
QUIET = {"probing": False}  # a Kamailio that does not ping: states are what c4d and the test make them


@pytest.fixture
def rig(lab, consul, make_c4d):
	"""rig(sbc={...}, cfg=(old, new), delta=1, over={...}): c4d is not started yet."""
	def make(*, sbc=None, cfg=("", ""), delta=1, over=None, **kw):
		box = Sbc(lab, **merge(dict(QUIET, reload_delta=delta), sbc or {}))
		assert cfg[0] in box.text
		box.text = box.text.replace(*cfg, 1)
		box.start()
		return Rig(lab, consul, box, make_c4d, delta=delta, over=over, **kw)
	return make


def test_converges_disables_and_enables(rig):
	r = rig(over={"services": {"router": {"remove_hold": "2s"}}})
	a, b = r.add(weight=7), r.add(weight=3)
	r.start(a, b)
	assert {d.uri: (d.flags, d.attrs) for d in r.sbc.dispatcher()[1]} == {a: ("AX", "weight=7"), b: ("AX", "weight=3")}
	assert r.entries() == {a: 16, b: 16}
	reloads = r.count("reloads")
	begin = time.monotonic()
	r.out(a)
	until(lambda: r.sbc.disabled() == {a}, 5, "a is disabled")
	assert time.monotonic() - begin < 2, "set_state waits for no window"
	until(lambda: r.entries() == {a: 20, b: 16}, 5, "the file says so too")
	r.out(a, False)
	until(lambda: r.sbc.flags() == {a: "AX", b: "AX"}, 5, "a is back")
	until(lambda: r.entries() == {a: 16, b: 16}, 5, "the file says so too")
	r.converged()
	assert r.count("reloads") == reloads, "out and back need no reload"
	r.gone(b)
	until(lambda: r.sbc.disabled() == {b}, 5, "b is disabled at once")
	r.lists(a)
	assert r.entries() == {a: 16}


def test_first_change_goes_at_once_and_the_next_two_share_a_window(rig):
	"""Trap 1: two changes within one window both arrive."""
	r = rig(delta=3)
	a = r.add()
	r.start(a)
	r.quiet()
	reloads = r.count("reloads")
	begin = time.monotonic()
	b = r.add()
	r.lists(a, b)
	assert time.monotonic() - begin < 2, "after a quiet time nothing waits"
	c = r.add()
	until(lambda: r.target()["state"] == "window", 2, "c waits for the window")
	d = r.add()
	r.lists(a, b, c, d)
	assert time.monotonic() - begin < 6
	r.converged()
	assert (r.count("reloads") - reloads, r.count("faults")) == (2, 0)


def test_ongoing_reload_is_retried_with_the_newest_list(rig):
	"""Trap 2: what changes between the refusal and the next try goes with that try."""
	r = rig(delta=3)
	a = r.add()
	r.start(a)
	r.quiet()
	reloads = r.count("reloads")
	r.sbc.reload()
	b = r.add()
	r.c4d.wait_log(r"reload refused \(Ongoing reload\)", 3)
	c = r.add()
	r.gone(a)
	seen = []

	def both():
		seen.append(r.sbc.listed())
		return {b, c} <= seen[-1]
	until(both, 10, "b and c are listed", every=0.005)
	assert [x for x in seen if x != {a} and x != {a, b, c}] == [], "never the list that was refused"
	assert r.sbc.disabled() == {a}
	assert r.count("faults") >= 1
	r.converged()
	assert r.count("reloads") - reloads == 1
	assert "takes a reload every" not in r.c4d.log(), "that was not Kamailio's own window"


def test_kamailio_s_own_window_is_learned(rig):
	r = rig(sbc={"reload_delta": 3}, delta=1)
	r.sbc.restart()
	a = r.add()
	r.start(a)
	b = r.add()
	r.lists(a, b)
	said = r.c4d.wait_log(r"takes a reload every (\d+)ms only; set reload_delta", 5)
	assert said.group(1) in ("3000", "4000"), "whole seconds, as Kamailio counts; never less than its own"
	r.quiet()
	faults = r.count("faults")
	c = r.add()
	r.lists(a, b, c)
	d = r.add()
	r.lists(a, b, c, d)
	assert r.count("faults") == faults, "having learned it, c4d is not refused again"


def test_a_dead_destination_stays_dead_over_our_reload(lab, rig):
	good, dead = SipPeer(lab), SipPeer(lab, alive=False)
	r = rig(sbc={"probing": True})
	r.conf["kamailio"]["sbc"]["dispatcher"]["1"]["flags"] = 0
	r.c4d.write(r.conf)
	for p in (good, dead):
		r.add(address=p.ip, port=p.port)
	r.start(good.uri, dead.uri)
	until(lambda: r.sbc.flags() == {good.uri: "AP", dead.uri: "IP"}, 10, "one is dead")
	until(lambda: r.entries() == {good.uri: 8, dead.uri: 9}, 8, "the file carries it without any reload")
	r.quiet()
	third = SipPeer(lab)
	r.add(address=third.ip, port=third.port)
	flags = until(lambda: third.uri in (f := r.sbc.flags()) and f, 10, "the third is listed", every=0.002)
	assert flags[dead.uri] == "IP", "right after the reload"
	assert r.entries()[dead.uri] == 9
	holds(lambda: r.sbc.flags()[dead.uri] == "IP", 0.5, "it does not come back")
	for p in (good, third):
		p.alive = False
	until(lambda: set(r.sbc.flags().values()) == {"IP"}, 12, "all are dead")
	until(lambda: not any(f & 1 for f in r.entries().values()), 8, "I is never written for all of a set")


def test_an_inactive_one_with_flag_16_is_pinged(lab, rig):
	"""Kamailio 6.0 pings nobody with that flag: written together with I, it would be out for ever."""
	r = rig(sbc={"probing": True})
	assert r.conf["kamailio"]["sbc"]["dispatcher"]["1"]["flags"] == 16
	good, back = SipPeer(lab), SipPeer(lab, alive=False)
	for p in (good, back):
		r.add(address=p.ip, port=p.port)
	r.start(good.uri, back.uri)
	r.sbc.set_state("ip", 1, back.uri)  # as a failed call does it
	until(lambda: r.entries()[back.uri] == 9, 8, "the file carries it, to be pinged")
	r.quiet()
	third = SipPeer(lab)
	r.add(address=third.ip, port=third.port)
	flags = until(lambda: third.uri in (f := r.sbc.flags()) and f, 10, "the third is listed", every=0.002)
	assert flags[back.uri] == "IP", "right after the reload"
	back.alive = True
	until(lambda: r.sbc.flags()[back.uri] == "AP", 10, "a ping wakes it")


def test_inactive_is_not_written_where_kamailio_does_not_ping(rig):
	r = rig(over={"kamailio": {"sbc": {"probing": False}}})
	a, b = r.add(), r.add()
	r.start(a, b)
	r.quiet()
	r.sbc.set_state("ip", 1, a)
	assert r.sbc.flags()[a] == "IP"
	c = r.add()
	r.lists(a, b, c)
	r.converged()
	assert not any(f & 1 for f in r.entries().values())
	assert r.sbc.flags()[a][0] == "A", "nobody would ever have woken it"


def test_disabled_survives_reload_and_restart(rig):
	r = rig()
	a, b = r.add(), r.add()
	r.start(a, b)
	r.out(a)
	until(lambda: r.sbc.disabled() == {a}, 5, "a is disabled")
	r.quiet()
	c = r.add()
	flags = until(lambda: c in (f := r.sbc.flags()) and f, 10, "c is listed", every=0.002)
	assert flags[a] == "DX", "right after the reload"
	r.converged()
	r.c4d.stop()
	r.sbc.restart()
	assert r.sbc.flags() == {a: "DX", b: "AX", c: "AX"}, "from the file alone"


FOREIGN = ("# our carriers, edited by hand\r\n"
	"2 sip:198.51.100.7:5060 0 1 weight=50;foo=bar\n"
	"\n"
	"\t7   sip:198.51.100.8:5060\t16  # the old one\n"
	"   # the end, without a newline")


def test_foreign_sets_and_comments_stay_to_the_byte(rig):
	r = rig()
	with open(r.sbc.list_file, "w", newline="") as f:
		f.write(FOREIGN)
	a, b = r.add(), r.add()
	r.start(a, b)

	def outside():
		with open(r.sbc.list_file, newline="") as f:
			text = f.read()
		assert text.count("# c4d begin") == 1 and text.count("# c4d end") == 1
		return re.sub(r"# c4d begin.*# c4d end\n", "", text, flags=re.S)
	assert outside() == FOREIGN + "\n"
	assert set(r.sbc.dispatcher()) == {1, 2, 7}
	r.out(a)
	c = r.add()
	r.lists(a, b, c)
	r.converged()
	until(lambda: r.entries() == {a: 20, b: 16, c: 16}, 5, "the file holds the newest")
	assert outside() == FOREIGN + "\n"


def test_not_exclusive_leaves_the_others_lines_of_the_set(rig):
	theirs = "sip:198.51.100.7:5060"
	r = rig(sbc={"lines": [f"1 {theirs} 16 3 weight=9"]},
		over={"kamailio": {"sbc": {"dispatcher": {"1": {"exclusive": False}}}}})
	a = r.add()
	r.start(a, theirs)
	assert [e for e in r.sbc.file_entries() if e[1] == theirs] == [(1, theirs, 16, 3, "weight=9")]
	assert theirs[4:] not in r.c4d.instances(), "it is not taken over"
	r.quiet()
	# an administrator adds one more, in the file and with a reload of his own
	more = "sip:198.51.100.8:5060"
	with open(r.sbc.list_file) as f:
		text = f.read()
	with open(r.sbc.list_file, "w") as f:
		f.write(f"1 {more} 16\n{text}")
	r.sbc.reload()
	b = r.add()
	r.lists(a, b, theirs, more)
	r.quiet()
	before = {k: r.count(k) for k in ("reloads", "set_states", "file_writes")}
	holds(lambda: {k: r.count(k) for k in before} == before, 1.0, "peace")
	r.gone(a)
	until(lambda: r.sbc.flags() == {a: "DX", b: "AX", theirs: "AX", more: "AX"}, 5, "ours alone goes")
	assert "somebody" not in r.c4d.log()


def two_sets(**over):
	"""A second service in a second set."""
	return merge({"services": {"media": {"interval": "100ms"}},
		"kamailio": {"sbc": {"dispatcher": {"2": {"service": "media", "uri": "sip:{address}:{port}"}}}}}, over)


def test_an_administrator_is_overruled_once_and_a_war_is_not_fought(rig):
	r = rig(over=two_sets())
	a, b, m = r.add(), r.add(), r.add(service="media")
	r.start(a, b)
	r.lists(m, set_id=2)
	r.converged()
	for _ in range(2):
		r.sbc.set_state("dx", 1, a)
		until(lambda: r.sbc.disabled() == set(), 5, "a is enabled again")
	assert len(re.findall(rf"somebody disabled {a}; it is enabled again \(to take it out: c4ctl drain {a[4:]}, or maintenance",
		r.c4d.log())) == 2
	r.converged()
	r.sbc.set_state("dx", 1, a)
	r.failed("somebody else changes set 1", a, "c4ctl resync sbc/1")
	holds(lambda: r.sbc.disabled() == {a}, 1.0, "it is left alone")
	assert len(re.findall(r"somebody else changes set 1", r.c4d.log())) == 1, "said once"
	assert r.target("sbc/2")["state"] == "converged"
	m2 = r.add(service="media")
	r.lists(m, m2, set_id=2)
	status = r.c4d.ctl("status")
	assert status.rc == 1 and "somebody else changes set 1" in " ".join(status.out.split())
	r.sbc.set_state("dx", 1, a)
	got = r.c4d.ctl("resync", "sbc/1")
	assert (got.rc, r.sbc.disabled()) == (0, set()), got.out + got.err
	r.converged()


def test_a_removed_destination_comes_back(rig):
	r = rig()
	a, b = r.add(), r.add()
	r.start(a, b)
	r.quiet()
	r.sbc.remove(1, a)
	r.lists(a, b)
	r.c4d.wait_log(r"sbc/1: somebody changed the set \(add sip:")
	r.quiet()
	r.sbc.add(1, "sip:198.51.100.1:5060")
	r.lists(a, b)
	r.c4d.wait_log(r"sbc/1: somebody changed the set \(remove sip:198")
	r.quiet()
	assert r.c4d.ctl("resync").rc == 0  # a third time within a minute would be a war
	r.sbc.add(1, a)
	until(lambda: len(r.sbc.dispatcher()[1]) == 2, 10, "twice is once too often")


def test_an_edited_file_is_put_right(rig):
	r = rig(sbc={"lines": ["9 sip:198.51.100.9:5060 16"]})
	a, b = r.add(), r.add()
	r.start(a, b)
	r.quiet()
	right = r.sbc.file_text()
	# with a reload at once, before c4d looks at the file again by itself
	r.sbc.write_list(["# mine", "9 sip:198.51.100.9:5060 16", "9 sip:198.51.100.10:5060 16", "1 sip:198.51.100.1:5060"])
	r.sbc.reload()
	assert r.sbc.listed() == {"sip:198.51.100.1:5060"}
	r.lists(a, b)
	r.converged()
	assert r.sbc.file_text() == right.replace("9 sip:198.51.100.9:5060 16",
		"# mine\n9 sip:198.51.100.9:5060 16\n9 sip:198.51.100.10:5060 16", 1)
	assert len(r.sbc.dispatcher()[9]) == 2
	# without one, within its five seconds
	r.sbc.write_list(["9 sip:198.51.100.9:5060 16", "1 sip:198.51.100.1:5060"])
	until(lambda: r.sbc.file_text() == right, 8, "our block is back, the rest is theirs")
	os.unlink(r.sbc.list_file)
	until(lambda: r.entries() == {a: 16, b: 16}, 8, "a lost file is written anew")


def test_two_on_one_list_file(rig, make_c4d):
	r = rig()
	a = r.add()
	r.start(a)
	other = make_c4d(merge(r.conf, {"services": {"router": None, "media": {"interval": "100ms"}},
		"kamailio": {"sbc": {"dispatcher": {"1": {"service": "media"}}}}}))
	m = r.add(service="media")
	other.start()
	text = f"managed by pid {r.c4d.proc.pid}"
	until(lambda: text in (other.targets()["sbc/1"]["last_error"] or ""), 5, "the second says who manages it")
	assert other.targets()["sbc/1"]["state"] == "failed"
	assert r.sbc.list_file in other.targets()["sbc/1"]["last_error"]
	b = r.add()
	r.lists(a, b)
	holds(lambda: r.sbc.listed() == {a, b} and r.c4d.converged(), 1.0, "the second does nothing")
	assert other.ctl("status", fmt="json").data["kamailio"][0]["reloads"] == 0
	r.c4d.stop()
	until(lambda: m in r.sbc.listed(), 10, "the second takes over by itself")
	until(lambda: other.targets()["sbc/1"]["state"] == "converged", 10, "and converges")


def test_a_lost_lock_is_taken_again(rig, make_c4d):
	r = rig()
	a = r.add()
	r.start(a)
	os.unlink(r.sbc.list_file + ".c4d-lock")
	b = r.add()
	r.lists(a, b)
	until(lambda: os.path.exists(r.sbc.list_file + ".c4d-lock"), 8, "it is there again")
	other = make_c4d(r.conf).start()
	until(lambda: f"managed by pid {r.c4d.proc.pid}" in (other.targets()["sbc/1"]["last_error"] or ""), 5, "and it holds")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_kamailio_restart_is_a_full_reconcile(rig, how):
	r = rig()
	a, b = r.add(), r.add()
	r.start(a, b)
	r.out(a)
	until(lambda: r.entries() == {a: 20, b: 16}, 5, "a is out")
	getattr(r.sbc, how)()
	r.failed(r.sbc.ctl[5:], state="unreachable")
	c = r.add()
	until(lambda: r.entries() == {a: 20, b: 16, c: 16}, 5, "the file is kept right meanwhile")
	# somebody else's idea of the file, between two looks of c4d
	r.sbc.write_list(["1 sip:198.51.100.1:5060"])
	r.sbc.start()
	until(lambda: r.sbc.flags() == {a: "DX", b: "AX", c: "AX"}, 10, "all is as it should be")
	r.converged()
	r.c4d.wait_log("back after .*Kamailio was restarted")
	assert r.entries() == {a: 20, b: 16, c: 16}
	assert not re.search(r"unreachable: *$", r.c4d.log(), re.M), "never without a reason"
	assert "somebody" not in r.c4d.log(), "a restart is nobody's doing"


def test_weight_tag_and_ipv6(lab, rig):
	# without a socket of that family Kamailio refuses the destination
	six = f"listen=udp:[::1]:{lab.port('::1', 20000 + os.getpid() % 10000)}\n"
	r = rig(cfg=("listen=udp:LISTEN\n", f"listen=udp:LISTEN\n{six}"), over={"services": {"router": {"tags": ["primary"]}}, "kamailio": {"sbc": {"dispatcher": {"1": {
		"priority": 5, "tag": {"primary": {"priority": 10}}}}}}})
	a, b = r.add(weight=7), r.add(address="fd00::7", port=5062, weight=200)

	def shown():
		return {d.uri: (d.priority, d.attrs) for d in r.sbc.dispatcher().get(1, [])}
	r.start(a, b)
	assert b == "sip:[fd00::7]:5062"
	assert shown() == {a: (5, "weight=7"), b: (5, "weight=100")}, "Kamailio takes weights of 1..100"
	host = a[4:].split(":")[0]
	r.add(address=host, weight=9)
	until(lambda: shown()[a] == (5, "weight=9"), 10, "the new weight")
	r.add(address=host, weight=9, tags=["primary"])
	until(lambda: shown()[a] == (10, "weight=9"), 10, "the tag's priority")
	r.converged()
	assert [e[1] for e in r.sbc.file_entries()] == [a, b], "the highest first"
	r.add(address=host, weight=9)
	until(lambda: shown()[a] == (5, "weight=9"), 10, "the tag is gone")


def test_history_has_the_first_proof(rig):
	r = rig()
	a = r.add()
	r.start(a)
	r.quiet()
	b = r.add()
	r.lists(a, b)
	r.converged()
	generation = r.target()["applied_generation"]

	def times():
		rows = r.c4d.ctl("history", fmt="json").data
		row = next(x for x in rows if x["generation"] == generation)
		assert row["committed"] and row["changes"] and row["cause"]
		return row["seen"], [(t["target"], t["applied"], t["verified"]) for t in row["targets"]]
	seen, first = until(lambda: (t := times())[1] and t, 5, "the times are stored")
	assert len(first) == 1 and first[0][0] == "sbc/1"
	assert seen <= first[0][1] <= first[0][2]
	plain = r.c4d.ctl("history")
	assert plain.rc == 0 and re.search(r"sbc/1 applied \S+ \(\+\d+ms\), verified \S+ \(\+\d+ms\)", plain.out)
	# what happens later in the same generation is another story
	r.sbc.set_state("dx", 1, a)
	until(lambda: r.sbc.disabled() == set(), 5, "repaired")
	r.sbc.restart()
	r.c4d.wait_log("back after")
	r.lists(a, b)
	r.converged()
	assert r.c4d.ctl("resync").rc == 0
	assert times() == (seen, first)


def test_a_bad_line_of_others_is_named(rig):
	r = rig()
	a = r.add()
	r.start(a)
	r.quiet()
	with open(r.sbc.list_file) as f:
		text = f.read()
	with open(r.sbc.list_file, "w") as f:
		f.write("1\n" + text)
	b = r.add()
	r.failed("dispatcher.reload refused", r.sbc.list_file, "1 line", "correct")
	assert r.sbc.listed() == {a}
	with open(r.sbc.list_file) as f:
		text = f.read()
	assert text.startswith("1\n"), "it is not ours to remove"
	with open(r.sbc.list_file, "w") as f:
		f.write(text[2:])
	r.lists(a, b)
	r.converged()


def test_kamailio_refuses_what_c4d_avoids(rig):
	"""The window is Kamailio's, not an idea of ours: two reloads of anybody within it."""
	r = rig(delta=2)
	r.sbc.reload()
	with pytest.raises(Fault, match="Ongoing reload"):
		r.sbc.reload()
