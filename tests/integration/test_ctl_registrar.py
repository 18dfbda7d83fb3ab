"""c4ctl about what a machine registers and what it reads from KV: tables, JSON, maintenance, checks switched off."""
import json
import os
import re
import signal
import time

import pytest

from lab import merge, until
from lab.registrar import Switch, checks, has_state, is_gone, is_registered, registering, row, section, services, statuses
from lab.service import problems
from test_ctl import TIME, fits

NULL = type(None)
MAYBE_TIME = (str, NULL)
REGISTRATION = {"registration": str, "id": str, "service": str, "address": (str, NULL), "port": int, "state": str,
	"agent": (str, NULL), "catalog": str, "dns": str, "since": TIME, "why": (str, NULL), "note": str, "reason": (str, NULL),
	"who": (str, NULL), "eid": (str, NULL), "asserted": MAYBE_TIME, "puts": int, "forgotten": int, "failures": int}
CHECK = {"registration": str, "check": str, "check_id": str, "type": str, "status": (str, NULL), "agent": (str, NULL),
	"output": (str, NULL), "since": MAYBE_TIME, "checked": MAYBE_TIME}
KV = {"prefix": str, "used_by": str, "keys": int, "index": int, "changed": MAYBE_TIME, "answered": MAYBE_TIME,
	"empty": MAYBE_TIME, "why": (str, NULL), "note": str}
MAINT = "_service_maintenance:"


def words(got):
	"""Plain output without its line breaks; it fits."""
	assert max(map(len, got.out.splitlines()), default=0) <= 80, got.out
	return " ".join(got.out.split())


def flags(r, *keys):
	for key in keys:
		assert isinstance(r.pop(key), bool), key
	return r


@pytest.fixture
def sid(lab):
	"""An id that is this test's alone at the shared Consul."""
	return f"{os.getpid()}-{lab.net.replace('.', '-')}"


def all_or_nothing(switch):
	"""Passing or critical: a status of 1 would be a warning."""
	return switch.check(command=["/bin/sh", "-c", f"test -e {switch.path} || exit 2"])


@pytest.fixture
def sections(lab, sid):
	"""Two registrations: one with a check of c4d's and one of Consul's, one with a check that c4d makes."""
	lab.switch = Switch(lab)
	return {
		"sbc": section(lab.ip(), 5060, id=f"sbc-{sid}", name=f"s{sid}", verify_dns=False, checks={
			"own": all_or_nothing(lab.switch), "theirs": {"type": "ttl", "ttl": "1h", "status": "passing"}}),
		"media": section(lab.ip(), 22222, id=f"media-{sid}", name=f"m{sid}", verify_dns=False,
			checks={"own": all_or_nothing(lab.switch)})}


@pytest.fixture
def c4d(agent, sid, sections, make_c4d):
	c = make_c4d(registering(agent, sections)).start()
	for name in sections:
		has_state(c, name, "registered")
	until(lambda: set(statuses(agent, f"sbc-{sid}").values()) == {"passing"}, 10, "both checks pass")
	yield c
	for name in sections:
		agent.deregister(f"{name}-{sid}")


def at_agent(agent, sid):
	"""Maintenance of a service there: its notes, or None."""
	got = checks(agent, sid).get(MAINT + sid)
	return got and got["Notes"]


# ---- what is shown ----

def test_registrations(agent, sid, sections, c4d):
	until(lambda: row(c4d, "sbc")["catalog"] == "passing" and row(c4d, "sbc")["agent"] == "passing", 15,
		lambda: f"the catalog has it: {row(c4d, 'sbc')}")
	rows = c4d.show("registrations")
	assert [r["registration"] for r in rows] == ["sbc", "media"]
	for r in rows:
		fits(flags(dict(r), "maintenance", "foreign_maintenance", "maintenance_at_agent"), REGISTRATION, set())
	one = rows[0]
	assert (one["id"], one["service"], one["address"], one["port"]) == \
		(f"sbc-{sid}", f"s{sid}", sections["sbc"]["address"], 5060)
	assert (one["state"], one["why"], one["note"], one["maintenance"], one["dns"]) == ("registered", None, "", False, "off")
	assert one["puts"] >= 1 and re.fullmatch(TIME, one["asserted"])
	# by section and by id
	assert [r["id"] for r in c4d.show("registrations media") + c4d.show(f"registrations media-{sid}")] == [f"media-{sid}"] * 2
	text = words(c4d.ctl("show", "registrations"))
	assert text.startswith("NAME") and f"id sbc-{sid}" in text and sections["sbc"]["address"] in text
	got = c4d.ctl("show", "registrations", "nosuch")
	assert got.rc == 1 and "no registration nosuch" in got.err


def test_checks(agent, lab, sid, c4d):
	agent.http("PUT", f"/v1/agent/check/update/sbc-{sid}:theirs", {"Status": "warning", "Output": "tired\nbut well\n"})

	def by_name():
		return {(r["registration"], r["check"]): r for r in c4d.show("checks")}
	until(lambda: by_name()["sbc", "theirs"]["agent"] == "warning", 15, lambda: f"it is seen: {by_name()}")
	rows = by_name()
	assert list(rows) == [("sbc", "own"), ("sbc", "theirs"), ("media", "own")]
	for r in rows.values():
		fits(flags(dict(r), "ours", "off"), CHECK, set())
	own, theirs = rows["sbc", "own"], rows["sbc", "theirs"]
	assert (own["ours"], own["type"], own["status"], own["check_id"]) == (True, "exec", "passing", f"sbc-{sid}:own")
	assert re.fullmatch(TIME, own["checked"]) and re.fullmatch(TIME, own["since"])
	# c4d has no word of its own about what others check; what they say is one line
	assert (theirs["ours"], theirs["type"], theirs["status"], theirs["checked"]) == (False, "ttl", None, None)
	assert theirs["output"] == "tired but well"
	lab.switch.set(False)
	until(lambda: by_name()["media", "own"]["status"] == "critical", 10, "it fails by c4d's own word")
	until(lambda: by_name()["media", "own"]["agent"] == "critical", 15, "and at the agent")
	assert [r["check"] for r in c4d.show("checks sbc")] == ["own", "theirs"]
	assert [r["check"] for r in c4d.show(f"checks media-{sid}")] == ["own"]
	text = words(c4d.ctl("show", "checks"))
	assert "tired but well" in text and "critical critical" in text
	got = c4d.ctl("show", "checks", "nosuch")
	assert got.rc == 1 and "no registration nosuch" in got.err


def test_nothing_registered(agent, make_c4d):
	c4d = make_c4d(registering(agent, {})).start()
	for what in ("registrations", "checks", "kv"):
		assert c4d.show(what) == [] and c4d.ctl("show", what).out == "(none)\n"
		assert c4d.ctl("show", what, "x").rc == 1
	assert "registers" not in c4d.ctl("status").out
	for command in (("maintenance", "on"), ("maintenance", "off")):
		got = c4d.ctl(*command)
		assert got.rc == 1 and "registers nothing" in got.err
	assert c4d.ctl("check", "off", "sbc", "own").rc == 1


def test_80_columns(lab, agent, sid, make_c4d):
	"""Whatever the names and addresses are: the address is whole, and what gives way stands below."""
	name, long = "n" * 63, "fd00:1111:2222:3333:4444:5555:6666:7777"
	reg = f"{sid}-" + "i" * 80
	c4d = make_c4d(registering(agent, {name: section(long, 65535, id=reg, verify_dns=False, checks={
		"c" * 63: {"type": "exec", "command": ["/bin/sh", "-c", "printf 'a line\\n%.0s' $(seq 500); exit 1"],
			"interval": "1s"}})})).start()
	is_registered(agent, reg)
	assert c4d.ctl("maintenance", "on", name, "--reason", "r" * 200).rc == 0
	until(lambda: c4d.show("checks")[0]["output"], 10, "the check has spoken")
	for command in (("show", "registrations"), ("show", "checks"), ("status",), ("why", f"[{long}]:65535"),
			("check", "off", name, "c" * 63), ("maintenance", "off")):
		words(c4d.ctl(*command))
	text = "".join(c4d.ctl("show", "registrations").out.split())
	assert f"id{reg},service" in text and long in text
	agent.deregister(reg)


def test_status_and_why(agent, sid, sections, c4d):
	got = c4d.ctl("status", fmt="json")
	assert got.rc == 0 and got.data["healthy"], got.data["problems"]
	assert got.data["registrations"] == {"count": 2, "waiting": 0, "pending": 0, "registered": 2, "maintenance": 0,
		"failed": 0, "unreachable": 0, "leaving": 0}
	assert "registers 2: 2 registered" in words(c4d.ctl("status"))
	assert c4d.ctl("maintenance", "on", "media").rc == 0
	# the operator's own wish is nothing that is wrong
	got = c4d.ctl("status")
	assert got.rc == 0 and "registers 2: 1 registered, 1 maintenance" in words(got)
	address = f"{sections['media']['address']}:22222"
	got = c4d.ctl("why", address)
	text = words(got)
	assert got.rc == 0 and f"registered by this c4d as media (id media-{sid}, service m{sid}): maintenance" in text
	assert "maintenance by uid" in text and "c4ctl maintenance off media" in text
	assert [r["registration"] for r in c4d.ctl("why", address, fmt="json").data["registrations"]] == ["media"]
	got = c4d.ctl("why", f"{sections['media']['address']}:22223")
	assert got.rc == 1


def test_status_says_who_is_not_there_and_why(lab, agent, sid, make_c4d):
	"""What waits or is critical is named with its check and the check's words; when it is well again, all is well."""
	switch = Switch(lab, up=False)
	check = switch.check(command=["/bin/sh", "-c", f"test -e {switch.path} || {{ echo no workers; exit 2; }}"])
	wants = {"waits": section(lab.ip(), id=f"waits-{sid}", name=f"w{sid}", when="healthy", verify_dns=False, checks={"own": check}),
		"now": section(lab.ip(), id=f"now-{sid}", name=f"n{sid}", verify_dns=False, checks={"own": check}),
		"lost": section("{ip:none0}", id=f"lost-{sid}", name=f"l{sid}")}
	c4d = make_c4d(registering(agent, wants)).start()
	until(lambda: problems(c4d, "registration waits: waiting: its check own is critical for 0s, so it is not registered: no workers")
		or problems(c4d, "registration waits: waiting: its check own is critical for 1s, so it is not registered: no workers"), 5, "said")
	until(lambda: problems(c4d, "registration now: registered: its check own is critical"), 5, "said")
	assert problems(c4d, "registration lost: waiting: address {ip:none0}: there is no interface none0")
	assert c4d.ctl("status").rc == 1
	del wants["lost"]
	c4d.write(registering(agent, wants))
	assert c4d.ctl("reload").rc == 0
	switch.set(True)
	until(lambda: c4d.ctl("status").rc == 0, 10, lambda: f"all is well: {c4d.ctl('status').out}")
	for name in ("waits", "now"):
		agent.deregister(f"{name}-{sid}")


def test_agent_lost(lab, consul, make_c4d):
	"""It is said, with what to do; a word of the operator's is kept for when the agent is back."""
	c4d = make_c4d(registering(consul, {"sbc": section(id="sbc-id", verify_dns=False)})).start()
	is_registered(consul, "sbc-id")
	consul.stop()
	has_state(c4d, "sbc", "unreachable", 20)
	got = c4d.ctl("status")
	assert got.rc == 1 and "registers 1: 1 unreachable" in words(got)
	assert problems(c4d, "Consul's agent is lost")[0]["hint"].endswith("c4ctl show registrations and c4ctl show checks")
	assert row(c4d, "sbc")["why"]
	begin = time.monotonic()
	got = c4d.ctl("maintenance", "on", "sbc", "--reason", "upgrade")
	assert got.rc == 1 and 4 < time.monotonic() - begin < 8
	assert "accepted, but Consul has not said so yet: sbc (unreachable: " in got.err
	assert "sbc is to be in maintenance (remembered; Consul is told as soon as it can be)" in words(got)
	assert row(c4d, "sbc")["maintenance"] and row(c4d, "sbc")["state"] == "unreachable"
	consul.start()
	until(lambda: at_agent(consul, "sbc-id"), 30, "in maintenance without another word")
	has_state(c4d, "sbc", "maintenance", 15)
	assert "upgrade" in at_agent(consul, "sbc-id")


# ---- maintenance ----

def test_maintenance(agent, sid, c4d):
	got = c4d.ctl("maintenance", "on", "sbc", "--reason", "new firmware")
	assert got.rc == 0 and got.err == "", got
	# who hears that it is so may rely on it
	notes = at_agent(agent, f"sbc-{sid}")
	assert notes is not None and "new firmware" in notes
	assert at_agent(agent, f"media-{sid}") is None
	assert words(got) == "sbc is in maintenance: no new calls, also over restarts, until c4ctl maintenance off sbc"
	one = row(c4d, "sbc")
	assert (one["state"], one["maintenance"], one["foreign_maintenance"], one["reason"]) == \
		("maintenance", True, False, "new firmware")
	assert one["who"] == f"uid {os.getuid()}" and row(c4d, "media")["who"] is None
	assert f"maintenance by uid {os.getuid()}: new firmware; it ends by: c4ctl maintenance off sbc" in \
		words(c4d.ctl("show", "registrations"))
	# a better reason
	assert c4d.ctl("maintenance", "on", "sbc", "--reason=disk").rc == 0
	assert row(c4d, "sbc")["reason"] == "disk"
	until(lambda: at_agent(agent, f"sbc-{sid}") == f"c4d: disk (uid {os.getuid()})", 2, lambda: str(at_agent(agent, f"sbc-{sid}")))
	assert statuses(agent, f"sbc-{sid}")[f"{MAINT}sbc-{sid}"] == "critical"
	# all of them, and as JSON
	got = c4d.ctl("maintenance", "on", fmt="json")
	assert got.rc == 0 and got.data["on"] and [r["state"] for r in got.data["registrations"]] == ["maintenance"] * 2
	assert at_agent(agent, f"media-{sid}")
	got = c4d.ctl("maintenance", "off", f"sbc-{sid}")
	assert got.rc == 0 and words(got) == "sbc is not in c4d's maintenance any more"
	assert at_agent(agent, f"sbc-{sid}") is None and at_agent(agent, f"media-{sid}")
	got = c4d.ctl("maintenance", "off", "sbc")
	assert got.rc == 1 and "it is not in maintenance" in got.err and got.out == ""
	assert c4d.ctl("maintenance", "off").rc == 0
	assert at_agent(agent, f"media-{sid}") is None
	got = c4d.ctl("maintenance", "off")
	assert got.rc == 1 and "none is in maintenance" in got.err


def test_maintenance_outlives_c4d(agent, sid, c4d):
	assert c4d.ctl("maintenance", "on", "media", "--reason", "moving house").rc == 0
	c4d.restart()
	has_state(c4d, "media", "maintenance")
	has_state(c4d, "sbc", "registered")
	assert row(c4d, "media")["reason"] == "moving house" and "moving house" in at_agent(agent, f"media-{sid}")
	c4d.kill()
	c4d.start()
	has_state(c4d, "media", "maintenance")
	assert c4d.ctl("maintenance", "off", "media").rc == 0
	assert at_agent(agent, f"media-{sid}") is None


def test_somebody_elses_maintenance(agent, sid, c4d):
	"""It is theirs: shown, and not ended."""
	agent.maintenance(f"sbc-{sid}", True, reason="theirs")
	has_state(c4d, "sbc", "maintenance", 20)
	one = row(c4d, "sbc")
	assert (one["maintenance"], one["foreign_maintenance"], one["reason"]) == (False, True, "theirs")
	assert f"maintenance by somebody else at Consul: theirs; it ends by: consul maint -disable -service=sbc-{sid}" in one["note"]
	got = c4d.ctl("maintenance", "off", "sbc")
	assert got.rc == 1 and "somebody else's maintenance at Consul stays: sbc" in got.err
	assert at_agent(agent, f"sbc-{sid}") == "theirs"
	agent.maintenance(f"sbc-{sid}", False)
	has_state(c4d, "sbc", "registered", 20)


def test_not_registered_yet(lab, agent, sid, make_c4d):
	"""Maintenance of what waits for its first good check: remembered, and in force from its first moment on."""
	switch = Switch(lab, up=False)
	c4d = make_c4d(registering(agent, {"sbc": section(id=sid, when="healthy", verify_dns=False,
		checks={"own": all_or_nothing(switch)})})).start()
	has_state(c4d, "sbc", "waiting")
	got = c4d.ctl("maintenance", "on")
	assert got.rc == 0 and "not at Consul yet: sbc (waiting: " in words(got), got
	assert sid not in services(agent)
	switch.set(True)
	has_state(c4d, "sbc", "maintenance")
	assert at_agent(agent, sid)
	c4d.stop()
	is_gone(agent, sid)


def test_usage(c4d):
	for command, text in (
			(("maintenance",), "usage: c4ctl maintenance on|off [REGISTRATION] [--reason TEXT]"),
			(("maintenance", "maybe"), "usage: c4ctl maintenance on|off"),
			(("maintenance", "on", "sbc", "media"), "usage: c4ctl maintenance on|off"),
			(("maintenance", "on", "sbc", "--reason"), "usage: c4ctl maintenance on|off"),
			(("maintenance", "off", "sbc", "--reason", "x"), "usage: c4ctl maintenance on|off"),
			(("maintenance", "on", "--because", "x"), "usage: c4ctl maintenance on|off"),
			(("maintenance", "on", "sbc", "--reason", "x" * 201), "--reason takes one line of at most 200 characters"),
			(("check", "on", "sbc"), "usage: c4ctl check on|off REGISTRATION CHECK"),
			(("check", "maybe", "sbc", "own"), "usage: c4ctl check on|off REGISTRATION CHECK")):
		got = c4d.ctl(*command)
		assert got.rc == 2 and text in got.err and got.out == "", (command, got)
	for command, text in (
			(("maintenance", "on", "nosuch"), "no registration nosuch (c4ctl show registrations)"),
			(("maintenance", "off", "nosuch"), "no registration nosuch"),
			(("check", "off", "nosuch", "own"), "no registration nosuch"),
			(("check", "off", "sbc", "nosuch"), "sbc has no check nosuch (c4ctl show checks sbc)"),
			(("check", "on", "sbc", "own"), "check own of sbc is on already")):
		got = c4d.ctl(*command)
		assert got.rc == 1 and text in got.err and got.out == "", (command, got)
	assert not any(r["maintenance"] for r in c4d.show("registrations"))
	# words may be shortened
	assert c4d.ctl("maint", "on", "sbc").rc == 0 and c4d.ctl("m", "off", "sbc").rc == 0


def test_refused_while_it_stops(lab, agent, sid, make_c4d):
	c4d = make_c4d(registering(agent, {"sbc": section(id=sid, verify_dns=False, drain="30s")})).start()
	is_registered(agent, sid)
	c4d.proc.send(signal.SIGTERM)
	has_state(c4d, "sbc", "leaving")
	for command in (("maintenance", "off", "sbc"), ("maintenance", "on"), ("check", "off", "sbc", "own")):
		got = c4d.ctl(*command)
		assert got.rc == 5 and "being deregistered: c4d is stopping" in got.err, (command, got)
	c4d.proc.send(signal.SIGTERM)  # at once
	c4d.proc.wait(5)
	is_gone(agent, sid)


# ---- checks ----

def test_check_off_and_on(agent, sid, lab, c4d):
	own = f"sbc-{sid}:own"
	got = c4d.ctl("check", "off", "sbc", "own")
	assert got.rc == 0 and words(got) == "sbc has check own off, also over restarts, until c4ctl check on sbc own"
	assert own not in checks(agent, f"sbc-{sid}"), "who hears that it is so may rely on it"
	rows = {r["check"]: r for r in c4d.show("checks sbc")}
	assert (rows["own"]["off"], rows["own"]["status"], rows["own"]["agent"]) == (True, "off", None)
	assert not rows["theirs"]["off"]
	# one that is forgotten is brought back to mind
	status = c4d.ctl("status", fmt="json")
	assert status.rc == 0
	assert [(r["problem"], r["hint"]) for r in status.data["reminders"]] == \
		[("check own of registration sbc is switched off", "c4ctl check on sbc own")]
	got = c4d.ctl("check", "off", "sbc", "own")
	assert got.rc == 1 and "check own of sbc is off already" in got.err
	# it may fail as it likes
	lab.switch.set(False)
	until(lambda: statuses(agent, f"media-{sid}")[f"media-{sid}:own"] == "critical", 10, "the other one is critical")
	assert statuses(agent, f"sbc-{sid}") == {f"sbc-{sid}:theirs": "passing"}
	c4d.restart()
	has_state(c4d, "sbc", "registered")
	assert c4d.show("checks sbc")[0]["off"] and own not in checks(agent, f"sbc-{sid}")
	got = c4d.ctl("check", "off", "sbc", "theirs")
	assert got.rc == 0 and "it has no other: Consul takes it as passing" in words(got)
	lab.switch.set(True)
	got = c4d.ctl("check", "on", f"sbc-{sid}", "own", fmt="json")
	assert got.rc == 0 and (got.data["registration"], got.data["check"], got.data["on"]) == ("sbc", "own", True)
	until(lambda: statuses(agent, f"sbc-{sid}") == {own: "passing"}, 5, "the agent has it again")
	assert c4d.ctl("check", "on", "sbc", "theirs").rc == 0


# ---- KV ----

def test_kv(lab, consul, make_c4d):
	prefix = "c4/domains"
	kam = {"binrpc": f"unix:{lab.path('no-kamailio')}", "tables": lab.mkdir("tables"),
		"domain": {"kv": prefix, "names": ["sip.example.org"]}}
	c4d = make_c4d(merge(registering(consul, {}), {"kamailio": {"sbc": kam}}))
	consul.http("PUT", f"/v1/kv/{prefix}/a.example.org", b"1")
	consul.http("PUT", f"/v1/kv/{prefix}/b.example.org", b"1")
	c4d.start()
	until(lambda: c4d.show("kv")[0]["keys"] == 2, 10, lambda: f"both are read: {c4d.show('kv')}")
	one, = c4d.show("kv")
	fits(flags(dict(one), "known", "held"), KV, set())
	assert (one["prefix"], one["used_by"], one["known"], one["held"], one["why"], one["note"]) == \
		(prefix, "sbc/domain", True, False, None, "")
	assert one["index"] > 0 and re.fullmatch(TIME, one["changed"]) and re.fullmatch(TIME, one["answered"])
	assert c4d.show(f"kv {prefix}") and c4d.ctl("show", "kv", "nosuch").rc == 1
	text = words(c4d.ctl("show", "kv"))
	assert text.startswith("PREFIX USED-BY KEYS INDEX CHANGED ANSWERED c4/domains sbc/domain 2 ")
	assert json.loads(c4d.ctl("show", "kv", fmt="jsonl").out)["keys"] == 2
	assert problems(c4d, "kv ") == []
	# empty: the last value stays, and it is said
	consul.http("DELETE", f"/v1/kv/{prefix}?recurse")
	until(lambda: c4d.show("kv")[0]["held"], 10, lambda: f"it is held: {c4d.show('kv')}")
	one, = c4d.show("kv")
	assert one["keys"] == 2 and re.fullmatch(TIME, one["empty"])
	assert re.search(r"empty at Consul for \d+s: its last 2 keys are kept", one["note"])
	assert problems(c4d, f"kv {prefix}: empty at Consul for")
	# lost: likewise
	consul.stop()
	until(lambda: c4d.show("kv")[0]["why"], 20, lambda: f"it is lost: {c4d.show('kv')}")
	assert c4d.show("kv")[0]["keys"] == 2 and problems(c4d, f"kv {prefix}: {c4d.show('kv')[0]['why'][:10]}")
	words(c4d.ctl("show", "kv"))
